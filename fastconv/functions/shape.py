"""Shapes: views wherever memory allows, and copies that repeat or turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _watch, dtypes
from .._grad_mode import mode
from ..autograd import Op, TensorBase, share, wrap
from ..ops.reduce import add_at, total
from ..spec.arguments import as_int
from ._named import named, retell
from ._promote import check_index, check_tensor, numpy_names, unbroadcast
from .formats import Clone

ndarray = np.ndarray
_INT = (int, np.integer)


def axis(dim: Any, rank: int, function: str) -> int:
    """`dim` counted from the front.

    Raises
    ------
    IndexError
        If a tensor of that rank has no such axis.
    """
    if not isinstance(dim, _INT) or isinstance(dim, bool):
        if isinstance(dim, TensorBase):
            if dim._array.ndim or dim._array.dtype.kind not in "iu":
                raise TypeError(f"{function}: dim must be an int, got a tensor {dim._array.dtype}")
            dim = int(dim._array)
        else:
            raise TypeError(f"{function}: dim must be an int, got {dim!r}")
    n = rank or 1
    if not -n <= dim < n:
        raise IndexError(f"{function}: dim {dim} is out of range [{-n}, {n - 1}]")
    return int(dim) % n


def axes(dim: Any, rank: int, function: str) -> tuple[int, ...]:
    """Several dims counted from the front; None and () mean all."""
    if dim is None:
        return tuple(range(rank))
    if isinstance(dim, _INT):
        return (axis(dim, rank, function),) if rank else (axis(dim, rank, function),)[:0]
    if not isinstance(dim, (tuple, list)):
        if isinstance(dim, TensorBase) and not dim._array.ndim:
            return axes(axis(dim, rank, function), rank, function)
        raise TypeError(f"{function}: dim must be an int or a tuple of ints, got {dim!r:.80}")
    found = tuple([axis(d, rank, function) for d in dim])
    if len(set(found)) != len(found):
        raise ValueError(f"{function}: dim {tuple(dim)} names an axis twice")
    return found if found and rank else tuple(range(rank))


def sizes(args: tuple[Any, ...], function: str) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence."""
    if len(args) == 1 and not isinstance(args[0], _INT):
        if not isinstance(args[0], (tuple, list)):
            if isinstance(args[0], TensorBase) and args[0]._array.ndim == 0:
                return (int(args[0]._array),)
            raise TypeError(f"{function}: sizes must be integers, got {args[0]!r}")
        args = tuple(args[0])
    for s in args:
        if not isinstance(s, _INT):
            if isinstance(s, TensorBase) and s._array.ndim == 0 and s._array.dtype.kind in "iu":
                return tuple([int(x) for x in args])
            raise TypeError(f"{function}: sizes must be integers, got {args!r}")
    return args


class Reshape(Op):
    view = True

    @staticmethod
    def forward(ctx: Any, a: ndarray, shape: tuple[int, ...]) -> ndarray:
        ctx.shape = a.shape
        return a.reshape(shape)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        return g.reshape(ctx.shape)


class Permute(Op):
    view = True

    @staticmethod
    def forward(ctx: Any, a: ndarray, order: tuple[int, ...]) -> ndarray:
        ctx.order = order
        return a.transpose(order)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        inverse = [0] * len(ctx.order)
        for i, d in enumerate(ctx.order):
            inverse[d] = i
        return g.transpose(inverse)


class Expand(Op):
    view = True

    @staticmethod
    def forward(ctx: Any, a: ndarray, shape: tuple[int, ...]) -> ndarray:
        ctx.shape = a.shape
        if shape == a.shape:  # nothing is repeated, and the view may be written
            return a.view()
        return np.broadcast_to(a, shape)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        return unbroadcast(g, ctx.shape)


class Flip(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, dims: tuple[int, ...]) -> ndarray:
        ctx.dims = dims
        return np.flip(a, dims).copy(order="K")

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        return np.flip(g, ctx.dims)


class Roll(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, shifts: Any, dims: Any) -> ndarray:
        ctx.back = (
            (tuple(-s for s in shifts), dims) if isinstance(shifts, tuple) else (-shifts, dims)
        )
        return np.roll(a, shifts, dims)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        return np.roll(g, *ctx.back)


class Repeat(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, counts: tuple[int, ...]) -> ndarray:
        ctx.shape, ctx.counts = a.shape, counts
        return np.tile(a, counts)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        counts = ctx.counts
        shape = (1,) * (len(counts) - len(ctx.shape)) + ctx.shape
        pairs = [n for pair in zip(counts, shape, strict=True) for n in pair]
        axes = tuple(range(0, 2 * len(counts), 2))
        return np.asarray(total(g.reshape(pairs), axes)).reshape(ctx.shape)


class RepeatInterleave(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, counts: Any, dim: int) -> ndarray:
        ctx.args = a.shape, counts, dim
        return np.repeat(a, counts, dim)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        shape, counts, dim = ctx.args
        out = np.zeros(shape, g.dtype)
        source = np.repeat(np.arange(shape[dim]), counts)
        add_at(out, (slice(None),) * dim + (source,), g)
        return out


