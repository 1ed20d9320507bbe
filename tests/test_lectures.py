"""The worked numbers that courses compute by hand on slides, computed by fastconv."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import fastconv as torch
from fastconv import nn
from fastconv.nn import functional as F

PLUS = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]


def image(rows: Sequence[Sequence[float]]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)[None, None]


def correlate(
    x: Sequence[Sequence[float]], w: Sequence[Sequence[float]], stride: int = 1, padding: int = 0
) -> list[list[float]]:
    """Slide w over x, as convolutional layers do."""
    return F.conv2d(image(x), image(w), stride=stride, padding=padding)[0, 0].tolist()


# ---------------------------------------------------------------- convolution


def test_full_convolution_in_one_dimension() -> None:
    kernel, signal = [3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0]
    # a convolution turns the kernel round; a layer does not
    turned = torch.tensor(kernel[::-1])[None, None]
    y = F.conv1d(torch.tensor(signal)[None, None], turned, padding=2)
    assert y[0, 0].tolist() == [3, 8, 14, 20, 26, 14, 5]


def test_full_convolution_is_a_transposed_convolution() -> None:
    x, w = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), torch.tensor([3.0, 2.0, 1.0])
    y = F.conv_transpose1d(x[None, None], w[None, None])
    assert y[0, 0].tolist() == [3, 8, 14, 20, 26, 14, 5]


def test_kernel_of_one_number_scales() -> None:
    y = F.conv1d(torch.tensor([1.0, 2, 3, 4, 5])[None, None], torch.tensor([[[3.0]]]))
    assert y[0, 0].tolist() == [3, 6, 9, 12, 15]


def test_sliding_window() -> None:
    x, w = torch.tensor([5.0, 3.0, 2.0, 5.0, 9.0, 7.0]), torch.tensor([1.0, 2.0, 3.0])
    assert F.conv1d(x[None, None], w[None, None])[0, 0].tolist() == [17, 22, 39, 44]


PLUS_IMAGE = [[0, 2, 1, 1, 0], [0, 1, 1, 1, 0], [-3, -1, 1, 0, 1], [0, 6, 0, 0, 1], [0, 4, 1, 7, 0]]


def test_plus_kernel_without_padding() -> None:
    y = correlate(PLUS_IMAGE, PLUS)
    assert y[0] == [3, 5, 3]
    assert np.shape(y) == (3, 3)


def test_plus_kernel_with_zero_padding() -> None:
    assert correlate(PLUS_IMAGE, PLUS, padding=1) == [
        [2, 4, 5, 3, 1],
        [-2, 3, 5, 3, 2],
        [-4, 4, 1, 3, 2],
        [3, 9, 8, 8, 2],
        [4, 11, 12, 8, 8],
    ]


def test_cross_kernel() -> None:
    x = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
    w = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert correlate(x, w) == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]


PATTERN = [
    [1, 0, 0, 0, 0, 1],
    [0, 1, 0, 0, 1, 0],
    [0, 0, 1, 1, 0, 0],
    [1, 0, 0, 0, 1, 0],
    [0, 1, 0, 0, 1, 0],
    [0, 0, 1, 0, 1, 0],
]


def test_diagonal_detector() -> None:
    w = [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    assert correlate(PATTERN, w)[0] == [3, -1, -3, -1]
    assert correlate(PATTERN, w, stride=2)[0] == [3, -3]


def test_two_filters_give_two_maps() -> None:
    diagonal = [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    weight = torch.tensor([diagonal, [[-1, 1, -1]] * 3], dtype=torch.float32)[:, None]
    y = F.conv2d(image(PATTERN), weight)
    assert y.shape == (1, 2, 4, 4)
    x = np.array(PATTERN)
    vertical = [
        [int((x[i : i + 3, j : j + 3] * [-1, 1, -1]).sum()) for j in range(4)] for i in range(4)
    ]
    assert y[0, 1].tolist() == vertical


# Three channels, two filters: a true convolution, which turns the kernels round.
COLOURS = [
    [[6, 3, 4, 6, 2], [7, 4, 4, 6, 1], [2, 6, 2, 2, 7], [4, 3, 7, 7, 2], [5, 4, 1, 7, 3]],
    [[5, 5, 1, 7, 3], [4, 0, 3, 1, 5], [4, 3, 0, 0, 2], [2, 6, 1, 7, 3], [3, 7, 6, 5, 5]],
    [[6, 5, 2, 3, 6], [3, 7, 0, 2, 4], [2, 6, 4, 0, 6], [1, 3, 0, 3, 5], [1, 1, 0, 1, 4]],
]
FILTERS = [
    [
        [[-1, 1, 1], [1, 1, 2], [0, -2, 1]],
        [[-1, 1, -1], [-1, 1, 2], [-1, -1, 1]],
        [[-1, -1, 1], [1, -2, 2], [2, -1, 2]],
    ],
    [
        [[-1, -2, 1], [1, 1, 2], [-2, 2, 2]],
        [[-2, -2, -2], [-2, 1, 0], [0, -2, 0]],
        [[0, -2, 0], [2, -1, -1], [-2, 1, -2]],
    ],
]
# Row 3, column 4 of the first map is printed as 48 on the slide; its own partial maps give 28.
MAPS = [
    [
        [0, 34, 39, 23, 35],
        [-12, 27, 48, 7, 28],
        [-2, 20, 28, 28, 5],
        [-1, 27, 41, 39, 17],
        [-6, 15, 34, 18, 35],
    ],
    [
        [-24, -18, -16, -7, -8],
        [-10, -43, -12, -12, -6],
        [-26, -3, -60, -10, -16],
        [-60, -20, -27, -45, 4],
        [-8, -3, 5, 17, 28],
    ],
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_true_convolution_of_three_channels_with_two_filters(dtype: Any) -> None:
    x = torch.tensor(COLOURS, dtype=dtype)[None]
    turned = torch.tensor(FILTERS, dtype=dtype).flip(2, 3)
    bias = torch.tensor([1, 0], dtype=dtype)
    y = F.conv2d(x, turned, bias, padding=1)
    assert y[0].tolist() == MAPS
    assert F.relu(y)[0].tolist() == np.maximum(MAPS, 0).tolist()


def test_partial_maps_of_the_channels_add_up() -> None:
    x = torch.tensor(COLOURS, dtype=torch.float32)[None]
    turned = torch.tensor(FILTERS, dtype=torch.float32).flip(2, 3)
    # each filter's three channels by themselves: filters * channels maps
    partial = F.conv2d(x.repeat(1, 2, 1, 1), turned.reshape(6, 1, 3, 3), padding=1, groups=6)
    maps = partial.reshape(2, 3, 5, 5).sum(1) + torch.tensor([1.0, 0.0])[:, None, None]
    assert maps.tolist() == MAPS
    assert maps[0, 2, 3].item() == 28  # not the 48 that is printed


def test_transposed_convolution_upsamples_a_column() -> None:
    column, kernel = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[10.0], [1.0]])
    y = F.conv_transpose2d(column[None, None], kernel[None, None], stride=(2, 1))
    assert y[0, 0].tolist() == [[10], [1], [20], [2], [30], [3]]


@pytest.mark.parametrize(
    ("width", "kernel", "padding", "stride"),
    [(32, 5, 0, 1), (227, 11, 0, 4), (224, 7, 3, 2), (7, 3, 1, 1), (7, 3, 0, 2), (28, 5, 2, 1)],
)
def test_output_size(width: int, kernel: int, padding: int, stride: int) -> None:
    layer = nn.Conv1d(1, 1, kernel, stride, padding)
    with torch.no_grad():
        size = layer(torch.zeros(1, 1, width)).shape[-1]
    assert size == (width - kernel + 2 * padding) // stride + 1


def test_two_unpadded_convolutions_shrink_an_image() -> None:
    x = torch.zeros(1, 1, 224, 224)
    first = nn.Conv2d(1, 2, 3)(x)
    second = nn.Conv2d(2, 1, 3)(first)
    assert (first.shape[2:], second.shape[2:]) == ((222, 222), (220, 220))


def test_gram_matrix() -> None:
    rng = np.random.default_rng(3)
    features = rng.integers(-3, 4, (1, 8, 4, 4)).astype(np.float32)
    rows = torch.tensor(features).reshape(8, 16)
    gram = rows @ rows.T
    assert gram.shape == (8, 8)
    by_hand = np.einsum("kij,lij->kl", features[0], features[0])
    assert gram.tolist() == by_hand.tolist()


# ---------------------------------------------------------------- numbers of weights


@pytest.mark.parametrize(("size", "depth"), [(1, 1), (3, 3), (5, 16), (11, 3)])
def test_weights_of_a_filter(size: int, depth: int) -> None:
    assert nn.Conv2d(depth, 4, size).weight[0].numel() == size**2 * depth


def test_weights_between_two_layers() -> None:
    assert nn.Linear(4, 5, bias=False).weight.numel() == 20


def test_weights_of_one_filter() -> None:
    layer = nn.Conv2d(3, 10, 5)
    assert layer.weight[0].numel() == 5 * 5 * 3
    assert sum(p.numel() for p in layer.parameters()) == 760


def test_dense_layer_on_an_image_has_67_million_weights() -> None:
    assert nn.Linear(256 * 256, 1024, bias=False).weight.numel() == 67_108_864


def alexnet() -> nn.Sequential:
    """AlexNet (Krizhevsky 2014, one tower)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(256 * 6 * 6, 4096),  # fc6
        nn.ReLU(),
        nn.Linear(4096, 4096),  # fc7
        nn.ReLU(),
        nn.Linear(4096, 1000),
    )


