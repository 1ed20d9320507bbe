"""Linear algebra under PyTorch's names, through NumPy, in float32 and float64.

Matrices lie in the last two axes, batches in front of them.
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from .absent import missing
from .autograd import TensorBase, wrap
from .functions import decompose as _ops
from .functions import reduce as _reduce
from .functions._named import named
from .functions.linalg import diagonal, matmul
from .functions.reduce import norm as vector_p_norm
from .functions.shape import axis, movedim

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "logdet",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "vecdot",
    "vector_norm",
]  # fmt: skip

LinAlgError = np.linalg.LinAlgError
_Eigh = namedtuple("_Eigh", ("eigenvalues", "eigenvectors"))
_SVD = namedtuple("_SVD", ("U", "S", "Vh"))
_QR = namedtuple("_QR", ("Q", "R"))
_Slogdet = namedtuple("_Slogdet", ("sign", "logabsdet"))
_Lstsq = namedtuple("_Lstsq", ("solution", "residuals", "rank", "singular_values"))


def _tensor(t: Any, name: str, function: str) -> None:
    """Raise TypeError unless `t` is a Tensor."""
    if not isinstance(t, TensorBase):
        raise TypeError(f"linalg.{function}: {name} must be a Tensor, got {type(t).__name__}")


def _matrix(A: Any, function: str, square: bool = False) -> Any:
    """`A`, if it holds matrices of float32 or float64."""
    _tensor(A, "A", function)
    a = A._array
    if a.dtype not in (np.float32, np.float64):
        raise TypeError(f"linalg.{function}: A must be float32 or float64, got {a.dtype}")
    if a.ndim < 2:
        raise RuntimeError(f"linalg.{function}: A must have two axes or more, got shape {a.shape}")
    if square and a.shape[-1] != a.shape[-2]:
        raise RuntimeError(f"linalg.{function}: A must be square, got shape {a.shape}")
    return A


@named
def inv(A: Any) -> Any:
    """The inverse of square matrices; LinAlgError where there is none."""
    return _ops.Inverse.apply(_matrix(A, "inv", True))


@named
def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """X with ``A @ X = B``, or ``X @ A = B`` where not `left`.

    Parameters
    ----------
    A : Tensor (…, n, n)
    B : Tensor (…, n, k), or (n,) or (…, n) of a batch
    left : bool
    """
    _matrix(A, "solve", True)
    _tensor(B, "B", "solve")
    if not left:
        return solve(A.mT, B.mT).mT
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])
    columns = B.unsqueeze(-1) if vector else B
    if columns.shape[-2] != A.shape[-1]:
        raise RuntimeError(
            f"linalg.solve: A of shape {tuple(A.shape)} and B of shape {tuple(B.shape)} do not fit"
        )
    found = _ops.Solve.apply(A, columns)
    return found.squeeze(-1) if vector else found


@named
def det(A: Any) -> Any:
    """The determinants of square matrices."""
    return _ops.Det.apply(_matrix(A, "det", True))


@named
def slogdet(A: Any) -> Any:
    """The sign and the logarithm of the size of determinants: a named tuple."""
    return _Slogdet(*_ops.SlogDet.apply(_matrix(A, "slogdet", True)))


@named
def logdet(A: Any) -> Any:
    """The logarithm of determinants; NaN for negative ones."""
    sign, size = slogdet(A)
    return size + wrap(np.where(sign._array < 0, np.nan, 0).astype(size._array.dtype))


@named
def cholesky(A: Any, upper: bool = False) -> Any:
    """L, lower, with ``L @ L.mT = A``; its transpose where `upper`."""
    found = _ops.Cholesky.apply(_matrix(A, "cholesky", True))
    return found.mT if upper else found


@named
def eigh(A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues, rising, and eigenvectors of symmetric matrices: a named tuple."""
    return _Eigh(*_ops.Eigh.apply(_matrix(A, "eigh", True), UPLO))


@named
def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """Eigenvalues, rising, of symmetric matrices."""
    return eigh(A, UPLO).eigenvalues


