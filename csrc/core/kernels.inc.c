/* Every kernel file, then the table: compiled once per instruction set and type.
 * Adding a kernel: its .inc.c here, its line in kernels.h. */
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
#include "pointwise/warp.inc.c"
#include "pool/avg.inc.c"
#include "pool/pool.inc.c"
#include "pool/taps.inc.c"
#include "winograd/weight.inc.c"
#include "winograd/winograd.inc.c"

/* fc_kernels_f32_avx512 and so on */
#define TABLE_(bits, isa) fc_kernels_f##bits##_##isa
#define TABLE(bits, isa) TABLE_(bits, isa)
const fc_kernels TABLE(TYPE_BITS, ISA_NAME) = {
    .conv =
        {
#define FC_CONV_KERNEL(number, function, can) [FC_CONV_##number] = function,
#include "kernels.h"
        },
    .finish = finish,
    .fma_peak = fma_peak,
#define FC_FAMILY(name, parameters, names) .name = name,
#define FC_FAMILY_OF(name, kinds, parameters, names) .name = name,
#include "kernels.h"
};
