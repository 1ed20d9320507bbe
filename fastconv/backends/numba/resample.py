"""Resampling of C-contiguous (batch, D, H, W, inner) arrays, every axis by a sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import prange
from numpy.typing import NDArray

from fastconv.backends.numba.layout import flat_copy_if_needed
from fastconv.backends.numba.runtime import Kernel

Array = NDArray[Any]


@Kernel
def _resample(x, out, ds, di, dw, hs, hi, hw, ws, wi, ww, depth, height, width, inner):
    """A line of the result: sums of lines of x by D and H, gathered by W."""
    high, wide = hs.size - 1, ws.size - 1
    size = wide * inner
    deep = ds.size - 1
    for line in prange(out.size // max(1, size)):
        h, d, n = line % high, line // high % deep, line // high // deep
        first = line * size
        for i in range(size):
            out[first + i] = 0
        for i in range(ds[d], ds[d + 1]):
            for j in range(hs[h], hs[h + 1]):
                row = ((n * depth + di[i]) * height + hi[j]) * width * inner
                factor = dw[i] * hw[j]
                for w in range(wide):
                    at = first + w * inner
                    for k in range(ws[w], ws[w + 1]):
                        a = factor * ww[k]
                        source = row + wi[k] * inner
                        for c in range(inner):
                            out[at + c] += a * x[source + c]


def resample(x: Array, axes: Sequence[tuple[Array, Array, Array]], out: Array) -> None:
    """``out = (D ⊗ H ⊗ W) x``, each matrix as starts, indices and weights of rows."""
    tables = [array for axis in axes for array in axis]
    _resample(flat_copy_if_needed(x), out.reshape(-1), *tables, *x.shape[1:])
