"""Choosing elements by a mask without branches.

`np.where` and `np.copyto(where=)` branch on every element, which costs ten times a pass over memory
where the mask has no pattern, as in the gradient of a ReLU. And-ing the elements' bits with 0 or -1
does not, and is exact for NaN and infinities, which multiplying by the mask is not.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
INTEGERS = {2: np.int16, 4: np.int32, 8: np.int64}


def bits(mask: Array, itemsize: int) -> Array:
    """A boolean array as integers of that size: all bits set, or none."""
    out = mask.view(np.int8).astype(INTEGERS[itemsize])
    return np.negative(out, out=out)


def keep(a: Array, mask: Array) -> Array:
    """`a` where the mask holds, 0 elsewhere; of one shape."""
    if a.ndim == 0 or a.dtype.kind != "f":
        return np.where(mask, a, a.dtype.type(0))
    out = bits(mask, a.itemsize)
    out &= a.view(out.dtype)
    return out.view(a.dtype)


def select(mask: Array, a: Array, b: Array) -> Array:
    """`a` where the mask holds, `b` elsewhere; all of one shape, a and b of one type."""
    if a.ndim == 0 or a.dtype.kind != "f":
        return np.where(mask, a, b)
    out = bits(mask, a.itemsize)
    other = b.view(out.dtype)
    out &= a.view(out.dtype) ^ other
    out ^= other
    return out.view(a.dtype)