@named
def svd(A: Any, full_matrices: bool = True) -> Any:
    """U, S and Vh with ``A = U @ diag(S) @ Vh``: a named tuple.

    The full matrices have a gradient where they are the reduced ones, for square `A`.
    """
    _matrix(A, "svd")
    if full_matrices and A.shape[-1] != A.shape[-2]:
        if A.requires_grad:
            raise RuntimeError(
                "linalg.svd: no gradient with full_matrices=True of a matrix that is not square, "
                f"shape {tuple(A.shape)}: pass full_matrices=False"
            )
        return _SVD(*(wrap(part) for part in np.linalg.svd(A._array)))
    return _SVD(*_ops.SVD.apply(A))


@named
def svdvals(A: Any) -> Any:
    """Singular values, falling."""
    return svd(A, full_matrices=False).S


@named
def qr(A: Any, mode: str = "reduced") -> Any:
    """Q, of orthonormal columns, and R, upper, with ``A = Q @ R``: a named tuple.

    Parameters
    ----------
    A : Tensor (…, m, n)
    mode : str
        'reduced'; 'complete' and 'r' without a gradient.
    """
    _matrix(A, "qr")
    if mode == "reduced":
        return _QR(*_ops.QR.apply(A))
    if mode not in ("complete", "r"):
        raise ValueError(f"linalg.qr: mode must be 'reduced', 'complete' or 'r', got {mode!r}")
    if A.requires_grad:
        raise RuntimeError(f"linalg.qr: no gradient in mode {mode!r}: use 'reduced'")
    if mode == "r":
        return _QR(wrap(np.empty(0, A._array.dtype)), wrap(np.linalg.qr(A._array, "r")))
    return _QR(*(wrap(part) for part in np.linalg.qr(A._array, "complete")))


@named
def pinv(A: Any, rtol: float | None = None, hermitian: bool = False) -> Any:
    """The pseudo-inverse, from singular values larger than `rtol` of the largest."""
    _matrix(A, "pinv")
    u, s, vh = svd(A, full_matrices=False)
    if rtol is None:
        rtol = float(np.finfo(A._array.dtype).eps) * max(A.shape[-2:])
    elif isinstance(rtol, TensorBase):
        rtol = rtol._array[..., None]
    keep = s._array > rtol * s._array.max(-1, initial=0, keepdims=True)
    safe = s + wrap((~keep).astype(s._array.dtype))
    weight = wrap(keep.astype(s._array.dtype)) / safe
    return matmul(vh.mT * weight.unsqueeze(-2), u.mT)


@named
def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """The X of least ``|A X - B|``: a named tuple of solution, residuals, rank, singular values.

    The solution has a gradient; the rest has none.
    """
    _matrix(A, "lstsq")
    _matrix(B, "lstsq")
    solution = matmul(pinv(A, rcond), B)
    s = np.linalg.svd(A._array, compute_uv=False)
    limit = float(np.finfo(s.dtype).eps) * max(A.shape[-2:]) if rcond is None else rcond
    rank = (s > limit * s.max(-1, initial=0, keepdims=True)).sum(-1)
    full = A.shape[-2] > A.shape[-1] and bool(np.all(rank == A.shape[-1]))
    rest = A._array @ solution._array - B._array
    residuals = (rest**2).sum(-2) if full else np.empty(0, s.dtype)
    return _Lstsq(solution, wrap(residuals), wrap(np.asarray(rank)), wrap(s))


@named
def matrix_rank(A: Any, *, atol: float | None = None, rtol: float | None = None) -> Any:
    """How many singular values are larger than `atol` and than `rtol` of the largest."""
    _matrix(A, "matrix_rank")
    s = np.linalg.svd(A._array, compute_uv=False)
    if rtol is None:
        rtol = float(np.finfo(s.dtype).eps) * max(A.shape[-2:]) if atol is None else 0.0
    limit = np.maximum(atol or 0.0, rtol * s.max(-1, initial=0, keepdims=True))
    return wrap(np.asarray((s > limit).sum(-1)))


