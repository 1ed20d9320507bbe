"""PyTorch's settings of oneDNN: they may be set, and have no effect. The kernels here are ours."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

enabled = True
deterministic = True
allow_tf32 = False
fp32_precision = "none"


def is_available() -> bool:
    """False: the kernels are fastconv's own."""
    return False


def set_flags(*settings: Any) -> tuple[bool]:
    """Do nothing."""
    return (enabled,)


def flags(*settings: Any, **named: Any) -> AbstractContextManager[None]:
    """A context manager that does nothing."""
    return nullcontext()
