"""AlexNet, and ZFNet that looked into it.

Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks"
(NIPS 2012), figure 2; Krizhevsky, "One weird trick for parallelizing convolutional neural networks"
(2014), the one-column form that is usual today; Zeiler, Fergus, "Visualizing and understanding
convolutional networks" (ECCV 2014), figure 3.
"""

from __future__ import annotations

from typing import Any

from ..nn import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
    init,
)
from ..tensor import Tensor
from ._blocks import normal
from ._weights import build


class AlexNet(Module):
    """Five convolutions and three fully connected layers, one column, no normalisation.

    Parameters
    ----------
    num_classes : int
    dropout : float
    in_channels : int
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5, in_channels: int = 3) -> None:
        super().__init__()
        self.features = Sequential(
            Conv2d(in_channels, 64, 11, stride=4, padding=2),  # 64 × 55 × 55 of 224 × 224
            ReLU(inplace=True),
            MaxPool2d(3, stride=2),  # 64 × 27 × 27
            Conv2d(64, 192, 5, padding=2),
            ReLU(inplace=True),
            MaxPool2d(3, stride=2),  # 192 × 13 × 13
            Conv2d(192, 384, 3, padding=1),
            ReLU(inplace=True),
            Conv2d(384, 256, 3, padding=1),
            ReLU(inplace=True),
            Conv2d(256, 256, 3, padding=1),
            ReLU(inplace=True),
            MaxPool2d(3, stride=2),  # 256 × 6 × 6
        )
        self.avgpool = AdaptiveAvgPool2d((6, 6))
        self.classifier = _head(256 * 6 * 6, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W), H and W 63 or more."""
        x = self.avgpool(self.features(x))
        return self.classifier(x.flatten(1))


class AlexNet2012(Module):
    """Figure 2 of 2012: two columns, kept apart by groups, with response normalisation.

    Weights begin as section 5 says: normal with 0.01; biases 1 in the second, fourth and fifth
    convolution and the hidden linear layers, 0 elsewhere.

    Parameters
    ----------
    num_classes : int
    dropout : float
    in_channels : int
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5, in_channels: int = 3) -> None:
        super().__init__()
        self.features = Sequential(
            Conv2d(in_channels, 96, 11, stride=4),  # 96 × 55 × 55 of 227 × 227
            ReLU(inplace=True),
            LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2),  # alpha is divided by the size
            MaxPool2d(3, stride=2),  # 96 × 27 × 27
            Conv2d(96, 256, 5, padding=2, groups=2),
            ReLU(inplace=True),
            LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2),
            MaxPool2d(3, stride=2),  # 256 × 13 × 13
            Conv2d(256, 384, 3, padding=1),  # here the columns see each other
            ReLU(inplace=True),
            Conv2d(384, 384, 3, padding=1, groups=2),
            ReLU(inplace=True),
            Conv2d(384, 256, 3, padding=1, groups=2),
            ReLU(inplace=True),
            MaxPool2d(3, stride=2),  # 256 × 6 × 6
        )
        self.classifier = _head(256 * 6 * 6, num_classes, dropout)
        ones = {"features.4", "features.10", "features.12", "classifier.1", "classifier.4"}
        for name, module in self.named_modules():
            if isinstance(module, (Conv2d, Linear)):
                normal(0.01)(module.weight)
                init.constant_(module.bias, float(name in ones))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, 227, 227)."""
        return self.classifier(self.features(x).flatten(1))


class ZFNet(Module):
    """AlexNet with a first layer that sees more: 7×7 at stride 2 in place of 11×11 at stride 4.

    Parameters
    ----------
    num_classes : int
    dropout : float
    in_channels : int
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5, in_channels: int = 3) -> None:
        super().__init__()
        self.features = Sequential(
            Conv2d(in_channels, 96, 7, stride=2, padding=1),  # 96 × 110 × 110 of 224 × 224
            ReLU(inplace=True),
            MaxPool2d(3, stride=2, padding=1),  # 96 × 55 × 55
            LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2),  # "contrast normalised"
            Conv2d(96, 256, 5, stride=2),  # 256 × 26 × 26
            ReLU(inplace=True),
            MaxPool2d(3, stride=2, padding=1),  # 256 × 13 × 13
            LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2),
            Conv2d(256, 384, 3, padding=1),
            ReLU(inplace=True),
            Conv2d(384, 384, 3, padding=1),
            ReLU(inplace=True),
            Conv2d(384, 256, 3, padding=1),
            ReLU(inplace=True),
            MaxPool2d(3, stride=2),  # 256 × 6 × 6
        )
        self.classifier = _head(256 * 6 * 6, num_classes, dropout)
        for module in self.modules():
            if isinstance(module, (Conv2d, Linear)):
                normal(0.01)(module.weight)
                init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, 224, 224)."""
        return self.classifier(self.features(x).flatten(1))


def _head(inputs: int, num_classes: int, dropout: float) -> Sequential:
    """Two hidden layers of 4096 with dropout before each, and the class scores."""
    return Sequential(
        Dropout(dropout),
        Linear(inputs, 4096),
        ReLU(inplace=True),
        Dropout(dropout),
        Linear(4096, 4096),
        ReLU(inplace=True),
        Linear(4096, num_classes),
    )


def alexnet(*, weights: Any = None, progress: bool = True, **options: Any) -> AlexNet:
    """AlexNet in one column: 61 100 840 parameters, 224×224; options: :class:`AlexNet`."""
    return build("alexnet", AlexNet, weights, options)


def alexnet_2012(*, weights: Any = None, progress: bool = True, **options: Any) -> AlexNet2012:
    """AlexNet as published: 60 965 224 parameters, 227×227."""
    return build("alexnet_2012", AlexNet2012, weights, options)


def zfnet(*, weights: Any = None, progress: bool = True, **options: Any) -> ZFNet:
    """ZFNet: 62 357 608 parameters, 224×224; options are those of :class:`ZFNet`."""
    return build("zfnet", ZFNet, weights, options)
