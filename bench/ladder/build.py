"""Build what is out of date among the C rungs, by ``setup.py`` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.ladder.rung import BUILD, RUNGS

__all__ = ["build", "stale"]

FOLDER = BUILD.parent


def stale() -> list[str]:
    """Names of the C files that are newer than their extension, or have none."""
    shared = [*RUNGS.glob("*.h"), FOLDER / "setup.py"]
    newest = max(path.stat().st_mtime for path in shared)
    found = []
    for source in [FOLDER / "machine.c", *sorted(RUNGS.glob("[0-9]*.c"))]:
        built = [path.stat().st_mtime for path in BUILD.glob(f"ladder_{source.stem}.*.so")]
        if not built or max(built) < max(newest, source.stat().st_mtime):
            found.append(source.name)
    return found


def build() -> str:
    """Build them; a file that does not compile is left out and stops no other.

    Returns
    -------
    str
        What the compiler had to say, empty if nothing was built or all is well.
    """
    if not stale():
        return ""
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", BUILD.name,
         "--build-temp", f"{BUILD.name}/objects", "--parallel", str(os.cpu_count() or 1)],
        cwd=FOLDER, capture_output=True, text=True,
    )  # fmt: skip
    left = stale()
    for name in left:  # one that no longer compiles must not run as it was
        for path in BUILD.glob(f"ladder_{Path(name).stem}.*.so"):
            path.unlink()
    return done.stderr.strip() if left else ""
