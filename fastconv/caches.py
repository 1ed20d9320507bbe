"""What is kept of geometries from one call to the next, bounded in bytes, all of it together.

A specification and what planner and backends derive from it are small, but for tables with a row
per output: the windows of a pooling, the matrix of a resampling. Whoever makes such a table says
how large it is (:func:`count`). Where the sum would pass the bound (``FASTCONV_TABLES_MB``, 64),
everything kept is let go of, and made again when it is next asked for. A call that finds what it
needs pays nothing for this.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar

from fastconv._locks import make_lock

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _limit() -> int:
    text = os.environ.get("FASTCONV_TABLES_MB") or "64"
    if not text.isdecimal():
        raise ValueError(f"FASTCONV_TABLES_MB must be a number of megabytes, got {text!r}")
    return int(text) << 20


limit = _limit()
_lock = make_lock()
_clears: list[Callable[[], Any]] = []
_bytes = 0


def forgets(clear: Callable[[], Any]) -> None:
    """Let `clear` be called when everything kept is to be let go of."""
    _clears.append(clear)


def cached(entries: int) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """``functools.lru_cache``, which is let go of with everything else."""

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        kept = lru_cache(entries)(function)
        forgets(kept.cache_clear)
        return kept  # type: ignore[return-value]

    return decorate


def count(*tables: Any) -> None:
    """Add new tables (ndarrays) that are about to be kept, and make room for them."""
    global _bytes
    nbytes = sum([table.nbytes for table in tables])
    with _lock:
        _bytes += nbytes
        full = _bytes > limit
        if full:
            _bytes = nbytes
    if full:
        _clear()


def total() -> int:
    """Bytes of the tables that are kept, at most."""
    return _bytes


def clear() -> None:
    """Let go of everything kept."""
    global _bytes
    with _lock:
        _bytes = 0
    _clear()


def _clear() -> None:
    for clear in _clears:
        clear()
