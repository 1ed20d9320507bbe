"""Functions of elements and of axes that few networks use, under PyTorch's names."""

from __future__ import annotations

import itertools
import math
from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._watch import whole
from ..autograd import TensorBase, wrap
from ..spec.arguments import as_int
from ._named import named
from ._promote import check_tensor, promote_types
from .elementwise import Binary, copy_, maximum, minimum, mul, sub
from .elementwise import _public as binary_function
from .gather import gather
from .index import getitem, split
from .join import _check_all, cat, stack
from .linalg import matmul
from .shape import (
    axis,
    broadcast_tensors,
    expand,
    flatten,
    movedim,
    permute,
    reshape,
    unsqueeze,
)
from .unary import Unary, trunc, where
from .unary import _public as unary_function

ndarray = np.ndarray
MAX_PIECES = 2**24  # of tensor_split: more are a mistake that would take hours
Values = namedtuple("Values", ("values", "indices"))


class Asinh(Unary):
    f, d, keep = np.arcsinh, staticmethod(lambda g, x: g / np.sqrt(x * x + 1)), "x"


class Acosh(Unary):
    f, d, keep = np.arccosh, staticmethod(lambda g, x: g / np.sqrt(x * x - 1)), "x"


class Atanh(Unary):
    f, d, keep = np.arctanh, staticmethod(lambda g, x: g / (1 - x * x)), "x"


class Hypot(Binary):
    ufunc = np.hypot
    da = staticmethod(lambda g, a, b: g * (a / np.hypot(a, b)))
    db = staticmethod(lambda g, a, b: g * (b / np.hypot(a, b)))
    a_in = b_in = (True, True)
    floating = True


class LogAddExp(Binary):
    ufunc = np.logaddexp
    da = staticmethod(lambda g, a, b: g * np.exp(a - np.logaddexp(a, b)))
    db = staticmethod(lambda g, a, b: g * np.exp(b - np.logaddexp(a, b)))
    a_in = b_in = (True, True)
    floating = True


asinh = unary_function(Asinh, "asinh", "The inverse hyperbolic sine of each element.")
arcsinh = unary_function(Asinh, "arcsinh", "The inverse hyperbolic sine of each element.")
acosh = unary_function(Acosh, "acosh", "The inverse hyperbolic cosine of each element.")
arccosh = unary_function(Acosh, "arccosh", "The inverse hyperbolic cosine of each element.")
atanh = unary_function(Atanh, "atanh", "The inverse hyperbolic tangent of each element.")
arctanh = unary_function(Atanh, "arctanh", "The inverse hyperbolic tangent of each element.")
hypot = binary_function(Hypot, "hypot", "The length of the vectors (input, other).")
logaddexp = binary_function(LogAddExp, "logaddexp", "``log(exp(input) + exp(other))``.")


@named
def frac(input: Any) -> Any:
    """What is behind the point, with the sign of the element."""
    return sub(input, trunc(input))


@named
def deg2rad(input: Any) -> Any:
    """Degrees as radians."""
    return mul(input, math.pi / 180)


@named
def rad2deg(input: Any) -> Any:
    """Radians as degrees."""
    return mul(input, 180 / math.pi)


@named
def positive(input: Any) -> Any:
    """The tensor itself."""
    check_tensor(input, "input", "positive")
    return input


@named
def rsub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """``other - alpha * input``."""
    return other - (input if alpha == 1 else mul(input, alpha))


@named
def heaviside(input: Any, values: Any) -> Any:
    """0 below zero, 1 above, and `values` at zero; without a gradient."""
    check_tensor(input, "input", "heaviside")
    check_tensor(values, "values", "heaviside")
    a, b = input._array, values._array
    return wrap(np.heaviside(a, b).astype(promote_types(a.dtype, b.dtype), copy=False))


