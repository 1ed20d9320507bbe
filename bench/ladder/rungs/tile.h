/* The tile of rungs 10 to 13: vectors run along channels, a row is anywhere in memory.
 *
 *   c[m][n] (+)= sum over d < depth of a[m][d] * b[d][n],   m < rows, n < width <= NR
 *
 * b is packed in rows of whole vectors: ceil(width / VL) of them. */
#include "ladder.h"

/* [page */
typedef struct {
    const float *a[MR];
    float *c[MR];
} tile_rows;

INLINE void tile_fma(const int nv, int64_t depth, const tile_rows *at, const float *b, int64_t rows,
                     int64_t width, int add) {
    vec acc[MR][NV];
    UNROLL
    for (int i = 0; i < MR * NV; i++) acc[i / NV][i % NV] = (vec){0};
    const float *a[MR];
    UNROLL
    for (int m = 0; m < MR; m++) a[m] = at->a[m < rows ? m : 0]; /* the others are not stored */
    for (int64_t d = 0; d < depth; d++, b += nv * VL) {
        UNROLL
        for (int m = 0; m < MR; m++) {
            UNROLL
            for (int n = 0; n < nv; n++) acc[m][n] += a[m][d] * load(b + n * VL);
        }
    }
    UNROLL
    for (int m = 0; m < MR; m++) {
        if (m >= rows) break;
        float *c = at->c[m], last[NR];
        UNROLL
        for (int n = 0; n < nv; n++) {
            if (width == nv * VL) store(c + n * VL, add ? load(c + n * VL) + acc[m][n] : acc[m][n]);
            else store(last + n * VL, acc[m][n]);
        }
        for (int64_t n = 0; n < width && width < nv * VL; n++) c[n] = (add ? c[n] : 0) + last[n];
    }
}
/* page] */

static __attribute__((noinline)) void tile(int64_t depth, const tile_rows *at, const float *b,
                                           int64_t rows, int64_t width, int add) {
    const int64_t nv = ceil_div(width, VL);
    if (nv == 1) tile_fma(1, depth, at, b, rows, width, add);
    else if (nv == 2) tile_fma(2, depth, at, b, rows, width, add);
    else if (nv == 3) tile_fma(NV - 1, depth, at, b, rows, width, add);
    else tile_fma(NV, depth, at, b, rows, width, add);
}
