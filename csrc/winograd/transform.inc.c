/* The transforms of Winograd's algorithm, over vectors of channels (Lavin and Gray 2016; the
 * Toom-Cook construction at the points 0, +-a, +-b, inf):
 *
 *   F(m, r): y = At [ (G f) . (Bt d) ]    m + r - 1 products for m outputs of r = 1, 2 or 3 taps
 *
 *   Bt d:  the coefficients of prod over q != p of (x - q), for each point p; M(x) for inf
 *   G f:   f(p) / prod over q != p of (p - q), f a polynomial of r (or, backward weight, m) taps
 *   At m:  sum over p of m_p p^i, i < m (r), and m_inf added to the last
 *
 * a = 5/8 and b = 3/2 have the least rounding error, under half that of 1 and 2: most of it is that
 * of the products' sums, times At. Backward weight is F(r, 4), the gradient's four values as taps.
 * Rows and columns are transformed alike. The points come in the order inf, a, -a, b, -b, 0: a
 * smaller tile or fewer taps use the first ones. Their Bt makes up for the factors that their own
 * points' product lacks, so that G is that of all, and products of all kinds add up under one At.
 */
#pragma once

#include <string.h>

#include "core/simd.h"
#include "winograd/grid.h"

/* x; w and dy (backward weight, as taps); y and dw. Their transforms are Bt, G and At. */
enum { WIN_INPUT, WIN_FILTER, WIN_GRAD_OUTPUT, WIN_OUTPUT, WIN_GRAD_FILTER };
#define WIN_A 0.625
#define WIN_B 1.5
/* Between the points of U: no power of two, which would share cache sets. */
enum { WIN_SKIP = 64 / sizeof(T) };

/* The point of a pair. */
INLINE T win_point(const int pair) { return (T)(pair == 1 ? WIN_A : WIN_B); }

/* Values that go into the transform of an axis with r taps, and come out. */
INLINE int win_ins(const int kind, const int r) {
    return kind == WIN_FILTER ? r : kind == WIN_GRAD_OUTPUT ? WIN_OUT : WIN_OUT + r - 1;
}
INLINE int win_outs(const int kind, const int r) {
    return kind == WIN_OUTPUT ? WIN_OUT : kind == WIN_GRAD_FILTER ? r : WIN_OUT + r - 1;
}

/* clang-format off
 *
 * F(4, 3), with p = a^2 and q = b^2:
 *
 *   point   Bt d                              G f                                     At m
 *   inf     d5 - (p + q) d3 + p q d1          f2                                      + y3
 *   +-a     (d4 - q d2) +- a (d3 - q d1)      (f0 +- a f1 + p f2) / (2 p (p - q))     (+-a)^i
 *   +-b     (d4 - p d2) +- b (d3 - p d1)      (f0 +- b f1 + q f2) / (2 q (q - p))     (+-b)^i
 *   0       d4 - (p + q) d2 + p q d0          f0 / (p q)                              + y0
 *
 *   y0 = m(0) +     (m(a) + m(-a)) +     (m(b) + m(-b))
 *   y1 =        a   (m(a) - m(-a)) + b   (m(b) - m(-b))
 *   y2 =        a^2 (m(a) + m(-a)) + b^2 (m(b) + m(-b))
 *   y3 =        a^3 (m(a) - m(-a)) + b^3 (m(b) - m(-b)) + m(inf)
 *
 * clang-format on */

/* Two values of Bt d, r = 3: points inf and 0 (pair 0), a and -a (1), b and -b (2). */
INLINE void win_data_pair(const int pair, const vec *d, vec *out, int t) {
    const T p = win_point(pair), aa = (T)(WIN_A * WIN_A), bb = (T)(WIN_B * WIN_B);
    if (pair == 0) {
        out[0] = d[5] + aa * bb * d[1] - (aa + bb) * d[3];
        out[t] = d[4] + aa * bb * d[0] - (aa + bb) * d[2];
        return;
    }
    const T qq = pair == 1 ? bb : aa;
    const vec e = d[4] - qq * d[2], o = p * (d[3] - qq * d[1]);
    out[0] = e + o;
    out[t] = e - o;
}

