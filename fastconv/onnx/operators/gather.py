"""Picking and placing elements by index."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv as T

from ..errors import OnnxError
from ..registry import Node, operator
from ..values import Array, along_axis, arr, axis, is_tensor, value


def _index(i: Any, size: int) -> Array:
    """Indices counted from the front, checked."""
    a = arr(i)
    if a.dtype.kind not in "iu":
        raise OnnxError(f"indices must be integers, got {a.dtype}")
    a = a.astype(np.int64)
    if a.size and (a.min() < -size or a.max() >= size):
        raise OnnxError(f"an index is out of range for an axis of size {size}")
    return np.where(a < 0, a + size, a)


def _pick(x: Any, key: tuple[Any, ...]) -> Any:
    """x[key], key of slices and integer arrays."""
    if not is_tensor(x):
        return x[key]
    return x[tuple([T.from_numpy(k) if type(k) is np.ndarray else k for k in key])]


@operator("Gather", weights=(0,))
def _gather(n: Node, x: Any, indices: Any) -> Any:
    k = axis(n.get("axis", 0), len(x.shape))
    i = _index(indices, x.shape[k])
    if i.ndim == 0:
        return x[along_axis(k, int(i))]
    return _pick(x, along_axis(k, i))


@operator("GatherElements", since=11)
def _gather_elements(n: Node, x: Any, indices: Any) -> Any:
    k = axis(n.get("axis", 0), len(x.shape))
    return _pick(x, _places(_index(indices, x.shape[k]), k))


def _places(index: Array, k: int) -> tuple[Array, ...]:
    """Every position of `index`, with coordinate k replaced by its value."""
    grid = np.ogrid[tuple(slice(0, m) for m in index.shape)] if index.ndim else []
    return tuple([index if d == k else np.asarray(g) for d, g in enumerate(grid)])


@operator("GatherND", since=11)
def _gather_nd(n: Node, x: Any, indices: Any) -> Any:
    return _pick(x, _places_nd(tuple(x.shape), arr(indices), n.get("batch_dims", 0)))


def _places_nd(shape: tuple[int, ...], i: Array, batch: int) -> tuple[Array, ...]:
    if i.ndim <= batch or i.ndim < 1:
        raise OnnxError(f"indices of shape {i.shape} do not fit batch_dims {batch}")
    depth = i.shape[-1]
    if depth + batch > len(shape):
        raise OnnxError(f"indices of shape {i.shape} name more axes than shape {shape} has")
    rest = i.ndim - 1 - batch
    key = [
        np.arange(m).reshape(-1, *(1,) * (batch - d - 1 + rest))
        for d, m in enumerate(shape[:batch])
    ]
    key += [_index(i[..., d], shape[batch + d]) for d in range(depth)]
    return tuple(key)


# -- placing ---------------------------------------------------------------------------------------

REDUCTIONS = {
    "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
}  # fmt: skip


def _place(x: Any, key: tuple[Array, ...], updates: Any, reduction: str) -> Any:
    """A copy of x with `updates` put at, or joined with, what is at `key`."""
    if reduction not in ("none", *REDUCTIONS):
        raise OnnxError(f"reduction {reduction!r} is none of none, {', '.join(REDUCTIONS)}")
    if is_tensor(x) and reduction in ("none", "add"):
        from ...functions.gather import Scatter

        return Scatter.apply(x, updates, key, reduction == "add")
    out = np.array(arr(x))
    if reduction == "none":
        out[key] = arr(updates)
    else:
        REDUCTIONS[reduction].at(out, key, arr(updates))
    return value(out)


def _scatter(n: Node, x: Any, indices: Any, updates: Any) -> Any:
    k = axis(n.get("axis", 0), len(x.shape))
    i = _index(indices, x.shape[k])
    if i.shape != tuple(updates.shape):
        raise OnnxError(f"updates of shape {tuple(updates.shape)} for indices of shape {i.shape}")
    return _place(x, _places(i, k), updates, n.get("reduction", "none"))


operator("ScatterElements", since=11)(_scatter)
operator("Scatter", since=9)(_scatter)


@operator("ScatterND", since=11)
def _scatter_nd(n: Node, x: Any, indices: Any, updates: Any) -> Any:
    key = _places_nd(tuple(x.shape), arr(indices), 0)
    return _place(x, key, updates, n.get("reduction", "none"))


@operator("TensorScatter", since=24)
def _tensor_scatter(n: Node, past: Any, update: Any, starts: Any = None) -> Any:
    """`update` written into `past` along an axis, at a place of each sequence of the batch."""
    rank = len(past.shape)
    k = axis(n.get("axis", -2), rank)
    size, count = past.shape[k], update.shape[k]
    first = np.zeros(past.shape[0], np.int64) if starts is None else arr(starts)
    steps = first[:, None] + np.arange(count)
    if n.get("mode", "linear") == "circular":
        steps = steps % size
    elif steps.size and steps.max() >= size:
        raise OnnxError(f"the update goes past the {size} places of axis {k}")
    index = steps.reshape(len(first), *(1,) * (k - 1), count, *(1,) * (rank - k - 1))
    whole = np.broadcast_to(index, tuple(update.shape))
    return _place(past, _places(whole, k), update, "none")
