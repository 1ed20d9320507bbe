"""EfficientNet: Tan, Le, "Rethinking model scaling" (ICML 2019), and V2 (ICML 2021).

Table 1 of the first is `PLAN`, its section 3.3 (compound scaling) `SCALES`; table 4 of the second
is `PLANS_V2`, its figure 2 `FusedMBConv`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Dropout,
    Linear,
    Module,
    Sequential,
    SiLU,
    SqueezeExcitation,
    init,
)
from ..tensor import Tensor
from ._blocks import (
    ConvNormActivation,
    InvertedBottleneck,
    StochasticDepth,
    divisible,
    he_backward,
    initialise,
)
from ._weights import build

Norm = Callable[[int], Module]
silu = partial(SiLU, inplace=True)


class Stage(NamedTuple):
    """A row of the tables: blocks of one kind."""

    fused: bool
    expand: int
    kernel: int
    stride: int
    channels: int
    blocks: int


#: Table 1: EfficientNet-B0.
PLAN = (
    Stage(False, 1, 3, 1, 16, 1),  # at 112 × 112 of 224 × 224
    Stage(False, 6, 3, 2, 24, 2),  # 56 × 56
    Stage(False, 6, 5, 2, 40, 2),  # 28 × 28
    Stage(False, 6, 3, 2, 80, 3),  # 14 × 14
    Stage(False, 6, 5, 1, 112, 3),
    Stage(False, 6, 5, 2, 192, 4),  # 7 × 7
    Stage(False, 6, 3, 1, 320, 1),
)
#: Width and depth times this, dropout; images are 224, 240, 260, 300, 380, 456, 528, 600 wide.
SCALES = (
    (1.0, 1.0, 0.2),
    (1.0, 1.1, 0.2),
    (1.1, 1.2, 0.3),
    (1.2, 1.4, 0.3),
    (1.4, 1.8, 0.4),
    (1.6, 2.2, 0.4),
    (1.8, 2.6, 0.5),
    (2.0, 3.1, 0.5),
)
PLANS_V2 = {
    "s": (
        Stage(True, 1, 3, 1, 24, 2),
        Stage(True, 4, 3, 2, 48, 4),
        Stage(True, 4, 3, 2, 64, 4),
        Stage(False, 4, 3, 2, 128, 6),
        Stage(False, 6, 3, 1, 160, 9),
        Stage(False, 6, 3, 2, 256, 15),
    ),
    "m": (
        Stage(True, 1, 3, 1, 24, 3),
        Stage(True, 4, 3, 2, 48, 5),
        Stage(True, 4, 3, 2, 80, 5),
        Stage(False, 4, 3, 2, 160, 7),
        Stage(False, 6, 3, 1, 176, 14),
        Stage(False, 6, 3, 2, 304, 18),
        Stage(False, 6, 3, 1, 512, 5),
    ),
    "l": (
        Stage(True, 1, 3, 1, 32, 4),
        Stage(True, 4, 3, 2, 64, 7),
        Stage(True, 4, 3, 2, 96, 7),
        Stage(False, 4, 3, 2, 192, 10),
        Stage(False, 6, 3, 1, 224, 19),
        Stage(False, 6, 3, 2, 384, 25),
        Stage(False, 6, 3, 1, 640, 7),
    ),
}


class FusedMBConv(Module):
    """V2's block for large images: one k×k convolution in place of 1×1 and depthwise.

    Parameters
    ----------
    in_channels, expanded, out_channels, kernel_size, stride : int
    norm : callable
    drop : float
        See `InvertedBottleneck`.
    """

    def __init__(
        self,
        in_channels: int,
        expanded: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        norm: Norm,
        drop: float,
    ) -> None:
        super().__init__()
        plain = partial(ConvNormActivation, norm=norm)
        if expanded == in_channels:
            self.block = Sequential(
                plain(in_channels, out_channels, kernel_size, stride, activation=silu)
            )
        else:
            self.block = Sequential(
                plain(in_channels, expanded, kernel_size, stride, activation=silu),
                plain(expanded, out_channels, 1, activation=None),
            )
        self.stochastic_depth = StochasticDepth(drop)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, input: Tensor) -> Tensor:
        result = self.block(input)
        return input + self.stochastic_depth(result) if self.residual else result


class EfficientNet(Module):
    """A convolution, stages of inverted bottlenecks, 1×1, the mean, a linear layer.

    Parameters
    ----------
    plan : sequence of Stage
    dropout : float
    stochastic_depth_prob : float
        Of the last block; it grows from zero block by block.
    num_classes : int
    width_mult, depth_mult : float
        Channels times this, as multiples of 8; blocks per stage times this, rounded up.
    norm_layer : callable, optional
    last_channel : int, optional
        Channels of the last convolution: four times those before it when not given.
    in_channels : int

    Raises
    ------
    ValueError
        If a multiplier is not positive.
    """

    def __init__(
        self,
        plan: Sequence[Stage],
        dropout: float,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        depth_mult: float = 1.0,
        norm_layer: Norm | None = None,
        last_channel: int | None = None,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if not (width_mult > 0 and depth_mult > 0):
            raise ValueError(
                "EfficientNet: width_mult and depth_mult must be positive, "
                f"got {width_mult} and {depth_mult}"
            )
        norm = norm_layer or BatchNorm2d
        depths = [math.ceil(stage.blocks * depth_mult) for stage in plan]
        stem = plan[0].channels if plan[0].fused else 32
        width = divisible(stem * width_mult)
        plain = partial(ConvNormActivation, norm=norm, activation=silu)
        features: list[Module] = [plain(in_channels, width, 3, 2)]
        done = 0
        for stage, depth in zip(plan, depths):
            blocks: list[Module] = []
            outputs = divisible(stage.channels * width_mult)
            for i in range(depth):
                drop = stochastic_depth_prob * done / sum(depths)
                stride = stage.stride if i == 0 else 1
                shape = (width, divisible(width * stage.expand), outputs, stage.kernel, stride)
                if stage.fused:
                    blocks.append(FusedMBConv(*shape, norm, drop))
                else:
                    squeeze = partial(_squeeze, max(1, width // 4))
                    blocks.append(InvertedBottleneck(*shape, squeeze, silu, norm, drop=drop))
                width = outputs
                done += 1
            features.append(Sequential(*blocks))
        last = 4 * width if last_channel is None else last_channel
        features.append(plain(width, last, 1))
        self.features = Sequential(*features)
        self.avgpool = AdaptiveAvgPool2d(1)
        self.classifier = Sequential(Dropout(dropout, inplace=True), Linear(last, num_classes))
        initialise(self, conv=he_backward, linear=_uniform_by_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _squeeze(squeezed: int, channels: int) -> SqueezeExcitation:
    return SqueezeExcitation(channels, squeezed, activation=silu)


def _uniform_by_outputs(weight: Tensor) -> Tensor:
    bound = 1 / math.sqrt(weight.shape[0])
    return init.uniform_(weight, -bound, bound)


def _efficientnet(number: int, weights: Any, options: dict[str, Any]) -> EfficientNet:
    width, depth, dropout = SCALES[number]
    fixed: dict[str, Any] = {"plan": PLAN, "width_mult": width, "depth_mult": depth}
    options = {"dropout": dropout, **options}
    if number >= 5:
        options = {"norm_layer": partial(BatchNorm2d, eps=0.001, momentum=0.01), **options}
    return build(f"efficientnet_b{number}", EfficientNet, weights, options, **fixed)


def _efficientnet_v2(
    size: str, dropout: float, weights: Any, options: dict[str, Any]
) -> EfficientNet:
    options = {"dropout": dropout, "norm_layer": partial(BatchNorm2d, eps=1e-3), **options}
    fixed: dict[str, Any] = {"plan": PLANS_V2[size], "last_channel": 1280}
    return build(f"efficientnet_v2_{size}", EfficientNet, weights, options, **fixed)


def efficientnet_b0(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet-B0: 5 288 548 parameters, 224×224; options: :class:`EfficientNet`."""
    return _efficientnet(0, weights, options)


