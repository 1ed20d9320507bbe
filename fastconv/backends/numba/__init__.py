"""Kernels compiled by Numba: parallel, vectorised along channels, cached on disk.

Imported only when the backend is asked for; each kernel is compiled at its first call.
"""

from fastconv.backends.numba.conv import (
    conv_backward_bias,
    conv_backward_input_direct,
    conv_backward_weight_direct,
    conv_forward_direct,
)
from fastconv.backends.numba.depthwise import (
    conv_backward_input_depthwise,
    conv_backward_weight_depthwise,
    conv_forward_depthwise,
)
from fastconv.backends.numba.elementwise import (
    add,
    clamp,
    clamp_backward,
    clamp_backward_sums,
    leaky_relu,
    leaky_relu_backward,
    leaky_relu_backward_sums,
    mul,
    relu,
    relu_backward,
    relu_backward_sums,
    sigmoid,
    sigmoid_backward,
    silu,
    silu_backward,
    sub,
    tanh,
    tanh_backward,
)
from fastconv.backends.numba.layer_norm import layer_norm, layer_norm_backward
from fastconv.backends.numba.layout import copy_columns, copy_format
from fastconv.backends.numba.local_response import local_response, local_response_backward
from fastconv.backends.numba.norm import (
    norm_apply,
    norm_backward,
    norm_statistics,
)
from fastconv.backends.numba.optim import adam_step, sgd_step
from fastconv.backends.numba.pool import (
    avg_pool_backward,
    avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
    max_pool_taps_backward,
    max_pool_taps_forward,
    max_unpool_backward,
    max_unpool_forward,
)
from fastconv.backends.numba.reduce import (
    products,
    running_products,
    running_sums,
    sums,
    sums_of_exps,
    sums_of_products,
    sums_of_squares,
)
from fastconv.backends.numba.resample import resample
from fastconv.backends.numba.softmax import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)
from fastconv.backends.numba.warp import warp

__all__ = [
    "adam_step",
    "add",
    "avg_pool_backward",
    "avg_pool_forward",
    "clamp",
    "clamp_backward",
    "clamp_backward_sums",
    "conv_backward_bias",
    "conv_backward_input_depthwise",
    "conv_backward_input_direct",
    "conv_backward_weight_depthwise",
    "conv_backward_weight_direct",
    "conv_forward_depthwise",
    "conv_forward_direct",
    "copy_columns",
    "copy_format",
    "cross_entropy",
    "cross_entropy_backward",
    "layer_norm",
    "layer_norm_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "leaky_relu_backward_sums",
    "local_response",
    "local_response_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool_backward",
    "max_pool_forward",
    "max_pool_taps_backward",
    "max_pool_taps_forward",
    "max_unpool_backward",
    "max_unpool_forward",
    "mul",
    "norm_apply",
    "norm_backward",
    "norm_statistics",
    "products",
    "relu",
    "relu_backward",
    "relu_backward_sums",
    "resample",
    "running_products",
    "running_sums",
    "sgd_step",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "sub",
    "sums",
    "sums_of_exps",
    "sums_of_products",
    "sums_of_squares",
    "tanh",
    "tanh_backward",
    "warp",
]
