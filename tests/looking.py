"""Networks that the tests of fastconv.visualize look into, and the data they find."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn

DATA = Path(os.environ.get("FASTCONV_DATA", Path(__file__).parents[2] / "shared" / "data"))


def data(name: str) -> Path:
    """A file of the real data; the test is skipped where it is missing."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"there is no {path}")
    return path


def small(dtype: str = "float64", inplace: bool = True, classes: int = 5) -> nn.Module:
    """Two convolutions with ReLU and pooling, and a linear layer: (N, 3, 16, 16) to 5 scores."""
    fc.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=inplace), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(inplace=inplace),
        nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Linear(48, classes),
    )  # fmt: skip
    return net.double() if dtype == "float64" else net


def linear_net(weight: np.ndarray) -> nn.Module:
    """Scores that are the dot products of the image with (classes, C·H·W)."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(weight.shape[1], weight.shape[0], bias=False))
    net = net.double()
    with fc.no_grad():
        net[1].weight.copy_(fc.tensor(weight))
    return net


def images(count: int = 2, size: int = 16, seed: int = 0) -> np.ndarray:
    """Images (N, 3, size, size), float64."""
    return np.random.default_rng(seed).standard_normal((count, 3, size, size))
