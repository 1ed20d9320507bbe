"""Pooling on ndarrays, forward and backward.

The first half takes a ``PoolSpec`` and 5-D arrays: what the graph calls.  The second half takes
PyTorch's arguments and arrays of any spatial rank: what people call.  Results have the memory
format of their input.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv import planner
from fastconv.memory import empty
from fastconv.ops.check import float_arrays, index_array
from fastconv.ops.layout import Array, as_5d, drop_axes, is_channels_last
from fastconv.planner import ready
from fastconv.spec import (
    PoolSpec,
    adaptive_pool_spec,
    as_shape,
    as_tuple,
    at_least,
    check_elements,
    pool_spec,
)

# ---------------------------------------------------------------- on specs


def max_forward(spec: PoolSpec, x: Array) -> tuple[Array, Array]:
    """Maxima (N, C, *out) of x (N, C, *in) and their int64 flat indices into `in`."""
    last = is_channels_last(x)
    out = empty(spec.y_shape, x.dtype, last)
    indices = empty(spec.y_shape, np.int64, last)
    if out.size:
        ready("max_pool_forward", spec, x.dtype, 5)(x, out, indices)
    return out, indices


def max_backward(spec: PoolSpec, g: Array, indices: Array) -> Array:
    """Gradient (N, C, *in) from g (N, C, *out) and the forward's indices."""
    if spec.empty is not None:
        g = np.where(spec.empty, g.dtype.type(0), g)
    out = empty(spec.x_shape, g.dtype, is_channels_last(indices))
    if out.size:
        ready("max_pool_backward", spec, g.dtype, 5)(g, indices, out)
    return out


def max_train(spec: PoolSpec, x: Array, keep: bool) -> tuple[Array, Array | None]:
    """Maxima (N, C, *out) of x, and the bytes that `max_train_backward` needs, if kept.

    x and the maxima have three spatial axes, or all the user's `spec.ndim`; the bytes three.
    """
    return ready("max_pool_taps_forward", spec, x.dtype, x.ndim)(x, keep=keep)  # type: ignore[no-any-return]


def max_train_backward(spec: PoolSpec, g: Array, taps: Array, channels_last: bool) -> Array:
    """Gradient (N, C, *in) from g (N, C, *out) and the forward's taps."""
    if spec.empty is not None:
        g = np.where(spec.empty, g.dtype.type(0), g)
    out = empty(spec.x_shape, g.dtype, channels_last)
    if out.size:
        ready("max_pool_taps_backward", spec, g.dtype, 5)(g, taps, out)
    return out


def tap_positions(spec: PoolSpec, taps: Array) -> Array:
    """The int64 flat indices into `in` of maxima (N, C, *out) whose tap numbers are given."""
    rest, kw = np.divmod(taps.astype(np.int64), spec.taps[2])
    kd, kh = np.divmod(rest, spec.taps[1])
    flat: Any = 0
    for axis, k in enumerate((kd, kh, kw)):
        start, step = (
            spec.windows[axis][i].reshape([-1 if a == axis else 1 for a in range(3)])
            for i in (0, 2)
        )
        flat = flat * spec.in_size[axis] + start + k * step
    return np.ascontiguousarray(flat)


def avg_forward(spec: PoolSpec, x: Array) -> Array:
    """Averages (N, C, *out) of x (N, C, *in); both with all the user's axes, or with five."""
    return ready("avg_pool_forward", spec, x.dtype, x.ndim)(x)  # type: ignore[no-any-return]


def avg_backward(spec: PoolSpec, g: Array, channels_last: bool | None = None) -> Array:
    """Gradient (N, C, *in) from g (N, C, *out)."""
    if channels_last is None:
        channels_last = is_channels_last(g)
    out = empty(spec.x_shape, g.dtype, channels_last)
    if out.size:
        ready("avg_pool_backward", spec, g.dtype, 5)(g, out)
    return out


def lp_forward(spec: PoolSpec, x: Array, p: float, count: int) -> tuple[Array, Array]:
    """Power averages ``s^(1/p)`` (N, C, *out) of x (N, C, *in), and the sums s.

    As in PyTorch, s is `count` (the elements of a full window) times the window's average of
    ``x^p``; a negative s gives NaN. Where p is no whole number it is that of ``|x|^p``. With
    p = inf and -inf the largest and the smallest of ``|x|``, and where they are in place of sums.
    """
    if math.isinf(p):
        sign = x.dtype.type(math.copysign(1, p))
        y, indices = max_forward(spec, sign * np.abs(x))
        return sign * y, indices
    with np.errstate(all="ignore"):
        sums = avg_forward(spec, (x if p.is_integer() else np.abs(x)) ** p)
        sums *= count
        return sums ** (1 / p), sums


