"""fastconv.visualize but for attributions: layers, filters, dreams, neighbours, fields, graphs."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import metrics, nn, visualize
from fastconv.nn import functional as F
from fastconv.nn.init import undrawn
from fastconv.visualize import handmade
from tests.looking import images, small

# -- without drawing -----------------------------------------------------------------------------


def test_nothing_that_draws_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, numpy as np, fastconv as fc; from fastconv import visualize, nn, style\n"
        "net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))\n"
        "visualize.grad_cam(net, np.ones((1, 4, 4), np.float32), '1', 0)\n"
        "visualize.dot(net, (1, 1, 4, 4))\n"
        "print([m for m in ('matplotlib', 'sklearn', 'PIL', 'tqdm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_has_a_docstring_and_is_in_the_table() -> None:
    page = (Path(__file__).parents[1] / "docs" / "visualize.md").read_text(encoding="utf-8")
    for name in visualize.__all__:
        assert getattr(visualize, name).__doc__, name
        assert f"`{name}`" in page, name
    for name in handmade.__all__:
        assert getattr(handmade, name).__doc__, name
        assert f"`handmade.{name}`" in page, name


# -- layers --------------------------------------------------------------------------------------


def test_activations_are_what_the_layers_give() -> None:
    net, x = small(), images(2)
    found = visualize.activations(net, x, ["0", "4", "7"])
    with fc.no_grad():
        t = fc.tensor(x)
        first = net[0](t)
        np.testing.assert_allclose(found["0"], first.numpy(), rtol=1e-12)
        assert found["0"].min() < 0  # the ReLU that follows writes over a copy
        np.testing.assert_allclose(found["7"], net(t).numpy(), rtol=1e-12)
    assert list(found) == ["0", "4", "7"] and found["4"].min() == 0
    one = visualize.activations(net, x[1], "4")
    np.testing.assert_allclose(one, found["4"][1], rtol=1e-12)
    np.testing.assert_allclose(visualize.features(net, x, "4", 1), found["4"].mean((2, 3)))
    assert visualize.features(net, x, "6").shape == (2, 48)
    attention = visualize.spatial_attention(net, x, "0")
    np.testing.assert_allclose(attention, (found["0"] ** 2).mean(1), rtol=1e-12)


def test_activations_of_layers_that_are_not_called_or_give_more() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)
            self.rnn = nn.LSTM(2, 2)

        def forward(self, x: Any) -> Any:
            return self.rnn(self.used(x).flatten(2).permute(2, 0, 1))[0]

    x = images(1).astype(np.float32)
    with pytest.raises(ValueError, match="layer 'spare' was not called by the network"):
        visualize.activations(Net(), x, "spare")
    with pytest.raises(TypeError, match="layer 'rnn' gives tuple, not one Tensor"):
        visualize.activations(Net(), x, "rnn")
    with pytest.raises(ValueError, match="the nearest are 'used'"):
        visualize.activations(Net(), x, "use")
    with pytest.raises(TypeError, match="layer must be the name of a module, got int"):
        visualize.activations(Net(), x, [3])  # type: ignore[list-item]


@pytest.mark.parametrize("how", [{}, {"need_weights": False}, {"average_attn_weights": False}])
def test_attention_weights_by_hand(how: dict[str, bool]) -> None:
    """Query and key projections of identity: softmax of the products over √d, for each head."""
    d = 4
    inner = nn.MultiheadAttention(d, 2, bias=False, batch_first=True).double()
    with fc.no_grad():
        inner.in_proj_weight.copy_(fc.tensor(np.concatenate([np.eye(d)] * 3)))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Sequential(nn.Identity())
            self.block.attention = inner

        def forward(self, x: Any) -> Any:
            self.result = self.block.attention(x, x, x, **how)
            return self.result[0]

    net, x = Net(), np.random.default_rng(0).standard_normal((2, 3, d))
    found = visualize.attention_weights(net, x)
    assert list(found) == ["block.attention"]
    halves = x.reshape(2, 3, 2, 2).transpose(0, 2, 1, 3)
    logits = halves @ halves.swapaxes(2, 3) / math.sqrt(2)
    wanted = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(found["block.attention"], wanted, rtol=1e-9)
    # the network gets what it asked for
    got, asked = net.result[1], inner(*[fc.tensor(x)] * 3, **how)[1]
    assert (got is None) == (asked is None)
    if got is not None:
        np.testing.assert_allclose(got.detach().numpy(), asked.detach().numpy(), rtol=1e-12)


def test_attention_rollout_by_hand() -> None:
    swap, stay = np.array([[[[0.0, 1], [1, 0]]]]), np.eye(2)[None, None]
    np.testing.assert_allclose(visualize.attention_rollout([swap])[0], [[0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_allclose(visualize.attention_rollout([stay, stay])[0], np.eye(2))
    rows = np.random.default_rng(0).dirichlet(np.ones(4), (3, 2, 4))
    np.testing.assert_allclose(visualize.attention_rollout([rows, rows]).sum(-1), 1)
    with pytest.raises(ValueError, match="no MultiheadAttention"):
        visualize.attention_weights(small(), images(1))


def test_filters_are_scaled_around_grey() -> None:
    net = small()
    weight = net[0].weight.detach().numpy()
    np.testing.assert_array_equal(visualize.filters(net, scaled=False), weight)
    found = visualize.filters(net)
    assert visualize.first_convolution(net) == "0"
    for f, w in zip(found, weight):
        np.testing.assert_allclose(f, 0.5 + 0.5 * w / np.abs(w).max(), rtol=1e-12)
        assert f.min() >= 0 and f.max() <= 1 and {f.min(), f.max()} & {0.0, 1.0}
    with pytest.raises(ValueError, match="layer '1' must be a Conv2d, got ReLU"):
        visualize.filters(net, "1")
    with pytest.raises(ValueError, match="Sequential has no Conv2d"):
        visualize.filters(nn.Sequential(nn.ReLU()))


# -- dreams --------------------------------------------------------------------------------------


def test_one_step_of_activation_maximisation_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False)).double()
    with fc.no_grad():
        net[0].weight.copy_(fc.tensor(np.array([3.0, -4.0]).reshape(2, 1, 1, 1)))
    start = np.zeros((1, 4, 4))
    found = visualize.activation_maximisation(net, "0", 0, start, steps=1, lr=0.25)
    np.testing.assert_allclose(found, 0.25, rtol=1e-12)  # a gradient that is the same everywhere
    found = visualize.activation_maximisation(net, "0", 1, start, steps=2, lr=0.25)
    np.testing.assert_allclose(found, -0.5, rtol=1e-12)
    found = visualize.activation_maximisation(net, "0", 1, start, 9, 0.25, limits=(-1, 1))
    np.testing.assert_array_equal(found, -1)
    # with l2 the best is where the slopes meet: 3x - x² at 1.5
    found = visualize.activation_maximisation(net, "0", 0, start, steps=400, lr=0.005, l2=1.0)
    np.testing.assert_allclose(found, 1.5, atol=0.006)


def test_regularisers_do_what_they_say() -> None:
    net, start = small(), 0.1 * images(1)[0]

    def made(**how: Any) -> np.ndarray:
        return visualize.activation_maximisation(net, None, 2, start, steps=40, lr=0.1, **how)

    def variation(a: np.ndarray) -> float:
        return float(np.abs(np.diff(a, axis=1)).mean() + np.abs(np.diff(a, axis=2)).mean())

    plain = made()
    assert variation(made(total_variation=1.0)) < 0.7 * variation(plain)
    assert variation(made(blur=0.7)) < 0.7 * variation(plain)
    assert (made(l2=1.0) ** 2).mean() < 0.7 * (plain**2).mean()
    np.testing.assert_array_equal(made(jitter=3, seed=1), made(jitter=3, seed=1))
    assert np.abs(made(jitter=3, seed=1) - made(jitter=3, seed=2)).max() > 0
    values = []
    made(callback=lambda step, value, image: values.append((step, value)))
    assert [step for step, _ in values] == list(range(1, 41))
    with fc.no_grad():
        before, after = (float(net(fc.tensor(a[None]))[0, 2]) for a in (start, plain))
    assert values[0][1] == pytest.approx(before) and after > before + 0.1


def test_deep_dream_makes_its_layers_more_active() -> None:
    net, start = small(), 0.3 * images(1)[0]
    seen: list[tuple[int, np.ndarray]] = []
    found = visualize.deep_dream(
        net, start, {"3": 1.0, "0": 0.5}, octaves=3, octave_scale=1.5, steps=4, jitter=2,
        callback=lambda step, value, image: seen.append((step, image)),
    )  # fmt: skip
    assert found.shape == start.shape
    assert [image.shape for _, image in seen[::4]] == [(3, 7, 7), (3, 11, 11), (3, 16, 16)]
    np.testing.assert_allclose(seen[-1][1], found, rtol=1e-12)

    def objective(a: np.ndarray) -> float:
        layers = visualize.activations(net, a, ["3", "0"])
        return float((layers["3"] ** 2).mean() + 0.5 * (layers["0"] ** 2).mean())

    assert objective(found) > 1.2 * objective(start)
    # one octave, one step, no shift: the gradient over its mean absolute value
    step = visualize.deep_dream(net, start, "3", octaves=1, steps=1, lr=0.01, jitter=0) - start
    assert np.abs(step).mean() == pytest.approx(0.01)
    small_step = 1e-5 * step
    rise = (visualize.activations(net, start + small_step, "3") ** 2).mean()
    rise -= (visualize.activations(net, start - small_step, "3") ** 2).mean()
    assert rise > 0
    limited = visualize.deep_dream(net, start, "3", limits=(-0.5, 0.5), octaves=2)
    assert np.abs(limited).max() <= max(0.5, np.abs(start).max()) + 1e-12


def test_errors_of_dreams() -> None:
    net, start = small(), images(1)
    with pytest.raises(ValueError, match=r"channel must be from 0 to 7 in layer '0', got 8"):
        visualize.activation_maximisation(net, "0", 8, start)
    with pytest.raises(ValueError, match="target must be a class from 0 to 4"):
        visualize.activation_maximisation(net, None, 5, start)
    with pytest.raises(ValueError, match="blur must not be negative, got -1"):
        visualize.activation_maximisation(net, "0", 0, start, blur=-1)
    with pytest.raises(ValueError, match="octave_scale must be greater than 1, got 1"):
        visualize.deep_dream(net, start, "0", octave_scale=1)
    with pytest.raises(ValueError, match="image must be one, got 2"):
        visualize.deep_dream(net, images(2), "0")
    with pytest.raises(ValueError, match="layers must not be empty"):
        visualize.deep_dream(net, start, [])
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        visualize.deep_dream(net, start, "0", steps=0)


# -- many images ---------------------------------------------------------------------------------


def test_nearest_by_hand_and_by_scikit_learn() -> None:
    found, distances = visualize.nearest([[0.0, 0]], [[3.0, 4], [1, 0], [0, 1], [9, 9]], 3)
    assert found.tolist() == [[1, 2, 0]] and distances.tolist() == [[1, 1, 5]]
    sklearn = pytest.importorskip("sklearn.neighbors")
    rng = np.random.default_rng(0)
    among, queries = 1e4 + rng.standard_normal((50, 7)), 1e4 + rng.standard_normal((6, 7))
    wanted = sklearn.NearestNeighbors(n_neighbors=4).fit(among).kneighbors(queries)
    found, distances = visualize.nearest(queries, among, 4)
    np.testing.assert_array_equal(found, wanted[1])
    np.testing.assert_allclose(distances, wanted[0], rtol=1e-9)
    with pytest.raises(ValueError, match="k must be at most 50"):
        visualize.nearest(queries, among, 51)
    with pytest.raises(ValueError, match="must have one D"):
        visualize.nearest(queries, among[:, :3])


def test_neighbours_in_features_forget_what_the_network_forgets() -> None:
    """A shifted image is far in pixels, and itself behind a global mean."""
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular"), nn.ReLU()).double()
    rng = np.random.default_rng(0)
    query = np.zeros((1, 1, 8, 8))
    query[0, 0, 2:4, 2:4] = rng.random((2, 2)) + 1
    moved = np.roll(query, 4, (2, 3))
    others = np.concatenate([0.3 * rng.random((5, 1, 8, 8)), moved])
    found = visualize.neighbours(net, "1", query, others, 1)
    assert found.features.tolist() == [[5]] and found.pixels.tolist() != [[5]]


def test_embeddings() -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    a = rng.standard_normal((40, 1)) * np.array([[3.0, 4, 0]]) + [1, 2, 3]
    found = visualize.pca(a, 2)
    assert found.points.shape == (40, 2)
    np.testing.assert_allclose(found.explained, [1, 0], atol=1e-12)
    np.testing.assert_allclose(np.abs(found.points[:, 0]), np.abs((a - a.mean(0)) @ [0.6, 0.8, 0]))
    groups = np.concatenate([rng.standard_normal((20, 5)), 50 + rng.standard_normal((20, 5))])
    points = visualize.tsne(groups, perplexity=5)
    _, first = visualize.nearest(points, points, 2)
    near, _ = visualize.nearest(points, points, 2)
    assert ((near[:, 1] < 20) == (np.arange(40) < 20)).all() and first.shape == (40, 2)
    with pytest.raises(ValueError, match="perplexity must be above 0 and below 40, got 40"):
        visualize.tsne(groups, 40)
    with pytest.raises(ValueError, match="axes must be at most 5, got 6"):
        visualize.pca(groups, 6)
    with pytest.raises(ValueError, match=r"features must be \(N, D\)"):
        visualize.pca(groups[0])


# -- receptive fields ----------------------------------------------------------------------------


def test_receptive_fields_of_the_lectures() -> None:
    """Two 3×3 see 5×5, three 7×7; AlexNet's pool5 and VGG-16's as published (Araujo et al.)."""
    stack = nn.Sequential(*[nn.Conv2d(1, 1, 3) for _ in range(3)])
    shape = (1, 1, 32, 32)
    sizes = [visualize.receptive_field(stack, str(k), shape).size for k in range(3)]
    assert sizes == [(3, 3), (5, 5), (7, 7)]
    with undrawn():  # weights do not matter
        alexnet, vgg = fc.models.alexnet(num_classes=2), fc.models.vgg16(num_classes=2)
        resnets = fc.models.resnet18(num_classes=2), fc.models.resnet50(num_classes=2)
    found = visualize.receptive_field(alexnet, "features.12", (1, 3, 224, 224))
    assert found.size == (195, 195) and found.stride == (32, 32)
    found = visualize.receptive_field(vgg, "features.30", (1, 3, 64, 64))
    assert found.size == (212, 212) and found.stride == (32, 32)
    assert visualize.receptive_field(vgg, "classifier.0", (1, 3, 64, 64)).size == (64, 64)
    # 11 after the stem; 3×3 convolutions add twice the stride, the first of a layer at the old one
    sizes = (
        11 + 4 * 8 + 8 + 3 * 16 + 16 + 3 * 32 + 32 + 3 * 64,
        11 + 3 * 8 + 8 + 3 * 16 + 16 + 5 * 32 + 32 + 2 * 64,
    )
    for net, layer, size in zip(resnets, ("layer4.1.conv2", "layer4.2.conv3"), sizes):
        found = visualize.receptive_field(net, layer, (1, 3, 64, 64))
        assert found.size == (size, size) and found.stride == (32, 32)


class _Branches(nn.Module):
    """A residual of two convolutions, then pooling beside a dilated convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.skip = nn.Conv2d(2, 4, 1)
        self.pool, self.wide = nn.AvgPool2d(2), nn.Conv2d(4, 4, 3, 2, 2, dilation=2)
        self.last = nn.Conv2d(8, 3, (1, 3))

    def forward(self, x: Any) -> Any:
        y = F.relu(self.b(F.relu(self.a(x))) + self.skip(x))
        return self.last(fc.cat([self.pool(y), self.wide(y)], 1))


