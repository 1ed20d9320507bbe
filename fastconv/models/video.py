"""Residual networks for video: R3D-18, MC3-18, R(2+1)D-18.

Tran et al., "A closer look at spatiotemporal convolutions for action recognition" (CVPR 2018):
figure 1 (b, d and e), table 1, and section 3.5 for the channels inside a (2+1)D convolution. Names
are torchvision's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ..nn import (
    AdaptiveAvgPool3d,
    BatchNorm3d,
    Conv3d,
    Linear,
    Module,
    ReLU,
    Sequential,
    init,
)
from ..tensor import Tensor
from ._weights import build

conv3d = partial(Conv3d, bias=False)
relu = partial(ReLU, inplace=True)


class Conv3DSimple(Conv3d):
    """3×3×3.

    Parameters
    ----------
    in_planes, out_planes : int
    midplanes : int
        Channels between the halves of a (2+1)D convolution; not used here.
    stride : int
        In time and space.
    """

    def __init__(self, in_planes: int, out_planes: int, midplanes: int, stride: int = 1) -> None:
        super().__init__(in_planes, out_planes, 3, stride, 1, bias=False)

    #: How many axes of (time, height, width) the stride is for, from the last.
    strided = 3


class Conv3DNoTemporal(Conv3d):
    """1×3×3: a two-dimensional convolution of each frame; parameters as of `Conv3DSimple`."""

    def __init__(self, in_planes: int, out_planes: int, midplanes: int, stride: int = 1) -> None:
        super().__init__(
            in_planes, out_planes, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False
        )

    strided = 2


class Conv2Plus1D(Sequential):
    """1×3×3, batch norm, ReLU, 3×1×1: first space, then time; parameters as of `Conv3DSimple`."""

    def __init__(self, in_planes: int, out_planes: int, midplanes: int, stride: int = 1) -> None:
        super().__init__(
            conv3d(in_planes, midplanes, (1, 3, 3), (1, stride, stride), (0, 1, 1)),
            BatchNorm3d(midplanes),
            relu(),
            conv3d(midplanes, out_planes, (3, 1, 1), (stride, 1, 1), (1, 0, 0)),
        )

    strided = 3


Convolution = type[Conv3DSimple] | type[Conv3DNoTemporal] | type[Conv2Plus1D]


class BasicBlock(Module):
    """Two convolutions of the kind given, and a shortcut.

    Parameters
    ----------
    inplanes, planes : int
        Channels that come in and go out.
    convolution : class
        `Conv3DSimple`, `Conv3DNoTemporal` or `Conv2Plus1D`.
    stride : int
        Of the first convolution.
    """

    def __init__(
        self, inplanes: int, planes: int, convolution: Convolution, stride: int = 1
    ) -> None:
        super().__init__()
        # So many that a (2+1)D convolution has the parameters of a three-dimensional one.
        middle = inplanes * planes * 27 // (inplanes * 9 + 3 * planes)
        self.conv1 = Sequential(
            convolution(inplanes, planes, middle, stride), BatchNorm3d(planes), relu()
        )
        self.conv2 = Sequential(convolution(planes, planes, middle), BatchNorm3d(planes))
        self.relu = relu()
        self.downsample: Module | None = None
        if stride != 1 or inplanes != planes:
            steps = (1,) * (3 - convolution.strided) + (stride,) * convolution.strided
            self.downsample = Sequential(conv3d(inplanes, planes, 1, steps), BatchNorm3d(planes))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.conv2(self.conv1(x)) + shortcut)


def plain_stem(in_channels: int) -> Sequential:
    """3×7×7 with stride 2 in space."""
    return Sequential(
        conv3d(in_channels, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3)), BatchNorm3d(64), relu()
    )


def divided_stem(in_channels: int) -> Sequential:
    """1×7×7 with stride 2, then 3×1×1."""
    return Sequential(
        conv3d(in_channels, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3)),
        BatchNorm3d(45),
        relu(),
        conv3d(45, 64, (3, 1, 1), 1, (1, 0, 0)),
        BatchNorm3d(64),
        relu(),
    )


class VideoResNet(Module):
    """A stem, four groups of blocks, the mean over time and space, a linear layer.

    Parameters
    ----------
    convolutions : sequence of four classes
        Of the groups: `Conv3DSimple`, `Conv3DNoTemporal` or `Conv2Plus1D`.
    layers : sequence of four int
        Blocks of each group.
    divided : bool
        The stem is 1×7×7 and 3×1×1, rather than 3×7×7.
    num_classes, in_channels : int
    zero_init_residual : bool
        Let the last normalisation of each block begin with zero, so that it begins as its shortcut.

    Raises
    ------
    ValueError
        If `convolutions` or `layers` has not four elements.
    """

    def __init__(
        self,
        convolutions: Sequence[Convolution],
        layers: Sequence[int] = (2, 2, 2, 2),
        divided: bool = False,
        num_classes: int = 400,
        zero_init_residual: bool = False,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if len(convolutions) != 4 or len(layers) != 4:
            raise ValueError(
                "VideoResNet: convolutions and layers must have four elements, got "
                f"{len(convolutions)} and {len(layers)}"
            )
        self.stem = divided_stem(in_channels) if divided else plain_stem(in_channels)
        self.layer1 = self._group(64, 64, convolutions[0], layers[0], 1)
        self.layer2 = self._group(64, 128, convolutions[1], layers[1], 2)
        self.layer3 = self._group(128, 256, convolutions[2], layers[2], 2)
        self.layer4 = self._group(256, 512, convolutions[3], layers[3], 2)
        self.avgpool = AdaptiveAvgPool3d((1, 1, 1))
        self.fc = Linear(512, num_classes)
        for module in self.modules():
            if isinstance(module, Conv3d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, BasicBlock):
                init.zeros_(module.conv2[1].weight)
        init.normal_(self.fc.weight, 0.0, 0.01)
        init.zeros_(self.fc.bias)  # type: ignore[arg-type]

    @staticmethod
    def _group(
        inplanes: int, planes: int, convolution: Convolution, blocks: int, stride: int
    ) -> Sequential:
        rest = [BasicBlock(planes, planes, convolution) for _ in range(blocks - 1)]
        return Sequential(BasicBlock(inplanes, planes, convolution, stride), *rest)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of clips (N, in_channels, T, H, W)."""
        x = self.stem(x)  # 64 × 16 × 56 × 56 of 16 frames of 112 × 112
        x = self.layer1(x)
        x = self.layer2(x)  # 128 × 8 × 28 × 28 (MC3 keeps 16 frames)
        x = self.layer3(x)  # 256 × 4 × 14 × 14
        x = self.layer4(x)  # 512 × 2 × 7 × 7
        return self.fc(self.avgpool(x).flatten(1))


def r3d_18(*, weights: Any = None, progress: bool = True, **options: Any) -> VideoResNet:
    """R3D-18, 3×3×3 all through: 33 371 472 parameters, clips of 16×112×112.

    Options are those of :class:`VideoResNet`.
    """
    convolutions = [Conv3DSimple] * 4
    return build("r3d_18", VideoResNet, weights, options, convolutions=convolutions)


def mc3_18(*, weights: Any = None, progress: bool = True, **options: Any) -> VideoResNet:
    """MC3-18, 3×3×3 in the first group only: 11 695 440 parameters, clips of 16×112×112."""
    convolutions = [Conv3DSimple] + [Conv3DNoTemporal] * 3
    return build("mc3_18", VideoResNet, weights, options, convolutions=convolutions)


def r2plus1d_18(*, weights: Any = None, progress: bool = True, **options: Any) -> VideoResNet:
    """R(2+1)D-18, space and time in turns: 31 505 325 parameters, clips of 16×112×112."""
    convolutions = [Conv2Plus1D] * 4
    return build(
        "r2plus1d_18", VideoResNet, weights, options, convolutions=convolutions, divided=True
    )
