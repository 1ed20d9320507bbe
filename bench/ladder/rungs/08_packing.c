/* Rung 8: both operands are copied into the order in which the tile reads them. The copy of x is
 * the im2col matrix, in panels of NR outputs: a tile no longer knows rows or borders. */
#include "ladder.h"

/* [page */
/* Depth x MR: element (d, m) is w(k + m, d); channels that are not there are zeros. */
static void pack_w(int64_t K, int64_t depth, const float *w, float *to) {
    for (int64_t k = 0; k < K; k += MR)
        for (int64_t d = 0; d < depth; d++)
            for (int64_t m = 0; m < MR; m++) *to++ = k + m < K ? w[(k + m) * depth + d] : 0;
}

/* Depth x NR: element (d, n) is what tap d of output p + n reads. Each row of outputs is copied
 * with NR elements, of which the next copy overwrites those that are not its own. */
static void pack_x(int64_t C, int64_t H, int64_t W, int64_t p, const float *x, float *to) {
    for (int64_t c = 0; c < C; c++)
        for (int64_t t = 0; t < 9; t++, to += NR) {
            const float *in = x + (c * (H + 2) + p / W + t / 3) * (W + 2) + p % W + t % 3;
            int64_t run = W - p % W; /* outputs of one row */
            for (int64_t n = 0; n < min(NR, H * W - p); n += run, run = W) {
                UNROLL
                for (int v = 0; v < NV; v++) store(to + n + v * VL, load(in + v * VL));
                in += run + 2;
            }
        }
}

/* y[m][n] = sum over d of a[d][m] * b[d][n] */
static void tile(int64_t depth, const float *a, const float *b, float *y, int64_t pitch,
                 int64_t rows, int64_t width) {
    vec acc[MR][NV] = {0};
    for (int64_t d = 0; d < depth; d++, a += MR, b += NR) {
        UNROLL
        for (int m = 0; m < MR; m++) {
            UNROLL
            for (int n = 0; n < NV; n++) acc[m][n] += a[m] * load(b + n * VL);
        }
    }
    for (int64_t m = 0; m < rows; m++)
        for (int64_t n = 0; n < width; n++) y[m * pitch + n] = acc[m][n / VL][n % VL];
}

void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *x, const float *w, float *y,
          int threads) {
    (void)threads;
    const int64_t P = H * W, depth = 9 * C;
    float *a = scratch(ceil_div(K, MR) * MR * depth), *b = scratch(ceil_div(P, NR) * NR * depth);
    pack_w(K, depth, w, a);
    for (int64_t p = 0; p < P; p += NR) pack_x(C, H, W, p, x, b + p * depth);
    for (int64_t k = 0; k < K; k += MR)
        for (int64_t p = 0; p < P; p += NR)
            tile(depth, a + k * depth, b + p * depth, y + k * P + p, P, min(MR, K - k),
                 min(NR, P - p));
    free(a);
    free(b);
}
/* page] */
