"""Arguments of any form as Python ints and tuples, or an error that names them."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

Triple = tuple[int, int, int]
Shape5 = tuple[int, int, int, int, int]

#: No array may hold more elements than this: byte sizes of float64 stay below 2**63.
MAX_ELEMENTS = 2**60 - 1


def fail(name: str, text: str) -> NoReturn:
    raise ValueError(f"{name}(): {text}")


def as_int(name: str, argument: str, value: Any) -> int:
    """Return `value` as a Python int; TypeError for anything that is not an integer."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}(): {argument} must be an int, got {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name}(): {argument} must be an int, got {value!r} of type {type(value).__name__}"
        ) from None


def as_tuple(name: str, argument: str, value: Any, ndim: int) -> tuple[int, ...]:
    """Return `value` (an int, or a sequence of 1 or `ndim` ints) as a tuple of `ndim` ints."""
    if isinstance(value, (str, bytes)) or not (
        hasattr(value, "__index__") or isinstance(value, Iterable)
    ):
        raise TypeError(
            f"{name}(): {argument} must be an int or a tuple of {ndim} ints, got {value!r}"
        )
    if isinstance(value, Iterable) and np.ndim(value) > 0:  # type: ignore[arg-type]
        items = tuple(as_int(name, argument, v) for v in value)
        if len(items) == 1:
            items *= ndim
        if len(items) != ndim:
            fail(name, f"{argument} must have 1 or {ndim} elements, got {len(items)}: {items}")
        return items
    return (as_int(name, argument, value),) * ndim


def at_least(
    name: str, argument: str, values: tuple[int, ...], least: int, shapes: str
) -> tuple[int, ...]:
    if any(v < least for v in values):
        word = "positive" if least == 1 else "non-negative"
        fail(name, f"{argument} must be {word}, got {values} for {shapes}")
    return values


def three(values: tuple[int, ...], fill: int) -> Triple:
    out = (fill,) * (3 - len(values)) + tuple(values)
    return (out[0], out[1], out[2])


def check_elements(name: str, what: str, shape: tuple[int, ...]) -> None:
    if math.prod(shape) > MAX_ELEMENTS:
        fail(name, f"{what} of shape {shape} would have more than 2**60 elements")


def split_batch(x_shape: Iterable[int], ndim: int, name: str) -> tuple[tuple[int, ...], bool]:
    """Return the batched shape of an input and whether it came without its batch axis.

    Raises
    ------
    ValueError
        If the rank is neither ``ndim + 1`` (unbatched) nor ``ndim + 2``.
    """
    shape = tuple(x_shape)
    if len(shape) == ndim + 2:
        return shape, False
    if len(shape) == ndim + 1:
        return (1, *shape), True
    fail(
        name,
        f"input must have {ndim + 1} dimensions (unbatched) or {ndim + 2} (batched), "
        f"got {len(shape)}: {shape}",
    )


def hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, np.ndarray)) and np.ndim(value) else value
