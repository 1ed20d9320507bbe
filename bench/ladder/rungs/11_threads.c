/* Rung 11: the loop over rows of outputs is divided among threads. Every output belongs to one of
 * them, so the result is the same for any number. */
#include "tile.h"

static void pack_w(int64_t C, int64_t K, const float *w, float *to, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t c0 = 0; c0 < C; c0 += 16)
        for (int64_t k = 0; k < K; k += NR) {
            const int64_t pitch = ceil_div(min(NR, K - k), VL) * VL;
            for (int64_t n = 0; n < pitch; n++)
                for (int64_t c = c0; c < min(c0 + 16, C); c++)
                    for (int64_t t = 0; t < 9; t++)
                        to[9 * C * k + (t * C + c) * pitch + n] =
                            k + n < K ? w[((k + n) * C + c) * 9 + t] : 0;
        }
}

/* [page */
void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *x, const float *w, float *y,
          int threads) {
    float *b = scratch(9 * C * ceil_div(K, VL) * VL);
    pack_w(C, K, w, b, threads);
    /* A task: a panel of channels for a part of the outputs, about four parts for each thread. */
    const int64_t P = H * W, part = ceil_div(ceil_div(P, 4 * threads), MR) * MR;
    const int64_t parts = ceil_div(P, part), panels = ceil_div(K, NR);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t task = 0; task < panels * parts; task++) {
        const int64_t k = task / parts * NR, first = task % parts * part;
        const int64_t width = min(NR, K - k), pitch = ceil_div(width, VL) * VL;
        for (int64_t r = 0; r < 3; r++)
            for (int64_t p = first; p < min(first + part, P); p += MR) {
                const int64_t rows = min(MR, P - p);
                tile_rows at;
                for (int64_t m = 0; m < rows; m++) {
                    const int64_t i = (p + m) / W, j = (p + m) % W;
                    at.a[m] = x + ((i + r) * (W + 2) + j) * C;
                    at.c[m] = y + (p + m) * K + k;
                }
                tile(3 * C, &at, b + 9 * C * k + r * 3 * C * pitch, rows, width, r > 0);
            }
    }
    free(b);
}
/* page] */
