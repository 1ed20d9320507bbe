"""Geometry of a convolution or a pooling, normalised and validated once.

Every geometric ``ValueError`` and ``TypeError`` of the package is raised here, in Python integers
(which cannot overflow), with the argument's name, its value and the shapes.  Past this file all
geometry has three spatial axes: 1-D and 2-D problems have leading axes of size one.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np

Triple = tuple[int, int, int]
Shape5 = tuple[int, int, int, int, int]

#: No array may hold more elements than this: byte sizes of float64 stay below 2**63.
MAX_ELEMENTS = 2**60 - 1


class ConvSpec:
    """One convolution ``y = conv(x, w)``; immutable and hashable.

    Attributes
    ----------
    ndim : int
        Spatial rank the user sees (1, 2 or 3).
    batch, in_channels, out_channels, groups : int
        N, C, K and the number of groups.
    in_size, out_size, kernel, stride, pad, dilation : tuple of three int
        Per axis (D, H, W).  ``pad`` is the padding before the first element; the padding after the
        last one is whatever ``out_size`` implies: kernels read zero at every index outside the input.
        ``out_size`` is authoritative, since ``output_padding`` may ask for more than the formula gives.
    """

    __slots__ = (
        "ndim", "batch", "in_channels", "out_channels", "groups", "in_size", "out_size",
        "kernel", "stride", "pad", "dilation", "cache", "_key", "_hash",
    )  # fmt: skip

    def __init__(
        self,
        ndim: int,
        batch: int,
        in_channels: int,
        out_channels: int,
        groups: int,
        in_size: Triple,
        out_size: Triple,
        kernel: Triple,
        stride: Triple = (1, 1, 1),
        pad: Triple = (0, 0, 0),
        dilation: Triple = (1, 1, 1),
    ) -> None:
        self.ndim = ndim
        self.batch = batch
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.groups = groups
        self.in_size = in_size
        self.out_size = out_size
        self.kernel = kernel
        self.stride = stride
        self.pad = pad
        self.dilation = dilation
        #: What backends and the planner derive from the geometry and want to keep with it.
        self.cache: dict[Any, Any] = {}
        self._key = (
            ndim, batch, in_channels, out_channels, groups,
            in_size, out_size, kernel, stride, pad, dilation,
        )  # fmt: skip
        self._hash = hash(self._key)

    @property
    def x_shape(self) -> Shape5:
        """(N, C, D, H, W) of the input."""
        return (self.batch, self.in_channels, *self.in_size)

    @property
    def w_shape(self) -> Shape5:
        """(K, C/groups, kD, kH, kW) of the weight."""
        return (self.out_channels, self.in_channels // self.groups, *self.kernel)

    @property
    def y_shape(self) -> Shape5:
        """(N, K, oD, oH, oW) of the output."""
        return (self.batch, self.out_channels, *self.out_size)

    @property
    def depth(self) -> int:
        """Products summed into one output element: C/groups times taps."""
        return self.in_channels // self.groups * math.prod(self.kernel)

    @property
    def flops(self) -> int:
        """Two per product of the direct algorithm, the same in all three directions."""
        return 2 * self.batch * self.out_channels * math.prod(self.out_size) * self.depth

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, ConvSpec) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        nd = self.ndim
        return (
            f"ConvSpec(conv{nd}d, x={self.x_shape[:2] + self.in_size[-nd:]}, "
            f"w={self.w_shape[:2] + self.kernel[-nd:]}, y={self.y_shape[:2] + self.out_size[-nd:]}, "
            f"stride={self.stride[-nd:]}, pad={self.pad[-nd:]}, "
            f"dilation={self.dilation[-nd:]}, groups={self.groups})"
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
    """

    __slots__ = (
        "ndim", "batch", "channels", "in_size", "out_size", "windows", "divisor_override", "cache",
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
    ) -> None:
        self.ndim = ndim
        self.batch = batch
        self.channels = channels
        self.in_size = in_size
        self.out_size = out_size
        self.windows = windows
        self.divisor_override = divisor_override
        self.cache: dict[Any, Any] = {}

    @property
    def x_shape(self) -> Shape5:
        """(N, C, D, H, W) of the input."""
        return (self.batch, self.channels, *self.in_size)

    @property
    def y_shape(self) -> Shape5:
        """(N, C, oD, oH, oW) of the output."""
        return (self.batch, self.channels, *self.out_size)

    def __repr__(self) -> str:
        nd = self.ndim
        return (
            f"PoolSpec(pool{nd}d, x={self.x_shape[:2] + self.in_size[-nd:]}, "
            f"y={self.y_shape[:2] + self.out_size[-nd:]})"
        )


