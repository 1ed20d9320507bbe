"""Attributions of pixels and class activation maps: formulas, invariants, hand-worked cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn, visualize
from tests.looking import images, linear_net, small

CAMS = ("grad_cam", "hires_cam", "grad_cam_plus_plus", "score_cam", "ablation_cam")
PIXELS = ("saliency", "input_x_gradient", "smoothgrad", "integrated_gradients", "guided_backprop",
          "deconvnet", "occlusion")  # fmt: skip


def scores(net: nn.Module, x: np.ndarray) -> np.ndarray:
    """Class scores in evaluation mode."""
    with fc.no_grad():
        return net.eval()(fc.tensor(x)).numpy()


def test_saliency_of_a_linear_network_is_its_weights() -> None:
    weight = np.random.default_rng(1).standard_normal((4, 12))
    x = images(1, 2)
    for target in range(4):
        found = visualize.saliency(linear_net(weight), x, target, absolute=False)
        np.testing.assert_array_equal(found.reshape(-1), weight[target])
        found = visualize.saliency(linear_net(weight), x, target)
        np.testing.assert_array_equal(found.reshape(-1), np.abs(weight[target]))


def test_saliency_is_the_slope_by_differences() -> None:
    net, x = small(), images(1)
    found = visualize.saliency(net, x, 2, absolute=False)
    rng = np.random.default_rng(0)
    for _ in range(5):
        step = 1e-6 * rng.standard_normal(x.shape)
        change = scores(net, x + step)[0, 2] - scores(net, x - step)[0, 2]
        assert abs(change - 2 * (found * step).sum()) < 1e-10


def test_without_a_target_the_best_class_counts() -> None:
    net, x = small(), images(3)
    best = scores(net, x).argmax(1)
    for name in ("saliency", "input_x_gradient", "guided_backprop"):
        look = getattr(visualize, name)
        np.testing.assert_array_equal(look(net, x), look(net, x, best))
    each = [visualize.saliency(net, x[i], int(best[i])) for i in range(3)]
    np.testing.assert_allclose(visualize.saliency(net, x), each, rtol=1e-12, atol=1e-15)


def test_input_x_gradient_sums_up_to_the_score_without_biases() -> None:
    net, x = small(), images(2)
    with fc.no_grad():
        for k in (0, 3, 7):
            net[k].bias.zero_()
    found = visualize.input_x_gradient(net, x, 1)
    np.testing.assert_allclose(found.sum((1, 2, 3)), scores(net, x)[:, 1], rtol=1e-10)


def test_smoothgrad_is_the_mean_over_the_noise_it_draws() -> None:
    net, x = small(), images(2)
    found = visualize.smoothgrad(net, x, 1, samples=3, noise=0.1, seed=5)
    draw = np.random.default_rng(5)
    spread = 0.1 * (x.max((1, 2, 3)) - x.min((1, 2, 3)))[:, None, None, None]
    each = [visualize.saliency(net, x + spread * draw.standard_normal(x.shape), 1)
            for _ in range(3)]  # fmt: skip
    np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-12)
    np.testing.assert_allclose(
        visualize.smoothgrad(net, x, 1, samples=2, noise=0), visualize.saliency(net, x, 1),
        rtol=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize("baseline", [0.0, 0.3])
def test_integrated_gradients_are_complete(baseline: float) -> None:
    x = images(2)
    net = nn.Sequential(  # smooth: the rule converges like a power of the number of points
        nn.Conv2d(3, 8, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(8, 8, 3), nn.Softplus(),
        nn.Flatten(), nn.Linear(200, 5),
    ).double()  # fmt: skip
    found = visualize.integrated_gradients(net, x, [1, 3], baseline, steps=60, batch_size=25)
    difference = scores(net, x) - scores(net, np.full_like(x, baseline))
    wanted = difference[[0, 1], [1, 3]]
    np.testing.assert_allclose(found.sum((1, 2, 3)), wanted, rtol=1e-9)


def test_integrated_gradients_of_a_square_are_exact() -> None:
    class Square(nn.Module):
        def forward(self, x: Any) -> Any:
            return (x**2).sum((1, 2, 3))[:, None]

    x = images(2, 3)  # the integral of 2·t·x over t, times x
    found = visualize.integrated_gradients(Square(), x, 0, steps=4, batch_size=3)
    np.testing.assert_allclose(found, x**2, rtol=1e-12)


def relu_net() -> nn.Module:
    """Two pixels, two ReLUs, one score: w·relu(pixels)."""
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4, 1, bias=False)).double()
    with fc.no_grad():
        net[2].weight.copy_(fc.tensor(np.array([[2.0, -3.0, 5.0, -7.0]])))
    return net


def test_guided_backprop_and_deconvnet_by_hand() -> None:
    x = np.array([1.0, 1.0, -1.0, -1.0]).reshape(1, 1, 2, 2)
    net = relu_net()
    assert visualize.saliency(net, x, 0, absolute=False).ravel().tolist() == [2, -3, 0, 0]
    assert visualize.guided_backprop(net, x, 0).ravel().tolist() == [2, 0, 0, 0]
    assert visualize.deconvnet(net, x, 0).ravel().tolist() == [2, 0, 5, 0]
    # the network is as before
    assert visualize.saliency(net, x, 0, absolute=False).ravel().tolist() == [2, -3, 0, 0]
    assert "forward" not in net[0].__dict__


def test_guided_backprop_needs_relu_modules() -> None:
    with pytest.raises(ValueError, match="Sequential has no ReLU modules"):
        visualize.guided_backprop(linear_net(np.ones((2, 12))), images(1, 2))


def test_occlusion_by_hand() -> None:
    weight = np.arange(16.0).reshape(1, 16)
    x = np.ones((1, 1, 4, 4))
    found = visualize.occlusion(linear_net(weight), x, 0, window=2, stride=2)
    blocks = weight.reshape(2, 2, 2, 2).sum((1, 3))  # what each cover takes away
    np.testing.assert_allclose(found[0], np.kron(blocks, np.ones((2, 2))), rtol=1e-12)
    # overlapping covers are averaged: rows 0-1, 1-2 and 2-3 over the whole width
    found = visualize.occlusion(linear_net(weight), x, 0, window=(2, 4), stride=(1, 1))
    rows = weight.reshape(4, 4).sum(1)
    covers = [rows[0] + rows[1], rows[1] + rows[2], rows[2] + rows[3]]
    wanted = [covers[0], (covers[0] + covers[1]) / 2, (covers[1] + covers[2]) / 2, covers[2]]
    np.testing.assert_allclose(found[0, :, 0], wanted, rtol=1e-12)


def test_occlusion_at_the_edge_and_with_a_baseline() -> None:
    weight = np.arange(25.0).reshape(1, 25)
    x = np.full((1, 5, 5), 2.0)
    found = visualize.occlusion(linear_net(weight), x, 0, window=2, stride=2, baseline=2.0)
    assert found.shape == (5, 5) and not found.any()
    found = visualize.occlusion(linear_net(weight), x, 0, window=2, stride=2, baseline=1.0)
    assert found[4, 4] == weight[0, 24]  # a cover of one pixel
    assert found[0, 4] == weight[0, [4, 9]].sum()


def cam_net() -> nn.Module:
    """Maps that are the image's channels, then a linear layer over all pixels."""
    net = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(8, 2, bias=False)).double()
    weight = np.array([[1.0, 1, 1, 1, -2, -2, -2, 2], [0, 0, 0, 1, 0, 0, 0, 1]])
    with fc.no_grad():
        net[2].weight.copy_(fc.tensor(weight))
    return net


