/* Rung 12: Winograd's algorithm, one step after the other over the whole layer: transform the
 * weights and the input, 36 products of matrices (tiles x C) (C x K), transform the sums back. */
#include "tile.h"
#include "winograd.h"

/* [page */
void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *x, const float *w, float *y,
          int threads) {
    const int64_t down = ceil_div(H, 4), across = ceil_div(W, 4), tiles = down * across;
    const int64_t cp = ceil_div(C, VL) * VL, kp = ceil_div(K, VL) * VL;
    float *u = scratch(36 * C * kp), *v = scratch(36 * tiles * cp), *m = scratch(36 * tiles * kp);
    float *zeros = scratch(cp);
    memset(zeros, 0, (size_t)cp * sizeof(float));
    transform_w(C, K, w, u, threads);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t t = 0; t < tiles; t++)
        transform_x(C, H, W, t / across, t % across, x, zeros, v + t * cp, tiles * cp);

#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t e = 0; e < 36; e++)
        for (int64_t k = 0; k < K; k += NR)
            for (int64_t t = 0; t < tiles; t += MR) {
                const int64_t pitch = min(NR, kp - k);
                tile_rows at;
                for (int64_t i = 0; i < min(MR, tiles - t); i++) {
                    at.a[i] = v + (e * tiles + t + i) * cp;
                    at.c[i] = m + (e * tiles + t + i) * kp + k;
                }
                tile(C, &at, u + 36 * C * k + e * C * pitch, min(MR, tiles - t), pitch, 0);
            }

#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t t = 0; t < tiles; t++)
        transform_y(K, H, W, t / across, t % across, m + t * kp, tiles * kp, K, y);
    free(u);
    free(v);
    free(m);
    free(zeros);
}
/* page] */
