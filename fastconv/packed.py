"""Weights in the form in which a kernel reads them, kept from one call to the next.

A :class:`Packed` belongs to one weight with its present values. Whoever changes the values, or the
last one to let go of the weight, lets go of it too (``fastconv/_changes.py``), so that it never has
to be compared with anything. ``FASTCONV_PACKED_MB`` (1024) bounds the sum of all of them; what goes
beyond is packed at every call, as in training.
"""

from __future__ import annotations

import os
import weakref
from typing import Any

import numpy as np


def _limit() -> int:
    text = os.environ.get("FASTCONV_PACKED_MB") or "1024"
    if not text.isdecimal():
        raise ValueError(f"FASTCONV_PACKED_MB must be a number of megabytes, got {text!r}")
    return int(text) << 20


limit = _limit()
#: A weight remembers operands for so many geometries.
MOST_OPERANDS = 64
_sizes: dict[int, int] = {}  # bytes of every form there is, by its id
_owners: weakref.WeakValueDictionary[int, Packed] = weakref.WeakValueDictionary()


class Form:
    """One packed form: memory from a backend, and what the backend wants to find with it."""

    __slots__ = ("block", "pointer", "__weakref__")

    def __init__(self, block: Any, pointer: Any) -> None:
        self.block, self.pointer = block, pointer

    def __del__(self, sizes: dict[int, int] = _sizes) -> None:
        sizes.pop(id(self), None)


class Packed:
    """The packed forms of one array.

    Attributes
    ----------
    array : ndarray
        What they were, or will be, packed from.
    forms : dict
        From what a backend calls the form (kernel, type, instruction set, geometry) to it.
    operands : dict
        What else a backend wants to find again with this weight, by its own keys.
    """

    __slots__ = ("array", "forms", "operands", "__weakref__")

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.forms: dict[Any, Form] = {}
        self.operands: dict[Any, Any] = {}

    def remember(self, key: Any, operands: Any) -> None:
        """Keep what a backend wants to find again; those of many geometries make room."""
        if len(self.operands) >= MOST_OPERANDS:
            self.operands.clear()
        self.operands[key] = operands

    def keep(self, name: Any, form: Form) -> None:
        """Keep a form."""
        _owners[id(self)] = self
        self.forms[name] = form


def reserve(nbytes: int) -> bool:
    """Whether a form of this size would stay within the bound."""
    return nbytes + total() <= limit


def count(form: Form, nbytes: int) -> None:
    """Add a form to the sum, until it dies."""
    _sizes[id(form)] = nbytes


def total() -> int:
    """Bytes of all packed forms."""
    return sum(list(_sizes.values()))


def clear() -> None:
    """Let go of all packed forms; the next calls pack again."""
    for owner in list(_owners.values()):
        owner.forms, owner.operands = {}, {}
