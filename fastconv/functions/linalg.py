"""Matrix products and what belongs to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op, TensorBase, wrap
from ..ops import contract
from ..ops.reduce import total
from ..spec.arguments import as_int
from ._named import named
from ._promote import check_tensor, unbroadcast
from .elementwise import add, mul
from .reduce import norm
from .reduce import sum as _sum
from .shape import axis

ndarray = np.ndarray


class MatMul(Op):
    """y = a @ b for any ranks above zero; a vector is a row on the left, a column on the right."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, b: ndarray) -> Any:
        na, nb = ctx.needs
        if na or nb:
            ctx.save(a if nb else None, b if na else None)
            ctx.shapes = a.shape, b.shape
        if b.ndim == 2 and a.ndim > 2:  # one product instead of a batch of small ones
            rows = contract.matmul(a.reshape(-1, a.shape[-1]), b)
            return rows.reshape(*a.shape[:-1], b.shape[1])
        return contract.matmul(a, b)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        a, b = ctx.saved
        sa, sb = ctx.shapes
        ga = gb = None
        if len(sa) == 1:
            g = np.expand_dims(g, -2 if len(sb) > 1 else -1)
        if len(sb) == 1:
            g = np.expand_dims(g, -1)
        if ctx.needs[0]:
            column = b[:, None] if b.ndim == 1 else b
            if len(sa) > 2 and column.ndim == 2:
                ga = contract.matmul(g.reshape(-1, g.shape[-1]), column.T).reshape(sa)
            else:
                ga = contract.matmul(g, np.swapaxes(column, -1, -2))
                if len(sa) == 1:
                    ga = ga.reshape(-1, sa[0])
                    ga = total(ga, (0,)) if ga.size != sa[0] else ga.reshape(sa)
                ga = unbroadcast(ga, sa)
        if ctx.needs[1]:
            row = a[None, :] if a.ndim == 1 else a
            if len(sb) <= 2 and row.ndim > 2:
                gb = contract.matmul(row.reshape(-1, row.shape[-1]).T, g.reshape(-1, g.shape[-1]))
            else:
                gb = contract.matmul(np.swapaxes(row, -1, -2), g)
            gb = gb.reshape(sb) if len(sb) == 1 else unbroadcast(gb, sb)
        return ga, gb


def matmul(input: Any, other: Any) -> Any:
    """The matrix product, batched over leading axes.

    Parameters
    ----------
    input, other : Tensor
        Of one dtype, (…, n, k) and (…, k, m) with leading axes that broadcast; a 1-D tensor is a
        row on the left and a column on the right.

    Returns
    -------
    Tensor
        (…, n, m), without the axis of a 1-D operand.

    Raises
    ------
    ValueError
        If shapes or dtypes do not fit.
    """
    if not (isinstance(input, TensorBase) and isinstance(other, TensorBase)):
        check_tensor(input, "input", "matmul")
        check_tensor(other, "other", "matmul")
    a, b = input._array, other._array
    if a.dtype != b.dtype:
        raise ValueError(f"matmul: operands must have one dtype, got {a.dtype} and {b.dtype}")
    if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} cannot be multiplied")
    return MatMul.apply(input, other)


def operator(self: Any, other: Any) -> Any:
    """``self @ other``."""
    if isinstance(other, ndarray):
        other = wrap(other)
    return matmul(self, other) if isinstance(other, TensorBase) else NotImplemented


def _rank(t: Any, name: str, function: str, rank: int) -> None:
    check_tensor(t, name, function)
    if t._array.ndim != rank:
        raise ValueError(f"{function}: {name} must have {rank} axes, got shape {t._array.shape}")


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices, (n, k) and (k, m)."""
    _rank(input, "input", "mm", 2)
    _rank(mat2, "mat2", "mm", 2)
    return matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """The products of two batches of matrices, (b, n, k) and (b, k, m)."""
    _rank(input, "input", "bmm", 3)
    _rank(mat2, "mat2", "bmm", 3)
    if input._array.shape[0] != mat2._array.shape[0]:
        raise ValueError(f"bmm: batch sizes differ: {input._array.shape} and {mat2._array.shape}")
    return matmul(input, mat2)


@named
def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix (n, k) and a vector (k,)."""
    _rank(input, "input", "mv", 2)
    _rank(vec, "vec", "mv", 1)
    return matmul(input, vec)