def reshape(input: Any, *shape: Any) -> Any:
    """The same elements in another shape: a view where memory allows, else a copy.

    Parameters
    ----------
    input : Tensor
    shape : int or sequence of int
        One may be -1: whatever is left.

    Raises
    ------
    ValueError
        If the number of elements differs.
    """
    try:
        check_tensor(input, "input", "reshape")
        shape = sizes(shape, "reshape")
        try:
            return Reshape.apply(input, shape)
        except ValueError:
            raise ValueError(
                f"reshape: a tensor of shape {input._array.shape} does not fit into {tuple(shape)}"
            ) from None
    except Exception as error:
        retell(error, "reshape", reshape, (input, *shape), {})


def view(self: Any, *shape: Any) -> Any:
    """:func:`reshape`; ``view(dtype)`` reads the same memory as another type."""
    try:
        if len(shape) == 1 and type(shape[0]) is dtypes.dtype:
            from ..autograd import wrap

            other = wrap(self._array.view(shape[0].dtype))
            other._version_box = self._version_box
            return other
        return reshape(self, *shape)
    except Exception as error:
        retell(error, "view", view, (self, *shape), {})


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from `start_dim` to `end_dim` made one, in row-major order."""
    check_tensor(input, "input", "flatten")
    array = input._array
    shape = array.shape
    if not shape:
        return Reshape.apply(input, (1,))
    first, last = axis(start_dim, len(shape), "flatten"), axis(end_dim, len(shape), "flatten")
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    if first == last:
        return input
    sizes = (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])
    if mode.grad or _watch.recorder is not None:
        return Reshape.apply(input, sizes)
    result = wrap(array.reshape(sizes))
    share(result, input)
    return result


@named
def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """One axis made several, of these sizes."""
    check_tensor(input, "input", "unflatten")
    if not isinstance(sizes, (tuple, list)):
        raise TypeError(f"unflatten: sizes must be a tuple of ints, got {sizes!r:.80}")
    shape = input._array.shape
    d = axis(dim, len(shape), "unflatten")
    return reshape(input, (*shape[:d], *sizes, *shape[d + 1 :]))


def permute(input: Any, *dims: Any) -> Any:
    """The axes in another order: a view."""
    check_tensor(input, "input", "permute")
    dims = sizes(dims, "permute")
    rank = input._array.ndim
    order = tuple([axis(d, rank, "permute") for d in dims])
    if len(order) != rank or len(set(order)) != rank:
        raise ValueError(
            f"permute: dims {dims} do not order the axes of shape {input._array.shape}"
        )
    return Permute.apply(input, order)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two axes swapped: a view."""
    check_tensor(input, "input", "transpose")
    rank = input._array.ndim
    order = list(range(rank))
    a, b = axis(dim0, rank, "transpose"), axis(dim1, rank, "transpose")
    if rank:
        order[a], order[b] = b, a
    return Permute.apply(input, tuple(order))


swapaxes, swapdims = named(transpose, "swapaxes"), named(transpose, "swapdims")


@named
def t(input: Any) -> Any:
    """A matrix transposed; a vector is returned as it is."""
    check_tensor(input, "input", "t")
    if input._array.ndim > 2:
        raise ValueError(f"t: input must have at most 2 axes, got shape {input._array.shape}")
    return Permute.apply(input, tuple(range(input._array.ndim))[::-1])


@named
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Axes moved from `source` to `destination`: a view."""
    check_tensor(input, "input", "movedim")
    rank = input._array.ndim
    for name, value in (("source", source), ("destination", destination)):
        if not isinstance(value, (*_INT, tuple, list)):
            raise TypeError(f"movedim: {name} must be an int or a tuple of ints, got {value!r:.80}")
    source = (source,) if isinstance(source, _INT) else tuple(source)
    destination = (destination,) if isinstance(destination, _INT) else tuple(destination)
    if len(source) != len(destination):
        raise ValueError(f"movedim: {len(source)} sources but {len(destination)} destinations")
    src = [axis(d, rank, "movedim") for d in source]
    dst = [axis(d, rank, "movedim") for d in destination]
    if len(set(src)) != len(src) or len(set(dst)) != len(dst):
        raise ValueError(f"movedim: {source} to {destination} names an axis twice")
    order = [i for i in range(rank) if i not in src]
    for d, s in sorted(zip(dst, src, strict=True)):
        order.insert(d, s)
    return Permute.apply(input, tuple(order))


moveaxis = named(movedim, "moveaxis")


@numpy_names
def squeeze(input: Any, dim: Any = None) -> Any:
    """Axes of size 1 removed: all, or those of `dim` that have it."""
    check_tensor(input, "input", "squeeze")
    shape = input._array.shape
    drop = axes(dim, len(shape), "squeeze")
    return Reshape.apply(input, tuple([n for i, n in enumerate(shape) if n != 1 or i not in drop]))


@numpy_names
def unsqueeze(input: Any, dim: int) -> Any:
    """A new axis of size 1 at `dim`."""
    check_tensor(input, "input", "unsqueeze")
    shape = input._array.shape
    d = axis(dim, len(shape) + 1, "unsqueeze")
    return Reshape.apply(input, (*shape[:d], 1, *shape[d:]))


def expand(input: Any, *shape: Any) -> Any:
    """Axes of size 1 repeated without copying; -1 leaves an axis as it is.

    Raises
    ------
    ValueError
        If an axis that is not 1 would change.
    """
    check_tensor(input, "input", "expand")
    shape = sizes(shape, "expand")
    old = input._array.shape
    extra = len(shape) - len(old)
    full = tuple([old[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(shape)])
    fits = extra >= 0 and all(n >= 0 for n in full)
    if not fits or any(o not in (1, n) for o, n in zip(old, full[extra:], strict=True)):
        raise ValueError(f"expand: a tensor of shape {old} cannot be expanded to {tuple(shape)}")
    return Expand.apply(input, full)


@named
def expand_as(input: Any, other: Any) -> Any:
    """:func:`expand` to the shape of `other`."""
    check_tensor(input, "input", "expand_as")
    check_tensor(other, "other", "expand_as")
    return expand(input, other._array.shape)


@named
def broadcast_to(input: Any, shape: Sequence[int]) -> Any:
    """:func:`expand` to `shape`."""
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"broadcast_to: shape must be a tuple of ints, got {shape!r:.80}")
    return expand(input, tuple(shape))


@named
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Tensors expanded to their common shape."""
    for i, x in enumerate(tensors):
        check_tensor(x, f"argument {i}", "broadcast_tensors")
    shape = np.broadcast_shapes(*[x._array.shape for x in tensors])
    return tuple([expand(x, shape) for x in tensors])