# ---------------------------------------------------------------- arguments


def _fail(name: str, text: str) -> NoReturn:
    raise ValueError(f"{name}(): {text}")


def as_int(name: str, argument: str, value: Any) -> int:
    """Return `value` as a Python int; TypeError for anything that is not an integer."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}(): {argument} must be an int, got {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name}(): {argument} must be an int, got {value!r} of type {type(value).__name__}"
        ) from None


def as_tuple(name: str, argument: str, value: Any, ndim: int) -> tuple[int, ...]:
    """Return `value` (an int, or a sequence of 1 or `ndim` ints) as a tuple of `ndim` ints."""
    if isinstance(value, (str, bytes)) or not (
        hasattr(value, "__index__") or isinstance(value, Iterable)
    ):
        raise TypeError(
            f"{name}(): {argument} must be an int or a tuple of {ndim} ints, got {value!r}"
        )
    if isinstance(value, Iterable) and np.ndim(value) > 0:  # type: ignore[arg-type]
        items = tuple(as_int(name, argument, v) for v in value)
        if len(items) == 1:
            items *= ndim
        if len(items) != ndim:
            _fail(name, f"{argument} must have 1 or {ndim} elements, got {len(items)}: {items}")
        return items
    return (as_int(name, argument, value),) * ndim


def _at_least(
    name: str, argument: str, values: tuple[int, ...], least: int, shapes: str
) -> tuple[int, ...]:
    if any(v < least for v in values):
        word = "positive" if least == 1 else "non-negative"
        _fail(name, f"{argument} must be {word}, got {values} for {shapes}")
    return values


def _three(values: tuple[int, ...], fill: int) -> Triple:
    out = (fill,) * (3 - len(values)) + tuple(values)
    return (out[0], out[1], out[2])


def _check_elements(name: str, what: str, shape: tuple[int, ...]) -> None:
    if math.prod(shape) > MAX_ELEMENTS:
        _fail(name, f"{what} of shape {shape} would have more than 2**60 elements")


def split_batch(x_shape: Iterable[int], ndim: int, name: str) -> tuple[tuple[int, ...], bool]:
    """Return the batched shape of an input and whether it came without its batch axis.

    Raises
    ------
    ValueError
        If the rank is neither ``ndim + 1`` (unbatched) nor ``ndim + 2``.
    """
    shape = tuple(x_shape)
    if len(shape) == ndim + 2:
        return shape, False
    if len(shape) == ndim + 1:
        return (1, *shape), True
    _fail(
        name,
        f"input must have {ndim + 1} dimensions (unbatched) or {ndim + 2} (batched), "
        f"got {len(shape)}: {shape}",
    )


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, np.ndarray)) and np.ndim(value) else value


# ---------------------------------------------------------------- convolution


def conv_spec(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    ndim: int = 2,
    name: str = "",
) -> ConvSpec:
    """Validate a convolution and return its geometry.

    Parameters
    ----------
    x_shape : tuple of int
        (N, C, *spatial), with the batch axis.
    w_shape : tuple of int
        (K, C/groups, *kernel).
    stride, dilation : int or tuple of `ndim` ints
    padding : int, tuple of `ndim` ints, ``'same'`` or ``'valid'``
        ``'same'`` needs stride 1; where the total is odd the extra element goes at the end.
    groups : int
    ndim : {1, 2, 3}
    name : str
        The function to name in error messages.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    try:
        return _conv_spec(
            tuple(x_shape), tuple(w_shape), _hashable(stride), _hashable(padding),
            _hashable(dilation), groups, ndim, name or f"conv{ndim}d",
        )  # fmt: skip
    except TypeError as error:
        if "unhashable" in str(error):
            raise TypeError(
                f"{name or f'conv{ndim}d'}(): stride, padding, dilation and groups must be ints or "
                f"tuples of ints, got {stride!r}, {padding!r}, {dilation!r}, {groups!r}"
            ) from None
        raise


