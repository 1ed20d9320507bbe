"""PyTorch's name for Apple's GPU: there is none."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """False: fastconv computes on the CPU only."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Do nothing: there is no such generator."""


def empty_cache() -> None:
    """Do nothing: there is no such memory."""


def synchronize(device: Any = None) -> None:
    """Do nothing: results are there when a function returns."""


def current_allocated_memory() -> int:
    """0."""
    return 0
