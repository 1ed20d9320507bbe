"""Arrays that nothing may be read or written around: for the operands of kernels under test."""

from __future__ import annotations

import ctypes
import math
import mmap
import sys
from typing import Any

import numpy as np

SIDES = ("after", "before")
_PAGE = mmap.PAGESIZE
_mprotect = None if sys.platform == "win32" else getattr(ctypes.CDLL(None), "mprotect", None)


def _fenced(nbytes: int) -> np.ndarray:
    """At least so many bytes, in whole pages between two that cannot be touched."""
    inner = max(1, -(-nbytes // _PAGE)) * _PAGE
    memory = mmap.mmap(-1, inner + 2 * _PAGE)
    pages = np.frombuffer(memory, np.uint8)
    for at in (0, _PAGE + inner) if _mprotect is not None else ():
        place = ctypes.c_void_p(pages.ctypes.data + at)
        if _mprotect(place, ctypes.c_size_t(_PAGE), 0):
            raise OSError("mprotect failed")
    return pages[_PAGE : _PAGE + inner]


class Guarded:
    """An uninitialised array of a shape and format between guards.

    Directly after its last byte (or before its first) lies a page whose touch ends the process:
    pytest prints the test's stack. Bytes on the other side must stay what they are.
    """

    GUARD = 256  # bytes, a multiple of every vector

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, form: str = "contiguous", side: str = "after"
    ) -> None:
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        self.bytes = _fenced(nbytes + self.GUARD)
        self.bytes.fill(0xA5)
        self.start = self.bytes.size - nbytes if side == "after" else 0
        self.end = self.start + nbytes
        inner = self.bytes[self.start : self.end].view(dtype)
        if form == "contiguous":
            self.array = inner.reshape(shape)
        else:
            n, c, d, h, w = shape
            self.array = inner.reshape(n, d, h, w, c).transpose(0, 4, 1, 2, 3)

    def check(self, what: str) -> np.ndarray:
        """The array, after looking at the bytes around it."""
        assert (self.bytes[: self.start] == 0xA5).all(), f"{what}: wrote before the output"
        assert (self.bytes[self.end :] == 0xA5).all(), f"{what}: wrote after the output"
        return self.array


def fenced(a: np.ndarray, form: str = "contiguous", side: str = "after") -> np.ndarray:
    """A copy of an array in a memory format, at the edge of what can be read."""
    guarded = Guarded(a.shape, a.dtype, form, side)
    guarded.array[...] = a
    return guarded.array
