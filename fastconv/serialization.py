"""`save` and `load`: nested containers of tensors in a zip file, without pickle.

The file holds `skeleton.json`, the structure with every array replaced by a number, and one
`arrays/<number>.npy` for each. Loading runs no code of the file's, whatever it holds.

The skeleton writes null, booleans, integers, finite floats, strings and lists as JSON's own; all
else is an object with one key that names the type: `{"tuple": [...]}`, `{"dict": [[key, value],
...]}`, `{"tensor": 3, ...}` and so on.
"""

from __future__ import annotations

import errno
import io
import math
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from ._changes import Memory
from .autograd import expose, memory
from .dtypes import dtype as Dtype
from .dtypes import from_numpy_dtype
from .nn.parameter import Parameter
from .tensor import Tensor, wrap

FORMAT = "fastconv"
VERSION = 1
MAX_DEPTH = 200
SKELETON = "skeleton.json"
ARRAY_KINDS = "biufc"
MAX_HEADER, MAX_RANK = 10_000, 64
FileLike = str | os.PathLike[str] | IO[bytes]


def save(obj: Any, f: FileLike) -> None:
    """Write an object to a file.

    Parameters
    ----------
    obj : object
        None, bool, int, float, complex, str, bytes, dtype, Tensor, ndarray, NumPy scalar, or a
        list, tuple, set, dict or OrderedDict of these, nested. Tensors that share all their memory
        share it again when loaded.
    f : path or binary file object
        A file of that name is replaced in one step when everything has been written; it keeps its
        permissions, and a symbolic link its target's place.

    Raises
    ------
    TypeError
        For a type that is not listed; the message says where in the object it is.
    ValueError
        For a container that contains itself.
    """
    writer = _Writer()
    skeleton = writer.encode(obj, "obj", 0)
    if isinstance(f, (str, os.PathLike)):
        from .files import atomic_path

        with atomic_path(f) as temporary, open(temporary, "wb") as stream:
            _write(stream, skeleton, writer.arrays)
    elif hasattr(f, "write"):
        _write(f, skeleton, writer.arrays)
    else:
        raise TypeError(f"save: f must be a path or a binary file object, got {f!r}")


def load(
    f: FileLike,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool | None = None,
) -> Any:
    """Read what `save` wrote.

    Parameters
    ----------
    f : path or binary file object
    map_location : None, "cpu", device, callable or dict
        There is no other device: a callable is not called, a dict not looked into.
    pickle_module, weights_only, mmap
        Accepted for PyTorch's sake: nothing but data is ever read.

    Returns
    -------
    object
        Tensors are writable and have memory of their own; dictionaries keep their order.

    Raises
    ------
    ValueError
        When the file is not one of ours (pickles and PyTorch's checkpoints are refused by name),
        is damaged, or its arrays are not as large as they claim.
    """
    named = map_location is not None and not callable(map_location)
    if named and not isinstance(map_location, dict) and str(map_location) not in ("cpu", "cpu:0"):
        raise ValueError(f"load: map_location must be None or 'cpu', got {map_location!r}")
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as stream:
            return _read(stream, os.fspath(f))
    if not hasattr(f, "read"):
        raise TypeError(f"load: f must be a path or a binary file object, got {f!r}")
    return _read(f, str(getattr(f, "name", "the file")))


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
        hint = ""
        if hasattr(value, "state_dict"):
            hint = (
                ": a file holds data, not code. Write\n"
                "    fastconv.save(model.state_dict(), path)\n"
                "and, to read it, build the model again from its class and call\n"
                "    model.load_state_dict(fastconv.load(path))"
            )
        raise TypeError(f"save: cannot save {where} of type {kind.__name__}{hint}")

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


class Unreadable(ValueError):
    """A file that `load` does not take."""


