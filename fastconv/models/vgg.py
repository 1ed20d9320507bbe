"""VGG: Simonyan, Zisserman, "Very deep convolutional networks" (ICLR 2015); table 1 is `LAYERS`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from ..tensor import Tensor
from ._blocks import he_backward, initialise, normal
from ._weights import build

#: Table 1, columns A, B, D and E: 3×3 convolutions before each of the five poolings.
LAYERS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)  # at 224², 112², 56², 28², 14²


class VGG(Module):
    """3×3 convolutions and five poolings by two, then three fully connected layers.

    Parameters
    ----------
    layers : sequence of int
        Convolutions before each pooling.
    num_classes : int
    batch_norm : bool
        Normalise after each convolution (not in the paper, which is older).
    init_weights : bool
        Draw weights as He et al. 2015 do, and normally with 0.01 in linear layers.
    dropout : float
    in_channels : int
    """

    def __init__(
        self,
        layers: Sequence[int] = LAYERS[16],
        num_classes: int = 1000,
        batch_norm: bool = False,
        init_weights: bool = True,
        dropout: float = 0.5,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        features: list[Module] = []
        for count, width in zip(layers, WIDTHS):
            for _ in range(count):
                features.append(Conv2d(in_channels, width, 3, padding=1))
                if batch_norm:
                    features.append(BatchNorm2d(width))
                features.append(ReLU(inplace=True))
                in_channels = width
            features.append(MaxPool2d(2, 2))
        self.features = Sequential(*features)
        self.avgpool = AdaptiveAvgPool2d((7, 7))  # nothing to do at 224×224
        self.classifier = Sequential(
            Linear(512 * 7 * 7, 4096),
            ReLU(inplace=True),
            Dropout(dropout),
            Linear(4096, 4096),
            ReLU(inplace=True),
            Dropout(dropout),
            Linear(4096, num_classes),
        )
        if init_weights:
            initialise(self, conv=he_backward, linear=normal(0.01))

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        x = self.avgpool(self.features(x))  # 512 × 7 × 7
        return self.classifier(x.flatten(1))


def _vgg(depth: int, batch_norm: bool, weights: Any, options: dict[str, Any]) -> VGG:
    name = f"vgg{depth}{'_bn' if batch_norm else ''}"
    return build(name, VGG, weights, options, layers=LAYERS[depth], batch_norm=batch_norm)


def vgg11(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG-11 (column A): 132 863 336 parameters, 224×224; options are those of :class:`VGG`."""
    return _vgg(11, False, weights, options)


def vgg11_bn(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG-11 with batch normalisation: 132 868 840 parameters, 224×224."""
    return _vgg(11, True, weights, options)


def vgg13(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG-13 (column B): 133 047 848 parameters, 224×224."""
    return _vgg(13, False, weights, options)


def vgg13_bn(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG-13 with batch normalisation: 133 053 736 parameters, 224×224."""
    return _vgg(13, True, weights, options)


def vgg16(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG-16 (column D): 138 357 544 parameters, 224×224."""
    return _vgg(16, False, weights, options)


def vgg16_bn(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG-16 with batch normalisation: 138 365 992 parameters, 224×224."""
    return _vgg(16, True, weights, options)


def vgg19(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG-19 (column E): 143 667 240 parameters, 224×224."""
    return _vgg(19, False, weights, options)


def vgg19_bn(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG-19 with batch normalisation: 143 678 248 parameters, 224×224."""
    return _vgg(19, True, weights, options)
