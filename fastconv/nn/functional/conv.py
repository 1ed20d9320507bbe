"""Convolutions and the fully connected layer."""

from __future__ import annotations

from typing import Any

from ..._grad_mode import mode
from ...functions.conv import ConvTranspose, convolution
from ...functions.conv_late import conv_late
from ...functions.kept import kept
from ...functions.linear import linear as products
from ...spec import conv_spec, conv_transpose_spec, split_batch
from ...tensor import Tensor
from .common import check_floats, check_shape, check_weight, same_floats

CONV_NAMES = {1: "conv1d", 2: "conv2d", 3: "conv3d"}


def _conv(
    ndim: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    name = CONV_NAMES[ndim]
    if not same_floats(input, weight, bias):
        check_floats(name, input=input, weight=weight, bias=bias)
        check_weight(name, weight)
    shape = input._array.shape
    if len(shape) != ndim + 2:
        shape, _ = split_batch(shape, ndim, name)
    spec = conv_spec(shape, weight._array.shape, stride, padding, dilation, groups, ndim, name)
    if bias is not None and bias._array.shape != (spec.out_channels,):
        check_shape(name, "bias", bias, (spec.out_channels,))
    if mode.waits:
        late = conv_late(input, weight, bias, spec)
        if late is not None:
            return late
    return convolution(input, weight, bias, spec)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve (cross-correlate) over one spatial axis.

    Parameters
    ----------
    input : Tensor
        (N, C, L), or (C, L) without a batch; float32 or float64.
    weight : Tensor
        (K, C/groups, kL).
    bias : Tensor, optional
        (K,).
    stride, padding, dilation : int or tuple of int
        padding may also be 'same' (output as long as the input, stride 1 only) or 'valid' (none).
    groups : int

    Returns
    -------
    Tensor
        (N, K, L_out) with L_out = (L + 2 padding - dilation (kL - 1) - 1) // stride + 1.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve (cross-correlate) over two spatial axes: see `conv1d`.

    Parameters
    ----------
    input : Tensor
        (N, C, H, W) or (C, H, W).
    weight : Tensor
        (K, C/groups, kH, kW).
    bias : Tensor, optional
        (K,).
    stride, padding, dilation : int or tuple of int
    groups : int

    Returns
    -------
    Tensor
        (N, K, H_out, W_out), channels-last in memory.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve (cross-correlate) over three spatial axes: see `conv1d`.

    Parameters
    ----------
    input : Tensor
        (N, C, D, H, W) or (C, D, H, W).
    weight : Tensor
        (K, C/groups, kD, kH, kW).
    bias : Tensor, optional
        (K,).
    stride, padding, dilation : int or tuple of int
    groups : int

    Returns
    -------
    Tensor
        (N, K, D_out, H_out, W_out), channels-last in memory.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    ndim: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    name = f"conv_transpose{ndim}d"
    check_floats(name, input=input, weight=weight, bias=bias)
    check_weight(name, weight)
    shape, _ = split_batch(input._array.shape, ndim, name)
    spec = conv_transpose_spec(
        shape, weight._array.shape, stride, padding, output_padding, groups, dilation, ndim, name
    )
    check_shape(name, "bias", bias, (spec.in_channels,))
    return ConvTranspose.apply(input, weight, bias, spec, kept(weight))


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution over one spatial axis: the adjoint of `conv1d`, plus a bias.

    Parameters
    ----------
    input : Tensor
        (N, C_in, L), or (C_in, L) without a batch.
    weight : Tensor
        (C_in, C_out/groups, kL).
    bias : Tensor, optional
        (C_out,).
    stride, padding, output_padding, dilation : int or tuple of int
    groups : int

    Returns
    -------
    Tensor
        (N, C_out, L_out) with L_out = (L - 1) stride - 2 padding + dilation (kL - 1)
        + output_padding + 1.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    return _conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution over two spatial axes: see `conv_transpose1d`."""
    return _conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution over three spatial axes: see `conv_transpose1d`."""
    return _conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x · weightᵀ + bias over the last axis.

    Parameters
    ----------
    input : Tensor
        (*, in_features).
    weight : Tensor
        (out_features, in_features).
    bias : Tensor, optional
        (out_features,).

    Returns
    -------
    Tensor
        (*, out_features).

    Raises
    ------
    ValueError, TypeError
        Naming the argument and the shapes.
    """
    if not same_floats(input, weight, bias):
        check_floats("linear", input=input, weight=weight, bias=bias)
        check_weight("linear", weight)
    x, w = input._array.shape, weight._array.shape
    if len(w) != 2:
        raise ValueError(f"linear(): weight must be (out_features, in_features), got shape {w}")
    if not x or x[-1] != w[1]:
        raise ValueError(
            f"linear(): input of shape {x} does not fit weight of shape {w}: "
            f"its last size must be {w[1]}"
        )
    if bias is not None and bias._array.shape != w[:1]:
        check_shape("linear", "bias", bias, (w[0],))
    return products(input, weight, bias)
