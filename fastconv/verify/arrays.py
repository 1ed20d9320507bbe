"""Operands in every memory layout, between poison, made in microseconds.

Numbers come from one block of small integers drawn once. An operand is copied from there into a
buffer that holds nothing but poison, a NaN of one bit pattern; so a kernel that reads a gap of a
sliced operand, or before or after it, or leaves an element of its result unwritten, shows it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

__all__ = ["LAYOUTS", "Buffers", "Placed", "integers", "reals", "steps", "view_of"]

Array = np.ndarray[Any, np.dtype[Any]]

#: How an operand lies in memory:
#: plain, last    dense, in the order of its axes, or with axis 1 innermost
#: gaps           elements apart along the last axis, more memory between rows and images
#: crop           plain, but a part of larger rows: the last axis is dense
#: images         plain, every second image of more
#: channels       last, but a range of more channels
#: reversed       every axis backwards: negative strides
#: flipped        last, with axis 1 backwards
#: swapped        dense, the last two axes in the other order
#: everywhere     one image for all of them, one row for all rows: strides of 0
LAYOUTS = (
    "plain", "last", "gaps", "crop", "images", "channels", "reversed", "flipped", "swapped",
    "everywhere",
)  # fmt: skip

#: A NaN that arithmetic does not make.
_POISON: dict[Any, tuple[Any, int]] = {
    np.dtype(np.float32): (np.dtype(np.uint32), 0xFFE5A5A5),
    np.dtype(np.float64): (np.dtype(np.uint64), 0xFFFCA5A5A5A5A5A5),
}
#: Elements of poison before and after an array; a multiple of every vector.
GUARD = 64

_MOST, _COUNT = 3, 1 << 20
_INTEGERS, _REALS = "integers", "reals"
_pools: dict[str, Array] = {}


def integers(seed: int, shape: tuple[int, ...]) -> Array:
    """Small integers (-3 to 3) as float64, C-contiguous, read-only; the same for the same seed."""
    if _INTEGERS not in _pools:
        drawn = np.random.default_rng(0x5EED).integers(-_MOST, _MOST + 1, _COUNT)
        _pools[_INTEGERS] = drawn.astype(np.float64)
    return _slice(_pools[_INTEGERS], seed, shape)


def reals(seed: int, shape: tuple[int, ...]) -> Array:
    """Numbers of a normal distribution that float32 holds, as float64, like `integers`."""
    if _REALS not in _pools:
        drawn = np.random.default_rng(0xF10A7).standard_normal(_COUNT, np.float32)
        _pools[_REALS] = drawn.astype(np.float64)
    return _slice(_pools[_REALS], seed, shape)


def _slice(pool: Array, seed: int, shape: tuple[int, ...]) -> Array:
    """A read-only part of the pool, from where the seed says; repeated where it is too long."""
    count = math.prod(shape)
    start = seed * 7919 % _COUNT
    if start + count > _COUNT:
        start = seed % 8191
    if start + count > _COUNT:
        found: Array = np.resize(pool[start:], count).reshape(shape)
    else:
        found = pool[start : start + count].reshape(shape)
    found.flags.writeable = False
    return found


class Placed(NamedTuple):
    """An array in a buffer, and the memory around it.

    Attributes
    ----------
    array : ndarray
    buffer : ndarray
        All of the memory, guards included, as the integers that are its bits.
    poison : int
        What the buffer is full of but for the array's elements.
    """

    array: Array
    buffer: Array
    poison: int

    def fill(self, values: Array) -> Array:
        """Copy `values` into the array and return it; those of a layout with strides of 0 recur."""
        np.copyto(self.once(self.array), self.once(values))
        return self.array

    def once(self, a: Array) -> Array:
        """`a` without the recurring part of the axes along which this array repeats itself."""
        if 0 not in self.array.strides:
            return a
        return a[tuple([slice(None) if s else slice(0, 1) for s in self.array.strides])]

    def changed(self, values: Array) -> bool:
        """Whether the array holds anything but these values."""
        return not np.array_equal(self.once(self.array), self.once(values))

    def spilled(self) -> bool:
        """Whether anything but the array's own elements was written."""
        inside = self.once(self.array).view(self.buffer.dtype)
        written = np.count_nonzero(self.buffer != self.poison)
        return bool(written != np.count_nonzero(inside != self.poison))


