"""The specification: every kernel as plain Python loops with a float64 accumulator.

Nothing here is ever optimised. The other backends are tested against these functions. Notation, per
spatial axis: `o` an output position, `i` an input position, `t` a kernel tap, and

    i = o * stride - pad + t * dilation

where a position outside ``0 <= i < in_size`` reads as zero. Arrays are 5-D, ``(N, C, D, H, W)``,
with any strides. The functions ending in ``_at`` compute one element, so that a large shape can be
checked by sample. The array's memoryview ``data`` is indexed because its elements are Python
floats, hence float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import inf, isnan, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv.backends.kernel import adapted
from fastconv.backends.naive.elementwise import (
    add,
    clamp,
    clamp_backward,
    clamp_backward_sums,
    copy_columns,
    copy_format,
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
from fastconv.backends.naive.layer_norm import layer_norm, layer_norm_backward
from fastconv.backends.naive.local_response import local_response, local_response_backward
from fastconv.backends.naive.norm import (
    norm_apply,
    norm_backward,
    norm_statistics,
)
from fastconv.backends.naive.optim import adam_step, sgd_step
from fastconv.backends.naive.reduce import (
    products,
    running_products,
    running_sums,
    sums,
    sums_of_exps,
    sums_of_products,
    sums_of_squares,
)
from fastconv.backends.naive.resample import resample
from fastconv.backends.naive.softmax import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)
from fastconv.backends.naive.warp import warp
from fastconv.spec import ConvSpec, PoolSpec

Array = NDArray[Any]
Position = tuple[int, int, int]

AXES = (0, 1, 2)
#: float64 sums that float32 results cannot hold are infinite, without a warning.
_quiet = np.errstate(over="ignore", invalid="ignore")


def _positions(size: tuple[int, ...]) -> Iterator[Any]:
    """All index tuples of an array of shape `size`, in C order."""
    return product(*map(range, size))


# --- convolution ---


def _taps_of_output(spec: ConvSpec, axis: int, o: int) -> list[tuple[int, int]]:
    """Pairs ``(t, i)`` that meet in output position `o`."""
    pairs = []
    for t in range(spec.kernel[axis]):
        i = o * spec.stride[axis] - spec.pad[axis] + t * spec.dilation[axis]
        if 0 <= i < spec.in_size[axis]:
            pairs.append((t, i))
    return pairs


def _taps_of_input(spec: ConvSpec, axis: int, i: int) -> list[tuple[int, int]]:
    """Pairs ``(t, o)`` that read input position `i`."""
    pairs = []
    for t in range(spec.kernel[axis]):
        o, remainder = divmod(i + spec.pad[axis] - t * spec.dilation[axis], spec.stride[axis])
        if remainder == 0 and 0 <= o < spec.out_size[axis]:
            pairs.append((t, o))
    return pairs


def _pairs_of_tap(spec: ConvSpec, axis: int, t: int) -> list[tuple[int, int]]:
    """Pairs ``(o, i)`` that meet in kernel tap `t`."""
    pairs = []
    for o in range(spec.out_size[axis]):
        i = o * spec.stride[axis] - spec.pad[axis] + t * spec.dilation[axis]
        if 0 <= i < spec.in_size[axis]:
            pairs.append((o, i))
    return pairs


def conv_forward_at(
    spec: ConvSpec, x: Array, w: Array, bias: Array | None, n: int, k: int, at: Position
) -> float:
    """One output of a convolution.

    ``y[n, k, o] = bias[k] + sum over c, t of x[n, group(k) * C/g + c, i(o, t)] * w[k, c, t]``
    """
    xs, ws = x.data, w.data
    channels = spec.in_channels // spec.groups
    first = k // (spec.out_channels // spec.groups) * channels
    total = 0.0 if bias is None else float(bias[k])
    for taps in product(*(_taps_of_output(spec, axis, at[axis]) for axis in AXES)):
        (td, d), (th, h), (tw, v) = taps
        for c in range(channels):
            total += xs[n, first + c, d, h, v] * ws[k, c, td, th, tw]
    return total


def conv_backward_input_at(
    spec: ConvSpec, grad_out: Array, w: Array, n: int, c: int, at: Position
) -> float:
    """One element of the gradient in the input.

    ``gx[n, c, i] = sum over k in the group of c, and (t, o) with i(o, t) = i, of
    gy[n, k, o] * w[k, c % (C/g), t]``
    """
    gs, ws = grad_out.data, w.data
    group, local = divmod(c, spec.in_channels // spec.groups)
    outputs = spec.out_channels // spec.groups
    total = 0.0
    for taps in product(*(_taps_of_input(spec, axis, at[axis]) for axis in AXES)):
        (td, d), (th, h), (tw, v) = taps
        for k in range(group * outputs, (group + 1) * outputs):
            total += gs[n, k, d, h, v] * ws[k, local, td, th, tw]
    return total


def conv_backward_weight_at(
    spec: ConvSpec, grad_out: Array, x: Array, k: int, c: int, at: Position
) -> float:
    """One element of the gradient in the weight.

    ``gw[k, c, t] = sum over n, o of gy[n, k, o] * x[n, group(k) * C/g + c, i(o, t)]``
    """
    gs, xs = grad_out.data, x.data
    channel = k // (spec.out_channels // spec.groups) * (spec.in_channels // spec.groups) + c
    pairs = [_pairs_of_tap(spec, axis, at[axis]) for axis in AXES]
    total = 0.0
    for n in range(spec.batch):
        for (od, d), (oh, h), (ow, v) in product(*pairs):
            total += gs[n, k, od, oh, ow] * xs[n, channel, d, h, v]
    return total


@_quiet
@adapted("naive", "conv_forward")
def conv_forward(spec: ConvSpec, x: Array, w: Array, bias: Array | None, out: Array) -> None:
    """Convolution of `x` ``spec.x_shape`` with `w` ``spec.w_shape`` into `out` ``spec.y_shape``."""
    for at in _positions(spec.y_shape):
        out[at] = conv_forward_at(spec, x, w, bias, at[0], at[1], at[2:])


@_quiet
@adapted("naive", "conv_backward_input")
def conv_backward_input(spec: ConvSpec, grad_out: Array, w: Array, out: Array) -> None:
    """Gradient in the input, `out` ``spec.x_shape``, from `grad_out` ``spec.y_shape``."""
    for at in _positions(spec.x_shape):
        out[at] = conv_backward_input_at(spec, grad_out, w, at[0], at[1], at[2:])


@_quiet
@adapted("naive", "conv_backward_weight")
def conv_backward_weight(spec: ConvSpec, grad_out: Array, x: Array, out: Array) -> None:
    """Gradient in the weight, `out` ``spec.w_shape``, from `grad_out` ``spec.y_shape``."""
    for at in _positions(spec.w_shape):
        out[at] = conv_backward_weight_at(spec, grad_out, x, at[0], at[1], at[2:])


@_quiet
@adapted("naive", "conv_backward_bias")
def conv_backward_bias(spec: ConvSpec, grad_out: Array, out: Array) -> None:
    """Gradient in the bias, `out` ``(K,)``: the sum of `grad_out` over batch and positions."""
    gs = grad_out.data
    for k in range(spec.out_channels):
        total = 0.0
        for n, d, h, v in _positions((spec.batch, *spec.out_size)):
            total += gs[n, k, d, h, v]
        out[k] = total


# --- pooling ---


def _window(spec: PoolSpec, at: Position) -> list[range]:
    """The input positions, axis by axis, of the window of output `at`."""
    ranges = []
    for axis in AXES:
        start, count, step, _ = map(int, spec.windows[axis][:, at[axis]])
        ranges.append(range(start, start + count * step, step))
    return ranges


def _first(spec: PoolSpec, at: Position) -> Position:
    """The input position that a window without any number above -inf reports."""
    d, h, v = (int(spec.windows[axis][0, at[axis]]) for axis in AXES)
    return d, h, v


def _divisor(spec: PoolSpec, at: Position) -> int:
    """What the sum over the window of output `at` is divided by."""
    if spec.divisor_override is not None:
        return int(spec.divisor_override)
    return prod(int(spec.windows[axis][3, at[axis]]) for axis in AXES)


def _flat(size: tuple[int, ...], at: Position) -> int:
    """Index of position `at` in an array of `size`, flattened in C order."""
    return (at[0] * size[1] + at[1]) * size[2] + at[2]


def _unflat(size: tuple[int, ...], index: int) -> Position:
    """Inverse of `_flat`; IndexError where there is no such position."""
    if not 0 <= index < prod(size):
        raise IndexError(f"index {index} lies outside the array of size {size} it points into")
    rest, v = divmod(index, size[2])
    d, h = divmod(rest, size[1])
    return d, h, v


def max_pool_forward_at(
    spec: PoolSpec, x: Array, n: int, c: int, at: Position
) -> tuple[float, int]:
    """The largest number of one window and its flat index in the input.

    The last NaN wins over any number; a window of nothing but -inf reports its first position.
    """
    xs = x.data
    best, best_at = -inf, _first(spec, at)
    for d, h, v in product(*_window(spec, at)):
        value = xs[n, c, d, h, v]
        if value > best or isnan(value):
            best, best_at = value, (d, h, v)
    return best, _flat(spec.in_size, best_at)


def avg_pool_forward_at(spec: PoolSpec, x: Array, n: int, c: int, at: Position) -> float:
    """The sum of one window over its divisor."""
    xs = x.data
    total = 0.0
    for d, h, v in product(*_window(spec, at)):
        total += xs[n, c, d, h, v]
    return total / _divisor(spec, at)


@adapted("naive", "max_pool_forward")
def max_pool_forward(spec: PoolSpec, x: Array, out: Array, indices: Array) -> None:
    """Maximum of every window into `out`, its flat index in the input into `indices`."""
    for at in _positions(out.shape):
        out[at], indices[at] = max_pool_forward_at(spec, x, at[0], at[1], at[2:])


@_quiet
@adapted("naive", "max_pool_backward")
def max_pool_backward(spec: PoolSpec, grad_out: Array, indices: Array, out: Array) -> None:
    """``out[n, c, indices[n, c, o]] += grad_out[n, c, o]``, zero elsewhere."""
    total = np.zeros(out.shape, np.float64)
    for at in _positions(grad_out.shape):
        d, h, v = _unflat(spec.in_size, int(indices[at]))
        total[at[0], at[1], d, h, v] += grad_out[at]
    out[...] = total


def _tap_of(spec: PoolSpec, at: Position, index: int) -> int:
    """The number of the tap in the window of output `at` that is input `index`."""
    number = 0
    for axis, i in zip(AXES, _unflat(spec.in_size, index), strict=True):
        start, _, step, _ = map(int, spec.windows[axis][:, at[axis]])
        number = number * spec.taps[axis] + ((i - start) // step if step else 0)
    return number


@adapted("naive", "max_pool_taps_forward")
def max_pool_taps_forward(spec: PoolSpec, x: Array, out: Array, taps: Array | None) -> None:
    """Maximum of every window into `out`, the number of its tap in the window into `taps`.

    Taps are numbered ``(kd * KH + kh) * KW + kw`` with (KD, KH, KW) = `spec.taps`.
    """
    for at in _positions(out.shape):
        out[at], index = max_pool_forward_at(spec, x, at[0], at[1], at[2:])
        if taps is not None:
            taps[at] = _tap_of(spec, at[2:], index)


@_quiet
@adapted("naive", "max_pool_taps_backward")
def max_pool_taps_backward(spec: PoolSpec, grad_out: Array, taps: Array, out: Array) -> None:
    """As `max_pool_backward`, from the numbers of the taps."""
    total = np.zeros(out.shape, np.float64)
    for at in _positions(grad_out.shape):
        rest, kw = divmod(int(taps[at]), spec.taps[2])
        kd, kh = divmod(rest, spec.taps[1])
        where = [
            int(spec.windows[axis][0, at[2 + axis]] + k * spec.windows[axis][2, at[2 + axis]])
            for axis, k in zip(AXES, (kd, kh, kw), strict=True)
        ]
        total[at[0], at[1], where[0], where[1], where[2]] += grad_out[at]
    out[...] = total


@_quiet
@adapted("naive", "avg_pool_forward")
def avg_pool_forward(spec: PoolSpec, x: Array, out: Array) -> None:
    """Mean of every window into `out`."""
    for at in _positions(out.shape):
        out[at] = avg_pool_forward_at(spec, x, at[0], at[1], at[2:])


@_quiet
@adapted("naive", "avg_pool_backward")
def avg_pool_backward(spec: PoolSpec, grad_out: Array, out: Array) -> None:
    """``out[n, c, i] += grad_out[n, c, o] / divisor(o)`` for every `i` in the window of `o`."""
    total = np.zeros(out.shape, np.float64)
    for at in _positions(grad_out.shape):
        share = float(grad_out[at]) / _divisor(spec, at[2:])
        for d, h, v in product(*_window(spec, at[2:])):
            total[at[0], at[1], d, h, v] += share
    out[...] = total


def max_unpool_forward(x: Array, indices: Array, out: Array) -> None:
    """``out[n, c, indices[n, c, i]] = x[n, c, i]``, zero elsewhere.

    Of equal indices the last one in C order wins.
    """
    out[...] = 0
    for at in _positions(x.shape):
        d, h, v = _unflat(out.shape[2:], int(indices[at]))
        out[at[0], at[1], d, h, v] = x[at]


def max_unpool_backward(grad_out: Array, indices: Array, out: Array) -> None:
    """``out[n, c, i] = grad_out[n, c, indices[n, c, i]]``."""
    for at in _positions(out.shape):
        d, h, v = _unflat(grad_out.shape[2:], int(indices[at]))
        out[at] = grad_out[at[0], at[1], d, h, v]
