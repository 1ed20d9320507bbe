/* The transforms of Winograd's algorithm, over vectors of channels (Lavin and Gray 2016; the
 * Toom-Cook construction at the points 0, +-a, +-b, inf).
 *
 *   F(4, 3): y = At [ (G f) . (Bt d) ]    six products for four outputs of three taps
 *
 *   Bt d: the coefficients of prod over q != p of (x - q), for each point p; M(x) for inf
 *   G f:  f(p) / prod over q != p of (p - q), f a polynomial of 3 (or, backward weight, 4) taps
 *   At m: sum over p of m_p p^i, i < 4 (or 3), and m_inf added to the last
 *
 * Forward uses a = 5/8, b = 5/4: half the rounding error of 1 and 2. Backward weight is F(3, 4),
 * the gradient's four values as taps, with a = 2/3, b = 3/2. Rows and columns are transformed
 * alike. */
#include "winograd_grid.h"

#ifndef WINOGRAD_TILE
#define WINOGRAD_TILE
#define WIN_A 0.625
#define WIN_B 1.25
#define WIN_GRAD_A (2.0 / 3.0)
#define WIN_GRAD_B 1.5
enum { WIN_DATA, WIN_EXPAND, WIN_CONTRACT }; /* Bt, G, At */
#endif

/* Bt: 6 values s apart to 6. With e, o the even and odd parts, rows +-a are e + a o and e - a o. */
INLINE void FN(win_data_axis)(const T a, const T b, const vec *d, int s, vec *out, int t) {
    const T aa = a * a, bb = b * b;
    const vec d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s], d4 = d[4 * s], d5 = d[5 * s];
    const vec ea = d4 - bb * d2, oa = a * (d3 - bb * d1);
    const vec eb = d4 - aa * d2, ob = b * (d3 - aa * d1);
    out[0] = d4 + aa * bb * d0 - (aa + bb) * d2;
    out[t] = ea + oa;
    out[2 * t] = ea - oa;
    out[3 * t] = eb + ob;
    out[4 * t] = eb - ob;
    out[5 * t] = d5 + aa * bb * d1 - (aa + bb) * d3;
}

/* G: n = 3 or 4 values to 6. */
INLINE void FN(win_expand_axis)(const T a, const T b, const int n, const vec *f, int s, vec *out,
                                int t) {
    const T aa = a * a, bb = b * b;
    const T na = 1 / (2 * aa * (aa - bb)), nb = 1 / (2 * bb * (bb - aa));
    vec oa = na * a * f[s], ob = nb * b * f[s];
    if (n == 4) oa += na * a * aa * f[3 * s], ob += nb * b * bb * f[3 * s];
    const vec ea = na * f[0] + na * aa * f[2 * s], eb = nb * f[0] + nb * bb * f[2 * s];
    out[0] = f[0] * (1 / (aa * bb));
    out[t] = ea + oa;
    out[2 * t] = ea - oa;
    out[3 * t] = eb + ob;
    out[4 * t] = eb - ob;
    out[5 * t] = f[(n - 1) * s];
}

/* At: 6 values to n = 4 or 3. */
INLINE void FN(win_contract_axis)(const T a, const T b, const int n, const vec *m, int s, vec *out,
                                  int t) {
    const T aa = a * a, bb = b * b;
    const vec s1 = m[s] + m[2 * s], d1 = m[s] - m[2 * s];
    const vec s2 = m[3 * s] + m[4 * s], d2 = m[3 * s] - m[4 * s];
    out[0] = m[0] + s1 + s2;
    out[t] = a * d1 + b * d2;
    out[2 * t] = aa * s1 + bb * s2;
    if (n == 4) out[3 * t] = a * aa * d1 + b * bb * d2;
    out[(n - 1) * t] += m[5 * s];
}

/* Where the elements (i, j) of one tile lie: at p + i*row + j*col, channels side by side. */
typedef struct {
    int64_t row, col;
} FN(win_place);

