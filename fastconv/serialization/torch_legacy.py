"""PyTorch's checkpoints before 1.6: five pickles, then the storages one behind the other.

The pickles are a magic number, the version of the protocol, facts of the writer's machine, the
object, and the keys of the storages in the order in which they follow. Each storage is its number
of elements (8 bytes) and their bytes, lowest first. The object's pickle is looked through first,
which says how large each storage is; that is compared with the file before memory is taken.
"""

from __future__ import annotations

import os
from typing import IO, Any

from .admitted import Held, Reference
from .archive import filled
from .errors import Refused, Unreadable
from .kinds import Count
from .tensors import Storage
from .torch_zip import storage_id
from .unpickler import Machine, checked

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def read(stream: IO[bytes], count: Count) -> Any:
    """What a checkpoint holds.

    Raises
    ------
    Refused
        For a pickle that is no checkpoint of PyTorch's.
    """
    start = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(start)
    sizes: dict[str, tuple[Any, int]] = {}

    def plain(pid: Any) -> Any:
        raise Unreadable("a reference where none belongs")

    def noted(pid: Any) -> Held:
        key, kind, size, _ = storage_id(pid)
        if sizes.setdefault(key, (kind, size)) != (kind, size):
            raise Unreadable(f"storage {key!r:.20} has two types or sizes")
        return Held(None)

    look = Reference(count, dry=True).find

    def run(find: Any, persistent: Any) -> Any:
        return Machine(stream, end - stream.tell(), find, persistent).run()

    if _first(stream, end) != MAGIC:
        raise Refused(
            "is a pickle; unpickling can run any code, so fastconv never does: convert it to a "
            "dict of NumPy arrays where you trust it, then fastconv.save that"
        )
    version = run(look, plain)
    if version != PROTOCOL:
        raise Unreadable(f"protocol {version!r:.40} of PyTorch's old format, which has {PROTOCOL}")
    run(look, plain)  # the writer's machine: its byte order is not that of the storages
    object_at = stream.tell()
    run(look, noted)
    keys = run(look, plain)
    if type(keys) is not list or any(type(key) is not str for key in keys):
        raise Unreadable("the keys of its storages are no list of strings")
    if sorted(set(keys)) != sorted(sizes) or len(keys) != len(sizes):
        raise Unreadable("its storages are not those that its tensors name")
    wanted, left = sum(8 + size for _, size in sizes.values()), end - stream.tell()
    if wanted > left:
        raise Unreadable(f"its storages have {wanted} bytes, the file has {left}")
    storages = {key: _storage(stream, key, *sizes[key]) for key in keys}
    stream.seek(object_at)

    def persistent(pid: Any) -> Held:
        key, _, _, view = storage_id(pid)
        found = storages[key]
        if view is not None:  # a key of its own, where it begins, how many elements
            _, first, size = view
            if type(first) is not int or type(size) is not int:
                raise Unreadable("a part of a storage without place")
            held = parts.get((key, first, size))
            if held is None:
                held = parts[key, first, size] = Held(found.part(first, size))
            return held
        return whole[key]

    whole = {key: Held(storage) for key, storage in storages.items()}
    parts: dict[tuple[str, int, int], Held] = {}
    return checked(run(Reference(count).find, persistent))


def _first(stream: IO[bytes], end: int) -> Any:
    """The first pickle's number; None for whatever else it is."""
    nothing = Machine(stream, end - stream.tell(), lambda module, name: None, lambda pid: None)
    try:
        return nothing.run()
    except Unreadable:
        return None


def _storage(stream: IO[bytes], key: str, kind: Any, size: int) -> Storage:
    """The next storage of a stream."""
    count = int.from_bytes(stream.read(8), "little")
    if count * (1 if kind is None else kind.itemsize) != size:
        raise Unreadable(f"storage {key!r:.20} has {count} elements, {size} bytes were expected")
    return Storage(filled(stream, size, f"storage {key}"), kind)
