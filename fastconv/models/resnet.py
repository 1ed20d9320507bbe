"""Residual networks for large images: ResNet, ResNeXt, Wide ResNet, SE-ResNet.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition" (CVPR 2016): table 1 is
`LAYERS`, figure 5 the two blocks. Xie et al., "Aggregated residual transformations" (CVPR 2017),
figure 3(c): groups. Zagoruyko, Komodakis, "Wide residual networks" (BMVC 2016). Hu, Shen, Sun,
"Squeeze-and-excitation networks" (CVPR 2018), figure 3 and table 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
    SqueezeExcitation,
    init,
)
from ..tensor import Tensor
from ._blocks import he_backward
from ._weights import build

Norm = Callable[[int], Module]

#: Table 1: blocks of conv2_x, conv3_x, conv4_x and conv5_x.
LAYERS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def conv3x3(inputs: int, outputs: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> Any:
    """A 3×3 convolution that keeps the size (or divides it by the stride)."""
    return Conv2d(inputs, outputs, 3, stride, dilation, dilation, groups, bias=False)


class _Residual(Module):
    """relu(residual(x) + shortcut(x))."""

    relu: ReLU
    downsample: Module | None

    def residual(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.residual(x) + shortcut)


class BasicBlock(_Residual):
    """Figure 5, left: two 3×3 convolutions.

    Parameters
    ----------
    inplanes, planes : int
        Channels that come in and go out.
    stride : int
        Of the first convolution.
    downsample : Module, optional
        Brings the shortcut into the shape of the output.
    groups, base_width, dilation : int
        Must be 1, 64 and 1: the block has no other form.
    norm_layer : callable, optional
        Makes a normalisation from a number of channels.
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        if groups != 1 or base_width != 64 or dilation != 1:
            raise ValueError(
                "BasicBlock: groups, width_per_group and dilation must be 1, 64 and 1, "
                f"got {groups}, {base_width} and {dilation}"
            )
        norm = norm_layer or BatchNorm2d
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm(planes)
        self.relu = ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm(planes)
        self.downsample = downsample

    def residual(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(x))


class Bottleneck(_Residual):
    """Figure 5, right: 1×1 to fewer channels, 3×3, 1×1 to four times as many.

    The 3×3 convolution has the stride, as in the authors' later code and in torchvision ("v1.5").
    With `groups` it is ResNeXt's block, with a larger `base_width` the wide one.

    Parameters
    ----------
    inplanes, planes : int
        Channels that come in; a quarter of those that go out.
    stride : int
    downsample : Module, optional
    groups, base_width, dilation : int
        The 3×3 convolution has planes · base_width / 64 · groups channels.
    norm_layer : callable, optional
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or BatchNorm2d
        width, outplanes = planes * base_width // 64 * groups, planes * self.expansion
        self.conv1 = Conv2d(inplanes, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm(width)
        self.conv3 = Conv2d(width, outplanes, 1, bias=False)
        self.bn3 = norm(outplanes)
        self.relu = ReLU(inplace=True)
        self.downsample = downsample

    def residual(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))


class SEBottleneck(Bottleneck):
    """A bottleneck whose result is scaled channel by channel (SENet, figure 3)."""

    def __init__(self, inplanes: int, planes: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(inplanes, planes, *args, **kwargs)
        outplanes = planes * self.expansion
        self.se = SqueezeExcitation(outplanes, outplanes // 16)

    def residual(self, x: Tensor) -> Tensor:
        return self.se(super().residual(x))  # type: ignore[no-any-return]


class ResNet(Module):
    """A stem, four groups of residual blocks, the mean over the image, a linear layer.

    Parameters
    ----------
    block : class
        `BasicBlock` or `Bottleneck`.
    layers : sequence of four int
        Blocks per group.
    num_classes : int
    zero_init_residual : bool
        Let the last normalisation of each block begin with zero, so that it begins as its shortcut.
    groups, width_per_group : int
        Of the bottleneck's 3×3 convolution.
    replace_stride_with_dilation : sequence of three bool, optional
        Whether `layer2`, `layer3`, `layer4` widen their kernels in place of their stride.
    norm_layer : callable, optional
        Makes a normalisation from a number of channels; `BatchNorm2d` when not given.
    in_channels : int

    Raises
    ------
    ValueError
        For another number of `layers` or of `replace_stride_with_dilation`.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm | None = None,
        *,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        dilate = replace_stride_with_dilation or (False, False, False)
        if len(layers) != 4 or len(dilate) != 3:
            raise ValueError(
                "ResNet: layers must have four elements and replace_stride_with_dilation three, "
                f"got {layers} and {replace_stride_with_dilation}"
            )
        norm = norm_layer or BatchNorm2d
        self.groups, self.base_width = groups, width_per_group
        self.inplanes, self.dilation = 64, 1
        self.conv1 = Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(64)
        self.relu = ReLU(inplace=True)
        self.maxpool = MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._group(block, 64, layers[0], 1, False, norm)
        self.layer2 = self._group(block, 128, layers[1], 2, dilate[0], norm)
        self.layer3 = self._group(block, 256, layers[2], 2, dilate[1], norm)
        self.layer4 = self._group(block, 512, layers[3], 2, dilate[2], norm)
        self.avgpool = AdaptiveAvgPool2d((1, 1))
        self.fc = Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, Conv2d):
                he_backward(module.weight)
            if zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                last: Any = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                init.zeros_(last.weight)

    def _group(
        self, block: Any, planes: int, blocks: int, stride: int, dilate: bool, norm: Norm
    ) -> Sequential:
        before = self.dilation  # the first block does not see pixels that are not there yet
        if dilate:
            self.dilation, stride = self.dilation * stride, 1
        downsample = None
        outplanes = planes * block.expansion
        if stride != 1 or self.inplanes != outplanes:
            downsample = Sequential(
                Conv2d(self.inplanes, outplanes, 1, stride, bias=False), norm(outplanes)
            )
        shared = (self.groups, self.base_width)
        made = [block(self.inplanes, planes, stride, downsample, *shared, before, norm)]
        self.inplanes = outplanes
        for _ in range(blocks - 1):
            made.append(block(outplanes, planes, 1, None, *shared, self.dilation, norm))
        return Sequential(*made)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # 64 × 56 × 56 of 224 × 224
        x = self.layer1(x)  # 64 · expansion × 56 × 56
        x = self.layer2(x)  # 128 · expansion × 28 × 28
        x = self.layer3(x)  # 256 · expansion × 14 × 14
        x = self.layer4(x)  # 512 · expansion × 7 × 7
        return self.fc(self.avgpool(x).flatten(1))


