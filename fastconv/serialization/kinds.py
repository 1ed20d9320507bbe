"""Element types of other programs' files, and what becomes of those that tensors cannot have.

float16, bfloat16 and the 8-bit floats become float32, which holds each of their values exactly.
complex64, complex128 and the unsigned integers of more than 8 bits stay what they are, in NumPy
arrays.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .errors import Refused


class Kind(NamedTuple):
    """An element type.

    Attributes
    ----------
    name : str
        PyTorch's.
    raw : str
        The NumPy type of the bytes, without its byte order.
    convert : callable, optional
        From an array of `raw` to one that holds the values.
    tensor : bool
        Whether a tensor can hold them; a NumPy array does otherwise.
    """

    name: str
    raw: str
    convert: Callable[[np.ndarray], np.ndarray] | None = None
    tensor: bool = True

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return np.dtype(self.raw).itemsize

    def values(self, data: np.ndarray, big: bool = False) -> np.ndarray:
        """Bytes, uint8 of one axis, as an array; of the same memory where it can be."""
        raw = np.dtype(self.raw)
        array = data.view(raw.newbyteorder(">" if big else "<"))
        array = array.astype(raw, copy=False)
        return array if self.convert is None else self.convert(array)


def _bool(a: np.ndarray) -> np.ndarray:
    """Bytes as bool: another byte than 0 and 1 would be neither true nor false to NumPy."""
    return a.view(np.bool_) if a.max(initial=0) <= 1 else a != 0


def _half(a: np.ndarray) -> np.ndarray:
    return a.astype(np.float32)


def _bfloat16(a: np.ndarray) -> np.ndarray:
    return (a.astype(np.uint32) << 16).view(np.float32)


def _complex32(a: np.ndarray) -> np.ndarray:
    return a.view(np.float16).astype(np.float32).view(np.complex64)


def _float8(exponent_bits: int, bias: int, nan: str) -> Callable[[np.ndarray], np.ndarray]:
    """A conversion by a table of the 256 values of a format with a sign bit."""

    def convert(a: np.ndarray) -> np.ndarray:
        codes = np.arange(256)
        fraction_bits = 7 - exponent_bits
        exponent = (codes >> fraction_bits) & ((1 << exponent_bits) - 1)
        fraction = (codes & ((1 << fraction_bits) - 1)) / (1 << fraction_bits)
        small = np.ldexp(fraction, 1 - bias)
        table = np.where(exponent == 0, small, np.ldexp(1 + fraction, exponent - bias))
        if nan == "ieee":  # the largest exponent is of infinities and NaN
            last = exponent == (1 << exponent_bits) - 1
            table = np.where(last, np.where(fraction == 0, np.inf, np.nan), table)
        elif nan == "fn":  # no infinities; all bits set is NaN
            table[[0x7F, 0xFF]] = np.nan
        table = np.where(codes >= 128, -table, table)
        if nan == "fnuz":  # no infinities, no -0: its code is NaN
            table[0x80] = np.nan
        return table.astype(np.float32)[a]

    return convert


_ALL = (
    Kind("float32", "f4"), Kind("float64", "f8"), Kind("int8", "i1"), Kind("uint8", "u1"),
    Kind("int16", "i2"), Kind("int32", "i4"), Kind("int64", "i8"), Kind("bool", "u1", _bool),
    Kind("float16", "f2", _half), Kind("bfloat16", "u2", _bfloat16),
    Kind("float8_e4m3fn", "u1", _float8(4, 7, "fn")),
    Kind("float8_e5m2", "u1", _float8(5, 15, "ieee")),
    Kind("float8_e4m3fnuz", "u1", _float8(4, 8, "fnuz")),
    Kind("float8_e5m2fnuz", "u1", _float8(5, 16, "fnuz")),
    Kind("complex64", "c8", None, False), Kind("complex128", "c16", None, False),
    Kind("complex32", "u4", _complex32, False),
    Kind("uint16", "u2", None, False), Kind("uint32", "u4", None, False),
    Kind("uint64", "u8", None, False),
)  # fmt: skip

#: Every type that is read, by PyTorch's name.
KINDS = {kind.name: kind for kind in _ALL}
#: Types whose names are known and that are not read.
FOREIGN = ("qint8", "quint8", "qint32", "quint4x2", "quint2x4", "float8_e8m0fnu",
           "float4_e2m1fn_x2", "bits8", "bits16")  # fmt: skip


def kind_of(name: str) -> Kind:
    """The type of a name of PyTorch's."""
    kind = KINDS.get(name)
    if kind is None:
        raise Refused(f"has a tensor of type {name}, which is not read: make it float32 first")
    return kind


class Count:
    """How many tensors of each type have been read, to say once what was converted."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()

    def add(self, kind: Kind) -> None:
        """Count a tensor."""
        if not kind.tensor or KINDS[kind.name].convert not in (None, _bool):
            self._kinds[kind.name] += 1

    def say(self, file: str) -> None:
        """Warn of what was converted, once for a file."""
        parts = []
        for tensor, became in ((True, "became float32"), (False, "are NumPy arrays")):
            found = [f"{n} of {k}" for k, n in self._kinds.items() if KINDS[k].tensor is tensor]
            if found:
                parts.append(f"{', '.join(found)} {became}")
        if parts:
            warnings.warn(f"load: of the tensors in {file}, {'; '.join(parts)}", stacklevel=4)
