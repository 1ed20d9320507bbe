"""Residual networks for 32×32 images (He, Zhang, Ren, Sun 2016, section 4.2; counts in table 6)."""

from __future__ import annotations

from typing import Any

from ..nn import BatchNorm2d, Conv2d, Linear, Module, Sequential, init
from ..nn import functional as F
from ..tensor import Tensor
from ._weights import build


class BasicBlock(Module):
    """Two 3×3 convolutions beside a shortcut: ``relu(f(x) + shortcut(x))``.

    Where the block halves the image and widens the channels, the shortcut takes every second pixel
    and pads the new channels with zeros (the paper's option A): it has no parameters.

    Parameters
    ----------
    in_planes, planes : int
        Channels that come in and go out.
    stride : int
    """

    def __init__(self, in_planes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = BatchNorm2d(planes)
        self.conv2 = Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = BatchNorm2d(planes)
        self.stride, self.more = stride, planes - in_planes

    def shortcut(self, input: Tensor) -> Tensor:
        """The input in the shape of the output."""
        if self.stride == 1 and self.more == 0:
            return input
        before = self.more // 2
        kept = input[:, :, :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, before, self.more - before))

    def forward(self, input: Tensor) -> Tensor:
        """(N, planes, H/stride, W/stride) from (N, in_planes, H, W)."""
        inner = F.relu(self.bn1(self.conv1(input)))
        inner = self.bn2(self.conv2(inner))
        return F.relu(inner + self.shortcut(input))


class CifarResNet(Module):
    """A 3×3 convolution, three groups of blocks at 32², 16² and 8², the mean, a linear layer.

    Its ``state_dict`` has the names of the usual PyTorch models of this kind (``conv1``, ``bn1``,
    ``layer1.0.conv1`` …, ``linear``).

    Parameters
    ----------
    blocks : int
        Blocks per group: 3 for ResNet-20, n for ResNet-(6n+2).
    num_classes, in_channels : int
    width : int
        Channels of the first group; the others have twice and four times as many.

    Raises
    ------
    ValueError
        If `blocks` or `width` is not positive.
    """

    def __init__(
        self, blocks: int = 3, num_classes: int = 10, in_channels: int = 3, width: int = 16
    ) -> None:
        super().__init__()
        if blocks < 1 or width < 1:
            raise ValueError(
                f"CifarResNet: blocks and width must be positive, got {blocks} and {width}"
            )
        self.conv1 = Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = BatchNorm2d(width)
        self.layer1 = self._group(width, width, blocks, 1)
        self.layer2 = self._group(width, 2 * width, blocks, 2)
        self.layer3 = self._group(2 * width, 4 * width, blocks, 2)
        self.linear = Linear(4 * width, num_classes)
        for module in self.modules():
            if isinstance(module, (Conv2d, Linear)):
                init.kaiming_normal_(module.weight)

    @staticmethod
    def _group(in_planes: int, planes: int, blocks: int, stride: int) -> Sequential:
        rest = [BasicBlock(planes, planes) for _ in range(blocks - 1)]
        return Sequential(BasicBlock(in_planes, planes, stride), *rest)

    def forward(self, input: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        features = F.relu(self.bn1(self.conv1(input)))
        features = self.layer3(self.layer2(self.layer1(features)))
        return self.linear(F.adaptive_avg_pool2d(features, 1).flatten(1))


def _cifar(depth: int, num_classes: int, in_channels: int, weights: Any) -> CifarResNet:
    options = {"num_classes": num_classes, "in_channels": in_channels}
    return build(f"resnet{depth}", CifarResNet, weights, options, blocks=(depth - 2) // 6)


def resnet20(num_classes: int = 10, in_channels: int = 3, *, weights: Any = None) -> CifarResNet:
    """ResNet-20: 269 722 parameters, 32×32."""
    return _cifar(20, num_classes, in_channels, weights)


def resnet32(num_classes: int = 10, in_channels: int = 3, *, weights: Any = None) -> CifarResNet:
    """ResNet-32: 464 154 parameters, 32×32."""
    return _cifar(32, num_classes, in_channels, weights)


def resnet44(num_classes: int = 10, in_channels: int = 3, *, weights: Any = None) -> CifarResNet:
    """ResNet-44: 658 586 parameters, 32×32."""
    return _cifar(44, num_classes, in_channels, weights)


def resnet56(num_classes: int = 10, in_channels: int = 3, *, weights: Any = None) -> CifarResNet:
    """ResNet-56: 853 018 parameters, 32×32."""
    return _cifar(56, num_classes, in_channels, weights)


def resnet110(num_classes: int = 10, in_channels: int = 3, *, weights: Any = None) -> CifarResNet:
    """ResNet-110: 1 727 962 parameters, 32×32."""
    return _cifar(110, num_classes, in_channels, weights)
