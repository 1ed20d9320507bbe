/* Warping of values and of bytes: the same rows, compiled for both. */
#pragma once

#include "fastconv.h"
#include "core/simd.h"
#define WARP_BYTES 0
#include "pointwise/warp_rows.inc.c"
#undef WARP_BYTES
#define WARP_BYTES 1
#include "pointwise/warp_rows.inc.c"
#undef WARP_BYTES

static int warp(const fc_warp_geom *g, const void *x, const double *matrix, const void *fill,
                void *out, int threads) {
    return g->bytes ? warp_bytes(g, x, matrix, fill, out, threads)
                    : warp_values(g, x, matrix, fill, out, threads);
}
