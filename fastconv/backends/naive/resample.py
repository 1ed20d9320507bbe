"""Resampling of (batch, D, H, W, inner) arrays, every axis by a sparse matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _items(axis: tuple[Array, Array, Array], o: int) -> Iterator[tuple[int, float]]:
    """Indices and weights of a row."""
    starts, index, weight = axis
    for k in range(int(starts[o]), int(starts[o + 1])):
        yield int(index[k]), float(weight[k])


def resample(x: Array, axes: Sequence[tuple[Array, Array, Array]], out: Array) -> None:
    """``out[n, d, h, w, c] = sum D[d, i] H[h, j] W[w, k] x[n, i, j, k, c]``."""
    for n, d, h, w, c in np.ndindex(out.shape):
        total = 0.0
        for i, a in _items(axes[0], d):
            for j, b in _items(axes[1], h):
                for k, e in _items(axes[2], w):
                    total += a * b * e * float(x[n, i, j, k, c])
        out[n, d, h, w, c] = total
