"""The compiled kernels: checks the arrays, hands their pointers and the geometry to C.

The only room that touches cffi.  A wrong type or shape would be reinterpreted silently down there,
so every array is compared with its specification here, once per call; geometry structures are built
once per (specification, memory formats) and kept in ``spec.cache``.  cffi releases the GIL during
the calls.
"""

from fastconv.backends.c.conv import (
    conv_backward_bias,
    conv_backward_input_depthwise,
    conv_backward_input_direct,
    conv_backward_input_gemm,
    conv_backward_input_grouped,
    conv_backward_input_scatter,
    conv_backward_input_winograd,
    conv_backward_weight_depthwise,
    conv_backward_weight_gemm,
    conv_backward_weight_grouped,
    conv_backward_weight_winograd,
    conv_forward_depthwise,
    conv_forward_direct,
    conv_forward_gemm,
    conv_forward_grouped,
    conv_forward_winograd,
)
from fastconv.backends.c.elementwise import (
    add,
    clamp,
    clamp_backward,
    leaky_relu,
    leaky_relu_backward,
    mul,
    relu,
    relu_backward,
    sub,
)
from fastconv.backends.c.formats import to_channels_last, to_contiguous
from fastconv.backends.c.library import get_isa
from fastconv.backends.c.machine import (
    block,
    compiler,
    empty_cache,
    fma_peak,
    has_kernel,
    has_openmp,
    isas,
    memory_stats,
    set_isa,
    stream,
)
from fastconv.backends.c.norm import (
    norm_apply,
    norm_backward_apply,
    norm_backward_sums,
    norm_statistics,
)
from fastconv.backends.c.optim import adam_step, sgd_step
from fastconv.backends.c.pool import (
    avg_pool_backward,
    avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
    max_unpool_backward,
    max_unpool_forward,
)

__all__ = [
    "adam_step",
    "add",
    "avg_pool_backward",
    "avg_pool_forward",
    "block",
    "clamp",
    "clamp_backward",
    "compiler",
    "conv_backward_bias",
    "conv_backward_input_depthwise",
    "conv_backward_input_direct",
    "conv_backward_input_gemm",
    "conv_backward_input_grouped",
    "conv_backward_input_scatter",
    "conv_backward_input_winograd",
    "conv_backward_weight_depthwise",
    "conv_backward_weight_gemm",
    "conv_backward_weight_grouped",
    "conv_backward_weight_winograd",
    "conv_forward_depthwise",
    "conv_forward_direct",
    "conv_forward_gemm",
    "conv_forward_grouped",
    "conv_forward_winograd",
    "empty_cache",
    "fma_peak",
    "get_isa",
    "has_kernel",
    "has_openmp",
    "isas",
    "leaky_relu",
    "leaky_relu_backward",
    "max_pool_backward",
    "max_pool_forward",
    "max_unpool_backward",
    "max_unpool_forward",
    "memory_stats",
    "mul",
    "norm_apply",
    "norm_backward_apply",
    "norm_backward_sums",
    "norm_statistics",
    "relu",
    "relu_backward",
    "set_isa",
    "sgd_step",
    "stream",
    "sub",
    "to_channels_last",
    "to_contiguous",
]
