"""PyTorch's checkpoints since 1.6: a zip of one pickle and a record for each storage.

The zip holds one folder: `data.pkl`, `data/<key>` with the raw bytes of each storage, `version`,
and since 2.1 `byteorder`.
"""

from __future__ import annotations

import io
from typing import Any

from .admitted import Held, Reference, Untyped
from .archive import Archive
from .errors import Refused, Unreadable
from .kinds import Count, kind_of
from .tensors import Storage
from .unpickler import Admitted, Machine, checked


def read(archive: Archive, count: Count) -> Any:
    """What a checkpoint holds."""
    places = [n for n in archive.members if n.count("/") == 1 and n.endswith("/data.pkl")]
    if len(places) != 1:
        raise Unreadable("it has several data.pkl")
    folder = places[0][: -len("data.pkl")]
    if f"{folder}constants.pkl" in archive.members:
        raise Refused(
            "is a TorchScript program (torch.jit.save), which is code: in PyTorch, "
            "torch.save(torch.jit.load(path).state_dict(), new)"
        )
    order = b"little"
    if f"{folder}byteorder" in archive.members:
        order = archive.read(f"{folder}byteorder", compressed=True)
    if order not in (b"little", b"big"):
        raise Unreadable(f"byte order {order!r:.20}")
    storages: dict[str, Held] = {}

    def persistent(pid: Any) -> Held:
        key, kind, size = storage_id(pid)[:3]
        held = storages.get(key)
        if held is None:
            data = archive.array(f"{folder}data/{key}", size)
            held = storages[key] = Held(Storage(data, kind, order == b"big"))
        if held.storage is None or held.storage.kind != kind or len(held.storage.data) != size:
            raise Unreadable(f"storage {key!r:.20} has two types or sizes")
        return held

    pickle = archive.program(places[0])
    find = Reference(count).find
    machine = Machine(io.BytesIO(pickle), len(pickle), find, persistent)
    return checked(machine.run())


def storage_id(pid: Any) -> tuple[str, Any, int, Any]:
    """Key, type (None where tensors name it), bytes and view of a persistent id."""
    if type(pid) is not tuple or len(pid) not in (5, 6) or pid[0] not in ("storage", b"storage"):
        what = pid[0] if type(pid) is tuple and pid else pid
        if what in ("module", b"module"):
            raise Refused(
                "holds a whole model, not its weights: in PyTorch, where you trust it, "
                "torch.save(torch.load(path, weights_only=False).state_dict(), new)"
            )
        raise Unreadable(f"a reference to {what!r:.40}")
    _, cls, key, _, count, *view = pid
    key = key.decode("latin-1") if type(key) is bytes else key
    if type(cls) is not Admitted or cls.value is None or not cls.name.endswith("Storage"):
        raise Unreadable("a storage of an unknown class")
    if type(key) is not str or "/" in key or type(count) is not int or not 0 <= count < 1 << 60:
        raise Unreadable(f"a storage named {key!r:.40} of {count!r:.40} elements")
    kind = None if cls.value is Untyped else kind_of(cls.value)
    size = count if kind is None else count * kind.itemsize
    return key, kind, size, view[0] if view else None