def _read(stream: IO[bytes], name: str) -> Any:
    import json
    import struct
    import zipfile

    if not (hasattr(stream, "seekable") and stream.seekable()):
        stream = io.BytesIO(stream.read())
    start = stream.tell()
    magic = stream.read(4)
    stream.seek(start)
    if magic[:1] == b"\x80":
        raise Unreadable(
            f"load: {name} is a pickle; unpickling can run any code, so fastconv never does: "
            "convert it to a dict of NumPy arrays where you trust it, then fastconv.save that"
        )
    if magic != b"PK\x03\x04":
        raise Unreadable(f"load: {name} was not written by fastconv.save (begins with {magic!r})")
    try:
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
            if SKELETON not in names:
                if any(n.endswith(".pkl") for n in names):
                    raise Unreadable(
                        f"load: {name} is a PyTorch checkpoint, which is a pickle inside a zip; "
                        "unpickling can run any code, so fastconv never does: load it in PyTorch "
                        "and save {k: v.numpy() for k, v in state_dict.items()} with fastconv.save"
                    )
                raise Unreadable(f"load: {name} was not written by fastconv.save")
            head = json.loads(archive.read(_stored(archive, SKELETON, stream)))
            if not isinstance(head, dict) or head.get("format") != FORMAT:
                raise Unreadable(f"load: {name} was not written by fastconv.save")
            if head.get("version") != VERSION:
                raise Unreadable(
                    f"load: {name} has version {head.get('version')!r}; "
                    f"this fastconv reads {VERSION}"
                )
            return _Reader(archive, name, stream).decode(head.get("object"))
    except Unreadable as error:
        if not str(error).startswith("load: "):
            raise Unreadable(f"load: {name} is damaged: {error}") from None
        raise
    except (zipfile.BadZipFile, struct.error, EOFError, LookupError) as error:
        raise Unreadable(f"load: {name} is damaged: {error}") from error
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise Unreadable(f"load: {name} is damaged: {error}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # no such place in the file
            raise
        raise Unreadable(f"load: {name} is damaged: {error}") from error


def _stored(archive: Any, member: str, stream: IO[bytes]) -> Any:
    """The entry of a member that lies in the file as it is: compressed ones may grow without end.

    Raises
    ------
    Unreadable
        When it is compressed, or claims more bytes than the file has.
    """
    info = archive.getinfo(member)
    if info.compress_type != 0 or info.file_size != info.compress_size:
        raise Unreadable(f"{member} is compressed; fastconv.save stores everything as it is")
    if info.header_offset + info.file_size > stream.seek(0, os.SEEK_END):
        raise Unreadable(f"{member} claims {info.file_size} bytes, more than the file has")
    return info


#: The header of an array as NumPy writes it.
HEADER = re.compile(
    rb"\{'descr': '([^']{1,16})', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), \} *\n"
)


def _read_header(entry: IO[bytes], member: str) -> tuple[tuple[int, ...], bool, str]:
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


class _Reader:
    """Decodes a skeleton; each array is read once, so that shared memory is shared again."""

    def __init__(self, archive: Any, name: str, stream: IO[bytes]) -> None:
        self._archive = archive
        self._stream = stream
        self._name = name
        self._arrays: dict[int, np.ndarray] = {}
        self._memories: dict[int, Memory] = {}

    def _fail(self, text: str) -> Unreadable:
        return Unreadable(f"load: {self._name} is damaged: {text}")

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
            return from_numpy_dtype(self._dtype(value))
        if kind == "numpy_dtype":
            return self._dtype(value)
        raise self._fail(f"it holds a {kind!r}, which this version does not know")

    def _tensor(self, number: int, array: np.ndarray) -> Tensor:
        """A tensor over an array that others may be made of too."""
        tensor: Tensor = wrap(array)
        tensor._version_box[1] = self._memories.setdefault(number, memory(tensor))
        return tensor

    def _dtype(self, text: Any) -> np.dtype[Any]:
        dtype = np.dtype(text) if isinstance(text, str) else None
        if dtype is None or dtype.kind not in ARRAY_KINDS or dtype.names:
            raise self._fail(f"dtype {text!r:.40}")
        return dtype

    def _array(self, number: Any) -> np.ndarray:
        if not isinstance(number, int) or isinstance(number, bool):
            raise self._fail(f"array number {number!r:.40}")
        if number not in self._arrays:
            self._arrays[number] = self._read_array(f"arrays/{number}.npy")
        return self._arrays[number]

    def _read_array(self, member: str) -> np.ndarray:
        info = _stored(self._archive, member, self._stream)
        with self._archive.open(info) as entry:
            shape, fortran, text = _read_header(entry, member)
            dtype = self._dtype(text)
            size = dtype.itemsize * math.prod(shape)
            left = info.file_size - entry.tell()
            if size != left:
                raise self._fail(f"{member} claims shape {shape}, {size} bytes, but holds {left}")
            data = bytearray(entry.read(size))
            if len(data) != size:
                raise self._fail(f"{member} is truncated")
        array = np.frombuffer(data, dtype=dtype)
        array = array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
        return array.astype(dtype.newbyteorder("="), copy=False)
