"""Arguments of any form as Python ints and tuples, or an error that names them."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import numpy as np

from fastconv import caches

Triple = tuple[int, int, int]
Shape5 = tuple[int, int, int, int, int]

#: No array may hold more elements than this: byte sizes of float64 stay below 2**63.
MAX_ELEMENTS = 2**60 - 1

#: No stride, padding, dilation or window may be larger: indices computed from them fit 64 bits.
MAX_EXTENT = 2**31 - 1


#: So many calls a :class:`Known` remembers before it starts again.
KNOWN = 4096


class Known(dict[Any, Any]):
    """Geometries by the shapes and the arguments' identities they were asked for with.

    Only by identity is 1 another argument than True or 1.0; what was remembered keeps its arguments
    alive, so that no other object gets their ids.
    """

    def __init__(self) -> None:
        caches.forgets(self.clear)

    def remember(self, key: Any, result: Any, *arguments: Any) -> Any:
        """Keep and return `result`, if nobody can change the arguments."""
        if all(map(_constant, arguments)):
            if len(self) >= KNOWN:
                self.clear()
            self[key] = result, arguments
        return result


def _constant(value: Any) -> bool:
    if type(value) is tuple:
        return all(type(v) is int for v in value)
    return value is None or type(value) in (int, str, bool)


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


def as_bool(name: str, argument: str, value: Any) -> bool:
    """Return `value` as a bool; TypeError for anything else."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise TypeError(
        f"{name}(): {argument} must be a bool, got {value!r} of type {type(value).__name__}"
    )


def plain(name: str, argument: str, value: Any) -> int | tuple[int, ...]:
    """Return `value`, an int or a sequence of ints, as Python ints that can be a cache's key.

    A key has to be of exactly these types: ``(1.0,)`` and ``(True,)`` are equal to ``(1,)``.
    """
    if type(value) is int:
        return value
    if type(value) is tuple:
        for v in value:
            if type(v) is not int:
                break
        else:
            return value
    if (
        isinstance(value, (str, bytes))
        or not hasattr(value, "__len__")
        or getattr(value, "shape", None) == ()
    ):
        return as_int(name, argument, value)
    if isinstance(value, Mapping) or not hasattr(value, "__getitem__"):
        raise TypeError(
            f"{name}(): {argument} must be an int or a tuple of ints, got {value!r} "
            f"of type {type(value).__name__}"
        )
    return tuple([as_int(name, argument, v) for v in value])


def as_tuple(name: str, argument: str, value: Any, ndim: int) -> tuple[int, ...]:
    """Return `value` (an int, or a sequence of 1 or `ndim` ints) as a tuple of `ndim` ints."""
    items = plain(name, argument, value)
    if isinstance(items, int):
        return (items,) * ndim
    if len(items) == 1:
        items *= ndim
    if len(items) != ndim:
        fail(name, f"{argument} must have 1 or {ndim} elements, got {len(items)}: {items}")
    return items


def as_shape(name: str, argument: str, value: Any) -> tuple[int, ...]:
    """Return `value` as a tuple of non-negative ints."""
    shape = plain(name, argument, value)
    if isinstance(shape, int):
        raise TypeError(f"{name}(): {argument} must be a tuple of ints, got {value!r}")
    if any(n < 0 for n in shape):
        fail(name, f"{argument} must not be negative, got {shape}")
    return shape


def at_least(
    name: str, argument: str, values: tuple[int, ...], least: int, shapes: str
) -> tuple[int, ...]:
    if any(v < least for v in values):
        word = "positive" if least == 1 else "non-negative"
        fail(name, f"{argument} must be {word}, got {values} for {shapes}")
    if any(v > MAX_EXTENT for v in values):
        fail(name, f"{argument} must be at most {MAX_EXTENT}, got {values} for {shapes}")
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
