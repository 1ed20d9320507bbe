/* Rung 13: the three steps run on a block of tiles at a time, small enough to stay in the L2 cache
 * from its first transform to its last. */
#include "tile.h"
#include "winograd.h"

/* [page */
enum { BLOCK = 12 }; /* tiles: 36 * BLOCK rows of C transformed inputs and of NR sums */

static void block(int64_t C, int64_t K, int64_t H, int64_t W, int64_t first, const float *x,
                  const float *u, const float *zeros, float *v, float *m, float *y) {
    const int64_t across = ceil_div(W, 4), tiles = min(BLOCK, ceil_div(H, 4) * across - first);
    const int64_t cp = ceil_div(C, VL) * VL;
    for (int64_t t = 0; t < tiles; t++)
        transform_x(C, H, W, (first + t) / across, (first + t) % across, x, zeros, v + t * cp,
                    BLOCK * cp);
    for (int64_t k = 0; k < K; k += NR) {
        const int64_t pitch = ceil_div(min(NR, K - k), VL) * VL;
        for (int64_t e = 0; e < 36; e++)
            for (int64_t t = 0; t < tiles; t += MR) {
                tile_rows at;
                for (int64_t i = 0; i < min(MR, tiles - t); i++) {
                    at.a[i] = v + (e * BLOCK + t + i) * cp;
                    at.c[i] = m + (e * BLOCK + t + i) * NR;
                }
                tile(C, &at, u + 36 * C * k + e * C * pitch, min(MR, tiles - t), pitch, 0);
            }
        for (int64_t t = 0; t < tiles; t++)
            transform_y(K, H, W, (first + t) / across, (first + t) % across, m + t * NR, BLOCK * NR,
                        min(NR, K - k), y + k);
    }
}
/* page] */

void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *x, const float *w, float *y,
          int threads) {
    const int64_t tiles = ceil_div(H, 4) * ceil_div(W, 4), cp = ceil_div(C, VL) * VL;
    float *u = scratch(36 * C * ceil_div(K, VL) * VL), *zeros = scratch(cp);
    memset(zeros, 0, (size_t)cp * sizeof(float));
    transform_w(C, K, w, u, threads);
#pragma omp parallel num_threads(threads)
    {
        float *v = scratch(36 * BLOCK * cp), *m = scratch(36 * BLOCK * NR);
#pragma omp for schedule(dynamic)
        for (int64_t t = 0; t < tiles; t += BLOCK) block(C, K, H, W, t, x, u, zeros, v, m, y);
        free(v);
        free(m);
    }
    free(u);
    free(zeros);
}
