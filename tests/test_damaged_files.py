"""A part of `python -m bench.fuzz_files`: damaged and crafted files of every format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_a_sample_of_damaged_files() -> None:
    """Each is read or refused, in bounded time and memory; nothing is run, opened or imported."""
    made = subprocess.run(
        [sys.executable, "-m", "bench.fuzz_files", "--count", "600", "--seed", "11"],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-2000:]
    assert "600 files, 0 failed" in made.stdout


@pytest.mark.parametrize(
    "what", ["os.system('')", "open(os.devnull)", "exec('1')", "__import__('wave')"]
)
def test_the_sample_would_notice(what: str) -> None:
    """With a reader that does what it must not."""
    program = (
        "import os\nimport fastconv as fc\nfrom bench import fuzz_files as f\n"
        f"f.listen()\nf.fc.load = lambda stream: {what}\nprint(f.read(b''))"
    )
    made = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert made.stdout.startswith("('failed', 'did "), made.stdout
