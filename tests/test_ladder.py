"""The ladder: every rung right, a wrong one caught, a new one picked up, the page in step."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.ladder import __main__ as ladder
from bench.ladder import build, disassembly, measure, page, tables
from bench.ladder.rung import DIRECTIONS, RUNGS, Layer, Machine, Rung, discover, load
from bench.ladder.verify import SMALL, exact, operands, verify
from fastconv import backends

ROOT = Path(__file__).resolve().parent.parent
NAMES = [path.stem for path in sorted(RUNGS.glob("[0-9]*.py"))]
TINY = Layer(3, 20, 13, 5)
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
needs_c = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C extension")


@pytest.fixture(scope="module")
def built() -> None:
    """The C rungs, compiled if they are not."""
    pytest.importorskip("cffi")
    pytest.importorskip("setuptools")
    assert build.build() == ""
    assert build.stale() == []


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    """The committed run."""
    found: dict[str, Any] = json.loads((ROOT / "docs" / ladder.JSON).read_text(encoding="utf-8"))
    return found


# ---------------------------------------------------------------- rungs


@needs_compiler
@pytest.mark.parametrize("name", NAMES)
def test_a_rung_computes_the_convolution(name: str, built: None) -> None:
    rung = load(RUNGS / f"{name}.py")
    if rung.reason is not None and "numba" in rung.reason:
        pytest.skip(rung.reason)
    if "engine" in name and backends.why_not("c"):
        pytest.skip("needs the C extension")
    assert rung.reason is None
    for layer in (*SMALL, TINY):
        for threads in (1, 3) if rung.threaded else (1,):
            assert verify(rung, layer, threads) is None


@needs_compiler
def test_results_do_not_depend_on_the_number_of_threads(built: None) -> None:
    layer = Layer(20, 33, 9, 14)
    for name in ("11_threads", "13_fused_winograd", "32_weight_gemm", "33_weight_winograd"):
        rung = load(RUNGS / f"{name}.py")
        results = []
        for threads in (1, 2, 3):
            made = operands(rung, layer, integers=False)
            rung.conv(layer, made.a, made.b, made.out, threads)
            results.append(made.out.copy())
        assert (results[0] == results[1]).all() and (results[0] == results[2]).all()


def test_every_c_file_has_its_rung() -> None:
    assert {path.stem for path in RUNGS.glob("[0-9]*.c")} <= set(NAMES)


def test_files_are_short() -> None:
    for path in RUNGS.iterdir():
        if path.suffix in (".py", ".c"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 90, path.name


GOOD = '''"""Shifted: nine shifted products.

Text.
"""


def conv(layer, x, w, y, threads):
    C, K, H, W = layer
    y[:] = 0
    for r in range(3):
        for s in range(3):
            y += (w[:, :, r, s] @ x[:, r : r + H, s : s + W].reshape(C, -1)).reshape(K, H, W)
'''


def dropped(folder: Path, text: str, name: str = "99_dropped") -> Rung:
    """A rung as someone would drop it into the folder."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    (found,) = discover(folder)
    return found