@named
def copysign(input: Any, other: Any) -> Any:
    """The size of `input` with the sign of `other`."""
    check_tensor(input, "input", "copysign")
    signs = other._array if isinstance(other, TensorBase) else np.asarray(other)
    same = np.signbit(input._array) == np.signbit(signs)
    return mul(input, wrap(np.where(same, 1, -1).astype(input._array.dtype)))


@named
def fmax(input: Any, other: Any) -> Any:
    """The larger of two elements; where one is NaN, the other."""
    a, b = broadcast_tensors(input, other)
    lost = np.isnan(b._array)
    return where(wrap(lost), a, where(wrap(np.isnan(a._array)), b, maximum(a, b)))


@named
def fmin(input: Any, other: Any) -> Any:
    """The smaller of two elements; where one is NaN, the other."""
    a, b = broadcast_tensors(input, other)
    lost = np.isnan(b._array)
    return where(wrap(lost), a, where(wrap(np.isnan(a._array)), b, minimum(a, b)))


# shapes


def _at_least(tensors: tuple[Any, ...], rank: int, name: str) -> Any:
    many = len(tensors) != 1 or isinstance(tensors[0], (tuple, list))
    given = tensors[0] if len(tensors) == 1 and many else tensors
    found = []
    for t in given:
        check_tensor(t, "tensors", name)
        shape = t._array.shape
        if rank == 3 and len(shape) < 3:
            shape = (*(1,) * (2 - len(shape)), *shape, 1) if len(shape) < 2 else (*shape, 1)
        else:
            shape = (*(1,) * (rank - len(shape)), *shape)
        found.append(reshape(t, shape))
    return tuple(found) if many else found[0]


@named
def atleast_1d(*tensors: Any) -> Any:
    """Tensors with one axis or more."""
    return _at_least(tensors, 1, "atleast_1d")


@named
def atleast_2d(*tensors: Any) -> Any:
    """Tensors with two axes or more, new ones in front."""
    return _at_least(tensors, 2, "atleast_2d")


@named
def atleast_3d(*tensors: Any) -> Any:
    """Tensors with three axes or more: (n) as (1, n, 1), (n, m) as (n, m, 1)."""
    return _at_least(tensors, 3, "atleast_3d")


@named
def column_stack(tensors: Sequence[Any]) -> Any:
    """Side by side, with vectors as columns."""
    _check_all(tensors, "column_stack")
    return cat([reshape(t, (-1, 1)) if t._array.ndim < 2 else t for t in tensors], 1)


@named
def dstack(tensors: Sequence[Any]) -> Any:
    """One behind the other, along the third axis."""
    _check_all(tensors, "dstack")
    return cat(atleast_3d(*tensors) if len(tensors) > 1 else [atleast_3d(tensors[0])], 2)


@named
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces along an axis: a number of about equal ones, or cut at positions."""
    check_tensor(input, "input", "tensor_split")
    d = axis(dim, input._array.ndim, "tensor_split")
    size = input._array.shape[d]
    if isinstance(indices_or_sections, int):
        n = as_int("tensor_split", "indices_or_sections", indices_or_sections)
        if n < 1:
            raise RuntimeError(f"tensor_split: the number of sections must be positive, got {n}")
        if n > MAX_PIECES:
            raise ValueError(f"tensor_split: at most {MAX_PIECES} sections can be made, got {n}")
        return tuple(split(input, [size // n + (i < size % n) for i in range(n)], d))
    cuts = [int(i) for i in indices_or_sections]
    edges = [slice(a, b).indices(size) for a, b in itertools.pairwise([None, *cuts, None])]
    where_ = (slice(None),) * d
    return tuple(getitem(input, (*where_, slice(a, max(a, b)))) for a, b, _ in edges)


@named
def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that tensors of these shapes have together."""
    from ..dtypes import Size

    return Size(np.broadcast_shapes(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes]))


