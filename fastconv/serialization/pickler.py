"""Writes the pickles of PyTorch's checkpoints: the few opcodes of protocol 2 that they need."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..dtypes import ForeignDtype, Size, device
from ..dtypes import dtype as Dtype
from ..tensor import Tensor
from .native import MAX_DEPTH, unsaveable


class Name:
    """A class or function that a pickle refers to."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """An object that a pickle makes by calling a name."""

    __slots__ = ("arguments", "function")

    def __init__(self, function: Name, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments


class Persistent:
    """An object that lies outside the pickle."""

    __slots__ = ("pid",)

    def __init__(self, pid: Any) -> None:
        self.pid = pid


ENCODE, COMPLEX = Name("_codecs", "encode"), Name("__builtin__", "complex")
SET, FROZENSET = Name("__builtin__", "set"), Name("__builtin__", "frozenset")
ORDERED, SIZE = Name("collections", "OrderedDict"), Name("torch", "Size")
DEVICE = Name("torch", "device")


class Pickler:
    """Encodes an object.

    Parameters
    ----------
    tensor : callable
        From a Tensor or ndarray to the `Call` that makes it.
    """

    def __init__(self, tensor: Callable[[Any, str], Call]) -> None:
        self._tensor = tensor
        self._out = bytearray(b"\x80\x02")
        self._memo: dict[Any, int] = {}
        self._alive: list[Any] = []  # what the memo knows by its address

    def dump(self, obj: Any) -> bytes:
        """The pickle of an object.

        Raises
        ------
        TypeError
            For what no file holds; the message says where in the object it is.
        ValueError
            For a container that contains itself.
        """
        self.encode(obj, "obj", 0)
        return bytes(self._out) + b"."

    def _known(self, key: Any) -> bool:
        """Write a reference to what was written before, if it was."""
        index = self._memo.get(key)
        if index is None:
            return False
        self._out += b"j" + struct.pack("<I", index)
        return True

    def _note(self, key: Any) -> None:
        index = self._memo[key] = len(self._memo)
        self._out += b"r" + struct.pack("<I", index)

    def encode(self, value: Any, where: str, depth: int) -> None:
        """Write a value."""
        if depth > MAX_DEPTH:
            raise ValueError(f"save: {where[:80]}... is nested more than {MAX_DEPTH} deep")
        out, kind = self._out, type(value)
        if value is None or kind is bool:
            out += {None: b"N", True: b"\x88", False: b"\x89"}[value]
        elif kind is int:
            self._int(value)
        elif kind is float:
            out += b"G" + struct.pack(">d", value)
        elif kind is str:
            self._str(value)
        elif kind is Name:
            if not self._known(value):
                out += f"c{value.module}\n{value.name}\n".encode()
                self._note(value)
        elif kind is Call:
            self.encode(value.function, where, depth)
            self.encode(value.arguments, where, depth)
            out += b"R"
        elif kind is Persistent:
            self.encode(value.pid, where, depth)
            out += b"Q"
        elif isinstance(value, (Tensor, np.ndarray)):
            if not self._known(id(value)):
                self.encode(self._tensor(value, where), where, depth)
                self._note(id(value))
                self._alive.append(value)
        elif isinstance(value, np.generic):
            self.encode(self._scalar(value, where), where, depth)
        elif isinstance(value, Mapping):
            self._mapping(value, where, depth)
        else:
            self._other(value, where, depth)

    def _other(self, value: Any, where: str, depth: int) -> None:
        kind = type(value)
        if isinstance(value, Size):
            self.encode(Call(SIZE, tuple(value)), where, depth)
        elif isinstance(value, list):
            self._out += b"]("
            for i, item in enumerate(value):
                self.encode(item, f"{where}[{i}]", depth + 1)
            self._out += b"e"
        elif isinstance(value, tuple):
            self._out += b"("
            for i, item in enumerate(value):
                self.encode(item, f"{where}[{i}]", depth + 1)
            self._out += b"t"
        elif isinstance(value, (set, frozenset)):
            name = SET if isinstance(value, set) else FROZENSET
            self.encode(Call(name, list(value)), where, depth + 1)
        elif kind is complex:
            self.encode(Call(COMPLEX, value.real, value.imag), where, depth)
        elif kind is bytes:
            self.encode(Call(ENCODE, value.decode("latin-1"), "latin1"), where, depth)
        elif kind in (Dtype, ForeignDtype):
            self.encode(Name("torch", value.name), where, depth)
        elif kind is device:
            self.encode(Call(DEVICE, value.type), where, depth)
        else:
            raise unsaveable(value, where)

    def _mapping(self, value: Mapping[Any, Any], where: str, depth: int) -> None:
        if isinstance(value, OrderedDict):
            self.encode(Call(ORDERED), where, depth)
        else:
            self._out += b"}"
        self._out += b"("
        for key, item in value.items():
            place = f"{where}[{key!r}]"
            self.encode(key, place, depth + 1)
            self.encode(item, place, depth + 1)
        self._out += b"u"
        if isinstance(value, OrderedDict) and isinstance(getattr(value, "_metadata", None), dict):
            self.encode({"_metadata": value._metadata}, where, depth + 1)  # type: ignore[attr-defined]
            self._out += b"b"

    def _scalar(self, value: np.generic, where: str) -> Any:
        number = value.item()
        if type(number) not in (bool, int, float, complex):
            raise TypeError(f"save: cannot save {where}, a NumPy scalar of dtype {value.dtype}")
        return number

    def _int(self, value: int) -> None:
        if 0 <= value < 256:
            self._out += b"K" + bytes([value])
        elif -(1 << 31) <= value < 1 << 31:
            self._out += b"J" + struct.pack("<i", value)
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            if len(data) > 255:
                raise ValueError(f"save: an integer of {len(data)} bytes")
            self._out += b"\x8a" + bytes([len(data)]) + data

    def _str(self, value: str) -> None:
        if not self._known(value):
            data = value.encode("utf-8", "surrogatepass")
            self._out += b"X" + struct.pack("<I", len(data)) + data
            self._note(value)
