"""Automatic mixed precision under PyTorch's names, without effect: kernels are float32 and float64.

A loop with `autocast` and `GradScaler` runs, in the types of its tensors.
"""

from .autocast_mode import (
    autocast,
    custom_bwd,
    custom_fwd,
    is_autocast_available,
    is_autocast_enabled,
)
from .grad_scaler import GradScaler

__all__ = [
    "GradScaler",
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "is_autocast_available",
    "is_autocast_enabled",
]
