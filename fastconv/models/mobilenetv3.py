"""MobileNetV3: Howard et al., "Searching for MobileNetV3" (ICCV 2019).

Figure 4 is `InvertedBottleneck` with `squeeze`, table 1 is `LARGE`, table 2 `SMALL`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ..nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Dropout,
    Hardsigmoid,
    Hardswish,
    Linear,
    Module,
    Sequential,
    SqueezeExcitation,
)
from ..tensor import Tensor
from ._blocks import (
    ConvNormActivation,
    InvertedBottleneck,
    divisible,
    he_backward,
    initialise,
    normal,
    relu,
)
from ._weights import build

#: kernel, expansion size, channels out, squeeze-and-excite, h-swish (else ReLU), stride.
Row = tuple[int, int, int, bool, bool, int]

LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, False, 1),  # at 112 × 112 of 224 × 224
    (3, 64, 24, False, False, 2),  # 56 × 56
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),  # 28 × 28
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),  # 14 × 14
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),  # 7 × 7
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, False, 2),  # 56 × 56
    (3, 72, 24, False, False, 2),  # 28 × 28
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),  # 14 × 14
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),  # 7 × 7
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)
norm = partial(BatchNorm2d, eps=0.001, momentum=0.01)
hardswish = partial(Hardswish, inplace=True)


def squeeze(channels: int) -> SqueezeExcitation:
    """Squeeze to a quarter, and scale by a piecewise linear sigmoid (section 5.2)."""
    return SqueezeExcitation(channels, divisible(channels // 4), scale_activation=Hardsigmoid)


class MobileNetV3(Module):
    """A convolution, inverted bottlenecks, 1×1, the mean, two linear layers (figure 5).

    Parameters
    ----------
    plan : sequence of rows
        `LARGE` or `SMALL`, or one's own.
    last_channel : int
        Of the hidden linear layer.
    num_classes : int
    width_mult : float
        All channels times this, as multiples of 8.
    reduced_tail : bool
        Half the channels in the last stage.
    dilated : bool
        The last stage widens its kernels in place of its stride.
    dropout : float
    in_channels : int

    Raises
    ------
    ValueError
        If `width_mult` is not positive.
    """

    def __init__(
        self,
        plan: Sequence[Row],
        last_channel: int,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        reduced_tail: bool = False,
        dilated: bool = False,
        dropout: float = 0.2,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if not width_mult > 0:
            raise ValueError(f"MobileNetV3: width_mult must be positive, got {width_mult}")
        tail, dilation = (2 if reduced_tail else 1), (2 if dilated else 1)
        plain = partial(ConvNormActivation, norm=norm)
        width = divisible(16 * width_mult)
        features: list[Module] = [plain(in_channels, width, 3, 2, activation=hardswish)]
        for i, (kernel, expanded, outputs, squeezed, swish, stride) in enumerate(plan):
            last_stage = i >= len(plan) - 3
            if last_stage:
                outputs //= tail
                expanded //= tail if i > len(plan) - 3 else 1
            outputs = divisible(outputs * width_mult)
            features.append(
                InvertedBottleneck(
                    width,
                    divisible(expanded * width_mult),
                    outputs,
                    kernel,
                    stride,
                    squeeze if squeezed else None,
                    hardswish if swish else relu,
                    norm,
                    dilation if last_stage else 1,
                )
            )
            width = outputs
        hidden = divisible(last_channel // tail * width_mult)
        features.append(plain(width, 6 * width, 1, activation=hardswish))
        self.features = Sequential(*features)
        self.avgpool = AdaptiveAvgPool2d(1)
        self.classifier = Sequential(
            Linear(6 * width, hidden),
            hardswish(),
            Dropout(dropout, inplace=True),
            Linear(hidden, num_classes),
        )
        initialise(self, conv=he_backward, linear=normal(0.01))

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def mobilenet_v3_large(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> MobileNetV3:
    """MobileNetV3-Large: 5 483 032 parameters, 224×224; options: :class:`MobileNetV3`."""
    return build("mobilenet_v3_large", MobileNetV3, weights, options, plan=LARGE, last_channel=1280)


def mobilenet_v3_small(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> MobileNetV3:
    """MobileNetV3-Small: 2 542 856 parameters, 224×224; options: :class:`MobileNetV3`."""
    return build("mobilenet_v3_small", MobileNetV3, weights, options, plan=SMALL, last_channel=1024)
