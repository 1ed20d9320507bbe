"""Who can write the memory of a tensor, and when it was written.

Every tensor has a version box ``[count, memory]``. The count belongs to the graph: views and
``detach()`` share it, ``.data`` has one of its own. The :class:`Memory` belongs to whatever lies at
that address: ``.data`` and a Parameter made of a tensor share it too. It exists from the day it is
needed, by a second box or by :func:`fastconv.functions.kept.kept`.

All code of this package that writes the array of a tensor calls :func:`forget` before, which also
writes results that wait to be computed from it, and :func:`changed` afterwards. All code that
hands the array itself out, or takes one in, calls :func:`expose`: from then on anyone can write it
without a word.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._later import flush, waiting
from ._locks import make_lock


class Memory:
    """What all tensors over one piece of memory have in common.

    Attributes
    ----------
    exposed : bool
        Whether it can be written without :func:`changed` being called.
    packed : Any
        What was derived from its present contents; None after a change.
    apart : bool
        Whether the result of a convolution with this weight was needed by itself.
    """

    __slots__ = ("apart", "exposed", "packed")

    def __init__(self, exposed: bool = False) -> None:
        self.exposed = exposed
        self.apart = False
        self.packed: Any = None


EXPOSED = Memory(True)
_lock = make_lock()


def memory(t: Any) -> Memory:
    """The memory of a tensor."""
    box = t._version_box
    if box[1] is None:
        with _lock:  # two threads must not make two of them
            if box[1] is None:
                box[1] = Memory()
    found: Memory = box[1]
    return found


def changed(*tensors: Any) -> None:
    """Note that the memory of tensors was written."""
    for t in tensors:
        box = t._version_box
        box[0] += 1
        found = box[1]
        if found is not None:
            found.packed = None


def forget(*tensors: Any) -> None:
    """Drop what was derived from the memory of tensors, which are about to be written.

    Results that wait to be written from it are written first.
    """
    for t in tensors:
        if waiting:
            flush(t)
        found = t._version_box[1]
        if found is not None:
            found.packed = None


def expose(t: Any) -> Any:
    """Note that the memory of a tensor can be written unseen from now on; returns the tensor."""
    flush(t)
    box = t._version_box
    with _lock:
        found = box[1]
        if found is None:
            box[1] = EXPOSED
            return t
    found.exposed = True  # in this order: see functions/kept.py
    found.packed = None
    return t


def move(t: Any, array: np.ndarray, where: Memory | None = None) -> None:
    """Give a tensor another array, of the memory `where`; None for a new one of its own.

    Its box stays with those who share the old memory.
    """
    t._version_box = [t._version_box[0], where]
    t._array = array


def owns(array: np.ndarray) -> bool:
    """Whether nobody but the array, or its views, can write its memory."""
    base: Any = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return isinstance(base, (np.ndarray, bytes))
