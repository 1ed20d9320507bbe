/* The transforms of Winograd's algorithm, over vectors of channels (Lavin and Gray 2016; the
 * Toom-Cook construction at the points 0, +-a, +-b, inf), and +-c where tiles have six outputs.
 * Included once for each WIN_OUT, 4 or 6, with names WN().
 *
 *   F(m, 3): y = At [ (G f) . (Bt d) ]    m + 2 products for m outputs of three taps
 *
 *   Bt d: the coefficients of prod over q != p of (x - q), for each point p; M(x) for inf
 *   G f:  f(p) / prod over q != p of (p - q), f a polynomial of 3 (or, backward weight, 4) taps
 *   At m: sum over p of m_p p^i, i < 4 (6; 3), and m_inf added to the last
 *
 * a = 5/8 and b = 3/2 have the least rounding error, under half that of 1 and 2: most of it is that
 * of the products' sums, times At. For F(6, 3) that holds of 1/2, 1 and 2. Backward weight is F(3,
 * 4), the gradient's four values as taps. Rows and columns are transformed alike. The points come
 * in the order 0, inf, a, -a, b, -b, c, -c: a smaller tile uses the first ones. Its Bt makes up for
 * the factors that its own points' product lacks, so that G is that of all. */
#include "winograd_grid.h"

#ifndef WINOGRAD_TILE
#define WINOGRAD_TILE
enum { WIN_DATA, WIN_EXPAND, WIN_CONTRACT }; /* Bt, G, At */
#endif

#undef WN
#undef WIN_IN
#undef WIN_A
#undef WIN_B
#undef WIN_C
#define WIN_IN (WIN_OUT + WIN_TAPS - 1)
#if WIN_OUT == 4
#define WN(name) FN(win_##name)
#define WIN_A 0.625
#define WIN_B 1.5
#define WIN_C 0.0 /* none */
#else
#define WN(name) FN(win6_##name)
#define WIN_A 1.0
#define WIN_B 0.5
#define WIN_C 2.0
#endif

/* The point of a pair. */
INLINE T WN(point)(const int pair) { return (T)(pair == 1 ? WIN_A : pair == 2 ? WIN_B : WIN_C); }

/* Two values of Bt d: points 0 and inf (pair 0), a and -a (1), b and -b (2), c and -c (3). With e,
 * o the even and odd parts, the latter are e + a o and e - a o. */
INLINE void WN(data_pair)(const int pair, const vec *d, vec *out, int t) {
    const T p = WN(point)(pair), aa = (T)(WIN_A * WIN_A), bb = (T)(WIN_B * WIN_B);
    const T cc = (T)(WIN_C * WIN_C);
    if (WIN_OUT == 4 && pair == 0) {
        out[0] = d[4] + aa * bb * d[0] - (aa + bb) * d[2];
        out[t] = d[5] + aa * bb * d[1] - (aa + bb) * d[3];
    } else if (WIN_OUT == 4) {
        const T qq = pair == 1 ? bb : aa;
        const vec e = d[4] - qq * d[2], o = p * (d[3] - qq * d[1]);
        out[0] = e + o;
        out[t] = e - o;
    } else if (pair == 0) {
        const T s1 = aa + bb + cc, s2 = aa * bb + aa * cc + bb * cc, s3 = aa * bb * cc;
        out[0] = d[WIN_IN - 2] - s1 * d[4] + s2 * d[2] - s3 * d[0];
        out[t] = d[WIN_IN - 1] - s1 * d[5] + s2 * d[3] - s3 * d[1];
    } else {
        const T qq = pair == 1 ? bb : aa, rr = pair == 3 ? bb : cc;
        const vec e = d[WIN_IN - 2] - (qq + rr) * d[4] + qq * rr * d[2];
        const vec o = p * (d[5] - (qq + rr) * d[3] + qq * rr * d[1]);
        out[0] = e + o;
        out[t] = e - o;
    }
}

