/* F(4x4, 3x3) for rungs 12 and 13: a tile of 4 x 4 outputs reads 6 x 6 inputs. Along one axis, with
 * the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2016):
 *
 *   y = At [ (G f) . (Bt d) ]    six products for four outputs of three taps instead of twelve
 *
 * and along two axes 36 products instead of 144. Vectors run along channels. */
#include "ladder.h"

/* [page */
/* Bt d: six inputs s apart to six values t apart. */
INLINE void bt_d(const vec *d, int s, vec *o, int t) {
    const vec e1 = d[4 * s] - 4 * d[2 * s], o1 = d[3 * s] - 4 * d[s];
    const vec e2 = d[4 * s] - d[2 * s], o2 = 2 * (d[3 * s] - d[s]);
    o[0] = 4 * d[0] - 5 * d[2 * s] + d[4 * s];
    o[t] = e1 + o1;
    o[2 * t] = e1 - o1;
    o[3 * t] = e2 + o2;
    o[4 * t] = e2 - o2;
    o[5 * t] = 4 * d[s] - 5 * d[3 * s] + d[5 * s];
}

/* G f: three taps to six values. */
INLINE void g_f(const vec *f, int s, vec *o, int t) {
    const vec e1 = (f[0] + f[2 * s]) * (-1.f / 6), o1 = f[s] * (-1.f / 6);
    const vec e2 = f[0] * (1.f / 24) + f[2 * s] * (1.f / 6), o2 = f[s] * (1.f / 12);
    o[0] = f[0] * (1.f / 4);
    o[t] = e1 + o1;
    o[2 * t] = e1 - o1;
    o[3 * t] = e2 + o2;
    o[4 * t] = e2 - o2;
    o[5 * t] = f[2 * s];
}

/* At m: six products to four outputs. */
INLINE void at_m(const vec *m, int s, vec *o, int t) {
    const vec s1 = m[s] + m[2 * s], d1 = m[s] - m[2 * s];
    const vec s2 = m[3 * s] + m[4 * s], d2 = m[3 * s] - m[4 * s];
    o[0] = m[0] + s1 + s2;
    o[t] = d1 + 2 * d2;
    o[2 * t] = s1 + 4 * s2;
    o[3 * t] = d1 + 8 * d2 + m[5 * s];
}
/* page] */

/* Tile (ti, tj) of x, (H+2, W+2, C), to 36 rows of channels `plane` apart. */
static inline void transform_x(int64_t C, int64_t H, int64_t W, int64_t ti, int64_t tj,
                               const float *x, const float *zeros, float *v, int64_t plane) {
    const float *from[36]; /* outside of x a row of zeros */
    for (int64_t e = 0; e < 36; e++) {
        const int64_t i = 4 * ti + e / 6, j = 4 * tj + e % 6;
        from[e] = i < H + 2 && j < W + 2 ? x + (i * (W + 2) + j) * C : zeros;
    }
    for (int64_t c = 0; c < C; c += VL) {
        vec d[36], m[36];
        UNROLL
        for (int j = 0; j < 6; j++) {
            UNROLL
            for (int i = 0; i < 6; i++) d[i * 6 + j] = load(from[i * 6 + j] + c);
            bt_d(d + j, 6, m + j, 6);
        }
        UNROLL
        for (int i = 0; i < 6; i++) {
            bt_d(m + i * 6, 1, d + i * 6, 1);
            UNROLL
            for (int j = 0; j < 6; j++) store(v + (i * 6 + j) * plane + c, d[i * 6 + j]);
        }
    }
}

/* 36 rows of `width` sums, `plane` apart, to tile (ti, tj) of y, (H, W, K), from channel k on. */
static inline void transform_y(int64_t K, int64_t H, int64_t W, int64_t ti, int64_t tj,
                               const float *m, int64_t plane, int64_t width, float *y) {
    const int64_t rows = min(4, H - 4 * ti), cols = min(4, W - 4 * tj);
    for (int64_t n = 0; n < width; n += VL) {
        vec d[36], t[24], o[16];
        UNROLL
        for (int e = 0; e < 36; e++) d[e] = load(m + e * plane + n);
        UNROLL
        for (int j = 0; j < 6; j++) at_m(d + j, 6, t + j, 6);
        UNROLL
        for (int i = 0; i < 4; i++) at_m(t + i * 6, 1, o + i * 4, 1);
        for (int64_t e = 0; e < 16; e++) {
            float *to = y + ((4 * ti + e / 4) * W + 4 * tj + e % 4) * K + n;
            if (e / 4 >= rows || e % 4 >= cols) continue;
            if (n + VL <= width) store(to, o[e]);
            else memcpy(to, o + e, (size_t)(width - n) * sizeof(float));
        }
    }
}

/* Panels of NR output channels, each 36 x C x NR: what tile.h calls b, for every product. */
static inline void transform_w(int64_t C, int64_t K, const float *w, float *u, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t c = 0; c < C; c++)
        for (int64_t k = 0; k < K; k += VL) {
            const int64_t panel = k / NR * NR, pitch = ceil_div(min(NR, K - panel), VL) * VL;
            vec f[9] = {0}, t[18], o[36];
            float lanes[9][VL] = {0};
            for (int64_t n = 0; n < min(VL, K - k); n++)
                for (int64_t e = 0; e < 9; e++) lanes[e][n] = w[((k + n) * C + c) * 9 + e];
            UNROLL
            for (int e = 0; e < 9; e++) f[e] = load(lanes[e]);
            UNROLL
            for (int j = 0; j < 3; j++) g_f(f + j, 3, t + j, 3);
            UNROLL
            for (int i = 0; i < 6; i++) g_f(t + i * 3, 1, o + i * 6, 1);
            for (int64_t e = 0; e < 36; e++)
                store(u + 36 * C * panel + (e * C + c) * pitch + k - panel, o[e]);
        }
}
