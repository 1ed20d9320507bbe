"""Locks that a fork leaves free in the child, whoever held them in the parent."""

from __future__ import annotations

import os
import threading
from typing import Any

_locks: list[Any] = []


def make_lock() -> threading.Lock:
    """A lock for as long as the process lives."""
    lock = threading.Lock()
    _locks.append(lock)
    return lock


def make_rlock() -> Any:
    """The same, for a thread that may take it again."""
    lock = threading.RLock()
    _locks.append(lock)
    return lock


def free(lock: Any) -> None:
    """Free a lock of the standard library in a forked child: its holder is not there."""
    lock._at_fork_reinit()  # what the standard library's own modules do


def _after_fork() -> None:
    for lock in _locks:
        free(lock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
