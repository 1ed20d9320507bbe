"""What is printed: one form for numbers, no bars in files, a word where a share is above 100 %."""

from __future__ import annotations

import ast
import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import running
from fastconv.cli import bench, measure
from fastconv.text import count, grouped
from fastconv.train import Fit, ProgressBar

ROOT = Path(__file__).parents[1]


def test_numbers() -> None:
    assert grouped(23802) == "23\u202f802" and grouped(7177.4) == "7\u202f177"
    assert grouped(1234.56, 1) == "1\u202f234.6" and grouped(999) == "999"
    assert [count(n, "thread") for n in (0, 1, 2)] == ["0 threads", "1 thread", "2 threads"]


def test_nobody_groups_by_commas() -> None:
    """Format specifications with a comma are in fastconv/text.py alone."""
    found = []
    for file in [*ROOT.glob("fastconv/**/*.py"), *ROOT.glob("bench/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            spec = node.format_spec if isinstance(node, ast.FormattedValue) else None
            if spec is not None and re.match(r"f'[^{]*,", ast.unparse(spec)):
                found.append(file.name)
    assert found == ["text.py"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_bars_are_for_terminals(stream: Any, monkeypatch: Any, capsys: Any) -> None:
    pytest.importorskip("tqdm")
    errors = stream()
    monkeypatch.setattr(sys, "stderr", errors)
    fit, bar = Fit(None, None, None, 1), ProgressBar()
    fit.batches = 2
    bar.on_fit_begin(fit)
    fit.epoch = 1
    for _ in range(2):
        bar.on_batch_end(fit, {"loss": 0.5, "auc": float("nan")})
    fit.row = {"epoch": 1, "loss": 0.5, "accuracy": 0.75, "lr": 0.1, "seconds": 1.0}
    bar.on_epoch_end(fit)
    bar.on_fit_end(fit)
    with running.progress(3) as other:
        other.set_postfix_str("1 × layer", refresh=True)
        other.update()
    assert ("\r" in errors.getvalue()) == (stream is Terminal)
    assert "nan" not in errors.getvalue()
    if stream is not Terminal:
        assert errors.getvalue() == ""
        assert "epoch 1/1" in capsys.readouterr().out


@pytest.mark.parametrize("share", [2.05, 0.5, None])
def test_bench_says_why_more_than_the_peak(share: float | None, capsys: Any, tmp_path: Any) -> None:
    values: dict[str, Any] = dict.fromkeys(measure.Cell._fields, "")
    values.update(gflops=400.0, of_peak=share, estimated=False)
    page = tmp_path / "page.md"
    page.write_text(f"{bench.BEGIN}\n{bench.END}\n")

    class Arguments:
        dtype, mark, markdown = "float32", "bench", page

    bench.deliver(Arguments(), [measure.Cell(**values)], 200.0)  # type: ignore[arg-type]
    for text in (capsys.readouterr().out, page.read_text()):
        assert ("More than 100 %" in text) == (share == 2.05)
