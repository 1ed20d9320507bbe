"""Networks against torchvision's, with the same weights. Skipped where torchvision is missing."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import models
from fastconv.nn.init import undrawn
from tests.models_table import DIGESTS, digests_of_torchvision

pytestmark = pytest.mark.torch


def torchvision() -> Any:
    """PyTorch and torchvision's models; some builds of it cannot be imported."""
    torch = pytest.importorskip("torch")
    try:
        import torchvision.models as theirs
    except Exception as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    return torch, theirs


def theirs_and_ours(name: str, **options: Any) -> tuple[Any, Any, Any]:
    """PyTorch, torchvision's network and ours, in float64, with one state drawn for both."""
    torch, theirs = torchvision()
    their = theirs.get_model(name, **options)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for key, value in their.state_dict().items():
        # Statistics that are not at their start, and scales that do not let the values die away.
        if key.endswith("running_mean"):
            value.copy_(torch.from_numpy(rng.normal(0, 0.1, value.shape)))
        elif key.endswith("running_var") or key.endswith("layer_scale"):
            value.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, value.shape)))
    their = their.double()
    with undrawn():
        our = models.get(name, **options).double()
    our.load_state_dict({key: value.numpy() for key, value in their.state_dict().items()})
    return torch, their, our


def images(name: str, size: int, count: int = 1) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()) + 1)
    return rng.standard_normal((count, 3, size, size))


def close(ours: Any, theirs: Any, what: str) -> None:
    ours, theirs = np.asarray(ours.detach()), theirs.detach().numpy()
    assert ours.shape == theirs.shape, what
    assert np.abs(theirs).max() > 1e-12, f"{what}: nothing to compare"
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    assert error < 1e-8, f"{what}: {error:.3g}"


#: Networks and the sizes of image at which they are run.
EVALUATED = {
    "vgg16": 33,
    "googlenet": 65,
    "inception_v3": 99,
    "resnet18": 65,
    "resnet50": 65,
    "resnext50_32x4d": 65,
    "wide_resnet50_2": 65,
    "densenet121": 65,
    "densenet161": 65,
    "squeezenet1_0": 67,
    "squeezenet1_1": 67,
    "mobilenet_v2": 65,
    "mobilenet_v3_large": 65,
    "mobilenet_v3_small": 65,
    "shufflenet_v2_x0_5": 65,
    "shufflenet_v2_x1_5": 65,
    "mnasnet0_5": 65,
    "mnasnet1_3": 65,
    "efficientnet_b0": 65,
    "efficientnet_b3": 65,
    "efficientnet_b5": 65,
    "efficientnet_v2_s": 65,
    "regnet_x_400mf": 65,
    "regnet_x_8gf": 65,
    "regnet_y_400mf": 65,
    "regnet_y_3_2gf": 65,
    "convnext_tiny": 65,
}


@pytest.mark.parametrize("name", EVALUATED)
def test_outputs(name: str) -> None:
    torch, their, our = theirs_and_ours(name)
    x = images(name, EVALUATED[name])
    with torch.no_grad():
        expected = their.eval()(torch.from_numpy(x))
    with fc.no_grad():
        close(our.eval()(fc.tensor(x)), expected, name)


#: What is left out in training, so that nothing random is left: options of both sides.
STILL: dict[str, tuple[int, dict[str, Any]]] = {
    "alexnet": (67, {"dropout": 0.0}),
    "vgg11_bn": (33, {"dropout": 0.0}),
    "googlenet": (65, {"dropout": 0.0, "dropout_aux": 0.0}),
    "inception_v3": (299, {"dropout": 0.0}),
    "resnet34": (65, {}),
    "densenet121": (65, {}),
    "squeezenet1_1": (67, {"dropout": 0.0}),
    "mobilenet_v2": (65, {"dropout": 0.0}),
    "mobilenet_v3_small": (65, {"dropout": 0.0}),
    "shufflenet_v2_x0_5": (65, {}),
    "mnasnet0_5": (65, {"dropout": 0.0}),
    "efficientnet_b0": (65, {"dropout": 0.0, "stochastic_depth_prob": 0.0}),
    "regnet_y_400mf": (65, {}),
    "convnext_tiny": (65, {"stochastic_depth_prob": 0.0}),
}


