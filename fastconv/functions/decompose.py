"""Inverses, determinants and factors of matrices, through LAPACK as NumPy has it.

Matrices lie in the last two axes. Gradients are those of Giles (2008) and of the factors' textbook
formulas; they exist where the factors are smooth (eigenvalues, and singular values, that differ).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op
from ._promote import unbroadcast

ndarray = np.ndarray


def _t(a: ndarray) -> ndarray:
    return np.swapaxes(a, -1, -2)


def _over(above: ndarray, below: ndarray) -> ndarray:
    """The quotient, and 0 where it is one by 0."""
    safe = np.where(below == 0, 1, below)
    return np.where(below == 0, 0, above / safe)


class Inverse(Op):
    """Y = A⁻¹; the gradient is -Yᵀ G Yᵀ."""

    @staticmethod
    def forward(ctx: Any, a: ndarray) -> ndarray:
        y = np.linalg.inv(a)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        (y,) = ctx.saved
        return -_t(y) @ g @ _t(y)


class Solve(Op):
    """X with A X = B, of columns; the gradient by B is A⁻ᵀ G, by A minus that times Xᵀ."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, b: ndarray) -> ndarray:
        x = np.linalg.solve(a, b)
        ctx.save(a, x)
        ctx.shape = b.shape
        return x

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> Any:
        a, x = ctx.saved
        gb = np.linalg.solve(_t(a), g)
        ga = unbroadcast(-gb @ _t(x), a.shape) if ctx.needs[0] else None
        return ga, unbroadcast(gb, ctx.shape) if ctx.needs[1] else None


class Det(Op):
    """det A; the gradient is g det A A⁻ᵀ, the adjugate where A is singular."""

    @staticmethod
    def forward(ctx: Any, a: ndarray) -> ndarray:
        ctx.save(a)
        return np.asarray(np.linalg.det(a))

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        (a,) = ctx.saved
        u, s, vt = np.linalg.svd(a)
        n = s.shape[-1]
        others = np.stack(
            [np.prod(np.delete(s, i, -1), -1) for i in range(n)] or [np.empty(s.shape)], -1
        )
        sign = np.linalg.det(u) * np.linalg.det(vt)
        cofactors = (u * others[..., None, :]) @ vt
        return (np.asarray(g * sign)[..., None, None] * cofactors).astype(a.dtype, copy=False)


class SlogDet(Op):
    """The sign of det A, and log |det A|; the gradient of the second is A⁻ᵀ."""

    @staticmethod
    def forward(ctx: Any, a: ndarray) -> Any:
        ctx.save(a)
        sign, size = np.linalg.slogdet(a)
        return np.asarray(sign, a.dtype), np.asarray(size, a.dtype)

    @staticmethod
    def backward(ctx: Any, _: ndarray, g: ndarray) -> ndarray:
        (a,) = ctx.saved
        return g[..., None, None] * _t(np.linalg.inv(a))


class Cholesky(Op):
    """L with A = L Lᵀ, lower; A's gradient is symmetric."""

    @staticmethod
    def forward(ctx: Any, a: ndarray) -> ndarray:
        y = np.linalg.cholesky(a)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        (y,) = ctx.saved
        middle = np.tril(_t(y) @ g)
        diagonal = np.eye(y.shape[-1], dtype=y.dtype)
        middle = middle * (1 - diagonal / 2)
        inverse = np.linalg.inv(y)
        found = _t(inverse) @ middle @ inverse
        return (found + _t(found)) / 2


class Eigh(Op):
    """Eigenvalues, rising, and eigenvectors of symmetric matrices."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, uplo: Any) -> Any:
        values, vectors = np.linalg.eigh(a, UPLO=uplo)
        ctx.save(values, vectors)
        return values, vectors

    @staticmethod
    def backward(ctx: Any, gw: ndarray, gv: ndarray) -> ndarray:
        w, v = ctx.saved
        gap = w[..., None, :] - w[..., :, None]
        inner = _over(_t(v) @ gv, gap)
        inner = inner + gw[..., None] * np.eye(w.shape[-1], dtype=w.dtype)
        found = v @ inner @ _t(v)
        return (found + _t(found)) / 2


class SVD(Op):
    """U, S and Vᵀ of the reduced decomposition."""

    @staticmethod
    def forward(ctx: Any, a: ndarray) -> Any:
        u, s, vt = np.linalg.svd(a, full_matrices=False)
        ctx.save(u, s, vt)
        return u, s, vt

    @staticmethod
    def backward(ctx: Any, gu: ndarray, gs: ndarray, gvt: ndarray) -> ndarray:
        u, s, vt = ctx.saved
        v, gv = _t(vt), _t(gvt)
        row, column = s[..., None, :], s[..., :, None]
        gap = row**2 - column**2
        eye = np.eye(s.shape[-1], dtype=s.dtype)
        ut_gu, vt_gv = _t(u) @ gu, vt @ gv
        left = _over(ut_gu - _t(ut_gu), gap) * row
        right = _over(vt_gv - _t(vt_gv), gap) * column
        found = u @ (left + right + gs[..., None] * eye) @ vt
        if u.shape[-2] > u.shape[-1]:
            found = found + (gu - u @ ut_gu) @ (_over(np.ones_like(s), s)[..., None] * vt)
        if v.shape[-2] > v.shape[-1]:
            found = found + (u * _over(np.ones_like(s), s)[..., None, :]) @ _t(gv - v @ vt_gv)
        return found


class QR(Op):
    """Q and R of the reduced decomposition; the gradient needs at least as many rows as columns."""

    @staticmethod
    def forward(ctx: Any, a: ndarray) -> Any:
        q, r = np.linalg.qr(a)
        ctx.save(q, r)
        ctx.shape = a.shape
        return q, r

    @staticmethod
    def backward(ctx: Any, gq: ndarray, gr: ndarray) -> ndarray:
        q, r = ctx.saved
        if ctx.shape[-2] < ctx.shape[-1]:
            raise NotImplementedError(
                f"qr: no gradient for a matrix with more columns than rows, shape {ctx.shape}"
            )
        m = r @ _t(gr) - _t(gq) @ q
        symmetric = np.tril(m) + _t(np.tril(m, -1))
        return _t(np.linalg.solve(r, _t(gq + q @ symmetric)))
