/* Rung 6: the loop over neighbouring outputs goes innermost, and the compiler makes vectors of it.
 */
#include "ladder.h"

/* [page */
/* One tap for a row of outputs: out[j] += tap * in[j]. */
static void add_row(int64_t n, float tap, const float *restrict in, float *restrict out) {
    for (int64_t j = 0; j < n; j++) out[j] += tap * in[j];
}

void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *x, const float *w, float *y,
          int threads) {
    (void)threads;
    memset(y, 0, (size_t)(K * H * W) * sizeof(float));
    for (int64_t k = 0; k < K; k++)
        for (int64_t c = 0; c < C; c++)
            for (int64_t t = 0; t < 9; t++)
                for (int64_t i = 0; i < H; i++)
                    add_row(W, w[(k * C + c) * 9 + t],
                            x + (c * (H + 2) + i + t / 3) * (W + 2) + t % 3, y + (k * H + i) * W);
}
/* page] */