@pytest.mark.parametrize("name", STILL)
def test_training(name: str) -> None:
    size, options = STILL[name]
    torch, their, our = theirs_and_ours(name, num_classes=10, **options)
    x = images(name, size, 3)
    expected, found = their.train()(torch.from_numpy(x)), our.train()(fc.tensor(x))
    if isinstance(expected, tuple):
        assert type(found).__name__ == type(expected).__name__
        assert found._fields == expected._fields
        for field in expected._fields:
            close(getattr(found, field), getattr(expected, field), f"{name}.{field}")
        expected, found = sum(expected), sum(found[1:], found[0])
    else:
        close(found, expected, name)
    (expected**2).sum().backward()
    (found**2).sum().backward()
    gradients = dict(our.named_parameters())
    for key, parameter in their.named_parameters():
        theirs, ours = parameter.grad.numpy(), np.asarray(gradients[key].grad)
        error = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-6)
        assert error < 1e-5, f"{name}: gradient of {key}: {error:.3g}"
    state = our.state_dict()
    for key, value in their.state_dict().items():
        np.testing.assert_allclose(np.asarray(state[key]), value.numpy(), 1e-8, 1e-8, err_msg=key)


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("resnet50", 65, {"replace_stride_with_dilation": [False, True, True]}),
        ("resnet18", 65, {"zero_init_residual": True, "num_classes": 7}),
        ("mobilenet_v2", 65, {"width_mult": 0.35, "num_classes": 7}),
        ("mobilenet_v3_small", 65, {"width_mult": 0.5, "num_classes": 7}),
        ("mobilenet_v3_large", 65, {"dilated": True, "reduced_tail": True}),
        ("googlenet", 65, {"transform_input": True, "aux_logits": False}),
        ("inception_v3", 99, {"transform_input": True, "aux_logits": False}),
        ("densenet121", 65, {"memory_efficient": True}),
    ],
)
def test_options(name: str, size: int, options: dict[str, Any]) -> None:
    torch, their, our = theirs_and_ours(name, **options)
    assert list(their.state_dict()) == list(our.state_dict())
    x = images(name, size)
    with torch.no_grad():
        expected = their.eval()(torch.from_numpy(x))
    with fc.no_grad():
        close(our.eval()(fc.tensor(x)), expected, name)


@pytest.mark.parametrize(
    "name",
    ["squeezenet1_1", "resnet18", "densenet121", "googlenet", "mobilenet_v2", "mobilenet_v3_small",
     "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny"],
)  # fmt: skip
def test_weights_begin_alike(name: str) -> None:
    """Mean and deviation of every weight, as far as their number lets them be known."""
    _, theirs = torchvision()
    fc.manual_seed(0)
    our = models.get(name).state_dict()
    for key, value in theirs.get_model(name).state_dict().items():
        ours, expected = np.asarray(our[key], np.float64), value.double().numpy()
        rough = 6 / np.sqrt(max(expected.size, 1)) * max(expected.std(), 1e-12)
        if expected.std() == 0 or ours.std() == 0:
            np.testing.assert_array_equal(ours, expected, err_msg=key)
        elif expected.size >= 64:
            assert abs(ours.std() - expected.std()) < rough, key
            assert abs(ours.mean() - expected.mean()) < 1.5 * rough, key


def test_digests() -> None:
    """The committed digests are torchvision's (of the networks that it builds without memory)."""
    torchvision()
    committed = json.loads(DIGESTS.read_text(encoding="utf-8"))
    names = [name for name in committed if not name.startswith("regnet")]
    assert digests_of_torchvision(names) == {name: committed[name] for name in names}


def test_features() -> None:
    torch, their, our = theirs_and_ours("resnet18")
    from torchvision.models.feature_extraction import create_feature_extractor

    nodes = {"layer1": "a", "layer2.0.downsample": "b", "layer3.1.relu": "c", "avgpool": "d"}
    nodes["layer4.0.relu_1"] = "e"
    x = images("features", 65)
    with torch.no_grad():
        expected = create_feature_extractor(their.eval(), nodes)(torch.from_numpy(x))
    with fc.no_grad():
        found = models.create_feature_extractor(our.eval(), nodes)(fc.tensor(x))
    assert list(found) == list(nodes.values())
    for key, value in expected.items():
        close(found[key], value, key)