/* One tile, `cols` channels (whole vectors): from ni x ni to no x no, or 1 x ni to 1 x no where
 * only one axis is transformed. `add` adds to dst, bias (or NULL) is added to every element. */
INLINE void FN(win_apply)(const int kind, const T a, const T b, const int ni, const int no,
                          const int two, int64_t cols, const T *src, FN(win_place) from, T *dst,
                          FN(win_place) to, const T *bias, const int add) {
    for (int64_t c = 0; c < cols; c += VL) {
        vec d[WIN_IN], t[WIN_IN * WIN_IN], o[WIN_IN];
        const vec start = bias ? vload(bias + c) : vset1(0);
        UNROLL
        for (int j = 0; j < ni; j++) { /* columns: t[i][j] */
            if (two) {
                UNROLL
                for (int i = 0; i < ni; i++) d[i] = vload(src + i * from.row + j * from.col + c);
                if (kind == WIN_DATA) FN(win_data_axis)(a, b, d, 1, t + j, WIN_IN);
                if (kind == WIN_EXPAND) FN(win_expand_axis)(a, b, ni, d, 1, t + j, WIN_IN);
                if (kind == WIN_CONTRACT) FN(win_contract_axis)(a, b, no, d, 1, t + j, WIN_IN);
            } else {
                t[j] = vload(src + j * from.col + c);
            }
        }
        UNROLL
        for (int i = 0; i < no; i++) {
            if (!two && i) continue;
            const vec *r = t + i * WIN_IN;
            if (kind == WIN_DATA) FN(win_data_axis)(a, b, r, 1, o, 1);
            if (kind == WIN_EXPAND) FN(win_expand_axis)(a, b, ni, r, 1, o, 1);
            if (kind == WIN_CONTRACT) FN(win_contract_axis)(a, b, no, r, 1, o, 1);
            UNROLL
            for (int j = 0; j < no; j++) {
                T *p = dst + i * to.row + j * to.col + c;
                vstore(p, add ? vload(p) + o[j] : o[j] + start);
            }
        }
    }
}

typedef void (*FN(win_fn))(int two, int64_t cols, const T *src, FN(win_place) from, T *dst,
                           FN(win_place) to, const T *bias);

#define WIN_DEFINE(name, kind, a, b, ni, no, add)                                                \
    NOINLINE void FN(name)(int two, int64_t cols, const T *src, FN(win_place) from, T *dst,      \
                           FN(win_place) to, const T *bias) {                                    \
        if (two) {                                                                               \
            FN(win_apply)(kind, (T)(a), (T)(b), ni, no, 1, cols, src, from, dst, to, bias, add); \
        } else {                                                                                 \
            FN(win_apply)(kind, (T)(a), (T)(b), ni, no, 0, cols, src, from, dst, to, bias, add); \
        }                                                                                        \
    }
/* Forward and backward input: tiles of x, taps of w, tiles of y. */
WIN_DEFINE(win_input, WIN_DATA, WIN_A, WIN_B, WIN_IN, WIN_IN, 0)
WIN_DEFINE(win_filter, WIN_EXPAND, WIN_A, WIN_B, WIN_TAPS, WIN_IN, 0)
WIN_DEFINE(win_output, WIN_CONTRACT, WIN_A, WIN_B, WIN_IN, WIN_OUT, 0)
/* Backward weight: tiles of x, tiles of dy as taps, taps of dw. */
WIN_DEFINE(win_grad_input, WIN_DATA, WIN_GRAD_A, WIN_GRAD_B, WIN_IN, WIN_IN, 0)
WIN_DEFINE(win_grad_output, WIN_EXPAND, WIN_GRAD_A, WIN_GRAD_B, WIN_OUT, WIN_IN, 0)
WIN_DEFINE(win_grad_filter, WIN_CONTRACT, WIN_GRAD_A, WIN_GRAD_B, WIN_IN, WIN_TAPS, 1)