def lp_backward(spec: PoolSpec, g: Array, x: Array, sums: Array, p: float, count: int) -> Array:
    """Gradient (N, C, *in): ``g * s^(1/p - 1)`` spread over each window, times ``x^(p - 1)``.

    Where the slope is infinite (p > 1, s = 0) no gradient passes: 0 instead of 0 * inf. `sums` are
    what the forward gave in their place.
    """
    if math.isinf(p):
        return max_backward(spec, g, sums) * np.where(np.isnan(x), 0, np.sign(x))
    with np.errstate(all="ignore"):
        inner = g * sums ** (1 / p - 1) * count
        if p > 1:
            inner = np.where(sums == 0, 0, inner)
        spread = avg_backward(spec, inner.astype(x.dtype, copy=False))
        if p.is_integer():
            return spread * x ** (p - 1)
        return spread * np.copysign(np.abs(x) ** (p - 1), x)


def unpool_forward(x: Array, indices: Array, out_size: tuple[int, int, int]) -> Array:
    """Scatter x (N, C, *in) to its indices (checked by the caller) in zeros (N, C, *out_size)."""
    out = empty((*x.shape[:2], *out_size), x.dtype, is_channels_last(x))
    if out.size:
        planner.kernel("max_unpool_forward")(x, indices, out)
    return out


def unpool_backward(g: Array, indices: Array) -> Array:
    """Gather g (N, C, *out) at the indices: gradient (N, C, *in) of the unpooled input."""
    out = empty(indices.shape, g.dtype, is_channels_last(indices))
    if out.size:
        planner.kernel("max_unpool_backward")(g, indices, out)
    return out


# ---------------------------------------------------------------- on PyTorch's arguments


def _rank(name: str, a: Array) -> int:
    if not 3 <= a.ndim <= 5:
        raise ValueError(f"{name}(): input must have 3 to 5 dimensions, got shape {a.shape}")
    return a.ndim - 2


def _like_output(name: str, spec: PoolSpec, a: Array) -> Array:
    a5 = as_5d(a) if 3 <= a.ndim <= 5 else a
    if a5.shape != spec.y_shape:
        raise ValueError(
            f"{name}(): grad_output and indices must have the output's shape {spec.y_shape} "
            f"(as 5-D), got {a.shape}"
        )
    return a5


