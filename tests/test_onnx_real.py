"""Trained networks from files of others: ONNX Runtime's answers, and answers written down."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the onnx package is not installed")

from fastconv.onnx import load

DATA = Path(os.environ.get("FASTCONV_DATA", Path(__file__).parents[2] / "shared" / "data"))
NETWORKS = {
    "mnist": (1, 1, 28, 28),
    "squeezenet_v1.1_fp32_derived": (1, 3, 224, 224),
    "squeezenet_fp16": (1, 3, 224, 224),
    "mobilenet_v2_fp32_derived": (2, 3, 224, 224),
    "ultraface_RFB-320": (1, 3, 240, 320),
}


def path(*parts: str) -> Path:
    found = DATA.joinpath(*parts)
    if not found.exists():
        pytest.skip(f"{found} is missing")
    return found


def picture(name: str, size: tuple[int, int]) -> np.ndarray:
    """A photograph (H, W, 3) of this height and width, uint8."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with image.open(path(*name.split("/"))) as opened:
        return np.asarray(opened.convert("RGB").resize(size[::-1], image.Resampling.BILINEAR))


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_says_the_same(name: str) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    file, shape = path("models", f"{name}.onnx"), NETWORKS[name]
    kind = np.float16 if "fp16" in name else np.float32
    if shape[1] == 3:
        photo = picture("photos/dog_samoyed.jpg", shape[2:])
        x = ((photo.astype(np.float32) - 120) / 60).transpose(2, 0, 1)[None]
        x = np.concatenate([x, x[..., ::-1]])[: shape[0]].astype(kind)
    else:
        x = np.random.default_rng(0).uniform(0, 1, shape).astype(kind)
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    wanted = session.run(None, {session.get_inputs()[0].name: x})
    found = load(file).run([x])
    assert len(found) == len(wanted)
    for y, z in zip(wanted, found, strict=True):
        assert y.dtype == z.dtype and y.shape == z.shape
        scale = float(np.abs(y.astype(np.float64)).max())
        np.testing.assert_allclose(z.astype(np.float64), y, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize(
    ("name", "golden", "least"),
    [
        ("squeezenet_fp16", "Squeezenet_fp16_fish_input_CPU.csv", 2e-6),
        # its weights went through float16, the golden ones did not: ONNX Runtime is 8.25e-4 off
        ("squeezenet_v1.1_fp32_derived", "Squeezenet_fish_input_CPU.csv", 8.3e-4),
    ],
)
def test_golden_files(name: str, golden: str, least: float) -> None:
    file = path("models", f"{name}.onnx")
    rows = np.loadtxt(path("golden", golden), delimiter=",", skiprows=1)
    photo = picture("golden/fish.png", (224, 224))  # raw values, blue first, no mean
    x = np.ascontiguousarray(photo[..., ::-1].transpose(2, 0, 1)[None], np.float32)
    (y,) = load(file).run([x.astype(np.float16) if "fp16" in name else x])
    assert np.abs(y.reshape(-1).astype(np.float64) - rows[:, 1]).max() < least


def test_mnist() -> None:
    net = load(path("models", "mnist.onnx"))
    raw = gzip.decompress(path("mnist", "t10k-images-idx3-ubyte.gz").read_bytes())
    images = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 1, 1, 28, 28)[:1000]
    raw = gzip.decompress(path("mnist", "t10k-labels-idx1-ubyte.gz").read_bytes())
    labels = np.frombuffer(raw, np.uint8, offset=8)[:1000]
    right = sum(
        int(net.run([x.astype(np.float32) / 255])[0].argmax()) == t
        for x, t in zip(images, labels, strict=True)
    )
    assert right >= 975


@pytest.mark.parametrize(
    ("photo", "name"),
    [
        ("dog_samoyed.jpg", "Samoyed"), ("goldfish.jpg", "goldfish"),
        ("pelican.jpeg", "pelican"), ("bald_eagle.jpeg", "bald eagle"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("net", ["squeezenet_v1.1_fp32_derived", "mobilenet_v2_fp32_derived"])
def test_classify_command(photo: str, name: str, net: str, capsys: Any) -> None:
    from fastconv.cli import main

    pytest.importorskip("PIL", reason="Pillow is not installed")
    labels = path("photos", "imagenet_classes.txt")
    code = main(
        ["classify", str(path("photos", photo)), "--model", str(path("models", f"{net}.onnx")),
         "--labels", str(labels), "--threads", "1"]
    )  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert code == 0 and len(lines) == 7
    assert ("BGR, 0 to 255, minus (104, 117, 123)" in lines[0]) == net.startswith("squeeze")
    assert name in lines[1] and "█" in lines[1]
    shares = [float(line.split("%")[0]) for line in lines[1:6]]
    assert shares == sorted(shares, reverse=True)


def test_detect_command(tmp_path: Path, capsys: Any) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    from fastconv.cli import main

    out = tmp_path / "out.png"
    code = main(
        ["detect", str(path("photos", "skimage_astronaut.png")), "--model",
         str(path("models", "ultraface_RFB-320.onnx")), "--out", str(out), "--threads", "1"]
    )  # fmt: skip
    text = capsys.readouterr().out
    assert code == 0 and "1 found" in text
    with image.open(out) as drawn, image.open(path("photos", "skimage_astronaut.png")) as photo:
        changed = (np.asarray(drawn) != np.asarray(photo.convert("RGB"))).any(-1)
    rows, columns = np.nonzero(changed)
    # the box and its score lie around the face, whose middle is at about (224, 120)
    assert 150 < columns.min() < 200 and 250 < columns.max() < 290
    assert 30 < rows.min() < 80 and 150 < rows.max() < 195
