"""MobileNetV2: Sandler et al., "Inverted residuals and linear bottlenecks" (CVPR 2018).

Figure 4(d) and table 1 are `InvertedResidual`, table 2 is `PLAN`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..nn import BatchNorm2d, Conv2d, Dropout, Linear, Module, Sequential
from ..tensor import Tensor
from ._blocks import ConvNormActivation, divisible, he_backward, initialise, normal, relu6
from ._weights import build

#: Table 2: expansion t, channels c, repetitions n, stride s of the first.
PLAN = (
    (1, 16, 1, 1),  # at 112 × 112 of 224 × 224
    (6, 24, 2, 2),  # 56 × 56
    (6, 32, 3, 2),  # 28 × 28
    (6, 64, 4, 2),  # 14 × 14
    (6, 96, 3, 1),
    (6, 160, 3, 2),  # 7 × 7
    (6, 320, 1, 1),
)


class InvertedResidual(Module):
    """1×1 to many channels, 3×3 on each of them, 1×1 to few, without activation after it.

    Parameters
    ----------
    inp, oup : int
        Channels that come in and go out; the input is added where they agree at stride 1.
    stride : int
    expand_ratio : int
    """

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"InvertedResidual: stride must be 1 or 2, got {stride}")
        wide = inp * expand_ratio
        layers: list[Module] = []
        if expand_ratio != 1:
            layers.append(ConvNormActivation(inp, wide, 1, activation=relu6))
        layers += [
            ConvNormActivation(wide, wide, 3, stride, groups=wide, activation=relu6),
            Conv2d(wide, oup, 1, bias=False),
            BatchNorm2d(oup),
        ]
        self.conv = Sequential(*layers)
        self.use_res_connect = stride == 1 and inp == oup

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(Module):
    """A convolution, seventeen inverted residuals, 1×1 to 1280, the mean, a linear layer.

    Parameters
    ----------
    num_classes : int
    width_mult : float
        All channels times this, as multiples of `round_nearest`; the last ones never less.
    inverted_residual_setting : sequence of (t, c, n, s), optional
        In place of `PLAN`.
    round_nearest : int
    dropout : float
    in_channels : int

    Raises
    ------
    ValueError
        If `width_mult` is not positive, or the setting is empty or has rows of another length.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        dropout: float = 0.2,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        plan = PLAN if inverted_residual_setting is None else inverted_residual_setting
        if not plan or any(len(row) != 4 for row in plan):
            raise ValueError(
                f"MobileNetV2: inverted_residual_setting must have rows (t, c, n, s), got {plan}"
            )
        if not width_mult > 0:
            raise ValueError(f"MobileNetV2: width_mult must be positive, got {width_mult}")
        width = divisible(32 * width_mult, round_nearest)
        self.last_channel = divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[Module] = [
            ConvNormActivation(in_channels, width, stride=2, activation=relu6)
        ]
        for expand, channels, count, first in plan:
            outputs = divisible(channels * width_mult, round_nearest)
            for i in range(count):
                features.append(InvertedResidual(width, outputs, first if i == 0 else 1, expand))
                width = outputs
        features.append(ConvNormActivation(width, self.last_channel, 1, activation=relu6))
        self.features = Sequential(*features)
        self.classifier = Sequential(Dropout(dropout), Linear(self.last_channel, num_classes))
        initialise(self, conv=he_backward, linear=normal(0.01))

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        return self.classifier(self.features(x).mean((2, 3)))


def mobilenet_v2(*, weights: Any = None, progress: bool = True, **options: Any) -> MobileNetV2:
    """MobileNetV2: 3 504 872 parameters, 224×224; options are those of :class:`MobileNetV2`."""
    return build("mobilenet_v2", MobileNetV2, weights, options)
