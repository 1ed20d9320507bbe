/* Rung 5: the six loops in C. */
#include "ladder.h"

/* [page */
void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *x, const float *w, float *y,
          int threads) {
    (void)threads;
    for (int64_t k = 0; k < K; k++)
        for (int64_t i = 0; i < H; i++)
            for (int64_t j = 0; j < W; j++) {
                float sum = 0;
                for (int64_t c = 0; c < C; c++)
                    for (int64_t r = 0; r < 3; r++)
                        for (int64_t s = 0; s < 3; s++)
                            sum += w[((k * C + c) * 3 + r) * 3 + s] *
                                   x[(c * (H + 2) + i + r) * (W + 2) + j + s];
                y[(k * H + i) * W + j] = sum;
            }
}
/* page] */