def _resnet(
    name: str, block: Any, depth: int, weights: Any, options: dict[str, Any], **fixed: Any
) -> ResNet:
    return build(name, ResNet, weights, options, block=block, layers=LAYERS[depth], **fixed)


def resnet18(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-18: 11 689 512 parameters, 224×224; options are those of :class:`ResNet`."""
    return _resnet("resnet18", BasicBlock, 18, weights, options)


def resnet34(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-34: 21 797 672 parameters, 224×224."""
    return _resnet("resnet34", BasicBlock, 34, weights, options)


def resnet50(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-50: 25 557 032 parameters, 224×224."""
    return _resnet("resnet50", Bottleneck, 50, weights, options)


def resnet101(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-101: 44 549 160 parameters, 224×224."""
    return _resnet("resnet101", Bottleneck, 101, weights, options)


def resnet152(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-152: 60 192 808 parameters, 224×224."""
    return _resnet("resnet152", Bottleneck, 152, weights, options)


def resnext50_32x4d(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNeXt-50 (32 groups of 4): 25 028 904 parameters, 224×224."""
    return _resnet(
        "resnext50_32x4d", Bottleneck, 50, weights, options, groups=32, width_per_group=4
    )


def resnext101_32x8d(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNeXt-101 (32 groups of 8): 88 791 336 parameters, 224×224."""
    return _resnet(
        "resnext101_32x8d", Bottleneck, 101, weights, options, groups=32, width_per_group=8
    )


def resnext101_64x4d(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNeXt-101 (64 groups of 4): 83 455 272 parameters, 224×224."""
    return _resnet(
        "resnext101_64x4d", Bottleneck, 101, weights, options, groups=64, width_per_group=4
    )


def wide_resnet50_2(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """Wide ResNet-50-2 (twice the width inside a block): 68 883 240 parameters, 224×224."""
    return _resnet("wide_resnet50_2", Bottleneck, 50, weights, options, width_per_group=128)


def wide_resnet101_2(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """Wide ResNet-101-2: 126 886 696 parameters, 224×224."""
    return _resnet("wide_resnet101_2", Bottleneck, 101, weights, options, width_per_group=128)


def se_resnet50(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """SE-ResNet-50 (SENet, table 1, middle): 28 088 024 parameters, 224×224."""
    return _resnet("se_resnet50", SEBottleneck, 50, weights, options)
