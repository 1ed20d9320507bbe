"""NumPy's array files: headers are compared with one pattern, nothing is evaluated."""

from __future__ import annotations

import math
import re
from typing import IO, Any

import numpy as np

from .archive import filled
from .errors import Unreadable

MAX_HEADER, MAX_RANK = 10_000, 64
ARRAY_KINDS = "biufc"
MAGIC = b"\x93NUMPY"

#: The header of an array as NumPy writes it.
HEADER = re.compile(
    rb"\{'descr': '([^']{1,16})', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \} *\n"
)

#: Types of numbers as NumPy names them; of longer texts it would parse expressions.
NUMBER = re.compile(
    r"[<>|=]?(b1|[iu][1248]|f(2|4|8|16)|c(8|16|32))"
    r"|bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)"
)


def read_header(entry: IO[bytes], member: str) -> tuple[tuple[int, ...], bool, str]:
    """Shape, whether in Fortran order, and type of the array in a .npy file; nothing is evaluated.

    Raises
    ------
    Unreadable
        When it is not as NumPy writes it.
    """
    magic = entry.read(8)
    size = {b"\x93NUMPY\x01\0": 2, b"\x93NUMPY\x02\0": 4}.get(magic)
    if size is None:
        raise Unreadable(f"{member} is no .npy file of version 1.0 or 2.0: begins with {magic!r}")
    length = int.from_bytes(entry.read(size), "little")
    text = entry.read(min(length, MAX_HEADER))
    found = HEADER.fullmatch(text)
    if found is None or len(text) != length:
        raise Unreadable(f"{member} has the header {text!r:.80}")
    dtype, order, shape = found.groups()
    sizes = [part.strip() for part in shape.split(b",")]
    if sizes[-1] == b"":  # (), (3,), but not (3, 4,)
        sizes.pop()
    if len(sizes) > MAX_RANK or not all(part.isdigit() and len(part) < 20 for part in sizes):
        raise Unreadable(f"{member} claims the shape ({shape.decode():.80})")
    return tuple(map(int, sizes)), order == b"True", dtype.decode("latin-1")


def number_type(text: Any) -> np.dtype[Any]:
    """The NumPy type of a text, if its elements are numbers."""
    if not isinstance(text, str) or NUMBER.fullmatch(text) is None:
        raise Unreadable(f"dtype {text!r:.40}")
    return np.dtype(text)


def read_array(entry: IO[bytes], total: int, member: str) -> np.ndarray:
    """The array of a .npy file of `total` bytes, in memory of its own."""
    shape, fortran, text = read_header(entry, member)
    dtype = number_type(text)
    size = dtype.itemsize * math.prod(shape)
    left = total - entry.tell()
    if size != left:
        raise Unreadable(f"{member} claims shape {shape}, {size} bytes, but holds {left}")
    data = filled(entry, size, member)
    array = data != 0 if dtype.kind == "b" else data.view(dtype)
    array = array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
