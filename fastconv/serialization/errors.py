"""What a file that `load` does not take is told by."""

from __future__ import annotations

import contextlib
import errno
import struct
from collections.abc import Iterator


class Unreadable(ValueError):
    """A file that `load` does not take: damaged, or its claims do not fit the file."""


class Refused(Unreadable):
    """A file that is whole, and holds what is not read; the text goes on after the file's name."""


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """Turn whatever a damaged file makes a reader raise into one `Unreadable` that names the file.

    Errors of the system (no permission, no memory) and of missing libraries pass.
    """
    import zipfile
    import zlib

    try:
        yield
    except Refused as error:
        raise Unreadable(f"load: {name} {error}") from None
    except Unreadable as error:
        raise Unreadable(f"load: {name} is damaged: {error}") from None
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError) as error:
        raise Unreadable(f"load: {name} is damaged: {error}") from error
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise Unreadable(f"load: {name} is damaged: {error}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # no such place in the file
            raise
        raise Unreadable(f"load: {name} is damaged: {error}") from error