@pytest.mark.parametrize("layer", ["a", "b", "skip", "pool", "wide", "last"])
def test_measured_field_is_the_computed_one(layer: str) -> None:
    """All weights positive, so that every pixel within has an influence."""
    net = _Branches().double()
    with fc.no_grad():
        for p in net.parameters():
            p.uniform_(0.5, 1)
    x = np.random.default_rng(0).random((1, 2, 30, 32)) + 0.1
    computed = visualize.receptive_field(net, layer, x.shape)
    unit = (5, 6)
    measured = visualize.measured_field(net, layer, x, unit)
    assert visualize.field_box(measured) == computed.box(*unit)
    top, left, bottom, right = computed.box(*unit)
    assert (measured[top:bottom, left:right] > 0).all()


def test_errors_of_fields() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 4, 2, 2), nn.ReLU())
    with pytest.raises(ValueError, match=r"field of ConvTranspose2d '1' is not known.*measured"):
        visualize.receptive_field(net, "2", (1, 3, 8, 8))
    with pytest.raises(ValueError, match="has modules inside, or was not called"):
        visualize.receptive_field(nn.Sequential(nn.Sequential(nn.ReLU())), "0", (1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"unit must be within 8×8 units of '3', got \(8, 0\)"):
        visualize.measured_field(small(), "3", images(1), (8, 0))
    with pytest.raises(ValueError, match="no pixel has any influence"):
        visualize.field_box(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="shape must hold positive sizes"):
        visualize.receptive_field(net, "0", (1, 3, 0, 8))


# -- evaluation ----------------------------------------------------------------------------------


def test_calibration_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.95, 0.05], [0.4, 0.6], [0.38, 0.62]])
    found = visualize.calibration(p, [0, 1, 1, 1], bins=5)
    assert found.samples.tolist() == [0, 0, 1, 1, 2]  # 0.6 ends its bin
    np.testing.assert_allclose(found.confidence[2:], [0.6, 0.62, 0.925])
    np.testing.assert_allclose(found.accuracy[2:], [1, 1, 0.5])
    assert found.error == pytest.approx((0.4 + 0.38 + 2 * 0.425) / 4)
    sure = visualize.calibration([0.0, 0.25, 0.75, 1.0], [0, 0, 1, 1], bins=2)
    assert sure.samples.tolist() == [2, 2]
    np.testing.assert_allclose(sure.confidence, [0.125, 0.875])
    np.testing.assert_allclose(sure.accuracy, [0, 1])
    assert sure.error == pytest.approx(0.125)


