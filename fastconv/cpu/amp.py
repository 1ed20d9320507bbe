"""`fastconv.amp` with the signatures that the CPU's has."""

from __future__ import annotations

from typing import Any

from .. import amp
from ..amp import GradScaler

__all__ = ["GradScaler", "autocast"]


class autocast(amp.autocast):
    """Automatic mixed precision, without effect: see :class:`fastconv.amp.autocast`."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cpu", dtype, enabled, cache_enabled)
