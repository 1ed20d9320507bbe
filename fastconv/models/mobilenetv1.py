"""MobileNet: Howard et al., "Efficient convolutional neural networks for mobile vision" (2017).

Figure 3, right, is `DepthwiseSeparable`, table 1 `PLAN`.
"""

from __future__ import annotations

from typing import Any

from ..nn import AdaptiveAvgPool2d, Dropout, Linear, Module, Sequential, init
from ..tensor import Tensor
from ._blocks import ConvNormActivation, initialise, normal
from ._weights import build

#: Table 1: channels after each pair of layers, and the stride of its depthwise convolution.
PLAN = (
    (64, 1),  # at 112 × 112 of 224 × 224
    (128, 2),  # 56 × 56
    (128, 1),
    (256, 2),  # 28 × 28
    (256, 1),
    (512, 2),  # 14 × 14
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),  # 7 × 7
    (1024, 1),
)


class DepthwiseSeparable(Sequential):
    """3×3 on each channel, then 1×1 over all, each with normalisation and ReLU.

    Parameters
    ----------
    in_channels, out_channels, stride : int
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(
            ConvNormActivation(in_channels, in_channels, 3, stride, groups=in_channels),
            ConvNormActivation(in_channels, out_channels, 1),
        )


class MobileNetV1(Module):
    """A convolution, thirteen depthwise separable ones, the mean, a linear layer.

    Parameters
    ----------
    num_classes : int
    width_mult : float
        The paper's α: all channels times this, rounded down.
    dropout : float
    in_channels : int

    Raises
    ------
    ValueError
        If `width_mult` leaves no channels.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        dropout: float = 0.001,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        width = int(32 * width_mult)
        if width < 1:
            raise ValueError(f"MobileNetV1: width_mult must be at least 1/32, got {width_mult}")
        features: list[Module] = [ConvNormActivation(in_channels, width, 3, 2)]
        for channels, stride in PLAN:
            outputs = int(channels * width_mult)
            features.append(DepthwiseSeparable(width, outputs, stride))
            width = outputs
        self.features = Sequential(*features)
        self.avgpool = AdaptiveAvgPool2d((1, 1))
        self.classifier = Sequential(Dropout(dropout), Linear(width, num_classes))
        initialise(self, conv=init.kaiming_normal_, linear=normal(0.01))

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def mobilenet_v1(*, weights: Any = None, progress: bool = True, **options: Any) -> MobileNetV1:
    """MobileNet: 4 231 976 parameters, 224×224; options are those of :class:`MobileNetV1`."""
    return build("mobilenet_v1", MobileNetV1, weights, options)
