"""Functions made of others: differences, norms that are limited, sums to a shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import wrap
from ..spec.arguments import as_int
from ._named import named
from ._promote import check_tensor
from .elementwise import mul, sub
from .join import cat
from .reduce import norm
from .reduce import sum as _sum
from .shape import axis, reshape
from .unary import where


@named
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along an axis, `n` times over.

    Parameters
    ----------
    input : Tensor
        At least one axis.
    n : int
    dim : int
    prepend, append : Tensor, optional
        What comes before and after along the axis.

    Returns
    -------
    Tensor
        One element less along `dim` at each turn; of bools, whether they differ.

    Raises
    ------
    ValueError
        If `n` is negative.
    """
    from .compare import ne
    from .index import narrow

    check_tensor(input, "input", "diff")
    if not input._array.ndim:
        raise RuntimeError("diff: input must have at least one axis, got shape ()")
    d, n = axis(dim, input._array.ndim, "diff"), as_int("diff", "n", n)
    if n < 0:
        raise ValueError(f"diff: n must not be negative, got {n}")
    parts = [t for t in (prepend, input, append) if t is not None]
    out = cat(parts, d) if len(parts) > 1 else input
    less = ne if out._array.dtype == np.bool_ else sub
    for _ in range(min(n, out._array.shape[d])):  # after so many nothing is left
        length = max(out._array.shape[d] - 1, 0)
        start = min(1, out._array.shape[d])
        out = less(narrow(out, d, start, length), narrow(out, d, 0, length))
    return out


@named
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Slices along an axis, those of a larger norm scaled down to `maxnorm`.

    Parameters
    ----------
    input : Tensor
        At least two axes.
    p : float
        The power of the norm.
    dim : int
        The axis whose slices are looked at.
    maxnorm : float

    Raises
    ------
    ValueError
        If `p` is not positive or `maxnorm` negative.
    """
    check_tensor(input, "input", "renorm")
    if input._array.ndim < 2:
        raise RuntimeError(f"renorm: input needs two axes, got shape {input._array.shape}")
    if not p > 0:
        raise ValueError(f"renorm: p must be positive, got {p}")
    if not maxnorm >= 0:
        raise ValueError(f"renorm: maxnorm must not be negative, got {maxnorm}")
    d = axis(dim, input._array.ndim, "renorm")
    others = tuple(i for i in range(input._array.ndim) if i != d)
    size = norm(input, p, others, keepdim=True)
    large = wrap(size._array > maxnorm)
    factor = where(large, maxnorm / (size + 1e-7), 1.0)
    return mul(input, factor)


@named
def sum_to_size(input: Any, size: tuple[int, ...]) -> Any:
    """Sums over the axes along which `size` would be broadcast to the shape of `input`.

    Raises
    ------
    ValueError
        If it would not.
    """
    check_tensor(input, "input", "sum_to_size")
    shape = input._array.shape
    extra = len(shape) - len(size)
    fits = extra >= 0 and all(
        n in (1, m) for n, m in zip(size, shape[max(extra, 0) :], strict=True)
    )
    if not fits:
        raise ValueError(f"sum_to_size: shape {shape} cannot be summed to {tuple(size)}")
    axes = [i for i, m in enumerate(shape) if i < extra or (size[i - extra] == 1 != m)]
    out = _sum(input, tuple(axes), keepdim=True) if axes else input
    return reshape(out, size)
