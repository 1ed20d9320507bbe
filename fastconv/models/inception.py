"""Inception-v3: Szegedy et al., "Rethinking the Inception architecture" (CVPR 2016).

Table 1 is the whole; figure 5 is `InceptionA`, figure 6 `InceptionC`, figure 7 `InceptionE`, figure
10 the idea of `InceptionB` and `InceptionD`, which halve the image, figure 8 the classifier.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..functions.join import cat
from ..nn import (
    AdaptiveAvgPool2d,
    BasicConv2d,
    Conv2d,
    Dropout,
    Linear,
    MaxPool2d,
    Module,
    init,
)
from ..nn import functional as F
from ..tensor import Tensor
from ._weights import build
from .googlenet import from_imagenet_statistics


class InceptionOutputs(NamedTuple):
    """Scores of the network, and of the classifier beside it."""

    logits: Tensor
    aux_logits: Tensor | None


def same(inputs: int, outputs: int, *kernel: int) -> BasicConv2d:
    """A convolution that keeps the image's size: kernel (k,) is k×k, (h, w) is h×w."""
    height, width = kernel[0], kernel[-1]
    padding = (height // 2, width // 2)
    return BasicConv2d(inputs, outputs, kernel_size=(height, width), padding=padding)


def half(inputs: int, outputs: int) -> BasicConv2d:
    """A 3×3 convolution that halves the image."""
    return BasicConv2d(inputs, outputs, kernel_size=3, stride=2)


class InceptionA(Module):
    """1×1; 5×5; 3×3 twice; pooling, side by side (figure 5), at 35×35.

    Parameters
    ----------
    in_channels, pool_features : int
        Channels that come in, and of the pooling branch; 224 + pool_features go out.
    """

    def __init__(self, in_channels: int, pool_features: int) -> None:
        super().__init__()
        self.branch1x1 = same(in_channels, 64, 1)
        self.branch5x5_1 = same(in_channels, 48, 1)
        self.branch5x5_2 = same(48, 64, 5)
        self.branch3x3dbl_1 = same(in_channels, 64, 1)
        self.branch3x3dbl_2 = same(64, 96, 3)
        self.branch3x3dbl_3 = same(96, 96, 3)
        self.branch_pool = same(in_channels, pool_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        branches = [
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(F.avg_pool2d(x, 3, 1, 1)),
        ]
        return cat(branches, 1)  # type: ignore[no-any-return]


class InceptionB(Module):
    """35×35 to 17×17; in_channels + 480 channels go out.

    Parameters
    ----------
    in_channels : int
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3 = half(in_channels, 384)
        self.branch3x3dbl_1 = same(in_channels, 64, 1)
        self.branch3x3dbl_2 = same(64, 96, 3)
        self.branch3x3dbl_3 = half(96, 96)

    def forward(self, x: Tensor) -> Tensor:
        branches = [
            self.branch3x3(x),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            F.max_pool2d(x, 3, 2),
        ]
        return cat(branches, 1)  # type: ignore[no-any-return]


class InceptionC(Module):
    """1×1; 7×7 as 1×7 and 7×1; the same twice; pooling (figure 6), at 17×17; 768 go out.

    Parameters
    ----------
    in_channels, channels_7x7 : int
        Channels that come in, and between the factors of 7×7.
    """

    def __init__(self, in_channels: int, channels_7x7: int) -> None:
        super().__init__()
        middle = channels_7x7
        self.branch1x1 = same(in_channels, 192, 1)
        self.branch7x7_1 = same(in_channels, middle, 1)
        self.branch7x7_2 = same(middle, middle, 1, 7)
        self.branch7x7_3 = same(middle, 192, 7, 1)
        self.branch7x7dbl_1 = same(in_channels, middle, 1)
        self.branch7x7dbl_2 = same(middle, middle, 7, 1)
        self.branch7x7dbl_3 = same(middle, middle, 1, 7)
        self.branch7x7dbl_4 = same(middle, middle, 7, 1)
        self.branch7x7dbl_5 = same(middle, 192, 1, 7)
        self.branch_pool = same(in_channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        branches = [
            self.branch1x1(x),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(twice)),
            self.branch_pool(F.avg_pool2d(x, 3, 1, 1)),
        ]
        return cat(branches, 1)  # type: ignore[no-any-return]


class InceptionD(Module):
    """17×17 to 8×8; in_channels + 512 channels go out.

    Parameters
    ----------
    in_channels : int
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3_1 = same(in_channels, 192, 1)
        self.branch3x3_2 = half(192, 320)
        self.branch7x7x3_1 = same(in_channels, 192, 1)
        self.branch7x7x3_2 = same(192, 192, 1, 7)
        self.branch7x7x3_3 = same(192, 192, 7, 1)
        self.branch7x7x3_4 = half(192, 192)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        branches = [
            self.branch3x3_2(self.branch3x3_1(x)),
            self.branch7x7x3_4(wide),
            F.max_pool2d(x, 3, 2),
        ]
        return cat(branches, 1)  # type: ignore[no-any-return]


class InceptionE(Module):
    """Branches that end in 1×3 beside 3×1 (figure 7), at 8×8; 2048 channels go out.

    Parameters
    ----------
    in_channels : int
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch1x1 = same(in_channels, 320, 1)
        self.branch3x3_1 = same(in_channels, 384, 1)
        self.branch3x3_2a = same(384, 384, 1, 3)
        self.branch3x3_2b = same(384, 384, 3, 1)
        self.branch3x3dbl_1 = same(in_channels, 448, 1)
        self.branch3x3dbl_2 = same(448, 384, 3)
        self.branch3x3dbl_3a = same(384, 384, 1, 3)
        self.branch3x3dbl_3b = same(384, 384, 3, 1)
        self.branch_pool = same(in_channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [
            self.branch1x1(x),
            self.branch3x3_2a(once),
            self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice),
            self.branch3x3dbl_3b(twice),
            self.branch_pool(F.avg_pool2d(x, 3, 1, 1)),
        ]
        return cat(branches, 1)  # type: ignore[no-any-return]


class InceptionAux(Module):
    """The auxiliary classifier on top of the last 17×17 layer (figure 8).

    Parameters
    ----------
    in_channels, num_classes : int
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = BasicConv2d(in_channels, 128, kernel_size=1)
        self.conv1 = BasicConv2d(128, 768, kernel_size=5)
        self.fc = Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv0(F.avg_pool2d(x, 5, 3))  # 128 × 5 × 5 of 17 × 17
        x = F.adaptive_avg_pool2d(self.conv1(x), (1, 1))
        return self.fc(x.flatten(1))


class Inception3(Module):
    """Table 1: a stem, three modules at 35×35, five at 17×17, three at 8×8, the mean, a layer.

    Parameters
    ----------
    num_classes : int
    aux_logits : bool
        Have the auxiliary classifier; its scores come out in training only.
    transform_input : bool
        Take images normalised with ImageNet's mean and deviation, and bring them into [−1, 1].
    init_weights : bool
        Draw weights normally with 0.1 (in the classifiers less), cut at ±2.
    dropout : float
    in_channels : int
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool = True,
        dropout: float = 0.5,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.aux_logits, self.transform_input = aux_logits, transform_input
        self.Conv2d_1a_3x3 = half(in_channels, 32)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = same(32, 64, 3)
        self.maxpool1 = MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = same(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, kernel_size=3)
        self.maxpool2 = MaxPool2d(3, stride=2)
        self.Mixed_5b = InceptionA(192, pool_features=32)
        self.Mixed_5c = InceptionA(256, pool_features=64)
        self.Mixed_5d = InceptionA(288, pool_features=64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, channels_7x7=128)
        self.Mixed_6c = InceptionC(768, channels_7x7=160)
        self.Mixed_6d = InceptionC(768, channels_7x7=160)
        self.Mixed_6e = InceptionC(768, channels_7x7=192)
        self.AuxLogits = InceptionAux(768, num_classes) if aux_logits else None
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = AdaptiveAvgPool2d((1, 1))
        self.dropout = Dropout(dropout)
        self.fc = Linear(2048, num_classes)
        if init_weights:
            less = {"AuxLogits.conv1.conv": 0.01, "AuxLogits.fc": 0.001}
            for name, module in self.named_modules():
                if isinstance(module, (Conv2d, Linear)):
                    init.trunc_normal_(module.weight, std=less.get(name, 0.1), a=-2, b=2)

    def forward(self, x: Tensor) -> Tensor | InceptionOutputs:
        """Class scores (N, num_classes) of images (N, in_channels, H, W), 75×75 or larger.

        In training with the auxiliary classifier, an `InceptionOutputs` of two.
        """
        if self.transform_input:
            x = from_imagenet_statistics(x)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # 64 × 147² of 299²
        x = self.maxpool1(x)  # 64 × 73 × 73
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))  # 192 × 35 × 35
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))  # 288 × 35 × 35
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))  # 768 × 17 × 17
        x = self.Mixed_6e(self.Mixed_6d(x))
        aux = self.AuxLogits(x) if self.training and self.AuxLogits is not None else None
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # 2048 × 8 × 8
        x = self.fc(self.dropout(self.avgpool(x)).flatten(1))
        return x if aux is None else InceptionOutputs(x, aux)


def inception_v3(*, weights: Any = None, progress: bool = True, **options: Any) -> Inception3:
    """Inception-v3: 27 161 264 parameters, 23 834 568 without `aux_logits`; 299×299.

    Options are those of :class:`Inception3`. Published weights were trained with
    `transform_input`: with `weights` it is on unless set. They hold the auxiliary classifier.
    """
    if weights is None:
        return build("inception_v3", Inception3, None, options)
    options.setdefault("transform_input", True)
    keep = options.pop("aux_logits", True)
    network = build("inception_v3", Inception3, weights, {**options, "aux_logits": True})
    if not keep:
        network.aux_logits, network.AuxLogits = False, None
    return network
