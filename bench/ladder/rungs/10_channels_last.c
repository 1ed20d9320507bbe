/* Rung 10: channels side by side in memory. A tile is MR outputs x NR channels: it broadcasts x as
 * it lies, where a row of taps of an output is one run of 3C numbers; only w is packed. */
#include "tile.h"

/* [page */
/* Panels of NR output channels, (3, 3C) x NR: element (r, sc, n) is w(k + n, c, r, s). */
static void pack_w(int64_t C, int64_t K, const float *w, float *to) {
    for (int64_t k = 0; k < K; k += NR) {
        const int64_t pitch = ceil_div(min(NR, K - k), VL) * VL;
        for (int64_t c0 = 0; c0 < C; c0 += 16)
            for (int64_t n = 0; n < pitch; n++)
                for (int64_t c = c0; c < min(c0 + 16, C); c++)
                    for (int64_t t = 0; t < 9; t++)
                        to[(t * C + c) * pitch + n] = k + n < K ? w[((k + n) * C + c) * 9 + t] : 0;
        to += 9 * C * pitch;
    }
}

void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *x, const float *w, float *y,
          int threads) {
    (void)threads;
    float *b = scratch(9 * C * ceil_div(K, VL) * VL);
    pack_w(C, K, w, b);
    for (int64_t k = 0; k < K; k += NR)
        for (int64_t r = 0; r < 3; r++)
            for (int64_t p = 0; p < H * W; p += MR) {
                const int64_t rows = min(MR, H * W - p), width = min(NR, K - k);
                tile_rows at;
                for (int64_t m = 0; m < rows; m++) {
                    const int64_t i = (p + m) / W, j = (p + m) % W;
                    at.a[m] = x + ((i + r) * (W + 2) + j) * C;
                    at.c[m] = y + (p + m) * K + k;
                }
                const int64_t pitch = ceil_div(width, VL) * VL;
                tile(3 * C, &at, b + 9 * C * k + r * 3 * C * pitch, rows, width, r > 0);
            }
    free(b);
}
/* page] */