def efficientnet_b1(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet-B1: 7 794 184 parameters, 240×240."""
    return _efficientnet(1, weights, options)


def efficientnet_b2(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet-B2: 9 109 994 parameters, 260×260."""
    return _efficientnet(2, weights, options)


def efficientnet_b3(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet-B3: 12 233 232 parameters, 300×300."""
    return _efficientnet(3, weights, options)


def efficientnet_b4(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet-B4: 19 341 616 parameters, 380×380."""
    return _efficientnet(4, weights, options)


def efficientnet_b5(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet-B5: 30 389 784 parameters, 456×456."""
    return _efficientnet(5, weights, options)


def efficientnet_b6(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet-B6: 43 040 704 parameters, 528×528."""
    return _efficientnet(6, weights, options)


def efficientnet_b7(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet-B7: 66 347 960 parameters, 600×600."""
    return _efficientnet(7, weights, options)


def efficientnet_v2_s(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> EfficientNet:
    """EfficientNetV2-S: 21 458 488 parameters, 384×384."""
    return _efficientnet_v2("s", 0.2, weights, options)


def efficientnet_v2_m(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> EfficientNet:
    """EfficientNetV2-M: 54 139 356 parameters, 480×480."""
    return _efficientnet_v2("m", 0.3, weights, options)


def efficientnet_v2_l(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> EfficientNet:
    """EfficientNetV2-L: 118 515 272 parameters, 480×480."""
    return _efficientnet_v2("l", 0.4, weights, options)