@named
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices with the last axis on a diagonal."""
    check_tensor(input, "input", "diag_embed")
    n = input._array.shape[-1]
    size, rank = n + abs(offset), input._array.ndim + 1
    rows = np.arange(n) + max(-offset, 0)
    mask = np.zeros((size, size), input._array.dtype)
    mask[rows, rows + offset] = 1
    places = np.zeros(size, np.int64)
    places[rows] = np.arange(n)
    spread = getitem(unsqueeze(input, -1), (..., places, slice(None)))
    found = mul(expand(spread, *input._array.shape[:-1], size, size), wrap(mask))
    return movedim(found, (-2, -1), (axis(dim1, rank, "dim1"), axis(dim2, rank, "dim2")))


@named
def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix with all elements on a diagonal."""
    return diag_embed(flatten(input) if input._array.ndim else reshape(input, (1,)), offset)


@named
def block_diag(*tensors: Any) -> Any:
    """Matrices along the diagonal of one, with zeros beside them."""
    from .pad import Pad

    found = [atleast_2d(t) for t in tensors]
    width, before, rows = sum(t._array.shape[1] for t in found), 0, []
    for t in found:
        n = t._array.shape[1]
        pads = ((1, before, width - before - n),)
        rows.append(Pad.apply(t, pads, "constant", 0) if n != width else t)
        before += n
    return cat(rows, 0)


@named
def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: every element of `input` times the whole of `other`."""
    rank = max(input._array.ndim, other._array.ndim)
    a = (*(1,) * (rank - input._array.ndim), *input._array.shape)
    b = (*(1,) * (rank - other._array.ndim), *other._array.shape)
    left = reshape(input, tuple(n for pair in zip(a, (1,) * rank) for n in pair))
    right = reshape(other, tuple(n for pair in zip((1,) * rank, b) for n in pair))
    return reshape(mul(left, right), tuple(n * m for n, m in zip(a, b)))


@named
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sums of products over several axes: the last of `a` and the first of `b`, or pairs."""
    check_tensor(a, "a", "tensordot")
    check_tensor(b, "b", "tensordot")
    ra, rb = a._array.ndim, b._array.ndim
    if isinstance(dims, int):
        first, second = list(range(ra - dims, ra)), list(range(dims))
    else:
        first = [axis(d, ra, "tensordot") for d in dims[0]]
        second = [axis(d, rb, "tensordot") for d in dims[1]]
    keep_a = [d for d in range(ra) if d not in first]
    keep_b = [d for d in range(rb) if d not in second]
    size = math.prod(a._array.shape[d] for d in first)
    left = reshape(permute(a, (*keep_a, *first)), (-1, size))
    right = reshape(permute(b, (*second, *keep_b)), (size, -1))
    shape = [a._array.shape[d] for d in keep_a] + [b._array.shape[d] for d in keep_b]
    return reshape(matmul(left, right), tuple(shape))


@named
def vdot(input: Any, other: Any) -> Any:
    """The sum of products of two vectors."""
    return matmul(input, other)


@named
def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of an element of each vector, as rows."""
    from .index import meshgrid

    if len(tensors) == 1:
        return tensors[0]
    return stack([flatten(t) for t in meshgrid(*tensors)], 1)


@named
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All combinations of `r` elements of a vector, as rows."""
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(input._array.shape[0]), r)), np.int64).reshape(-1, r)
    return getitem(input, wrap(rows))


@named
def triu_indices(row: int, col: int, offset: int = 0, **options: Any) -> Any:
    """The places of the upper triangle of a matrix, two rows: of rows and of columns."""
    return wrap(np.stack(np.triu_indices(row, offset, col)).astype(np.int64))


@named
def tril_indices(row: int, col: int, offset: int = 0, **options: Any) -> Any:
    """The places of the lower triangle of a matrix, two rows: of rows and of columns."""
    return wrap(np.stack(np.tril_indices(row, offset, col)).astype(np.int64))


