"""Warnings that are given once in a process."""

from __future__ import annotations

import warnings

_said: set[str] = set()


def say_once(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn with `text`, the first time only."""
    if text not in _said:
        _said.add(text)
        warnings.warn(text, category, stacklevel=3)
