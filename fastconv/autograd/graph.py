"""Nodes of the graph, under PyTorch's path."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from . import Op as Node

__all__ = ["Node", "save_on_cpu"]


def save_on_cpu(
    pin_memory: bool = False, device_type: str = "cuda"
) -> AbstractContextManager[None]:
    """A context manager that does nothing: what is saved is on the CPU."""
    return nullcontext()


def __getattr__(name: str) -> Any:
    if name == "saved_tensors_hooks":
        raise AttributeError(
            "fastconv has no autograd.graph.saved_tensors_hooks: nodes save arrays; to save "
            "memory use utils.checkpoint"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
