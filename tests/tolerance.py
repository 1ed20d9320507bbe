"""A result compared with the exact one, within what ``fastconv.verify.tolerance`` allows."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.verify.tolerance import EXACT, GROWTH, allowed, error_of

__all__ = ["EXACT", "GROWTH", "allowed", "assert_close"]


def assert_close(
    actual: np.ndarray, expected: np.ndarray, dtype: Any, depth: int, algorithm: str, what: str = ""
) -> None:
    """Fail, with the error in units of the allowed one, where `actual` is too far off."""
    assert actual.shape == expected.shape, what
    if not actual.size:
        return
    error, limit = error_of(actual, expected), allowed(dtype, depth, algorithm, expected)
    assert error <= limit, f"{what}: error {error:.3g} is {error / limit:.3g} times what is allowed"
