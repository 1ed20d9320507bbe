"""Checks of array arguments shared by the public operations."""

from __future__ import annotations

from typing import Any

import numpy as np

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
#: Arguments that may be None.
OPTIONAL = ("bias", "residual")


def plain_array(function: str, name: str, a: Any) -> np.ndarray[Any, Any]:
    """Return an ndarray, a view of a subclass or an aligned copy; TypeError for anything else.

    A masked array is refused: what its mask hides would count.
    """
    if type(a) is np.ndarray:
        return a if a.flags.aligned else a.copy(order="K")
    if not isinstance(a, np.ndarray):
        raise TypeError(f"{function}(): {name} must be an ndarray, got {type(a).__name__}")
    if hasattr(a, "mask"):
        raise TypeError(f"{function}(): {name} must not be masked, got {type(a).__name__}")
    return plain_array(function, name, a.view(np.ndarray))


def float_arrays(function: str, /, **arrays: Any) -> tuple[Any, ...]:
    """Return the named arrays, checked to be float ndarrays of one dtype.

    Those named in ``OPTIONAL`` may be None.

    Raises
    ------
    TypeError
        If one is not an ndarray, is neither float32 nor float64, or differs in dtype from the
        first.
    """
    first: tuple[str, np.dtype[Any]] | None = None
    for name, a in arrays.items():
        if a is None and name in OPTIONAL:
            continue
        arrays[name] = a = plain_array(function, name, a)
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
    a = plain_array(function, name, a)
    if a.dtype.kind not in "iu":
        raise TypeError(f"{function}(): {name} must be an integer array, got dtype {a.dtype}")
    if a.size and (a.min() < 0 or a.max() >= below):
        raise ValueError(
            f"{function}(): {name} must lie in [0, {below}), got {a.min()} to {a.max()} "
            f"(shape {a.shape})"
        )
    return a.astype(np.int64, copy=False)
