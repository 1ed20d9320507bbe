"""Segmentation, video and pyramids against torchvision, with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import models
from fastconv.nn.init import undrawn
from tests.test_models_torchvision import close, images, theirs_and_ours, torchvision

pytestmark = pytest.mark.torch

SEGMENTATION: list[tuple[str, int, dict[str, Any]]] = [
    ("fcn_resnet50", 41, {"aux_loss": True}),
    ("deeplabv3_resnet50", 41, {"aux_loss": True, "num_classes": 5}),
    ("deeplabv3_mobilenet_v3_large", 65, {"aux_loss": True}),
    ("lraspp_mobilenet_v3_large", 65, {}),
]


def still(network: Any) -> Any:
    """Training without dropout."""
    for module in network.train().modules():
        if type(module).__name__ == "Dropout":
            module.p = 0.0
    return network


def same_gradients(name: str, their: Any, our: Any) -> None:
    gradients = dict(our.named_parameters())
    for key, parameter in their.named_parameters():
        theirs, ours = parameter.grad.numpy(), np.asarray(gradients[key].grad)
        error = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-6)
        assert error < 1e-5, f"{name}: gradient of {key}: {error:.3g}"


@pytest.mark.parametrize(("name", "size", "options"), SEGMENTATION)
def test_segmentation(name: str, size: int, options: dict[str, Any]) -> None:
    torch, their, our = theirs_and_ours(name, weights_backbone=None, **options)
    assert list(their.state_dict()) == list(our.state_dict())
    x = images(name, size, 2)
    with torch.no_grad():
        expected = their.eval()(torch.from_numpy(x))
    with fc.no_grad():
        found = our.eval()(fc.tensor(x))
    assert list(found) == list(expected)
    for key, value in expected.items():
        close(found[key], value, key)
    expected, found = still(their)(torch.from_numpy(x)), still(our)(fc.tensor(x))
    sum((value**2).mean() for value in expected.values()).backward()
    sum((value**2).mean() for value in found.values()).backward()
    same_gradients(name, their, our)


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18"])
def test_video(name: str) -> None:
    torch, their, our = theirs_and_ours(name, num_classes=6)
    assert list(their.state_dict()) == list(our.state_dict())
    x = np.random.default_rng(3).standard_normal((2, 3, 5, 24, 24))
    with torch.no_grad():
        expected = their.eval()(torch.from_numpy(x))
    with fc.no_grad():
        close(our.eval()(fc.tensor(x)), expected, name)
    expected, found = their.train()(torch.from_numpy(x)), our.train()(fc.tensor(x))
    close(found, expected, name)
    (expected**2).sum().backward()
    (found**2).sum().backward()
    same_gradients(name, their, our)


@pytest.mark.parametrize("name", ["r3d_18", "lraspp_mobilenet_v3_large"])
def test_weights_begin_alike(name: str) -> None:
    """Deviation of every weight, as far as their number lets it be known."""
    _, theirs = torchvision()
    options = {} if name == "r3d_18" else {"weights_backbone": None}
    fc.manual_seed(0)
    our = models.get(name).state_dict()
    for key, value in theirs.get_model(name, **options).state_dict().items():
        ours, expected = np.asarray(our[key], np.float64), value.double().numpy()
        if expected.std() == 0:
            np.testing.assert_array_equal(ours, expected, err_msg=key)
        elif expected.size >= 64:
            rough = 6 / np.sqrt(expected.size) * expected.std()
            assert abs(ours.std() - expected.std()) < rough, key


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_pyramid(name: str) -> None:
    torch, _ = torchvision()
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    their = resnet_fpn_backbone(
        backbone_name=name, weights=None, norm_layer=torch.nn.BatchNorm2d, trainable_layers=5
    )
    their = their.double().eval()
    with undrawn():
        our = models.get(f"fpn_{name}").double().eval()
    state = their.state_dict()
    assert list(state) == list(our.state_dict())
    our.load_state_dict({key: value.numpy() for key, value in state.items()})
    x = images(name, 66)
    with torch.no_grad():
        expected = their(torch.from_numpy(x))
    with fc.no_grad():
        found = our(fc.tensor(x))
    assert list(found) == list(expected) == ["0", "1", "2", "3", "pool"]
    for key, value in expected.items():
        close(found[key], value, key)
