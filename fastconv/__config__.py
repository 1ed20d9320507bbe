"""How this build was made, under PyTorch's names."""

from __future__ import annotations


def show() -> str:
    """What :func:`fastconv.info` says."""
    from .sysinfo import info

    return str(info())


def parallel_info() -> str:
    """How many threads compute."""
    from .config import get_num_threads

    return f"fastconv threads: {get_num_threads()}"