class Buffers:
    """Memory for the operands of one problem after the other: one buffer for each role and type."""

    def __init__(self) -> None:
        self._buffers: dict[Any, tuple[Array, Array, int]] = {}
        self._used: list[Placed] = []

    def reset(self) -> None:
        """Poison all that was placed since the last time: nothing of it may be used any more."""
        for placed in self._used:
            placed.buffer.fill(placed.poison)
        self._used.clear()

    def _take(self, role: str, dtype: Any, count: int) -> tuple[Array, Array, int]:
        found = self._buffers.get((role, dtype))
        if found is None or len(found[0]) < count:
            kind, poison = _POISON[dtype]
            bits = np.full(max(2 * count, 1 << 14), poison, kind)
            found = self._buffers[role, dtype] = bits, bits.view(dtype), poison
        return found

    def place(
        self, role: str, shape: tuple[int, ...], dtype: Any, layout: str, offset: int = 0
    ) -> Placed:
        """An array full of poison, `offset` elements from where a vector would be aligned."""
        dtype = np.dtype(dtype)
        first, strides, extent = steps(shape, layout)
        start = GUARD + offset
        bits, floats, poison = self._take(role, dtype, start + extent + GUARD)
        size = dtype.itemsize
        array = np.ndarray(
            shape, dtype, floats, (start + first) * size, tuple([s * size for s in strides])
        )
        placed = Placed(array, bits[: start + extent + GUARD], poison)
        self._used.append(placed)
        return placed


def steps(shape: tuple[int, ...], layout: str) -> tuple[int, tuple[int, ...], int]:
    """First element, strides and extent of an array in a layout, in elements.

    Raises
    ------
    ValueError
        If there is no such layout.
    """
    rank = len(shape)
    order = list(range(rank))  # outermost first
    pitch = [1] * rank  # elements of memory for each element of an axis, and …
    more = [0] * rank  # … beyond them
    if layout in ("last", "channels", "flipped") and rank > 2:
        order = [0, *range(2, rank), 1]
    elif layout == "swapped" and rank > 1:
        order[-2:] = order[-1], order[-2]
    elif layout not in LAYOUTS:
        raise ValueError(f"no memory layout {layout!r}, expected one of {', '.join(LAYOUTS)}")
    if layout == "gaps":
        pitch[-1] = 2
        if rank > 1:
            more[-2:] = [1, 3]
    elif layout == "crop" and rank > 1:
        more[-2:] = [1, 5]
    elif layout == "images":
        pitch[0] = 2
    elif layout == "channels":
        more[order[-1]] = 3
    strides, step = [0] * rank, 1
    for axis in reversed(order):
        step *= pitch[axis]
        strides[axis] = step
        step = step * shape[axis] + more[axis]
    if layout == "everywhere":
        strides = [0 if axis in (0, rank - 2) and rank > 1 else s for axis, s in enumerate(strides)]
    if 0 in shape:
        return 0, tuple(strides), 0
    backwards = order if layout == "reversed" else order[-1:] if layout == "flipped" else []
    first = 0
    for axis in backwards:
        first += (shape[axis] - 1) * strides[axis]
        strides[axis] = -strides[axis]
    extent = 1 + sum((n - 1) * abs(s) for n, s in zip(shape, strides))
    return first, tuple(strides), extent


def view_of(values: Array, layout: str) -> Array:
    """`values` as this layout has them: `everywhere` is the first image and row of them."""
    if layout != "everywhere" or values.ndim < 2 or not values.size:
        return values
    at = [slice(None)] * values.ndim
    at[0] = at[-2] = slice(0, 1)
    return np.broadcast_to(values[tuple(at)], values.shape)