/* The first point of a pair, and how far the second is behind it. */
INLINE int win_first(const int pair) { return pair ? 2 * pair - 1 : 0; }
INLINE int win_apart(const int pair) { return pair ? 1 : WIN_IN - 1; }

/* Bt of r taps. F(4, 2) lacks the point 0, F(4, 1) both 0 and -b. */
INLINE void win_data_axis(const int r, const vec *d, vec *out, int t) {
    const T a = (T)WIN_A, b = (T)WIN_B, aa = a * a, bb = b * b;
    if (r == 3) {
        UNROLL
        for (int pair = 0; pair < WIN_IN / 2; pair++)
            win_data_pair(pair, d, out + win_first(pair) * t, win_apart(pair) * t);
    } else if (r == 2) {
        const vec e = d[3] - bb * d[1], o = d[2] - bb * d[0];
        const vec f = d[3] - aa * d[1], g = d[2] - aa * d[0];
        out[0] = d[4] + aa * bb * d[0] - (aa + bb) * d[2];
        out[t] = a * (e + a * o);
        out[2 * t] = -a * (e - a * o);
        out[3 * t] = b * (f + b * g);
        out[4 * t] = -b * (f - b * g);
    } else { /* d times (x - b), and (x - a)(x + a) */
        const vec e = d[1] - b * d[0], o = d[2] - b * d[1];
        out[0] = d[3] - b * d[2] - aa * e;
        out[t] = (a * (a + b)) * (o + a * e);
        out[2 * t] = (a * (a - b)) * (o - a * e);
        out[3 * t] = (2 * bb) * (d[2] - aa * d[0]);
    }
}

/* G: n values to as many points. */
INLINE void win_expand_axis(const int n, const int points, const vec *f, vec *out, int t) {
    const double aa = WIN_A * WIN_A, bb = WIN_B * WIN_B;
    out[0] = f[n - 1];
    if (points == WIN_IN) out[(WIN_IN - 1) * t] = (T)(1 / (aa * bb)) * f[0];
    UNROLL
    for (int pair = 1; pair < WIN_IN / 2; pair++) {
        if (pair > points / 2) continue;
        const double p = pair == 1 ? WIN_A : WIN_B, qq = pair == 1 ? bb : aa;
        const double norm = 1 / (2 * p * p * (p * p - qq));
        vec even = (T)norm * f[0], odd = vset1(0);
        if (n > 1) odd = (T)(norm * p) * f[1];
        if (n > 2) even += (T)(norm * p * p) * f[2];
        if (n > 3) odd += (T)(norm * p * p * p) * f[3];
        out[(2 * pair - 1) * t] = even + odd;
        if (2 * pair < points) out[2 * pair * t] = even - odd;
    }
}

/* At: so many points to n values. */
INLINE void win_contract_axis(const int n, const int points, const vec *m, vec *out, int t) {
    vec sum = vset1(0); /* of all pairs, times the points' powers */
    UNROLL
    for (int i = 0; i < n; i++) {
        UNROLL
        for (int pair = 1; pair < WIN_IN / 2; pair++) {
            if (pair > points / 2) continue;
            T power = 1;
            UNROLL
            for (int k = 0; k < i; k++) power *= win_point(pair);
            const vec x = m[2 * pair - 1];
            const vec both = 2 * pair == points ? x : i % 2 ? x - m[2 * pair] : x + m[2 * pair];
            sum = pair == 1 ? power * both : sum + power * both;
        }
        out[i * t] = i == 0 && points == WIN_IN ? m[WIN_IN - 1] + sum : sum;
    }
    out[(n - 1) * t] += m[0];
}

