"""MNASNet: Tan et al., "Platform-aware neural architecture search for mobile" (CVPR 2019).

MnasNet-B1, whose blocks have no squeeze-and-excitation: `PLAN` has the rows of its figure.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..nn import BatchNorm2d, Conv2d, Dropout, Linear, Module, ReLU, Sequential, init
from ..tensor import Tensor
from ._blocks import divisible, he_backward, initialise
from ._weights import build

#: Kernel, stride of the first block, expansion, channels, blocks.
PLAN = (
    (3, 2, 3, 24, 3),  # at 56 × 56 of 224 × 224
    (5, 2, 3, 40, 3),  # 28 × 28
    (5, 2, 6, 80, 3),  # 14 × 14
    (3, 1, 6, 96, 2),
    (5, 2, 6, 192, 4),  # 7 × 7
    (3, 1, 6, 320, 1),
)
#: One minus TensorFlow's 0.9997.
norm = partial(BatchNorm2d, momentum=0.0003)


class InvertedResidual(Module):
    """1×1 to many channels, k×k on each, 1×1 to few; the input is added where it fits.

    Parameters
    ----------
    in_ch, out_ch, kernel_size, stride, expansion_factor : int
    """

    def __init__(
        self, in_ch: int, out_ch: int, kernel_size: int, stride: int, expansion_factor: int
    ) -> None:
        super().__init__()
        wide = in_ch * expansion_factor
        self.apply_residual = in_ch == out_ch and stride == 1
        self.layers = Sequential(
            Conv2d(in_ch, wide, 1, bias=False),
            norm(wide),
            ReLU(inplace=True),
            Conv2d(wide, wide, kernel_size, stride, kernel_size // 2, groups=wide, bias=False),
            norm(wide),
            ReLU(inplace=True),
            Conv2d(wide, out_ch, 1, bias=False),
            norm(out_ch),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + x if self.apply_residual else self.layers(x)


class MNASNet(Module):
    """A stem, six stacks of inverted residuals, 1×1 to 1280, the mean, a linear layer.

    Parameters
    ----------
    alpha : float
        All channels but the last times this, as multiples of 8.
    num_classes : int
    dropout : float
    in_channels : int

    Raises
    ------
    ValueError
        If `alpha` is not positive.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        num_classes: int = 1000,
        dropout: float = 0.2,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if not alpha > 0:
            raise ValueError(f"MNASNet: alpha must be positive, got {alpha}")
        stem, width = divisible(32 * alpha), divisible(16 * alpha)
        layers: list[Module] = [
            Conv2d(in_channels, stem, 3, stride=2, padding=1, bias=False),
            norm(stem),
            ReLU(inplace=True),
            Conv2d(stem, stem, 3, padding=1, groups=stem, bias=False),
            norm(stem),
            ReLU(inplace=True),
            Conv2d(stem, width, 1, bias=False),
            norm(width),
        ]
        for kernel, stride, expansion, channels, blocks in PLAN:
            outputs = divisible(channels * alpha)
            first = InvertedResidual(width, outputs, kernel, stride, expansion)
            rest = [
                InvertedResidual(outputs, outputs, kernel, 1, expansion) for _ in range(blocks - 1)
            ]
            layers.append(Sequential(first, *rest))
            width = outputs
        layers += [Conv2d(width, 1280, 1, bias=False), norm(1280), ReLU(inplace=True)]
        self.layers = Sequential(*layers)
        self.classifier = Sequential(Dropout(dropout, inplace=True), Linear(1280, num_classes))
        last = partial(init.kaiming_uniform_, mode="fan_out", nonlinearity="sigmoid")
        initialise(self, conv=he_backward, linear=last)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        return self.classifier(self.layers(x).mean((2, 3)))


def mnasnet0_5(*, weights: Any = None, progress: bool = True, **options: Any) -> MNASNet:
    """MNASNet 0.5: 2 218 512 parameters, 224×224; options are those of :class:`MNASNet`."""
    return build("mnasnet0_5", MNASNet, weights, options, alpha=0.5)


def mnasnet0_75(*, weights: Any = None, progress: bool = True, **options: Any) -> MNASNet:
    """MNASNet 0.75: 3 170 208 parameters, 224×224."""
    return build("mnasnet0_75", MNASNet, weights, options, alpha=0.75)


def mnasnet1_0(*, weights: Any = None, progress: bool = True, **options: Any) -> MNASNet:
    """MNASNet 1.0: 4 383 312 parameters, 224×224."""
    return build("mnasnet1_0", MNASNet, weights, options, alpha=1.0)


def mnasnet1_3(*, weights: Any = None, progress: bool = True, **options: Any) -> MNASNet:
    """MNASNet 1.3: 6 282 256 parameters, 224×224."""
    return build("mnasnet1_3", MNASNet, weights, options, alpha=1.3)
