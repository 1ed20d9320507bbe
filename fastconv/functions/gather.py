"""Picking and placing elements along an axis: gather, scatter, index_add, sort, topk."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from .._watch import whole
from ..autograd import Op, TensorBase, wrap
from ..ops.reduce import add_at
from ..spec.arguments import as_int
from ._named import named
from ._promote import cast, check_index, check_tensor, fitting, operand
from .index import Take
from .shape import axis, expand

ndarray = np.ndarray
TopK = namedtuple("topk", ("values", "indices"))  # type: ignore[name-match]
Sort = namedtuple("sort", ("values", "indices"))  # type: ignore[name-match]


class Gather(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, index: tuple[Any, ...], once: bool) -> ndarray:
        ctx.shape, ctx.index, ctx.once = a.shape, index, once
        return a[index]

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        out = np.zeros(ctx.shape, g.dtype)
        if ctx.once:
            out[ctx.index] = g
        else:
            add_at(out, ctx.index, g)
        return out


def grid(dim: int, index: ndarray) -> tuple[Any, ...]:
    """The index that replaces coordinate `dim` of every position of `index` by its value."""
    out: list[Any] = []
    for d, n in enumerate(index.shape):
        shape = [1] * index.ndim
        shape[d] = n
        out.append(index if d == dim else np.arange(n).reshape(shape))
    return tuple(out)


def _index_for(
    input: Any, dim: int, index: Any, function: str, bound: Any = None
) -> tuple[int, ndarray]:
    """Check `index` of gather and scatter; the axis and the array."""
    check_tensor(input, "input", function)
    check_tensor(index, "index", function)
    a, i = input._array, index._array
    if i.dtype.kind not in "iu":
        raise TypeError(f"{function}: index must be of integer type, got {i.dtype}")
    d = axis(dim, a.ndim, function)
    if i.ndim != a.ndim:
        raise ValueError(f"{function}: index of shape {i.shape} has not as many axes as {a.shape}")
    if any(m > n for k, (m, n) in enumerate(zip(i.shape, a.shape, strict=True)) if k != d):
        raise ValueError(
            f"{function}: index of shape {i.shape} is larger than {a.shape} beside axis {d}"
        )
    n = a.shape[d] if a.ndim else 1
    if i.size and (i.min() < 0 or i.max() >= n):
        raise IndexError(f"{function}: index out of bounds for axis {d} of size {n}")
    return d, i


def gather(input: Any, dim: int, index: Any) -> Any:
    """Elements picked along one axis.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : Tensor of int64
        As many axes as `input`; the result has its shape, with ``out[i][j] =
        input[index[i][j]][j]`` for dim 0.
    """
    d, i = _index_for(input, dim, index, "gather")
    return Gather.apply(input, grid(d, i), False)


@named
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """:func:`gather` with `indices` broadcast; without `dim`, from the flattened tensor."""
    check_tensor(input, "input", "take_along_dim")
    check_index(indices, "indices", "take_along_dim")
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    d = axis(dim, input._array.ndim, "take_along_dim")
    shape = list(
        np.broadcast_shapes(
            tuple([1 if k == d else n for k, n in enumerate(input._array.shape)]),
            indices._array.shape,
        )
    )
    return gather(input, d, wrap(np.broadcast_to(indices._array, shape)))


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices of axis `dim` at the positions in `index`, a 1-D tensor."""
    check_tensor(input, "input", "index_select")
    check_tensor(index, "index", "index_select")
    if index._array.ndim > 1 or index._array.dtype.kind not in "iu":
        raise ValueError(
            f"index_select: index must be a 1-D integer tensor, got {index._array.dtype} of shape "
            f"{index._array.shape}"
        )
    d = axis(dim, input._array.ndim, "index_select")
    return Take.apply(input, (*(slice(None),) * d, np.atleast_1d(index._array)))


class Scatter(Op):
    """`value` put at, or added to, positions of a copy of `a`."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, value: Any, index: tuple[Any, ...], add: bool) -> ndarray:
        ctx.index, ctx.add = index, add
        ctx.tensor = type(value) is ndarray
        out = np.array(a, order="K")
        try:
            if add:
                add_at(out, index, value)
            else:
                out[index] = value
        except (OverflowError, TypeError, ValueError):
            if ctx.tensor:
                raise
            out[index] = fitting(value, a.dtype, "scatter", around=False)
        return out

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        rest = g
        if not ctx.add and ctx.needs[0]:
            rest = np.array(g, order="K")
            rest[ctx.index] = 0
        if not ctx.tensor:
            return rest
        return rest if ctx.needs[0] else None, g[ctx.index] if ctx.needs[1] else None


class Crop(Op):
    """The leading part of an array."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, shape: tuple[int, ...]) -> ndarray:
        ctx.shape, ctx.index = a.shape, tuple([slice(0, n) for n in shape])
        return a[ctx.index]

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        out = np.zeros(ctx.shape, g.dtype)
        out[ctx.index] = g
        return out


