"""The version, and PyTorch's names about it."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["Version", "__version__", "cuda", "debug", "git_version", "hip", "xpu"]


class Version(str):
    """A version as a string; compared with strings and tuples number by number, 1.10 after 1.9."""

    __slots__ = ()

    def _pair(self, other: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Both as numbers, of equal length; None where `other` is no version."""
        if isinstance(other, str):
            found = re.match(r"v?(\d+(?:\.\d+)*)", other)
            if found is None:
                return None
            there = tuple(map(int, found[1].split(".")))
        elif isinstance(other, tuple) and all(str(part).isdigit() for part in other):
            there = tuple(map(int, other))
        else:
            return None
        here = tuple(map(int, re.findall(r"\d+", self)[:3]))
        length = max(len(here), len(there))
        pad = (0,) * length
        return (here + pad)[:length], (there + pad)[:length]

    def __lt__(self, other: Any) -> bool:
        pair = self._pair(other)
        return NotImplemented if pair is None else pair[0] < pair[1]

    def __le__(self, other: Any) -> bool:
        pair = self._pair(other)
        return NotImplemented if pair is None else pair[0] <= pair[1]

    def __gt__(self, other: Any) -> bool:
        pair = self._pair(other)
        return NotImplemented if pair is None else pair[0] > pair[1]

    def __ge__(self, other: Any) -> bool:
        pair = self._pair(other)
        return NotImplemented if pair is None else pair[0] >= pair[1]


__version__ = Version("0.1.0")
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
git_version = "unknown"
debug = False
