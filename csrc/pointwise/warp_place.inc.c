/* Where a sample lies between pixels: what every kernel that reads an image at places of any value
 * shares.
 *
 * A place is a pair of coordinates in pixels, 0 the centre of the first one. warp_place brings a
 * coordinate into the image as the padding says, warp_taps gives the pixels around a place and
 * their weights. Coordinates are double whatever the pixels are: a place half way between two
 * pixels, or on an edge, is then the same one for every type and instruction set. */
#pragma once

#include <math.h>

#include "fastconv.h"
#include "core/simd.h"

/* x reflected between low and high, which are twice the places of the mirrors. */
INLINE double warp_reflect(double x, double low, double high) {
    if (low == high) return 0;
    const double first = low / 2, span = (high - low) / 2;
    x = fabs(x - first);
    const double flips = floor(x / span), rest = x - flips * span;
    return fmod(flips, 2) == 0 ? rest + first : span - rest + first;
}

/* A coordinate as the padding moves it, along an axis of `size` pixels. */
INLINE double warp_place(double x, int64_t size, int padding, int align) {
    const double last = (double)(size - 1);
    if (padding == FC_WARP_REFLECTION)
        x = align ? warp_reflect(x, 0, 2 * last) : warp_reflect(x, -1, 2 * last + 1);
    if (padding == FC_WARP_REFLECTION || padding == FC_WARP_BORDER)
        x = x > 0 ? (x < last ? x : last) : 0; /* not a number: 0 */
    return x;
}

/* Whether the four pixels around a place, moved as the padding says, all lie in the image: most do,
 * and need no warp_taps. The upper left one is then that of the whole parts. */
INLINE int warp_inner(double x, double y, double last_x, double last_y) {
    return x >= 0 && y >= 0 && x < last_x && y < last_y;
}

/* Up to four pixels, as indices (row * width + column), and their weights. `inside`: the weight of
 * those that lie in the image, 1 where all do; only they are counted. */
typedef struct {
    int64_t at[4];
    T by[4], inside;
    int count;
} warp_near;

/* The pixels around (x, y), moved as the padding says, of an image of H × W. */
INLINE warp_near warp_taps(const fc_warp_geom *g, double x, double y) {
    const int64_t H = g->in_size[0], W = g->in_size[1];
    const int within = g->padding == FC_WARP_INSIDE;
    warp_near t = {.count = 0, .inside = 0};
    /* Nothing of the image within a pixel: also what no integer can hold, or is not a number. */
    if (!(x > -1 && x < (double)W && y > -1 && y < (double)H)) return t;
    if (within && !(x >= -0.5 && x < (double)W - 0.5 && y >= -0.5 && y < (double)H - 0.5)) return t;
    if (g->mode == FC_WARP_NEAREST) {
        const int64_t i = (int64_t)(within ? floor(x + 0.5) : nearbyint(x)),
                      j = (int64_t)(within ? floor(y + 0.5) : nearbyint(y));
        if (i < 0 || i >= W || j < 0 || j >= H) return t;
        t.at[0] = j * W + i;
        t.by[0] = t.inside = 1;
        t.count = 1;
        return t;
    }
    const double left = floor(x), top = floor(y);
    const T right = (T)(x - left), low = (T)(y - top);
    const int64_t i = (int64_t)left, j = (int64_t)top;
    for (int k = 0; k < 4; k++) {
        int64_t a = i + (k & 1), b = j + (k >> 1);
        const T weight = (k & 1 ? right : 1 - right) * (k >> 1 ? low : 1 - low);
        if (within) { /* the pixel at the edge stands for those beyond */
            a = a < 0 ? 0 : a < W ? a : W - 1;
            b = b < 0 ? 0 : b < H ? b : H - 1;
        } else if (a < 0 || a >= W || b < 0 || b >= H) continue;
        t.at[t.count] = b * W + a;
        t.by[t.count++] = weight;
        t.inside += weight;
    }
    if (within) t.inside = 1;
    return t;
}
