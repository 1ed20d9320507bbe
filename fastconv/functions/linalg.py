"""Matrix products and what belongs to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op, TensorBase, wrap
from ._promote import check_tensor, unbroadcast
from .elementwise import add, mul

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
            return (a.reshape(-1, a.shape[-1]) @ b).reshape(*a.shape[:-1], b.shape[1])
        return a @ b

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
                ga = (g.reshape(-1, g.shape[-1]) @ column.T).reshape(sa)
            else:
                ga = g @ np.swapaxes(column, -1, -2)
                if len(sa) == 1:
                    ga = ga.reshape(-1, sa[0]).sum(0) if ga.size != sa[0] else ga.reshape(sa)
                ga = unbroadcast(ga, sa)
        if ctx.needs[1]:
            row = a[None, :] if a.ndim == 1 else a
            if len(sb) <= 2 and row.ndim > 2:
                gb = row.reshape(-1, row.shape[-1]).T @ g.reshape(-1, g.shape[-1])
            else:
                gb = np.swapaxes(row, -1, -2) @ g
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
    a, b = input.array, other.array
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
    if t.array.ndim != rank:
        raise ValueError(f"{function}: {name} must have {rank} axes, got shape {t.array.shape}")


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices, (n, k) and (k, m)."""
    _rank(input, "input", "mm", 2)
    _rank(mat2, "mat2", "mm", 2)
    return matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """The products of two batches of matrices, (b, n, k) and (b, k, m)."""
    _rank(input, "input", "bmm", 3)
    _rank(mat2, "mat2", "bmm", 3)
    if input.array.shape[0] != mat2.array.shape[0]:
        raise ValueError(f"bmm: batch sizes differ: {input.array.shape} and {mat2.array.shape}")
    return matmul(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix (n, k) and a vector (k,)."""
    _rank(input, "input", "mv", 2)
    _rank(vec, "vec", "mv", 1)
    return matmul(input, vec)


def dot(input: Any, tensor: Any) -> Any:
    """The inner product of two vectors."""
    _rank(input, "input", "dot", 1)
    _rank(tensor, "tensor", "dot", 1)
    return matmul(input, tensor)


def outer(input: Any, vec2: Any) -> Any:
    """All products of the elements of two vectors: (n,) and (m,) give (n, m)."""
    _rank(input, "input", "outer", 1)
    _rank(vec2, "vec2", "outer", 1)
    return mul(input[:, None], vec2)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``."""
    product = mm(mat1, mat2)
    if alpha != 1:
        product = mul(product, alpha)
    return add(product, input if beta == 1 else mul(input, beta))


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


def _triangle(input: Any, name: str, keep: Any, diagonal: int) -> Any:
    check_tensor(input, "input", name)
    if input.array.ndim < 2:
        raise ValueError(f"{name}: input must have at least 2 axes, got shape {input.array.shape}")
    return Triangle.apply(input, keep, diagonal)


def tril(input: Any, diagonal: int = 0) -> Any:
    """The matrices' lower triangles, the rest zero."""
    return _triangle(input, "tril", np.tril, diagonal)


def triu(input: Any, diagonal: int = 0) -> Any:
    """The matrices' upper triangles, the rest zero."""
    return _triangle(input, "triu", np.triu, diagonal)
