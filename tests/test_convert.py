"""``fastconv convert``: from any format that is read into any that is written."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import fastconv as fc
from fastconv.cli import main
from fastconv.cli.convert import TARGETS


def checkpoint(path: Path) -> dict[str, np.ndarray]:
    arrays = {"conv.weight": np.arange(6.0, dtype=np.float32).reshape(2, 3), "n": np.array(3)}
    state = OrderedDict((f"module.{k}", fc.tensor(v)) for k, v in arrays.items())
    fc.save({"epoch": 3, "net": {"state_dict": state}}, path, format="torch")
    return arrays


@pytest.mark.parametrize("name", TARGETS)
def test_every_format_into_every_other(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "a.pth"
    arrays = checkpoint(source)
    first = tmp_path / f"b{TARGETS[name].suffixes[0]}"
    options = ["--key", "net", "--key", "state_dict", "--strip", "module."]
    assert main(["convert", str(source), str(first), *options]) == 0
    assert "2 tensors, 7 numbers" in capsys.readouterr().out
    for other, target in TARGETS.items():
        second = tmp_path / f"c-{other}{target.suffixes[-1]}"
        assert main(["convert", str(first), str(second)]) == 0
        back = fc.load(second)
        assert list(back) == list(arrays)
        for key, value in arrays.items():
            np.testing.assert_array_equal(np.asarray(back[key]), value)
    assert main(["convert", str(first), str(tmp_path / "d"), "--to", "safetensors"]) == 0
    assert (tmp_path / "d").read_bytes()[8:9] == b"{"


def test_the_whole_of_a_checkpoint(tmp_path: Path) -> None:
    source = tmp_path / "a.pth"
    checkpoint(source)
    assert main(["convert", str(source), str(tmp_path / "b.npz")]) == 0
    assert fc.load(tmp_path / "b.npz")["epoch"] == 3


@pytest.mark.parametrize(
    "arguments, code, text",
    [
        (["a.pth", "b.onnx2"], 2, "says no format (.npz"),
        (["a.pth", "b.safetensors"], 1, "obj['epoch'] is a int; choose a part of it"),
        (["a.pth", "b.npz", "--key", "ne"], 2, "no 'ne'; the file holds epoch, net"),
        (["a.pth", "b.npz", "--strip", "module."], 2, "no name begins with 'module.'"),
        (["none.pth", "b.npz"], 1, "No such file"),
        (["text", "b.npz"], 1, "load: text was not written by"),
    ],
)
def test_errors_say_what_to_do(
    arguments: list[str], code: int, text: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    checkpoint(Path("a.pth"))
    Path("text").write_text("hello, this is no file of tensors")
    assert main(["convert", *arguments]) == code
    assert text in capsys.readouterr().err
    assert not Path(arguments[1]).exists()


def test_what_was_converted_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fc.save({"a": fc.ones(2).half()}, tmp_path / "a.pt", format="torch")
    assert main(["convert", str(tmp_path / "a.pt"), str(tmp_path / "b.safetensors")]) == 0
    assert "1 of float16 became float32" in capsys.readouterr().out


def test_a_network_into_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    import fastconv.onnx

    net = fc.models.get("resnet20", num_classes=4).eval()
    fc.save(net.state_dict(), tmp_path / "a.pth", format="torch")
    call = ["convert", str(tmp_path / "a.pth"), str(tmp_path / "a.onnx")]
    assert main(call) == 2
    assert "does not say of which network: give --network NAME" in capsys.readouterr().err
    assert main([*call, "--network", "resnet20"]) == 1  # ten classes, the file has four
    assert not (tmp_path / "a.onnx").exists()
    assert "as resnet20: " in capsys.readouterr().err
    assert main([*call, "--network", "resnet20", "--num-classes", "4"]) == 0
    back = fastconv.onnx.load(tmp_path / "a.onnx")
    x = fc.randn(3, 3, 32, 32)
    (got,) = back.run([np.asarray(x)])
    np.testing.assert_allclose(got, net(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    other = ["convert", str(tmp_path / "a.pth"), str(tmp_path / "b.npz"), "--network", "resnet20"]
    assert main(other) == 2
    assert "--network: is for onnx" in capsys.readouterr().err


def test_what_train_wrote_into_onnx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Network, classes and size are in the file of ``fastconv train``."""
    pytest.importorskip("onnx")
    pytest.importorskip("PIL", reason="reads pictures with Pillow")
    import fastconv.onnx
    from fastconv.cli import checkpoint
    from tests.pictures import draw

    draw(tmp_path / "shapes of two kinds", 8)
    run = tmp_path / "a run"
    train = ["train", "resnet20", "--data", str(tmp_path / "shapes of two kinds"), "--epochs", "1"]
    assert main([*train, "--batch-size", "4", "--image-size", "24", "--out", str(run)]) == 0
    target = tmp_path / "best é.onnx"
    assert main(["convert", str(run / "best.fc"), str(target)]) == 0
    model, known = checkpoint.read(run / "best.fc")
    proto = fastconv.onnx.load(target)
    x = fc.randn(3, known.channels, known.image_size, known.image_size)
    with fc.no_grad():
        want = model(x).numpy()
    (got,) = proto.run([x.numpy()])
    assert got.shape == (3, len(known.classes)) == (3, 2) and known.image_size == 24
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    capsys.readouterr()