/* The transform of one axis with r taps. */
INLINE void win_axis_transform(const int kind, const int r, const vec *in, vec *out, int t) {
    const int ni = win_ins(kind, r), no = win_outs(kind, r);
    if (kind == WIN_INPUT) win_data_axis(r, in, out, t);
    else if (kind == WIN_FILTER || kind == WIN_GRAD_OUTPUT) win_expand_axis(ni, no, in, out, t);
    else win_contract_axis(no, ni, in, out, t);
}

/* Where the elements (i, j) of a tile of the image lie: i*row + j*col, channels
 * side by side. Its products lie at[i * WIN_IN + j]. */
typedef struct {
    int64_t row, col;
} win_place;

/* Whether the products are what is read: then they lie `at`, and the image at
 * `place`. */
INLINE int win_from_points(const int kind) { return kind >= WIN_OUTPUT; }

/* What the next tile (of one axis: the one after it) reads first. */
INLINE void win_prefetch(const int r, const int s, const T *src, win_place place) {
    UNROLL
    for (int j = 0; j < WIN_OUT; j++) {
        const T *next = src + (j + win_ins(WIN_INPUT, s) + (r ? 0 : WIN_OUT)) * place.col;
        UNROLL
        for (int i = 0; i < WIN_IN; i++)
            if (r ? i >= r - 1 && i < win_ins(WIN_INPUT, r) : i == 0)
                __builtin_prefetch(next + i * place.row);
    }
}

/* Data of 3x3 taps: 6x6 to 6x6, two rows of the result at a time, which fit the
 * registers. */
INLINE void win_apply_data(int64_t cols, const T *src, T *dst, win_place place, const int64_t *at) {
    for (int64_t c = 0; c < cols; c += VL) {
        UNROLL
        for (int pair = 0; pair < WIN_IN / 2; pair++) {
            vec d[WIN_IN], t[2 * WIN_IN], o[WIN_IN];
            if (pair == 0) win_prefetch(3, 3, src + c, place);
            UNROLL
            for (int j = 0; j < WIN_IN; j++) {
                UNROLL
                for (int i = 0; i < WIN_IN; i++)
                    if (pair == 0 || (i > 0 && i < WIN_IN - 1))
                        d[i] = vload(src + j * place.col + c + i * place.row);
                win_data_pair(pair, d, t + j, WIN_IN);
            }
            UNROLL
            for (int i = 0; i < 2; i++) {
                win_data_axis(3, t + i * WIN_IN, o, 1);
                UNROLL
                for (int j = 0; j < WIN_IN; j++)
                    vstore(dst + at[(win_first(pair) + i * win_apart(pair)) * WIN_IN + j] + c,
                           o[j]);
            }
        }
    }
}

/* Column j of r taps to t[i * WIN_IN + j]; one value as it is where r is 0. */
INLINE void win_apply_column(const int kind, const int r, const int j, const T *src,
                             win_place place, const int64_t *at, vec *t) {
    const int count = r ? win_ins(kind, r) : 1;
    vec d[WIN_IN];
    UNROLL
    for (int i = 0; i < WIN_IN; i++)
        if (i < count)
            d[i] = vload(
                src + (win_from_points(kind) ? at[i * WIN_IN + j] : i * place.row + j * place.col));
    if (r) win_axis_transform(kind, r, d, t + j, WIN_IN);
    else t[j] = d[0];
}

/* Row i of s taps. */
INLINE void win_apply_row(const int kind, const int s, const int i, const vec *t, T *dst,
                          win_place place, const int64_t *at, const vec start, const int add,
                          vec *odd) {
    vec o[WIN_IN];
    win_axis_transform(kind, s, t + i * WIN_IN, o, 1);
    UNROLL
    for (int j = 0; j < win_outs(kind, s); j++) {
        T *p = dst + (win_from_points(kind) ? i * place.row + j * place.col : at[i * WIN_IN + j]);
        const vec v = add ? vload(p) + o[j] : o[j] + start;
        vstore(p, v);
        if (win_from_points(kind)) *odd += v * (T)0;
    }
}

/* A value that is not finite spreads over its tile, further than in a direct sum:
 * what is transformed back is multiplied by zero and added to odd[VL], which is 0
 * as long as all is finite. Then the call is made again without Winograd
 * (core/dispatch.c). */
