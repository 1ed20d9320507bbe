"""Whether Intel's MKL computes: no."""

from __future__ import annotations


def is_available() -> bool:
    """False: the kernels are fastconv's own."""
    return False
