"""Writes checkpoints that ``torch.load(path, weights_only=True)`` reads.

Tensors over one piece of memory share a storage in the file, as they do in PyTorch's own. A tensor
that shares with nobody is written dense, in the order of its memory, so that channels-last stays
so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

import numpy as np

from ..nn.parameter import Parameter
from ..tensor import Tensor
from .pickler import ORDERED, Call, Name, Persistent, Pickler

STORAGES = {
    "float16": "Half", "float32": "Float", "float64": "Double", "uint8": "Byte", "int8": "Char",
    "int16": "Short", "int32": "Int", "int64": "Long", "bool": "Bool",
    "complex64": "ComplexFloat", "complex128": "ComplexDouble",
}  # fmt: skip
REBUILD = Name("torch._utils", "_rebuild_tensor_v2")
REBUILD_PARAMETER = Name("torch._utils", "_rebuild_parameter")
CLASSES = {name: Name("torch", f"{prefix}Storage") for name, prefix in STORAGES.items()}
#: Records begin at multiples of this, as in PyTorch's own files: they can be mapped.
ALIGN = 64


class Place:
    """Where the elements of an array are written: a storage, and how to look at it."""

    __slots__ = ("offset", "storage", "strides")

    def __init__(self, storage: int, offset: int, strides: tuple[int, ...]) -> None:
        self.storage, self.offset, self.strides = storage, offset, strides


def prepare(obj: Any) -> Callable[[IO[bytes]], None]:
    """A function that writes an object to a stream.

    Raises
    ------
    TypeError
        For a type that no file holds; the message says where in the object it is.
    ValueError
        For a container that contains itself.
    """
    arrays: list[np.ndarray] = []

    def noted(value: Any, where: str) -> Call:
        arrays.append(_checked(value, where))
        return Call(ORDERED)

    Pickler(noted).dump(obj)  # finds all arrays, and what cannot be saved
    storages, places = _storages(arrays)
    turn = iter(zip(arrays, places, strict=True))

    def described(value: Any, where: str) -> Call:
        array, place = next(turn)
        count = storages[place.storage].size
        storage = ("storage", CLASSES[array.dtype.name], str(place.storage), "cpu", count)
        needs = isinstance(value, Tensor) and value.requires_grad
        tensor = Call(REBUILD, Persistent(storage), place.offset, array.shape, place.strides,
                      needs, Call(ORDERED))  # fmt: skip
        if isinstance(value, Parameter):
            return Call(REBUILD_PARAMETER, tensor, needs, Call(ORDERED))
        return tensor

    pickle = Pickler(described).dump(obj)
    return lambda stream: _write(stream, pickle, storages)


def _checked(value: Any, where: str) -> np.ndarray:
    """The array of a tensor or ndarray, in native byte order."""
    array = value._array if isinstance(value, Tensor) else value
    if array.dtype.name not in STORAGES:
        raise TypeError(f"save: {where} has dtype {array.dtype}, which PyTorch's files lack here")
    return array.astype(array.dtype.newbyteorder("="), copy=False)  # type: ignore[no-any-return]


def _bounds(array: np.ndarray) -> tuple[int, int]:
    """The addresses of the first byte and behind the last."""
    low = high = array.__array_interface__["data"][0]
    for n, step in zip(array.shape, array.strides, strict=True):
        low += min(0, (n - 1) * step)
        high += max(0, (n - 1) * step)
    return low, high + array.itemsize


def _storages(arrays: list[np.ndarray]) -> tuple[list[np.ndarray], list[Place]]:
    """Storages for arrays, and each one's place."""
    bounds = [_bounds(a) for a in arrays]
    order = [i for i in sorted(range(len(arrays)), key=bounds.__getitem__) if arrays[i].size]
    groups: list[list[int]] = []
    end = -1
    for i in order:
        if bounds[i][0] < end:
            groups[-1].append(i)
        else:
            groups.append([i])
        end = max(end, bounds[i][1])
    found: dict[int, tuple[np.ndarray, list[tuple[int, int, tuple[int, ...]]]]] = {}
    for group in groups:
        shared = _shared([arrays[i] for i in group], bounds[group[0]][0],
                         max(bounds[i][1] for i in group))  # fmt: skip
        if shared is None:
            continue
        flat, where = shared
        entries = [(i, *place) for i, place in zip(group, where, strict=True)]
        found[min(group)] = flat, entries
    placed = {i for _, entries in found.values() for i, _, _ in entries}
    storages: list[np.ndarray] = []
    places: dict[int, Place] = {}
    for i, array in enumerate(arrays):  # storages are numbered in the order of the object
        if i in found:
            flat, entries = found[i]
            for j, offset, strides in entries:
                places[j] = Place(len(storages), offset, strides)
            storages.append(flat)
        elif i not in placed:
            flat, strides = _dense(array)
            places[i] = Place(len(storages), 0, strides)
            storages.append(flat)
    return storages, [places[i] for i in range(len(arrays))]


def _shared(
    group: list[np.ndarray], low: int, high: int
) -> tuple[np.ndarray, list[tuple[int, tuple[int, ...]]]] | None:
    """The memory from `low` to `high`, and each array's place in it; None if it cannot be shared.

    Then the arrays are written one by one: a single one, several types, negative steps.
    """
    item, dtype = group[0].itemsize, group[0].dtype
    if len(group) == 1 or any(a.dtype != dtype or min(a.strides, default=0) < 0 for a in group):
        return None
    for array in group:
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        start, stop = _bounds(base)
        if start <= low and high <= stop and base.flags.forc:
            memory = base.reshape(-1, order="A").view(np.uint8)[low - start : high - start]
            break
    else:
        return None
    starts = [a.__array_interface__["data"][0] - low for a in group]
    steps = [s for a in group for s in a.strides]
    if any(n % item for n in (*starts, *steps, high - low)):
        return None
    flat = memory.view(dtype)
    return flat, [
        (at // item, tuple(s // item for s in a.strides))
        for at, a in zip(starts, group, strict=True)
    ]


def _dense(array: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """The elements without gaps, in the order of memory, and the strides to find them."""
    axes = sorted(range(array.ndim), key=lambda i: -abs(array.strides[i]))
    flat = np.ascontiguousarray(array.transpose(axes)).reshape(-1)
    strides, step = [0] * array.ndim, 1
    for axis in reversed(axes):
        strides[axis] = step
        step *= max(array.shape[axis], 1)
    return flat, tuple(strides)


def _write(stream: IO[bytes], pickle: bytes, storages: list[np.ndarray]) -> None:
    import zipfile

    records: list[tuple[str, Any]] = [("data.pkl", pickle), ("byteorder", b"little")]
    records += [(f"data/{i}", flat) for i, flat in enumerate(storages)]
    records.append(("version", b"3\n"))
    at = 0
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in records:
            info = zipfile.ZipInfo(f"archive/{name}")  # a fixed date: equal objects, equal files
            if isinstance(data, np.ndarray):
                data = data.astype(data.dtype.newbyteorder("<"), copy=False).view(np.uint8)
            large = len(data) > 1 << 31
            at += 30 + len(info.filename) + 4 + 20 * large
            padding = -at % ALIGN
            info.extra = b"FB" + padding.to_bytes(2, "little") + bytes(padding)
            info.file_size = len(data)
            with archive.open(info, "w", force_zip64=large) as entry:
                entry.write(data)
            at += padding + len(data)
