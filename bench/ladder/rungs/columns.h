/* The tile of the two backward-weight rungs: both operands have the channels side by side, and the
 * sum runs over pixels (or Winograd tiles).
 *
 *   sum[m][n] += sum over d < depth of a[d][m] * b[d][n],   m < rows <= MR, n < width <= NR
 *
 * sum has room for whole vectors in every row; what lies behind `width` means nothing. */
#include "ladder.h"

INLINE void columns_fma(const int nv, int64_t depth, const float *a, int64_t pitch_a,
                        const float *b, int64_t pitch_b, float *sum, int64_t pitch, int64_t rows) {
    vec acc[MR][NV] = {0};
    for (int64_t d = 0; d < depth; d++, a += pitch_a, b += pitch_b) {
        UNROLL
        for (int m = 0; m < MR; m++) {
            UNROLL
            for (int n = 0; n < nv; n++) acc[m][n] += a[m] * load(b + n * VL);
        }
    }
    UNROLL
    for (int m = 0; m < MR; m++) {
        if (m >= rows) break;
        UNROLL
        for (int n = 0; n < nv; n++) {
            float *to = sum + m * pitch + n * VL;
            store(to, load(to) + acc[m][n]);
        }
    }
}

static __attribute__((noinline)) void tile_columns(int64_t depth, const float *a, int64_t pitch_a,
                                                   const float *b, int64_t pitch_b, float *sum,
                                                   int64_t pitch, int64_t rows, int64_t width) {
    const int64_t nv = ceil_div(width, VL);
    if (nv == 1) columns_fma(1, depth, a, pitch_a, b, pitch_b, sum, pitch, rows);
    else if (nv == 2) columns_fma(2, depth, a, pitch_a, b, pitch_b, sum, pitch, rows);
    else if (nv == 3) columns_fma(NV - 1, depth, a, pitch_a, b, pitch_b, sum, pitch, rows);
    else columns_fma(NV, depth, a, pitch_a, b, pitch_b, sum, pitch, rows);
}
