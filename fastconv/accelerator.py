"""PyTorch's name for the device beside the CPU: there is none."""

from __future__ import annotations

from typing import Any, NoReturn


def is_available() -> bool:
    """False: fastconv computes on the CPU only."""
    return False


def current_accelerator(check_available: bool = False) -> None:
    """None: there is no accelerator."""


def device_count() -> int:
    """0."""
    return 0


def synchronize(device: Any = None) -> None:
    """Do nothing: results are there when a function returns."""


def empty_cache() -> None:
    """Do nothing: there is no such memory."""


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(
        f"accelerator.{name}: there is no accelerator: fastconv computes on the CPU only"
    )


def current_device_index() -> int:
    """Raise RuntimeError: there is no accelerator."""
    _refuse("current_device_index")


def set_device_index(device: Any) -> None:
    """Raise RuntimeError: there is no accelerator."""
    _refuse("set_device_index")


def current_device_idx() -> int:
    """Raise RuntimeError: there is no accelerator."""
    _refuse("current_device_idx")


def set_device_idx(device: Any) -> None:
    """Raise RuntimeError: there is no accelerator."""
    _refuse("set_device_idx")
