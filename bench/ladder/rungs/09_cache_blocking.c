/* Rung 9: x is packed in blocks that stay in cache until all output channels have used them. */
#include "ladder.h"

enum { BLOCK = 8 }; /* channels: 9 * BLOCK rows of a panel of x, 18 KiB with vectors of 64 bytes */

static void pack_w(int64_t K, int64_t depth, const float *w, float *to) {
    for (int64_t k = 0; k < K; k += MR)
        for (int64_t d = 0; d < depth; d++)
            for (int64_t m = 0; m < MR; m++) *to++ = k + m < K ? w[(k + m) * depth + d] : 0;
}

/* The channels c0 .. c1 of NR outputs. */
static void pack_x(int64_t c0, int64_t c1, int64_t H, int64_t W, int64_t p, const float *x,
                   float *to) {
    for (int64_t c = c0; c < c1; c++)
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

/* [page */
/* sum[m][n] += sum over d of a[d][m] * b[d][n]; sum is MR x NR and stays in cache too. */
static void tile(int64_t depth, const float *a, const float *b, float *sum) {
    vec acc[MR][NV];
    UNROLL
    for (int i = 0; i < MR * NV; i++) acc[i / NV][i % NV] = load(sum + i * VL);
    for (int64_t d = 0; d < depth; d++, a += MR, b += NR) {
        UNROLL
        for (int m = 0; m < MR; m++) {
            UNROLL
            for (int n = 0; n < NV; n++) acc[m][n] += a[m] * load(b + n * VL);
        }
    }
    UNROLL
    for (int i = 0; i < MR * NV; i++) store(sum + i * VL, acc[i / NV][i % NV]);
}

void conv(int64_t C, int64_t K, int64_t H, int64_t W, const float *x, const float *w, float *y,
          int threads) {
    (void)threads;
    const int64_t P = H * W, depth = 9 * C, rows = ceil_div(K, MR) * MR;
    float *a = scratch(rows * depth), *b = scratch(9 * BLOCK * NR), *sum = scratch(rows * NR);
    pack_w(K, depth, w, a);
    for (int64_t p = 0; p < P; p += NR) {
        memset(sum, 0, (size_t)(rows * NR) * sizeof(float));
        for (int64_t c = 0; c < C; c += BLOCK) {
            const int64_t end = min(c + BLOCK, C);
            pack_x(c, end, H, W, p, x, b);
            for (int64_t k = 0; k < K; k += MR)
                tile(9 * (end - c), a + k * depth + c * 9 * MR, b, sum + k * NR);
        }
        for (int64_t k = 0; k < K; k++)
            memcpy(y + k * P + p, sum + k * NR, (size_t)min(NR, P - p) * sizeof(float));
    }
    free(a);
    free(b);
    free(sum);
}
/* page] */
