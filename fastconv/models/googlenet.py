"""GoogLeNet: Szegedy et al., "Going deeper with convolutions" (CVPR 2015).

Figure 2(b) is `nn.Inception`, table 1 `PLAN`, figure 3 the whole. Differences are torchvision's,
whose weights fit: batch normalisation in place of response normalisation, and 3×3 in place of 5×5.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from ..functions.join import cat
from ..nn import (
    AdaptiveAvgPool2d,
    BasicConv2d,
    Conv2d,
    Dropout,
    Inception,
    Linear,
    MaxPool2d,
    Module,
    init,
)
from ..nn import functional as F
from ..tensor import Tensor
from ._weights import build

#: Table 1: channels that come in, then #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5, pool proj.
PLAN = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class GoogLeNetOutputs(NamedTuple):
    """Scores of the network, and of the classifiers after 4d and 4a."""

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class InceptionAux(Module):
    """The auxiliary classifier (section 5): pooling to 4×4, 1×1, two linear layers.

    Parameters
    ----------
    in_channels, num_classes : int
    dropout : float
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.conv = BasicConv2d(in_channels, 128, kernel_size=1)
        self.fc1 = Linear(128 * 4 * 4, 1024)
        self.fc2 = Linear(1024, num_classes)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4))).flatten(1)
        return self.fc2(self.dropout(F.relu(self.fc1(x), inplace=True)))


class GoogLeNet(Module):
    """A stem, nine inception modules, the mean over the image, a linear layer.

    Parameters
    ----------
    num_classes : int
    aux_logits : bool
        Have the two auxiliary classifiers; their scores come out in training only.
    transform_input : bool
        Take images normalised with ImageNet's mean and deviation, and bring them into [−1, 1].
    init_weights : bool
        Draw weights normally with 0.01, cut at ±2.
    dropout, dropout_aux : float
        Before the last layer, and in the auxiliary classifiers.
    in_channels : int
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool = True,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.aux_logits, self.transform_input = aux_logits, transform_input
        pool = partial(MaxPool2d, stride=2, ceil_mode=True)
        self.conv1 = BasicConv2d(in_channels, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = pool(3)
        self.conv2 = BasicConv2d(64, 64, kernel_size=1)
        self.conv3 = BasicConv2d(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = pool(3)
        self.inception3a = Inception(*PLAN["3a"])
        self.inception3b = Inception(*PLAN["3b"])
        self.maxpool3 = pool(3)
        self.inception4a = Inception(*PLAN["4a"])
        self.inception4b = Inception(*PLAN["4b"])
        self.inception4c = Inception(*PLAN["4c"])
        self.inception4d = Inception(*PLAN["4d"])
        self.inception4e = Inception(*PLAN["4e"])
        self.maxpool4 = pool(2)
        self.inception5a = Inception(*PLAN["5a"])
        self.inception5b = Inception(*PLAN["5b"])
        self.aux1 = InceptionAux(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, dropout_aux) if aux_logits else None
        self.avgpool = AdaptiveAvgPool2d((1, 1))
        self.dropout = Dropout(dropout)
        self.fc = Linear(1024, num_classes)
        if init_weights:
            for module in self.modules():
                if isinstance(module, (Conv2d, Linear)):
                    init.trunc_normal_(module.weight, std=0.01, a=-2, b=2)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        """Class scores (N, num_classes) of images (N, in_channels, H, W).

        In training with auxiliary classifiers, a `GoogLeNetOutputs` of three.
        """
        aux = self.training and self.aux_logits
        if self.transform_input:
            x = from_imagenet_statistics(x)
        x = self.maxpool1(self.conv1(x))  # 64 × 56 × 56 of 224 × 224
        x = self.maxpool2(self.conv3(self.conv2(x)))  # 192 × 28 × 28
        x = self.maxpool3(self.inception3b(self.inception3a(x)))  # 480 × 14 × 14
        x = self.inception4a(x)  # 512 × 14 × 14
        aux1 = self.aux1(x) if aux and self.aux1 is not None else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))  # 528 × 14 × 14
        aux2 = self.aux2(x) if aux and self.aux2 is not None else None
        x = self.maxpool4(self.inception4e(x))  # 832 × 7 × 7
        x = self.inception5b(self.inception5a(x))  # 1024 × 7 × 7
        x = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        return GoogLeNetOutputs(x, aux2, aux1) if aux else x


def from_imagenet_statistics(x: Tensor) -> Tensor:
    """Images normalised with ImageNet's mean and deviation, brought into [−1, 1]."""
    if x.shape[1] != 3:
        raise ValueError(f"transform_input needs three channels, got shape {tuple(x.shape)}")
    statistics = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
    planes = [
        x[:, i : i + 1] * (deviation / 0.5) + (mean - 0.5) / 0.5
        for i, (mean, deviation) in enumerate(statistics)
    ]
    return cat(planes, 1)  # type: ignore[no-any-return]


def googlenet(*, weights: Any = None, progress: bool = True, **options: Any) -> GoogLeNet:
    """GoogLeNet: 13 004 888 parameters, 6 624 904 without `aux_logits`; 224×224.

    Options are those of :class:`GoogLeNet`. Published weights were trained with `transform_input`:
    with `weights` it is on unless set, and the auxiliary classifiers are off unless set.
    """
    if weights is None:
        return build("googlenet", GoogLeNet, None, options)
    options.setdefault("transform_input", True)
    keep = options.pop("aux_logits", False)
    network = build("googlenet", GoogLeNet, weights, {**options, "aux_logits": True})
    if not keep:
        network.aux_logits, network.aux1, network.aux2 = False, None, None
    return network