/* G: n = 3 or 4 values to m + 2. */
INLINE void WN(expand_axis)(const int n, const vec *f, int s, vec *out, int t) {
    const double aa = WIN_A * WIN_A, bb = WIN_B * WIN_B, cc = WIN_C * WIN_C;
    out[0] = f[0] * (T)(WIN_OUT == 4 ? 1 / (aa * bb) : -1 / (aa * bb * (WIN_OUT == 4 ? 1 : cc)));
    out[t] = f[(n - 1) * s];
    UNROLL
    for (int pair = 1; pair <= WIN_OUT / 2; pair++) {
        const double p = pair == 1 ? WIN_A : pair == 2 ? WIN_B : WIN_C;
        const double qq = pair == 1 ? bb : aa, rr = pair == 3 ? bb : cc;
        const double norm = 1 / (2 * p * p * (p * p - qq) * (WIN_OUT == 4 ? 1 : p * p - rr));
        vec odd = (T)(norm * p) * f[s];
        if (n == 4) odd += (T)(norm * p * p * p) * f[3 * s];
        const vec even = (T)norm * f[0] + (T)(norm * p * p) * f[2 * s];
        out[2 * pair * t] = even + odd;
        out[(2 * pair + 1) * t] = even - odd;
    }
}

/* At: m + 2 values to n = m or 3. */
INLINE void WN(contract_axis)(const int n, const vec *m, int s, vec *out, int t) {
    const T a = (T)WIN_A, b = (T)WIN_B, c = (T)WIN_C, aa = a * a, bb = b * b, cc = c * c;
    const vec s1 = m[2 * s] + m[3 * s], d1 = m[2 * s] - m[3 * s];
    const vec s2 = m[4 * s] + m[5 * s], d2 = m[4 * s] - m[5 * s];
    out[0] = m[0] + s1 + s2;
    out[t] = a * d1 + b * d2;
    out[2 * t] = aa * s1 + bb * s2;
    if (n > 3) out[3 * t] = a * aa * d1 + b * bb * d2;
    if (n > 4) {
        const vec s3 = m[(WIN_IN - 2) * s] + m[(WIN_IN - 1) * s];
        const vec d3 = m[(WIN_IN - 2) * s] - m[(WIN_IN - 1) * s];
        out[0] += s3;
        out[t] += c * d3;
        out[2 * t] += cc * s3;
        out[3 * t] += c * cc * d3;
        out[4 * t] = aa * aa * s1 + bb * bb * s2 + cc * cc * s3;
        out[(n - 1) * t] = a * aa * aa * d1 + b * bb * bb * d2 + c * cc * cc * d3;
    }
    out[(n - 1) * t] += m[s];
}

/* Where the elements (i, j) of a tile of the image lie: i*row + j*col, channels side by side. Its
 * products lie at[i * WIN_IN + j]. */
typedef struct {
    int64_t row, col;
} WN(place);

/* One whole tile, `cols` channels (whole vectors). Data: 6x6 to 6x6, or 1x6 to 1x6 where only one
 * axis is transformed; two rows of the result at a time, which fit the registers. */
INLINE void WN(apply_data)(const int two, int64_t cols, const T *src, T *dst, WN(place) place,
                           const int64_t *at) {
    for (int64_t c = 0; c < cols; c += VL) {
        UNROLL
        for (int pair = 0; pair < WIN_IN / 2; pair++) {
            vec d[WIN_IN], t[2 * WIN_IN], o[WIN_IN];
            if (!two && pair) continue;
            UNROLL
            for (int j = 0; j < WIN_IN; j++) {
                const T *from = src + j * place.col + c;
                if (!two) {
                    t[j] = vload(from);
                    continue;
                }
                UNROLL
                for (int i = 0; i < WIN_IN; i++)
                    if (pair == 0 || (i > 0 && i < WIN_IN - 1)) d[i] = vload(from + i * place.row);
                WN(data_pair)(pair, d, t + j, WIN_IN);
            }
            UNROLL
            for (int i = 0; i < 2; i++) {
                if (!two && i) continue;
                UNROLL
                for (int k = 0; k < WIN_IN / 2; k++) WN(data_pair)(k, t + i * WIN_IN, o + 2 * k, 1);
                UNROLL
                for (int j = 0; j < WIN_IN; j++)
                    vstore(dst + at[(2 * pair + i) * WIN_IN + j] + c, o[j]);
            }
        }
    }
}

/* The other two: ni x ni to no x no, or 1 x ni to 1 x no. `add` adds to dst, bias (or NULL) is
 * added to every element. */
