"""Reductions, running sums, and what picks the largest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv as T

from ..errors import OnnxError
from ..registry import Node, operator
from ..values import Array, along_axis, arr, axes, axis, ints, is_tensor, number, ten, value

Reduction = Callable[[Any, tuple[int, ...], bool], Any]


def _wanted(n: Node, x: Any, given: Any) -> tuple[int, ...] | None:
    """The axes to reduce; None for a node that does nothing."""
    rank = len(x.shape)
    if given is None or len(given) == 0:
        if n.get("noop_with_empty_axes", 0):
            return None
        return tuple(range(rank))
    return axes(given, rank)


def _reduction(name: str, tensor: Reduction, array: Reduction | None, before: Any = None,
               since: int = 18) -> None:  # fmt: skip
    """An operator whose axes are an input from version `since` on, before an attribute.

    `before` is what it does to the elements where nothing is reduced.
    """

    def run(n: Node, x: Any, given: Any) -> Any:
        over = _wanted(n, x, given)
        if over is None:
            return x if before is None else before(x)
        keep = bool(n.get("keepdims", 1))
        if is_tensor(x):
            if not over:
                return tensor(x.reshape(1, *x.shape), (0,), False)
            return tensor(x, over, keep)
        if array is None:
            return arr(tensor(T.from_numpy(x.astype(np.float64)), over, keep)).astype(x.dtype)
        return np.asarray(array(x, over, keep)).astype(x.dtype)

    operator(name, since=since)(
        lambda n, x, given=None: run(n, x, None if given is None else ints(given))
    )
    operator(name, since=1)(lambda n, x: run(n, x, n.get("axes")))


def _product(x: Any, over: tuple[int, ...], keep: bool) -> Any:
    for k in sorted(over, reverse=True):
        x = x.prod(k, keepdim=keep)
    return x


def _logsumexp(x: Any, over: tuple[int, ...], keep: bool) -> Any:
    if any(x.shape[k] == 0 for k in over):
        return x.sum(over, keepdim=keep).log()
    return x.logsumexp(over, keepdim=keep)


def _extreme(function: Any, worst: float) -> Reduction:
    def run(x: Any, over: tuple[int, ...], keep: bool) -> Any:
        if any(x.shape[k] == 0 for k in over):  # of nothing, the neutral element
            shape = [1 if k in over else m for k, m in enumerate(x.shape) if keep or k not in over]
            return T.full(tuple(shape), worst, dtype=x.dtype)
        return function(x, over, keepdim=keep)

    return run


def _least(function: Any, high: bool) -> Reduction:
    def run(x: Array, over: tuple[int, ...], keep: bool) -> Array:
        if x.dtype.kind == "b":
            return (np.any if high else np.all)(x, over, keepdims=keep)
        ends = np.iinfo(x.dtype)
        start = ends.min if high else ends.max
        return function(x, over, keepdims=keep, initial=start)

    return run


_reduction("ReduceSum", lambda x, k, d: x.sum(k, keepdim=d),
           lambda x, k, d: x.sum(k, keepdims=d), since=13)  # fmt: skip
_reduction("ReduceMean", lambda x, k, d: x.mean(k, keepdim=d), None)
_reduction("ReduceProd", _product, lambda x, k, d: x.prod(k, keepdims=d))
_reduction("ReduceMax", _extreme(T.amax, -np.inf), _least(np.max, True))
_reduction("ReduceMin", _extreme(T.amin, np.inf), _least(np.min, False))
_reduction("ReduceL1", lambda x, k, d: x.abs().sum(k, keepdim=d),
           lambda x, k, d: np.abs(x).sum(k, keepdims=d), lambda x: x.abs())  # fmt: skip
_reduction("ReduceL2", lambda x, k, d: (x * x).sum(k, keepdim=d).sqrt(), None, lambda x: x.abs())
_reduction("ReduceSumSquare", lambda x, k, d: (x * x).sum(k, keepdim=d),
           lambda x, k, d: (x * x).sum(k, keepdims=d), lambda x: x * x)  # fmt: skip
_reduction("ReduceLogSum", lambda x, k, d: x.sum(k, keepdim=d).log(), None, lambda x: x.log())
_reduction("ReduceLogSumExp", _logsumexp, None)


# -- running ---------------------------------------------------------------------------------------


def _running(n: Node, x: Any, where: Any, tensor: Any, array: Any, first: int) -> Any:
    k = axis(int(number(where)), len(x.shape))
    flip = T.flip if is_tensor(x) else lambda a, dims: np.flip(a, tuple(dims))
    if n.get("reverse", 0):
        x = flip(x, [k])
    y = tensor(x, k) if is_tensor(x) else array(x, k).astype(x.dtype)
    if n.get("exclusive", 0):
        cut = y[along_axis(k, slice(0, x.shape[k] - 1))]
        start = x[along_axis(k, slice(0, 1))] * 0 + first
        y = T.cat([start, cut], k) if is_tensor(x) else np.concatenate([start, cut], k)
    return flip(y, [k]) if n.get("reverse", 0) else y


operator("CumSum", since=11)(
    lambda n, x, k: _running(n, x, k, lambda x, k: T.cumsum(x, k), np.cumsum, 0)
)
operator("CumProd", since=26)(
    lambda n, x, k: _running(n, x, k, lambda x, k: T.cumprod(x, k), np.cumprod, 1)
)


# -- the largest -----------------------------------------------------------------------------------


def _arg(n: Node, x: Any, function: Any) -> Array:
    a = arr(x)
    k = axis(n.get("axis", 0), a.ndim)
    if n.get("select_last_index", 0):
        found = a.shape[k] - 1 - function(np.flip(a, k), k)
    else:
        found = function(a, k)
    found = np.expand_dims(found, k) if n.get("keepdims", 1) else found
    return np.asarray(found, np.int64)


operator("ArgMax")(lambda n, x: _arg(n, x, np.argmax))
operator("ArgMin")(lambda n, x: _arg(n, x, np.argmin))


def _top(n: Node, x: Any, count: int) -> Any:
    a = arr(x)
    k = axis(n.get("axis", -1), a.ndim)
    if not 0 <= count <= a.shape[k]:
        raise OnnxError(f"k={count} is more than the {a.shape[k]} elements of axis {k}")
    if n.get("largest", 1):  # stable: of equal ones the first comes first
        order = a.shape[k] - 1 - np.flip(np.argsort(np.flip(a, k), k, kind="stable"), k)
    else:
        order = np.argsort(a, k, kind="stable")
    index = order[along_axis(k, slice(0, count))].astype(np.int64)
    index = np.ascontiguousarray(index)
    if is_tensor(x):
        return T.gather(x, k, T.from_numpy(index)), index
    return np.take_along_axis(a, index, k), index


operator("TopK", since=10)(lambda n, x, count: _top(n, x, int(number(count))))
operator("TopK", since=1)(lambda n, x: _top(n, x, n.get("k", 0)))


@operator("Unique", since=11)
def _unique(n: Node, x: Any) -> Any:
    a, k = arr(x), n.get("axis")
    found, first, inverse, counts = np.unique(
        a, return_index=True, return_inverse=True, return_counts=True,
        axis=None if k is None else axis(k, a.ndim),
    )  # fmt: skip
    inverse = inverse.reshape(-1)
    if not n.get("sorted", 1):
        order = np.argsort(first)
        place = np.argsort(order)
        found = np.take(found, order, 0 if k is None else axis(k, a.ndim))
        first, inverse, counts = first[order], place[inverse], counts[order]
    rest = tuple([v.astype(np.int64) for v in (first, inverse, counts)])
    return (value(found), *rest)


@operator("Compress", since=9)
def _compress(n: Node, x: Any, condition: Any) -> Any:
    k = n.get("axis")
    where = np.flatnonzero(arr(condition)).astype(np.int64)
    if k is None:
        x, k = x.reshape(-1), 0
    k = axis(k, len(x.shape))
    if where.size and where.max() >= x.shape[k]:
        raise OnnxError(f"condition is longer than axis {k} of {tuple(x.shape)}")
    if is_tensor(x):
        return T.index_select(ten(x), k, T.from_numpy(where))
    return np.take(x, where, k)
