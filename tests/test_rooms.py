"""What may import what: the table of ARCHITECTURE.md, for the rooms a call passes through."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fastconv"

#: Room: the rooms it may import when it is itself imported.
ALLOWED = {
    "_locks": set(),
    "caches": {"_locks"},
    "spec": {"caches"},
    "config": set(),
    "memory": set(),
    "backends": {"_locks", "caches", "spec", "config", "memory", "packed"},
    "planner": {"_locks", "backends", "config", "files", "memory", "spec"},
    "ops": {"caches", "planner", "memory", "spec"},
    "_later": set(),
    "_changes": {"_later", "_locks"},
    "packed": set(),
    "_backward": {"_engine", "autograd"},
    "autograd": {
        "_backward",
        "_changes",
        "_function",
        "_grad_mode",
        "_inplace",
        "_later",
        "_variable",
        "_watch",
        "profiler",
    },
    "_variable": {"autograd"},
    "_engine": {"autograd", "_grad_mode", "_hooks", "_locks", "_watch", "memory", "ops"},
    "_function": {"autograd", "_grad_mode", "_hooks"},
    "_inplace": {"autograd", "_hooks"},
    "_hooks": set(),
    "_decorate": set(),
    "functions": {
        "autograd",
        "_changes",
        "_grad_mode",
        "_inplace",
        "_later",
        "_watch",
        "caches",
        "config",
        "dtypes",
        "ops",
        "packed",
        "spec",
    },
}


def imported(file: Path) -> set[str]:
    """Rooms that a file imports at its top level."""
    folders = file.relative_to(PACKAGE).parts[:-1]
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        path = node.module.split(".") if node.module else []
        if node.level:
            path = [*folders[: len(folders) - node.level + 1], *path]
        elif path[0] == "fastconv":
            path = path[1:]
        else:
            continue
        found |= {path[0]} if path else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_imports(room: str) -> None:
    files = [PACKAGE / f"{room}.py"]
    if not files[0].exists():
        files = list((PACKAGE / room).rglob("*.py"))
    assert files
    for file in files:
        extra = imported(file) - ALLOWED[room] - {room, "_fastconv"}
        assert not extra, f"{file.relative_to(PACKAGE)} imports {sorted(extra)}"