INLINE void win_tell(const T *odd, int *spread) {
    int found = 0;
    for (int i = 0; i < VL; i++) found |= !(odd[i] == 0);
    if (found) __atomic_store_n(spread, 1, __ATOMIC_RELAXED);
}

/* A whole tile of r x s taps, or of s where r is 0. `add` adds to dst, bias (or
 * NULL) is added to every element. */
INLINE void win_apply(const int kind, const int r, const int s, int64_t cols, const T *src, T *dst,
                      win_place place, const int64_t *at, const T *bias, const int add, T *odd) {
    if (kind == WIN_INPUT && r == 3 && s == 3) {
        win_apply_data(cols, src, dst, place, at);
        return;
    }
    const int wide = win_ins(kind, s), high = r ? win_outs(kind, r) : 1;
    vec found = vset1(0);
    for (int64_t c = 0; c < cols; c += VL) {
        vec t[WIN_IN * WIN_IN];
        const vec start = bias ? vload(bias + c) : vset1(0);
        if (kind == WIN_INPUT) win_prefetch(r, s, src + c, place);
        UNROLL
        for (int j = 0; j < WIN_IN; j++)
            if (j < wide) win_apply_column(kind, r, j, src + c, place, at, t);
        UNROLL
        for (int i = 0; i < WIN_IN; i++)
            if (i < high) win_apply_row(kind, s, i, t, dst + c, place, at, start, add, &found);
    }
    if (win_from_points(kind)) vstore(odd, vload(odd) + found);
}

/* The same for numbers of taps that are not compiled in together. */
INLINE void win_apply_any(const int kind, const int r, const int s, int64_t cols, const T *src,
                          T *dst, win_place place, const int64_t *at, const T *bias, const int add,
                          T *odd) {
    const int wide = win_ins(kind, s), high = win_outs(kind, r);
    vec found = vset1(0);
    for (int64_t c = 0; c < cols; c += VL) {
        vec t[WIN_IN * WIN_IN];
        const vec start = bias ? vload(bias + c) : vset1(0);
#define COLUMNS(n) \
    for (int j = 0; j < wide; j++) win_apply_column(kind, n, j, src + c, place, at, t)
#define ROWS(n)                    \
    for (int i = 0; i < high; i++) \
    win_apply_row(kind, n, i, t, dst + c, place, at, start, add, &found)
        if (r == 3) COLUMNS(3);
        else if (r == 2) COLUMNS(2);
        else COLUMNS(1);
        if (s == 3) ROWS(3);
        else if (s == 2) ROWS(2);
        else ROWS(1);
#undef COLUMNS
#undef ROWS
    }
    if (win_from_points(kind)) vstore(odd, vload(odd) + found);
}

/* The transforms of a smaller tile as they are defined: matrices [out][in], by
 * rows. */
typedef struct {
    int out, in;
    T item[WIN_IN * WIN_IN];
} win_matrix;

/* m values of the image's side, and so many points; Bt of data has as many
 * points as values, and zeros for the others. */
static void win_matrix_make(win_matrix *x, int kind, int m, int points) {
    const double point[WIN_IN] = {0, WIN_A, -WIN_A, WIN_B, -WIN_B, 0};
    const int back = win_from_points(kind), data = kind == WIN_INPUT;
    memset(x, 0, sizeof *x);
    x->out = back ? m : points;
    x->in = back ? points : m;
    if (data) points = m;
    for (int p = 0; p < points; p++) {
        /* product of (x - q) over the finite points of the tile but p, and what
         * scales it */
        double poly[WIN_IN + 1] = {1}, scale = 1, norm = 1;
        int degree = 0;
        for (int q = 0; q < WIN_IN; q++) {
            if (q == p || q == 0) continue;
            norm *= point[p] - point[q];
            if (q >= points) {
                scale *= point[p] - point[q];
                continue;
            }
            for (int k = ++degree; k >= 0; k--)
                poly[k] = (k ? poly[k - 1] : 0) - point[q] * poly[k];
        }
        for (int k = 0; k < m; k++) {
            double power = 1, v;
            for (int e = 0; e < k; e++) power *= point[p];
            if (data) v = k <= degree ? (p == 0 ? 1 : scale) * poly[k] : 0;
            else if (p == 0) v = k == m - 1;
            else v = back ? power : power / norm;
            x->item[back ? k * points + p : p * m + k] = (T)v;
        }
    }
}

