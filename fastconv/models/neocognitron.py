"""The Neocognitron: Fukushima, "A self-organizing neural network model" (Biol. Cybernetics 1980).

Figure 2: layers of S cells, which look for features, and of C cells, which allow them to move, by
turns. Equation (1) is `SLayer`, equation (7) `CLayer`. The wiring is Fukushima's; what the weights
learn from is not: here it is the gradient. `neocognitron_modern` is the same network as one would
write it today: convolution and ReLU for S, average pooling for C.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..nn import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv2d,
    Flatten,
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


def window(size: int, fall: float = 0.8) -> np.ndarray:
    """(size, size) weights that fall with the distance from the centre, with the sum 1."""
    line = np.abs(np.arange(size) - (size - 1) / 2)
    weights = fall ** np.hypot(line[:, None], line[None, :])
    return np.asarray(weights / weights.sum())


class SLayer(Module):
    """Simple cells: excitation over inhibition, cut off at zero.

    r · φ[(1 + Σ a·u) / (1 + 2r/(1+r) · b · v) − 1] with φ(x) = max(x, 0), where v = √(Σ c·u²) is
    the inhibitory cell that sees the same place with the fixed weights c. A cell answers where the
    input resembles a; with a larger r it must resemble it more. a and b are not negative: their
    magnitudes are used.

    Parameters
    ----------
    in_planes, out_planes, kernel_size : int
    selectivity : float
        r.
    padding : int
    """

    c: Tensor

    def __init__(
        self,
        in_planes: int,
        out_planes: int,
        kernel_size: int,
        selectivity: float = 1.0,
        padding: int = 0,
    ) -> None:
        super().__init__()
        if not selectivity > 0:
            raise ValueError(f"SLayer: selectivity must be positive, got {selectivity}")
        self.selectivity, self.padding = selectivity, padding
        self.a = Parameter(empty((out_planes, in_planes, kernel_size, kernel_size)))
        self.b = Parameter(empty((out_planes, 1, 1)))
        init.uniform_(self.a, 0.0, 4.0 / math.sqrt(in_planes * kernel_size**2))
        init.constant_(self.b, 0.5)
        c = np.broadcast_to(window(kernel_size), (1, in_planes, kernel_size, kernel_size))
        self.register_buffer("c", wrap((c / in_planes).astype(self.a._array.dtype)))

    def forward(self, u: Tensor) -> Tensor:
        r = self.selectivity
        excitation = F.conv2d(u, self.a.abs(), padding=self.padding)
        v = (F.conv2d(u * u, self.c, padding=self.padding) + 1e-12).sqrt()
        inhibition = 2 * r / (1 + r) * self.b.abs() * v
        return r * F.relu((1 + excitation) / (1 + inhibition) - 1)


class CLayer(Module):
    """Complex cells: each sees a neighbourhood of S cells of its own plane, blurred and saturated.

    ψ[(1 + Σ d·u) / (1 + v) − 1] with ψ(x) = x / (α + x) for x > 0, where v is the mean of Σ d·u
    over all planes: where others answer, it answers less.

    Parameters
    ----------
    kernel_size, stride, padding : int
    alpha : float
        α: half of the largest answer is reached there.
    """

    d: Tensor

    def __init__(
        self, kernel_size: int, stride: int = 1, padding: int = 0, alpha: float = 0.5
    ) -> None:
        super().__init__()
        if not alpha > 0:
            raise ValueError(f"CLayer: alpha must be positive, got {alpha}")
        self.stride, self.padding, self.alpha = stride, padding, alpha
        d = window(kernel_size).astype(empty(())._array.dtype)
        self.register_buffer("d", wrap(d[None, None]))

    def forward(self, u: Tensor) -> Tensor:
        planes = u.shape[1]
        d = self.d.expand(planes, 1, -1, -1)
        seen = F.conv2d(u, d, stride=self.stride, padding=self.padding, groups=planes)
        x = F.relu((1 + seen) / (1 + seen.mean(1, keepdim=True)) - 1)
        return x / (self.alpha + x)


class Neocognitron(Module):
    """U0, then US1, UC1, US2, UC2, and US3 with a plane for each class.

    Parameters
    ----------
    num_classes : int
    planes : sequence of int
        Cell planes of the layers between.
    selectivity : float
        See `SLayer`.
    in_channels : int

    Notes
    -----
    Images are not negative. The scores are the means of the last planes: UC3 without saturation.
    """

    def __init__(
        self,
        num_classes: int = 10,
        planes: Sequence[int] = (24, 24),
        selectivity: float = 1.0,
        in_channels: int = 1,
    ) -> None:
        super().__init__()
        layers: list[Module] = []
        for width in planes:  # 28², 14², 7² of 28 × 28
            layers.append(SLayer(in_channels, width, 5, selectivity, padding=2))
            layers.append(CLayer(5, stride=2, padding=2))
            in_channels = width
        layers.append(SLayer(in_channels, num_classes, 5, selectivity, padding=2))
        self.layers = Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        return self.layers(x).mean((2, 3))


class NeocognitronModern(Sequential):
    """The same wiring with today's layers: convolution and ReLU are S, average pooling is C.

    Parameters
    ----------
    num_classes : int
    planes : sequence of int
    in_channels : int
    """

    def __init__(
        self, num_classes: int = 10, planes: Sequence[int] = (24, 24), in_channels: int = 1
    ) -> None:
        layers: list[Module] = []
        for width in planes:
            layers += [
                Conv2d(in_channels, width, 5, padding=2),  # S
                ReLU(),
                AvgPool2d(5, stride=2, padding=2),  # C
            ]
            in_channels = width
        layers += [Conv2d(in_channels, num_classes, 5, padding=2), AdaptiveAvgPool2d(1), Flatten()]
        super().__init__(*layers)


def neocognitron(*, weights: Any = None, progress: bool = True, **options: Any) -> Neocognitron:
    """S and C layers by turns: 21 058 parameters, 28×28; options: :class:`Neocognitron`."""
    return build("neocognitron", Neocognitron, weights, options)


def neocognitron_modern(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> NeocognitronModern:
    """Convolution and pooling by turns: 21 058 parameters, 28×28."""
    return build("neocognitron_modern", NeocognitronModern, weights, options)