INLINE void WN(apply)(const int kind, const int ni, const int no, const int two, int64_t cols,
                      const T *src, T *dst, WN(place) place, const int64_t *at, const T *bias,
                      const int add) {
    if (kind == WIN_DATA) {
        WN(apply_data)(two, cols, src, dst, place, at);
        return;
    }
    for (int64_t c = 0; c < cols; c += VL) {
        vec d[WIN_IN], t[WIN_IN * WIN_IN], o[WIN_IN];
        const vec start = bias ? vload(bias + c) : vset1(0);
        UNROLL
        for (int j = 0; j < ni; j++) { /* columns: t[i][j] */
            UNROLL
            for (int i = 0; i < ni; i++) {
                if (!two && i) continue;
                d[i] = vload(
                    src + c +
                    (kind == WIN_CONTRACT ? at[i * WIN_IN + j] : i * place.row + j * place.col));
            }
            if (!two) t[j] = d[0];
            else if (kind == WIN_EXPAND) WN(expand_axis)(ni, d, 1, t + j, WIN_IN);
            else WN(contract_axis)(no, d, 1, t + j, WIN_IN);
        }
        UNROLL
        for (int i = 0; i < no; i++) {
            if (!two && i) continue;
            const vec *r = t + i * WIN_IN;
            if (kind == WIN_EXPAND) WN(expand_axis)(ni, r, 1, o, 1);
            else WN(contract_axis)(no, r, 1, o, 1);
            UNROLL
            for (int j = 0; j < no; j++) {
                T *p = dst + c +
                       (kind == WIN_CONTRACT ? i * place.row + j * place.col : at[i * WIN_IN + j]);
                vstore(p, add ? vload(p) + o[j] : o[j] + start);
            }
        }
    }
}

/* The transforms of a smaller tile as they are defined: matrices [out][in], by rows. */
typedef struct {
    int out, in;
    T item[WIN_IN * WIN_IN];
} WN(matrix);

static void WN(matrix_make)(WN(matrix) * x, int kind, int m) {
    const double point[8] = {0, 0, WIN_A, -WIN_A, WIN_B, -WIN_B, WIN_C, -WIN_C};
    const int points = m + WIN_TAPS - 1;
    x->out = kind == WIN_CONTRACT ? m : points;
    x->in = kind == WIN_EXPAND ? m : points;
    for (int p = 0; p < points; p++) {
        /* product of (x - q) over the finite points of the tile but p, and what scales it */
        double poly[WIN_IN + 1] = {1}, scale = 1, norm = 1;
        int degree = 0;
        for (int q = 0; q < WIN_IN; q++) {
            if (q == p || q == 1) continue;
            norm *= point[p] - point[q];
            if (q >= points) {
                scale *= point[p] - point[q];
                continue;
            }
            for (int k = ++degree; k >= 0; k--)
                poly[k] = (k ? poly[k - 1] : 0) - point[q] * poly[k];
        }
        for (int k = 0; k < (kind == WIN_DATA ? points : m); k++) {
            double power = 1, v;
            for (int e = 0; e < k; e++) power *= point[p];
            if (kind == WIN_DATA) v = k <= degree ? (p == 1 ? 1 : scale) * poly[k] : 0;
            else if (p == 1) v = k == m - 1;
            else v = kind == WIN_EXPAND ? power / norm : power;
            x->item[kind == WIN_CONTRACT ? k * points + p : p * x->in + k] = (T)v;
        }
    }
}

/* out[o] = sum over i < n of matrix[o][i] in[i], o < rows. */
INLINE void WN(line)(const int n, int rows, const T *matrix, const vec *in, int s, vec *out,
                     int t) {
    vec d[WIN_IN];
    UNROLL
    for (int i = 0; i < n; i++) d[i] = in[i * s];
    for (int o = 0; o < rows; o++, matrix += n) {
        vec sum = matrix[0] * d[0];
        UNROLL
        for (int i = 1; i < n; i++) sum += matrix[i] * d[i];
        out[o * t] = sum;
    }
}

INLINE void WN(any_line)(const WN(matrix) * x, const vec *in, int s, vec *out, int t) {
    switch (x->in) {
        case 1:
            WN(line)(1, x->out, x->item, in, s, out, t);
            break;
        case 2:
            WN(line)(2, x->out, x->item, in, s, out, t);
            break;
        case 3:
            WN(line)(3, x->out, x->item, in, s, out, t);
            break;
        case 4:
            WN(line)(4, x->out, x->item, in, s, out, t);
            break;
        case 5:
            WN(line)(5, x->out, x->item, in, s, out, t);
            break;
#if WIN_OUT == 6
        case 6:
            WN(line)(6, x->out, x->item, in, s, out, t);
            break;
        case 7:
            WN(line)(7, x->out, x->item, in, s, out, t);
            break;
#endif
        default:
            WN(line)(WIN_IN, x->out, x->item, in, s, out, t);
    }
}

