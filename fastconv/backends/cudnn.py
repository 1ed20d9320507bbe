"""PyTorch's settings of NVIDIA's kernels: they may be set, and have no effect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

enabled = True
benchmark = False
benchmark_limit = 10
deterministic = False
allow_tf32 = True
fp32_precision = "none"
fastest = False
verbose = False


def is_available() -> bool:
    """False: fastconv computes on the CPU only."""
    return False


def version() -> int | None:
    """None: it is not there."""
    return None


def is_acceptable(tensor: Any) -> bool:
    """False."""
    return False


@contextmanager
def flags(**settings: Any) -> Iterator[None]:
    """Have settings for a ``with`` block; no effect."""
    own = globals()
    before = {name: own[name] for name in settings if name in own}
    own.update(settings)
    try:
        yield
    finally:
        own.update(before)