def test_calibration_is_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.calibration")
    rng = np.random.default_rng(0)
    p = rng.random(300)
    y = (rng.random(300) < p).astype(int)
    found = visualize.calibration(p, y, bins=8)
    right, sure = sklearn.calibration_curve(y, p, n_bins=8)
    np.testing.assert_allclose(found.accuracy, right, rtol=1e-12)
    np.testing.assert_allclose(found.confidence, sure, rtol=1e-12)
    assert found.error == pytest.approx((np.abs(right - sure) * found.samples).sum() / 300)
    with pytest.raises(ValueError, match="take the softmax of scores"):
        visualize.calibration(p - 0.5, y)
    with pytest.raises(ValueError, match=r"must be \(N, classes\) or \(N,\) and target \(N,\)"):
        visualize.calibration(p, y[1:])


# -- graphs and times ----------------------------------------------------------------------------


def test_the_graph_shows_branches_and_shapes() -> None:
    text = visualize.dot(_Branches(), (1, 2, 30, 32))
    assert text.startswith('digraph "_Branches" {') and text.endswith("}\n")
    labels = dict(
        line.strip().split(" [label=", 1) for line in text.splitlines() if "n" in line[:4]
        and "->" not in line and "[label=" in line
    )  # fmt: skip
    number = {t.split('"')[1].split("\\n")[0]: n for n, t in labels.items()}
    assert {"input", "a", "b", "skip", "Add", "pool", "wide", "Cat", "last", "output"} <= set(
        number
    )

    def edge(a: str, b: str, shape: str) -> bool:
        return f'  {number[a]} -> {number[b]} [label="{shape}"];' in text

    assert edge("input", "a", "1×2×30×32") and edge("input", "skip", "1×2×30×32")
    assert edge("a", "b", "1×4×30×32") and edge("b", "Add", "1×4×30×32")
    assert edge("skip", "Add", "1×4×30×32") and edge("Add", "pool", "1×4×30×32")
    assert edge("Add", "wide", "1×4×30×32") and edge("pool", "Cat", "1×4×15×16")
    assert edge("wide", "Cat", "1×4×15×16") and edge("Cat", "last", "1×8×15×16")
    assert edge("last", "output", "1×3×15×14")
    assert text.count("->") == 11
    assert "Conv2d 3×3, stride 2" in text


