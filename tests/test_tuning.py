"""Measuring candidates: explain with times, autotune and its file."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import backends, config, ops, planner
from fastconv.cli import main
from fastconv.planner import tuning
from fastconv.spec import ConvSpec, conv_spec

pytestmark = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C extension")
OP = "conv_forward"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FASTCONV_CACHE_DIR", str(tmp_path))
    tuning.forget()
    yield tmp_path / "autotune.json"
    tuning.forget()


class Clock:
    """Stands for ``tuning.times``: says which algorithm is fastest, and counts its questions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fastest: str) -> None:
        self.fastest, self.asked = fastest, 0
        monkeypatch.setattr(tuning, "times", self)

    def __call__(self, op: str, spec: Any, candidates: Any, dtype: Any, **_: Any) -> list[float]:
        self.asked += 1
        return [1.0 if c.algorithm == self.fastest else 2.0 for c in candidates]


def fresh() -> ConvSpec:
    """A geometry with an empty cache, whose own choice is Winograd."""
    return ConvSpec(2, 1, 32, 32, 1, (1, 16, 16), (1, 16, 16), (1, 3, 3), pad=(0, 1, 1))


def chosen(spec: ConvSpec, dtype: Any = np.float32) -> str:
    return planner.choose(OP, spec, np.dtype(dtype)).algorithm


# ---------------------------------------------------------------- explain


def test_explain_measures(capsys: pytest.CaptureFixture[str]) -> None:
    with fastconv.backend("c"):
        text = fastconv.explain("conv1d", (1, 2, 9), (2, 2, 3), measure=True, dtype=np.float64)
    assert "measured: float64" in text and text.count(" ms* ") == 3
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    for line in lines:
        assert (" ms" in line) == ("declined" not in line and "not available" not in line), line
    large = ["--input", "1,16,40,40", "--weight", "16,16,3,3"]
    assert main(["explain", "conv2d", *large, "--measure", "--backend", "c"]) == 0
    text = capsys.readouterr().out
    assert text.count("not timed") == 3 and "c/gemm" in text and text.count(" ms* ") == 3
    with pytest.raises(TypeError, match="dtype must be float32 or float64, got int64"):
        fastconv.explain("conv1d", (1, 2, 9), (2, 2, 3), dtype=np.int64)


def test_explain_of_an_empty_batch() -> None:
    text = fastconv.explain("conv1d", (0, 2, 9), (2, 2, 3), measure=True)
    assert "ms*" in text


# ---------------------------------------------------------------- autotune