@named
def trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """The area under points along an axis, by trapezoids."""
    from .extra import diff
    from .index import narrow
    from .reduce import sum as total

    d = axis(dim, y._array.ndim, "trapezoid")
    n = y._array.shape[d]
    middle = (narrow(y, d, 1, n - 1) + narrow(y, d, 0, n - 1)) / 2
    if x is None:
        return total(middle, d) * dx
    step = diff(x, dim=-1) if x._array.ndim == 1 else diff(x, dim=d)
    if x._array.ndim == 1:
        step = reshape(step, tuple(n - 1 if i == d else 1 for i in range(y._array.ndim)))
    return total(middle * step, d)


trapz = named(trapezoid, "trapz")


# searches


@named
def isin(elements: Any, test_elements: Any, *, invert: bool = False, **_: Any) -> Any:
    """Whether each element is one of `test_elements`."""
    a = elements._array if isinstance(elements, TensorBase) else np.asarray(elements)
    b = test_elements._array if isinstance(test_elements, TensorBase) else np.asarray(test_elements)
    return wrap(np.isin(a, b, invert=invert))


@named
def isposinf(input: Any) -> Any:
    """Whether each element is +inf."""
    return wrap(input._array == np.inf)


@named
def isneginf(input: Any) -> Any:
    """Whether each element is -inf."""
    return wrap(input._array == -np.inf)


@named
def isreal(input: Any) -> Any:
    """True for each element."""
    return wrap(np.ones(input._array.shape, np.bool_))


@named
def searchsorted(
    sorted_sequence: Any, input: Any, *, right: bool = False, side: str | None = None, **_: Any
) -> Any:
    """Where each value would go into a rising sequence, row by row if it has several.

    Parameters
    ----------
    sorted_sequence : Tensor (…, n)
    input : Tensor (…, m) with the same axes in front, or of any shape for one row; or a number
    right : bool
        Behind equal values rather than before; `side` 'right' says the same.
    """
    check_tensor(sorted_sequence, "sorted_sequence", "searchsorted")
    s = sorted_sequence._array
    v = input._array if isinstance(input, TensorBase) else np.asarray(input)
    which: Any = side or ("right" if right else "left")
    if s.ndim == 1:
        return wrap(np.asarray(np.searchsorted(s, v, which)))
    if v.shape[:-1] != s.shape[:-1]:
        raise RuntimeError(
            f"searchsorted: the axes in front differ: shapes {s.shape} and {v.shape}"
        )
    pairs = zip(s.reshape(-1, s.shape[-1]), v.reshape(-1, v.shape[-1]))
    return wrap(np.stack([np.searchsorted(a, b, which) for a, b in pairs]).reshape(v.shape))


@named
def bucketize(input: Any, boundaries: Any, *, right: bool = False, **_: Any) -> Any:
    """Which interval between rising boundaries each value is in."""
    return searchsorted(boundaries, input, right=right)