@named
def dot(input: Any, tensor: Any) -> Any:
    """The inner product of two vectors."""
    _rank(input, "input", "dot", 1)
    _rank(tensor, "tensor", "dot", 1)
    return matmul(input, tensor)


@named
def outer(input: Any, vec2: Any) -> Any:
    """All products of the elements of two vectors: (n,) and (m,) give (n, m)."""
    _rank(input, "input", "outer", 1)
    _rank(vec2, "vec2", "outer", 1)
    return mul(input[:, None], vec2)


@named
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``."""
    product = mm(mat1, mat2)
    if alpha != 1:
        product = mul(product, alpha)
    return add(product, input if beta == 1 else mul(input, beta))


@named
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * bmm(batch1, batch2)``."""
    product = bmm(batch1, batch2)
    if alpha != 1:
        product = mul(product, alpha)
    return add(product, input if beta == 1 else mul(input, beta))


class Triangle(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, keep: Any, diagonal: int) -> ndarray:
        ctx.keep, ctx.diagonal = keep, diagonal
        return keep(a, diagonal)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        return ctx.keep(g, ctx.diagonal)


def _offset(name: str, argument: str, value: Any) -> int:
    """A diagonal's number; those past every matrix are alike."""
    return min(max(as_int(name, argument, value), -(2**30)), 2**30)


def _triangle(input: Any, name: str, keep: Any, diagonal: int) -> Any:
    check_tensor(input, "input", name)
    if input._array.ndim < 2:
        raise ValueError(f"{name}: input must have at least 2 axes, got shape {input._array.shape}")
    return Triangle.apply(input, keep, _offset(name, "diagonal", diagonal))


@named
def tril(input: Any, diagonal: int = 0) -> Any:
    """The matrices' lower triangles, the rest zero."""
    return _triangle(input, "tril", np.tril, diagonal)


@named
def triu(input: Any, diagonal: int = 0) -> Any:
    """The matrices' upper triangles, the rest zero."""
    return _triangle(input, "triu", np.triu, diagonal)


class Diagonal(Op):
    view = True

    @staticmethod
    def forward(ctx: Any, a: ndarray, offset: int, d1: int, d2: int) -> ndarray:
        ctx.args = a.shape, offset, d1, d2
        out = np.diagonal(a, offset, d1, d2)
        out.flags.writeable = a.flags.writeable
        return out

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        shape, offset, d1, d2 = ctx.args
        out = np.zeros(shape, g.dtype)
        view = np.diagonal(out, offset, d1, d2)
        view.flags.writeable = True
        view[...] = g
        return out


@named
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of the planes of two axes, as a new last axis: a view."""
    check_tensor(input, "input", "diagonal")
    rank = input._array.ndim
    offset = _offset("diagonal", "offset", offset)
    d1, d2 = axis(dim1, rank, "diagonal"), axis(dim2, rank, "diagonal")
    if d1 == d2 or rank < 2:
        raise ValueError(
            f"diagonal: axes {dim1} and {dim2} of shape {input._array.shape} do not span a plane"
        )
    return Diagonal.apply(input, offset, d1, d2)


class Diag(Op):
    """A matrix with a vector on a diagonal, zero elsewhere."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, offset: int) -> ndarray:
        ctx.offset = offset
        return np.diag(a, offset)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        return np.diagonal(g, ctx.offset)


@named
def diag(input: Any, diagonal: int = 0) -> Any:
    """A matrix from its diagonal, or the diagonal of a matrix."""
    diagonal = _offset("diag", "diagonal", diagonal)
    check_tensor(input, "input", "diag")
    if input._array.ndim == 1:
        return Diag.apply(input, diagonal)
    _rank(input, "input", "diag", 2)
    return Diagonal.apply(input, diagonal, 0, 1)


@named
def trace(input: Any) -> Any:
    """The sum of the diagonal of a matrix."""
    _rank(input, "input", "trace", 2)
    return _sum(Diagonal.apply(input, 0, 0, 1))


