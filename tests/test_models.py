"""The networks of fastconv.models: published figures, names, shapes, a step of each family."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import models, nn
from fastconv.models._blocks import StochasticDepth
from fastconv.nn.init import undrawn
from fastconv.text import SPACE
from tests.models_table import DIGESTS, NETWORKS, PAPERS, TASKS, digest

CLASSES = {"num_classes": 7}
NOT_IMAGENET = {"mlp", "neocognitron", "neocognitron_modern", "lenet5", "lenet5_original",
                "lenet_digits"}  # fmt: skip

DOCUMENTED = [
    name for name, row in NETWORKS.items() if name not in NOT_IMAGENET and len(row.input) > 2
]


def undrawn_network(name: str, **options: Any) -> Any:
    """A network whose weights are not drawn: enough to count them."""
    with undrawn():
        return models.get(name, **options)


def fill(network: Any) -> None:
    """Weights that keep the variance, a few thousand numbers over and over."""
    drawn = np.random.default_rng(0).standard_normal(4099).astype(np.float32)
    for key, parameter in network.named_parameters():
        values = parameter.data.numpy()
        if values.ndim > 1:
            values[...] = np.resize(drawn, values.shape)
            values *= math.sqrt(2 / max(1, math.prod(values.shape[1:])))
        elif key.endswith("bias"):
            values[...] = 0


def test_every_network_has_its_row():
    """A new builder needs a row in tests/models_table.py, its family a paper."""
    assert set(NETWORKS) == set(models.list())
    assert set(PAPERS) == {family for family, (builders, _) in models.FAMILIES.items() if builders}


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters(name: str) -> None:
    row = NETWORKS[name]
    network = undrawn_network(name, **row.options)
    assert sum(p.numel() for p in network.parameters()) == row.parameters
    assert row.published(), f"{row.source!r} does not say {row.parameters}"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstrings_say_the_parameters(name: str) -> None:
    number = f"{sum(p.numel() for p in undrawn_network(name).parameters()):,}".replace(",", " ")
    said = getattr(models, name).__doc__
    assert number in said and f"{NETWORKS[name].input[1]}×" in said


def test_names_and_shapes_are_torchvisions() -> None:
    """As tests/models_table.py found them in torchvision 0.28; order counts."""
    expected = json.loads(DIGESTS.read_text(encoding="utf-8"))
    assert set(expected) == {name for name, row in NETWORKS.items() if row.torchvision}
    for name, value in expected.items():
        state = undrawn_network(name).state_dict()
        assert digest((key, v.shape) for key, v in state.items()) == value, name


def test_the_page_is_the_table() -> None:
    """docs/models.md; its multiply-adds are counted again where that takes no time."""
    from bench.models import row_of

    page = Path(__file__).parents[1] / "docs" / "models.md"
    rows = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            rows[cells[0].strip("`")] = cells
    assert list(rows) == list(NETWORKS)
    for name, cells in rows.items():
        assert cells[:2] == row_of(name)[:2] and cells[3:] == row_of(name)[3:], name
        if cells[2] == "–" or float(cells[2].replace(SPACE, "")) < 250:
            assert cells == row_of(name, count=True), name


#: A network of each family, small, and the shape of its images.
SMALL: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "mlp": ("mlp", {"hidden": (20, 10), "dropout": 0.1}, (1, 28, 28)),
    "neocognitron": ("neocognitron", {"planes": (4, 5)}, (1, 20, 20)),
    "neocognitron modern": ("neocognitron_modern", {"planes": (4, 5)}, (1, 20, 20)),
    "lenet": ("lenet5", {}, (1, 28, 28)),
    "lenet original": ("lenet5_original", {}, (1, 32, 32)),
    "lenet_digits": ("lenet_digits", {}, (1, 8, 8)),
    "alexnet": ("alexnet", {"in_channels": 1}, (1, 67, 67)),
    "zfnet": ("zfnet", {"in_channels": 1}, (1, 224, 224)),
    "vgg": ("vgg11_bn", {"in_channels": 1}, (1, 32, 32)),
    "googlenet": ("googlenet", {}, (3, 65, 65)),
    "inception": ("inception_v3", {"aux_logits": False}, (3, 75, 75)),
    "resnet": ("resnet18", {}, (3, 33, 33)),
    "resnet dilated": ("resnet50", {"replace_stride_with_dilation": (0, 0, 1)}, (3, 33, 33)),
    "resnext": ("resnext50_32x4d", {}, (3, 33, 33)),
    "wide resnet": ("wide_resnet50_2", {}, (3, 33, 33)),
    "se_resnet": ("se_resnet50", {}, (3, 33, 33)),
    "cifar_resnet": ("resnet44", {}, (3, 16, 16)),
    "densenet": ("densenet121", {"drop_rate": 0.1}, (3, 33, 33)),
    "squeezenet": ("squeezenet1_1", {"in_channels": 1}, (1, 65, 65)),
    "xception": ("xception", {"middle": 1}, (3, 71, 71)),
    "mobilenetv1": ("mobilenet_v1", {"width_mult": 0.25}, (3, 33, 33)),
    "mobilenetv2": ("mobilenet_v2", {"width_mult": 0.35, "in_channels": 2}, (2, 33, 33)),
    "mobilenetv3": ("mobilenet_v3_small", {"width_mult": 0.5}, (3, 33, 33)),
    "shufflenetv2": ("shufflenet_v2_x0_5", {}, (3, 33, 33)),
    "mnasnet": ("mnasnet0_5", {}, (3, 33, 33)),
    "nasnet": ("nasnet_a_mobile", {"penultimate_filters": 96, "cells": 2}, (3, 33, 33)),
    "efficientnet": ("efficientnet_b0", {}, (3, 33, 33)),
    "efficientnet v2": ("efficientnet_v2_s", {}, (3, 33, 33)),
    "regnet": ("regnet_y_400mf", {}, (3, 33, 33)),
    "convnext": ("convnext_tiny", {}, (3, 33, 33)),
}


def test_every_family_has_a_small_network() -> None:
    built = {models._BUILDERS[name] for name, _, _ in SMALL.values()}
    assert built == set(PAPERS) - TASKS


@pytest.mark.parametrize("case", SMALL)
def test_step(case: str) -> None:
    """Forward and backward: scores of the right shape, a gradient for every parameter."""
    name, options, shape = SMALL[case]
    fc.manual_seed(0)
    network = undrawn_network(name, **CLASSES, **options)
    if sum(p.numel() for p in network.parameters()) > 20e6:
        fill(network)  # cheaper than to draw all of it
    else:
        network = models.get(name, **CLASSES, **options)
    scores = network(fc.rand(2, *shape))
    total = scores
    if isinstance(scores, tuple):
        total = sum(scores[1:], scores[0])
        scores = scores[0]
    assert scores.shape == (2, 7)
    nn.functional.cross_entropy(total, fc.tensor([0, 6])).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert np.isfinite(np.asarray(parameter.grad)).all(), key
    with fc.no_grad():
        network.eval()
        x = fc.rand(2, *shape)
        scores, again = network(x), network(x)
    assert scores.shape == (2, 7) and fc.equal(scores, again)
    assert not fc.equal(scores[0], scores[1])  # the image matters


#: Network, weight, and the deviation that it is drawn with.
SPREADS = [
    ("vgg11", "features.18.weight", math.sqrt(2 / (512 * 9))),
    ("vgg11", "classifier.6.weight", 0.01),
    ("alexnet_2012", "features.4.weight", 0.01),
    ("googlenet", "inception4b.branch2.1.conv.weight", 0.01),
    ("inception_v3", "Mixed_6b.branch7x7_2.conv.weight", 0.1),
    ("inception_v3", "AuxLogits.conv1.conv.weight", 0.01),
    ("inception_v3", "AuxLogits.fc.weight", 0.001),
    ("resnet18", "layer4.1.conv2.weight", math.sqrt(2 / (512 * 9))),
    ("resnet20", "layer3.1.conv2.weight", math.sqrt(2 / (64 * 9))),
    ("resnext50_32x4d", "layer3.1.conv2.weight", math.sqrt(2 / (512 * 9))),
    ("densenet121", "features.denseblock4.denselayer16.conv1.weight", math.sqrt(2 / 992)),
    ("squeezenet1_1", "features.12.expand3x3.weight", math.sqrt(2 / (64 * 9))),
    ("squeezenet1_1", "classifier.1.weight", 0.01),
    ("xception", "blocks.5.rep.1.pointwise.weight", math.sqrt(2 / (728 + 728))),
    ("mobilenet_v1", "features.13.1.0.weight", math.sqrt(2 / 1024)),
    ("mobilenet_v2", "features.18.0.weight", math.sqrt(2 / 1280)),
    ("mobilenet_v2", "classifier.1.weight", 0.01),
    ("mobilenet_v3_small", "features.12.0.weight", math.sqrt(2 / 576)),
    ("shufflenet_v2_x0_5", "conv5.0.weight", math.sqrt(1 / (3 * 192))),
    ("mnasnet0_5", "layers.14.weight", math.sqrt(2 / 1280)),
    ("mnasnet0_5", "classifier.1.weight", 1 / math.sqrt(1000)),
    ("efficientnet_b0", "features.8.0.weight", math.sqrt(2 / 1280)),
    ("efficientnet_b0", "classifier.1.weight", 1 / math.sqrt(3 * 1000)),
    ("regnet_x_400mf", "trunk_output.block4.block4-1.f.b.0.weight", math.sqrt(2 / (9 * 400))),
    ("regnet_x_400mf", "fc.weight", 0.01),
    ("convnext_tiny", "features.7.0.block.3.weight", 0.02),
    ("lenet5_original", "C5.weight", 2.4 / 400 / math.sqrt(3)),
]


def test_weights_begin_as_published() -> None:
    fc.manual_seed(1)
    made: dict[str, Any] = {}
    for name, key, spread in SPREADS:
        if name not in made:
            made = {name: dict(models.get(name).named_parameters())}  # one at a time
        weight = np.asarray(made[name][key].detach())
        tolerance = 5 / math.sqrt(weight.size)
        assert weight.std() == pytest.approx(spread, rel=tolerance + 0.005), (name, key)
        assert abs(weight.mean()) < tolerance * spread, (name, key)


def test_biases_begin_as_published() -> None:
    network = models.get("squeezenet1_0", **CLASSES)
    for key, value in network.named_parameters():
        assert not key.endswith("bias") or not value.any(), key
    assert not models.get("mobilenet_v2", **CLASSES).classifier[1].bias.any()
    network = models.get("convnext_tiny", **CLASSES)
    assert fc.equal(network.features[1][0].layer_scale, fc.full((96, 1, 1), 1e-6))
    network = models.get("resnet18", zero_init_residual=True, **CLASSES)
    assert not network.layer1[0].bn2.weight.any() and network.layer1[0].bn1.weight.all()


def test_a_neocognitron_learns() -> None:
    """Bars that stand and bars that lie, anywhere."""
    fc.manual_seed(0)
    rng = np.random.default_rng(0)
    x = np.zeros((64, 1, 12, 12), np.float32)
    y = np.arange(64) % 2
    for image, label in zip(x[:, 0], y):
        row, column = rng.integers(1, 6, 2)
        turned = image if label else image.T
        turned[row : row + 5, column + 2] = 1
    for network in (models.neocognitron, models.neocognitron_modern):
        net: Any = network(num_classes=2, planes=(4, 4))
        optimizer = fc.optim.Adam(net.parameters(), lr=0.02)
        for _ in range(40):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(fc.tensor(x)), fc.tensor(y))
            loss.backward()
            optimizer.step()
        right = (net(fc.tensor(x)).argmax(1) == fc.tensor(y)).float().mean()
        assert float(right) > 0.95, network.__name__


def test_an_s_cell_is_the_papers() -> None:
    """Equation (1) at one place, and what r is for: a poor likeness is told from a good one."""
    from fastconv.models.neocognitron import SLayer, window

    layer = SLayer(1, 1, 3, selectivity=4.0)
    bar = np.zeros((3, 3), np.float32)
    bar[1] = 1
    with fc.no_grad():
        layer.a.copy_(fc.tensor(5 * bar[None, None] * window(3).astype(np.float32)))
        layer.b.fill_(0.8)
    other = bar.T.copy()
    answers = [float(layer(fc.tensor(image[None, None]))) for image in (bar, other)]
    c, a = window(3), np.asarray(layer.a.detach())[0, 0]
    v = math.sqrt(float((c * bar**2).sum()))
    expected = 4 * max(0.0, (1 + float((a * bar).sum())) / (1 + 8 / 5 * 0.8 * v) - 1)
    assert answers[0] == pytest.approx(expected, rel=1e-5) and answers[0] > 0 == answers[1]


def test_c3_sees_what_table_1_says() -> None:
    from fastconv.models.lenet import CONNECTIONS, SparseConv2d

    assert sum(map(len, CONNECTIONS)) == 60
    for i in range(6):  # each map of S2 is seen by ten
        assert sum(i in seen for seen in CONNECTIONS) == 10
    layer = SparseConv2d()
    x = fc.rand(1, 6, 5, 5)
    whole = layer(x)
    for i in range(6):
        without = x.clone()
        without[:, i] = 0
        changed = (layer(without) != whole).flatten().tolist()
        assert changed == [i in seen for seen in CONNECTIONS]


def test_stochastic_depth() -> None:
    fc.manual_seed(0)
    x = fc.ones(4000, 1, 1, 2)
    rows = StochasticDepth(0.25)(x)
    assert fc.equal(rows[..., 0], rows[..., 1])
    assert sorted({*rows.numpy().ravel().tolist()}) == pytest.approx([0, 1 / 0.75])
    assert float(rows.mean()) == pytest.approx(1, abs=0.05)
    assert not StochasticDepth(1.0)(x).any()
    assert StochasticDepth(0.25).eval()(x) is x
    whole = {float(StochasticDepth(0.5, "batch")(x).mean()) for _ in range(40)}
    assert whole == {0.0, 2.0}
    with pytest.raises(ValueError, match="p must be in"):
        StochasticDepth(1.5)
    with pytest.raises(ValueError, match="'row' or 'batch'"):
        StochasticDepth(0.5, "column")


# -- weights from files ----------------------------------------------------------------------------


def test_weights_from_a_file(tmp_path: Path) -> None:
    options = {"width_mult": 0.35, **CLASSES}
    first = models.mobilenet_v2(**options).eval()
    path = tmp_path / "weights.pt"
    x = fc.rand(1, 3, 33, 33)
    for state in (
        first.state_dict(),
        {"state_dict": first.state_dict(), "epoch": 3},
        {"state_dict": {f"module.{k}": v for k, v in first.state_dict().items()}},
    ):
        fc.save(state, path)
        second = models.get("mobilenet_v2", weights=path, **options).eval()
        assert fc.equal(first(x), second(x))
    with pytest.raises(RuntimeError, match="size mismatch"):
        models.mobilenet_v2(weights=str(path), width_mult=0.35)
    fc.save([1, 2], path)
    with pytest.raises(ValueError, match="holds list, not a state_dict"):
        models.mobilenet_v2(weights=path)


def test_auxiliary_classifiers_of_a_file(tmp_path: Path) -> None:
    """As torchvision: weights of these two were trained with other images, and the helpers go."""
    path = tmp_path / "weights.pt"
    fc.save(undrawn_network("googlenet", **CLASSES).state_dict(), path)
    network = models.googlenet(weights=path, **CLASSES)
    assert network.transform_input and network.aux1 is None and not network.aux_logits
    network = models.googlenet(weights=path, aux_logits=True, transform_input=False, **CLASSES)
    assert not network.transform_input and network.aux1 is not None
    fc.save(undrawn_network("inception_v3", **CLASSES).state_dict(), path)
    network = models.inception_v3(weights=path, **CLASSES)
    assert network.transform_input and network.AuxLogits is not None
    assert models.inception_v3(weights=path, aux_logits=False, **CLASSES).AuxLogits is None


def test_older_names_of_densenet() -> None:
    network = models.densenet121(**CLASSES)
    state = network.state_dict()
    old = {
        k.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in k else k: v
        for k, v in state.items()
    }
    assert set(old) != set(state)
    network.load_state_dict(old)


@pytest.mark.parametrize("name", ["resnet18", "vgg16_bn", "googlenet", "inception_v3", "lenet5"])
def test_nothing_is_downloaded(name: str) -> None:
    builder = getattr(models, name)
    for weights in (True, "DEFAULT", "IMAGENET1K_V1", "missing.pth"):
        with pytest.raises((ValueError, FileNotFoundError), match="nothing is downloaded"):
            builder(weights=weights)
    if name != "lenet5":
        with pytest.raises(ValueError, match="nothing is downloaded"):
            builder(pretrained=True)


@pytest.mark.parametrize(
    ("name", "options", "error", "text"),
    [
        ("resnet18", {"classes": 3}, TypeError, "resnet18: there is no option 'classes'"),
        ("resnet18", {"layers": (1, 1, 1, 1)}, TypeError, "layers cannot be set"),
        ("resnet18", {"num_classes": 0}, ValueError, "num_classes must be positive, got 0"),
        ("vgg11", {"num_classes": "10"}, TypeError, "num_classes must be an integer, got '10'"),
        ("alexnet", {"num_classes": True}, TypeError, "num_classes must be an integer, got True"),
        ("alexnet", {"in_channels": 2.0}, TypeError, "in_channels must be an integer, got 2.0"),
        ("resnet18", {"width_per_group": 128}, ValueError, "must be 1, 64 and 1"),
        ("resnet50", {"replace_stride_with_dilation": (1,)}, ValueError, "three"),
        ("mobilenet_v2", {"width_mult": 0}, ValueError, "width_mult must be positive, got 0"),
        ("mobilenet_v2", {"inverted_residual_setting": [(1, 2)]}, ValueError, "t, c, n, s"),
        ("mobilenet_v1", {"width_mult": 0.01}, ValueError, "at least 1/32, got 0.01"),
        ("mobilenet_v3_small", {"width_mult": -1.0}, ValueError, "got -1.0"),
        ("nasnet_a_mobile", {"penultimate_filters": 100}, ValueError, "multiple of 96"),
        ("mlp", {"hidden": (0,)}, ValueError, "widths must be positive"),
        ("neocognitron", {"selectivity": 0.0}, ValueError, "selectivity must be positive"),
        ("resnet1", {}, ValueError, "did you mean"),
    ],
)
def test_wrong_arguments(name: str, options: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        models.get(name, **options)


def test_wrong_parts() -> None:
    from fastconv.models.mobilenetv2 import InvertedResidual
    from fastconv.models.regnet import widths
    from fastconv.models.shufflenetv2 import InvertedResidual as Shuffled

    with pytest.raises(ValueError, match="version must be"):
        models.SqueezeNet("2_0")
    with pytest.raises(ValueError, match="four elements"):
        models.ResNet(None, [1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="stride must be 1 or 2"):
        InvertedResidual(8, 8, 3, 6)
    with pytest.raises(ValueError, match="stride must be 1 or 2"):
        Shuffled(8, 10, 1)
    with pytest.raises(ValueError, match="slope must not be negative"):
        widths(10, 24, -1.0, 2.0, 8)
    with pytest.raises(ValueError, match="of one length"):
        models.ConvNeXt((8, 16), (1,))
    with pytest.raises(ValueError, match="three elements"):
        models.ShuffleNetV2((1, 2))
    with pytest.raises(ValueError, match="alpha must be positive"):
        models.MNASNet(0)
    with pytest.raises(ValueError, match="transform_input needs three channels"):
        models.googlenet(transform_input=True, in_channels=1, **CLASSES)(fc.rand(1, 1, 64, 64))


def test_files_do_not_hide_builders() -> None:

    for name in models.list():
        assert callable(getattr(models, name)), name
    for family in models.FAMILIES:
        assert hasattr(models, family), family
    assert models.resnet.BasicBlock.expansion == 1
    for _, others in models.FAMILIES.values():
        for name in others:
            assert hasattr(models, name), name


def test_skip_init() -> None:
    layer = nn.utils.skip_init(nn.Conv2d, 3, 4, 5, padding=2)
    assert layer.weight.shape == (4, 3, 5, 5) and layer(fc.rand(1, 3, 6, 6)).shape == (1, 4, 6, 6)
    norm = nn.utils.skip_init(nn.BatchNorm2d, 3)
    assert norm.weight.all() and not norm.bias.any()
    state = fc.get_rng_state()
    nn.utils.skip_init(nn.Linear, 3, 4)
    assert state == fc.get_rng_state()
    with pytest.raises(ZeroDivisionError), undrawn():
        raise ZeroDivisionError
    assert nn.Linear(300, 4).weight.std() > 0 and state != fc.get_rng_state()
    with pytest.raises(TypeError, match="must be a class of modules"):
        nn.utils.skip_init(nn.Linear(3, 4), 3)
