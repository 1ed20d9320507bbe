"""The ``fastconv`` command: what it prints, what it writes, how it fails."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import backends
from fastconv.cli import bench, checkpoint, demo, explain, main
from fastconv.cli.measure import Cell, estimate_naive, kernel_call
from fastconv.cli.table import markdown_table, text_table
from fastconv.cli.tasks import TASKS
from fastconv.shapes import LARGE, NETWORKS, select
from fastconv.spec import conv_spec
from tests.pictures import write_mnist

COMMANDS = (
    "demo", "train", "summary", "classify", "detect", "bench", "info", "explain", "verify",
    "convert",
)  # fmt: skip
needs_c = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C extension")


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fastconv", *arguments],
        capture_output=True, text=True, timeout=300, check=False, **options,
    )  # fmt: skip


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Standard error of a call that must end with exit code 2."""
    try:
        code = main(list(arguments))
    except SystemExit as stopped:
        code = stopped.code
    error = capsys.readouterr().err
    assert code == 2 and "usage: fastconv" in error
    return error


# ---------------------------------------------------------------- the command itself


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(f"    {command} " in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: fastconv {command}" in text
    assert re.search(rf"[Ee]xamples?: fastconv {command}\b", " ".join(text.split()))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"fastconv {fastconv.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["demo", "--epochs", "0"], "--epochs: must be at least 1"),
        (["demo", "--epochs", "two"], "--epochs: must be an integer, got 'two'"),
        (["demo", "--lr", "nan"], "--lr: must be a finite number above 0"),
        (["demo", "--seed", "-1"], "--seed: must not be negative"),
        (["demo", "--backend", "cuda"], "--backend: invalid choice: 'cuda'"),
        (["demo", "--threads", "99999"], "--threads"),
        (["train"], "DATASET|NETWORK"),
        (["train", "minst"], "no data set is named 'minst' (there are mnist,"),
        (["train", "resnet21"], "did you mean resnet"),
        (["train", "resnet20"], "--data: resnet20 needs a folder of pictures, expected a folder"),
        (["train", "resnet20", "--data", "/no/such"], "--data: there is no folder /no/such"),
        (["train", "resnet20", "--model", "lenet5"], "fastconv train mnist --model resnet20"),
        (["train", "mnist", "--model", "resnet21"], "--model: no network is named 'resnet21'"),
        (["train", "mnist", "--image-size", "32"], "--image-size: is for folders of pictures"),
        (["train", "mnist", "--augment", "flip"], "--augment: is for folders of pictures"),
        (["train", "mnist", "--augment", "twist"], "--augment: must be some of crop, flip,"),
        (["train", "mnist", "--validation", "1"], "--validation: must be above 0 and below 1"),
        (["train", "mnist", "--weight-decay", "-1"], "--weight-decay: must be a finite number"),
        (["train", "mnist", "--freeze"], "--freeze: needs --weights"),
        (["summary"], "NETWORK: give a name; fastconv summary --list has all"),
        (["summary", "lenet6"], "did you mean lenet5"),
        (["summary", "--list", "x*y"], "no network's name fits 'x*y'"),
        (["summary", "lenet5", "--columns", "colour"], "--columns: must be some of input_size,"),
        (["summary", "lenet5", "--input", "1,0,2"], "--input: must be sizes of at least 1"),
        (["summary", "lenet5", "--input", "1,one"], "--input: must be an integer"),
        (["summary", "lenet5", "--num-classes", "0"], "--num-classes: must be at least 1"),
        (["summary", "nets.py"], "a network of yours is FILE.py:NAME"),
        (["summary", "/no/nets.py:net"], "there is no file /no/nets.py"),
        (["train", "mnist"], "--data: mnist needs the folder"),
        (["train", "digits", "--data", "."], "--data: digits come with scikit-learn"),
        (["bench", "--shapes", "no such net"], "--shapes: no shape fits 'no such net'"),
        (["bench", "--backends", "c,cuda"], "--backends: must be some of"),
        (["bench", "--directions", "sideways"], "--directions: must be some of"),
        (["bench", "--algorithm", "magic"], "--algorithm: algorithm must be one of"),
        (["bench", "--seconds", "0"], "--seconds: must be a finite number above 0"),
        (["explain", "conv4d", "--input", "1", "--weight", "1"], "invalid choice: 'conv4d'"),
        (["explain", "conv2d", "--input", "1,a", "--weight", "1"], "--input: must be an integer"),
        (["explain", "conv2d", "--input", "1,3,8,8", "--weight", "4,2,3,3"], "conv2d"),
        (
            ["explain", "conv2d", "--input", "1,3,8,8", "--weight", "4,3,3,3", "--stride", "0"],
            "stride",
        ),
    ],
)
def test_wrong_arguments(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in fails(capsys, *arguments)


def test_as_a_module() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"fastconv {fastconv.__version__}\n")
    done = run("explain", "conv2d", "--input", "1")
    assert done.returncode == 2 and "usage: fastconv explain" in done.stderr


