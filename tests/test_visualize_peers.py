"""Explanations equal captum's and pytorch-grad-cam's where those are installed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn, visualize
from tests.looking import images, small

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = pytest.mark.torch


def peer(module: str) -> Any:
    """A package that this compares with; the test is skipped where it cannot be imported."""
    import importlib

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except (ImportError, RuntimeError, OSError) as error:
        return pytest.skip(f"{module} cannot be imported: {error}")


def twin(net: nn.Module) -> Any:
    """The network of `tests.looking.small` in PyTorch, with its weights."""
    made = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 12, 3, padding=1), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d((2, 2)), torch.nn.Flatten(), torch.nn.Linear(48, 5),
    ).to(torch.float64)  # fmt: skip
    made.load_state_dict({k: torch.from_numpy(v.numpy()) for k, v in net.state_dict().items()})
    return made.eval()


X = images(2)
TARGETS = [1, 3]
#: captum keeps the weights of integration, and sums over covers, in float32.
SINGLE = 2.0**-21


def close(found: np.ndarray, wanted: Any, rtol: float = 1e-9) -> None:
    """Equal, to the rounding of the type; the scale is the largest value."""
    wanted = wanted.detach().numpy() if hasattr(wanted, "detach") else np.asarray(wanted)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("name", "attribution"),
    [
        ("saliency", "Saliency"), ("input_x_gradient", "InputXGradient"),
        ("guided_backprop", "GuidedBackprop"), ("deconvnet", "Deconvolution"),
    ],
)  # fmt: skip
def test_gradients_are_captums(name: str, attribution: str) -> None:
    attr = peer("captum.attr")
    net = small()
    found = getattr(visualize, name)(net, X, TARGETS)
    x = torch.from_numpy(X).requires_grad_(True)
    close(found, getattr(attr, attribution)(twin(net)).attribute(x, target=TARGETS))


@pytest.mark.parametrize("baseline", [0.0, 0.4])
def test_integrated_gradients_are_captums(baseline: float) -> None:
    attr = peer("captum.attr")
    net = small()
    found = visualize.integrated_gradients(net, X, TARGETS, baseline, steps=30)
    wanted = attr.IntegratedGradients(twin(net)).attribute(
        torch.from_numpy(X), baseline, target=TARGETS, n_steps=30
    )
    close(found, wanted, SINGLE)


def test_smoothgrad_is_the_mean_of_captums_saliency() -> None:
    attr = peer("captum.attr")
    net = small()
    found = visualize.smoothgrad(net, X, TARGETS, samples=4, noise=0.2, seed=1)
    draw = np.random.default_rng(1)
    spread = 0.2 * (X.max((1, 2, 3)) - X.min((1, 2, 3)))[:, None, None, None]
    each = []
    for _ in range(4):
        x = torch.from_numpy(X + spread * draw.standard_normal(X.shape)).requires_grad_(True)
        each.append(attr.Saliency(twin(net)).attribute(x, target=TARGETS).detach().numpy())
    close(found, np.mean(each, 0))


@pytest.mark.parametrize(("window", "stride"), [(4, 2), (5, 3), ((3, 6), (2, 5)), (16, 1)])
def test_occlusion_is_captums(window: Any, stride: Any) -> None:
    attr = peer("captum.attr")
    net = small()
    found = visualize.occlusion(net, X, TARGETS, window, stride, 0.25)
    high, wide = window if isinstance(window, tuple) else (window, window)
    down, right = stride if isinstance(stride, tuple) else (stride, stride)
    wanted = attr.Occlusion(twin(net)).attribute(
        torch.from_numpy(X), (3, high, wide), (3, down, right), 0.25, target=TARGETS
    )
    for channel in range(3):
        close(found, wanted[:, channel], SINGLE)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("grad_cam", "GradCAM"), ("grad_cam_plus_plus", "GradCAMPlusPlus"),
        ("hires_cam", "HiResCAM"), ("score_cam", "ScoreCAM"), ("ablation_cam", "AblationCAM"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("layer", [3, 4])
def test_maps_are_pytorch_grad_cams(name: str, method: str, layer: int) -> None:
    cams = peer("pytorch_grad_cam")
    model_targets = peer("pytorch_grad_cam.utils.model_targets")
    if method == "AblationCAM" and layer == 3:
        pytest.skip("pytorch-grad-cam sets channels of signed maps far below zero, not to zero")
    if method == "AblationCAM":
        peer("pytorch_grad_cam.ablation_layer")
    net = small("float32")
    other = twin(net).float()
    x = X.astype(np.float32)
    found = getattr(visualize, name)(net, x, str(layer), TARGETS)
    goals = [model_targets.ClassifierOutputTarget(k) for k in TARGETS]
    with getattr(cams, method)(model=other, target_layers=[other[layer]]) as cam:
        wanted = cam(input_tensor=torch.from_numpy(x), targets=goals)
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_attention_weights_are_pytorchs() -> None:
    fc.manual_seed(0)
    ours = nn.MultiheadAttention(8, 2, batch_first=True).double()
    other = torch.nn.MultiheadAttention(8, 2, batch_first=True).double()
    other.load_state_dict({k: torch.from_numpy(v.numpy()) for k, v in ours.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, 5, 8))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = ours

        def forward(self, t: Any) -> Any:
            return self.attention(t, t, t, need_weights=False)[0]

    found = visualize.attention_weights(Net(), x)["attention"]
    t = torch.from_numpy(x)
    close(found, other(t, t, t, average_attn_weights=False)[1])
