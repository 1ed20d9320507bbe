"""Convolution on ndarrays, in its three directions and the bias; the transposed convolution too.

The first half takes a ``ConvSpec`` and 5-D arrays: what the graph calls.  The second half takes
PyTorch's arguments and arrays of any spatial rank: what people call.
"""

from __future__ import annotations

from typing import Any

from fastconv.memory import empty
from fastconv.ops import epilogue
from fastconv.ops.check import float_arrays
from fastconv.ops.layout import Array, as_5d, drop_axes, is_channels_last
from fastconv.planner import ready
from fastconv.spec import ConvSpec, as_shape, conv_spec, conv_transpose_spec

# ---------------------------------------------------------------- on specs


def forward(
    spec: ConvSpec,
    x: Array,
    w: Array,
    b: Array | None = None,
    channels_last: bool | None = True,
    activation: tuple[float, float] = epilogue.NONE,
    residual: Array | None = None,
    packed: Any = None,
    coef: Array | None = None,
) -> Array:
    """y (N, K, *out) = x (N, C, *in) convolved with w (K, C/groups, *kernel), plus b (K,).

    All of them have three spatial axes, or all the user's `spec.ndim`.

    Then, if given, y becomes (y - centre) * scale + shift with coef (3, K), a residual (N, K, *out)
    is added and an activation (slope below zero, upper limit) applied. `packed`: where packed forms
    of w are kept (fastconv.packed.Packed).
    """
    finish = None
    if residual is not None or coef is not None or activation != epilogue.NONE:
        finish = *activation, residual, coef
    out = None if channels_last else _result(spec, 2, x, channels_last)
    return ready("conv_forward", spec, x.dtype, x.ndim)(x, w, b, out, finish, packed)  # type: ignore[no-any-return]


def _result(spec: ConvSpec, which: int, operand: Array, channels_last: bool | None) -> Array:
    """Memory for x (0) or y (2), in the format of the operand where `channels_last` is None."""
    last = is_channels_last(operand) if channels_last is None else channels_last
    return empty(spec.shapes[operand.ndim][which], operand.dtype, last)


def backward_input(
    spec: ConvSpec,
    g: Array,
    w: Array,
    b: Array | None = None,
    channels_last: bool | None = True,
    packed: Any = None,
) -> Array:
    """Gradient (N, C, *in) of the input from g (N, K, *out), plus b (C,) if given.

    With a bias it is the forward pass of a transposed convolution. Axes and `packed` as for
    `forward`.
    """
    out = None if channels_last else _result(spec, 0, g, channels_last)
    out = ready("conv_backward_input", spec, g.dtype, g.ndim)(g, w, out, packed=packed)
    if b is not None:
        out += b.reshape(-1, *(1,) * (g.ndim - 2))
    return out


def backward_weight(spec: ConvSpec, g: Array, x: Array) -> Array:
    """Gradient (K, C/groups, *kernel) of the weight from g (N, K, *out) and x (N, C, *in).

    All of them have three spatial axes, or all the user's.
    """
    return ready("conv_backward_weight", spec, x.dtype, g.ndim)(g, x)  # type: ignore[no-any-return]


def backward_bias(spec: ConvSpec, g: Array) -> Array:
    """Gradient (K,) of the bias: the sum of g (N, K, *out) over all but its channels."""
    return ready("conv_backward_bias", spec, g.dtype, g.ndim)(g)  # type: ignore[no-any-return]


# ---------------------------------------------------------------- on PyTorch's arguments


def _rank(name: str, argument: str, a: Array) -> int:
    if not 3 <= a.ndim <= 5:
        raise ValueError(f"{name}(): {argument} must have 3 to 5 dimensions, got shape {a.shape}")
    return a.ndim - 2


def _check_bias(name: str, bias: Array, channels: int) -> None:
    if bias.shape != (channels,):
        raise ValueError(f"{name}(): bias must have shape ({channels},), got {bias.shape}")


def _check_shape(name: str, argument: str, a: Array, wanted: tuple[int, ...]) -> None:
    if a.shape != wanted:
        raise ValueError(f"{name}(): {argument} must have shape {wanted}, got {a.shape}")


