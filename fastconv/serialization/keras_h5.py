"""Weights in Keras's HDF5 files, by h5py.

Only numbers that lie in the file itself are read: links, external and virtual data, and filters
other than deflate and shuffle (which HDF5 looks for among plugins) are refused. What a dataset
claims is compared with the bytes stored for it before memory is taken.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from .archive import FREE, RATIO, TIMES, Archive
from .errors import Refused, Unreadable, told
from .npy import ARRAY_KINDS

MAGIC = b"\x89HDF\r\n\x1a\n"
#: Where the weights lie in a ``.keras`` file.
MEMBER = "model.weights.h5"
MAX_DEPTH, MAX_NAMES = 64, 1 << 16
#: Numbers of HDF5's filters: deflate, shuffle, checksum.
FILTERS = (1, 2, 3)


class Entry(NamedTuple):
    """A layer of a Keras 2 file.

    Attributes
    ----------
    name : str
    arrays : list of ndarray
    names : list of str
        Of the arrays: the name of a layer within a network inside, a stroke, "kernel:0".
    inside : list of str, optional
        The layers of a network inside, in its order, where the file has the model's description.
    """

    name: str
    arrays: list[np.ndarray]
    names: list[str]
    inside: list[str] | None


def read(stream: IO[bytes]) -> dict[str, Any]:
    """Groups as dicts, datasets as arrays."""
    with opened(stream) as file:
        return file.tree()


def layers(path: Any) -> tuple[str, Any] | None:
    """The weights of a file of Keras's by layer; None for a file of another kind.

    Returns
    -------
    ("tree", dict) or ("list", list)
        Keras 3: groups as dicts. Keras 2: an :class:`Entry` for each layer, in the model's order.
    """
    with open(path, "rb") as stream, told(os.fspath(path)):
        magic = stream.read(8)
        stream.seek(0)
        if magic[:4] == b"PK\x03\x04":
            with contextlib.suppress(zipfile.BadZipFile, Unreadable):
                archive = Archive(stream)
                if MEMBER in archive.members:
                    data = io.BytesIO(archive.read(MEMBER, compressed=True))
                    with opened(data) as file:
                        return "tree", file.tree()
            return None
        if magic != MAGIC:
            return None
        with opened(stream) as file:
            return file.layers()


@contextlib.contextmanager
def opened(stream: IO[bytes]) -> Iterator[File]:
    """An HDF5 file from a stream.

    Raises
    ------
    ModuleNotFoundError
        Where h5py is missing.
    Unreadable
        For whatever HDF5 finds wrong.
    """
    try:
        import h5py
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "load: Keras's files are HDF5, which h5py reads: pip install 'fastconv[keras]'"
        ) from None
    if stream.tell():
        stream = io.BytesIO(stream.read())
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    try:
        with h5py.File(stream, "r") as file:
            yield File(file, size)
    except OSError as error:
        raise Unreadable(str(error)) from error


class File:
    """An open file.

    Parameters
    ----------
    root : h5py.File
    size : int
        Its bytes.
    """

    def __init__(self, root: Any, size: int) -> None:
        self._root, self._size = root, size
        self._stored = self._grown = 0
        self._seen: set[Any] = set()

    def tree(self) -> dict[str, Any]:
        """Everything."""
        return self._tree(self._root, 0)

    def layers(self) -> tuple[str, Any]:
        """See :func:`layers`."""
        root = self._root
        text = None
        if "model_config" in root.attrs and root.attrs.get_id("model_config").shape == ():
            text = root.attrs["model_config"]
        described = _described(text)
        if "layer_names" not in root.attrs and "layer_names0" not in root.attrs:
            if "model_weights" not in root:
                return "tree", self.tree()
            root = self._child(root, "model_weights")
        found = []
        for name in self._names(root, "layer_names"):
            group = self._child(root, name)
            names = self._names(group, "weight_names")
            arrays = [self._array(self._child(group, weight), weight) for weight in names]
            found.append(Entry(name, arrays, names, described.get(name)))
        return "list", found

    def _names(self, group: Any, attribute: str) -> list[str]:
        """A list of strings among a group's attributes; long ones are in pieces."""
        wanted = [attribute] if attribute in group.attrs else []
        if not wanted:
            while f"{attribute}{len(wanted)}" in group.attrs and len(wanted) < MAX_NAMES:
                wanted.append(f"{attribute}{len(wanted)}")
        found: list[str] = []
        for name in wanted:
            kept = group.attrs.get_id(name)
            if len(kept.shape) > 1 or sum(kept.shape) > MAX_NAMES:
                raise Unreadable(f"{attribute} has the shape {kept.shape}")
            for value in np.atleast_1d(group.attrs[name]).tolist():
                found.append(value.decode() if isinstance(value, bytes) else str(value))
        return found

    def _child(self, group: Any, name: str) -> Any:
        """What lies in a group under a path, links of any other kind than the plain one refused."""
        import h5py

        for part in filter(None, name.split("/")):
            if not isinstance(group, h5py.Group):
                raise Unreadable(f"there is no {name:.80}")
            link = group.get(part, getlink=True)
            if link is not None and type(link) is not h5py.HardLink:
                raise Refused(f"refers to another place or file by the name {name!r:.80}")
            group = group[part]
        return group

    def _tree(self, group: Any, depth: int) -> dict[str, Any]:
        import h5py

        info = h5py.h5o.get_info(group.id)
        place = (info.fileno, info.addr)
        if depth > MAX_DEPTH or place in self._seen:
            raise Unreadable(f"the group {group.name!r:.80} holds itself, or stands twice")
        self._seen.add(place)
        found: dict[str, Any] = {}
        for name in group:
            child = self._child(group, name)
            if isinstance(child, h5py.Group):
                found[name] = self._tree(child, depth + 1)
            else:
                found[name] = self._array(child, name)
        return found

    def _array(self, data: Any, name: str) -> np.ndarray:
        """The numbers of a dataset."""
        import h5py

        if not isinstance(data, h5py.Dataset) or data.shape is None:
            raise Unreadable(f"{name:.80} is no array")
        if data.dtype.kind not in ARRAY_KINDS or data.dtype.names or data.dtype.shape:
            raise Refused(f"has the array {name!r:.80} of {data.dtype}; only numbers are read")
        plan = data.id.get_create_plist()
        if data.is_virtual or plan.get_external_count():
            raise Refused(f"has the array {name!r:.80}, whose numbers lie in another file")
        if any(plan.get_filter(i)[0] not in FILTERS for i in range(plan.get_nfilters())):
            raise Refused(f"has the array {name!r:.80}, compressed by another way than deflate")
        size, stored = int(data.size) * data.dtype.itemsize, int(data.id.get_storage_size())
        self._stored += stored
        self._grown += size
        packed = data.chunks is not None
        limit = (RATIO if plan.get_nfilters() else 1) * stored if packed else stored
        if size > limit or self._stored > self._size:
            raise Unreadable(f"{name:.80} claims {size} bytes, more than the file has for it")
        if self._grown > FREE + TIMES * self._size:
            raise Refused(f"would grow to {self._grown} bytes, from {self._size}")
        array = np.empty(data.shape, data.dtype.newbyteorder("="))
        if array.size:
            data.read_direct(array)
        return array


def _described(text: Any) -> dict[str, list[str]]:
    """The layers inside each network of a model's description, by the network's name."""
    try:
        data = json.loads(text if isinstance(text, (str, bytes)) else "null")
        return {name: _leaves(layer) for name, layer in _layers(data) if _layers(layer)}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return {}


def _layers(model: Any) -> list[tuple[str, Any]]:
    """The layers of a model in JSON; of another layer none."""
    config = model.get("config") if isinstance(model, dict) else None
    inside = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(inside, list):
        return []
    return [(str(layer["config"]["name"]), layer) for layer in inside]


def _leaves(model: Any) -> list[str]:
    found: list[str] = []
    for name, layer in _layers(model):
        found += _leaves(layer) if _layers(layer) else [name]
    return found
