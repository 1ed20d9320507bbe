/* Rung 7: a tile of MR output channels x up to NV vectors of outputs stays in registers for the
 * whole sum; each vector of x serves MR products, each weight NV. */
#include "ladder.h"

/* [page */
/* Outputs (k .. k+rows, i, j .. j+width): x points at (0, i, j), w at (k, 0, 0, 0). */
INLINE void tile(const int nv, int64_t C, int64_t H, int64_t W, const float *x, const float *w,
                 float *y, int64_t rows, int64_t width) {
    vec acc[MR][NV] = {0};
    const float *row[MR]; /* rows that are not there are the last one again, and not stored */
    UNROLL
    for (int m = 0; m < MR; m++) row[m] = w + min(m, rows - 1) * C * 9;
    for (int64_t c = 0; c < C; c++) {
        UNROLL
        for (int t = 0; t < 9; t++) {
            const float *in = x + (c * (H + 2) + t / 3) * (W + 2) + t % 3;
            vec xv[NV];
            UNROLL
            for (int n = 0; n < nv; n++) xv[n] = load(in + n * VL);
            UNROLL
            for (int m = 0; m < MR; m++) {
                UNROLL
                for (int n = 0; n < nv; n++) acc[m][n] += row[m][c * 9 + t] * xv[n];
            }
        }
    }
    for (int64_t m = 0; m < rows; m++)
        for (int64_t j = 0; j < width; j++) y[m * H * W + j] = acc[m][j / VL][j % VL];
}
/* page] */

void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *x, const float *w, float *y,
          int threads) {
    (void)threads;
    for (int64_t i = 0; i < H; i++)
        for (int64_t k = 0; k < K; k += MR)
            for (int64_t j = 0; j < W; j += NR) {
                const int64_t rows = min(MR, K - k), width = min(NR, W - j);
                const int64_t nv = ceil_div(width, VL);
                const float *in = x + i * (W + 2) + j, *taps = w + k * C * 9;
                float *out = y + (k * H + i) * W + j;
                if (nv == 1) tile(1, C, H, W, in, taps, out, rows, width);
                else if (nv == 2) tile(2, C, H, W, in, taps, out, rows, width);
                else if (nv == 3) tile(NV - 1, C, H, W, in, taps, out, rows, width);
                else tile(NV, C, H, W, in, taps, out, rows, width);
            }
}
