"""Picking elements out and putting them in: slices, masks, index tensors, gather, scatter, sort."""

from __future__ import annotations

import operator
from collections import namedtuple
from typing import Any

import numpy as np

from .._grad_mode import mode
from ..autograd import Op, TensorBase, wrap
from ._promote import cast, check_tensor, operand, unbroadcast
from .shape import axis, expand

ndarray = np.ndarray
_BASIC = (int, np.integer, slice, type(None), type(Ellipsis))
TopK = namedtuple("topk", ("values", "indices"))  # type: ignore[name-match]
Sort = namedtuple("sort", ("values", "indices"))  # type: ignore[name-match]


class Slice(Op):
    """Integers, slices, None and Ellipsis: a view."""

    view = True

    @staticmethod
    def forward(ctx: Any, a: ndarray, index: tuple[Any, ...]) -> ndarray:
        ctx.shape, ctx.index = a.shape, index
        return a[index]

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        out = np.zeros(ctx.shape, g.dtype)
        out[ctx.index] = g
        return out


class Take(Op):
    """Arrays of integers or booleans: a copy."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, index: tuple[Any, ...]) -> ndarray:
        ctx.shape, ctx.index = a.shape, index
        return a[index]

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        out = np.zeros(ctx.shape, g.dtype)
        if any(isinstance(i, ndarray) and i.dtype.kind != "b" for i in ctx.index):
            np.add.at(out, ctx.index, g)  # an element may be picked more than once
        else:
            out[ctx.index] = g
        return out


class Put(Op):
    """In-place assignment to indexed elements."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, value: Any, index: tuple[Any, ...]) -> ndarray:
        ctx.index, ctx.value_shape = index, getattr(value, "shape", None)
        a[index] = value
        return a

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        rest = value = None
        if ctx.needs[0]:
            rest = np.array(g, order="K")
            rest[ctx.index] = 0
        if ctx.value_shape is None:
            return rest
        if ctx.needs[1]:
            part = g[ctx.index]
            shape = ctx.value_shape
            while len(shape) > part.ndim:  # leading ones of the value
                shape = shape[1:]
            value = unbroadcast(part, shape).reshape(ctx.value_shape)
        return rest, value


def _parse(index: Any, shape: tuple[int, ...]) -> tuple[tuple[Any, ...], bool]:
    """The index for NumPy, and whether it is basic (gives a view)."""
    if type(index) is not tuple:
        if isinstance(index, list) and any(isinstance(i, (slice, TensorBase)) for i in index):
            index = tuple(index)
        else:
            index = (index,)
    basic = True
    ellipsis = False
    out = []
    for i in index:
        if isinstance(i, TensorBase):
            i = i.array
            if i.dtype.kind == "f":
                raise IndexError(f"tensors used as indices must be integer or bool, got {i.dtype}")
            if i.dtype == np.uint8:
                i = i.astype(bool)
            if i.ndim == 0 and i.dtype.kind != "b":
                i = int(i)
            else:
                basic = False
        elif isinstance(i, slice):
            if i.step is not None and i.step <= 0:
                raise ValueError(f"slice step must be positive, got {i.step}")
            if any(isinstance(x, TensorBase) for x in (i.start, i.stop, i.step)):
                i = slice(
                    *[None if x is None else operator.index(x) for x in (i.start, i.stop, i.step)]
                )
        elif i is Ellipsis:
            ellipsis = True
        elif isinstance(i, (bool, np.bool_)):
            basic = False
        elif not isinstance(i, _BASIC):
            if not isinstance(i, (list, tuple, range, ndarray)):
                raise TypeError(
                    f"an index must be an int, slice, None, Ellipsis or tensor, got {i!r}"
                )
            i = np.asarray(
                [int(x.array) if isinstance(x, TensorBase) else x for x in i]
                if isinstance(i, list)
                else i
            )
            if i.size == 0 and i.dtype.kind == "f":
                i = i.astype(np.int64)
            if i.dtype.kind not in "iub":
                raise IndexError(f"indices must be integer or bool, got {i.dtype}")
            basic = False
        out.append(i)
    if basic and not ellipsis:
        out.append(Ellipsis)  # so that even a single element is a view
    return tuple(out), basic


def getitem(self: Any, index: Any) -> Any:
    """``self[index]``: a view for ints, slices, None and Ellipsis; a copy for tensors and masks."""
    if not self.array.ndim and index is not Ellipsis and index is not None and type(index) is int:
        raise IndexError("a tensor without axes cannot be indexed with an int; use item()")
    found, basic = _parse(index, self.array.shape)
    return Slice.apply(self, found) if basic else Take.apply(self, found)