def conv_forward(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    activation: Any = None,
    residual: Array | None = None,
) -> Array:
    """Convolve (cross-correlate) in 1, 2 or 3 dimensions, as the rank of `x` says.

    Parameters
    ----------
    x : ndarray, float32 or float64, (N, C, *spatial)
    weight : ndarray, same dtype, (K, C/groups, *kernel)
    bias : ndarray, same dtype, (K,), optional
    stride, padding, dilation, groups
        As ``torch.nn.functional.conv2d``; padding may be ``'same'`` or ``'valid'``.
    activation : {None, 'relu', 'relu6', 'leaky_relu', ('leaky_relu', slope)}
        Applied to the result, after the residual.
    residual : ndarray, same dtype, (N, K, *out), optional
        Added to the result.

    Returns
    -------
    ndarray, (N, K, *out), in the memory format of `x`

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    name = "conv_forward"
    x, weight, bias, residual = float_arrays(name, x=x, weight=weight, bias=bias, residual=residual)
    ndim = _rank(name, "x", x)
    spec = conv_spec(x.shape, weight.shape, stride, padding, dilation, groups, ndim, name)
    if bias is not None:
        _check_bias(name, bias, spec.out_channels)
    act = epilogue.activation_of(name, activation)
    extra = None if residual is None else as_5d(residual)
    if extra is not None:
        _check_shape(name, "residual (as 5-D)", extra, spec.y_shape)
    y = forward(spec, as_5d(x), as_5d(weight), bias, None, act, extra)
    return drop_axes(y, ndim)


def conv_backward_input(
    grad_output: Array,
    weight: Array,
    input_size: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Array:
    """Gradient of a convolution's input.

    Parameters
    ----------
    grad_output : ndarray, (N, K, *out)
    weight : ndarray, same dtype, (K, C/groups, *kernel)
    input_size : tuple of int
        Shape (N, C, *spatial) of the convolution's input.

    Returns
    -------
    ndarray, `input_size`, in the memory format of `grad_output`

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    name = "conv_backward_input"
    grad_output, weight = float_arrays(name, grad_output=grad_output, weight=weight)
    ndim = _rank(name, "grad_output", grad_output)
    spec = conv_spec(
        as_shape(name, "input_size", input_size),
        weight.shape,
        stride,
        padding,
        dilation,
        groups,
        ndim,
        name,
    )
    g = as_5d(grad_output)
    _check_shape(name, "grad_output (as 5-D)", g, spec.y_shape)
    return drop_axes(backward_input(spec, g, as_5d(weight), None, None), ndim)


def conv_backward_weight(
    grad_output: Array,
    x: Array,
    weight_size: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Array:
    """Gradient of a convolution's weight.

    Parameters
    ----------
    grad_output : ndarray, (N, K, *out)
    x : ndarray, same dtype, (N, C, *spatial)
    weight_size : tuple of int
        Shape (K, C/groups, *kernel) of the weight.

    Returns
    -------
    ndarray, `weight_size`, C-contiguous

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    name = "conv_backward_weight"
    grad_output, x = float_arrays(name, grad_output=grad_output, x=x)
    ndim = _rank(name, "x", x)
    spec = conv_spec(
        x.shape,
        as_shape(name, "weight_size", weight_size),
        stride,
        padding,
        dilation,
        groups,
        ndim,
        name,
    )
    g = as_5d(grad_output) if grad_output.ndim == x.ndim else grad_output
    _check_shape(name, "grad_output (as 5-D)", g, spec.y_shape)
    return drop_axes(backward_weight(spec, g, as_5d(x)), ndim)


def conv_backward_bias(grad_output: Array) -> Array:
    """Gradient (K,) of a convolution's bias from `grad_output` (N, K, *out)."""
    name = "conv_backward_bias"
    (grad_output,) = float_arrays(name, grad_output=grad_output)
    _rank(name, "grad_output", grad_output)
    g = as_5d(grad_output)
    n, k = g.shape[:2]
    size = (g.shape[2], g.shape[3], g.shape[4])
    return backward_bias(ConvSpec(3, n, 1, k, 1, size, size, (1, 1, 1)), g)


def conv_transpose_forward(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Array:
    """Transposed convolution: the adjoint of ``conv_forward``, plus a bias.

    Parameters
    ----------
    x : ndarray, float32 or float64, (N, C_in, *spatial)
    weight : ndarray, same dtype, (C_in, C_out/groups, *kernel)
    bias : ndarray, same dtype, (C_out,), optional
    stride, padding, output_padding, groups, dilation
        As ``torch.nn.functional.conv_transpose2d``.

    Returns
    -------
    ndarray, (N, C_out, *out), in the memory format of `x`

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    name = "conv_transpose_forward"
    x, weight, bias = float_arrays(name, x=x, weight=weight, bias=bias)
    ndim = _rank(name, "x", x)
    spec = conv_transpose_spec(
        x.shape, weight.shape, stride, padding, output_padding, groups, dilation, ndim, name
    )
    if bias is not None:
        _check_bias(name, bias, spec.in_channels)
    return drop_axes(backward_input(spec, as_5d(x), as_5d(weight), bias, None), ndim)
