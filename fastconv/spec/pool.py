"""Geometry of a pooling: a table of windows per axis, whatever kind of pooling it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv import caches
from fastconv.caches import cached
from fastconv.spec.arguments import (
    Known,
    Shape5,
    Triple,
    as_bool,
    as_int,
    as_tuple,
    at_least,
    check_elements,
    fail,
    plain,
    three,
)


class PoolSpec:
    """One pooling, as a table of windows; immutable.

    Attributes
    ----------
    ndim, batch, channels : int
    in_size, out_size : tuple of three int
    windows : tuple of three int64 ndarrays, each of shape (4, out_size[axis])
        Rows ``start, count, step, size``.  Output ``o`` sees the input indices
        ``start + step * arange(count)``, already clipped to the input; an average divides by the
        product of ``size`` over the axes.
    divisor_override : int or None
        Divides averages instead of that product.
    x_shape, y_shape : tuple of five int
        (N, C, D, H, W) of the input, (N, C, oD, oH, oW) of the output.
    empty : bool ndarray of `out_size`, or None
        The outputs whose window lies in the padding alone, which dilation can bring about: a
        maximum of nothing is -inf, and no gradient comes back from it. None where there are none.
    window : tuple or None
        What the windows were made from: kernel_size, stride, padding, dilation, ceil_mode,
        count_include_pad. None of adaptive pooling.
    shapes : dict of int to two tuples of int
        Those two by their rank: 5, and with the user's axes only, `ndim` + 2.
    """

    __slots__ = (
        "ndim", "batch", "channels", "in_size", "out_size", "windows", "divisor_override",
        "empty", "x_shape", "y_shape", "shapes", "cache", "window",
    )  # fmt: skip

    def __init__(
        self,
        ndim: int,
        batch: int,
        channels: int,
        in_size: Triple,
        out_size: Triple,
        windows: tuple[np.ndarray, np.ndarray, np.ndarray],
        divisor_override: int | None = None,
        window: tuple[Any, ...] | None = None,
    ) -> None:
        self.ndim = ndim
        self.window = window
        self.batch = batch
        self.channels = channels
        self.in_size = in_size
        self.out_size = out_size
        self.windows = windows
        self.divisor_override = divisor_override
        without = [table[1] == 0 for table in windows]
        self.empty: np.ndarray | None = None
        if any(axis.any() for axis in without):
            self.empty = np.logical_or.outer(np.logical_or.outer(*without[:2]), without[2])
        self.x_shape: Shape5 = (batch, channels, *in_size)
        self.y_shape: Shape5 = (batch, channels, *out_size)
        five = self.x_shape, self.y_shape
        self.shapes: dict[int, Any] = {
            ndim + 2: tuple(s[:2] + s[-ndim:] for s in five),
            5: five,
        }
        self.cache: dict[Any, Any] = {}

    @property
    def numbered(self) -> bool:
        """Whether a byte can number the elements of a window; else flat indices are kept."""
        found = self.cache.get("numbered")
        if found is None:
            found = self.cache["numbered"] = math.prod(self.taps) <= 256
        return found  # type: ignore[no-any-return]

    @property
    def taps(self) -> Triple:
        """The largest number of inputs in a window, by axis."""
        found = self.cache.get("taps")
        if found is None:
            d, h, w = (int(table[1].max(initial=1)) for table in self.windows)
            found = self.cache["taps"] = (d, h, w)
        return found  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        nd = self.ndim
        return (
            f"PoolSpec(pool{nd}d, x={self.x_shape[:2] + self.in_size[-nd:]}, "
            f"y={self.y_shape[:2] + self.out_size[-nd:]})"
        )


def _pool_input(name: str, x_shape: tuple[int, ...], ndim: int) -> None:
    if len(x_shape) != ndim + 2:
        fail(name, f"input must have {ndim + 2} dimensions with its batch, got {x_shape}")
    if 0 in x_shape[1:]:
        fail(name, f"input may be empty only along its batch axis, got {x_shape}")
    check_elements(name, "input", x_shape)


def pool_spec(
    x_shape: tuple[int, ...],
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    ndim: int = 2,
    name: str = "max_pool2d",
) -> PoolSpec:
    """Validate a max, average or LP pooling and return its windows.

    Parameters
    ----------
    x_shape : tuple of int
        (N, C, *spatial), with the batch axis.
    kernel_size, stride, padding, dilation : int or tuple of `ndim` ints
        `stride` None (or empty) means `kernel_size`; `padding` at most half the kernel.
    ceil_mode : bool
        Round the output size up, as long as the last window starts inside the input or its left
        padding.
    count_include_pad : bool
        Whether padding counts in an average's divisor.
    divisor_override : int, optional
        Divides averages instead.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    key: Any = (
        x_shape, id(kernel_size), id(stride), id(padding), id(dilation), id(ceil_mode),
        id(count_include_pad), id(divisor_override), ndim,
    )  # fmt: skip
    try:
        return _known[key][0]  # type: ignore[no-any-return]
    except (KeyError, TypeError):  # not known yet; a list in place of a tuple
        x_shape = tuple(x_shape)
        key = x_shape, *key[1:]
    arguments = (
        kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, divisor_override
    )  # fmt: skip
    if stride is None or (isinstance(stride, (list, tuple)) and not stride):
        stride = kernel_size
    if divisor_override is not None:
        divisor_override = as_int(name, "divisor_override", divisor_override)
    spec = _pool_spec(
        x_shape, plain(name, "kernel_size", kernel_size), plain(name, "stride", stride),
        plain(name, "padding", padding), plain(name, "dilation", dilation),
        as_bool(name, "ceil_mode", ceil_mode),
        as_bool(name, "count_include_pad", count_include_pad), divisor_override, ndim, name,
    )  # fmt: skip
    return _known.remember(key, spec, *arguments)  # type: ignore[no-any-return]


