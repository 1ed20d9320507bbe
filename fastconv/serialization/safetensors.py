"""safetensors: a length, a header in JSON, and the bytes of the tensors.

The header names each tensor's type, shape and place. The tensors fill the rest of the file, without
gaps or overlaps; that and everything else is checked before memory is taken.

The format has no sharing. Tensors that are one piece of memory are written once for each name, so
that every reader finds all of them, and the metadata say which are the same; :func:`read` lets them
share again where their bytes are still equal.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from ..tensor import Tensor
from .archive import filled
from .errors import Refused, Unreadable
from .kinds import KINDS, Count, Kind
from .native import unsaveable
from .npy import MAX_RANK
from .tensors import Storage

#: The format's own bound on its header.
MAX_HEADER = 100_000_000
SHARED = "fastconv.shared"
KIND_OF = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16",
    "U8": "uint8", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "C64": "complex64",
}  # fmt: skip
#: Types by their NumPy names, as they are written.
CODE_OF = {name: code for code, name in KIND_OF.items() if not name.startswith(("bf", "float8"))}


class Tensors(dict[str, Any]):
    """Tensors by name, and what a safetensors file says besides.

    Attributes
    ----------
    metadata : dict of str
        Texts by name; `save` writes them again.
    """

    metadata: dict[str, str]

    def __init__(self, tensors: Any = (), metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(tensors)
        self.metadata = dict(metadata or {})


# -- reading -------------------------------------------------------------------------------------


def read(stream: IO[bytes], count: Count) -> Tensors:
    """The tensors of a file, in the order of its header."""
    start = stream.tell()
    size = stream.seek(0, os.SEEK_END) - start
    stream.seek(start)
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= min(MAX_HEADER, size - 8):
        raise Unreadable(f"its header would have {length} of {size} bytes")
    head = json.loads(stream.read(length).decode(), object_pairs_hook=_once)
    if not isinstance(head, dict):
        raise Unreadable("its header is no object")
    metadata = head.pop("__metadata__", {})
    if not isinstance(metadata, dict) or any(type(v) is not str for v in metadata.values()):
        raise Unreadable("its metadata are not texts by name")
    entries = {name: _entry(name, entry) for name, entry in head.items()}
    end = 0
    for name, (_, _, first, last) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if first != end:
            raise Unreadable(f"{name!r:.80} begins at byte {first}, the one before ends at {end}")
        end = last
    if end != size - 8 - length:
        raise Unreadable(f"its tensors have {end} bytes, the file has {size - 8 - length}")
    shared = _shared(metadata.pop(SHARED, "{}"))
    storages: dict[str, Storage] = {}
    for name, (kind, _, first, last) in entries.items():
        stream.seek(start + 8 + length + first)
        storages[name] = Storage(filled(stream, last - first, name), kind)
    for name, other in shared.items():
        if name in entries and other in entries and entries[name][:2] == entries[other][:2]:
            a, b = storages[name], storages[other]
            if a is not b and np.array_equal(a.data, b.data):
                storages[name] = b
    found = Tensors(metadata=metadata)
    for name, (kind, shape, _, _) in entries.items():
        found[name] = storages[name].tensor(kind, 0, shape, _steps(shape), False, count)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose names are all different."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("a name stands twice in its header")
    return found


def _entry(name: str, entry: Any) -> tuple[Kind, tuple[int, ...], int, int]:
    """Type, shape, first byte and byte behind the last of a tensor."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Unreadable(f"{name!r:.80} is described by {entry!r:.80}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or any(type(n) is not int or n < 0 for n in numbers):
            raise Unreadable(f"{name!r:.80} has shape {shape!r:.80}, bytes {offsets!r:.80}")
    if len(shape) > MAX_RANK or len(offsets) != 2 or max(shape, default=0) >= 1 << 62:
        raise Unreadable(f"{name!r:.80} has shape {shape!r:.80}, bytes {offsets!r:.80}")
    if type(entry["dtype"]) is not str or entry["dtype"] not in KIND_OF:
        raise Refused(f"has the tensor {name!r:.80} of type {entry['dtype']!r:.40}")
    kind = KINDS[KIND_OF[entry["dtype"]]]
    first, last = offsets
    if last - first != math.prod(shape) * kind.itemsize:
        raise Unreadable(f"{name!r:.80} of shape {shape!r:.80} has {last - first} bytes")
    return kind, tuple(shape), first, last


def _shared(text: str) -> dict[str, str]:
    found = json.loads(text)
    if not isinstance(found, dict) or any(type(v) is not str for v in found.values()):
        raise Unreadable("it says wrongly which tensors are the same")
    return found


def _steps(shape: tuple[int, ...]) -> list[int]:
    """Strides of a dense array, in elements."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


# -- writing -------------------------------------------------------------------------------------


def prepare(obj: Any) -> Callable[[IO[bytes]], None]:
    """A function that writes a dict from names to tensors to a stream.

    Raises
    ------
    TypeError
        For anything but tensors and arrays; the message says where.
    """
    if not isinstance(obj, Mapping):
        if hasattr(obj, "state_dict"):
            raise unsaveable(obj, "obj")
        raise TypeError(
            f"save: safetensors holds a dict from names to tensors, got a {type(obj).__name__}"
        )
    arrays: dict[str, np.ndarray] = {}
    seen: dict[Any, str] = {}
    shared: dict[str, str] = {}
    for name, value in obj.items():
        array = value._array if isinstance(value, Tensor) else value
        if type(name) is not str or name == "__metadata__":
            raise TypeError(f"save: safetensors names tensors by strings, got {name!r:.80}")
        if not isinstance(array, (np.ndarray, np.generic)):
            raise TypeError(
                f"save: safetensors holds tensors only, obj[{name!r}] is a "
                f"{type(value).__name__}; choose a part of it, or another format"
            )
        if array.dtype.name not in CODE_OF:
            raise TypeError(f"save: obj[{name!r}] has dtype {array.dtype}, which safetensors lacks")
        if isinstance(array, np.ndarray) and array.size:
            place = array.__array_interface__["data"][0], array.shape, array.strides
            other = seen.setdefault((*place, array.dtype.str), name)
            if other != name:
                shared[name] = other
        # contiguous, lowest byte first: the format has one order
        dense = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        arrays[name] = dense.reshape(array.shape)
    metadata = {"format": "pt", **(obj.metadata if isinstance(obj, Tensors) else {})}
    if shared:
        metadata[SHARED] = json.dumps(shared)
    return lambda stream: _write(stream, arrays, metadata)


def _write(stream: IO[bytes], arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    # the largest elements first: all begin at multiples of their size
    order = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    places, at = {}, 0
    for name in order:
        places[name] = [at, at + arrays[name].nbytes]
        at += arrays[name].nbytes
    head: dict[str, Any] = {"__metadata__": metadata}
    for name, array in arrays.items():
        head[name] = {
            "dtype": CODE_OF[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": places[name],
        }
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        stream.write(arrays[name].reshape(-1).view(np.uint8).data)
