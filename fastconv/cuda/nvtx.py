"""Marks for NVIDIA's profiler, which do nothing: see `fastconv.profile`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext


def range_push(msg: str) -> int:
    """Do nothing."""
    return 0


def range_pop() -> int:
    """Do nothing."""
    return 0


def mark(msg: str) -> None:
    """Do nothing."""


def range(msg: str) -> AbstractContextManager[None]:
    """A context manager that does nothing."""
    return nullcontext()