def test_cams_by_hand() -> None:
    x = np.array([[[1.0, 2], [3, 4]], [[1, 0], [0, 2]]])  # two channels of 2×2
    net = cam_net()
    # mean gradients: 1 and -1
    found = visualize.grad_cam(net, x, "0", 0, raw=True)
    np.testing.assert_allclose(found, x[0] - x[1])
    # gradients element by element
    found = visualize.hires_cam(net, x, "0", 0, raw=True)
    np.testing.assert_allclose(found, x[0] + x[1] * np.array([[-2, -2], [-2, 2]]))
    # positive gradients g with the share g²/(2g² + g³·sum of the map)
    one, two = 4 * 1 / (2 + 10), 2 * 4 / (8 + 8 * 3)
    found = visualize.grad_cam_plus_plus(net, x, "0", 0, raw=True)
    np.testing.assert_allclose(found, one * x[0] + two * x[1], rtol=1e-6)
    # the score is 10 - 2·1 + 2·2 = 12; without either channel 2 and 10
    found = visualize.ablation_cam(net, x, "0", 0, raw=True)
    np.testing.assert_allclose(found, 10 / 12 * x[0] + 2 / 12 * x[1], rtol=1e-12)
    # through each channel, scaled from 0 to 1, the image is seen
    masks = [(x[0] - 1) / (3 + 1e-8), x[1] / (2 + 1e-8)]
    score = [scores(net, (x * m)[None])[0, 0] for m in masks]
    share = np.exp(score) / np.exp(score).sum()
    found = visualize.score_cam(net, x, "0", 0, raw=True)
    np.testing.assert_allclose(found, share[0] * x[0] + share[1] * x[1], rtol=1e-7)


