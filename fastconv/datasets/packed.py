"""Opening data files that may be gzip-compressed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

CHUNK = 1 << 20


@contextlib.contextmanager
def unpacked(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a file to read its contents, unpacked if it is gzip (told by its content, not its name).

    Raises
    ------
    ValueError
        When the compressed data are damaged or cut short.
    """
    name = os.fspath(path)
    with open(name, "rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not compressed:
            yield raw
            return
        import gzip
        import zlib

        try:
            with gzip.open(raw, "rb") as stream:
                yield stream
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{name}: damaged or truncated gzip data: {error}") from error


def read_at_most(stream: Any, limit: int) -> bytearray:
    """Read what is there, but no more than one byte beyond `limit`."""
    data = bytearray()
    while len(data) <= limit:
        chunk = stream.read(min(CHUNK, limit + 1 - len(data)))
        if not chunk:
            break
        data += chunk
    return data
