"""Indexing with brackets, and what cuts tensors into pieces or picks by a mask."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from .._grad_mode import mode
from .._watch import whole
from ..autograd import Op, TensorBase, changed, forget, wrap
from ..ops.reduce import add_at, total
from ..spec.arguments import as_int
from ._named import named, retell
from ._promote import cast, check_index, check_tensor, fitting, operand, unbroadcast
from .shape import axis

ndarray = np.ndarray
_BASIC = (int, np.integer, slice, type(None), type(Ellipsis))


class Slice(Op):
    """Integers, slices, None and Ellipsis: a view."""

    view = True

    @staticmethod
    def forward(ctx: Any, a: ndarray, index: tuple[Any, ...]) -> ndarray:
        ctx.shape, ctx.index = a.shape, index
        return a[index]

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        # in the memory format of `g`, in which what it is added to lies
        alike = g.ndim == len(ctx.shape)
        out = np.zeros_like(g, shape=ctx.shape) if alike else np.zeros(ctx.shape, g.dtype)
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
            add_at(out, ctx.index, g)  # an element may be picked more than once
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
            i = i._array
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
            try:
                i = np.asarray(
                    [int(x._array) if isinstance(x, TensorBase) else x for x in i]
                    if isinstance(i, list)
                    else i
                )
            except ValueError:
                raise IndexError(f"an index must be a regular array, got {i!r:.80}") from None
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
    if not self._array.ndim and index is not Ellipsis and index is not None and type(index) is int:
        raise IndexError("a tensor without axes cannot be indexed with an int; use item()")
    found, basic = _parse(index, self._array.shape)
    try:
        return Slice.apply(self, found) if basic else Take.apply(self, found)
    except IndexError as error:
        if "only integers" not in str(error):
            raise
        raise IndexError(
            f"index {index!r:.80} is out of bounds for a tensor of shape {self._array.shape}"
        ) from None


def setitem(self: Any, index: Any, value: Any) -> None:
    """``self[index] = value``, in place."""
    found, _ = _parse(index, self._array.shape)
    given = operand(value)
    if given is NotImplemented:
        given = wrap(np.asarray(value))
    if isinstance(given, TensorBase):
        while given._array.ndim > self._array.ndim and given._array.shape[0] == 1:
            given = getitem(given, 0)
        if mode.grad and (self.requires_grad or given.requires_grad):
            Put.apply_(self, cast(given, self._array.dtype), found)
            return
        given = given._array
    elif mode.grad and self.requires_grad:
        Put.apply_(self, given, found)
        return
    forget(self)
    try:
        self._array[found] = given
    except OverflowError:
        self._array[found] = fitting(given, self._array.dtype, "setitem", around=False)
    changed(self)


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """`length` elements along `dim` from `start`: a view."""
    try:
        check_tensor(input, "input", "narrow")
        d = axis(dim, input._array.ndim, "narrow")
        if isinstance(start, TensorBase):
            start = start._array.item()
        n, start = input._array.shape[d], as_int("narrow", "start", start)
        length = as_int("narrow", "length", length)
        if start < 0:
            start += n
        if length < 0 or start < 0 or start + length > n:
            raise ValueError(
                f"narrow: start {start} and length {length} do not fit axis {d} of size {n}"
            )
        return Slice.apply(input, (*(slice(None),) * d, slice(start, start + length), Ellipsis))
    except Exception as error:
        retell(error, "narrow", narrow, (input, dim, start, length), {})


def select(input: Any, dim: int, index: int) -> Any:
    """The elements at `index` of axis `dim`, which goes: a view."""
    try:
        check_tensor(input, "input", "select")
        d = axis(dim, input._array.ndim, "select")
        if isinstance(index, TensorBase):
            index = index._array.item()
        index = as_int("select", "index", index)
        n = input._array.shape[d]
        if not -n <= index < n:
            raise IndexError(f"select: index {index} is out of range for axis {d} of size {n}")
        return Slice.apply(input, (*(slice(None),) * d, index, Ellipsis))
    except Exception as error:
        retell(error, "select", select, (input, dim, index), {})


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """All slices along `dim`, which goes: views."""
    try:
        check_tensor(input, "input", "unbind")
        d = axis(dim, input._array.ndim, "unbind")
        return tuple([select(input, d, i) for i in range(input._array.shape[d])])
    except Exception as error:
        retell(error, "unbind", unbind, (input, dim), {})


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Consecutive pieces along `dim`: views.

    Parameters
    ----------
    split_size_or_sections : int or sequence of int
        The size of every piece (the last may be smaller), or of each one.
    """
    try:
        check_tensor(tensor, "tensor", "split")
        d = axis(dim, tensor._array.ndim, "split")
        n = tensor._array.shape[d]
        if isinstance(split_size_or_sections, int):
            step = split_size_or_sections
            if step < 0 or (step == 0 and n):
                raise ValueError(f"split: the size of a piece must be positive, got {step}")
            parts = [min(step, n - i) for i in range(0, n, step)] if n else [0]
        elif not isinstance(split_size_or_sections, (tuple, list)):
            raise TypeError(
                "split: split_size_or_sections must be an int or a list of ints, "
                f"got {split_size_or_sections!r:.80}"
            )
        else:
            parts = [as_int("split", "sizes", p) for p in split_size_or_sections]
            if sum(parts) != n or any(p < 0 for p in parts):
                raise ValueError(f"split: sizes {parts} do not add up to {n}, the size of axis {d}")
        pieces, start = [], 0
        for p in parts:
            pieces.append(narrow(tensor, d, start, p))
            start += p
        return tuple(pieces)
    except Exception as error:
        retell(error, "split", split, (tensor, split_size_or_sections, dim), {})


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` consecutive pieces of equal size, the last perhaps smaller: views."""
    try:
        check_tensor(input, "input", "chunk")
        chunks = as_int("chunk", "chunks", chunks)
        if chunks <= 0:
            raise ValueError(f"chunk: chunks must be positive, got {chunks}")
        n = input._array.shape[axis(dim, input._array.ndim, "chunk")]
        return split(input, max(-(-n // chunks), 1), dim)
    except Exception as error:
        retell(error, "chunk", chunk, (input, chunks, dim), {})


@named
def masked_select(input: Any, mask: Any) -> Any:
    """The elements where `mask` holds, as a 1-D tensor."""
    check_tensor(input, "input", "masked_select")
    check_tensor(mask, "mask", "masked_select")
    if mask._array.dtype.kind != "b":
        raise TypeError(f"masked_select: mask must be a bool tensor, got {mask._array.dtype}")
    shape = np.broadcast_shapes(input._array.shape, mask._array.shape)
    return Take.apply(input.expand(shape), (mask.expand(shape)._array,))


@named
def take(input: Any, index: Any) -> Any:
    """Elements of the flattened tensor at the positions in `index`."""
    check_tensor(input, "input", "take")
    check_index(index, "index", "take")
    return Take.apply(input.reshape(-1), (index._array,))


class MaskedFill(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, value: Any, mask: ndarray) -> ndarray:
        ctx.mask, ctx.shape, ctx.tensor = mask, a.shape, type(value) is ndarray
        if not ctx.tensor:
            try:
                value = a.dtype.type(value)
            except (OverflowError, TypeError, ValueError):
                value = fitting(value, a.dtype, "masked_fill", around=False)
        return np.where(mask, value, a)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        zero = g.dtype.type(0)
        ga = unbroadcast(np.where(ctx.mask, zero, g), ctx.shape) if ctx.needs[0] else None
        if not ctx.tensor:
            return ga
        return ga, total(np.where(ctx.mask, g, zero)) if ctx.needs[1] else None


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """A copy of `input` with `value` where `mask` holds.

    Parameters
    ----------
    input : Tensor
    mask : Tensor of bool
        Broadcasts with `input`.
    value : number, or Tensor without axes
    """
    try:
        check_tensor(input, "input", "masked_fill")
        check_tensor(mask, "mask", "masked_fill")
        if mask._array.dtype.kind != "b":
            raise TypeError(f"masked_fill: mask must be a bool tensor, got {mask._array.dtype}")
        if isinstance(value, TensorBase):
            if value._array.ndim:
                raise ValueError(
                    f"masked_fill: value must have no axes, got shape {value._array.shape}"
                )
            value = cast(value, input._array.dtype)
        return MaskedFill.apply(input, value, mask._array)
    except Exception as error:
        retell(error, "masked_fill", masked_fill, (input, mask, value), {})


@named
@whole("NonZero")
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The positions of non-zero elements: (count, axes), or one tensor per axis."""
    check_tensor(input, "input", "nonzero")
    if as_tuple:
        return tuple([wrap(i) for i in np.nonzero(input._array)])
    return wrap(np.argwhere(input._array))


@named
def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in order, with the positions and counts asked for."""
    check_tensor(input, "input", "unique")
    if dim is not None:
        dim = axis(dim, input._array.ndim, "unique")
    found: Any = np.unique(  # type: ignore[call-overload]
        input._array, return_inverse=return_inverse, return_counts=return_counts, axis=dim
    )
    return tuple([wrap(f) for f in found]) if isinstance(found, tuple) else wrap(found)


@named
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number occurs in a 1-D tensor of non-negative integers."""
    check_index(input, "input", "bincount")
    if weights is not None:
        check_tensor(weights, "weights", "bincount")
    minlength = as_int("bincount", "minlength", minlength)
    if not 0 <= minlength < 2**48:
        raise ValueError(f"bincount: minlength must be from 0 to 2**48, got {minlength}")
    return wrap(np.bincount(input._array, None if weights is None else weights._array, minlength))


@named
def meshgrid(*tensors: Any, indexing: Any = "ij") -> tuple[Any, ...]:
    """Coordinate matrices of 1-D tensors."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    for i, t in enumerate(tensors):
        check_tensor(t, f"tensors[{i}]", "meshgrid")
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    shape = [t._array.size for t in tensors]
    grids = []
    for i, t in enumerate(tensors):
        along = [1] * len(tensors)
        along[i] = -1
        grids.append(t.reshape(*along).expand(*shape))
    if indexing == "xy" and len(grids) > 1:
        grids = [g.transpose(0, 1) for g in grids]
    return tuple([g.clone() for g in grids])


@named
def argwhere(input: Any) -> Any:
    """The positions of non-zero elements: (count, axes)."""
    return nonzero(input)


@named
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall into each of `bins` equal intervals of [min, max].

    Where `min` and `max` are equal, the smallest and the largest element are taken.
    """
    check_tensor(input, "input", "histc")
    bins = as_int("histc", "bins", bins)
    if not 0 < bins < 2**40:
        raise ValueError(f"histc: bins must be positive, got {bins}")
    for name, value in (("min", min), ("max", max)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise TypeError(f"histc: {name} must be a number, got {value!r:.80}")
        if not -math.inf < value < math.inf:
            raise ValueError(f"histc: {name} must be finite, got {value}")
    a = input._array
    low, high = (a.min(), a.max()) if min == max and a.size else (min, max)
    return wrap(np.histogram(a, bins, (low, high))[0].astype(a.dtype))


class Unfold(Op):
    """Windows of `size` elements, every `step`, along an axis: a view."""

    view = True

    @staticmethod
    def forward(ctx: Any, a: ndarray, d: int, size: int, step: int) -> ndarray:
        ctx.args = a.shape, d, size, step
        windows: Any = np.lib.stride_tricks.sliding_window_view(a, size, d, writeable=True)
        index = (*(slice(None),) * d, slice(None, None, step))
        return windows[index]

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        shape, d, size, step = ctx.args
        out = np.zeros(shape, g.dtype)
        span = (g.shape[d] - 1) * step + 1
        for i in range(size):
            part = (*(slice(None),) * d, slice(i, i + span, step))
            out[part] += g[..., i]
        return out


@named
def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of `size` elements, every `step`, along `dimension`, in a new last axis: a view."""
    check_tensor(input, "input", "unfold")
    d = axis(dimension, input._array.ndim, "unfold")
    n = input._array.shape[d] if input._array.ndim else 1
    if not 0 < size <= n or step <= 0:
        raise ValueError(f"unfold: size {size} and step {step} do not fit axis {d} of size {n}")
    return Unfold.apply(input, d, size, step)
