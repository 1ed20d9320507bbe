"""fastconv's own files: nested containers of tensors in a zip, without pickle.

The file holds `skeleton.json`, the structure with every array replaced by a number, and one
`arrays/<number>.npy` for each. Loading runs no code of the file's, whatever it holds.

The skeleton writes null, booleans, integers, finite floats, strings and lists as JSON's own; all
else is an object with one key that names the type: `{"tuple": [...]}`, `{"dict": [[key, value],
...]}`, `{"tensor": 3, ...}` and so on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from .._changes import Memory
from ..autograd import expose, memory
from ..dtypes import dtype as Dtype
from ..dtypes import from_numpy_dtype
from ..nn.parameter import Parameter
from ..tensor import Tensor, wrap
from .archive import Archive
from .errors import Refused, Unreadable
from .npy import ARRAY_KINDS, number_type, read_array

FORMAT = "fastconv"
VERSION = 1
MAX_DEPTH = 200
SKELETON = "skeleton.json"


def prepare(obj: Any) -> Callable[[IO[bytes]], None]:
    """A function that writes an object to a stream.

    Raises
    ------
    TypeError
        For a type that no file holds; the message says where in the object it is.
    ValueError
        For a container that contains itself.
    """
    writer = _Writer()
    skeleton = writer.encode(obj, "obj", 0)
    return lambda stream: _write(stream, skeleton, writer.arrays)


def read(archive: Archive) -> Any:
    """Read what :func:`write` wrote."""
    import json

    head = json.loads(archive.read(SKELETON))
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise Refused("was not written by fastconv.save")
    if head.get("version") != VERSION:
        raise Refused(f"has version {head.get('version')!r}; this fastconv reads {VERSION}")
    return _Reader(archive).decode(head.get("object"))


def unsaveable(value: Any, where: str) -> TypeError:
    """The error for a value that no file holds."""
    hint = ""
    if hasattr(value, "state_dict"):
        hint = (
            ": a file holds data, not code. Write\n"
            "    fastconv.save(model.state_dict(), path)\n"
            "and, to read it, build the model again from its class and call\n"
            "    model.load_state_dict(fastconv.load(path))"
        )
    return TypeError(f"save: cannot save {where} of type {type(value).__name__}{hint}")


class _Writer:
    """Encodes an object as a skeleton and collects its arrays, each piece of memory once."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self._seen: dict[tuple[Any, ...], int] = {}

    def encode(self, value: Any, where: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError(f"save: {where[:80]}... is nested more than {MAX_DEPTH} deep")
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if np.isfinite(value) else {"float": repr(value)}
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, np.ndarray):
            return {"ndarray": self._array(value, where)}
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.asarray(value), where)}
        if isinstance(value, list):
            return [self.encode(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
        if isinstance(value, tuple):
            items = [self.encode(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
            return {"tuple": items}
        if isinstance(value, (set, frozenset)):
            return {"set": [self.encode(v, f"{where}{{}}", depth + 1) for v in value]}
        if isinstance(value, Mapping):
            name = "OrderedDict" if isinstance(value, OrderedDict) else "dict"
            pairs = []
            for key, item in value.items():
                place = f"{where}[{key!r}]"
                pairs.append(
                    [self.encode(key, place, depth + 1), self.encode(item, place, depth + 1)]
                )
            return {name: pairs}
        if kind is complex:
            return {"complex": [repr(value.real), repr(value.imag)]}
        if kind is bytes:
            return {"bytes": value.hex()}
        if kind is Dtype:
            return {"dtype": value.name}
        scalar_type = isinstance(value, type) and issubclass(value, np.generic)
        if scalar_type or isinstance(value, np.dtype):
            return {"numpy_dtype": np.dtype(value).str}
        raise unsaveable(value, where)

    def _tensor(self, tensor: Tensor) -> dict[str, Any]:
        entry: dict[str, Any] = {"tensor": self._array(tensor._array, "tensor")}
        if tensor.requires_grad:
            entry["requires_grad"] = True
        if isinstance(tensor, Parameter):
            entry["parameter"] = True
        return entry

    def _array(self, array: np.ndarray, where: str) -> int:
        if array.dtype.kind not in ARRAY_KINDS:
            raise TypeError(f"save: cannot save {where}, an array of dtype {array.dtype}")
        key = (array.__array_interface__["data"], array.shape, array.strides, array.dtype.str)
        if key not in self._seen:
            self._seen[key] = len(self.arrays)
            self.arrays.append(array)
        return self._seen[key]


def _write(stream: IO[bytes], skeleton: Any, arrays: list[np.ndarray]) -> None:
    import json
    import zipfile

    head = {"format": FORMAT, "version": VERSION, "arrays": len(arrays), "object": skeleton}
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        info = zipfile.ZipInfo(SKELETON)  # a fixed date: equal objects make equal files
        archive.writestr(info, json.dumps(head, allow_nan=False))
        for number, array in enumerate(arrays):
            info = zipfile.ZipInfo(f"arrays/{number}.npy")
            info.file_size = array.nbytes + 256
            with archive.open(info, "w") as entry:
                np.lib.format.write_array(entry, _dense(array), allow_pickle=False)


def _dense(array: np.ndarray) -> np.ndarray:
    """The array itself where C- or Fortran-contiguous, else a C-contiguous copy."""
    flags = array.flags
    return array if flags.c_contiguous or flags.f_contiguous else np.ascontiguousarray(array)


class _Reader:
    """Decodes a skeleton; each array is read once, so that shared memory is shared again."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._arrays: dict[int, np.ndarray] = {}
        self._memories: dict[int, Memory] = {}

    def decode(self, node: Any) -> Any:
        if node is None or isinstance(node, (bool, int, float, str)):
            return node
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        value: Any
        kind, value = next(iter(node.items()), ("nothing", None))
        if kind == "tensor":
            array = self._array(value)
            from_numpy_dtype(array.dtype)
            tensor = self._tensor(value, array)
            if node.get("parameter"):
                return Parameter(tensor, requires_grad=bool(node.get("requires_grad")))
            tensor.requires_grad = bool(node.get("requires_grad"))
            return tensor
        if kind == "ndarray":
            array = self._array(value)
            expose(self._tensor(value, array))
            return array
        if kind == "scalar":
            return self._array(value)[()]
        if kind == "tuple":
            return tuple(self.decode(item) for item in value)
        if kind == "set":
            return {self.decode(item) for item in value}
        if kind == "dict":
            return {self.decode(k): self.decode(v) for k, v in value}
        if kind == "OrderedDict":
            return OrderedDict((self.decode(k), self.decode(v)) for k, v in value)
        if kind == "float":
            return float(value)
        if kind == "complex":
            return complex(float(value[0]), float(value[1]))
        if kind == "bytes":
            return bytes.fromhex(value)
        if kind == "dtype":
            return from_numpy_dtype(number_type(value))
        if kind == "numpy_dtype":
            return number_type(value)
        raise Unreadable(f"it holds a {kind!r}, which this version does not know")

    def _tensor(self, number: int, array: np.ndarray) -> Tensor:
        """A tensor over an array that others may be made of too."""
        tensor: Tensor = wrap(array)
        tensor._version_box[1] = self._memories.setdefault(number, memory(tensor))
        return tensor

    def _array(self, number: Any) -> np.ndarray:
        if not isinstance(number, int) or isinstance(number, bool):
            raise Unreadable(f"array number {number!r:.40}")
        if number not in self._arrays:
            self._arrays[number] = self._read_array(f"arrays/{number}.npy")
        return self._arrays[number]

    def _read_array(self, member: str) -> np.ndarray:
        info = self._archive.claim(member)
        with self._archive.open(info) as entry:
            return read_array(entry, info.file_size, member)
