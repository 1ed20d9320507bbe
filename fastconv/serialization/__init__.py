"""`save` and `load`: files of tensors in several formats, none of which runs code.

Each format has a file here; `load` recognises it by what the file begins with. What is read,
written, converted and refused is one table in docs/files.md.
"""

from __future__ import annotations

import io
import os
from typing import IO, Any

from .errors import Refused, Unreadable, told
from .native import SKELETON

__all__ = ["FORMATS", "FileLike", "Unreadable", "load", "save"]

FileLike = str | os.PathLike[str] | IO[bytes]
#: What `save` writes.
FORMATS = ("npz", "safetensors", "torch")


def save(obj: Any, f: FileLike, *, format: str | None = None) -> None:
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
    format : "npz", "safetensors" or "torch", optional
        "npz" is fastconv's own: a zip of NumPy arrays. "safetensors" takes one dict from names to
        tensors. "torch" is read by ``torch.load(f, weights_only=True)``; ndarrays become tensors
        in it, NumPy scalars numbers. Without a format, a name that ends in ``.safetensors`` says
        so itself, and every other name, ``model.pt`` too, is "npz".

    Raises
    ------
    TypeError
        For a type that is not listed; the message says where in the object it is.
    ValueError
        For a container that contains itself, or an unknown format.
    """
    path = isinstance(f, (str, os.PathLike))
    if not path and not hasattr(f, "write"):
        raise TypeError(f"save: f must be a path or a binary file object, got {f!r}")
    if format is None:
        named = path and os.fsdecode(f).endswith(".safetensors")  # type: ignore[arg-type]
        format = "safetensors" if named else "npz"
    prepared = _prepared(obj, format)  # before a file is touched: it raises for wrong types
    if not path:
        prepared(f)
        return
    from ..files import atomic_path

    with atomic_path(f) as temporary, open(temporary, "wb") as stream:  # type: ignore[arg-type]
        prepared(stream)


def _prepared(obj: Any, format: str) -> Any:
    """A function that writes an object to a stream."""
    if format == "npz":
        from .native import prepare
    elif format == "safetensors":
        from .safetensors import prepare
    elif format == "torch":
        from .torch_writer import prepare
    else:
        raise ValueError(f"save: format must be one of {', '.join(FORMATS)}, got {format!r}")
    return prepare(obj)


def load(
    f: FileLike,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool | None = None,
) -> Any:
    """Read a file of tensors; what it is, is seen from its contents.

    Read are files of :func:`save`, NumPy's ``.npz`` and ``.npy``, safetensors, PyTorch's
    checkpoints of both formats, and the weights in Keras's ``.h5`` and ``.keras`` (with h5py).
    No code of a file's is run, whatever it holds: PyTorch's checkpoints are read by a small
    machine that knows tensors, numbers, strings and containers, and refuses the rest by name.

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
        Tensors are writable and have memory of their own, shared where the file shares it;
        dictionaries keep their order. Of NumPy's and Keras's files: dicts of ndarrays.

    Warns
    -----
    UserWarning
        Once a file, when tensors had types that are not here: half-precision floats become
        float32, complex and large unsigned numbers NumPy arrays.

    Raises
    ------
    ValueError
        When the file is of another kind, is damaged, holds what is not read, or its arrays are
        not as large as they claim.
    ModuleNotFoundError
        For Keras's files where h5py is missing.
    """
    named = map_location is not None and not callable(map_location)
    if named and not isinstance(map_location, dict) and str(map_location) not in ("cpu", "cpu:0"):
        raise ValueError(f"load: map_location must be None or 'cpu', got {map_location!r}")
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as stream:
            return _read(stream, os.fsdecode(f))
    if not hasattr(f, "read"):
        raise TypeError(f"load: f must be a path or a binary file object, got {f!r}")
    return _read(f, str(getattr(f, "name", "the file")))


def _read(stream: IO[bytes], name: str) -> Any:
    """What a stream holds from where it is."""
    from .kinds import Count

    if not (hasattr(stream, "seekable") and stream.seekable()):
        stream = io.BytesIO(stream.read())
    count = Count()
    with told(name):
        found = _read_as(stream, count)
    count.say(name)
    return found


def _read_as(stream: IO[bytes], count: Any) -> Any:
    """Recognise a format by its first bytes, and read it."""
    start = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(start)
    head = stream.read(265)
    stream.seek(start)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= end - start - 8:
        from . import safetensors  # first: its length can look like the beginning of another

        return safetensors.read(stream, count)
    if head[:4] == b"PK\x03\x04":
        return _read_zip(stream, count)
    if head[:1] == b"\x80":
        from . import torch_legacy

        return torch_legacy.read(stream, count)
    if head[8:9] == b"{":
        raise Refused("is no file of tensors, or its header is cut off")
    if head[:8] == b"\x89HDF\r\n\x1a\n":
        from . import keras_h5

        return keras_h5.read(stream)
    if head[:6] == b"\x93NUMPY":
        from .npy import read_array

        return read_array(stream, end, "the array")
    if head[257:262] == b"ustar":
        raise Refused(
            "is a tar, as PyTorch wrote before 0.1.10: load it with a PyTorch of today "
            "(weights_only=False, where you trust it) and save its state_dict again"
        )
    raise Refused(
        f"was not written by fastconv.save, NumPy, PyTorch, safetensors or Keras (begins with "
        f"{head[:4]!r})"
    )


def _read_zip(stream: IO[bytes], count: Any) -> Any:
    """Recognise a zip by the names in it."""
    from .archive import Archive

    archive = Archive(stream)
    names = list(archive.members)
    if SKELETON in names:
        from . import native

        return native.read(archive)
    if any(name.count("/") == 1 and name.endswith("/data.pkl") for name in names):
        from . import torch_zip

        return torch_zip.read(archive, count)
    if "model.weights.h5" in names:
        from . import keras_h5

        return keras_h5.read(io.BytesIO(archive.read("model.weights.h5", compressed=True)))
    if names and all(name.endswith(".npy") for name in names):
        from . import npz

        return npz.read(archive)
    raise Refused("was not written by fastconv.save, nor is it another file of tensors")
