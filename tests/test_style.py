"""Style transfer: its losses by hand, weights from files, and pictures that come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn, style
from tests.looking import data


def test_the_gram_matrix_of_the_lecture() -> None:
    """(8×16)(16×8) = 8×8."""
    maps = np.random.default_rng(0).standard_normal((1, 8, 4, 4))
    found = style.gram_matrix(fc.tensor(maps)).numpy()
    flat = maps.reshape(8, 16)
    assert found.shape == (1, 8, 8)
    np.testing.assert_allclose(found[0], flat @ flat.T, rtol=1e-12)
    with pytest.raises(ValueError, match=r"maps must be \(N, C, H, W\)"):
        style.gram_matrix(fc.tensor(flat))


def test_losses_by_hand() -> None:
    a, b = fc.tensor([[[[1.0, 2.0]]]]), fc.tensor([[[[3.0, 5.0]]]])
    assert style.content_loss(a, b).item() == 0.5 * (4 + 9)
    # Gram matrices over two pixels: 5/2 and 34/2, one channel
    gram = style.gram_matrix(b) / 2
    assert style.style_loss(a, gram).item() == (2.5 - 17) ** 2 / 4
    assert style.total_variation(fc.tensor([[[[0.0, 1.0], [3.0, 3.0]]]])).item() == 2.5 + 0.5


def test_gradients_of_the_losses() -> None:
    rng = np.random.default_rng(1)
    maps = fc.tensor(rng.standard_normal((1, 3, 4, 5)), requires_grad=True)
    gram = fc.tensor(rng.standard_normal((1, 3, 3)))
    assert fc.autograd.gradcheck(lambda m: style.style_loss(m, gram), (maps,))
    assert fc.autograd.gradcheck(style.total_variation, (maps,))


def vgg_state(until: str = "conv2_1") -> dict[str, Any]:
    """Weights as torchvision names them: features.0, features.2, …"""
    fc.manual_seed(0)
    net = style.vgg19_features(until=until)
    return {f"features.{k}.{n}": p.detach() for k, m in enumerate(net) for n, p in
            m.named_parameters()}  # fmt: skip


def test_vgg19_has_the_names_and_order_of_the_paper() -> None:
    assert len(style.VGG19_LAYERS) == 32 and style.VGG19_LAYERS[-1] == "relu5_4"
    with nn.init.undrawn():
        names = [name for name, _ in style.vgg19_features(until="relu5_4").named_children()]
        ours = style.vgg19_features(until="relu5_4")
        full = fc.models.vgg19()
    assert names[:6] == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1"]
    assert [n for n in names if n[:4] != "pool"] == list(style.VGG19_LAYERS)
    assert [type(m) for m in ours] == [type(m) for m in full.features][:-1]
    average = style.vgg19_features(until="conv2_1", pooling="average")
    assert isinstance(average.pool1, nn.AvgPool2d)


@pytest.mark.parametrize("kind", ["pth", "safetensors", "onnx", "dict"])
def test_weights_come_from_files(kind: str, tmp_path: Path) -> None:
    state = vgg_state()
    path: Any = tmp_path / f"vgg.{kind}"
    if kind == "dict":
        path = state
    elif kind == "onnx":
        pytest.importorskip("onnx")
        net = style.vgg19_features(state, until="conv2_1")
        fc.onnx.export(net, fc.zeros(1, 3, 8, 8), path)
    else:
        if kind == "safetensors":
            pytest.importorskip("safetensors")
        fc.save(state, path)
    net = style.vgg19_features(path, until="conv2_1")
    for name, index in {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5}.items():
        for part in ("weight", "bias"):
            found = getattr(net.get_submodule(name), part).detach().numpy()
            np.testing.assert_array_equal(found, state[f"features.{index}.{part}"].numpy())


def test_names_sorted_as_text_are_put_in_order() -> None:
    """safetensors gives features.10 before features.2."""
    state = vgg_state("conv3_1")
    net = style.vgg19_features(dict(sorted(state.items())), until="conv3_1")
    found = net.conv3_1.weight.detach().numpy()
    np.testing.assert_array_equal(found, state["features.10.weight"].numpy())


def test_errors_of_weights(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing is downloaded"):
        style.vgg19_features(tmp_path / "vgg19.pth")
    with pytest.raises(ValueError, match="the file holds 2 layers with weights, and Sequential"):
        style.vgg19_features(vgg_state("conv1_2"), until="conv2_1")
    with pytest.raises(ValueError, match=r"0\.weight has shape \(64, 3, 5, 5\), and the file's"):
        style.weights_in_order(nn.Sequential(nn.Conv2d(3, 64, 5)), vgg_state("conv1_1"))
    with pytest.raises(ValueError, match="until must be one of conv1_1"):
        style.vgg19_features(until="conv6_1")


def toy() -> nn.Module:
    """Two convolutions."""
    fc.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, padding=1)
    )


RNG = np.random.default_rng(3)
CONTENT, STYLE = RNG.random((12, 16, 3), np.float32), RNG.random((10, 10, 3), np.float32) ** 3


def made(**how: Any) -> np.ndarray:
    given = {"network": toy(), "style_layers": ["0"], "content_layers": "2", "verbose": 0, **how}
    return style.transfer(CONTENT, STYLE, **given)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_transfer_makes_the_loss_small(optimizer: str, capsys: Any) -> None:
    told: list[style.Progress] = []
    found = made(optimizer=optimizer, steps=25, every=10, verbose=1, callback=told.append)
    assert found.shape == (12, 16, 3) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    assert [p.step for p in told] == [10, 20, 25]
    np.testing.assert_array_equal(told[-1].picture, found)
    assert told[-1].loss == pytest.approx(told[-1].content + told[-1].style, rel=1e-4)
    lines = capsys.readouterr().out.splitlines()  # no terminal: lines
    assert [line.split("  loss")[0] for line in lines] == [
        "step  1/25", "step 10/25", "step 20/25", "step 25/25",
    ]  # fmt: skip
    first = float(lines[0].split("loss ")[1].split()[0])
    assert told[-1].loss < 0.5 * first


def test_without_style_the_content_stays_and_comes_back() -> None:
    np.testing.assert_array_equal(made(beta=0, steps=3), CONTENT.clip(0, 1))
    network = nn.Sequential(nn.Conv2d(3, 3, 1))
    found = made(
        network=network, style_layers="0", content_layers="0", beta=0, steps=60, start="noise"
    )
    np.testing.assert_allclose(found, CONTENT, atol=0.02)


def test_errors_of_transfer() -> None:
    with pytest.raises(ValueError, match="give weights, the path of a file"):
        style.transfer(CONTENT, STYLE)
    with pytest.raises(ValueError, match="layer '9' is no module of Sequential; the nearest"):
        made(style_layers=["9"])
    with pytest.raises(ValueError, match="optimizer must be 'lbfgs' or 'adam', got 'sgd'"):
        made(optimizer="sgd")
    with pytest.raises(ValueError, match=r"content must be \(H, W, 3\), got shape \(12, 16\)"):
        style.transfer(CONTENT[..., 0], STYLE, network=toy())
    with pytest.raises(ValueError, match="style must be from 0 to 1"):
        style.transfer(CONTENT, 255 * STYLE, network=toy())
    with pytest.raises(ValueError, match="start must have the content's size"):
        made(start=STYLE)


def test_squeezenet_of_the_real_data_is_read_in_order() -> None:
    path = data("models/squeezenet_v1.1_fp32_derived.onnx")
    pytest.importorskip("onnx")
    with nn.init.undrawn():
        net = fc.models.squeezenet1_1().eval()
    style.weights_in_order(net, path)
    x = (np.random.default_rng(0).random((1, 3, 224, 224), np.float32) - 0.4) * 255
    with fc.no_grad():
        found = net(fc.tensor(x)).softmax(1).numpy()
    wanted = fc.onnx.load(path).run([x])[0].reshape(1, -1)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
