"""Weights kept packed: which ones may be. The coefficients of a batch norm, kept alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._changes import memory
from .._grad_mode import mode
from ..ops.norm import coefficients
from ..packed import Packed
from ..spec import batch_norm_spec


def kept(weight: Any) -> Packed | None:
    """Where the packed forms of a weight are kept, None where they must not be.

    A weight that is being trained is another one at the next call; a view is often made for one
    call; and exposed memory may be written without being noticed.
    """
    if weight._view is not None or (weight._requires and mode.grad):
        return None
    place = weight._version_box[1] or memory(weight)
    found: Packed | None = place.packed
    if found is not None and found.array is weight._array:
        return found
    if place.exposed:
        return None
    found = place.packed = Packed(weight._array)
    # Another thread may have written or exposed the memory meanwhile. Written: `found` is still
    # empty, and the reading for it comes after. Exposed: the flag is set before `packed` is.
    if place.exposed:
        place.packed = None
        return None
    return found


class Normalization:
    """What a batch norm with constants comes to: coefficients, and what they were made from.

    It lies in the memory of each of its tensors in place of a Packed, and holds as long as it lies
    in all of them.
    """

    __slots__ = ("arrays", "coef", "eps")
    array = None  # nobody's Packed

    def __init__(self, arrays: list[Any], eps: float) -> None:
        self.arrays, self.eps = arrays, eps
        self.coef: Any = None


def normalized(mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> np.ndarray | None:
    """The coefficients of a batch norm with these tensors that are kept, or None."""
    try:
        found = mean._version_box[1].packed
        if type(found) is not Normalization or found.coef is None or found.eps != eps:
            return None
        for t, array in zip((mean, var, weight, bias), found.arrays, strict=True):
            if t is None:
                if array is not None:
                    return None
            elif t._array is not array or t._version_box[1].packed is not found:
                return None
    except AttributeError:  # not a Tensor, or of a memory that nothing was kept for
        return None
    return found.coef  # type: ignore[no-any-return]


def normalization(mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> np.ndarray:
    """Coefficients of a batch norm with these tensors (C,), of which weight and bias may be None.

    Kept until one of the tensors changes, unless the memory of one is exposed.
    """
    known = normalized(mean, var, weight, bias, eps)
    if known is not None:
        return known
    tensors = [t for t in (mean, var, weight, bias) if t is not None]
    arrays = [None if t is None else t._array for t in (mean, var, weight, bias)]
    places = [t._version_box[1] or memory(t) for t in tensors]
    new = Normalization(arrays, eps)
    for p in places:
        if not p.exposed:
            p.packed = new  # before reading, as above
    m, v = mean._array.astype(np.float64), var._array.astype(np.float64)
    spec = batch_norm_spec((1, m.size))
    coef = coefficients(spec, m, 1 / np.sqrt(v + eps), arrays[2], arrays[3], mean._array.dtype)
    if any(p.exposed or p.packed is not new for p in places):
        for p in places:
            if p.packed is new:
                p.packed = None
        return coef
    new.coef = coef
    return coef
