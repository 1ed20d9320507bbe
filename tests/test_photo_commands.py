"""``fastconv classify`` and ``fastconv detect`` with small networks made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the onnx package is not installed")
Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

import fastconv as T  # noqa: E402
import fastconv.nn as nn  # noqa: E402
from fastconv.cli import main  # noqa: E402
from fastconv.cli.detect import boxes  # noqa: E402
from fastconv.cli.photo import probabilities  # noqa: E402
from fastconv.onnx import export  # noqa: E402


class Means(nn.Module):
    """The mean of each colour."""

    def forward(self, x: Any) -> Any:
        return x.mean((2, 3))


class Detector(nn.Module):
    """Scores and boxes that do not depend on the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scores", T.tensor([[[0.1, 0.9], [0.2, 0.8], [0.9, 0.1]]]))
        self.register_buffer(
            "boxes",
            T.tensor([[[0.1, 0.2, 0.5, 0.6], [0.1, 0.2, 0.5, 0.55], [0.6, 0.6, 0.9, 0.9]]]),
        )

    def forward(self, x: Any) -> Any:
        nothing = x.sum() * 0
        return self.scores + nothing, self.boxes + nothing


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A photograph that is mostly green, and both networks."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[...] = 20, 200, 60
    Image.fromarray(pixels).save(tmp_path / "green.png")
    export(Means(), T.rand(1, 3, 8, 8), tmp_path / "means.onnx")
    export(Detector(), T.rand(1, 3, 8, 8), tmp_path / "detector.onnx", dynamic_batch=False)
    return tmp_path / "green.png", tmp_path / "means.onnx", tmp_path / "detector.onnx"


def answer(capsys: Any, *arguments: Any) -> tuple[int, str, str]:
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_classify(files: Any, capsys: Any, tmp_path: Path) -> None:
    photo, means, _ = files
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    code, out, _ = answer(
        capsys, "classify", photo, "--model", means, "--labels", tmp_path / "names.txt",
        "--preset", "plain", "--top", 2,
    )  # fmt: skip
    lines = out.splitlines()
    assert code == 0
    assert "RGB, 0 to 1, minus (0, 0, 0), over (1, 1, 1)" in lines[0]
    assert "shorter side 9, middle 8×8" in lines[0]
    share = np.exp(200 / 255) / sum(np.exp(v / 255) for v in (20, 200, 60))
    assert lines[1].split()[:3] == [f"{100 * share:.2f}", "%", "green"]
    assert lines[1].count("█") == round(30 * share)
    assert "blue" in lines[2] and "softmax" in lines[3] and len(lines) == 4


def test_preparation_options(files: Any, capsys: Any) -> None:
    photo, means, _ = files
    code, out, _ = answer(
        capsys, "classify", photo, "--model", means, "--channels", "bgr", "--range", 255, "--mean",
        "1,2,3", "--std", "100", "--crop", "whole",
    )  # fmt: skip
    assert code == 0
    assert "squeezed to 8×8; BGR, 0 to 255, minus (1, 2, 3), over (100, 100, 100)" in out
    assert out.splitlines()[1].split()[2:4] == ["class", "1"]


def test_detect(files: Any, capsys: Any, tmp_path: Path) -> None:
    photo, _, detector = files
    out = tmp_path / "boxes.png"
    code, text, _ = answer(capsys, "detect", photo, "--model", detector, "--out", out)
    assert code == 0 and "1 found" in text
    assert "90.00 %  class 0  x 6 to 30, y 8 to 24" in text
    with Image.open(out) as drawn:
        assert drawn.size == (60, 40)
        assert drawn.getpixel((29, 15)) != (20, 200, 60)  # the right side of the box
        assert drawn.getpixel((45, 30)) == (20, 200, 60)
    code, text, _ = answer(
        capsys, "detect", photo, "--model", detector, "--out", out, "--overlap", "0.95"
    )
    assert "2 found" in text


def test_errors(files: Any, capsys: Any, tmp_path: Path) -> None:
    photo, means, detector = files
    for arguments, code, message in (
        (["classify", photo, "--model", tmp_path / "no.onnx"], 1, "no.onnx"),
        (["classify", photo, "--model", photo], 1, "is no ONNX file"),
        (["classify", means, "--model", means], 1, "is no picture"),
        (["classify", photo, "--model", means, "--size", "9"], 2, "takes 8×8 only"),
        (["classify", photo, "--model", means, "--mean", "1,2"], 2, "one number or three"),
        (["classify", photo, "--model", means, "--std", "0"], 2, "must be above 0"),
        (["classify", photo, "--model", means, "--labels", photo], 1, "is no text file"),
        (["detect", photo, "--model", means], 1, "the outputs must be scores"),
        (["detect", photo, "--model", detector, "--threshold", "2"], 2, "from 0 to 1"),
    ):
        got, _, error = answer(capsys, *arguments)
        assert got == code and message in error, (arguments, error)
    names = tmp_path / "names.txt"
    names.write_text("a\nb\n")
    _, _, error = answer(capsys, "classify", photo, "--model", means, "--labels", names)
    assert "names 2 classes, the network has 3" in error


def test_parts() -> None:
    shares, made = probabilities(np.array([0.25, 0.75]))
    assert not made and shares.tolist() == [0.25, 0.75]
    shares, made = probabilities(np.array([1000.0, 0.0]))
    assert made and shares.tolist() == [1, 0]
    scores, corners = np.zeros((1, 5, 2)), np.zeros((1, 5, 4))
    scores[0, 3] = 0.1, 0.9
    for outputs in ((scores, corners), (corners, scores)):
        (found,) = boxes(outputs, (10, 10), 0.5, 0.5)
        assert found.kind == 0 and found.score == 0.9
