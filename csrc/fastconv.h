/* The whole C interface: geometry, status codes, and what is made of the table of kernels
 * (kernels.h). build.py hands the part between the two cffi marks to cffi as it stands. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
enum {
    FC_OK = 0,
    FC_NOMEM = 1,
    FC_OVERFLOW = 2,
    FC_UNSUPPORTED = 3,
    FC_RANGE = 4,
    FC_NOT_FINITE = 5 /* of fc_conv_packed alone: call again with the weights as they lie */
};
enum { FC_F32 = 0, FC_F64 = 1, FC_DTYPES = 2 };

/* What a result of the forward direction becomes on its way out:
 * v = (result - centre) * scale + shift + residual, then v < 0 ? slope * v : v, then at most limit.
 * coef is NULL or holds centre, scale and shift, [channels] each; residual is NULL or laid out as
 * the output. */
typedef struct {
    const void *coef, *residual;
    int64_t channels;
    double slope, limit;
} fc_epilogue;

/* Weights in the form in which a kernel reads them, which the caller keeps between calls. */
enum { FC_PACKED_SIZE, FC_PACKED_FILL, FC_PACKED_USE };
typedef struct {
    int mode;
    void *data;
    int64_t size, used; /* bytes; a kernel of several problems takes one part after the other */
} fc_packed;

/* Sizes are (D, H, W); strides are in elements, ordered N, C, D, H, W. x is the larger side of the
 * forward direction, y the smaller; a kernel reads zero wherever an index of x falls outside. */
typedef struct {
    int64_t batch, in_channels, out_channels, groups;
    int64_t in_size[3], out_size[3], kernel[3], stride[3], pad[3], dilation[3];
    int64_t x_stride[5], y_stride[5];
    const fc_epilogue *epilogue; /* NULL; fc_conv_finish sets it */
    fc_packed *packed;           /* NULL; fc_conv_pack and fc_conv_packed set it */
} fc_conv_geom;

/* windows[axis] holds four rows of out_size[axis]: start, count, step, divisor size.
 * divisor is 0 when an average divides by the product of the divisor sizes. */
typedef struct {
    int64_t batch, channels, in_size[3], out_size[3];
    int64_t x_stride[5], y_stride[5], index_stride[5];
    const int64_t *windows[3];
    double divisor;
} fc_pool_geom;

/* What a kernel of a convolution can do beside its sums, as bits (fc_conv_capabilities). */
enum {
    FC_FORWARD = 1,
    FC_BACKWARD_INPUT = 2,
    FC_BACKWARD_WEIGHT = 4,
    FC_FINISHES = 8,       /* applies an epilogue itself, to a channels-last result */
    FC_PACKS = 16,         /* reads weights that are kept packed */
    FC_WRITES_PLANES = 32, /* writes a result of any strides, NCHW too */
    FC_KEEPS_PLANES = 64,  /* takes NCHW planes and gives them, where both are */
    FC_TRANSFORMS = 128    /* multiplies transformed data, and rounds more than a direct sum */
};

enum { FC_MAX_POOL_BACKWARD, FC_MAX_UNPOOL_FORWARD, FC_MAX_UNPOOL_BACKWARD, FC_INDEX_KERNELS };

enum { FC_SGD, FC_ADAM, FC_METHODS };

/* One parameter's step. kept: SGD's velocity (not read if first); Adam's means of the gradient and
 * its square, and the largest mean square or NULL. rate, scale: Adam's with bias correction. */
typedef struct {
    int64_t count;
    void *param;
    const void *grad;
    void *kept[3];
    double rate, scale;
    int first;
} fc_update;

typedef struct {
    double rate, momentum, gain, decay, sign;
    int nesterov;
} fc_sgd;

typedef struct {
    double beta1, beta2, eps, decay, shrink, sign;
} fc_adam;

/* Leaky ReLU: p is the slope; clamp: to [p, q]. Backward: a = dy, b = y (SiLU: x). */
enum {
    FC_MAP_ADD,
    FC_MAP_SUB,
    FC_MAP_MUL,
    FC_MAP_RELU,
    FC_MAP_LEAKY_RELU,
    FC_MAP_CLAMP,
    FC_MAP_SIGMOID,
    FC_MAP_TANH,
    FC_MAP_SILU,
    FC_MAP_RELU_BACKWARD,
    FC_MAP_LEAKY_RELU_BACKWARD,
    FC_MAP_CLAMP_BACKWARD,
    FC_MAP_SIGMOID_BACKWARD,
    FC_MAP_TANH_BACKWARD,
    FC_MAP_SILU_BACKWARD,
    FC_MAP_KERNELS
};

