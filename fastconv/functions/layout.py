"""Memory order of activations: dense views to work on, whatever the layout."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Array = np.ndarray


def dense(a: Array) -> tuple[Array, tuple[int, ...] | None]:
    """A C-contiguous array with the elements of `a`, and the axes that lead back to its order.

    Where `a` is channels-last, (N, C, *spatial) over memory (N, *spatial, C), the result is the
    view (N, *spatial, C); else `a` itself, or a copy where it has gaps.
    """
    if a.flags.c_contiguous or a.ndim < 3:
        return np.ascontiguousarray(a), None
    view = np.moveaxis(a, 1, -1)
    if not view.flags.c_contiguous:
        return np.ascontiguousarray(a), None
    n = a.ndim
    return view, (0, n - 1, *range(1, n - 1))


def channels_last(a: Array) -> bool:
    """Whether `a` (N, C, *spatial) lies in memory as (N, *spatial, C), and not also as NCHW."""
    if a.ndim < 3 or a.flags.c_contiguous:
        return False
    return bool(np.moveaxis(a, 1, -1).flags.c_contiguous)


class Channels:
    """An array (N, C, *spatial) as one to work on channel by channel, in cache-sized blocks.

    Channels-last memory becomes (M / k, k · C), k pixels to a row, so that NumPy's inner loops
    are long for few channels too; other memory becomes (N, C, L).

    Attributes
    ----------
    flat : ndarray
        C-contiguous: a view where the memory allows, else a copy.
    count : int
        Elements of a channel.
    """

    ROW = 2048
    BLOCK = 1 << 15

    def __init__(self, a: Array, last: bool) -> None:
        channels = a.shape[1]
        self.shape = a.shape
        self.channels = channels
        self.count = a.size // max(1, channels)
        self.last = last or a.ndim == 2
        if self.last:
            rows = np.ascontiguousarray(np.moveaxis(a, 1, -1) if a.ndim > 2 else a)
            self.repeat = next(
                (k for k in range(self.ROW // max(1, channels), 1, -1) if self.count % k == 0), 1
            )
            self.flat: Array = rows.reshape(self.count // self.repeat, self.repeat * channels)
        else:
            self.repeat = 1
            length = self.count // max(1, a.shape[0])
            self.flat = np.ascontiguousarray(a).reshape(a.shape[0], channels, length)

    def like(self, a: Array) -> Array:
        """Another array of this shape in the same form."""
        return Channels(a, self.last).flat

    def vector(self, v: Array) -> Array:
        """Values (C,) to broadcast against `flat`, in its type."""
        v = v.astype(self.flat.dtype)
        return np.tile(v, self.repeat) if self.last else v[:, None]

    def total(self, block: Array) -> Array:
        """The sums (C,) of a block, in float64 over what NumPy adds up in the array's type."""
        if not self.last:
            return block.sum(axis=2).sum(axis=0, dtype=np.float64)
        row = np.add.reduce(block, axis=0)
        return row.reshape(self.repeat, self.channels).sum(axis=0, dtype=np.float64)

    def blocks(self, *flats: Array) -> Iterator[tuple[Array, ...]]:
        """The same rows of several arrays of the form of `flat`, a cache-sized number at a time."""
        rows = len(self.flat)
        step = max(1, self.BLOCK // max(1, self.flat.size // max(1, rows)))
        for start in range(0, rows, step):
            yield tuple(f[start : start + step] for f in flats)

    def back(self, flat: Array) -> Array:
        """The view (N, C, *spatial) of an array of the form of `flat`."""
        shape = self.shape
        if not self.last or len(shape) == 2:
            return flat.reshape(shape)
        return np.moveaxis(flat.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
