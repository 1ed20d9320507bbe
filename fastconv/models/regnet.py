"""RegNet: Radosavovic et al., "Designing network design spaces" (CVPR 2020).

Section 3.3's equations (2) to (4) are `widths`, figure 4 the X block; Y adds squeeze-and-excitation
(section 5). `DESIGNS` are the networks of the paper's appendix (figures 15 and 16).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from ..nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Linear,
    Module,
    ReLU,
    Sequential,
    SqueezeExcitation,
    init,
)
from ..tensor import Tensor
from ._blocks import ConvNormActivation, divisible, initialise, normal
from ._weights import build

Norm = Callable[[int], Module]

#: Depth d, initial width w₀, slope w_a, ratio w_m, group width g.
DESIGNS = {
    "x_400mf": (22, 24, 24.48, 2.54, 16),
    "x_800mf": (16, 56, 35.73, 2.28, 16),
    "x_1_6gf": (18, 80, 34.01, 2.25, 24),
    "x_3_2gf": (25, 88, 26.31, 2.25, 48),
    "x_8gf": (23, 80, 49.56, 2.88, 120),
    "x_16gf": (22, 216, 55.59, 2.1, 128),
    "x_32gf": (23, 320, 69.86, 2.0, 168),
    "y_400mf": (16, 48, 27.89, 2.09, 8),
    "y_800mf": (14, 56, 38.84, 2.4, 16),
    "y_1_6gf": (27, 48, 20.71, 2.65, 24),
    "y_3_2gf": (21, 80, 42.63, 2.66, 24),
    "y_8gf": (17, 192, 76.82, 2.19, 56),
    "y_16gf": (18, 200, 106.23, 2.48, 112),
    "y_32gf": (20, 232, 115.89, 2.53, 232),
    "y_128gf": (27, 456, 160.83, 2.52, 264),
}


def widths(
    depth: int, initial: int, slope: float, ratio: float, group: int
) -> list[tuple[int, int, int]]:
    """The stages of a design: (blocks, channels, channels per group) of each.

    Block j would have u_j = w₀ + w_a · j channels (2). With s_j from u_j = w₀ · w_m^s_j (3),
    rounded, it has w₀ · w_m^s_j (4), to a multiple of 8; blocks of equal width are a stage. Then
    stages are made multiples of their groups.

    Parameters
    ----------
    depth, initial, slope, ratio, group
        d, w₀, w_a, w_m and g.

    Raises
    ------
    ValueError
        For a slope below zero, a ratio of 1 or less, or widths that are not multiples of 8.
    """
    if slope < 0 or initial <= 0 or ratio <= 1 or initial % 8:
        raise ValueError(
            "RegNet: slope must not be negative, initial a positive multiple of 8 and ratio above "
            f"1, got {slope}, {initial} and {ratio}"
        )
    quantised = []
    for j in range(depth):
        power = round(math.log((initial + slope * j) / initial) / math.log(ratio))
        quantised.append(int(round(initial * ratio**power / 8) * 8))
    stages = []
    for width in sorted(set(quantised)):
        per_group = min(group, width)
        stages.append((quantised.count(width), divisible(width, per_group), per_group))
    return stages


class Transform(Sequential):
    """1×1, 3×3 in groups (at the stride), squeeze-and-excitation, 1×1: ``a``, ``b``, ``se``, ``c``.

    Parameters
    ----------
    width_in, width_out, stride, group_width : int
    se_ratio : float
        Squeeze to this share of `width_in`; 0 leaves it out.
    norm : callable
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        group_width: int,
        se_ratio: float,
        norm: Norm,
    ) -> None:
        super().__init__()
        groups = width_out // group_width
        self.a = ConvNormActivation(width_in, width_out, 1, norm=norm)
        self.b = ConvNormActivation(width_out, width_out, 3, stride, groups, norm=norm)
        if se_ratio:
            self.se = SqueezeExcitation(
                width_out, round(se_ratio * width_in), activation=partial(ReLU, inplace=True)
            )
        self.c = ConvNormActivation(width_out, width_out, 1, norm=norm, activation=None)


