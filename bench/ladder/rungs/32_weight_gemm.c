/* Backward weight as nine products of matrices over the pixels, both read as they lie. */
#include "columns.h"

/* [page */
enum { ROWS = 2 }; /* rows of outputs at a time: they and their part of x stay in the L2 cache */

/* conv(C, K, H, W, g, x, dw): g is (H, W, K), x (H+2, W+2, C), dw (K, C, 3, 3). */
void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *g, const float *x, float *dw,
          int threads) {
    const int64_t pitch = ceil_div(C, VL) * VL, blocks = ceil_div(K, MR);
    float *sums = scratch(blocks * 9 * MR * pitch);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t block = 0; block < blocks; block++) { /* MR rows of dw */
        const int64_t k = block * MR, rows = min(MR, K - k);
        float *sum = sums + block * 9 * MR * pitch;
        memset(sum, 0, (size_t)(9 * MR * pitch) * sizeof(float));
        for (int64_t top = 0; top < H; top += ROWS)
            for (int64_t t = 0; t < 9; t++)
                for (int64_t c = 0; c < C; c += NR)
                    for (int64_t i = top; i < min(top + ROWS, H); i++)
                        tile_columns(W, g + i * W * K + k, K,
                                     x + ((i + t / 3) * (W + 2) + t % 3) * C + c, C,
                                     sum + t * MR * pitch + c, pitch, rows, min(NR, C - c));
        for (int64_t m = 0; m < rows; m++)
            for (int64_t c = 0; c < C; c++)
                for (int64_t t = 0; t < 9; t++)
                    dw[((k + m) * C + c) * 9 + t] = sum[(t * MR + m) * pitch + c];
    }
    free(sums);
}
/* page] */
