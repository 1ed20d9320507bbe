"""Quantiles, and what counts no NaN."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from ..autograd import TensorBase, wrap
from ._promote import check_tensor, numpy_names
from .gather import gather, sort
from .reduce import nansum
from .reduce import sum as add_up
from .shape import axes, axis

NanMedian = namedtuple("nanmedian", ("values", "indices"))  # type: ignore[name-match]
_RULES = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name: str, input: Any, q: Any, dim: Any, keepdim: bool, rule: str, skip: bool) -> Any:
    check_tensor(input, "input", name)
    a = input._array
    if a.dtype.kind != "f":
        raise TypeError(f"{name}: input must be floating point, got {a.dtype}")
    if rule not in _RULES:
        raise ValueError(f"{name}: interpolation must be one of {_RULES}, got {rule!r}")
    if isinstance(q, TensorBase):
        if q._array.dtype != a.dtype:
            raise TypeError(
                f"{name}: q must have the input's dtype {a.dtype}, got {q._array.dtype}"
            )
        q = q._array
    levels = np.asarray(q, a.dtype)
    if levels.ndim > 1:
        raise ValueError(f"{name}: q must be a number or 1-D, got shape {levels.shape}")
    if not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"{name}: q must be between 0 and 1, got {q}")
    if not a.size:
        raise ValueError(f"{name}: input of shape {a.shape} is empty")
    flat = dim is None
    x = input.reshape(-1) if flat or not a.ndim else input
    d = 0 if flat else axis(dim, a.ndim, name)
    x = x.movedim(d, 0) if x._array.ndim > 1 else x  # (n, *rest)
    values = sort(x, 0)[0]
    n = values._array.shape[0]
    missing = np.isnan(values._array)
    count = n - missing.sum(0) if skip else np.full(values._array.shape[1:], n)
    many = levels.reshape(-1, *[1] * count.ndim).astype(a.dtype)
    rank = many * np.maximum(count - 1, 0).astype(a.dtype)  # (levels, *rest)
    if not skip:
        rank = np.where(missing.any(0), a.dtype.type(n - 1), rank)  # NaN comes last
    if rule == "nearest":
        rank = np.rint(rank)
    elif rule == "lower":
        rank = np.floor(rank)
    elif rule == "higher":
        rank = np.ceil(rank)
    low = np.floor(rank).astype(np.int64)
    below = gather(values, 0, wrap(low))
    result = below
    if rule in ("linear", "midpoint"):
        part = rank - low if rule == "linear" else np.where(rank == low, 0, 0.5)
        if part.any():
            above = gather(values, 0, wrap(np.ceil(rank).astype(np.int64)))
            result = below.lerp(above, wrap(part.astype(a.dtype)))
    rest = count.shape
    if keepdim and flat:
        rest = (1,) * a.ndim
    elif keepdim and a.ndim:
        rest = (*rest[:d], 1, *rest[d:])
    return result.reshape((*levels.shape, *rest))


@numpy_names
def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Any:  # fmt: skip
    """The values below which the shares `q` of the elements lie; NaN where there is one.

    Parameters
    ----------
    input : Tensor
        float32 or float64.
    q : float, or Tensor (Q,) or () of the input's dtype
        Between 0 and 1.
    dim : int, optional
        Of the flattened tensor when not given.
    keepdim : bool
    interpolation : "linear", "lower", "higher", "midpoint" or "nearest"
        What is taken between two elements.

    Returns
    -------
    Tensor
        The input's shape without `dim`, after an axis of Q where `q` has one.

    Raises
    ------
    ValueError, TypeError
        For a `q` outside [0, 1], an empty input, and types that do not fit.
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@numpy_names
def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Any:  # fmt: skip
    """:func:`quantile` of what is not NaN; NaN where all is."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


@numpy_names
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of what is not NaN, of all or over `dim`; NaN where all is."""
    check_tensor(input, "input", "nanmean")
    x = input if dtype is None else input.to(dtype)
    a = x._array
    if a.dtype.kind != "f":
        raise TypeError(f"nanmean: input must be floating point, got {a.dtype}")
    there = wrap((~np.isnan(a)).astype(a.dtype))
    dims = axes(dim, a.ndim, "nanmean")
    return nansum(x, dims, keepdim) / add_up(there, dims, keepdim)


@numpy_names
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle of what is not NaN (the lower of two); along `dim`, also where it is."""
    check_tensor(input, "input", "nanmedian")
    flat = input.reshape(-1) if dim is None or not input._array.ndim else input
    d = 0 if dim is None else axis(dim, input._array.ndim, "nanmedian")
    a = flat._array
    if not a.shape[d]:
        raise ValueError(f"nanmedian: axis {d} of input {input._array.shape} is empty")
    order = np.argsort(a, d, kind="stable")  # NaN comes last
    count = (~np.isnan(a)).sum(d, keepdims=True) if a.dtype.kind == "f" else a.shape[d]
    middle = np.maximum(np.broadcast_to((np.asarray(count) - 1) // 2, _one(a.shape, d)), 0)
    indices = np.take_along_axis(order, middle, d)
    values = gather(flat, d, wrap(indices))
    if dim is None:
        return values.reshape(())
    if keepdim and input._array.ndim:
        return NanMedian(values, wrap(indices))
    return NanMedian(values.squeeze(d), wrap(np.squeeze(indices, d)))


def _one(shape: tuple[int, ...], d: int) -> tuple[int, ...]:
    return (*shape[:d], 1, *shape[d + 1 :])
