"""SqueezeNet: Iandola et al., "AlexNet-level accuracy with 50x fewer parameters" (2016).

Figure 1 is `Fire`, table 1 version 1.0; 1.1 is the authors' later version with fewer products.
"""

from __future__ import annotations

from typing import Any

from ..functions.join import cat
from ..nn import AdaptiveAvgPool2d, Conv2d, Dropout, MaxPool2d, Module, ReLU, Sequential, init
from ..tensor import Tensor
from ._blocks import initialise
from ._weights import build


class Fire(Module):
    """Figure 1: 1×1 to few channels, then 1×1 and 3×3 side by side.

    Parameters
    ----------
    inplanes, squeeze_planes, expand1x1_planes, expand3x3_planes : int
        Channels that come in, lie between, and go out of either branch.
    """

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ) -> None:
        super().__init__()
        self.squeeze = Conv2d(inplanes, squeeze_planes, 1)
        self.squeeze_activation = ReLU(inplace=True)
        self.expand1x1 = Conv2d(squeeze_planes, expand1x1_planes, 1)
        self.expand1x1_activation = ReLU(inplace=True)
        self.expand3x3 = Conv2d(squeeze_planes, expand3x3_planes, 3, padding=1)
        self.expand3x3_activation = ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        narrow = self.expand1x1_activation(self.expand1x1(x))
        wide = self.expand3x3_activation(self.expand3x3(x))
        return cat([narrow, wide], 1)  # type: ignore[no-any-return]


#: Table 1, what follows the first convolution: the squeeze of a fire module (either branch of which
#: is four times as wide), or 0 for a pooling.
PLAN = {
    "1_0": (0, 16, 16, 32, 0, 32, 48, 48, 64, 0, 64),
    "1_1": (0, 16, 16, 0, 32, 32, 0, 48, 48, 64, 64),
}
STEM = {"1_0": (96, 7), "1_1": (64, 3)}  # channels and kernel


class SqueezeNet(Module):
    """Fire modules between poolings; a 1×1 convolution and the mean make the class scores.

    Parameters
    ----------
    version : "1_0" or "1_1"
    num_classes : int
    dropout : float
    in_channels : int

    Raises
    ------
    ValueError
        For another version.
    """

    def __init__(
        self,
        version: str = "1_0",
        num_classes: int = 1000,
        dropout: float = 0.5,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if version not in PLAN:
            raise ValueError(f"SqueezeNet: version must be '1_0' or '1_1', got {version!r}")
        self.num_classes = num_classes
        width, kernel = STEM[version]
        features: list[Module] = [Conv2d(in_channels, width, kernel, stride=2), ReLU(inplace=True)]
        for squeeze in PLAN[version]:  # 54², 27², 13² (1.0); 55², 27², 13² (1.1)
            if squeeze == 0:
                features.append(MaxPool2d(3, stride=2, ceil_mode=True))
                continue
            features.append(Fire(width, squeeze, 4 * squeeze, 4 * squeeze))
            width = 8 * squeeze
        self.features = Sequential(*features)
        last = Conv2d(width, num_classes, 1)  # conv10
        self.classifier = Sequential(
            Dropout(dropout), last, ReLU(inplace=True), AdaptiveAvgPool2d((1, 1))
        )
        initialise(self, conv=init.kaiming_uniform_)
        init.normal_(last.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        return self.classifier(self.features(x)).flatten(1)


def squeezenet1_0(*, weights: Any = None, progress: bool = True, **options: Any) -> SqueezeNet:
    """SqueezeNet 1.0: 1 248 424 parameters, 224×224; options: :class:`SqueezeNet`."""
    return build("squeezenet1_0", SqueezeNet, weights, options, version="1_0")


def squeezenet1_1(*, weights: Any = None, progress: bool = True, **options: Any) -> SqueezeNet:
    """SqueezeNet 1.1: 1 235 496 parameters, 224×224."""
    return build("squeezenet1_1", SqueezeNet, weights, options, version="1_1")