def test_maps_of_a_global_mean_agree() -> None:
    """Behind global average pooling and a linear layer all gradients of a map are alike."""
    fc.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    ).double()
    x = images(2)
    one = visualize.grad_cam(net, x, "1", 1)
    np.testing.assert_allclose(one, visualize.hires_cam(net, x, "1", 1), rtol=1e-9, atol=1e-12)
    raw = visualize.grad_cam(net, x, "1", 1, raw=True)  # the classic map of Zhou et al. 2016
    maps = visualize.activations(net, x, "1")
    weight = net[4].weight.detach().numpy()[1] / maps[0, 0].size
    np.testing.assert_allclose(raw, np.einsum("k,nkhw->nhw", weight, maps), rtol=1e-9)


@pytest.mark.parametrize("name", CAMS)
def test_maps_have_the_size_of_the_image_and_its_range(name: str) -> None:
    net = small("float32")
    x = images(2).astype(np.float32)
    look = getattr(visualize, name)
    found = look(net, x, "4", [0, 1])
    assert found.shape == (2, 16, 16) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    one = look(net, x[1], "4", 1)
    assert one.shape == (16, 16)
    np.testing.assert_allclose(one, found[1], atol=2e-5)
    assert look(net, x, "4", 0, raw=True).shape == (2, 8, 8)


@pytest.mark.parametrize("name", CAMS)
def test_a_relu_that_writes_over_its_input_changes_nothing(name: str) -> None:
    look = getattr(visualize, name)
    x = images(2)
    found = [look(small(inplace=inplace), x, "3", 1, raw=True) for inplace in (True, False)]
    np.testing.assert_allclose(*found, rtol=1e-12)


@pytest.mark.parametrize("name", PIXELS + CAMS)
def test_the_network_is_as_before(name: str) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(16, 3),
    ).double()  # fmt: skip
    net[1].eval()
    net[0].weight.requires_grad_(False)
    modes = [m.training for m in net.modules()]
    before = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    x = images(1)
    copy = x.copy()
    with fc.no_grad():  # gradients are had within it too
        getattr(visualize, name)(net, x, *(["2"] if name in CAMS else []))
    assert [m.training for m in net.modules()] == modes
    assert not net[0].weight.requires_grad and net[6].weight.requires_grad
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks for m in net.modules())
    for k, v in net.state_dict().items():
        np.testing.assert_array_equal(v.numpy(), before[k])
    np.testing.assert_array_equal(x, copy)


@pytest.mark.parametrize("name", PIXELS + CAMS)
def test_errors_say_what_is_wrong(name: str) -> None:
    net, x = small(), images(2)
    extra = ["4"] if name in CAMS else []

    def look(*args: Any, **kwargs: Any) -> Any:
        return getattr(visualize, name)(*args, **kwargs)

    with pytest.raises(ValueError, match=r"target must be a class from 0 to 4, got 5"):
        look(net, x, *extra, target=5)
    with pytest.raises(ValueError, match=r"from 0 to 4, got -1"):
        look(net, x, *extra, target=-1)
    with pytest.raises(ValueError, match=r"one for each of 2 images, got shape \(3,\)"):
        look(net, x, *extra, target=[0, 1, 2])
    with pytest.raises(TypeError, match=r"target must be None or classes, got 1\.5"):
        look(net, x, *extra, target=1.5)
    with pytest.raises(ValueError, match=r"must be \(N, C, H, W\) or \(C, H, W\), got shape"):
        look(net, x[0, 0], *extra)
    with pytest.raises(TypeError, match="must be float32 or float64, got int64"):
        look(net, x.astype(np.int64), *extra)
    with pytest.raises(TypeError, match=f"{name}: model must be a Module, got str"):
        look("net", x, *extra)
    with pytest.raises(ValueError, match=r"class scores \(N, classes\), got shape \(2, 8, 16, 16"):
        look(net[:2], x, *(["0"] if name in CAMS else []))


def test_an_unknown_layer_lists_the_nearest() -> None:
    net = fc.models.squeezenet1_1(num_classes=3)
    x = np.zeros((1, 3, 64, 64), np.float32)
    with pytest.raises(ValueError, match=r"'features\.12\.expand' is no module of SqueezeNet; the "
                                         r"nearest are .*'features\.12\.expand1x1'"):  # fmt: skip
        visualize.grad_cam(net, x, "features.12.expand", 0)
    with pytest.raises(ValueError, match=r"layer '6' must give maps .* got shape \(2, 48\)"):
        visualize.grad_cam(small(), images(2), "6")


def test_a_score_of_zero_has_no_shares() -> None:
    with pytest.raises(ValueError, match="the score of class 0 is 0"):
        visualize.ablation_cam(cam_net(), np.zeros((2, 2, 2)), "0", 0)