def test_the_graph_of_networks_with_fused_layers_in_place() -> None:
    text = visualize.dot(fc.models.resnet18(num_classes=2), (1, 3, 64, 64), "LR")
    assert "rankdir=LR" in text
    assert text.count('label="Add"') == 8 and text.count("BatchNorm2d") == 20
    steps = text.count(" [label=") - text.count("->")
    assert steps == 20 + 20 + 17 + 8 + 1 + 1 + 1 + 2  # conv, bn, relu, add, pools, fc, ends


def test_render(tmp_path: Path, monkeypatch: Any) -> None:
    text = visualize.dot(small(), (1, 3, 16, 16))
    assert visualize.render(text, tmp_path / "net.dot").read_text(encoding="utf-8") == text
    with pytest.raises(ValueError, match=r"path must end in \.svg, \.png, \.pdf or \.dot"):
        visualize.render(text, tmp_path / "net.txt")
    if shutil.which("dot"):
        assert visualize.render(text, tmp_path / "net.svg").read_text().count("<svg") == 1
        with pytest.raises(ValueError, match="graphviz says"):
            visualize.render("digraph {", tmp_path / "net.svg")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="graphviz's program dot is not installed"):
        visualize.render(text, tmp_path / "net.png")


def test_layer_times_are_of_every_module_in_order() -> None:
    net, x = small("float32"), images(2).astype(np.float32)
    found = visualize.layer_times(net, x, repeats=2)
    assert [t.name for t in found] == [str(k) for k in range(8)]
    assert [t.kind for t in found][:3] == ["Conv2d", "ReLU", "MaxPool2d"]
    assert all(t.milliseconds > 0 for t in found)
    with fc.profile(), pytest.raises(RuntimeError, match="do not nest"):
        visualize.layer_times(net, x)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


