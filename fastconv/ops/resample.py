"""Resampling along the spatial axes, in the array's own memory format.

Every axis is a sparse matrix; the gradient is the same with the transposed matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from fastconv import planner
from fastconv.caches import cached, count
from fastconv.memory import empty
from fastconv.ops.layout import Array, as_5d, drop_axes, is_channels_last

#: Coefficient of the cubic convolution kernel (Keys 1981), as in PyTorch.
CUBIC = -0.75


class Axis(NamedTuple):
    """A matrix [out][in] by rows: row o has the items starts[o] to starts[o + 1]."""

    size: int  # of the input
    starts: Array  # int64, one more than the rows
    sources: Array  # int64
    weight: Array

    @property
    def out(self) -> int:
        """Elements of the output."""
        return len(self.starts) - 1

    def transposed(self) -> Axis:
        """The adjoint: of each input, the outputs that read it, in their order."""
        rows = np.repeat(np.arange(self.out), np.diff(self.starts))
        order = np.argsort(self.sources, kind="stable")
        counts = np.bincount(self.sources, minlength=self.size)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return Axis(self.out, starts, rows[order], self.weight[order])


def _rows(size: int, index: Array, weight: Array, dtype: str) -> Axis:
    """Rows of equal length: index and weight of shape (out, items)."""
    out, items = index.shape
    starts = np.arange(out + 1) * items
    flat = np.ascontiguousarray(index.reshape(-1), np.int64)
    return Axis(size, starts, flat, np.ascontiguousarray(weight.reshape(-1), dtype))


class Scaling(NamedTuple):
    """How an axis goes from `size` to `out` elements, as PyTorch places them.

    mode is 'nearest', 'nearest-exact', 'linear' or 'cubic'; scale that of the output, or None for
    ``out / size``; align, for the last two: the first and the last centres stay in place. The
    modes of FILTERS widen with a smaller output, so that every input counts, as in Pillow.
    """

    mode: str
    size: int
    out: int
    scale: float | None
    align: bool


def _keys(s: Array, a: float) -> Array:
    """The cubic convolution kernel (Keys 1981) at distances `s`."""
    s = np.abs(s)
    near = ((a + 2) * s - (a + 3)) * s * s + 1
    far = a * (((s - 5) * s + 8) * s - 4)
    return np.where(s <= 1, near, np.where(s < 2, far, 0))


def _hamming(s: Array) -> Array:
    return np.where(np.abs(s) < 1, np.sinc(s) * (0.54 + 0.46 * np.cos(np.pi * s)), 0)


#: Filters of modes: how far one reaches, and its value at a distance, in outputs.
FILTERS: dict[str, tuple[float, Callable[[Array], Array]]] = {
    "box": (0.5, lambda s: np.where((s > -0.5) & (s <= 0.5), 1.0, 0.0)),
    "linear-antialias": (1.0, lambda s: np.maximum(1 - np.abs(s), 0)),
    "hamming": (1.0, _hamming),
    "cubic-antialias": (2.0, lambda s: _keys(s, -0.5)),
    "lanczos": (3.0, lambda s: np.where(np.abs(s) < 3, np.sinc(s) * np.sinc(s / 3), 0)),
}


def _filtered(mode: str, n: int, m: int, scale: float | None, dtype: str) -> Axis:
    """Rows of a filter over the inputs that it reaches, each adding up to one."""
    reach, value = FILTERS[mode]
    step = n / m if scale is None else 1 / scale
    wide = max(step, 1.0)
    centre = (np.arange(m) + 0.5) * step
    first = np.maximum((centre - reach * wide + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + reach * wide + 0.5).astype(np.int64), n)
    index = first[:, None] + np.arange(max(1, int((end - first).max())))
    inside = index < end[:, None]
    weight = np.where(inside, value((index - centre[:, None] + 0.5) / wide), 0)
    weight /= weight.sum(1, keepdims=True)
    counts = inside.sum(1)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Axis(n, starts, index[inside], np.ascontiguousarray(weight[inside], dtype))


@cached(256)
def identity(size: int, dtype: str) -> Axis:
    """An axis that stays as it is."""
    made = _rows(size, np.arange(size)[:, None], np.ones((size, 1)), dtype)
    count(made.starts, made.sources, made.weight)
    return made


@cached(256)
def axis(scaling: Scaling, dtype: str, transposed: bool = False) -> Axis:
    """The matrix of an axis, with weights of this type code, or the transposed one."""
    made = axis(scaling, dtype).transposed() if transposed else _axis(scaling, dtype)
    count(made.starts, made.sources, made.weight)
    return made


def _axis(scaling: Scaling, dtype: str) -> Axis:
    mode, n, m, scale, align = scaling
    if mode in FILTERS:
        return _filtered(mode, n, m, scale, dtype)
    place = np.arange(m)
    if mode.startswith("nearest"):
        # PyTorch's arithmetic for images, in float32: it decides at the borders of elements
        step = np.float32(n / m if scale is None else 1 / scale)
        half = np.float32(0.5 if mode == "nearest-exact" else 0)
        low = ((place.astype(np.float32) + half) * step).astype(np.int64)
        return _rows(n, np.minimum(low, n - 1)[:, None], np.ones((m, 1)), dtype)
    if align:
        source = place * (n - 1) / (m - 1) if m > 1 else place * 0.0  # exact at both ends
    else:
        source = (place + 0.5) * (n / m if scale is None else 1 / scale) - 0.5
    if mode == "linear":
        source = np.maximum(source, 0)
        low = np.minimum(source.astype(np.int64), n - 1)
        share = np.minimum(source - low, 1)
        index = np.stack([low, np.minimum(low + 1, n - 1)], 1)
        return _rows(n, index, np.stack([1 - share, share], 1), dtype)
    low = np.floor(source).astype(np.int64)
    weight = _keys((source - low)[:, None] + np.array([1, 0, -1, -2]), CUBIC)  # of four neighbours
    index = np.clip(low[:, None] + np.arange(-1, 3), 0, n - 1)
    return _rows(n, index, weight, dtype)


def resample(x: Array, scalings: Sequence[Scaling | None], transposed: bool = False) -> Array:
    """x (N, C, *in) with its spatial axes resampled; None leaves an axis as it is.

    With `transposed`, the gradient: x (N, C, *out) to (N, C, *in).
    """
    dtype, last = x.dtype.char, not x.flags.c_contiguous and is_channels_last(x)
    axes = [
        identity(n, dtype) if how is None else axis(how, dtype, transposed)
        for n, how in zip(x.shape[2:], scalings, strict=True)
    ]
    axes = [identity(1, dtype)] * (3 - len(axes)) + axes
    sizes = tuple([a.out for a in axes])
    n, c = x.shape[:2]
    out = empty((n, c, *sizes), x.dtype, last)
    if out.size:
        x = as_5d(x)
        flat = x.transpose(0, 2, 3, 4, 1) if last else np.ascontiguousarray(x)
        memory = out.transpose(0, 2, 3, 4, 1) if last else out
        rows, inner = (n, c) if last else (n * c, 1)
        planner.kernel("resample")(
            flat.reshape(rows, *(a.size for a in axes), inner),
            [(a.starts, a.sources, a.weight) for a in axes],
            memory.reshape(rows, *sizes, inner),
        )
    return drop_axes(out, len(scalings))