@named
def repeat(input: Any, *counts: Any) -> Any:
    """The tensor laid out `counts` times along each axis: a copy."""
    check_tensor(input, "input", "repeat")
    counts = sizes(counts, "repeat")
    if len(counts) < input._array.ndim:
        raise ValueError(
            f"repeat: {counts} is too short for a tensor of shape {input._array.shape}"
        )
    if min(counts, default=0) < 0:
        raise ValueError(f"repeat: counts must not be negative, got {tuple(counts)}")
    if max(counts, default=0) * max(input._array.size, 1) >= 2**60:
        raise ValueError(f"repeat: {counts} of {input._array.shape} is too large")
    return Repeat.apply(input, counts)


@named
def tile(input: Any, *counts: Any) -> Any:
    """:func:`repeat`, with missing counts taken as 1."""
    check_tensor(input, "input", "tile")
    counts = sizes(counts, "tile")
    return repeat(input, (1,) * (input._array.ndim - len(counts)) + tuple(counts))


@named
def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Any:
    """Every element along `dim` repeated; without `dim`, of the flattened tensor."""
    check_tensor(input, "input", "repeat_interleave")
    if dim is None:
        input, dim = reshape(input, -1), 0
    if isinstance(repeats, TensorBase):
        check_index(repeats, "repeats", "repeat_interleave")
        counts: Any = repeats._array
    else:
        counts = as_int("repeat_interleave", "repeats", repeats)
        if not 0 <= counts < 2**48:
            raise ValueError(f"repeat_interleave: repeats must be from 0 to 2**48, got {counts}")
    return RepeatInterleave.apply(input, counts, axis(dim, input._array.ndim, "repeat_interleave"))


@named
def flip(input: Any, *dims: Any) -> Any:
    """The order of elements reversed along `dims`: a copy."""
    check_tensor(input, "input", "flip")
    dims = sizes(dims, "flip")
    return Flip.apply(input, tuple([axis(d, input._array.ndim, "flip") for d in dims]))


@named
def fliplr(input: Any) -> Any:
    """Axis 1 reversed."""
    return flip(input, 1)


@named
def flipud(input: Any) -> Any:
    """Axis 0 reversed."""
    return flip(input, 0)


def _shift(value: Any) -> int:
    shift = as_int("roll", "shifts", value)
    if not -(2**63) <= shift < 2**63:
        raise ValueError(f"roll: shifts must fit 64 bits, got {shift}")
    return shift


@named
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Elements moved along `dims`, those that fall out entering at the other end."""
    check_tensor(input, "input", "roll")
    many = isinstance(shifts, (tuple, list))
    shifts = tuple([_shift(s) for s in shifts]) if many else _shift(shifts)
    dims = tuple(dims) if isinstance(dims, (tuple, list)) else dims
    return Roll.apply(input, shifts, dims)


@named
def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """The plane of two axes turned by `k` quarter turns, from the first axis to the second."""
    check_tensor(input, "input", "rot90")
    k = as_int("rot90", "k", k)
    if not isinstance(dims, (tuple, list)) or len(dims) != 2:
        raise TypeError(f"rot90: dims must be two axes, got {dims!r:.80}")
    a, b = (axis(d, input._array.ndim, "rot90") for d in dims)
    if a == b:
        raise ValueError(f"rot90: dims must differ, got {tuple(dims)}")
    k %= 4
    if k == 0:
        return Clone.apply(input, "K")
    if k == 2:
        return flip(input, a, b)
    return transpose(flip(input, b), a, b) if k == 1 else flip(transpose(input, a, b), b)
