"""Members of a zip, each read only after its claims have been compared with the file."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from .errors import Refused, Unreadable

if TYPE_CHECKING:
    import zipfile

#: Methods of compression, as zips number them.
STORED, DEFLATED = 0, 8
#: Deflate makes no more of a byte than this.
RATIO = 1032
#: Bytes that all compressed members of a file may have together, and how many times the file's.
FREE, TIMES = 1 << 26, 200
#: The same for a compressed pickle.
FREE_PICKLE, TIMES_PICKLE = 1 << 16, 32
CHUNK = 1 << 20


class Archive:
    """A zip file.

    Parameters
    ----------
    stream : binary file object
        It can be read at any place.

    Raises
    ------
    Unreadable
        When members have one name, lie over one another, or claim more than the file has.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        import zipfile

        self.size = stream.seek(0, os.SEEK_END)
        self._zip = zipfile.ZipFile(stream)
        self.members: dict[str, zipfile.ZipInfo] = {}
        self._inflated = 0
        for info in self._zip.infolist():
            name = info.filename
            if name in self.members:
                raise Unreadable(f"two members are named {name[:80]!r}")
            if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
                raise Unreadable(f"a member is named {name[:80]!r}")
            self.members[name] = info
        end = 0
        for info in sorted(self.members.values(), key=lambda info: info.header_offset):
            name = info.filename
            if info.header_offset + info.compress_size > self.size:
                raise Unreadable(
                    f"{name[:80]} claims {info.compress_size} bytes, more than the file has"
                )
            if info.header_offset < end:
                raise Unreadable(f"{name[:80]} lies over another member")
            end = info.header_offset + 30 + info.compress_size

    def claim(self, member: str, compressed: bool = False) -> zipfile.ZipInfo:
        """A member whose claims have been checked.

        Parameters
        ----------
        member : str
        compressed : bool
            Whether it may be, as in other programs' files: compressed ones can grow, but no more
            than `TIMES` the file. PyTorch can be told to write no checksums, and writes 0 then.
        """
        info = self.members.get(member)
        if info is None:
            raise Unreadable(f"there is no {member[:80]}")
        if info.flag_bits & 1:
            raise Refused(f"is encrypted: {member[:80]}")
        if compressed and info.CRC == 0:
            info.CRC = None  # type: ignore[assignment]
        if info.compress_type == STORED:
            if info.file_size != info.compress_size:
                raise Unreadable(f"{member} claims {info.file_size} bytes, more than the file has")
            return info
        if not compressed:
            raise Unreadable(f"{member} is compressed; fastconv.save stores everything as it is")
        if info.compress_type != DEFLATED:
            raise Refused(f"is compressed by method {info.compress_type}; only deflate is read")
        self._inflated += info.file_size
        if info.file_size > RATIO * info.compress_size + 64:
            raise Unreadable(
                f"{member[:80]} claims {info.file_size} bytes, more than {info.compress_size} "
                "compressed ones can hold"
            )
        if self._inflated > FREE + TIMES * self.size:
            raise Refused(
                f"would grow to {self._inflated} bytes, from {self.size}: write it again "
                "uncompressed, if that is what it should hold"
            )
        return info

    def read(self, member: str, compressed: bool = False) -> bytes:
        """The bytes of a member."""
        return self._zip.read(self.claim(member, compressed))

    def program(self, member: str) -> bytes:
        """The bytes of a pickle: objects take more memory than their bytes, so it may grow less."""
        info = self.claim(member, compressed=True)
        if info.file_size > info.compress_size and info.file_size > (
            FREE_PICKLE + TIMES_PICKLE * info.compress_size
        ):
            raise Unreadable(
                f"{member[:80]} would grow from {info.compress_size} bytes to {info.file_size}"
            )
        return self._zip.read(info)

    def open(self, info: zipfile.ZipInfo) -> IO[bytes]:
        """A claimed member as a stream."""
        return self._zip.open(info)

    def array(self, member: str, size: int) -> np.ndarray:
        """The bytes of a member that must have `size` of them, as uint8."""
        info = self.claim(member, compressed=True)
        if info.file_size != size:
            raise Unreadable(f"{member[:80]} has {info.file_size} bytes, {size} were expected")
        with self._zip.open(info) as entry:
            return filled(entry, size, member)


def filled(stream: IO[bytes], size: int, what: str) -> np.ndarray:
    """The next `size` bytes of a stream, as uint8 in memory of their own."""
    out = np.empty(size, np.uint8)
    view: Any = out.data
    into = getattr(stream, "readinto", None)
    done = 0
    while done < size:
        part = view[done : done + CHUNK]
        if into is not None:
            got = into(part)
        else:
            data = stream.read(len(part))
            got = len(data)
            part[:got] = data
        if not got:
            raise Unreadable(f"{what[:80]} is truncated: {done} of {size} bytes")
        done += got
    return out