def test_alexnets_first_filters_and_fc7() -> None:
    net = alexnet()
    assert net[0].weight.shape == (64, 3, 11, 11)
    with torch.no_grad():
        fc7 = net[:17](torch.zeros(1, 3, 224, 224))
    assert fc7.shape == (1, 4096)
    assert sum(p.numel() for p in net.parameters()) == 61_100_840  # as published


def test_first_filters_and_maps_of_residual_and_dense_nets() -> None:
    # ResNet-18, ResNet-101 and DenseNet-121 begin with the same layers
    stem = nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
    assert stem[0].weight.shape == (64, 3, 7, 7)
    assert stem(torch.zeros(1, 3, 224, 224)).shape == (1, 64, 56, 56)


# ---------------------------------------------------------------- activations and losses


def test_softmax() -> None:
    x = torch.tensor([-0.8, 2.0, 6.0, -2.7, 0.8])
    assert torch.exp(x).sum().item() == pytest.approx(413.56, abs=0.01)
    expected = [0.0011, 0.0179, 0.9755, 0.0002, 0.0054]
    assert F.softmax(x, dim=0).tolist() == pytest.approx(expected, abs=5e-5)


def test_exponentials_of_softmax_one_by_one() -> None:
    e = torch.exp(torch.tensor([-0.8, 2.0, 6.0, -2.7, 0.8], dtype=torch.float64))
    expected = [0.4493, 7.3891, 403.4288, 0.0672, 2.2255]
    assert e.tolist() == pytest.approx(expected, abs=5e-5)
    assert e.sum().item() == pytest.approx(413.56, abs=5e-3)
    shares = (e / e.sum()).tolist()
    assert shares == pytest.approx([0.0011, 0.0179, 0.9755, 0.0002, 0.0054], abs=5e-5)


