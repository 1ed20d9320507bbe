"""A kernel as large as its input, unpadded: one position, so a linear map of (C, D, H, W) to K.

Weights (K, C, kD, kH, kW) are its matrix as they lie, and the GEMM of a 1x1 convolution with
C·kD·kH·kW channels does the work in all three directions; the image comes and goes as NCHW.
"""

from __future__ import annotations

import math
from typing import Any

from fastconv.backends.c.conv import (
    conv_backward_input_gemm,
    conv_backward_weight_gemm,
    conv_forward_gemm,
)
from fastconv.backends.c.formats import to_contiguous, transpose
from fastconv.backends.c.library import Array, check_same
from fastconv.backends.kernel import Call, Finish, kernel, lifted, lowered
from fastconv.memory import empty
from fastconv.spec import ConvSpec, conv_spec


def _linear(spec: ConvSpec) -> ConvSpec:
    """Geometry of the 1x1 convolution with all of a position's inputs as channels."""
    inputs, outputs = math.prod(spec.x_shape[1:]), spec.out_channels
    return conv_spec((spec.batch, inputs, 1), (outputs, inputs, 1), ndim=1)


@kernel("c", "conv_forward", "whole", finishes=True)
def conv_forward_whole(spec: ConvSpec, dtype: Any, rank: int) -> Call:
    """Convolution forward where the kernel covers the input."""
    if spec.kernel == (1, 1, 1):
        return conv_forward_gemm.prepare(spec, dtype, rank)
    what, linear = "conv_forward_whole", _linear(spec)
    product = conv_forward_gemm.prepare(linear, dtype, 5)
    x_shape, w_shape, y_shape = spec.shapes.get(rank) or spec.shapes[5]

    def call(
        x: Array, w: Array, bias: Array | None = None, out: Array | None = None,
        finish: Finish | None = None, packed: Any = None,
    ) -> Array:  # fmt: skip
        check_same(what, "x", x, x_shape, dtype)
        check_same(what, "w", w, w_shape, dtype)
        if out is not None:
            check_same(what, "out", out, y_shape, dtype)
        if finish is not None:
            finish = (*finish[:2], lifted(finish[2], rank), finish[3])
        flat = to_contiguous(lifted(x, rank)).reshape(linear.x_shape)
        y = product(flat, w.reshape(linear.w_shape), bias, lifted(out, rank), finish)
        return lowered(y, rank) if out is None else out

    return call


@kernel("c", "conv_backward_input", "whole")
def conv_backward_input_whole(spec: ConvSpec, dtype: Any, rank: int) -> Call:
    """Convolution backward input where the kernel covers the input."""
    if spec.kernel == (1, 1, 1):
        return conv_backward_input_gemm.prepare(spec, dtype, rank)
    what, linear = "conv_backward_input_whole", _linear(spec)
    product = conv_backward_input_gemm.prepare(linear, dtype, 5)
    x_shape, w_shape, y_shape = spec.shapes.get(rank) or spec.shapes[5]

    def call(g: Array, w: Array, out: Array | None = None, packed: Any = None) -> Array:
        check_same(what, "grad_out", g, y_shape, dtype)
        check_same(what, "w", w, w_shape, dtype)
        if out is None:
            out = empty(x_shape, dtype, True)
        else:
            check_same(what, "out", out, x_shape, dtype)
        plain = out if out.flags.c_contiguous else empty(x_shape, dtype)
        product(lifted(g, rank), w.reshape(linear.w_shape), plain.reshape(linear.x_shape))
        if plain is not out:
            n, c, *space = spec.x_shape
            transpose(plain, n, c, math.prod(space), lifted(out, rank).transpose(0, 2, 3, 4, 1))
        return out

    return call


@kernel("c", "conv_backward_weight", "whole")
def conv_backward_weight_whole(spec: ConvSpec, dtype: Any, rank: int) -> Call:
    """Convolution backward weight where the kernel covers the input."""
    if spec.kernel == (1, 1, 1):
        return conv_backward_weight_gemm.prepare(spec, dtype, rank)
    what, linear = "conv_backward_weight_whole", _linear(spec)
    product = conv_backward_weight_gemm.prepare(linear, dtype, 5)
    x_shape, w_shape, y_shape = spec.shapes.get(rank) or spec.shapes[5]

    def call(g: Array, x: Array, out: Array | None = None) -> Array:
        check_same(what, "grad_out", g, y_shape, dtype)
        check_same(what, "x", x, x_shape, dtype)
        if out is None:
            out = empty(w_shape, dtype)
        else:
            check_same(what, "out", out, w_shape, dtype)
            if not out.flags.c_contiguous:
                raise ValueError(f"{what}: out must be C-contiguous, got strides {out.strides}")
        flat = to_contiguous(lifted(x, rank)).reshape(linear.x_shape)
        product(lifted(g, rank), flat, out.reshape(linear.w_shape))
        return out

    return call