def _source(input: Any, index: ndarray, src: Any, function: str) -> Any:
    """What scatter puts in: a number, or the part of a Tensor that `index` covers."""
    src = operand(src)
    if src is NotImplemented:
        raise TypeError(f"{function}: src must be a Tensor or a number")
    if not isinstance(src, TensorBase):
        return src
    if src._array.dtype != input._array.dtype:
        raise ValueError(
            f"{function}: src has dtype {src._array.dtype}, input {input._array.dtype}"
        )
    if src._array.ndim == 0:
        return expand(src, index.shape)
    shape = src._array.shape
    if len(shape) != index.ndim or any(m > n for m, n in zip(index.shape, shape, strict=True)):
        raise ValueError(
            f"{function}: index of shape {index.shape} does not fit src of shape {shape}"
        )
    return src if shape == index.shape else Crop.apply(src, index.shape)


@named
def scatter(
    input: Any,
    dim: int,
    index: Any,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Any:
    """A copy of `input` with elements of `src` put along one axis.

    Parameters
    ----------
    input : Tensor
    dim : int
    index : Tensor of int64
        As many axes as `input`; ``out[index[i][j]][j] = src[i][j]`` for dim 0.
    src : Tensor or number
        Also accepted as `value`.
    reduce : {None, "add", "multiply"}
        Combine with what is there instead of replacing it.

    Returns
    -------
    Tensor
    """
    d, i = _index_for(input, dim, index, "scatter")
    given = value if src is None else src
    if given is None:
        raise TypeError("scatter: src or value must be given")
    source = _source(input, i, given, "scatter")
    if reduce not in (None, "add", "multiply"):
        raise ValueError(f"scatter: reduce must be None, 'add' or 'multiply', got {reduce!r}")
    if reduce == "multiply":
        if isinstance(source, TensorBase):
            source = source._array
        out = np.array(input._array, order="K")
        np.multiply.at(out, grid(d, i), source)
        return wrap(out)
    return Scatter.apply(input, source, grid(d, i), reduce == "add")


@named
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of `input` with elements of `src` added along one axis (see :func:`scatter`)."""
    return scatter(input, dim, index, src, reduce="add")


@named
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """A copy of `input` with slices of `source` added at the positions in `index` of axis `dim`."""
    check_tensor(input, "input", "index_add")
    check_index(index, "index", "index_add")
    check_tensor(source, "source", "index_add")
    d = axis(dim, input._array.ndim, "index_add")
    if alpha != 1:
        source = source * alpha
    return Scatter.apply(input, source, (*(slice(None),) * d, index._array), True)


@named
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of `input` with slices of `source` put at the positions in `index` of axis `dim`."""
    check_tensor(input, "input", "index_copy")
    check_index(index, "index", "index_copy")
    check_tensor(source, "source", "index_copy")
    d = axis(dim, input._array.ndim, "index_copy")
    return Scatter.apply(input, source, (*(slice(None),) * d, index._array), False)


@named
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of `input` with `value` at the positions in `index` of axis `dim`."""
    check_tensor(input, "input", "index_fill")
    check_index(index, "index", "index_fill")
    d = axis(dim, input._array.ndim, "index_fill")
    at = (*(slice(None),) * d, index._array)
    if isinstance(value, TensorBase):
        if value._array.ndim:
            raise ValueError(f"index_fill: value must have no axes, got shape {value._array.shape}")
        shape = list(input._array.shape)
        shape[d : d + 1] = [index._array.size] if index._array.ndim else []
        value = cast(value, input._array.dtype).expand(*shape)
    return Scatter.apply(input, value, at, False)


@named
@whole("ArgSort")
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The positions that sort `input` along `dim`; NaN counts as the largest."""
    check_tensor(input, "input", "argsort")
    a = input._array
    if not a.ndim:
        return wrap(np.zeros((), np.int64))
    return wrap(_order(a, axis(dim, a.ndim, "argsort"), descending))


def _order(a: ndarray, d: int, descending: bool) -> ndarray:
    if not descending:
        return np.argsort(a, d, kind="stable")
    last = a.shape[d] - 1
    return np.flip(last - np.argsort(np.flip(a, d), d, kind="stable"), d)


@named
@whole("Sort")
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Sort:
    """The elements in order along `dim`, and where they were.

    Returns
    -------
    values, indices : Tensor
        A named tuple; NaN counts as the largest. The order of equal elements is kept.
    """
    indices = argsort(input, dim, descending)
    if not input._array.ndim:
        return Sort(input.clone(), indices)
    d = axis(dim, input._array.ndim, "sort")
    return Sort(Gather.apply(input, grid(d, indices._array), True), indices)


@named
@whole("TopK")
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> TopK:
    """The `k` largest (or smallest) elements along `dim` in order, and where they were.

    Returns
    -------
    values, indices : Tensor
        A named tuple; NaN counts as the largest.

    Raises
    ------
    ValueError
        If the axis has fewer than `k` elements.
    """
    check_tensor(input, "input", "topk")
    k = as_int("topk", "k", k)
    if not input._array.ndim:
        return TopK(input.clone(), wrap(np.zeros((), np.int64)))
    d = axis(dim, input._array.ndim, "topk")
    n = input._array.shape[d]
    if not 0 <= k <= n:
        raise ValueError(f"topk: k = {k} is not within 0 and {n}, the size of axis {d}")
    before = (slice(None),) * d
    index = (*before, slice(0, k))
    order = _order(input._array, d, largest)[index]
    return TopK(Gather.apply(input, grid(d, order), True), wrap(np.ascontiguousarray(order)))
