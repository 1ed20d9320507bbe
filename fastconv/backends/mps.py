"""Whether Apple's GPU can be used: no."""

from __future__ import annotations


def is_available() -> bool:
    """False: fastconv computes on the CPU only."""
    return False


def is_built() -> bool:
    """False."""
    return False
