/* Backward weight of many pixels, in pieces whose sums are added in double.
 *
 * A kernel adds blocks of pixels in its own type. After n additions of like terms the sum is off by
 * up to n/4 units of its last place: 2.5e-4 of it for two million pixels of float. A piece has so
 * few pixels that this stays near 1e-6; the pieces depend on the shape alone, not on threads. */
#pragma once

#include "core/problem.h"

/* Pixels of a piece; a check may have smaller ones. */
#ifndef PIECE_PIXELS
#define PIECE_PIXELS (1 << 16)
#endif

/* The kernel, and what its pieces share. */
typedef struct conv_pieces {
    int (*run)(const struct conv_pieces *, const fc_conv_geom *, const void *dy, const void *x);
    const fc_kernels *kernels;
    int kernel, dtype, threads;
    int64_t weights;
    void *piece;   /* dW of one piece */
    double *total; /* and of all so far */
} conv_pieces;

static inline int64_t conv_pixels(const fc_conv_geom *g) {
    return g->batch * g->out_size[0] * g->out_size[1] * g->out_size[2];
}

/* The strides outside `axis`, whose sizes are 1, as of a dense array. One that ends where the whole
 * array does not is never read past its own end. */
static inline void conv_piece_strides(int64_t stride[5], const int64_t size[3], int axis,
                                      int64_t skipped) {
    int alone = 1;
    for (int i = 0; i < axis; i++) alone &= size[i] == 1;
    const int64_t dense = size[axis] * stride[2 + axis];
    stride[0] = alone ? dense : stride[0] - skipped;
    for (int i = 0; i < axis && alone; i++) stride[2 + i] = dense;
}

/* Outputs [at, at + count) of an axis of one image, and the inputs that they meet. */
static inline fc_conv_geom conv_piece_of(const fc_conv_geom *g, int axis, int64_t at, int64_t count,
                                         int64_t *x_at) {
    fc_conv_geom piece = *g;
    const int64_t first = at * g->stride[axis] - g->pad[axis];
    const int64_t reach =
        (count - 1) * g->stride[axis] + (g->kernel[axis] - 1) * g->dilation[axis] + 1;
    const int64_t begin = fc_max(0, first), end = fc_min(g->in_size[axis], first + reach);
    *x_at = begin;
    piece.pad[axis] = begin - first;
    piece.in_size[axis] = fc_max(0, end - begin);
    piece.out_size[axis] = count;
    conv_piece_strides(piece.x_stride, piece.in_size, axis, begin * g->x_stride[2 + axis]);
    conv_piece_strides(piece.y_stride, piece.out_size, axis, at * g->y_stride[2 + axis]);
    return piece;
}

/* Whole images as long as they are short enough, then slices of one, then rows, then pixels. */
static inline int conv_each_piece(const conv_pieces *job, const fc_conv_geom *g, const char *dy,
                                  const char *x) {
    const int64_t item = job->dtype == FC_F64 ? sizeof(double) : sizeof(float);
    const int64_t pixels = conv_pixels(g);
    int axis = 0;
    while (axis < 2 && g->out_size[axis] == 1) axis++;
    const int64_t whole = g->batch > 1 ? g->batch : g->out_size[axis];
    /* Rows in fours: Winograd's tiles. */
    const int64_t unit = g->batch > 1 ? 1 : 4;
    const int64_t most = fc_max(1, PIECE_PIXELS / (pixels / whole));
    const int64_t each =
        fc_round_up(fc_ceil_div(whole, fc_ceil_div(whole, most)), most < unit ? 1 : unit);
    if (pixels <= PIECE_PIXELS || each >= whole) return job->run(job, g, dy, x);
    for (int64_t at = 0; at < whole; at += each) {
        const int64_t count = fc_min(each, whole - at);
        int64_t x_at = at;
        fc_conv_geom piece = *g;
        int64_t y_stride = g->y_stride[0], x_stride = g->x_stride[0];
        if (g->batch > 1) {
            piece.batch = count;
        } else {
            piece = conv_piece_of(g, axis, at, count, &x_at);
            y_stride = g->y_stride[2 + axis], x_stride = g->x_stride[2 + axis];
            if (piece.in_size[axis] == 0) continue; /* padding alone */
        }
        const int status =
            conv_each_piece(job, &piece, dy + at * y_stride * item, x + x_at * x_stride * item);
        if (status) return status;
    }
    return FC_OK;
}