@lru_cache(maxsize=4096, typed=True)
def _conv_spec(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    ndim: int,
    name: str,
) -> ConvSpec:
    shapes = f"input {x_shape}, weight {w_shape}"
    _check_ranks(name, x_shape, w_shape, ndim)
    stride_ = _at_least(name, "stride", as_tuple(name, "stride", stride, ndim), 1, shapes)
    dilation_ = _at_least(name, "dilation", as_tuple(name, "dilation", dilation, ndim), 1, shapes)
    groups = as_int(name, "groups", groups)
    channels, outs = x_shape[1], w_shape[0]
    if groups < 1:
        _fail(name, f"groups must be positive, got {groups} for {shapes}")
    if outs % groups:
        _fail(name, f"groups={groups} must divide the {outs} output channels of {shapes}")
    if channels != w_shape[1] * groups:
        _fail(
            name,
            f"input has {channels} channels, but weight {w_shape} with groups={groups} "
            f"needs {w_shape[1] * groups} ({shapes})",
        )
    size, kernel = x_shape[2:], w_shape[2:]
    if isinstance(padding, str):
        if padding == "valid":
            before = after = (0,) * ndim
        elif padding == "same":
            if any(s != 1 for s in stride_):
                _fail(name, f"padding='same' needs stride 1, got stride={stride_} for {shapes}")
            total = tuple(d * (k - 1) for d, k in zip(dilation_, kernel))
            before = tuple(t // 2 for t in total)
            after = tuple(t - b for t, b in zip(total, before))
        else:
            _fail(name, f"padding must be 'same', 'valid' or ints, got {padding!r}")
    else:
        before = after = _at_least(
            name, "padding", as_tuple(name, "padding", padding, ndim), 0, shapes
        )
    out = []
    for n, k, s, d, b, a in zip(size, kernel, stride_, dilation_, before, after):
        room = n + b + a - (d * (k - 1) + 1)
        if room < 0:
            _fail(
                name,
                f"kernel {kernel} with dilation={dilation_} is larger than the padded input "
                f"{tuple(i + p + q for i, p, q in zip(size, before, after))} ({shapes}, "
                f"padding={padding!r})",
            )
        out.append(room // s + 1)
    _check_elements(name, "output", (x_shape[0], outs, *out))
    return ConvSpec(
        ndim, x_shape[0], channels, outs, groups, _three(size, 1), _three(tuple(out), 1),
        _three(kernel, 1), _three(stride_, 1), _three(before, 0), _three(dilation_, 1),
    )  # fmt: skip


def _check_ranks(name: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...], ndim: int) -> None:
    if len(x_shape) != ndim + 2:
        _fail(name, f"input must have {ndim + 2} dimensions with its batch, got {x_shape}")
    if len(w_shape) != ndim + 2:
        _fail(name, f"weight must have {ndim + 2} dimensions, got {w_shape} for input {x_shape}")
    if 0 in x_shape[1:]:
        _fail(name, f"input may be empty only along its batch axis, got {x_shape}")
    if 0 in w_shape:
        _fail(name, f"weight must not be empty, got {w_shape} for input {x_shape}")
    _check_elements(name, "input", x_shape)
    _check_elements(name, "weight", w_shape)


def conv_transpose_spec(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    ndim: int = 2,
    name: str = "",
) -> ConvSpec:
    """Validate a transposed convolution and return the convolution it is the adjoint of.

    The returned spec's ``y`` is the transposed convolution's input (K = its input channels) and the
    spec's ``x`` is its output, of size ``(n - 1) * stride - 2 * padding + dilation * (k - 1) +
    output_padding + 1`` per axis.

    Parameters
    ----------
    x_shape : tuple of int
        (N, C_in, *spatial), with the batch axis.
    w_shape : tuple of int
        (C_in, C_out/groups, *kernel).

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    return _conv_transpose_spec(
        tuple(x_shape), tuple(w_shape), _hashable(stride), _hashable(padding),
        _hashable(output_padding), groups, _hashable(dilation), ndim,
        name or f"conv_transpose{ndim}d",
    )  # fmt: skip


@lru_cache(maxsize=1024, typed=True)
def _conv_transpose_spec(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    ndim: int,
    name: str,
) -> ConvSpec:
    shapes = f"input {x_shape}, weight {w_shape}"
    _check_ranks(name, x_shape, w_shape, ndim)
    stride_ = _at_least(name, "stride", as_tuple(name, "stride", stride, ndim), 1, shapes)
    dilation_ = _at_least(name, "dilation", as_tuple(name, "dilation", dilation, ndim), 1, shapes)
    pad = _at_least(name, "padding", as_tuple(name, "padding", padding, ndim), 0, shapes)
    extra = as_tuple(name, "output_padding", output_padding, ndim)
    _at_least(name, "output_padding", extra, 0, shapes)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride_, dilation_)):
        _fail(
            name,
            f"output_padding={extra} must be smaller than stride={stride_} or "
            f"dilation={dilation_} on every axis ({shapes})",
        )
    groups = as_int(name, "groups", groups)
    if groups < 1 or x_shape[1] % groups:
        _fail(name, f"groups={groups} must divide the {x_shape[1]} input channels ({shapes})")
    if w_shape[0] != x_shape[1]:
        _fail(name, f"input has {x_shape[1]} channels but weight {w_shape} takes {w_shape[0]}")
    kernel = w_shape[2:]
    out = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(x_shape[2:], stride_, pad, dilation_, kernel, extra)
    )
    if min(out) < 1:
        _fail(name, f"output size {out} is not positive for {shapes}, padding={pad}")
    channels = w_shape[1] * groups
    _check_elements(name, "output", (x_shape[0], channels, *out))
    return ConvSpec(
        ndim, x_shape[0], channels, x_shape[1], groups, _three(out, 1), _three(x_shape[2:], 1),
        _three(kernel, 1), _three(stride_, 1), _three(pad, 0), _three(dilation_, 1),
    )  # fmt: skip


# ---------------------------------------------------------------- pooling


def _pool_input(name: str, x_shape: tuple[int, ...], ndim: int) -> None:
    if len(x_shape) != ndim + 2:
        _fail(name, f"input must have {ndim + 2} dimensions with its batch, got {x_shape}")
    if 0 in x_shape[1:]:
        _fail(name, f"input may be empty only along its batch axis, got {x_shape}")
    _check_elements(name, "input", x_shape)


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
        `stride` None (or empty) means `kernel_size`; `padding` at most half the dilated kernel.
    ceil_mode : bool
        Round the output size up, as long as the last window starts inside the input or its left padding.
    count_include_pad : bool
        Whether padding counts in an average's divisor.
    divisor_override : int, optional
        Divides averages instead.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    if stride is None or (isinstance(stride, (list, tuple)) and not stride):
        stride = kernel_size
    return _pool_spec(
        tuple(x_shape), _hashable(kernel_size), _hashable(stride), _hashable(padding),
        _hashable(dilation), bool(ceil_mode), bool(count_include_pad), divisor_override, ndim, name,
    )  # fmt: skip


@lru_cache(maxsize=1024, typed=True)
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
    _at_least(name, "kernel_size", kernel, 1, shapes)
    stride_ = _at_least(name, "stride", as_tuple(name, "stride", stride, ndim), 1, shapes)
    pad = _at_least(name, "padding", as_tuple(name, "padding", padding, ndim), 0, shapes)
    dilation_ = _at_least(name, "dilation", as_tuple(name, "dilation", dilation, ndim), 1, shapes)
    if divisor_override is not None:
        divisor_override = as_int(name, "divisor_override", divisor_override)
        if divisor_override == 0:
            _fail(name, "divisor_override must not be zero")
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation_, kernel))
    if any(p > e // 2 for p, e in zip(pad, spans)):
        _fail(
            name,
            f"padding={pad} must be at most half of the kernel's extent {spans} "
            f"(kernel_size={kernel}, dilation={dilation_}, {shapes})",
        )
    outs, windows = [], []
    for n, k, s, p, d, span in zip(x_shape[2:], kernel, stride_, pad, dilation_, spans):
        room = n + 2 * p - span
        out = (room + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (out - 1) * s >= n + p:
            out -= 1
        if out < 1:
            _fail(
                name,
                f"kernel_size={kernel} with dilation={dilation_} is larger than the padded "
                f"input: output size {out} ({shapes}, padding={pad})",
            )
        _check_elements(name, "output", (x_shape[0], x_shape[1], out))
        outs.append(out)
        windows.append(_windows(n, out, k, s, p, d, count_include_pad))
    return PoolSpec(
        ndim, x_shape[0], x_shape[1], _three(x_shape[2:], 1), _three(tuple(outs), 1),
        _three_windows(windows), divisor_override,
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
    return _adaptive_pool_spec(tuple(x_shape), _hashable(output_size), ndim, name)


@lru_cache(maxsize=1024, typed=True)
def _adaptive_pool_spec(
    x_shape: tuple[int, ...], output_size: Any, ndim: int, name: str
) -> PoolSpec:
    _pool_input(name, x_shape, ndim)
    wanted = output_size if isinstance(output_size, tuple) else (output_size,) * ndim
    if len(wanted) != ndim:
        _fail(name, f"output_size must have {ndim} elements, got {output_size} for {x_shape}")
    outs = tuple(
        n if v is None else as_int(name, "output_size", v) for n, v in zip(x_shape[2:], wanted)
    )
    _at_least(name, "output_size", outs, 1, f"input {x_shape}")
    _check_elements(name, "output", (*x_shape[:2], *outs))
    windows = []
    for n, out in zip(x_shape[2:], outs):
        o = np.arange(out, dtype=np.int64)
        start = o * n // out
        count = -((-(o + 1) * n) // out) - start
        windows.append(_frozen(np.stack([start, count, np.ones_like(o), count])))
    return PoolSpec(
        ndim, x_shape[0], x_shape[1], _three(x_shape[2:], 1), _three(outs, 1),
        _three_windows(windows),
    )  # fmt: skip