_known = Known()


@cached(1024)
def _pool_spec(
    x_shape: tuple[int, ...],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    ndim: int,
    name: str,
) -> PoolSpec:
    shapes = f"input {x_shape}"
    _pool_input(name, x_shape, ndim)
    kernel = as_tuple(name, "kernel_size", kernel_size, ndim)
    at_least(name, "kernel_size", kernel, 1, shapes)
    stride_ = at_least(name, "stride", as_tuple(name, "stride", stride, ndim), 1, shapes)
    pad = at_least(name, "padding", as_tuple(name, "padding", padding, ndim), 0, shapes)
    dilation_ = at_least(name, "dilation", as_tuple(name, "dilation", dilation, ndim), 1, shapes)
    if divisor_override is not None and not 0 < abs(divisor_override) < 2**63:
        fail(name, f"divisor_override must not be 0 and fit 64 bits, got {divisor_override}")
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation_, kernel))
    if any(p > k // 2 for p, k in zip(pad, kernel)):
        fail(name, f"padding={pad} must be at most half of kernel_size={kernel} ({shapes})")
    outs = []
    for n, s, p, span in zip(x_shape[2:], stride_, pad, spans):
        room = n + 2 * p - span
        out = (room + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (out - 1) * s >= n + p:
            out -= 1
        if out < 1:
            fail(
                name,
                f"kernel_size={kernel} with dilation={dilation_} is larger than the padded "
                f"input: output size {out} ({shapes}, padding={pad})",
            )
        outs.append(out)
    check_elements(name, "output", (*x_shape[:2], *outs))
    windows = [
        _windows(n, out, k, s, p, d, count_include_pad)
        for n, out, k, s, p, d in zip(x_shape[2:], outs, kernel, stride_, pad, dilation_)
    ]
    return PoolSpec(
        ndim, x_shape[0], x_shape[1], three(x_shape[2:], 1), three(tuple(outs), 1),
        _three_windows(windows), divisor_override,
        (kernel, stride_, pad, dilation_, ceil_mode, count_include_pad),
    )  # fmt: skip


def _windows(n: int, out: int, k: int, s: int, p: int, d: int, include_pad: bool) -> np.ndarray:
    """Rows start, count, step, size of each output's window on an axis of n inputs."""
    first = np.arange(out, dtype=np.int64) * s - p
    skip = np.maximum(0, -(first // d))  # taps that fall into the padding before the input
    start = first + skip * d
    stop = np.minimum(first + d * (k - 1) + 1, n)
    count = np.maximum(0, (stop - start + d - 1) // d)
    start = np.minimum(start, n - 1)  # a window without elements still has a valid index
    size = np.minimum(first + k, n + p) - first if include_pad else count
    return _frozen(np.stack([start, count, np.full(out, d, dtype=np.int64), size]))


def _frozen(table: np.ndarray) -> np.ndarray:
    table = np.ascontiguousarray(table, dtype=np.int64)
    table.flags.writeable = False
    caches.count(table)
    return table


_UNIT_WINDOW = _frozen(np.array([[0], [1], [1], [1]]))


def _three_windows(windows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, c = [_UNIT_WINDOW] * (3 - len(windows)) + windows
    return (a, b, c)


def adaptive_pool_spec(
    x_shape: tuple[int, ...], output_size: Any, ndim: int = 2, name: str = "adaptive_avg_pool2d"
) -> PoolSpec:
    """Validate an adaptive pooling: window ``o`` is ``[floor(o*n/out), ceil((o+1)*n/out))``.

    Parameters
    ----------
    x_shape : tuple of int
        (N, C, *spatial), with the batch axis.
    output_size : int, None, or tuple of them
        None keeps the input's size on that axis.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    x_shape = tuple(x_shape)
    _pool_input(name, x_shape, ndim)
    many = isinstance(output_size, (tuple, list)) or getattr(output_size, "shape", ()) != ()
    wanted = tuple(output_size) if many else (output_size,) * ndim
    if len(wanted) != ndim:
        fail(name, f"output_size must have {ndim} elements, got {output_size} for {x_shape}")
    outs = tuple(
        n if v is None else as_int(name, "output_size", v) for n, v in zip(x_shape[2:], wanted)
    )
    return _adaptive_pool_spec(x_shape, outs, ndim, name)


@cached(1024)
def _adaptive_pool_spec(
    x_shape: tuple[int, ...], outs: tuple[int, ...], ndim: int, name: str
) -> PoolSpec:
    at_least(name, "output_size", outs, 1, f"input {x_shape}")
    check_elements(name, "output", (*x_shape[:2], *outs))
    windows = []
    for n, out in zip(x_shape[2:], outs):
        o = np.arange(out, dtype=np.int64)
        step, rest = divmod(n, out)  # o * n // out, without a product as large as that
        start = o * step + o * rest // out
        count = (o + 1) * step - ((o + 1) * -rest // out) - start
        windows.append(_frozen(np.stack([start, count, np.ones_like(o), count])))
    return PoolSpec(
        ndim, x_shape[0], x_shape[1], three(x_shape[2:], 1), three(outs, 1),
        _three_windows(windows),
    )  # fmt: skip