def setitem(self: Any, index: Any, value: Any) -> None:
    """``self[index] = value``, in place."""
    found, _ = _parse(index, self.array.shape)
    given = operand(value)
    if given is NotImplemented:
        given = wrap(np.asarray(value))
    if isinstance(given, TensorBase):
        while given.array.ndim > self.array.ndim and given.array.shape[0] == 1:
            given = getitem(given, 0)
        if mode.grad and (self.requires_grad or given.requires_grad):
            Put.apply_(self, cast(given, self.array.dtype), found)
            return
        given = given.array
    elif mode.grad and self.requires_grad:
        Put.apply_(self, given, found)
        return
    self.array[found] = given
    self._version_box[0] += 1


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """`length` elements along `dim` from `start`: a view."""
    check_tensor(input, "input", "narrow")
    d = axis(dim, input.array.ndim, "narrow")
    n, start = input.array.shape[d], int(start)
    if start < 0:
        start += n
    if length < 0 or start < 0 or start + length > n:
        raise ValueError(
            f"narrow: start {start} and length {length} do not fit axis {d} of size {n}"
        )
    return Slice.apply(input, (*(slice(None),) * d, slice(start, start + length), Ellipsis))


def select(input: Any, dim: int, index: int) -> Any:
    """The elements at `index` of axis `dim`, which goes: a view."""
    check_tensor(input, "input", "select")
    d = axis(dim, input.array.ndim, "select")
    return Slice.apply(input, (*(slice(None),) * d, int(index), Ellipsis))


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """All slices along `dim`, which goes: views."""
    check_tensor(input, "input", "unbind")
    d = axis(dim, input.array.ndim, "unbind")
    return tuple([select(input, d, i) for i in range(input.array.shape[d])])


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Consecutive pieces along `dim`: views.

    Parameters
    ----------
    split_size_or_sections : int or sequence of int
        The size of every piece (the last may be smaller), or of each one.
    """
    check_tensor(tensor, "tensor", "split")
    d = axis(dim, tensor.array.ndim, "split")
    n = tensor.array.shape[d]
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        if step < 0 or (step == 0 and n):
            raise ValueError(f"split: the size of a piece must be positive, got {step}")
        parts = [min(step, n - i) for i in range(0, n, step)] if n else [0]
    else:
        parts = [int(p) for p in split_size_or_sections]
        if sum(parts) != n or any(p < 0 for p in parts):
            raise ValueError(f"split: sizes {parts} do not add up to {n}, the size of axis {d}")
    pieces, start = [], 0
    for p in parts:
        pieces.append(narrow(tensor, d, start, p))
        start += p
    return tuple(pieces)


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` consecutive pieces of equal size, the last perhaps smaller: views."""
    check_tensor(input, "input", "chunk")
    if chunks <= 0:
        raise ValueError(f"chunk: chunks must be positive, got {chunks}")
    n = input.array.shape[axis(dim, input.array.ndim, "chunk")]
    return split(input, max(-(-n // chunks), 1), dim)


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
            np.add.at(out, ctx.index, g)
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
    a, i = input.array, index.array
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


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """:func:`gather` with `indices` broadcast; without `dim`, from the flattened tensor."""
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    d = axis(dim, input.array.ndim, "take_along_dim")
    shape = list(
        np.broadcast_shapes(
            tuple([1 if k == d else n for k, n in enumerate(input.array.shape)]),
            indices.array.shape,
        )
    )
    return gather(input, d, wrap(np.broadcast_to(indices.array, shape)))


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices of axis `dim` at the positions in `index`, a 1-D tensor."""
    check_tensor(input, "input", "index_select")
    check_tensor(index, "index", "index_select")
    if index.array.ndim > 1 or index.array.dtype.kind not in "iu":
        raise ValueError(
            f"index_select: index must be a 1-D integer tensor, got {index.array.dtype} of shape "
            f"{index.array.shape}"
        )
    d = axis(dim, input.array.ndim, "index_select")
    return Take.apply(input, (*(slice(None),) * d, np.atleast_1d(index.array)))


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where `mask` holds, as a 1-D tensor."""
    check_tensor(input, "input", "masked_select")
    shape = np.broadcast_shapes(input.array.shape, mask.array.shape)
    return Take.apply(input.expand(shape), (np.broadcast_to(mask.array, shape),))


def take(input: Any, index: Any) -> Any:
    """Elements of the flattened tensor at the positions in `index`."""
    check_tensor(input, "input", "take")
    return Take.apply(input.reshape(-1), (index.array,))


class Scatter(Op):
    """`value` put at, or added to, positions of a copy of `a`."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, value: Any, index: tuple[Any, ...], add: bool) -> ndarray:
        ctx.index, ctx.add = index, add
        ctx.tensor = type(value) is ndarray
        out = np.array(a, order="K")
        if add:
            np.add.at(out, index, value)
        else:
            out[index] = value
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
    if src.array.dtype != input.array.dtype:
        raise ValueError(f"{function}: src has dtype {src.array.dtype}, input {input.array.dtype}")
    if src.array.ndim == 0:
        return expand(src, index.shape)
    shape = src.array.shape
    if len(shape) != index.ndim or any(m > n for m, n in zip(index.shape, shape, strict=True)):
        raise ValueError(
            f"{function}: index of shape {index.shape} does not fit src of shape {shape}"
        )
    return src if shape == index.shape else Crop.apply(src, index.shape)


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
            source = source.array
        out = np.array(input.array, order="K")
        np.multiply.at(out, grid(d, i), source)
        return wrap(out)
    return Scatter.apply(input, source, grid(d, i), reduce == "add")


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of `input` with elements of `src` added along one axis (see :func:`scatter`)."""
    return scatter(input, dim, index, src, reduce="add")


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """A copy of `input` with slices of `source` added at the positions in `index` of axis `dim`."""
    check_tensor(input, "input", "index_add")
    d = axis(dim, input.array.ndim, "index_add")
    if alpha != 1:
        source = source * alpha
    return Scatter.apply(input, source, (*(slice(None),) * d, index.array), True)


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of `input` with slices of `source` put at the positions in `index` of axis `dim`."""
    check_tensor(input, "input", "index_copy")
    d = axis(dim, input.array.ndim, "index_copy")
    return Scatter.apply(input, source, (*(slice(None),) * d, index.array), False)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of `input` with `value` at the positions in `index` of axis `dim`."""
    check_tensor(input, "input", "index_fill")
    d = axis(dim, input.array.ndim, "index_fill")
    value = value.array.item() if isinstance(value, TensorBase) else value
    return Scatter.apply(input, value, (*(slice(None),) * d, index.array), False)


class MaskedFill(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, value: Any, mask: ndarray) -> ndarray:
        ctx.mask, ctx.shape, ctx.tensor = mask, a.shape, type(value) is ndarray
        return np.where(mask, value if ctx.tensor else a.dtype.type(value), a)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        zero = g.dtype.type(0)
        ga = unbroadcast(np.where(ctx.mask, zero, g), ctx.shape) if ctx.needs[0] else None
        if not ctx.tensor:
            return ga
        return ga, np.where(ctx.mask, g, zero).sum() if ctx.needs[1] else None


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """A copy of `input` with `value` where `mask` holds.

    Parameters
    ----------
    input : Tensor
    mask : Tensor of bool
        Broadcasts with `input`.
    value : number, or Tensor without axes
    """
    check_tensor(input, "input", "masked_fill")
    check_tensor(mask, "mask", "masked_fill")
    if mask.array.dtype.kind != "b":
        raise TypeError(f"masked_fill: mask must be a bool tensor, got {mask.array.dtype}")
    if isinstance(value, TensorBase):
        if value.array.ndim:
            raise ValueError(f"masked_fill: value must have no axes, got shape {value.array.shape}")
        value = cast(value, input.array.dtype)
    return MaskedFill.apply(input, value, mask.array)


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The positions that sort `input` along `dim`; NaN counts as the largest."""
    check_tensor(input, "input", "argsort")
    a = input.array
    if not a.ndim:
        return wrap(np.zeros((), np.int64))
    return wrap(_order(a, axis(dim, a.ndim, "argsort"), descending))


def _order(a: ndarray, d: int, descending: bool) -> ndarray:
    if not descending:
        return np.argsort(a, d, kind="stable")
    last = a.shape[d] - 1
    return np.flip(last - np.argsort(np.flip(a, d), d, kind="stable"), d)


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Sort:
    """The elements in order along `dim`, and where they were.

    Returns
    -------
    values, indices : Tensor
        A named tuple; NaN counts as the largest. The order of equal elements is kept.
    """
    indices = argsort(input, dim, descending)
    if not input.array.ndim:
        return Sort(input.clone(), indices)
    d = axis(dim, input.array.ndim, "sort")
    return Sort(Gather.apply(input, grid(d, indices.array), True), indices)


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
    if not input.array.ndim:
        return TopK(input.clone(), wrap(np.zeros((), np.int64)))
    d = axis(dim, input.array.ndim, "topk")
    n = input.array.shape[d]
    if not 0 <= k <= n:
        raise ValueError(f"topk: k = {k} is not within 0 and {n}, the size of axis {d}")
    before = (slice(None),) * d
    index = (*before, slice(0, k))
    order = _order(input.array, d, largest)[index]
    return TopK(Gather.apply(input, grid(d, order), True), wrap(np.ascontiguousarray(order)))


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The positions of non-zero elements: (count, axes), or one tensor per axis."""
    check_tensor(input, "input", "nonzero")
    if as_tuple:
        return tuple([wrap(i) for i in np.nonzero(input.array)])
    return wrap(np.argwhere(input.array))


def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in order, with the positions and counts asked for."""
    check_tensor(input, "input", "unique")
    found: Any = np.unique(  # type: ignore[call-overload]
        input.array, return_inverse=return_inverse, return_counts=return_counts, axis=dim
    )
    return tuple([wrap(f) for f in found]) if isinstance(found, tuple) else wrap(found)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number occurs in a 1-D tensor of non-negative integers."""
    check_tensor(input, "input", "bincount")
    return wrap(np.bincount(input.array, None if weights is None else weights.array, minlength))


def meshgrid(*tensors: Any, indexing: Any = "ij") -> tuple[Any, ...]:
    """Coordinate matrices of 1-D tensors."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    return tuple([wrap(m) for m in np.meshgrid(*[t.array for t in tensors], indexing=indexing)])