/* A tile of any size: y = rows * x * colsT. from and to are offsets of [i * WIN_IN + j]. */
NOINLINE void WN(any)(const WN(matrix) * rows, const WN(matrix) * cols, int64_t channels,
                      const T *src, const int64_t *from, T *dst, const int64_t *to, const T *bias) {
    for (int64_t c = 0; c < channels; c += VL) {
        vec d[WIN_IN * WIN_IN], t[WIN_IN * WIN_IN];
        for (int i = 0; i < rows->in; i++)
            for (int j = 0; j < cols->in; j++)
                d[i * WIN_IN + j] = vload(src + from[i * WIN_IN + j] + c);
        for (int j = 0; j < cols->in; j++) WN(any_line)(rows, d + j, WIN_IN, t + j, WIN_IN);
        for (int i = 0; i < rows->out; i++)
            WN(any_line)(cols, t + i * WIN_IN, 1, d + i * WIN_IN, 1);
        const vec start = bias ? vload(bias + c) : vset1(0);
        for (int i = 0; i < rows->out; i++)
            for (int j = 0; j < cols->out; j++)
                vstore(dst + to[i * WIN_IN + j] + c, d[i * WIN_IN + j] + start);
    }
}

/* The transforms of one kind: that of a whole tile, and by the outputs of an axis; [0] stands for
 * an axis that is not transformed. */
typedef void (*WN(fn))(int two, int64_t cols, const T *src, T *dst, WN(place) place,
                       const int64_t *at, const T *bias);
typedef struct {
    int kind;
    WN(fn) whole;
    WN(matrix) axis[WIN_OUT + 1];
} WN(transform);

static void WN(transform_make)(WN(transform) * f, int kind, WN(fn) whole, int tails) {
    f->kind = kind;
    f->whole = whole;
    f->axis[0] = (WN(matrix)){1, 1, {1}};
    for (int m = 1; tails && m <= WIN_OUT; m++) WN(matrix_make)(&f->axis[m], kind, m);
}

/* A tile of m x n outputs (of n where m is 0), `cols` channels: the image's side at `place`, the
 * products' at `at`. */
INLINE void WN(transform_tile)(const WN(transform) * f, int m, int n, int64_t cols, const T *src,
                               T *dst, WN(place) place, const int64_t *at, const T *bias) {
    if (m % WIN_OUT == 0 && n == WIN_OUT) {
        f->whole(m != 0, cols, src, dst, place, at, bias);
        return;
    }
    int64_t image[WIN_IN * WIN_IN];
    for (int i = 0; i < WIN_IN; i++)
        for (int j = 0; j < WIN_IN; j++) image[i * WIN_IN + j] = i * place.row + j * place.col;
    const int back = f->kind == WIN_CONTRACT;
    WN(any)(&f->axis[m], &f->axis[n], cols, src, back ? at : image, dst, back ? image : at, bias);
}

#define WIN_DEFINE(name, kind, ni, no, add)                                              \
    NOINLINE void WN(name)(int two, int64_t cols, const T *src, T *dst, WN(place) place, \
                           const int64_t *at, const T *bias) {                           \
        if (two) WN(apply)(kind, ni, no, 1, cols, src, dst, place, at, bias, add);       \
        else WN(apply)(kind, ni, no, 0, cols, src, dst, place, at, bias, add);           \
    }
/* Forward and backward input: tiles of x, taps of w, tiles of y. */
WIN_DEFINE(input, WIN_DATA, WIN_IN, WIN_IN, 0)
WIN_DEFINE(filter, WIN_EXPAND, WIN_TAPS, WIN_IN, 0)
WIN_DEFINE(output, WIN_CONTRACT, WIN_IN, WIN_OUT, 0)
#if WIN_OUT == 4 /* backward weight, beside win_input: tiles of dy as taps, taps of dw */
WIN_DEFINE(grad_output, WIN_EXPAND, WIN_OUT, WIN_IN, 0)
WIN_DEFINE(grad_filter, WIN_CONTRACT, WIN_IN, WIN_TAPS, 0)
WIN_DEFINE(grad_filter_add, WIN_CONTRACT, WIN_IN, WIN_TAPS, 1)
#endif