@pytest.mark.parametrize(("p", "loss"), [(0.72, 0.14267), (0.52, 0.284), (0.3, 0.5229)])
def test_cross_entropy_with_decimal_logarithm(p: float, loss: float) -> None:
    logits = torch.log(torch.tensor([[p, 1 - p]], dtype=torch.float64))
    found = F.cross_entropy(logits, torch.tensor([0])).item() / math.log(10)
    assert found == pytest.approx(loss, abs=5e-5)


@pytest.mark.parametrize(
    ("y", "p", "loss"), [(0.0, 0.20, 0.09691), (1.0, 0.92, 0.03621), (0.0, 0.65, 0.45593)]
)
def test_binary_cross_entropy_with_decimal_logarithm(y: float, p: float, loss: float) -> None:
    p_, y_ = (torch.tensor([v], dtype=torch.float64) for v in (p, y))
    found = F.binary_cross_entropy(p_, y_).item() / math.log(10)
    assert found == pytest.approx(loss, abs=5e-6)


def test_leaky_relu_and_elu() -> None:
    x = torch.tensor([-2.0, -0.5, 0.0, 3.0])
    assert F.leaky_relu(x, 0.1).tolist() == torch.maximum(0.1 * x, x).tolist()
    assert F.leaky_relu(x, 0.1).tolist() == pytest.approx([-0.2, -0.05, 0.0, 3.0])
    expected = [0.5 * (math.exp(-2) - 1), 0.5 * (math.exp(-0.5) - 1), 0.0, 3.0]
    assert F.elu(x, alpha=0.5).tolist() == pytest.approx(expected, abs=1e-6)