def test_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "explain", interrupted)
    assert main(["explain", "conv1d", "--input", "1,1,8", "--weight", "1,1,3"]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


def test_reader_that_goes_away() -> None:
    writer = subprocess.Popen(
        [sys.executable, "-m", "fastconv", "bench", "--list"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert writer.stdout is not None and writer.stderr is not None
    writer.stdout.close()
    error = writer.stderr.read().decode()
    assert writer.wait(60) == 141
    assert error == ""


# ---------------------------------------------------------------- info and explain


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert "naive" in text and "numpy" in text.lower()


def test_explain_lists_every_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    shape = ["--input", "1,64,56,56", "--weight", "64x64x3x3"]
    assert main(["explain", "conv2d", *shape, "--padding", "1", "--backend", "naive"]) == 0
    text = capsys.readouterr().out
    for direction in ("conv_forward:", "conv_backward_input:", "conv_backward_weight:"):
        assert direction in text
    assert text.count("declined: 64 input channels per group, needs 1") >= 1
    assert text.count(" chosen\n") == 3


@pytest.mark.parametrize("operation", explain.OPERATIONS)
def test_explain_every_operation(operation: str, capsys: pytest.CaptureFixture[str]) -> None:
    ndim = int(operation[-2])
    shapes = [",".join(["2", "4", *["9"] * ndim]), ",".join(["4", "2", *["3"] * ndim])]
    options = ["--stride", "2", "--padding", ",".join(["1"] * ndim), "--groups", "2"]
    if "transpose" in operation:
        options += ["--output-padding", "1"]
    assert main(["explain", operation, "--input", shapes[0], "--weight", shapes[1], *options]) == 0
    assert "chosen" in capsys.readouterr().out


# ---------------------------------------------------------------- demo and train


def test_demo_in_full(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    done = run("demo", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout
    page = tmp_path / "out" / "report.html"
    assert f"report: {page}" in done.stdout
    for heading in ("Training", "Confusion matrix", "First layer", "Mistakes", "Speed"):
        assert f"<h2>{heading}</h2>" in page.read_text()
    for name in ("naive", "numba", "c"):
        if backends.why_not(name) is None:
            assert f"\n{name} " in done.stdout
    assert sorted(p.name for p in page.parent.iterdir()) == ["best.fc", "report.html"]
    model, about = checkpoint.read(tmp_path / "out" / "best.fc")
    assert isinstance(model, fastconv.models.LeNetDigits) and about.classes == list("0123456789")


def test_demo_below_its_goal_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    arguments = ["demo", "--epochs", "1", "--lr", "1e-9", "--no-speed", "--out", str(tmp_path)]
    assert main(arguments) == 1
    assert "is below the goal of 98 %" in capsys.readouterr().err
    assert (tmp_path / "report.html").exists()


def test_demo_is_the_same_for_a_seed(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    states = []
    for name in ("a", "b"):
        out = tmp_path / name
        main(["demo", "--epochs", "1", "--no-speed", "--seed", "3", "--out", str(out)])
        states.append(fastconv.load(out / "best.fc")["state_dict"])
    for name, value in states[0].items():
        assert np.array_equal(np.asarray(value), np.asarray(states[1][name])), name


def test_altered_copies() -> None:
    image = np.zeros((1, 1, 5, 5), np.float32)
    image[0, 0, 2, 2] = 1
    copies = demo.altered_copies(image)
    assert copies.shape == (demo.COPIES, 1, 5, 5) and copies.dtype == np.float32
    assert [tuple(np.argwhere(copy[0])[0]) for copy in copies[:5]] == [
        (2, 2), (3, 2), (1, 2), (2, 3), (2, 1)
    ]  # fmt: skip
    assert np.allclose(copies[5:, 0, 2, 2], 1)  # turning leaves the centre where it is


def test_turned_by_a_right_angle_is_rot90() -> None:
    images = np.random.default_rng(0).random((2, 3, 6, 6))
    right = demo.turned(images, 90.0)
    assert np.allclose(right, np.rot90(images, 1, (2, 3))) or np.allclose(
        right, np.rot90(images, -1, (2, 3))
    )


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_train(dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mnist(tmp_path)
    out = tmp_path / "out"
    arguments = ["--data", str(tmp_path), "--epochs", "2", "--batch-size", "20", "--out", str(out)]
    assert main(["train", dataset, *arguments, "--threads", "1"]) == 0
    text = capsys.readouterr().out
    assert "epoch 2/2" in text and "test accuracy" in text and "220 training images" in text
    model, about = checkpoint.read(out / "best.fc")
    assert isinstance(model, fastconv.models.LeNet5) and not model.training
    assert about.model == "lenet5" and about.classes == TASKS[dataset].names
    assert (about.image_size, about.resize, about.mean, about.std) == (28, 28, [0.0], [1.0])


def test_train_cifar10(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 240), ("test", 20)):
        records = rng.integers(0, 256, (count, 3073)).astype(np.uint8)
        records[:, 0] = np.arange(count) % 10
        (tmp_path / f"{part}_0000.bin.gz").write_bytes(gzip.compress(records.tobytes()))
    arguments = ["--data", str(tmp_path), "--epochs", "1", "--out", str(tmp_path)]
    assert main(["train", "cifar10", "--model", "resnet20", *arguments]) == 0
    text = capsys.readouterr().out
    assert "CIFAR-10: 220 training images" in text and "test accuracy" in text
    model, about = checkpoint.read(tmp_path / "best.fc")
    assert isinstance(model, fastconv.models.CifarResNet) and about.channels == 3
    fails(capsys, "train", "cifar10", "--model", "lenet-digits", *arguments)


def test_train_writes_a_report_when_asked(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_mnist(tmp_path)
    arguments = ["--data", str(tmp_path), "--epochs", "1", "--out", str(tmp_path), "--report"]
    assert main(["train", "fashion-mnist", *arguments]) == 0
    assert "Confusion matrix" in (tmp_path / "report.html").read_text()


def test_train_missing_and_damaged_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "mnist", "--data", str(tmp_path)]) == 1
    assert "train-images-idx3-ubyte" in capsys.readouterr().err
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x09ab")
    assert main(["train", "mnist", "--data", str(tmp_path)]) == 1
    assert "truncated" in capsys.readouterr().err


def test_train_that_diverges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mnist(tmp_path)
    arguments = ["--data", str(tmp_path), "--epochs", "9", "--lr", "1e30", "--out", str(tmp_path)]
    with np.errstate(all="ignore"):
        assert main(["train", "mnist", *arguments]) == 1
    assert "try a lower learning rate" in capsys.readouterr().err


def test_train_with_fewer_images_than_a_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mnist(tmp_path)
    error = fails(capsys, "train", "mnist", "--data", str(tmp_path), "--batch-size", "5000")
    assert "--batch-size: 5000 is more than the 220 training images" in error


# ---------------------------------------------------------------- bench


def test_bench_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(NETWORKS)


@needs_c
def test_bench_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n<!-- a: begin -->\nold\n<!-- a: end -->\n\nafter\n")
    files = {"--json": tmp_path / "a.json", "--plot": tmp_path / "a.png", "--markdown": page}
    options = [str(part) for pair in files.items() for part in pair] + ["--mark", "a"]
    arguments = ["--shapes", "lenet conv1", "--seconds", "0.01", "--backends", "naive,c"]
    before = backends.load("c").get_isa()
    assert main(["bench", *arguments, "--isa", "generic", "--threads", "1", *options]) == 0
    assert backends.load("c").get_isa() == before
    text = capsys.readouterr().out
    assert "share of the FMA peak" in text and "c generic" in text and "≈" in text
    data = json.loads(files["--json"].read_text())
    assert len(data["cells"]) == 6 and data["peak_gflops"] > 0
    for cell in data["cells"]:
        assert 0 < cell["of_peak"] < 1.5 and cell["estimated"] == (cell["variant"] == "naive")
    assert files["--plot"].read_bytes().startswith(b"\x89PNG")
    written = page.read_text()
    assert written.startswith("# Title\n") and written.endswith("after\n")
    assert "| forward |" in written and "old" not in written and "Made with" in written


@needs_c
def test_bench_plot_of_an_unknown_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    arguments = ["--shapes", "lenet conv1", "--seconds", "0.01", "--backends", "c"]
    assert main(["bench", *arguments, "--plot", str(tmp_path / "a.xyz")]) == 1
    assert "xyz" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@needs_c
def test_bench_unknown_instruction_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--backends", "c", "--isa", "sve9"]) == 1
    assert "sve9" in capsys.readouterr().err


def test_select_shapes() -> None:
    assert select(None) == list(LARGE) and len(LARGE) == 3
    assert select("all") == list(NETWORKS)
    names = [shape.name for shape in select("resnet50, MOBILENET depthwise 112")]
    assert names == [
        "resnet50 64->256 1x1 at 56",
        "resnet50 2048->512 1x1 at 7",
        "mobilenet depthwise at 112",
    ]
    assert all(shape.family == "lenet" for shape in select("lenet"))
    assert select("nothing") == []
    assert len({shape.name for shape in NETWORKS}) == len(NETWORKS)


@pytest.mark.parametrize("direction", ["forward", "backward input", "backward weight"])
@pytest.mark.parametrize("channels_last", [True, False])
def test_kernel_call_and_naive_estimate(direction: str, channels_last: bool) -> None:
    spec = conv_spec((1, 2, 5, 5), (3, 2, 3, 3))
    shapes = {
        "forward": spec.y_shape,
        "backward input": spec.x_shape,
        "backward weight": spec.w_shape,
    }
    call = kernel_call(spec, direction, np.float32, channels_last)
    assert call().shape == shapes[direction]
    seconds, outputs = estimate_naive(spec, direction, 0.001)
    assert seconds > 0 and outputs >= 3


def test_bench_table() -> None:
    cells = [
        Cell("a", "forward", "naive", 1.0, 0.0123, None, 3, True),
        Cell("a", "forward", "c avx2", 0.1, 59.04, 0.5, 3, False),
    ]
    head, rows = bench.table(cells)
    assert head == ["shape", "direction", "naive", "c avx2"]
    assert rows == [["a", "forward", "≈ 0.012", "59.0 (50 %)"]]


def test_tables() -> None:
    assert text_table(["a", "bb"], [["ccc", "d"]]) == "a    bb\n---  --\nccc   d"
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


@pytest.mark.skipif(os.name != "posix", reason="needs a folder that cannot be written")
def test_output_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    assert main(["train", "digits", "--epochs", "1", "--out", "/dev/null/x"]) == 1
    assert "/dev/null" in capsys.readouterr().err