/* forward: a = x, b = w, out = y; backward input: a = dy, b = w, out = dx;
 * backward weight: a = dy, b = x, out = dw. w and dw are C-contiguous (K, C/groups, kD, kH, kW).
 * bias may be NULL. Every element of out is written. A call of Winograd whose result has elements
 * that are not finite is made again by the GEMM, which keeps them where they belong. */
int fc_conv(int kernel, int dtype, const fc_conv_geom *g, const void *a, const void *b,
            const void *bias, void *out, int threads);
/* Convolution forward with an epilogue, while the result is in cache where the kernel can. The
 * residual is not y. */
int fc_conv_finish(int kernel, int dtype, const fc_conv_geom *g, const void *x, const void *w,
                   const void *bias, const void *coef, const void *residual, double slope,
                   double limit, void *y, int threads);
int fc_conv_available(int kernel, int dtype);
/* The bits of a kernel, 0 for a number that is none. */
int fc_conv_capabilities(int kernel);

/* What Winograd makes of a geometry in a direction (FC_FORWARD and so on): products of the direct
 * algorithm over its own; tiles of 4x4 outputs (1x4 with one transformed axis), without regard to
 * dilation; groups of taps that meet the same inputs, which lengthen the sums over channels;
 * whether a group has one tap. */
typedef struct {
    double gain;
    int64_t tiles, groups;
    int single;
} fc_winograd;
int fc_winograd_facts(int direction, const fc_conv_geom *g, fc_winograd *facts);

/* Weights packed once: the size in bytes, 0 for a kernel that reads them as they lie (or minus a
 * status code); the packing; and fc_conv, or with `finish` fc_conv_finish, on what was packed with
 * the same instruction set, kernel, type, and geometry but for batch and sizes. */
int64_t fc_conv_packed_bytes(int isa, int kernel, int dtype, const fc_conv_geom *g);
int fc_conv_pack(int isa, int kernel, int dtype, const fc_conv_geom *g, const void *w, void *packed,
                 int64_t bytes, int threads);
int fc_conv_packed(int isa, int kernel, int dtype, const fc_conv_geom *g, const void *a,
                   const void *packed, int64_t bytes, const void *bias, int finish,
                   const void *coef, const void *residual, double slope, double limit, void *out,
                   int threads);

/* Normalisation of arrays (sets * batch, channels, space): a set has statistics of its own, over
 * its `batch` images, which `pool` neighbouring channels share. last: the memory runs N, space, C;
 * otherwise N, C, space. Coefficients are arrays [sets * channels], one after the other. */
typedef struct {
    int64_t sets, batch, channels, space, pool;
    int last;
} fc_norm_geom;

/* Along the middle axis of arrays (outer, length, inner), computed in double:
 * out[o][i] = sum over l of f(x[o][l][i]) / divisor, f(v) = v, (v - centre)^2, v * b or
 * exp(v - centre); or the product of v, / divisor. centre [outer][inner], NULL for 0; b as x. out
 * is of the type of x, or double where `wide`. */
enum { FC_SUM, FC_SUM_SQUARES, FC_SUM_PRODUCTS, FC_SUM_EXP, FC_PRODUCT, FC_REDUCE_KINDS };
typedef struct {
    int64_t outer, length, inner;
} fc_reduce_geom;

/* Softmax and relatives along the middle axis of arrays (outer, classes, inner).
 * SOFTMAX, LOG_SOFTMAX: a = x. Their BACKWARD: a = dy, b = y.
 * CROSS_ENTROPY: a = x, out = softmax(x), loss[outer * inner] = -weight[label] log softmax at the
 * label; sample, if not NULL: weight[label]. Its BACKWARD: a = softmax(x), grad that of the losses,
 * one for each or (grad_step 0) one for all. A label of `ignore` or none of the classes counts for
 * nothing. weight: NULL for ones. What a kind does not know is NULL. */
enum {
    FC_SOFTMAX,
    FC_LOG_SOFTMAX,
    FC_SOFTMAX_BACKWARD,
    FC_LOG_SOFTMAX_BACKWARD,
    FC_CROSS_ENTROPY,
    FC_CROSS_ENTROPY_BACKWARD,
    FC_SOFTMAX_KINDS
};
typedef struct {
    int64_t outer, classes, inner, ignore, grad_step;
} fc_softmax_geom;

