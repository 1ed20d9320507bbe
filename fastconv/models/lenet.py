"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998), as it is taught today, and as it was.

"Gradient-based learning applied to document recognition", Proceedings of the IEEE: figure 2 is
`LeNet5Original`, table I `CONNECTIONS`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..functions.join import cat
from ..nn import (
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    Parameter,
    ReLU,
    Sequential,
    init,
)
from ..nn import functional as F
from ..nn.modules.module import empty
from ..tensor import Tensor, wrap
from ._weights import build


class LeNet5(Module):
    """Two 5×5 convolutions with max pooling, then three fully connected layers.

    Parameters
    ----------
    num_classes : int
    in_channels : int
    image_size : int
        Height and width: 28 (MNIST) or less is padded by the first layer, 32 and more is not.

    Raises
    ------
    ValueError
        For an image too small to convolve and pool twice.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> None:
        super().__init__()
        padding = 2 if image_size < 32 else 0
        side = ((image_size + 2 * padding - 4) // 2 - 4) // 2
        if side < 1:
            raise ValueError(f"LeNet5: image_size must be at least 12, got {image_size}")
        self.features = Sequential(
            Conv2d(in_channels, 6, 5, padding=padding),
            ReLU(),
            MaxPool2d(2),
            Conv2d(6, 16, 5),
            ReLU(),
            MaxPool2d(2),
        )
        self.classifier = Sequential(
            Flatten(),
            Linear(16 * side * side, 120),
            ReLU(),
            Linear(120, 84),
            ReLU(),
            Linear(84, num_classes),
        )

    def forward(self, input: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, image_size, image_size)."""
        return self.classifier(self.features(input))


def lenet5(
    num_classes: int = 10, in_channels: int = 1, image_size: int = 28, *, weights: Any = None
) -> LeNet5:
    """LeNet-5 for MNIST: 61 706 parameters."""
    options = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    return build("lenet5", LeNet5, weights, options)


#: Table I: the maps of S2 that each of the 16 maps of C3 sees.
CONNECTIONS = (
    *(tuple((first + i) % 6 for i in range(3)) for first in range(6)),
    *(tuple((first + i) % 6 for i in range(4)) for first in range(6)),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)


def squash(x: Tensor) -> Tensor:
    """A · tanh(S · x) with A = 1.7159 and S = 2/3 (equation 6): ±1 goes to ±1."""
    return 1.7159 * F.tanh(x * (2.0 / 3.0))


class Subsampling(Module):
    """S2 and S4: the sum of 2×2 pixels, times a coefficient, plus a bias, for each map.

    Parameters
    ----------
    maps : int
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.coefficient = Parameter(empty((maps, 1, 1)))
        self.bias = Parameter(empty((maps, 1, 1)))
        init.uniform_(self.coefficient, -2.4 / 4, 2.4 / 4)
        init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2) * 4.0 * self.coefficient + self.bias


class SparseConv2d(Module):
    """C3: a 5×5 convolution in which each map sees some of the maps before (table I).

    Only the kernels of connections that exist are parameters: `weight` is (60, 5, 5).
    """

    def __init__(self) -> None:
        super().__init__()
        count = sum(map(len, CONNECTIONS))
        self.weight = Parameter(empty((count, 5, 5)))
        self.bias = Parameter(empty((len(CONNECTIONS),)))
        # Which kernel is at (map of C3, map of S2); the last one, a zero, where there is none.
        place = np.full((len(CONNECTIONS), 6), count, np.int64)
        kernels = iter(range(count))
        for row, seen in zip(place, CONNECTIONS):
            for i in seen:
                row[i] = next(kernels)
        self._place = place.reshape(-1).tolist()
        bounds = iter(2.4 / (25 * len(seen)) for seen in CONNECTIONS for _ in seen)
        for kernel in self.weight.data:
            bound = next(bounds)
            init.uniform_(kernel, -bound, bound)
        init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        nothing = wrap(np.zeros((1, 5, 5), self.weight._array.dtype))
        kernels = cat([self.weight, nothing], 0)[self._place]
        return F.conv2d(x, kernels.reshape(len(CONNECTIONS), 6, 5, 5), self.bias)


class LeNet5Original(Module):
    """Figure 2: C1, S2, C3, S4, C5, F6 and radial basis functions.

    Parameters
    ----------
    num_classes : int

    Notes
    -----
    The output is *minus* the squared distance of F6 to the code of each class, so that the largest
    is the answer and cross-entropy applies. The paper's codes are drawings of the characters, 7×12;
    here they are ±1, drawn once with a fixed seed, which its section II.B names as the other way.
    """

    codes: Tensor

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.C1 = Conv2d(1, 6, 5)  # 6 @ 28 × 28 of 32 × 32
        self.S2 = Subsampling(6)  # 6 @ 14 × 14
        self.C3 = SparseConv2d()  # 16 @ 10 × 10
        self.S4 = Subsampling(16)  # 16 @ 5 × 5
        self.C5 = Conv2d(16, 120, 5)  # 120 @ 1 × 1
        self.F6 = Linear(120, 84)
        drawn = np.random.Generator(np.random.PCG64(1998)).integers(0, 2, (num_classes, 84))
        self.register_buffer("codes", wrap((2 * drawn - 1).astype(self.F6.weight._array.dtype)))
        for module in (self.C1, self.C5, self.F6):
            bound = 2.4 / math.prod(module.weight.shape[1:])  # section II.B, below equation 6
            init.uniform_(module.weight, -bound, bound)
            init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Minus the distances (N, num_classes) of images (N, 1, 32, 32)."""
        x = squash(self.S2(squash(self.C1(x))))
        x = squash(self.S4(squash(self.C3(x))))
        x = squash(self.F6(squash(self.C5(x)).flatten(1)))
        return -((x.unsqueeze(1) - self.codes) ** 2).sum(-1)


def lenet5_original(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> LeNet5Original:
    """LeNet-5 of 1998: 60 000 parameters, as the paper counts (page 8); 32×32."""
    return build("lenet5_original", LeNet5Original, weights, options)