def test_a_dropped_rung_is_picked_up_verified_and_timed(tmp_path: Path) -> None:
    rung = dropped(tmp_path, GOOD)
    assert rung.title == "Shifted: nine shifted products" and rung.direction == "forward"
    assert ladder.wrong_with(rung, [TINY], 1) is None
    assert ladder.check([rung], [TINY], 1) == [rung]
    assert rung.limits(TINY, Machine(2.0, 1, 1, 1, 1)) == {"FMA peak": TINY.products}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("y += (w", "y -= (w"), "an error of"),
        (("y[:] = 0", "y[:, 1:] = 0"), "were not written"),
        (("range(3)", "range(2)"), "an error of"),
        (("conv(layer", "convolve(layer"), "no function conv"),
        (("C, K, H, W = layer", "raise RuntimeError('lost')"), "RuntimeError: lost"),
        (('"""Shifted', 'DIRECTION = "up"\n"""Shifted'), "DIRECTION must be one of"),
        (("def conv", "import no_such_module\n\n\ndef conv"), "no_such_module"),
    ],
)
def test_a_wrong_rung_is_left_out(
    change: tuple[str, str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rung = dropped(tmp_path, GOOD.replace(*change))
    assert ladder.check([rung], [TINY], 1) == []
    assert reason in capsys.readouterr().err


def test_writing_beside_the_result_is_noticed() -> None:
    rung = load(RUNGS / "01_naive_python.py")
    made = operands(rung, TINY)
    assert made.guarded()
    made.around[-1] = 0
    assert not made.guarded()


def test_the_sum_in_float64_is_that_of_naive_loops() -> None:
    layer = Layer(2, 3, 4, 5)
    rng = np.random.default_rng(1)
    x, w, g = (rng.integers(-4, 5, shape) for shape in layer.shapes().values())
    y, dx, dw = (np.zeros(layer.shapes()[name]) for name in "yxw")
    for k, c, i, j, r, s in np.ndindex(3, 2, 4, 5, 3, 3):
        y[k, i, j] += x[c, i + r, j + s] * w[k, c, r, s]
        dx[c, i + r, j + s] += g[k, i, j] * w[k, c, r, s]
        dw[k, c, r, s] += g[k, i, j] * x[c, i + r, j + s]
    assert (exact("forward", layer, x, w) == y).all()
    assert (exact("backward input", layer, g, w) == dx).all()
    assert (exact("backward weight", layer, g, x) == dw).all()


# ---------------------------------------------------------------- the command


@needs_compiler
@needs_c
def test_the_command(
    built: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(ROOT)
    json_file = tmp_path / "run.json"
    command = ["--shape", "5,7,6,9", "--rungs", "07,13,32", "--seconds", "0.001", "--passes", "1"]
    assert ladder.main([*command, "--json", str(json_file), "--draw", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "13 fused winograd" in out and "31 weight naive" in out and "GFLOP/s" in out
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "ladder-bars.png", "ladder-roofline.png",
    }  # fmt: skip
    runs, able = measure.read(json.loads(json_file.read_text(encoding="utf-8")))
    assert runs[0].layer == Layer(5, 7, 6, 9) and able[1].peak > 1e9
    assert ladder.main(["--load", str(json_file)]) == 0
    assert capsys.readouterr().out == out


def test_bad_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ladder.main(["--shape", "1,2,3"])
    assert "four positive sizes C,K,H,W" in capsys.readouterr().err
    with pytest.raises(ladder.CommandError, match="none begins with '77'"):
        ladder.choose(discover(), "77")


LOOP = """
    1000:	vmovups (%rax),%zmm1
    1010:	vmovups 0x40(%rax),%zmm1
    1020:	vbroadcastss (%rcx),%zmm2
    1030:	vfmadd231ps (%rax),%zmm1,%zmm3
    1040:	vfmadd231ps %zmm2,%zmm1,%zmm4
    1050:	vmovups %zmm5,0x20(%rsp)
    1060:	jne    1010 <conv+0x10>
    1070:	jmp    1000 <conv>
    1080:	jne    1000 <conv>
"""


def test_the_inner_loop_is_found_and_counted() -> None:
    (loop,) = disassembly.loops(LOOP)
    assert len(loop) == 6 and loop[0].startswith("vmovups 0x40")
    assert disassembly.summary(loop) == {
        "instructions": 6, "fma": 2, "products": 32, "broadcasts": 1, "loads": 2, "stores": 1,
        "spills": 1,
    }  # fmt: skip


@needs_compiler
@pytest.mark.parametrize("number", ["07", "08", "09", "10", "13", "32"])
def test_tiles_stay_in_registers(number: str, built: None) -> None:
    (name,) = (name for name in NAMES if name.startswith(number))
    loop = disassembly.inner_loop(name)
    if loop is None:
        pytest.skip("needs objdump and x86-64")
    found = disassembly.summary(loop)
    assert found["spills"] == 0 and found["stores"] == 0
    assert found["fma"] > found["instructions"] / 2


# ---------------------------------------------------------------- the page


def test_the_page_is_what_text_files_and_run_make_of_it(data: dict[str, Any]) -> None:
    made = (ROOT / "docs" / ladder.PAGE).read_text(encoding="utf-8")
    assert made == page.render(data), "run: python -m bench.ladder --load --draw --docs"


def test_the_run_has_every_rung(data: dict[str, Any]) -> None:
    runs, able = measure.read(data)
    assert tuple(run.layer for run in runs) == ladder.LAYERS
    assert [result.name for result in runs[0].results] == NAMES
    assert set(able) == {1, runs[0].threads}
    for run in runs:
        for direction in DIRECTIONS:
            _, rows = tables.ladder_table(run, direction, able)
            for row, result in zip(rows, run.of(direction)):
                assert float(row[3].replace(",", "")) == pytest.approx(
                    run.layer.flops / result.seconds / 1e9, rel=0.05
                )


def test_the_page_shows_every_rung() -> None:
    text = page.TEMPLATE.read_text(encoding="utf-8")
    for name in NAMES:
        number, _, _ = name.partition("_")
        shown = f"{{{{code {name}" in text or f"{{{{figures {number}" in text
        assert shown or name in ("23_input_winograd", "24_input_engine", "34_weight_engine"), name


def test_the_text_has_no_measured_figures_of_its_own() -> None:
    text = page.FIELD.sub("", page.TEMPLATE.read_text(encoding="utf-8"))
    assert re.findall(r"\d ?(?:GFLOP/s|GB/s|GHz|MB|ms|µs|%)|\d×(?!\d)", text) == []


def test_the_page_asks_for_what_there_is(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no rung 98"):
        page.render(data, "{{98 ms}}")
    with pytest.raises(KeyError):
        page.render(data, "{{no_such_field}}")