# ---------------------------------------------------------------- learning


@pytest.mark.parametrize("alpha", [0.5, 0.9])
def test_momentum_as_the_lecture_writes_it(alpha: float) -> None:
    # change = alpha * change_before + (1 - alpha) * (-rate * gradient)
    rate, target = 0.1, np.array([1.0, -2.0, 0.5])
    w = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    optimizer = torch.optim.SGD([w], lr=rate, momentum=alpha, dampening=alpha)
    by_hand, change = np.zeros(3), np.zeros(3)
    for step in range(8):
        gradient = 2 * (by_hand - target)
        # the optimiser's first change is the whole gradient: without (1 - alpha)
        share = 1.0 if step == 0 else 1 - alpha
        change = alpha * change + share * (-rate * gradient)
        by_hand = by_hand + change
        optimizer.zero_grad()
        ((w - torch.tensor(target)) ** 2).sum().backward()
        optimizer.step()
        np.testing.assert_allclose(w.detach().numpy(), by_hand, rtol=1e-13)


def small_classifier() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 16),
        nn.ReLU(),
        nn.Linear(16, 2),
    )


def bars(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 1, 8, 8) of a horizontal (class 0) or vertical (class 1) bar in noise."""
    rng = np.random.default_rng(5)
    x = rng.normal(0, 0.1, (count, 1, 8, 8)).astype(np.float32)
    y = np.arange(count) % 2
    for i, at in enumerate(rng.integers(1, 7, count)):
        if y[i]:
            x[i, 0, :, at] += 1
        else:
            x[i, 0, at] += 1
    return torch.tensor(x), torch.tensor(y.astype(np.int64))


def trained(model: nn.Module, loss: Any, x: Any, y: Any, steps: int = 60) -> tuple[float, float]:
    """Loss before and after some steps of Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    found = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(model(x), y)
        found.append(value.item())
        value.backward()
        optimizer.step()
    assert all(math.isfinite(v) for v in found)
    return found[0], found[-1]


def test_all_zero_initialisation_fails_to_learn() -> None:
    x, y = bars(64)
    torch.manual_seed(1)
    model = small_classifier()
    first, last = trained(model, F.cross_entropy, x, y)
    assert last < 0.1 * first  # the usual initialisation learns it

    zero = small_classifier()
    for p in zero.parameters():
        nn.init.zeros_(p)
    first, last = trained(zero, F.cross_entropy, x, y)
    assert first == pytest.approx(math.log(2), rel=1e-6)
    assert last == pytest.approx(math.log(2), rel=1e-6)  # both classes as likely as before
    for name, p in zero.named_parameters():
        assert (p == 0).all().item() or name == "6.bias"  # no gradient reaches a weight
    assert (zero(x).argmax(1) == y).float().mean().item() == pytest.approx(0.5)


def test_equal_constant_initialisation_keeps_neurons_equal() -> None:
    x, y = bars(64)
    model = small_classifier()
    for p in model.parameters():
        nn.init.constant_(p, 0.02)
    trained(model, F.cross_entropy, x, y, steps=10)
    w = model[0].weight.detach().numpy()
    assert (w[0] != 0.02).any()
    np.testing.assert_allclose(w, np.broadcast_to(w[:1], w.shape), rtol=1e-5)  # one filter, 4 times


def one_hot(y: torch.Tensor) -> torch.Tensor:
    return F.one_hot(y, 2).float()


