"""``fastconv info``: what this machine and this build have."""

from __future__ import annotations

import argparse
from typing import Any

from fastconv.cli.arguments import new_command
from fastconv.sysinfo import info


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = new_command(
        commands, "info", "show CPU, instruction set, threads, compiler and backends", run
    )
    parser.epilog = "example: fastconv info"


def run(arguments: argparse.Namespace) -> int:
    """Print what :func:`fastconv.info` says."""
    print(info())
    return 0


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    facts = info()
    isa = f" ({facts['isa']})" if facts["backend"] == "c" else ""
    return {
        "fastconv": facts["fastconv"],
        "backend": facts["backend"] + isa,
        "threads": str(facts["threads"]),
        "processor": facts["cpu"],
        "Python": f"{facts['python']}, NumPy {facts['numpy']}",
    }
