"""Rows of a table by their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import changed, forget
from ...functions._named import named
from ...functions.unary import where
from ...spec import as_int
from ...tensor import Tensor, wrap
from .common import check_floats, check_tensor, check_weight, number


@named
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` at the numbers in `input`.

    Parameters
    ----------
    input : Tensor
        Integers (*), between 0 and the number of rows.
    weight : Tensor
        (rows, D).
    padding_idx : int, optional
        This row gets no gradient. Negative counts from the end.
    max_norm : float, optional
        Rows that are used and have a larger norm are scaled down to it first, in place.
    norm_type : float
        The p of that norm.
    scale_grad_by_freq : bool
        Divide each row's gradient by how often it is used here.
    sparse : bool
        Must be False: there are no sparse gradients.

    Returns
    -------
    Tensor
        (*, D).

    Raises
    ------
    IndexError
        For a number out of range.
    NotImplementedError
        For sparse=True.
    ValueError, TypeError
        For shapes and types that do not fit.
    """
    name = "embedding"
    check_tensor(name, "input", input)
    check_weight(name, weight)
    check_floats(name, weight=weight)
    if sparse:
        raise NotImplementedError(
            f"{name}(): sparse=True is not supported: gradients are dense; use sparse=False"
        )
    index, table = input._array, weight._array
    if index.dtype.kind not in "iu":
        raise TypeError(f"{name}(): input must hold integers, got {index.dtype}")
    if table.ndim != 2:
        raise ValueError(f"{name}(): weight must be (rows, D), got shape {table.shape}")
    rows = table.shape[0]
    if index.size and not 0 <= index.min() <= index.max() < rows:
        bad = index[(index < 0) | (index >= rows)]
        raise IndexError(f"{name}(): index {int(bad[0])} is out of range for {rows} rows")
    if padding_idx is not None:
        padding_idx = as_int(name, "padding_idx", padding_idx)
        if not -rows <= padding_idx < rows:
            raise ValueError(f"{name}(): padding_idx {padding_idx} is not within {rows} rows")
        padding_idx %= rows
    if max_norm is not None:
        _limit(weight, np.unique(index), number(name, "max_norm", max_norm), norm_type)
    picked = weight[wrap(index.reshape(-1))]
    flat = index.reshape(-1)
    if scale_grad_by_freq and flat.size:
        share = 1 / np.bincount(flat, minlength=rows)[flat]
        fixed: Any = picked.detach()
        picked = fixed + (picked - fixed) * wrap(share[:, None].astype(table.dtype))
    if padding_idx is not None and (flat == padding_idx).any():
        picked = where(wrap((flat == padding_idx)[:, None]), picked.detach(), picked)
    return picked.reshape(*index.shape, table.shape[1])


def _limit(weight: Tensor, used: np.ndarray, most: float, order: float) -> None:
    """Scale rows of a larger norm down, in place."""
    norms = np.linalg.norm(weight._array[used], order, axis=1)
    large = norms > most
    if large.any():
        forget(weight)
        scale = (most / (norms[large] + 1e-7)).astype(weight._array.dtype)
        weight._array[used[large]] *= scale[:, None]
        changed(weight)