@named
@whole("KthValue")
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest value along an axis, and where it is."""
    check_tensor(input, "input", "kthvalue")
    a = input._array
    d = axis(dim, a.ndim, "kthvalue")
    if not 1 <= k <= (a.shape[d] if a.ndim else 1):
        raise RuntimeError(f"kthvalue: k must be 1 to {a.shape[d] if a.ndim else 1}, got {k}")
    place = np.take(np.argsort(a, d, kind="stable"), [k - 1], d)
    values, indices = gather(input, d, wrap(place)), wrap(place)
    if keepdim:
        return Values(values, indices)
    shape = tuple(n for i, n in enumerate(values._array.shape) if i != d)
    return Values(reshape(values, shape), wrap(place.reshape(shape)))


def _running(input: Any, dim: int, name: str, better: Any) -> Any:
    check_tensor(input, "input", name)
    a = np.moveaxis(input._array, axis(dim, input._array.ndim, name), -1)
    place = np.zeros(a.shape, np.int64)
    best = a[..., 0]
    for i in range(1, a.shape[-1]):
        now = a[..., i]
        take = better(now, best) | (now == best) | np.isnan(now)
        best = np.where(take, now, best)
        place[..., i] = np.where(take, i, place[..., i - 1])
    places = np.moveaxis(place, -1, axis(dim, input._array.ndim, name))
    return Values(gather(input, dim, wrap(places)), wrap(places))


@named
def cummax(input: Any, dim: int) -> Any:
    """The largest value so far along an axis, and where it is; the last of equal ones."""
    return _running(input, dim, "cummax", np.greater)


@named
def cummin(input: Any, dim: int) -> Any:
    """The smallest value so far along an axis, and where it is; the last of equal ones."""
    return _running(input, dim, "cummin", np.less)


@named
def msort(input: Any) -> Any:
    """Rising along the first axis."""
    from .gather import sort

    return sort(input, 0)[0]


@named
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent value along an axis, the smallest of several, and its last place."""
    check_tensor(input, "input", "mode")
    a = input._array
    d = axis(dim, a.ndim, "mode")
    rows = np.moveaxis(a, d, -1).reshape(-1, a.shape[d])
    found = np.empty(len(rows), np.int64)
    for i, row in enumerate(rows):
        values, counts = np.unique(row, return_counts=True)
        found[i] = np.nonzero(row == values[counts.argmax()])[0][-1]
    shape = tuple(n for i, n in enumerate(a.shape) if i != d)
    place = np.expand_dims(found.reshape(shape), d)
    values = gather(input, d, wrap(place))
    if keepdim:
        return Values(values, wrap(place))
    return Values(reshape(values, shape), wrap(place.reshape(shape)))


@named
def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: Any = None
) -> Any:
    """Elements without those that equal the one before them."""
    check_tensor(input, "input", "unique_consecutive")
    if dim is not None:
        raise NotImplementedError("unique_consecutive: only of all elements, without dim")
    flat = input._array.reshape(-1)
    new = np.ones(flat.size, bool)
    new[1:] = flat[1:] != flat[:-1]
    found: list[Any] = [wrap(flat[new])]
    if return_inverse:
        found.append(wrap((np.cumsum(new) - 1).reshape(input._array.shape)))
    if return_counts:
        found.append(wrap(np.diff(np.append(np.nonzero(new)[0], flat.size))))
    return tuple(found) if len(found) > 1 else found[0]


@named
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """`input` with the elements of `source`, one after the other, where `mask` holds."""
    for name, t in (("input", input), ("mask", mask), ("source", source)):
        check_tensor(t, name, "masked_scatter")
    keep = np.broadcast_to(mask._array, input._array.shape)
    if int(keep.sum()) > source._array.size:
        raise RuntimeError(
            f"masked_scatter: mask asks for {int(keep.sum())} elements, source has "
            f"{source._array.size}"
        )
    order = np.where(keep, np.cumsum(keep).reshape(keep.shape) - 1, 0)
    given = reshape(source, (-1,))
    taken = getitem(given, wrap(order)) if source._array.size else input
    return where(wrap(keep), taken, input)


@named
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy with `values` at the places of a tuple of indices; added with `accumulate`."""
    from .formats import clone

    found = clone(input)
    index_put_(found, indices, values, accumulate)
    return found


@named
def index_put_(self: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """In-place version of :func:`index_put`; returns the tensor itself."""
    from .index import setitem

    if not accumulate:
        setitem(self, tuple(indices), values)
        return self
    extra = np.zeros_like(self._array)
    given = values._array if isinstance(values, TensorBase) else values
    np.add.at(extra, tuple(i._array for i in indices), given)
    if isinstance(values, TensorBase) and values.requires_grad:
        raise RuntimeError("index_put_: no gradient of values with accumulate=True: use index_add")
    return copy_(self, self + wrap(extra))
