"""PyTorch's hub by name: nothing is downloaded, files are read from a local folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlparse

from .absent import missing

__all__ = ["get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

_folder: str | None = None


def get_dir() -> str:
    """The folder: what was set, FASTCONV_HOME, TORCH_HOME/hub, or ~/.cache/torch/hub."""
    if _folder is not None:
        return _folder
    own = os.environ.get("FASTCONV_HOME")
    if own:
        return str(Path(own).expanduser() / "hub")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or os.path.join(cache, "torch")
    return str(Path(home).expanduser() / "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Set the folder."""
    global _folder
    _folder = os.fspath(Path(d).expanduser())


def load_state_dict_from_url(
    url: str,
    model_dir: str | os.PathLike[str] | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """Read the file of this URL's name from the local folder.

    Parameters
    ----------
    url : str
    model_dir : path, optional
        The folder: ``checkpoints`` in :func:`get_dir` by default.
    map_location, weights_only
        As of :func:`fastconv.load`.
    progress
        Accepted for PyTorch's sake.
    check_hash : bool
        Compare the file's SHA-256 with the eight or more digits after the name's last hyphen.
    file_name : str, optional
        The file's name, where it is not the URL's.

    Returns
    -------
    object
        What the file holds.

    Raises
    ------
    FileNotFoundError
        If it is not there: the message says which file to put where.
    ValueError
        If its hash differs, or it is not one that :func:`fastconv.load` reads.
    """
    from .serialization import load as read

    folder = Path(model_dir) if model_dir is not None else Path(get_dir()) / "checkpoints"
    name = file_name or os.path.basename(urlparse(url).path)
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(
            f"fastconv downloads nothing: fetch {url} yourself, and put it at {path}, in a format "
            "that fastconv.load reads"
        )
    if check_hash:
        _check_hash(path, name)
    return read(path, map_location, weights_only=weights_only)


def _check_hash(path: Path, name: str) -> None:
    import hashlib
    import re

    wanted = re.search(r"-([a-f0-9]{8,})\.", name)
    if wanted is None:
        return
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(wanted[1]):
        raise ValueError(f"{path}: its SHA-256 begins with {digest[:8]}, expected {wanted[1]}")


def _refuse(function: str) -> NoReturn:
    raise RuntimeError(
        f"hub.{function}: fastconv downloads nothing and runs no code of others: copy the model's "
        "file into your project and import its class, or use fastconv.models"
    )


def load(repo_or_dir: str, model: str, *args: Any, **kwargs: Any) -> Any:
    """Raise RuntimeError: nothing is downloaded."""
    _refuse("load")


def list(github: str, *args: Any, **kwargs: Any) -> Any:
    """Raise RuntimeError: nothing is downloaded."""
    _refuse("list")


def help(github: str, model: str, *args: Any, **kwargs: Any) -> Any:
    """Raise RuntimeError: nothing is downloaded."""
    _refuse("help")


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
