"""PyTorch's tracing of bytecode by name: nothing is traced here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .compiler import allow_in_graph, disable, is_compiling, reset

__all__ = ["allow_in_graph", "config", "disable", "graph_break", "is_compiling", "reset"]

#: Settings may be set; they have no effect.
config: Any = SimpleNamespace(suppress_errors=False, verbose=False, cache_size_limit=8)


def graph_break(msg: str = "") -> None:
    """Do nothing."""


def mark_dynamic(t: Any, index: Any, **limits: Any) -> None:
    """Do nothing."""
