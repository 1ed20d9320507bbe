"""How numbers are written: one form for all that is printed and drawn."""

from __future__ import annotations

__all__ = ["count", "grouped"]

#: Between groups of three digits: narrow, and no place to break a line.
SPACE = "\u202f"


def grouped(value: float, digits: int = 0) -> str:
    """A number with its thousands apart: 23 802, 1 234.5."""
    return f"{value:,.{digits}f}".replace(",", SPACE)


def count(n: int, what: str) -> str:
    """So many of a thing: 1 thread, 2 threads."""
    return f"{grouped(n)} {what}{'' if n == 1 else 's'}"
