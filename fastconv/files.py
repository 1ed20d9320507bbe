"""Writing a file so that a reader sees the old one or the new one, never a half."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["atomic_path", "write_text"]


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that replaces it when the block ends well.

    A symbolic link stays: its target is replaced. The new file has the permissions of the old one
    (and its owner, where that may be given); a file that is new has those that a plain ``open``
    would give. Bytes and name are on the disk (fsync) before the block is left. A path that is no
    regular file, such as ``/dev/stdout`` or a FIFO, is written to in place.

    Parameters
    ----------
    path : path-like
        The file to create or replace. Missing parent folders are made.

    Yields
    ------
    pathlib.Path
        An empty file in the same folder. When the block raises it is removed and ``path`` stays
        as it was.

    Raises
    ------
    OSError
        If the folder cannot be made or written, or ``path`` is a folder.
    """
    try:
        old: os.stat_result | None = os.stat(path)
    except FileNotFoundError:
        old = None
    if old is not None and stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    special = old is not None and not stat.S_ISREG(old.st_mode)
    target = Path(path) if special else Path(os.path.realpath(path))
    folder = Path(tempfile.gettempdir()) if special else target.parent
    folder.mkdir(parents=True, exist_ok=True)
    temporary = _new_file(folder, target.name, 0o666 if old is None else 0o600)
    try:
        yield temporary
        if special:
            with open(temporary, "rb") as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out)
            temporary.unlink()
            return
        if old is not None:
            if hasattr(os, "chown"):
                with contextlib.suppress(OSError):
                    os.chown(temporary, old.st_uid, old.st_gid)
            os.chmod(temporary, stat.S_IMODE(old.st_mode))
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(folder)


def _new_file(folder: Path, name: str, mode: int) -> Path:
    """Create an empty file whose name is like `name`; the umask applies."""
    stem, suffix = os.path.splitext(name)
    while True:
        place = folder / f".{stem[:40]}-{secrets.token_hex(4)}{suffix[:40]}"
        with contextlib.suppress(FileExistsError):
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
            return place


def _sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk, where the system knows how."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write ``text`` as UTF-8 to ``path`` in one step and return the path.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)