@named
def cond(A: Any, p: Any = None) -> Any:
    """The condition number: the norm times that of the inverse; of singular values by default."""
    _matrix(A, "cond")
    if p in (None, 2, -2):
        s = svdvals(A)
        large, small = s.select(-1, 0), s.select(-1, -1)
        return small / large if p == -2 else large / small
    return matrix_norm(A, p) * matrix_norm(inv(A), p)


@named
def matrix_power(A: Any, n: int) -> Any:
    """The n-th power of square matrices; of the inverse where `n` is negative."""
    _matrix(A, "matrix_power", True)
    if n < 0:
        return matrix_power(inv(A), -n)
    found = wrap(np.broadcast_to(np.eye(A.shape[-1], dtype=A._array.dtype), A.shape).copy())
    square = A
    while n:
        if n & 1:
            found = matmul(found, square)
        n >>= 1
        square = matmul(square, square) if n else square
    return found


@named
def multi_dot(tensors: Any) -> Any:
    """The product of several matrices, from left to right."""
    parts = list(tensors)
    if len(parts) < 2:
        raise RuntimeError(f"linalg.multi_dot: two matrices or more are expected, got {len(parts)}")
    found = parts[0]
    for part in parts[1:]:
        found = matmul(found, part)
    return found


@named
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Sums of products along an axis."""
    return _reduce.sum(x * y, dim)


@named
def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """Cross products of vectors of three along an axis."""
    from .functions.shape import roll

    for name, t in (("input", input), ("other", other)):
        if t.shape[axis(dim, t.ndim, "linalg.cross")] != 3:
            raise RuntimeError(
                f"linalg.cross: {name} must have 3 elements along axis {dim}, got {tuple(t.shape)}"
            )
    return roll(input, -1, dim) * roll(other, -2, dim) - roll(input, -2, dim) * roll(other, -1, dim)


@named
def vector_norm(
    x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of vectors along `dim`; of all elements by default."""
    return vector_p_norm(x, ord, dim, keepdim, dtype=dtype)


@named
def matrix_norm(
    A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of matrices.

    Parameters
    ----------
    A : Tensor
    ord : number or str
        "fro"; "nuc", 2 and -2 of singular values; 1 and -1 of sums of columns, inf and -inf of
        sums of rows.
    dim : pair of int
    keepdim : bool
    dtype : dtype, optional
    """
    _matrix(A, "matrix_norm")
    if dtype is not None:
        A = A.to(dtype)
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be two axes, got {dim!r}")
    rows, columns = (axis(d, A.ndim, "linalg.matrix_norm") for d in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dim must be two different axes, got {dim!r}")
    if ord == "fro":
        return vector_p_norm(A, 2, (rows, columns), keepdim)
    last = movedim(A, (rows, columns), (-2, -1))
    if ord in ("nuc", 2, -2):
        s = svdvals(last)
        found = s.sum(-1) if ord == "nuc" else s.amax(-1) if ord == 2 else s.amin(-1)
    elif ord in (1, -1, float("inf"), float("-inf")):
        sums = last.abs().sum(-2 if abs(ord) == 1 else -1)
        found = sums.amax(-1) if ord > 0 else sums.amin(-1)
    else:
        raise ValueError(
            f"linalg.matrix_norm: ord must be 'fro', 'nuc', 2, -2, 1, -1, inf or -inf, got {ord!r}"
        )
    if keepdim:
        for d in sorted((rows, columns)):
            found = found.unsqueeze(d)
    return found


@named
def norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of all elements, of vectors along an axis, or of matrices in two axes.

    Without `ord` it is the 2-norm of the elements. With `ord` and without `dim`, of a vector or a
    matrix.
    """
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None:
        if A.ndim not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: with ord and without dim, A must have one or two axes, got {A.ndim}"
            )
        dim = tuple(range(A.ndim))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) == 2:
        return matrix_norm(A, ord, dims, keepdim, dtype=dtype)
    return vector_norm(A, ord, dims[0], keepdim, dtype=dtype)


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