@named
def inner(input: Any, other: Any) -> Any:
    """Products summed over the last axis of both."""
    check_tensor(input, "input", "inner")
    check_tensor(other, "other", "inner")
    if not input._array.ndim or not other._array.ndim:
        return mul(input, other)
    flat = matmul(
        input.reshape(-1, input._array.shape[-1]), other.reshape(-1, other._array.shape[-1]).t()
    )
    return flat.reshape(*input._array.shape[:-1], *other._array.shape[:-1])


@named
def cdist(x1: Any, x2: Any, p: float = 2.0) -> Any:
    """The distances of all pairs of rows: (…, n, d) and (…, m, d) give (…, n, m)."""
    check_tensor(x1, "x1", "cdist")
    check_tensor(x2, "x2", "cdist")
    return norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


class Einsum(Op):
    """A sum of products named by subscripts; the gradient of an operand is another one."""

    view = True  # of a single operand, where nothing is summed

    @staticmethod
    def forward(ctx: Any, inputs: tuple[str, ...], output: str, *arrays: ndarray) -> Any:
        ctx.names, ctx.output = inputs, output
        if True in ctx.needs:
            ctx.save(*arrays)
        return contract.einsum(inputs, output, *arrays)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        grads: list[Any] = []
        for i, need in enumerate(ctx.needs):
            if not need:
                grads.append(None)
                continue
            names = [n for k, n in enumerate(ctx.names) if k != i]
            arrays = [a for k, a in enumerate(ctx.saved) if k != i]
            known = set("".join((ctx.output, *names)))
            found = "".join([c for c in ctx.names[i] if c in known])
            part = contract.einsum((ctx.output, *names), found, g, *arrays)
            shape = ctx.saved[i].shape  # axes that only this operand has were summed: all alike
            kept = [n if c in known else 1 for c, n in zip(ctx.names[i], shape, strict=True)]
            grads.append(np.broadcast_to(part.reshape(kept), shape))
        return tuple(grads)


def einsum(equation: str, *operands: Any) -> Any:
    """Einstein summation, such as ``einsum("bchw,bdhw->bcd", x, x)``.

    Parameters
    ----------
    equation : str
        Letters for the axes of each operand, and after ``->`` those of the result (by default those
        that occur once, in alphabetical order). An ellipsis stands for further leading axes.
    *operands : Tensor
        Also accepted as one sequence.

    Raises
    ------
    ValueError
        If letters and axes do not match.
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not isinstance(equation, str):
        raise TypeError(f"einsum: equation must be a str, got {type(equation).__name__}")
    for i, x in enumerate(operands):
        check_tensor(x, f"operand {i}", "einsum")
    left, arrow, output = equation.replace(" ", "").partition("->")
    names = left.split(",")
    if len(names) != len(operands):
        raise ValueError(f"einsum: {equation!r} names {len(names)} operands, got {len(operands)}")
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in equation]
    most = 0
    for i, (name, t) in enumerate(zip(names, operands, strict=True)):
        check_tensor(t, f"operands[{i}]", "einsum")
        rank = t._array.ndim - len(name.replace("...", ""))
        if rank < 0 or (rank and "..." not in name):
            raise ValueError(f"einsum: {name!r} does not name the axes of shape {t._array.shape}")
        names[i] = name.replace("...", "".join(spare[:rank][::-1]))
        most = max(most, rank)
        if len(set(names[i])) != len(names[i]):
            raise ValueError(f"einsum: {name!r} names an axis twice; use diagonal() first")
    dots = "".join(spare[:most][::-1])
    if not arrow:
        letters = "".join(names)
        output = dots + "".join(
            sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots)
        )
    sizes: dict[str, int] = {}
    for name, t in zip(names, operands, strict=True):
        for c, n in zip(name, t._array.shape, strict=True):
            if sizes.setdefault(c, n) != n:
                raise ValueError(f"einsum: axis {c!r} has sizes {sizes[c]} and {n} in {equation!r}")
    return Einsum.apply(tuple(names), output.replace("...", dots), *operands)