/* Local response normalisation along the middle axis of arrays (outer, channels, inner):
 * out = x base^-beta with base = k + scale · sum of x² over the channels c - below to c + above.
 * With grad, out is the gradient of x. */
typedef struct {
    int64_t outer, channels, inner, below, above;
    double scale, beta, k;
} fc_response_geom;

/* Resampling (batch, *in_size, inner) to (batch, *out_size, inner): every spatial axis by a sparse
 * matrix [out][in] in rows, row o with the items starts[o] to starts[o + 1]. weight is of the
 * arrays' type. */
typedef struct {
    int64_t batch, inner, in_size[3], out_size[3];
    const int64_t *starts[3], *index[3];
    const void *weight[3];
} fc_resample_geom;

/* Images (batch, *in_size, channels) read at places: pixel (x, y) of a result (batch, *out_size,
 * channels) is image n at matrix[n] (x, y, 1), matrix [batch][3][3], places in pixels from the
 * centre of the first. Beyond the image lies `fill` [channels] (NULL: zeros), blended in as the
 * weights of the pixels say (ZEROS), or from its edge on, all or nothing (INSIDE); or the pixel at
 * the edge (BORDER), or the image reflected (REFLECTION: at the centres of the outermost pixels
 * with align_corners, else at their edges). bytes: pixels are uint8, fill is of type dtype. */
enum { FC_WARP_NEAREST, FC_WARP_BILINEAR };
enum { FC_WARP_ZEROS, FC_WARP_BORDER, FC_WARP_REFLECTION, FC_WARP_INSIDE };
typedef struct {
    int64_t batch, in_size[2], out_size[2], channels;
    int mode, padding, align_corners, bytes;
} fc_warp_geom;

/* FMA rate of one core in FLOP/s, and copy bandwidth in bytes/s (read plus write). */
double fc_fma_peak(int dtype, double seconds);
double fc_stream(int64_t bytes, double seconds, int threads);

/* The reference of `fastconv verify` (selfcheck/reference.c): plain loops in double that add every
 * product of a convolution to y (direction 0), x (1) or w (2), whose other operands they only read.
 * Strides in elements, those of x and y from the geometry, w_stride [5] for K, C/groups, kD, kH,
 * kW; any stride may be 0 or negative. */
int fc_reference_conv(int direction, const fc_conv_geom *g, const int64_t *w_stride, double *x,
                      double *w, double *y);

/* The buffer pool: what numpy arrays over it need (core/memory.h), and its state in bytes. */
void *fc_alloc(size_t bytes);
void fc_free(void *block);
void fc_empty_cache(void);
int64_t fc_memory_cached(void);
int64_t fc_memory_in_use(void);
void fc_memory_limit(int64_t bytes);
int fc_keep_heap(void);

int fc_isa_count(void);
const char *fc_isa_name(int isa);
int fc_isa_supported(int isa);
int fc_set_isa(int isa);
int fc_get_isa(void);
/* What kernels may take a core's L2 cache to hold: from 1 to 2 MiB. */
int64_t fc_l2_bytes(void);
const char *fc_compiler(void);
int fc_openmp(void);
/* cffi: end */

typedef int (*fc_conv_fn)(const fc_conv_geom *, const void *a, const void *b, const void *bias,
                          void *out, int threads);
typedef void (*fc_finish_fn)(const fc_epilogue *, int64_t batch, int64_t space, int last, void *y);

/* Numbers and prototypes of kernels.h. */
enum {
#define FC_CONV_KERNEL(number, function, can) FC_CONV_##number,
#include "kernels.h"
    FC_CONV_KERNELS
};
#define FC_LIST(...) __VA_ARGS__
#define FC_FAMILY(name, parameters, names) int fc_##name(int dtype, FC_LIST parameters);
#define FC_FAMILY_OF(name, kinds, parameters, names) \
    int fc_##name(int kind, int dtype, FC_LIST parameters);
#include "kernels.h"

/* One table per instruction set and type; a NULL entry answers FC_UNSUPPORTED. */
typedef struct {
    fc_conv_fn conv[FC_CONV_KERNELS];
    fc_finish_fn finish;
    double (*fma_peak)(double seconds);
#define FC_FAMILY(name, parameters, names) int(*name) parameters;
#define FC_FAMILY_OF(name, kinds, parameters, names) int (*name)(int kind, FC_LIST parameters);
#include "kernels.h"
} fc_kernels;
