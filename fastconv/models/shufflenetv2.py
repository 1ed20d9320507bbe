"""ShuffleNet V2: Ma et al., "Practical guidelines for efficient CNN architecture" (ECCV 2018).

Figure 3(c) and (d) are `InvertedResidual`, table 5 is `WIDTHS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..functions.join import cat
from ..nn import BatchNorm2d, Conv2d, Linear, MaxPool2d, Module, ReLU, Sequential
from ..nn import functional as F
from ..tensor import Tensor
from ._blocks import ConvNormActivation
from ._weights import build

#: Table 5: channels of conv1, the three stages (at 28², 14², 7²), and conv5.
WIDTHS = {
    "x0_5": (24, 48, 96, 192, 1024),
    "x1_0": (24, 116, 232, 464, 1024),
    "x1_5": (24, 176, 352, 704, 1024),
    "x2_0": (24, 244, 488, 976, 2048),
}


class InvertedResidual(Module):
    """Half of the channels pass, the other half is convolved; their channels are shuffled.

    At stride 2 (figure 3(d)) both halves are made from all channels.

    Parameters
    ----------
    inp, oup : int
    stride : 1 or 2

    Raises
    ------
    ValueError
        Where the channels cannot be halved, or change at stride 1.
    """

    def __init__(self, inp: int, oup: int, stride: int) -> None:
        super().__init__()
        if stride not in (1, 2) or oup % 2 or (stride == 1 and inp != oup):
            raise ValueError(
                "InvertedResidual: stride must be 1 or 2, oup even, and inp equal to oup at "
                f"stride 1; got stride {stride}, inp {inp} and oup {oup}"
            )
        self.stride, half = stride, oup // 2
        self.branch1 = Sequential()
        if stride == 2:
            self.branch1 = Sequential(
                Conv2d(inp, inp, 3, stride, padding=1, groups=inp, bias=False),
                BatchNorm2d(inp),
                Conv2d(inp, half, 1, bias=False),
                BatchNorm2d(half),
                ReLU(inplace=True),
            )
        self.branch2 = Sequential(
            Conv2d(inp if stride == 2 else half, half, 1, bias=False),
            BatchNorm2d(half),
            ReLU(inplace=True),
            Conv2d(half, half, 3, stride, padding=1, groups=half, bias=False),
            BatchNorm2d(half),
            Conv2d(half, half, 1, bias=False),
            BatchNorm2d(half),
            ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            kept, changed = x.chunk(2, 1)
            joined = cat([kept, self.branch2(changed)], 1)
        else:
            joined = cat([self.branch1(x), self.branch2(x)], 1)
        return F.channel_shuffle(joined, 2)


class ShuffleNetV2(Module):
    """A convolution and a pooling, three stages, 1×1, the mean, a linear layer.

    Parameters
    ----------
    stages_repeats : sequence of three int
        Blocks per stage.
    stages_out_channels : sequence of five int
        Channels of the first convolution, the stages, and the last convolution.
    num_classes : int
    in_channels : int

    Raises
    ------
    ValueError
        For another number of either.
    """

    def __init__(
        self,
        stages_repeats: Sequence[int] = (4, 8, 4),
        stages_out_channels: Sequence[int] = WIDTHS["x1_0"],
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if len(stages_repeats) != 3 or len(stages_out_channels) != 5:
            raise ValueError(
                "ShuffleNetV2: stages_repeats must have three elements and stages_out_channels "
                f"five, got {stages_repeats} and {stages_out_channels}"
            )
        width, *stages, last = stages_out_channels
        self.conv1 = ConvNormActivation(in_channels, width, 3, 2)
        self.maxpool = MaxPool2d(3, stride=2, padding=1)
        made = []
        for repeats, outputs in zip(stages_repeats, stages):
            rest = [InvertedResidual(outputs, outputs, 1) for _ in range(repeats - 1)]
            made.append(Sequential(InvertedResidual(width, outputs, 2), *rest))
            width = outputs
        self.stage2, self.stage3, self.stage4 = made
        self.conv5 = ConvNormActivation(width, last, 1)
        self.fc = Linear(last, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        x = self.maxpool(self.conv1(x))  # 56 × 56 of 224 × 224
        x = self.stage4(self.stage3(self.stage2(x)))  # 7 × 7
        return self.fc(self.conv5(x).mean((2, 3)))


def _shufflenet(size: str, weights: Any, options: dict[str, Any]) -> ShuffleNetV2:
    name = f"shufflenet_v2_{size}"
    return build(name, ShuffleNetV2, weights, options, stages_out_channels=WIDTHS[size])


def shufflenet_v2_x0_5(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> ShuffleNetV2:
    """ShuffleNet V2 0.5×: 1 366 792 parameters, 224×224; options: :class:`ShuffleNetV2`."""
    return _shufflenet("x0_5", weights, options)


def shufflenet_v2_x1_0(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> ShuffleNetV2:
    """ShuffleNet V2 1×: 2 278 604 parameters, 224×224."""
    return _shufflenet("x1_0", weights, options)


def shufflenet_v2_x1_5(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> ShuffleNetV2:
    """ShuffleNet V2 1.5×: 3 503 624 parameters, 224×224."""
    return _shufflenet("x1_5", weights, options)


def shufflenet_v2_x2_0(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> ShuffleNetV2:
    """ShuffleNet V2 2×: 7 393 996 parameters, 224×224."""
    return _shufflenet("x2_0", weights, options)
