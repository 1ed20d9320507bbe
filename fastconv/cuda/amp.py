"""`fastconv.amp` with the signatures that CUDA's has."""

from __future__ import annotations

from typing import Any

from .. import amp
from ..amp import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


class autocast(amp.autocast):
    """Automatic mixed precision, without effect: see :class:`fastconv.amp.autocast`."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


def custom_fwd(fwd: Any = None, *, cast_inputs: Any = None) -> Any:
    """Give the function back: nothing is cast."""
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def custom_bwd(bwd: Any) -> Any:
    """Give the function back: nothing is cast."""
    return bwd