def max_pool_forward(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """Max pooling; returns the maxima and their int64 flat indices (PyTorch's ``return_indices``).

    Parameters
    ----------
    x : ndarray, float32 or float64, (N, C, *spatial)
    kernel_size, stride, padding, dilation, ceil_mode
        As ``torch.nn.functional.max_pool2d``.  NaN wins every window it is in.
    """
    name = "max_pool_forward"
    (x,) = float_arrays(name, x=x)
    nd = _rank(name, x)
    spec = pool_spec(x.shape, kernel_size, stride, padding, dilation, ceil_mode, ndim=nd, name=name)
    y, indices = max_forward(spec, as_5d(x))
    return drop_axes(y, nd), drop_axes(indices, nd)


def max_pool_backward(
    grad_output: Array,
    indices: Array,
    input_size: tuple[int, ...],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Array:
    """Gradient of max pooling's input, of shape `input_size` (N, C, *spatial)."""
    name = "max_pool_backward"
    (grad_output,) = float_arrays(name, grad_output=grad_output)
    nd = _rank(name, grad_output)
    spec = pool_spec(
        as_shape(name, "input_size", input_size),
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        ndim=nd,
        name=name,
    )
    indices = index_array(name, "indices", indices, math.prod(spec.in_size))
    g = _like_output(name, spec, grad_output)
    return drop_axes(max_backward(spec, g, _like_output(name, spec, indices)), nd)


def avg_pool_forward(
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Average pooling of x (N, C, *spatial); arguments as ``torch.nn.functional.avg_pool2d``."""
    name = "avg_pool_forward"
    (x,) = float_arrays(name, x=x)
    nd = _rank(name, x)
    spec = pool_spec(
        x.shape, kernel_size, stride, padding, 1, ceil_mode, count_include_pad,
        divisor_override, nd, name,
    )  # fmt: skip
    return drop_axes(avg_forward(spec, as_5d(x)), nd)


def avg_pool_backward(
    grad_output: Array,
    input_size: tuple[int, ...],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Gradient of average pooling's input, of shape `input_size` (N, C, *spatial)."""
    name = "avg_pool_backward"
    (grad_output,) = float_arrays(name, grad_output=grad_output)
    nd = _rank(name, grad_output)
    spec = pool_spec(
        as_shape(name, "input_size", input_size), kernel_size, stride, padding, 1, ceil_mode,
        count_include_pad, divisor_override, nd, name,
    )  # fmt: skip
    return drop_axes(avg_backward(spec, _like_output(name, spec, grad_output)), nd)


def adaptive_avg_pool_forward(x: Array, output_size: Any) -> Array:
    """Adaptive average pooling of x (N, C, *spatial) to `output_size`."""
    name = "adaptive_avg_pool_forward"
    (x,) = float_arrays(name, x=x)
    nd = _rank(name, x)
    spec = adaptive_pool_spec(x.shape, output_size, nd, name)
    return drop_axes(avg_forward(spec, as_5d(x)), nd)


def adaptive_avg_pool_backward(grad_output: Array, input_size: tuple[int, ...]) -> Array:
    """Gradient of adaptive average pooling's input, of shape `input_size` (N, C, *spatial)."""
    name = "adaptive_avg_pool_backward"
    (grad_output,) = float_arrays(name, grad_output=grad_output)
    nd = _rank(name, grad_output)
    spec = adaptive_pool_spec(
        as_shape(name, "input_size", input_size), grad_output.shape[2:], nd, name
    )
    return drop_axes(avg_backward(spec, _like_output(name, spec, grad_output)), nd)


def adaptive_max_pool_forward(x: Array, output_size: Any) -> tuple[Array, Array]:
    """Adaptive max pooling of x (N, C, *spatial): the maxima and their int64 flat indices."""
    name = "adaptive_max_pool_forward"
    (x,) = float_arrays(name, x=x)
    nd = _rank(name, x)
    y, indices = max_forward(adaptive_pool_spec(x.shape, output_size, nd, name), as_5d(x))
    return drop_axes(y, nd), drop_axes(indices, nd)


def adaptive_max_pool_backward(
    grad_output: Array, indices: Array, input_size: tuple[int, ...]
) -> Array:
    """Gradient of adaptive max pooling's input, of shape `input_size` (N, C, *spatial)."""
    name = "adaptive_max_pool_backward"
    (grad_output,) = float_arrays(name, grad_output=grad_output)
    nd = _rank(name, grad_output)
    spec = adaptive_pool_spec(
        as_shape(name, "input_size", input_size), grad_output.shape[2:], nd, name
    )
    indices = index_array(name, "indices", indices, math.prod(spec.in_size))
    g = _like_output(name, spec, grad_output)
    return drop_axes(max_backward(spec, g, _like_output(name, spec, indices)), nd)


def lp_pool_forward(
    x: Array, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Array:
    """Power-average pooling of x (N, C, *spatial): ``(sum over the window of x^p)^(1/p)``.

    As PyTorch's ``lp_pool2d``: a window that `ceil_mode` cuts off counts as a full one, and a
    negative sum gives NaN. Where p is no whole number ``|x|^p`` is summed (there PyTorch gives NaN
    for a negative x); p = inf and -inf give the largest and the smallest ``|x|``.
    """
    name = "lp_pool_forward"
    (x,) = float_arrays(name, x=x)
    spec, p, count = _lp(name, x, norm_type, kernel_size, stride, ceil_mode)
    return drop_axes(lp_forward(spec, as_5d(x), p, count)[0], spec.ndim)


def lp_pool_backward(
    grad_output: Array,
    x: Array,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Array:
    """Gradient of LP pooling's input, of the shape of x (N, C, *spatial)."""
    name = "lp_pool_backward"
    grad_output, x = float_arrays(name, grad_output=grad_output, x=x)
    spec, p, count = _lp(name, x, norm_type, kernel_size, stride, ceil_mode)
    g = _like_output(name, spec, grad_output)
    sums = lp_forward(spec, as_5d(x), p, count)[1]
    return drop_axes(lp_backward(spec, g, as_5d(x), sums, p, count), spec.ndim)


def _lp(
    name: str, x: Array, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> tuple[PoolSpec, float, int]:
    if isinstance(norm_type, bool) or not isinstance(norm_type, (int, float, np.number)):
        raise TypeError(f"{name}(): norm_type must be a number, got {norm_type!r}")
    if norm_type == 0:
        raise ValueError(f"{name}(): norm_type must not be 0")
    nd = _rank(name, x)
    spec = pool_spec(x.shape, kernel_size, stride, 0, 1, ceil_mode, ndim=nd, name=name)
    return spec, float(norm_type), math.prod(as_tuple(name, "kernel_size", kernel_size, nd))


def max_unpool_forward(
    x: Array,
    indices: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Array:
    """Max unpooling of x (N, C, *spatial): partial inverse of max pooling, zeros elsewhere."""
    name = "max_unpool_forward"
    (x,) = float_arrays(name, x=x)
    nd = _rank(name, x)
    size = unpool_size(name, x.shape, kernel_size, stride, padding, output_size)
    indices = index_array(name, "indices", indices, math.prod(size))
    if indices.shape != x.shape:
        raise ValueError(
            f"{name}(): indices must have the input's shape {x.shape}, got {indices.shape}"
        )
    three = (1,) * (3 - nd) + size
    y = unpool_forward(as_5d(x), as_5d(indices), (three[0], three[1], three[2]))
    return drop_axes(y, nd)


def max_unpool_backward(grad_output: Array, indices: Array) -> Array:
    """Gradient of max unpooling's input, of the shape of `indices` (N, C, *spatial)."""
    name = "max_unpool_backward"
    (grad_output,) = float_arrays(name, grad_output=grad_output)
    nd = _rank(name, grad_output)
    indices = index_array(name, "indices", indices, math.prod(grad_output.shape[2:]))
    if indices.ndim != grad_output.ndim or indices.shape[:2] != grad_output.shape[:2]:
        raise ValueError(
            f"{name}(): indices {indices.shape} and grad_output {grad_output.shape} must agree "
            "in rank, batch and channels"
        )
    return drop_axes(unpool_backward(as_5d(grad_output), as_5d(indices)), nd)


def unpool_size(
    name: str,
    shape: tuple[int, ...],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
) -> tuple[int, ...]:
    """Spatial size of max unpooling's output: ``(n - 1) * stride - 2 * padding + kernel_size``.

    `shape` is the input's, (N, C, *spatial). `output_size`, spatial or of the whole output, may
    differ from that by less than one stride, as in PyTorch. A larger one is taken where a pooling
    with a dilation of 2 or more makes `shape` of it, which PyTorch refuses.
    """
    nd, shapes = len(shape) - 2, f"input {shape}"
    if 0 in shape[1:]:
        raise ValueError(f"{name}(): input may be empty only along its batch axis, got {shape}")
    if stride is None or (isinstance(stride, (list, tuple)) and not stride):
        stride = kernel_size
    kernel = as_tuple(name, "kernel_size", kernel_size, nd)
    step = as_tuple(name, "stride", stride, nd)
    pad = as_tuple(name, "padding", padding, nd)
    at_least(name, "kernel_size", kernel, 1, shapes)
    at_least(name, "stride", step, 1, shapes)
    at_least(name, "padding", pad, 0, shapes)
    size = tuple([(n - 1) * s - 2 * p + k for n, s, p, k in zip(shape[2:], step, pad, kernel)])
    if output_size is not None:
        given = as_shape(name, "output_size", output_size)
        wanted = given[2:] if len(given) == nd + 2 else given
        if len(wanted) != nd:
            raise ValueError(
                f"{name}(): output_size must have {nd} or {nd + 2} elements, got {given}"
            )
        at_least(name, "output_size", wanted, 0, shapes)
        axes = zip(wanted, size, shape[2:], kernel, step, pad)
        if not all(abs(w - u) < s or _dilated(w, u, n, k, s, p) for w, u, n, k, s, p in axes):
            raise ValueError(
                f"{name}(): output_size {given} must differ from {size} by less than the "
                f"stride {step} on every axis, or be a size that a dilated pooling with windows "
                f"{kernel} makes the input of ({shapes})"
            )
        size = wanted
    if min(size) < 1:
        raise ValueError(
            f"{name}(): output size {size} is not positive for {shapes}, kernel_size={kernel}, "
            f"stride={step}, padding={pad}"
        )
    check_elements(name, "output", (*shape[:2], *size))
    return size


def _dilated(w: int, u: int, n: int, k: int, s: int, p: int) -> bool:
    """Whether a pooling of w elements with a dilation of 2 or more gives n; u is what 1 needs.

    A dilation of d makes a window d - 1 times k - 1 wider. With ceil_mode the last window may
    reach past the end, but begins before it.
    """
    if k == 1 or w <= u:
        return False
    more = (w - u) // (k - 1) * (k - 1)
    whole = more > 0 and w < u + more + s
    return whole or (w > u + more + k - 1 - s and (n - 1) * s < w + p)
