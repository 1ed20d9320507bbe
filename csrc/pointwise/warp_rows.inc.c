/* Warping by a matrix: out[n, y, x, c] = image n at (M[n] (x, y, 1)), channels-last.
 *
 * M is 3×3, from pixels of the result to places in the image (pointwise/warp_place.inc.c); where
 * its last row is (0, 0, 1) nothing is divided. Included twice (pointwise/warp.inc.c): for pixels
 * of type T, and for bytes (WARP_BYTES), whose sums are in T and rounded to the nearest, half to
 * even. What lies outside is 0, or with `fill` inside * (sum - fill) + fill, where `inside` is the
 * weight of the pixels in the image. */

#include <math.h>

#include "fastconv.h"
#include "core/simd.h"
#include "pointwise/warp_place.inc.c"

#if WARP_BYTES
#define P uint8_t
#define WARP(name) name##_bytes
#else
#define P T
#define WARP(name) name##_values
#endif

INLINE P WARP(warp_round)(T v) {
#if WARP_BYTES
    return (P)(v > 0 ? (v < 255 ? lrint((double)v) : 255) : 0);
#else
    return v;
#endif
}

/* A pixel of C channels between four, the first of which is at x and the others right of it, below
 * it (step), and right of that. */
INLINE void WARP(warp_four)(const P *x, int64_t step, T right, T low, int64_t C, P *out) {
    const P *below = x + step;
    const T p = (1 - right) * (1 - low), q = right * (1 - low), r = (1 - right) * low,
            s = right * low;
    for (int64_t k = 0; k < C; k++)
        out[k] = WARP(warp_round)(p * (T)x[k] + q * (T)x[C + k] +
                                  (r * (T)below[k] + s * (T)below[C + k]));
}

/* One at the edge, or outside. */
INLINE void WARP(warp_edge)(const warp_near *t, const P *x, int64_t C, const T *fill, P *out) {
    for (int64_t k = 0; k < C; k++) {
        T sum = 0;
        for (int i = 0; i < t->count; i++) sum += t->by[i] * (T)x[t->at[i] * C + k];
        if (fill) sum = t->inside * (sum - fill[k]) + fill[k];
        out[k] = WARP(warp_round)(sum);
    }
}

/* A row of the result, row y of image x. C: a constant where it is small. */
INLINE void WARP(warp_row)(const fc_warp_geom *g, const P *x, const double *m, double y, int64_t C,
                           const T *fill, P *out) {
    const int64_t W = g->in_size[1], width = g->out_size[1];
    const double last_x = (double)(W - 1), last_y = (double)(g->in_size[0] - 1);
    const int divided = m[6] != 0 || m[7] != 0 || m[8] != 1, nearest = g->mode == FC_WARP_NEAREST,
              within = g->padding == FC_WARP_INSIDE;
    for (int64_t i = 0; i < width; i++, out += C) {
        double at = m[0] * (double)i + m[1] * y + m[2], up = m[3] * (double)i + m[4] * y + m[5];
        if (divided) {
            const double by = m[6] * (double)i + m[7] * y + m[8];
            at /= by;
            up /= by;
        }
        at = warp_place(at, W, g->padding, g->align_corners);
        up = warp_place(up, g->in_size[0], g->padding, g->align_corners);
        if (!warp_inner(at, up, last_x, last_y)) {
            const warp_near t = warp_taps(g, at, up);
            WARP(warp_edge)(&t, x, C, fill, out);
        } else if (nearest) {
            const int64_t a = within ? (int64_t)(at + 0.5) : lrint(at),
                          b = within ? (int64_t)(up + 0.5) : lrint(up);
            for (int64_t k = 0; k < C; k++) out[k] = x[(b * W + a) * C + k];
        } else {
            const int64_t a = (int64_t)at, b = (int64_t)up;
            WARP(warp_four)(x + (b * W + a) * C, W * C, (T)(at - (double)a), (T)(up - (double)b), C,
                            out);
        }
    }
}

static int WARP(warp)(const fc_warp_geom *g, const void *x, const double *matrix, const void *fill,
                      void *out, int threads) {
    const int64_t C = g->channels, height = g->out_size[0], width = g->out_size[1],
                  size = g->in_size[0] * g->in_size[1] * C;
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (int64_t row = 0; row < g->batch * height; row++) {
        const int64_t n = row / height;
        const double *m = matrix + 9 * n, y = (double)(row % height);
        const P *image = (const P *)x + n * size;
        P *to = (P *)out + row * width * C;
        if (C == 1) WARP(warp_row)(g, image, m, y, 1, fill, to);
        else if (C == 3) WARP(warp_row)(g, image, m, y, 3, fill, to);
        else WARP(warp_row)(g, image, m, y, C, fill, to);
    }
    return FC_OK;
}

#undef P
#undef WARP
