"""The examples run with their short setting and draw their picture."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("[!_]*.py"))
DATA = Path(os.environ.get("FASTCONV_DATA", ROOT.parent / "shared" / "data"))


def run(example: Path, *arguments: str) -> str:
    """Standard output of an example, run as a user runs it."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, str(example), "--short", *arguments],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_and_draws(example: Path, tmp_path: Path) -> None:
    said = run(example, "--data", str(DATA), "--out", str(tmp_path))
    if said.startswith("skipped: "):
        pytest.skip(said.strip())
    assert re.search(r"^epoch 1/\d", said, re.MULTILINE)  # progress
    picture = tmp_path / f"{example.stem}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"picture: {picture}" in said


def test_example_without_data_says_what_it_needs(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    said = run(ROOT / "examples" / "mnist_lenet.py", "--data", str(tmp_path))
    assert said.startswith(f"skipped: there is no {tmp_path / 'mnist'}: it must hold MNIST's")


def test_every_example_is_in_the_table() -> None:
    table = (ROOT / "docs" / "examples.md").read_text()
    for example in EXAMPLES:
        assert f"examples/{example.name}" in table
        lines = example.read_text().splitlines()
        assert len(lines) <= 120, f"{example.name}: an example is short enough to be read at once"
