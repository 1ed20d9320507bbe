/* Backward weight by Winograd: the gradient's tile of 4 x 4 acts as the taps of a convolution over
 * the 6 x 6 tile of x that it came from, with 3 x 3 results: F(3x3, 4x4), 36 products again. */
#include "columns.h"
#include "winograd.h"

/* [page */
/* G for four taps: their polynomial at 0, 1, -1, 2, -2 and infinity, over the same divisors. */
INLINE void g_f4(const vec *f, int s, vec *o, int t) {
    const vec e1 = (f[0] + f[2 * s]) * (-1.f / 6), o1 = (f[s] + f[3 * s]) * (-1.f / 6);
    const vec e2 = (f[0] + 4 * f[2 * s]) * (1.f / 24), o2 = (f[s] + 4 * f[3 * s]) * (1.f / 12);
    o[0] = f[0] * (1.f / 4);
    o[t] = e1 + o1;
    o[2 * t] = e1 - o1;
    o[3 * t] = e2 + o2;
    o[4 * t] = e2 - o2;
    o[5 * t] = f[3 * s];
}

/* At for three results instead of four. */
INLINE void at_m3(const vec *m, int s, vec *o, int t) {
    const vec s1 = m[s] + m[2 * s], s2 = m[3 * s] + m[4 * s];
    o[0] = m[0] + s1 + s2;
    o[t] = m[s] - m[2 * s] + 2 * (m[3 * s] - m[4 * s]);
    o[2 * t] = s1 + 4 * s2 + m[5 * s];
}
/* page] */

/* Tile (ti, tj) of g, (H, W, K), to 36 rows of channels; outside of g there are zeros. */
static void transform_g(int64_t K, int64_t H, int64_t W, int64_t ti, int64_t tj, const float *g,
                        const float *zeros, float *q, int64_t plane) {
    for (int64_t k = 0; k < K; k += VL) {
        vec d[16], t[24], o[36];
        for (int64_t e = 0; e < 16; e++) {
            const int64_t i = 4 * ti + e / 4, j = 4 * tj + e % 4;
            d[e] = load(i < H && j < W ? g + (i * W + j) * K + k : zeros);
        }
        UNROLL
        for (int j = 0; j < 4; j++) g_f4(d + j, 4, t + j, 4);
        UNROLL
        for (int i = 0; i < 6; i++) g_f4(t + i * 4, 1, o + i * 6, 1);
        for (int64_t e = 0; e < 36; e++) store(q + e * plane + k, o[e]);
    }
}

void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *g, const float *x, float *dw,
          int threads) {
    const int64_t across = ceil_div(W, 4), tiles = ceil_div(H, 4) * across;
    const int64_t cp = ceil_div(C, VL) * VL, kp = ceil_div(K, VL) * VL;
    float *v = scratch(36 * tiles * cp), *q = scratch(36 * tiles * kp), *u = scratch(36 * K * cp);
    float *zeros = scratch(cp);
    memset(zeros, 0, (size_t)cp * sizeof(float));
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int64_t t = 0; t < tiles; t++) {
            transform_x(C, H, W, t / across, t % across, x, zeros, v + t * cp, tiles * cp);
            transform_g(K, H, W, t / across, t % across, g, zeros, q + t * kp, tiles * kp);
        }
#pragma omp for schedule(static)
        for (int64_t e = 0; e < 36; e++) {
            float *sum = u + e * K * cp;
            memset(sum, 0, (size_t)(K * cp) * sizeof(float));
            for (int64_t k = 0; k < K; k += MR)
                for (int64_t c = 0; c < C; c += NR)
                    tile_columns(tiles, q + e * tiles * kp + k, kp, v + e * tiles * cp + c, cp,
                                 sum + k * cp + c, cp, min(MR, K - k), min(NR, C - c));
        }
#pragma omp for schedule(static)
        for (int64_t k = 0; k < K; k++)
            for (int64_t c = 0; c < C; c += VL) {
                vec d[36], t[18], o[9];
                for (int64_t e = 0; e < 36; e++) d[e] = load(u + (e * K + k) * cp + c);
                UNROLL
                for (int j = 0; j < 6; j++) at_m3(d + j, 6, t + j, 6);
                UNROLL
                for (int i = 0; i < 3; i++) at_m3(t + i * 6, 1, o + i * 3, 1);
                for (int64_t n = 0; n < min(VL, C - c); n++)
                    for (int64_t e = 0; e < 9; e++) dw[(k * C + c + n) * 9 + e] = o[e][n];
            }
    }
    free(v);
    free(q);
    free(u);
    free(zeros);
}
