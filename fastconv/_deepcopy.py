"""Deep copies of tensors: those that shared memory share the copy of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .autograd import memory, wrap

ndarray = np.ndarray


def deep_copied(t: Any, memo: dict[Any, Any]) -> Any:
    """A leaf like `t` over a copy of its memory, kept in `memo`.

    Two tensors that fill the same piece of memory, in whatever shape or order of the axes, are over
    one copy: tied weights stay tied. Tensors that share a part of it, and those with gaps, get
    copies of their own.
    """
    array = t._array
    key = _place(array)
    found = memo.get(key) if key is not None else None
    if found is None:
        new = wrap(np.array(array, order="K"), type(t))
        if key is not None:  # with the array, so that its memory is nobody else's meanwhile
            memo[key] = new, array
    else:
        first = found[0]
        strides = array.strides
        shared = np.ndarray(array.shape, array.dtype, first._array.ravel(order="K"), 0, strides)
        new = wrap(shared, type(t))
        new._version_box[1] = memory(first)
    new._requires = t._requires
    memo[id(t)] = new
    return new


def _place(a: ndarray) -> tuple[Any, ...] | None:
    """The piece of memory that an array fills; None where it leaves gaps, or runs backwards."""
    step = a.itemsize
    for stride, n in sorted((s, n) for n, s in zip(a.shape, a.strides, strict=True) if n != 1):
        if stride != step:
            return None
        step *= n
    if not a.size:
        return None
    return "memory", a.__array_interface__["data"][0], a.nbytes, a.dtype.str
