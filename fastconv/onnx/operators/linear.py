"""Products: Gemm, MatMul and Einsum."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

import fastconv as T
import fastconv.nn.functional as F

from ..errors import OnnxError
from ..registry import Node, operator
from ..values import arr, is_tensor


def _gemm(n: Node, a: Any, b: Any, c: Any) -> Any:
    alpha, beta = n.get("alpha", 1.0), n.get("beta", 1.0)
    if not is_tensor(a):
        x, y = a.T if n.get("transA", 0) else a, b.T if n.get("transB", 0) else b
        out = alpha * (x @ y) + (0 if c is None else beta * c)
        return np.asarray(out).astype(a.dtype)
    if a.ndim != 2 or b.ndim != 2:
        raise OnnxError(f"matrices are needed, got shapes {tuple(a.shape)} and {tuple(b.shape)}")
    x = a.t() if n.get("transA", 0) else a
    transposed = bool(n.get("transB", 0))
    outs = b.shape[0 if transposed else 1]
    if alpha == 1 and (c is None or (beta == 1 and tuple(c.shape) in ((outs,), (1, outs)))):
        return F.linear(x, b if transposed else b.t(), None if c is None else c.reshape(-1))
    out = x.matmul(b.t() if transposed else b)
    if alpha != 1:
        out = out * alpha
    if c is None or beta == 0:
        return out
    return out + (c if beta == 1 else c * beta)


@operator("Gemm", since=7, weights=(1, 2))
def _gemm7(n: Node, a: Any, b: Any, c: Any = None) -> Any:
    return _gemm(n, a, b, c)


@operator("Gemm", since=1, weights=(1, 2))
def _gemm1(n: Node, a: Any, b: Any, c: Any) -> Any:
    return _gemm(n, a, b, c)


@operator("MatMul", weights=(0, 1))
def _matmul(n: Node, a: Any, b: Any) -> Any:
    if is_tensor(a):
        return T.matmul(a, b)
    return np.matmul(a, b)


@operator("Einsum", since=12, weights=(1,))
def _einsum(n: Node, *operands: Any) -> Any:
    equation = n.get("equation", "")
    if not re.fullmatch(r"[A-Za-z.,\s]*(->[A-Za-z.\s]*)?", equation):
        raise OnnxError(f"equation {equation!r} is not one")
    equation = equation.replace(" ", "")
    terms = equation.split("->")[0].split(",")
    diagonal = any(len(set(t.replace(".", ""))) < len(t.replace(".", "")) for t in terms)
    if all(is_tensor(x) for x in operands) and not diagonal:
        return T.einsum(equation, *operands)
    return np.einsum(equation, *[arr(x) for x in operands])  # a diagonal has no gradient