class ResBottleneckBlock(Module):
    """relu(shortcut(x) + f(x)); the shortcut is a 1×1 convolution where the shape changes.

    Parameters
    ----------
    width_in, width_out, stride, group_width, se_ratio, norm
        See `Transform`.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        group_width: int,
        se_ratio: float,
        norm: Norm,
    ) -> None:
        super().__init__()
        self.proj = None
        if width_in != width_out or stride != 1:
            self.proj = ConvNormActivation(
                width_in, width_out, 1, stride, norm=norm, activation=None
            )
        self.f = Transform(width_in, width_out, stride, group_width, se_ratio, norm)
        self.activation = ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.proj is None else self.proj(x)
        return self.activation(shortcut + self.f(x))


class RegNet(Module):
    """A 3×3 convolution, four stages that each halve the image, the mean, a linear layer.

    Parameters
    ----------
    design : tuple
        As in `DESIGNS`.
    se_ratio : float
        0.25 in RegNetY, 0 in RegNetX.
    num_classes : int
    stem_width : int
    norm_layer : callable, optional
    in_channels : int
    """

    def __init__(
        self,
        design: tuple[int, int, float, float, int],
        se_ratio: float = 0.0,
        num_classes: int = 1000,
        stem_width: int = 32,
        norm_layer: Norm | None = None,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        norm = norm_layer or BatchNorm2d
        self.stem = ConvNormActivation(in_channels, stem_width, 3, 2, norm=norm)
        width = stem_width
        trunk = Sequential()
        for i, (depth, outputs, group) in enumerate(widths(*design), 1):  # 56², 28², 14², 7²
            stage = Sequential()
            for j in range(depth):
                stride = 2 if j == 0 else 1
                block = ResBottleneckBlock(width, outputs, stride, group, se_ratio, norm)
                stage.add_module(f"block{i}-{j}", block)
                width = outputs
            trunk.add_module(f"block{i}", stage)
        self.trunk_output = trunk
        self.avgpool = AdaptiveAvgPool2d((1, 1))
        self.fc = Linear(width, num_classes)
        initialise(self, linear=normal(0.01))
        for module in self.modules():
            if isinstance(module, Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels
                init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        x = self.trunk_output(self.stem(x))
        return self.fc(self.avgpool(x).flatten(1))


def _regnet(size: str, weights: Any, options: dict[str, Any]) -> RegNet:
    fixed = {"design": DESIGNS[size], "se_ratio": 0.25 if size[0] == "y" else 0.0}
    return build(f"regnet_{size}", RegNet, weights, options, **fixed)


def regnet_x_400mf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetX-400MF: 5 495 976 parameters, 224×224; options: :class:`RegNet`."""
    return _regnet("x_400mf", weights, options)


def regnet_x_800mf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetX-800MF: 7 259 656 parameters, 224×224."""
    return _regnet("x_800mf", weights, options)


def regnet_x_1_6gf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetX-1.6GF: 9 190 136 parameters, 224×224."""
    return _regnet("x_1_6gf", weights, options)


def regnet_x_3_2gf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetX-3.2GF: 15 296 552 parameters, 224×224."""
    return _regnet("x_3_2gf", weights, options)


def regnet_x_8gf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetX-8GF: 39 572 648 parameters, 224×224."""
    return _regnet("x_8gf", weights, options)


def regnet_x_16gf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetX-16GF: 54 278 536 parameters, 224×224."""
    return _regnet("x_16gf", weights, options)


def regnet_x_32gf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetX-32GF: 107 811 560 parameters, 224×224."""
    return _regnet("x_32gf", weights, options)


def regnet_y_400mf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetY-400MF: 4 344 144 parameters, 224×224."""
    return _regnet("y_400mf", weights, options)


def regnet_y_800mf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetY-800MF: 6 432 512 parameters, 224×224."""
    return _regnet("y_800mf", weights, options)


def regnet_y_1_6gf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetY-1.6GF: 11 202 430 parameters, 224×224."""
    return _regnet("y_1_6gf", weights, options)


def regnet_y_3_2gf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetY-3.2GF: 19 436 338 parameters, 224×224."""
    return _regnet("y_3_2gf", weights, options)


def regnet_y_8gf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetY-8GF: 39 381 472 parameters, 224×224."""
    return _regnet("y_8gf", weights, options)


def regnet_y_16gf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetY-16GF: 83 590 140 parameters, 224×224."""
    return _regnet("y_16gf", weights, options)


def regnet_y_32gf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetY-32GF: 145 046 770 parameters, 224×224."""
    return _regnet("y_32gf", weights, options)


def regnet_y_128gf(*, weights: Any = None, progress: bool = True, **options: Any) -> RegNet:
    """RegNetY-128GF: 644 812 894 parameters, 224×224."""
    return _regnet("y_128gf", weights, options)