# -- drawing -------------------------------------------------------------------------------------


def test_overlay_by_hand() -> None:
    image = np.full((3, 2, 2), 0.5)
    found = visualize.overlay(image, np.array([[0.0, 1], [0.25, 0.5]]), share=0.5)
    np.testing.assert_allclose(found[0, 0], 0.5)  # no heat: the image
    np.testing.assert_allclose(found[0, 1], [0.5, 0.25, 0.25])  # half dark red
    with pytest.raises(ValueError, match="does not fit an image"):
        visualize.overlay(image, np.ones((3, 3)))
    with pytest.raises(ValueError, match="heat must be from 0 to 1, got 0 to 2"):
        visualize.overlay(image, np.array([[0.0, 2], [0, 0]]))
    with pytest.raises(ValueError, match="share must be from 0 to 1"):
        visualize.overlay(image, np.ones((2, 2)), 2)


def test_every_drawing_gives_a_figure_that_can_be_written(tmp_path: Path) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    pytest.importorskip("sklearn")
    net, x = small(), images(3)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 30)
    y = rng.integers(0, 3, 30)
    field = visualize.receptive_field(net, "3", (1, 3, 16, 16))
    drawn = [
        visualize.show_filters(visualize.filters(net)),
        visualize.show_filters(handmade.gabor_bank(4)),
        visualize.show_activations(visualize.activations(net, x[0], "0"), title="maps"),
        visualize.show_heatmaps(x[0], {"Grad-CAM": visualize.grad_cam(net, x[0], "3")}),
        visualize.show_attributions(x[0], {"signed": x[1], "size": np.abs(x[1])}),
        visualize.show_neighbours(
            x.clip(0, 1), x.clip(0, 1), visualize.neighbours(net, "3", x, x, 2), ["a", "b", "c"]
        ),
        visualize.show_embedding(visualize.pca(p).points, y, ["a", "b", "c"], "PCA"),
        visualize.show_receptive_field(
            x[0], field.box(4, 4), visualize.measured_field(net, "3", x)
        ),
        visualize.show_confusion(metrics.confusion_matrix(p, y), ["one", "two", "three"]),
        visualize.show_roc(p, y, ["one", "two", "three"]),
        visualize.show_roc(p[:, 0], y == 0),
        visualize.show_calibration(visualize.calibration(p, y)),
        visualize.show_layer_times(visualize.layer_times(net, x)),
    ]
    for k, figure in enumerate(drawn):
        assert isinstance(figure, figures.Figure)
        path = tmp_path / f"{k}.png"
        figure.savefig(path)
        assert path.read_bytes().startswith(b"\x89PNG")
    from matplotlib import pyplot as plt

    assert not plt.get_fignums()  # none is left behind in pyplot's register
    with pytest.raises(ValueError, match="3 classes, but 2 names"):
        visualize.show_confusion(np.eye(3, dtype=int), ["a", "b"])
