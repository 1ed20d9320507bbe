/* The reference of `fastconv verify`: plain loops over every product of a convolution, in double.
 * No vectors, no blocks, no threads, and nothing shared with the kernels but the geometry. */
#include "fastconv.h"

typedef int64_t i64;
enum { FORWARD, BACKWARD_INPUT, BACKWARD_WEIGHT };

/* Adds every product to the operand that is the result. Tap t of output o meets input
 * i = o * stride - pad + t * dilation along an axis, where 0 <= i < in_size. */
static inline void products(const int direction, const fc_conv_geom *g, const i64 *wstep, double *x,
                            double *w, double *y) {
    const i64 *const xstep = g->x_stride, *const ystep = g->y_stride;
    const i64 *const size = g->in_size, *const out = g->out_size, *const taps = g->kernel;
    const i64 per_in = g->in_channels / g->groups, per_out = g->out_channels / g->groups;
    for (i64 n = 0; n < g->batch; n++)
        for (i64 k = 0; k < g->out_channels; k++)
            for (i64 c = 0; c < per_in; c++) {
                double *const xc = x + n * xstep[0] + (k / per_out * per_in + c) * xstep[1];
                double *const wc = w + k * wstep[0] + c * wstep[1];
                double *const yk = y + n * ystep[0] + k * ystep[1];
                for (i64 t0 = 0; t0 < taps[0]; t0++)
                    for (i64 o0 = 0; o0 < out[0]; o0++) {
                        const i64 i0 = o0 * g->stride[0] - g->pad[0] + t0 * g->dilation[0];
                        if (i0 < 0 || i0 >= size[0]) continue;
                        for (i64 t1 = 0; t1 < taps[1]; t1++)
                            for (i64 o1 = 0; o1 < out[1]; o1++) {
                                const i64 i1 = o1 * g->stride[1] - g->pad[1] + t1 * g->dilation[1];
                                if (i1 < 0 || i1 >= size[1]) continue;
                                for (i64 t2 = 0; t2 < taps[2]; t2++)
                                    for (i64 o2 = 0; o2 < out[2]; o2++) {
                                        const i64 i2 =
                                            o2 * g->stride[2] - g->pad[2] + t2 * g->dilation[2];
                                        if (i2 < 0 || i2 >= size[2]) continue;
                                        double *const px =
                                            xc + i0 * xstep[2] + i1 * xstep[3] + i2 * xstep[4];
                                        double *const pw =
                                            wc + t0 * wstep[2] + t1 * wstep[3] + t2 * wstep[4];
                                        double *const py =
                                            yk + o0 * ystep[2] + o1 * ystep[3] + o2 * ystep[4];
                                        if (direction == FORWARD) *py += *px * *pw;
                                        else if (direction == BACKWARD_INPUT) *px += *py * *pw;
                                        else *pw += *px * *py;
                                    }
                            }
                    }
            }
}

int fc_reference_conv(int direction, const fc_conv_geom *g, const int64_t *w_stride, double *x,
                      double *w, double *y) {
    if (direction == FORWARD) products(FORWARD, g, w_stride, x, w, y);
    else if (direction == BACKWARD_INPUT) products(BACKWARD_INPUT, g, w_stride, x, w, y);
    else if (direction == BACKWARD_WEIGHT) products(BACKWARD_WEIGHT, g, w_stride, x, w, y);
    else return FC_UNSUPPORTED;
    return FC_OK;
}