def test_off_unless_asked(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    clock = Clock(monkeypatch, "gemm")
    assert chosen(fresh()) == "winograd" and clock.asked == 0 and not cache.exists()
    with fastconv.autotune(False):
        assert not config.autotuning()
    with pytest.raises(TypeError, match="expected True or False, got 'yes'"):
        fastconv.autotune("yes")  # type: ignore[arg-type]


def test_the_fastest_is_remembered(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    clock = Clock(monkeypatch, "gemm")
    spec = fresh()
    assert chosen(spec) == "winograd"
    with fastconv.autotune():
        assert chosen(spec) == chosen(spec) == "gemm" and clock.asked == 1
        assert chosen(fresh()) == "gemm" and clock.asked == 1  # from memory
        with fastconv.algorithm("winograd"):
            assert chosen(spec) == "winograd"
        with fastconv.backend("naive"):
            assert planner.choose(OP, spec, np.dtype("f")).backend == "naive"
        assert "chosen: measured as the fastest" not in fastconv.planner.explanation.explain_spec(
            spec
        )
    assert chosen(spec) == "winograd"
    (where, kept), *rest = json.loads(cache.read_text())["winners"].items()
    assert not rest and list(kept.values()).count("gemm") == 3  # explain asked for the others
    assert fastconv.__version__ in where and "thread" in where
    tuning.forget()
    asked = clock.asked
    with fastconv.autotune():
        assert chosen(fresh()) == "gemm" and clock.asked == asked  # from the file


def test_each_condition_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, "gemm")
    spec, threads, c = fresh(), config.get_num_threads(), backends.load("c")
    isa = c.get_isa()
    try:
        with fastconv.autotune():
            chosen(spec)
            assert chosen(spec, np.float64) == "gemm" and clock.asked == 2
            fastconv.set_num_threads(threads + 1)
            clock.fastest = "winograd"
            assert chosen(spec) == "winograd" and clock.asked == 3
            fastconv.set_num_threads(threads)
            assert chosen(spec) == "gemm" and clock.asked == 3
            if isa != "generic":
                c.set_isa("generic")
                assert chosen(spec) == "winograd" and clock.asked == 4
    finally:
        c.set_isa(isa)
        fastconv.set_num_threads(threads)


def test_nothing_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, "gemm")
    with fastconv.autotune():
        with fastconv.algorithm("direct"):
            chosen(fresh())
        chosen(conv_spec((0, 4, 5, 5), (4, 4, 3, 3), name="autotune"))
    assert clock.asked == 0


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"\xff\xfe", b'{"format": "x"}', b"[" * 100_000,
     b'{"format": "fastconv autotune 1", "winners": {"a": {"b": 3}}}'],
)  # fmt: skip
def test_a_damaged_file_is_ignored(
    content: bytes, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    Clock(monkeypatch, "gemm")
    cache.write_bytes(content)
    with fastconv.autotune(), pytest.warns(RuntimeWarning, match=r"autotune file .* is ignored"):
        assert chosen(fresh()) == "gemm"
    assert json.loads(cache.read_text())["format"] == tuning.FORMAT
    assert list(cache.parent.iterdir()) == [cache]  # no temporary file is left


def test_an_unknown_winner_is_measured_again(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    clock = Clock(monkeypatch, "gemm")
    with fastconv.autotune():
        chosen(fresh())
        cache.write_text(cache.read_text().replace('"gemm"', '"sorcery"'))
        tuning.forget()
        assert chosen(fresh()) == "gemm" and clock.asked == 2


def test_an_unwritable_place_only_warns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Clock(monkeypatch, "gemm")
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTCONV_CACHE_DIR", str(tmp_path / "file" / "under"))
    with fastconv.autotune(), pytest.warns(RuntimeWarning, match="autotune"):
        assert chosen(fresh()) == "gemm"


def test_other_writers_and_bounds(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    Clock(monkeypatch, "gemm")
    monkeypatch.setattr(tuning, "MOST_ENTRIES", 3)
    with fastconv.autotune():
        chosen(fresh())
        content = json.loads(cache.read_text())
        content["winners"]["another machine"] = {"geometry": "gemm"}  # written meanwhile
        cache.write_text(json.dumps(content))
        for n in range(20, 25):
            chosen(conv_spec((1, 8, n, n), (8, 8, 3, 3), name="autotune"))
    winners = json.loads(cache.read_text())["winners"]
    assert winners.pop("another machine") == {"geometry": "gemm"}
    (kept,) = winners.values()
    assert len(kept) == 3 and any("24" in key for key in kept)


def test_times_are_real_and_results_right(cache: Path) -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-3, 4, s).astype(np.float32) for s in ((2, 16, 12, 12), (16, 16, 3, 3)))
    expected = ops.conv_forward(x, w, padding=1)
    found: list[Any] = []

    def call() -> None:
        with fastconv.backend("c"), fastconv.autotune():
            found.append(ops.conv_forward(x, w, padding=1))

    workers = [threading.Thread(target=call) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 3
    for result in found:
        np.testing.assert_allclose(result, expected, atol=1e-3)
    winners = json.loads(cache.read_text())["winners"]
    assert sum(len(kept) for kept in winners.values()) == 1


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for text, on in (("", False), ("0", False), ("1", True)):
        monkeypatch.setenv("FASTCONV_AUTOTUNE", text)
        assert config._initial("FASTCONV_AUTOTUNE", False) is on
    monkeypatch.setenv("FASTCONV_AUTOTUNE", "maybe")
    with pytest.raises(ValueError, match="FASTCONV_AUTOTUNE must be 0 or 1, got 'maybe'"):
        config._initial("FASTCONV_AUTOTUNE", False)
    monkeypatch.delenv("FASTCONV_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tuning.cache_file() == tmp_path / "fastconv" / "autotune.json"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert tuning.cache_file().is_absolute()
