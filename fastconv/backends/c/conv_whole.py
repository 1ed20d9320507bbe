"""A kernel as large as its input, unpadded: one position, so a linear map of (C, D, H, W) to K.

Weights (K, C, kD, kH, kW) are its matrix as they lie, and the GEMM of a 1x1 convolution with
C·kD·kH·kW channels does the work in all three directions; the image comes and goes as NCHW.
"""

from __future__ import annotations

import math

from fastconv.backends.c.conv import (
    conv_backward_input_gemm,
    conv_backward_weight_gemm,
    conv_forward_gemm,
)
from fastconv.backends.c.formats import to_contiguous, transpose
from fastconv.backends.c.library import Array, check_same
from fastconv.memory import empty
from fastconv.spec import ConvSpec, conv_spec


def _linear(spec: ConvSpec) -> ConvSpec:
    """Geometry of the 1x1 convolution with all of a position's inputs as channels."""
    kept: ConvSpec | None = spec.cache.get("whole")
    if kept is None:
        inputs, outputs = math.prod(spec.x_shape[1:]), spec.out_channels
        kept = conv_spec((spec.batch, inputs, 1), (outputs, inputs, 1), ndim=1)
        spec.cache["whole"] = kept
    return kept


def conv_forward_whole(spec: ConvSpec, x: Array, w: Array, bias: Array | None, out: Array) -> None:
    """Convolution forward where the kernel covers the input: x, w, bias or None -> out."""
    what, linear = "conv_forward_whole", _linear(spec)
    check_same(what, "x", x, spec.x_shape, x.dtype)
    check_same(what, "w", w, spec.w_shape, x.dtype)
    check_same(what, "out", out, spec.y_shape, x.dtype)
    flat = to_contiguous(x).reshape(linear.x_shape)
    conv_forward_gemm(linear, flat, w.reshape(linear.w_shape), bias, out)


def conv_backward_input_whole(spec: ConvSpec, grad_out: Array, w: Array, out: Array) -> None:
    """Convolution backward input where the kernel covers the input: grad_out, w -> out."""
    what, linear = "conv_backward_input_whole", _linear(spec)
    check_same(what, "grad_out", grad_out, spec.y_shape, grad_out.dtype)
    check_same(what, "w", w, spec.w_shape, grad_out.dtype)
    check_same(what, "out", out, spec.x_shape, grad_out.dtype)
    plain = out if out.flags.c_contiguous else empty(out.shape, out.dtype)
    flat = plain.reshape(linear.x_shape)
    conv_backward_input_gemm(linear, grad_out, w.reshape(linear.w_shape), flat)
    if plain is not out:
        n, c, *space = out.shape
        transpose(plain, n, c, math.prod(space), out.transpose(0, 2, 3, 4, 1))


def conv_backward_weight_whole(spec: ConvSpec, grad_out: Array, x: Array, out: Array) -> None:
    """Convolution backward weight where the kernel covers the input: grad_out, x -> out."""
    what, linear = "conv_backward_weight_whole", _linear(spec)
    check_same(what, "grad_out", grad_out, spec.y_shape, x.dtype)
    check_same(what, "x", x, spec.x_shape, x.dtype)
    check_same(what, "out", out, spec.w_shape, x.dtype)
    if not out.flags.c_contiguous:
        raise ValueError(f"{what}: out must be C-contiguous, got strides {out.strides}")
    flat = to_contiguous(x).reshape(linear.x_shape)
    conv_backward_weight_gemm(linear, grad_out, flat, out.reshape(linear.w_shape))