def signs(y: torch.Tensor) -> torch.Tensor:
    return 2.0 * y.float() - 1.0


def column(y: torch.Tensor) -> torch.Tensor:
    return y.float()[:, None]


def focal(p: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Focal loss with gamma 2 of probabilities, of which `target` says how much is wanted."""
    right = (p * target + (1 - p) * (1 - target)).clamp(1e-6, 1)
    return (-((1 - right) ** 2) * torch.log(right)).mean()


def hinge(score: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    return F.relu(1 - score[:, 0] * sign).mean()


def quantile(prediction: torch.Tensor, target: torch.Tensor, q: float = 0.5) -> torch.Tensor:
    e = target - prediction
    return torch.maximum(q * e, (q - 1) * e).mean()


class Exponential(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x)


PAIRS: dict[str, tuple[int, Callable[[], nn.Module], Any, Any]] = {
    "sigmoid-BCE": (1, nn.Sigmoid, F.binary_cross_entropy, column),
    "softmax-CCE": (
        2, lambda: nn.Softmax(1), lambda p, t: -(t * torch.log(p)).sum(1).mean(), one_hot,
    ),
    "softmax-sparse CCE": (2, lambda: nn.LogSoftmax(1), F.nll_loss, lambda y: y),
    "sigmoid-focal": (1, nn.Sigmoid, focal, column),
    "softmax-focal": (2, lambda: nn.Softmax(1), focal, one_hot),
    "linear-hinge": (1, nn.Identity, hinge, signs),
    "tanh-hinge": (1, nn.Tanh, hinge, signs),
    "linear-MSE": (1, nn.Identity, F.mse_loss, column),
    "linear-MAE": (1, nn.Identity, F.l1_loss, column),
    "linear-Huber": (1, nn.Identity, F.huber_loss, column),
    "linear-quantile": (1, nn.Identity, quantile, column),
}  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
def test_last_activation_and_its_loss_train(pair: str) -> None:
    outputs, activation, loss, wanted = PAIRS[pair]
    x, y = bars(64)
    torch.manual_seed(2)
    model = small_classifier()[:-1]
    model = nn.Sequential(*model, nn.Linear(16, outputs), activation())
    first, last = trained(model, loss, x, wanted(y), steps=80)
    assert last < 0.25 * first


def test_exponential_and_poisson_train() -> None:
    x, y = bars(64)
    torch.manual_seed(2)
    counts = column(y) * 4 + 1
    model = nn.Sequential(*small_classifier()[:-1], nn.Linear(16, 1), Exponential())
    trained(model, lambda p, t: F.poisson_nll_loss(p, t, log_input=False), x, counts, steps=80)
    assert (model(x) - counts).abs().mean().item() < 0.5  # counts are 1 and 5


@pytest.mark.parametrize("pair", ["BCE", "CCE"])
def test_pixelwise_cross_entropies_train(pair: str) -> None:
    x, _ = bars(32)
    mask = (x > 0.5).float()
    torch.manual_seed(2)
    body = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU()]
    if pair == "BCE":
        model = nn.Sequential(*body, nn.Conv2d(4, 1, 1), nn.Sigmoid())
        first, last = trained(model, F.binary_cross_entropy, x, mask, steps=150)
    else:
        model = nn.Sequential(*body, nn.Conv2d(4, 2, 1))
        first, last = trained(model, F.cross_entropy, x, mask[:, 0].long(), steps=150)
    assert last < 0.25 * first


def test_copied_layers_with_a_low_learning_rate() -> None:
    x, y = bars(64)
    torch.manual_seed(1)
    model = small_classifier()
    copied, new = model[0], model[4:]
    before = [p.detach().clone() for p in (copied.weight, new[0].weight)]
    groups = [{"params": copied.parameters(), "lr": 1e-5}, {"params": new.parameters()}]
    optimizer = torch.optim.Adam(groups, lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    moved = [
        (p.detach() - b).abs().max().item()
        for p, b in zip((copied.weight, new[0].weight), before, strict=True)
    ]
    assert 0 < moved[0] <= 3.1e-5
    assert moved[1] > 1e-3
