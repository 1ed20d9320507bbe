"""The worked numbers that courses compute by hand on slides, computed by fastconv."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


@pytest.mark.parametrize(
    ("width", "kernel", "padding", "stride"),
    [(32, 5, 0, 1), (227, 11, 0, 4), (224, 7, 3, 2), (7, 3, 1, 1), (7, 3, 0, 2), (28, 5, 2, 1)],
)
def test_output_size(width: int, kernel: int, padding: int, stride: int) -> None:
    layer = nn.Conv1d(1, 1, kernel, stride, padding)
    with torch.no_grad():
        size = layer(torch.zeros(1, 1, width)).shape[-1]
    assert size == (width - kernel + 2 * padding) // stride + 1


# ---------------------------------------------------------------- numbers of weights


def test_weights_of_one_filter() -> None:
    layer = nn.Conv2d(3, 10, 5)
    assert layer.weight[0].numel() == 5 * 5 * 3
    assert sum(p.numel() for p in layer.parameters()) == 760


def test_dense_layer_on_an_image_has_67_million_weights() -> None:
    assert nn.Linear(256 * 256, 1024, bias=False).weight.numel() == 67_108_864


def test_first_layers() -> None:
    assert nn.Conv2d(3, 64, 11, stride=4, padding=2).weight.shape == (64, 3, 11, 11)
    assert nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False).weight.shape == (64, 3, 7, 7)


# ---------------------------------------------------------------- activations and losses


def test_softmax() -> None:
    x = torch.tensor([-0.8, 2.0, 6.0, -2.7, 0.8])
    assert torch.exp(x).sum().item() == pytest.approx(413.56, abs=0.01)
    expected = [0.0011, 0.0179, 0.9755, 0.0002, 0.0054]
    assert F.softmax(x, dim=0).tolist() == pytest.approx(expected, abs=5e-5)


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
    assert F.leaky_relu(x, 0.1).tolist() == pytest.approx([-0.2, -0.05, 0.0, 3.0])
    expected = [0.5 * (math.exp(-2) - 1), 0.5 * (math.exp(-0.5) - 1), 0.0, 3.0]
    assert F.elu(x, alpha=0.5).tolist() == pytest.approx(expected, abs=1e-6)