/* out[o] = sum over i < n of matrix[o][i] in[i], o < rows. */
INLINE void win_line(const int n, int rows, const T *matrix, const vec *in, int s, vec *out,
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

INLINE void win_any_line(const win_matrix *x, const vec *in, int s, vec *out, int t) {
    switch (x->in) {
        case 1:
            win_line(1, x->out, x->item, in, s, out, t);
            break;
        case 2:
            win_line(2, x->out, x->item, in, s, out, t);
            break;
        case 3:
            win_line(3, x->out, x->item, in, s, out, t);
            break;
        case 4:
            win_line(4, x->out, x->item, in, s, out, t);
            break;
        case 5:
            win_line(5, x->out, x->item, in, s, out, t);
            break;
        default:
            win_line(WIN_IN, x->out, x->item, in, s, out, t);
    }
}

/* A tile of any size: y = rows * x * colsT. from and to are offsets of [i *
 * WIN_IN + j]. odd: NULL where y are the products' operands. */
NOINLINE void win_any(const win_matrix *rows, const win_matrix *cols, int64_t channels,
                      const T *src, const int64_t *from, T *dst, const int64_t *to, const T *bias,
                      T *odd) {
    vec found = vset1(0);
    for (int64_t c = 0; c < channels; c += VL) {
        vec d[WIN_IN * WIN_IN], t[WIN_IN * WIN_IN];
        for (int i = 0; i < rows->in; i++)
            for (int j = 0; j < cols->in; j++)
                d[i * WIN_IN + j] = vload(src + from[i * WIN_IN + j] + c);
        for (int j = 0; j < cols->in; j++) win_any_line(rows, d + j, WIN_IN, t + j, WIN_IN);
        for (int i = 0; i < rows->out; i++)
            win_any_line(cols, t + i * WIN_IN, 1, d + i * WIN_IN, 1);
        const vec start = bias ? vload(bias + c) : vset1(0);
        for (int i = 0; i < rows->out; i++)
            for (int j = 0; j < cols->out; j++) {
                const vec v = d[i * WIN_IN + j] + start;
                vstore(dst + to[i * WIN_IN + j] + c, v);
                found += v * (T)0;
            }
    }
    if (odd) vstore(odd, vload(odd) + found);
}

/* The transforms of one kind: that of whole tiles, and by the values and points
 * of an axis, where [0][0] stands for an axis that is not transformed. */
typedef void (*win_fn)(int r, int s, int64_t cols, const T *src, T *dst, win_place place,
                       const int64_t *at, const T *bias, T *odd);
typedef struct {
    int kind;
    int high, wide; /* taps of the largest groups; 0 where there are no rows */
    win_fn whole;
    win_matrix axis[WIN_IN + 1][WIN_IN + 1];
} win_transform;

/* Values of the image's side for m outputs of r taps; of x, as many as points.
 */
INLINE int win_values(const int kind, int m, int r) { return kind == WIN_INPUT ? m + r - 1 : m; }

static void win_transform_make(win_transform *f, int kind, win_fn whole, const win_grid *g,
                               int tails) {
    f->kind = kind;
    f->whole = whole;
    f->high = g->two ? g->axis[g->row].most : 0;
    f->wide = g->axis[g->col].most;
    f->axis[0][0] = (win_matrix){1, 1, {1}};
    for (int i = 0; tails && i < 3; i++) {
        const win_axis *a = &g->axis[i];
        for (int64_t k = 0; a->transformed && k < a->groups; k++) {
            const int r = kind == WIN_INPUT ? (int)a->length[k] : a->most;
            if (k && a->length[k] == a->length[k - 1]) continue;
            for (int m = 1; m <= WIN_OUT; m++) {
                const int values = win_values(kind, m, r), points = m + a->most - 1;
                win_matrix_make(&f->axis[values][points], kind, values, points);
            }
        }
    }
}

/* A tile of m x n outputs (of n where m is 0) and r x s taps, `cols` channels:
 * the image's side at `place`, the products' at `at`. */
INLINE void win_transform_tile(const win_transform *f, int m, int n, int r, int s, int64_t cols,
                               const T *src, T *dst, win_place place, const int64_t *at,
                               const T *bias, T *odd) {
    if (m % WIN_OUT == 0 && n == WIN_OUT) {
        f->whole(r, s, cols, src, dst, place, at, bias, odd);
        return;
    }
    int64_t image[WIN_IN * WIN_IN];
    for (int i = 0; i < WIN_IN; i++)
        for (int j = 0; j < WIN_IN; j++) image[i * WIN_IN + j] = i * place.row + j * place.col;
    const win_matrix *rows =
        m ? &f->axis[win_values(f->kind, m, r)][m + f->high - 1] : &f->axis[0][0];
    const win_matrix *columns = &f->axis[win_values(f->kind, n, s)][n + f->wide - 1];
    const int back = win_from_points(f->kind);
    win_any(rows, columns, cols, src, back ? at : image, dst, back ? image : at, bias, odd);
}

#define WIN_WHOLE(kind, r, s, add) win_apply(kind, r, s, cols, src, dst, place, at, bias, add, odd)
#define WIN_DEFINE(name, kind, add)                                                       \
    NOINLINE void name(int r, int s, int64_t cols, const T *src, T *dst, win_place place, \
                       const int64_t *at, const T *bias, T *odd) {                        \
        if (r == 3 && s == 3) WIN_WHOLE(kind, 3, 3, add);                                 \
        else if (r == 0 && s == 3) WIN_WHOLE(kind, 0, 3, add);                            \
        else if (r == 2 && s == 2) WIN_WHOLE(kind, 2, 2, add);                            \
        else if (r == 0 && s == 2) WIN_WHOLE(kind, 0, 2, add);                            \
        else if (r == 0) WIN_WHOLE(kind, 0, 1, add);                                      \
        else win_apply_any(kind, r, s, cols, src, dst, place, at, bias, add, odd);        \
    }
/* Forward and backward input: tiles of x, taps of w, tiles of y. */
WIN_DEFINE(win_input, WIN_INPUT, 0)
WIN_DEFINE(win_filter, WIN_FILTER, 0)
WIN_DEFINE(win_output, WIN_OUTPUT, 0)
/* Backward weight, beside win_input: tiles of dy as taps, taps of dw. */
WIN_DEFINE(win_grad_output, WIN_GRAD_OUTPUT, 0)
WIN_DEFINE(win_grad_filter, WIN_GRAD_FILTER, 0)
WIN_DEFINE(win_grad_filter_add, WIN_GRAD_FILTER, 1)

/* Those of tiles of x and y for groups of three taps along both axes. */
static void win_transforms_of_3(win_transform *input, win_transform *output, int tails) {
    input->kind = WIN_INPUT, input->whole = win_input;
    output->kind = WIN_OUTPUT, output->whole = win_output;
    input->high = input->wide = output->high = output->wide = 3;
    for (int m = 1; tails && m <= WIN_OUT; m++) {
        win_matrix_make(&input->axis[m + 2][m + 2], WIN_INPUT, m + 2, m + 2);
        win_matrix_make(&output->axis[m][m + 2], WIN_OUTPUT, m, m + 2);
    }
}

/* A pixel's channels, whole vectors or not. */
INLINE void win_copy(T *to, const T *from, int64_t n) {
    int64_t c = 0;
    for (; c + VL <= n; c += VL) vstore(to + c, vload(from + c));
    for (; c < n; c++) to[c] = from[c];
}
