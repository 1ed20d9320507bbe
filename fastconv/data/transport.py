"""Batches on their way between processes: arrays go through shared memory, the rest as a pickle.

A message is a header, a pickle whose arrays are left out (protocol 5), and the arrays' bytes. Those
lie in a memory file without a name, whose descriptor travels through the socket: the system frees
it with its last descriptor, whatever happens to the processes, and no limit of /dev/shm holds.
Where there are no such files, and for few bytes, they go through the socket as well. The reader
copies them into memory of its own, which the buffer pool has warm: nothing of a batch that is kept
holds a descriptor.
"""

from __future__ import annotations

import io
import os
import pickle
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ..memory import empty
from ..tensor import Tensor, wrap

#: Bytes below which a memory file costs more than it saves.
SMALL = 1 << 15
#: Arrays begin at multiples of this.
ALIGN = 64


class Pickler(pickle.Pickler):
    """Tensors that only the graph can write stay so on the other side."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Tensor and obj._node is None and not getattr(obj, "__dict__", None):
            array = obj._array  # first: it writes what waits
            memory = obj._version_box[1]
            if memory is None or not memory.exposed:
                return (private, (array, obj._requires))
        return NotImplemented


def private(array: np.ndarray, requires: bool) -> Tensor:
    """A tensor over an array that nobody else has."""
    tensor: Tensor = wrap(array)
    tensor._requires = requires
    return tensor


def dumps(value: Any) -> tuple[bytes, list[memoryview]]:
    """The pickle of a value, and its arrays' bytes."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    Pickler(stream, 5, buffer_callback=buffers.append).dump(value)
    return stream.getvalue(), [buffer.raw() for buffer in buffers]


def starts(sizes: list[int]) -> tuple[list[int], int]:
    """Where each array begins, and the bytes of all."""
    found, total = [], 0
    for size in sizes:
        found.append(total)
        total += -(-size // ALIGN) * ALIGN
    return found, total


def send(connection: Connection, kind: str, value: Any) -> None:
    """Write a message.

    Raises
    ------
    OSError
        When the other side is gone.
    Exception
        What pickling raises; nothing has been written then.
    """
    data, buffers = dumps(value)
    sizes = [buffer.nbytes for buffer in buffers]
    places, total = starts(sizes)
    file = -1
    if total >= SMALL and hasattr(os, "memfd_create"):
        file = memory_file(buffers, places, total)
    try:
        connection.send_bytes(pickle.dumps((kind, data, sizes, file >= 0)))
        if file >= 0:
            reduction.send_handle(connection, file, None)  # type: ignore[arg-type]
        else:
            for buffer in buffers:
                if buffer.nbytes:
                    connection.send_bytes(buffer)
    finally:
        if file >= 0:
            os.close(file)


def memory_file(buffers: list[memoryview], places: list[int], total: int) -> int:
    """The descriptor of a file in memory with the arrays' bytes; -1 where there is no room."""
    try:
        file = os.memfd_create("fastconv-batch")
    except OSError:
        return -1
    try:
        os.ftruncate(file, total)
        for buffer, place in zip(buffers, places, strict=True):
            while buffer.nbytes:
                written = os.pwrite(file, buffer, place)
                place += written
                buffer = buffer[written:]
    except OSError:
        os.close(file)
        return -1
    return file


def receive(connection: Connection) -> tuple[str, Any]:
    """Read a message.

    Raises
    ------
    EOFError, OSError
        When the other side is gone, also in the middle of a message.
    """
    kind, data, sizes, in_file = pickle.loads(connection.recv_bytes())
    places, total = starts(sizes)
    memory = empty((total,), np.uint8).data
    parts = [memory[p : p + size] for p, size in zip(places, sizes, strict=True)]
    if in_file:
        file = reduction.recv_handle(connection)
        try:
            done = 0
            while done < total:
                read = os.preadv(file, [memory[done:]], done)
                if not read:
                    raise EOFError("a batch in shared memory is shorter than it says")
                done += read
        finally:
            os.close(file)
    else:
        for part in parts:
            if part.nbytes:
                connection.recv_bytes_into(part)
    return kind, pickle.loads(data, buffers=parts)
