/* Every kernel file, then the table: compiled once per instruction set and type.
 * Adding a kernel: its .inc.c here, its number in fastconv.h, its entry below. */
#pragma once

#include "fastconv.h"
#include "core/finish.inc.c"
#include "core/layout.inc.c"
#include "core/peak.inc.c"
#include "core/simd.h"
#include "depthwise/depthwise.inc.c"
#include "depthwise/grouped.inc.c"
#include "depthwise/weight.inc.c"
#include "flat/flat.inc.c"
#include "flat/weight.inc.c"
#include "gemm/gemm.inc.c"
#include "gemm/scatter.inc.c"
#include "gemm/weight.inc.c"
#include "norm/local_response.inc.c"
#include "norm/norm.inc.c"
#include "norm/rows.inc.c"
#include "pointwise/bias.inc.c"
#include "pointwise/elementwise.inc.c"
#include "pointwise/optim.inc.c"
#include "pointwise/reduce.inc.c"
#include "pointwise/resample.inc.c"
#include "pointwise/softmax.inc.c"
#include "pool/avg.inc.c"
#include "pool/pool.inc.c"
#include "pool/taps.inc.c"
#include "winograd/weight.inc.c"
#include "winograd/winograd.inc.c"
#define WARP_BYTES 0
#include "pointwise/warp.inc.c"
#undef WARP_BYTES
#define WARP_BYTES 1
#include "pointwise/warp.inc.c"
#undef WARP_BYTES

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
