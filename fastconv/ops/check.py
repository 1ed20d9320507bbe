"""Checks of array arguments shared by the public operations."""

from __future__ import annotations

from typing import Any

import numpy as np

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def float_arrays(function: str, /, **arrays: Any) -> tuple[Any, ...]:
    """Return the named arrays, checked to be float ndarrays of one dtype; None passes.

    Raises
    ------
    TypeError
        If one is not an ndarray, is neither float32 nor float64, or differs in dtype from the
        first.
    """
    first: tuple[str, np.dtype[Any]] | None = None
    for name, a in arrays.items():
        if a is None:
            continue
        if not isinstance(a, np.ndarray):
            raise TypeError(f"{function}(): {name} must be an ndarray, got {type(a).__name__}")
        if a.dtype not in FLOATS:
            raise TypeError(
                f"{function}(): {name} must be float32 or float64 in native byte order, "
                f"got dtype {a.dtype} (shape {a.shape})"
            )
        if first is None:
            first = name, a.dtype
        elif a.dtype != first[1]:
            raise TypeError(
                f"{function}(): {name} has dtype {a.dtype} but {first[0]} has dtype {first[1]}"
            )
    return tuple(arrays.values())


def index_array(function: str, name: str, a: Any, below: int) -> np.ndarray[Any, Any]:
    """Return `a` as int64 indices, each checked to lie in ``[0, below)``.

    Raises
    ------
    TypeError, ValueError
        If it is not an integer array, or an index is out of range.
    """
    if not isinstance(a, np.ndarray) or a.dtype.kind not in "iu":
        kind = a.dtype if isinstance(a, np.ndarray) else type(a).__name__
        raise TypeError(f"{function}(): {name} must be an integer array, got {kind}")
    if a.size and (a.min() < 0 or a.max() >= below):
        raise ValueError(
            f"{function}(): {name} must lie in [0, {below}), got {a.min()} to {a.max()} "
            f"(shape {a.shape})"
        )
    return a.astype(np.int64, copy=False)
