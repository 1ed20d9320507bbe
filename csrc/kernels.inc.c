/* Every kernel file, then the table: compiled once per instruction set and type.
 * Adding a kernel: its .inc.c here, its number in fastconv.h, its entry below. */
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

const fc_kernels FN(fc_kernels) = {
    .conv =
        {
            [FC_CONV_FORWARD_GEMM] = FN(conv_forward_gemm),
            [FC_CONV_BACKWARD_INPUT_GEMM] = FN(conv_backward_input_gemm),
            [FC_CONV_BACKWARD_WEIGHT_GEMM] = FN(conv_backward_weight_gemm),
            [FC_CONV_FORWARD_DEPTHWISE] = FN(conv_forward_depthwise),
            [FC_CONV_BACKWARD_INPUT_DEPTHWISE] = FN(conv_backward_input_depthwise),
            [FC_CONV_BACKWARD_WEIGHT_DEPTHWISE] = FN(conv_backward_weight_depthwise),
            [FC_CONV_FORWARD_GROUPED] = FN(conv_forward_grouped),
            [FC_CONV_BACKWARD_INPUT_GROUPED] = FN(conv_backward_input_grouped),
            [FC_CONV_BACKWARD_WEIGHT_GROUPED] = FN(conv_backward_weight_grouped),
            [FC_CONV_FORWARD_WINOGRAD] = FN(conv_forward_winograd),
            [FC_CONV_BACKWARD_INPUT_WINOGRAD] = FN(conv_backward_input_winograd),
            [FC_CONV_BACKWARD_WEIGHT_WINOGRAD] = FN(conv_backward_weight_winograd),
            [FC_CONV_FORWARD_DIRECT] = FN(conv_forward_direct),
            [FC_CONV_BACKWARD_INPUT_DIRECT] = FN(conv_backward_input_direct),
            [FC_CONV_FORWARD_FLAT] = FN(conv_forward_flat),
            [FC_CONV_BACKWARD_WEIGHT_FLAT] = FN(conv_backward_weight_flat),
            [FC_CONV_BACKWARD_INPUT_SCATTER] = FN(conv_backward_input_scatter),
        },
    .finish = FN(finish),
    .conv_backward_bias = FN(conv_backward_bias),
    .activation_backward = FN(activation_backward),
    .max_pool_forward = FN(max_pool_forward),
    .max_pool_taps_forward = FN(max_pool_taps_forward),
    .max_pool_taps_backward = FN(max_pool_taps_backward),
    .avg_pool_forward = FN(avg_pool_forward),
    .avg_pool_backward = FN(avg_pool_backward),
    .index_pool =
        {
            [FC_MAX_POOL_BACKWARD] = FN(max_pool_backward),
            [FC_MAX_UNPOOL_FORWARD] = FN(max_unpool_forward),
            [FC_MAX_UNPOOL_BACKWARD] = FN(max_unpool_backward),
        },
    .norm_statistics = FN(norm_statistics),
    .norm_apply = FN(norm_apply),
    .norm_backward = FN(norm_backward),
    .layer_norm = FN(layer_norm),
    .layer_norm_backward = FN(layer_norm_backward),
    .transpose = FN(transpose),
    .copy_columns = FN(copy_columns),
    .map = FN(map),
    .reduce = FN(reduce),
    .running = FN(running),
    .softmax = FN(softmax),
    .local_response = FN(local_response),
    .resample = FN(resample),
    .warp = {FN(warp), FN(warp_bytes)},
    .update = FN(update),
    .fma_peak = FN(fma_peak),
};
