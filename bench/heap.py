"""What the C library does with freed memory: PyTorch's fresh outputs depend on it.

PyTorch asks malloc for every output. glibc maps large blocks one by one and raises the size from
which it does so when such a block is freed (up to 32 MiB); beyond, and wherever it gives the top of
its heap back, the next call pays a page fault for every 4 KiB that it writes. How often depends on
what the process did before, so the state can be set here for a comparison that says which it is.
"""

from __future__ import annotations

import ctypes
import os

__all__ = ["HEAPS", "set_heap"]

# fastconv tells the C library to keep its heap when its kernels are loaded. PyTorch alone does not:
# a comparison in one process leaves the heap as PyTorch's users have it.
os.environ.setdefault("FASTCONV_HEAP", "0")

# <malloc.h>
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4

#: 'system': as glibc has it. 'fresh': every block above 128 KiB is mapped anew, as in a process
#: whose sizes change all the time. 'kept': nothing is ever given back, so no page faults twice.
HEAPS: dict[str, tuple[tuple[int, int], ...]] = {
    "system": (),
    "fresh": ((_MMAP_THRESHOLD, 1 << 17), (_TRIM_THRESHOLD, 1 << 17)),
    "kept": ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, (1 << 31) - 1)),
}


def set_heap(name: str) -> None:
    """Set how this process' malloc treats large blocks from now on.

    Parameters
    ----------
    name : str
        A key of :data:`HEAPS`.

    Raises
    ------
    RuntimeError
        If the C library has no such setting.
    """
    for parameter, value in HEAPS[name]:
        try:
            done = ctypes.CDLL(None).mallopt(parameter, value)
        except (AttributeError, OSError):
            done = 0
        if not done:
            raise RuntimeError(f"this C library cannot be told to keep a {name!r} heap")
