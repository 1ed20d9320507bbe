/* Every kernel file, then the table: compiled once per instruction set and type.
 * Adding a kernel: its .inc.c here, its number in fastconv.h, its entry below. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fastconv.h"
#include "memory.h"
#include "simd.h"

#include "gradients.inc.c"
#include "bias.inc.c"
#include "layout.inc.c"
#include "norm_sums.inc.c"
#include "norm.inc.c"
#include "norm_rows.inc.c"
#include "peak.inc.c"
#include "pool.inc.c"
#include "pool_taps.inc.c"
#include "resample.inc.c"
#include "warp_place.inc.c"
#define WARP_BYTES 0
#include "warp.inc.c"
#undef WARP_BYTES
#define WARP_BYTES 1
#include "warp.inc.c"
#undef WARP_BYTES
#include "pool_avg.inc.c"
#include "finish.inc.c"
#include "vecmath.inc.c"
#include "elementwise.inc.c"
#include "optim.inc.c"
#include "reduce.inc.c"
#include "softmax.inc.c"
#include "conv_gemm.inc.c"
#include "conv_gemm_weight.inc.c"
#include "conv_scatter.inc.c"
#include "conv_flat.inc.c"
#include "conv_flat_weight.inc.c"
#include "conv_depthwise.inc.c"
#include "conv_depthwise_weight.inc.c"
#include "conv_grouped.inc.c"
#include "local_response.inc.c"
#include "winograd_tile.inc.c"
#include "winograd_block.inc.c"
#include "conv_winograd.inc.c"
#include "conv_winograd_weight.inc.c"

/* fc_kernels_f32_avx512 and so on */
#define TABLE_(bits, isa) fc_kernels_f##bits##_##isa
#define TABLE(bits, isa) TABLE_(bits, isa)
const fc_kernels TABLE(TYPE_BITS, ISA_NAME) = {
    .conv =
        {
            [FC_CONV_FORWARD_GEMM] = conv_forward_gemm,
            [FC_CONV_BACKWARD_INPUT_GEMM] = conv_backward_input_gemm,
            [FC_CONV_BACKWARD_WEIGHT_GEMM] = conv_backward_weight_gemm,
            [FC_CONV_FORWARD_DEPTHWISE] = conv_forward_depthwise,
            [FC_CONV_BACKWARD_INPUT_DEPTHWISE] = conv_backward_input_depthwise,
            [FC_CONV_BACKWARD_WEIGHT_DEPTHWISE] = conv_backward_weight_depthwise,
            [FC_CONV_FORWARD_GROUPED] = conv_forward_grouped,
            [FC_CONV_BACKWARD_INPUT_GROUPED] = conv_backward_input_grouped,
            [FC_CONV_BACKWARD_WEIGHT_GROUPED] = conv_backward_weight_grouped,
            [FC_CONV_FORWARD_WINOGRAD] = conv_forward_winograd,
            [FC_CONV_BACKWARD_INPUT_WINOGRAD] = conv_backward_input_winograd,
            [FC_CONV_BACKWARD_WEIGHT_WINOGRAD] = conv_backward_weight_winograd,
            [FC_CONV_FORWARD_DIRECT] = conv_forward_direct,
            [FC_CONV_BACKWARD_INPUT_DIRECT] = conv_backward_input_direct,
            [FC_CONV_FORWARD_FLAT] = conv_forward_flat,
            [FC_CONV_BACKWARD_WEIGHT_FLAT] = conv_backward_weight_flat,
            [FC_CONV_BACKWARD_INPUT_SCATTER] = conv_backward_input_scatter,
        },
    .finish = finish,
    .conv_backward_bias = conv_backward_bias,
    .activation_backward = activation_backward,
    .max_pool_forward = max_pool_forward,
    .max_pool_taps_forward = max_pool_taps_forward,
    .max_pool_taps_backward = max_pool_taps_backward,
    .avg_pool_forward = avg_pool_forward,
    .avg_pool_backward = avg_pool_backward,
    .index_pool =
        {
            [FC_MAX_POOL_BACKWARD] = max_pool_backward,
            [FC_MAX_UNPOOL_FORWARD] = max_unpool_forward,
            [FC_MAX_UNPOOL_BACKWARD] = max_unpool_backward,
        },
    .norm_statistics = norm_statistics,
    .norm_apply = norm_apply,
    .norm_backward = norm_backward,
    .layer_norm = layer_norm,
    .layer_norm_backward = layer_norm_backward,
    .transpose = transpose,
    .copy_columns = copy_columns,
    .map = map,
    .reduce = reduce,
    .running = running,
    .softmax = softmax,
    .local_response = local_response,
    .resample = resample,
    .warp = {warp, warp_bytes},
    .update = update,
    .fma_peak = fma_peak,
};
