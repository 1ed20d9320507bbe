"""PyTorch's symbolic tracer by name: nothing is traced here."""

from __future__ import annotations

from typing import Any

from .absent import missing


def wrap(fn_or_name: Any) -> Any:
    """Give the function, or its name, back."""
    return fn_or_name


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
