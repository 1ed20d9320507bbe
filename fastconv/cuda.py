"""PyTorch's name for what is not here: fastconv computes on the CPU only."""

from __future__ import annotations


def is_available() -> bool:
    """False: there is no CUDA device."""
    return False


def device_count() -> int:
    """0: there is no CUDA device."""
    return 0


def manual_seed(seed: int) -> None:
    """Do nothing: there is no CUDA generator to seed."""


def manual_seed_all(seed: int) -> None:
    """Do nothing: there is no CUDA generator to seed."""


def empty_cache() -> None:
    """Do nothing: there is no CUDA memory."""


def synchronize(device: object = None) -> None:
    """Do nothing: there is no CUDA device to wait for."""
