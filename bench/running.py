"""What the commands of ``bench.peers`` share: the facts of a run, and a bar of progress."""

from __future__ import annotations

import datetime
import shlex
import sys
from typing import Any

from fastconv import backends
from fastconv.cli.arguments import CommandError
from fastconv.sysinfo import info
from fastconv.text import count

__all__ = [
    "both_sides", "command", "facts_of_run", "headline", "made_with", "progress", "threads_title"
]  # fmt: skip


def both_sides() -> Any:
    """PyTorch, if it and our C extension are here.

    Raises
    ------
    CommandError
        If one of them is missing.
    """
    reason = backends.why_not("c")
    if reason:
        raise CommandError(f"the C extension cannot be used: {reason}")
    try:
        import torch
    except ModuleNotFoundError:
        raise CommandError("PyTorch is not installed here; 'make peers' installs it") from None
    return torch


def command() -> str:
    """The command line that is running."""
    return shlex.join(["python", "-m", "bench.peers", *sys.argv[1:]])


def facts_of_run(torch: Any) -> dict[str, Any]:
    """When and where this runs."""
    machine = info()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command(),
        "machine": {key: machine[key] for key in ("cpu", "machine", "cpus", "isas")},
        "versions": {
            **{key: machine[key] for key in ("fastconv", "compiler", "python", "numpy")},
            "torch": torch.__version__,
        },
    }


def _versions(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in facts["versions"].items())


def headline(facts: dict[str, Any]) -> str:
    """When and where a run was made, for a terminal."""
    return f"{facts['date']}, {facts['machine']['cpu']}; {_versions(facts)}"


def made_with(facts: dict[str, Any]) -> str:
    """The same with the command, for a page."""
    return (
        f"Made with `{facts['command']}` on {facts['machine']['cpu']} "
        f"({facts['machine']['cpus']} cores), {facts['date']}; {_versions(facts)}."
    )


def threads_title(threads: int) -> str:
    """'1 thread', '2 threads'."""
    return count(threads, "thread")


class _NoBar:
    """Stands in for tqdm where it is missing, or nobody would see it."""

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self) -> None:
        """Do nothing."""

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """Do nothing."""


def progress(total: int) -> Any:
    """A bar of `total` runs, as a context manager."""
    if not sys.stderr.isatty():
        return _NoBar()
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return _NoBar()
    return tqdm(total=total, unit="run", dynamic_ncols=True, mininterval=0.2)
