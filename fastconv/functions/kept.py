"""Weights kept packed: which ones may be."""

from __future__ import annotations

from typing import Any

from .._changes import memory
from .._grad_mode import mode
from ..packed import Packed


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
