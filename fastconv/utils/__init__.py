"""Under PyTorch's names: `utils.data` is `fastconv.data`; `utils.checkpoint` saves memory."""

from __future__ import annotations

from typing import Any

from . import checkpoint, data

__all__ = ["checkpoint", "data", "model_zoo", "tensorboard"]


def __getattr__(name: str) -> Any:
    if name in ("model_zoo", "tensorboard"):
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    from ..absent import missing

    raise missing(__name__, name)
