"""Gradients of inverses, determinants and factors of matrices, and of Fourier transforms.

The formulas are those of ``functions/decompose.py``, in products, quotients and the same
operations on Tensors, so that each has a gradient of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import decompose as de
from .. import fourier
from .. import unary as un
from ..linalg import matmul
from . import argument, constant, fit, result, rule


def _t(a: Any) -> Any:
    return a.transpose(-1, -2)


def _times(*parts: Any) -> Any:
    """The product of matrices, from left to right."""
    found = parts[0]
    for part in parts[1:]:
        found = matmul(found, part)
    return found


def _one_over(a: Any) -> Any:
    """``1 / a``, and a constant 0 where `a` is 0."""
    zero = constant(a._array == 0)
    return un.where(zero, 0.0, 1 / un.where(zero, 1.0, a))


def _eye(a: Any) -> Any:
    return constant(np.eye(a.shape[-1], dtype=a._array.dtype))


def _symmetric(a: Any) -> Any:
    return (a + _t(a)) / 2


def _inverse_of(a: Any, name: str) -> Any:
    """The inverse of an argument; the formula with it is that of matrices that have one."""
    try:
        return de.Inverse.apply(a)
    except np.linalg.LinAlgError:
        raise RuntimeError(
            f"{name}: the gradient with create_graph=True is for invertible matrices, one of shape "
            f"{tuple(a.shape)} is singular"
        ) from None


@rule(de.Inverse)
def _inverse(node: Any, g: Any) -> Any:
    y = _t(result(node, *node.saved))
    return -_times(y, g, y)


@rule(de.Solve)
def _solve(node: Any, g: Any) -> Any:
    a, x = argument(node, 0, node.saved[0]), result(node, node.saved[1])
    gb = de.Solve.apply(_t(a), g)
    ga = fit(-_times(gb, _t(x)), tuple(a.shape)) if node.needs[0] else None
    return ga, fit(gb, node.shape) if node.needs[1] else None


@rule(de.Det)
def _det(node: Any, g: Any) -> Any:
    (array,) = node.saved
    det = result(node, np.asarray(np.linalg.det(array), array.dtype))
    inverse = _inverse_of(argument(node, 0, array), "Det")
    return (g * det).reshape(*det.shape, 1, 1) * _t(inverse)


@rule(de.SlogDet)
def _slogdet(node: Any, _: Any, g: Any) -> Any:
    inverse = _inverse_of(argument(node, 0, *node.saved), "SlogDet")
    return g.reshape(*g.shape, 1, 1) * _t(inverse)


@rule(de.Cholesky)
def _cholesky(node: Any, g: Any) -> Any:
    y = result(node, *node.saved)
    n, kind = y.shape[-1], y._array.dtype
    half = np.tril(np.ones((n, n), kind)) - np.eye(n, dtype=kind) / 2
    inverse = de.Inverse.apply(y)
    return _symmetric(_times(_t(inverse), _times(_t(y), g) * constant(half), inverse))


@rule(de.Eigh)
def _eigh(node: Any, gw: Any, gv: Any) -> Any:
    w, v = (result(node, array, i) for i, array in enumerate(node.saved))
    gap = w.unsqueeze(-2) - w.unsqueeze(-1)
    inner = _times(_t(v), gv) * _one_over(gap) + gw.unsqueeze(-1) * _eye(w)
    return _symmetric(_times(v, inner, _t(v)))


@rule(de.SVD)
def _svd(node: Any, gu: Any, gs: Any, gvt: Any) -> Any:
    u, s, vt = (result(node, array, i) for i, array in enumerate(node.saved))
    v, gv = _t(vt), _t(gvt)
    row, column = s.unsqueeze(-2), s.unsqueeze(-1)
    over = _one_over(row * row - column * column)
    ut_gu, vt_gv = _times(_t(u), gu), _times(vt, gv)
    left = (ut_gu - _t(ut_gu)) * over * row
    right = (vt_gv - _t(vt_gv)) * over * column
    found = _times(u, left + right + gs.unsqueeze(-1) * _eye(s), vt)
    if u.shape[-2] > u.shape[-1]:
        found = found + _times(gu - _times(u, ut_gu), _one_over(column) * vt)
    if v.shape[-2] > v.shape[-1]:
        found = found + _times(u * _one_over(row), _t(gv - _times(v, vt_gv)))
    return found


@rule(de.QR)
def _qr(node: Any, gq: Any, gr: Any) -> Any:
    if node.shape[-2] < node.shape[-1]:
        raise NotImplementedError(
            f"QR: no gradient for a matrix with more columns than rows, shape {node.shape}"
        )
    q, r = (result(node, array, i) for i, array in enumerate(node.saved))
    m = _times(r, _t(gr)) - _times(_t(gq), q)
    lower = constant(np.tril(np.ones(m.shape[-2:], m._array.dtype)))
    strict = lower - _eye(m)
    symmetric = m * lower + _t(m * strict)
    return _t(de.Solve.apply(r, _t(gq + _times(q, symmetric))))


@rule(fourier.Transform)
def _transform(node: Any, gre: Any, gim: Any) -> Any:
    axes, inverse, norm = node.args[0], node.args[1], node.norm
    other = {"backward": "forward", "forward": "backward"}.get(norm, norm)  # the same factor
    return fourier.Transform.apply(gre, gim, axes, not inverse, other)
