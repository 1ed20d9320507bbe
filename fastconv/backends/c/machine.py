"""The process and the machine: the buffer pool, the heap, instruction sets, measured limits."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fastconv.backends.c import library
from fastconv.backends.c.library import DTYPES, check_status, ffi, lib

ISA_NAMES = ("generic", "avx2", "avx512")

# ---------------------------------------------------------------- the buffer pool


def block(nbytes: int) -> Any:
    """Return a writable buffer of uninitialised memory that goes back to the pool by itself."""
    pointer = lib.fc_alloc(nbytes)
    if not pointer:
        raise MemoryError(f"cannot allocate {nbytes} bytes")
    return ffi.buffer(ffi.gc(pointer, lib.fc_free), nbytes)


def empty_cache() -> None:
    """Give the memory that waits in the pool back to the system."""
    lib.fc_empty_cache()


def memory_stats() -> dict[str, int]:
    """Bytes the pool has lent and keeps for later."""
    return {"in_use": lib.fc_memory_in_use(), "cached": lib.fc_memory_cached()}


def _limit_cache() -> None:
    text = os.environ.get("FASTCONV_CACHE_MB") or "1024"
    if not text.isdecimal() or int(text) >= 1 << 40:
        raise ValueError(f"FASTCONV_CACHE_MB must be a number of megabytes, got {text!r}")
    lib.fc_memory_limit(int(text) << 20)


_limit_cache()


def _keep_heap() -> None:
    # For the whole process, so those who set their heap themselves are left alone.
    text = os.environ.get("FASTCONV_HEAP", "")
    if text not in ("", "0", "1"):
        raise ValueError(f"FASTCONV_HEAP must be 0 or 1, got {text!r}")
    own = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
    if text == "1" or (not text and not any(name in os.environ for name in own)):
        lib.fc_keep_heap()


_keep_heap()

# ---------------------------------------------------------------- the machine


def isas() -> dict[str, bool]:
    """Instruction sets compiled in, weakest first, and whether this machine can run each."""
    count = lib.fc_isa_count()
    return {
        ffi.string(lib.fc_isa_name(i)).decode(): bool(lib.fc_isa_supported(i)) for i in range(count)
    }


def set_isa(name: str) -> None:
    """Use another instruction set from now on, in every thread.

    Raises
    ------
    ValueError
        If it is unknown, not compiled in, or this machine cannot run it.
    """
    known = isas()
    if name not in known or not known[name]:
        able = [n for n, supported in known.items() if supported]
        raise ValueError(f"set_isa(): expected one of {able}, got {name!r}")
    check_status(lib.fc_set_isa(list(known).index(name)), "set_isa")


def has_kernel(name: str) -> bool:
    """Whether a convolution kernel (``"conv_forward_gemm"``) is compiled in."""
    kernel = getattr(lib, f"FC_{name.upper()}", None)
    return kernel is not None and bool(lib.fc_conv_available(kernel, lib.FC_F32))


def fma_peak(dtype: Any = np.float32, seconds: float = 0.2) -> float:
    """FMA peak of one core in FLOP/s, measured now with the instruction set in use."""
    return lib.fc_fma_peak(DTYPES[np.dtype(dtype)], seconds)


def stream(nbytes: int = 1 << 26, seconds: float = 0.2, threads: int = 1) -> float:
    """Copy bandwidth in bytes/s (read plus write), measured now on blocks of `nbytes`."""
    return lib.fc_stream(nbytes, seconds, 1 if library.forked() else threads)


def compiler() -> str:
    """Name and version of the compiler that built the extension."""
    return ffi.string(lib.fc_compiler()).decode()


def has_openmp() -> bool:
    """Whether the extension was built with OpenMP: without it every call is serial."""
    return bool(lib.fc_openmp())


if os.environ.get("FASTCONV_ISA") not in (None, "", *ISA_NAMES):
    raise ValueError(f"FASTCONV_ISA must be one of {ISA_NAMES}, got {os.environ['FASTCONV_ISA']!r}")
