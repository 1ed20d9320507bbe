"""Networks that label every pixel: FCN, DeepLabV3, LR-ASPP, on backbones that keep the image large.

Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation" (CVPR 2015),
figure 1: scores from the last feature map, enlarged to the image. Chen et al., "Rethinking atrous
convolution for semantic image segmentation" (2017): figure 5 is `ASPP`. Howard et al., "Searching
for MobileNetV3" (ICCV 2019): figure 10 is `LRASPPHead`. Names are torchvision's. As there, ResNets
widen the kernels of their last two groups in place of a stride: their map is 1/8 of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..functions.join import cat
from ..nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Module,
    ModuleList,
    ReLU,
    Sequential,
    Sigmoid,
)
from ..nn import functional as F
from ..tensor import Tensor
from ._weights import build
from .feature_extraction import IntermediateLayerGetter
from .mobilenetv3 import MobileNetV3, mobilenet_v3_large
from .resnet import resnet50, resnet101


def _conv(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> list[Module]:
    """A convolution that keeps the size, batch norm, ReLU."""
    padding = kernel // 2 * dilation
    return [
        Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
        BatchNorm2d(outputs),
        ReLU(),
    ]


def _enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class FCNHead(Sequential):
    """3×3 to a quarter of the channels, dropout, 1×1 to the classes.

    Parameters
    ----------
    in_channels, num_classes : int
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        inner = in_channels // 4
        super().__init__(*_conv(in_channels, inner, 3), Dropout(0.1), Conv2d(inner, num_classes, 1))


class _ImagePooling(Sequential):
    """Figure 5(b): the mean over the image, 1×1, and the size of the map again."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(AdaptiveAvgPool2d(1), *_conv(in_channels, out_channels))

    def forward(self, input: Tensor) -> Tensor:
        return _enlarge(super().forward(input), input.shape[-2:])


class ASPP(Module):
    """Atrous spatial pyramid pooling: 1×1, 3×3 at several dilations, the mean; side by side.

    Parameters
    ----------
    in_channels : int
    rates : sequence of int
        The dilations.
    out_channels : int
        Of each branch, and of the 1×1 that joins them.
    """

    def __init__(
        self, in_channels: int, rates: Sequence[int] = (12, 24, 36), out_channels: int = 256
    ) -> None:
        super().__init__()
        branches: list[Module] = [Sequential(*_conv(in_channels, out_channels))]
        branches += [Sequential(*_conv(in_channels, out_channels, 3, rate)) for rate in rates]
        branches.append(_ImagePooling(in_channels, out_channels))
        self.convs = ModuleList(branches)
        joined = len(branches) * out_channels
        self.project = Sequential(*_conv(joined, out_channels), Dropout(0.5))

    def forward(self, input: Tensor) -> Tensor:
        """(N, out_channels, H, W) of (N, in_channels, H, W)."""
        return self.project(cat([branch(input) for branch in self.convs], 1))


class DeepLabHead(Sequential):
    """ASPP, 3×3, 1×1 to the classes.

    Parameters
    ----------
    in_channels, num_classes : int
    rates : sequence of int
        Dilations of the pyramid.
    """

    def __init__(
        self, in_channels: int, num_classes: int, rates: Sequence[int] = (12, 24, 36)
    ) -> None:
        super().__init__(ASPP(in_channels, rates), *_conv(256, 256, 3), Conv2d(256, num_classes, 1))


class LRASPPHead(Module):
    """A light head: the deep map scaled by its mean, and a shallow one beside it.

    Parameters
    ----------
    low_channels, high_channels : int
        Of the shallow map, which is larger, and of the deep one.
    num_classes : int
    inter_channels : int
    """

    def __init__(
        self, low_channels: int, high_channels: int, num_classes: int, inter_channels: int = 128
    ) -> None:
        super().__init__()
        self.cbr = Sequential(*_conv(high_channels, inter_channels))
        self.scale = Sequential(
            AdaptiveAvgPool2d(1), Conv2d(high_channels, inter_channels, 1, bias=False), Sigmoid()
        )
        self.low_classifier = Conv2d(low_channels, num_classes, 1)
        self.high_classifier = Conv2d(inter_channels, num_classes, 1)

    def forward(self, input: dict[str, Tensor]) -> Tensor:
        """Scores at the size of ``input["low"]``."""
        low, high = input["low"], input["high"]
        high = _enlarge(self.cbr(high) * self.scale(high), low.shape[-2:])
        return self.low_classifier(low) + self.high_classifier(high)


class SegmentationNetwork(Module):
    """A backbone, a head that labels its last map, and perhaps one for a map before it.

    Parameters
    ----------
    backbone : Module
        Returns a dict with the map ``out``, and ``aux`` for the auxiliary head.
    classifier : Module
        Scores of ``out``.
    aux_classifier : Module, optional
        Scores of ``aux``, for a second loss in training.
    """

    def __init__(
        self, backbone: Module, classifier: Module, aux_classifier: Module | None = None
    ) -> None:
        super().__init__()
        self.backbone, self.classifier = backbone, classifier
        self.aux_classifier = aux_classifier

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Scores ``out`` (N, num_classes, H, W) of images (N, 3, H, W), and ``aux`` if there is.

        Trained with ``cross_entropy(scores["out"], labels) + 0.5 * cross_entropy(scores["aux"],
        labels)``.
        """
        maps, size = self.backbone(x), x.shape[-2:]
        scores = {"out": _enlarge(self.classifier(maps["out"]), size)}
        if self.aux_classifier is not None:
            scores["aux"] = _enlarge(self.aux_classifier(maps["aux"]), size)
        return scores


class LRASPP(Module):
    """A backbone and the light head of MobileNetV3.

    Parameters
    ----------
    backbone : Module
        Returns a dict with the maps ``low`` and ``high``.
    low_channels, high_channels, num_classes : int
    inter_channels : int
    """

    def __init__(
        self,
        backbone: Module,
        low_channels: int,
        high_channels: int,
        num_classes: int,
        inter_channels: int = 128,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = LRASPPHead(low_channels, high_channels, num_classes, inter_channels)

    def forward(self, input: Tensor) -> dict[str, Tensor]:
        """Scores ``out`` (N, num_classes, H, W) of images (N, 3, H, W)."""
        return {"out": _enlarge(self.classifier(self.backbone(input)), input.shape[-2:])}


def _on_resnet(
    head: Callable[[int, int], Module],
    resnet: Callable[..., Module],
    num_classes: int = 21,
    aux_loss: bool = False,
    in_channels: int = 3,
    weights_backbone: Any = None,
) -> SegmentationNetwork:
    """The ResNet's last two groups are dilated; the auxiliary head is for the group before."""
    layers = {"layer3": "aux"} if aux_loss else {}
    network = resnet(
        weights=weights_backbone,
        replace_stride_with_dilation=(False, True, True),
        in_channels=in_channels,
    )
    backbone = IntermediateLayerGetter(network, {**layers, "layer4": "out"})
    aux = FCNHead(1024, num_classes) if aux_loss else None
    return SegmentationNetwork(backbone, head(2048, num_classes), aux)


def _mobilenet(weights: Any, in_channels: int, layers: dict[str, str]) -> IntermediateLayerGetter:
    network: MobileNetV3 = mobilenet_v3_large(
        weights=weights, dilated=True, in_channels=in_channels
    )
    return IntermediateLayerGetter(network.features, layers)


def _deeplab_on_mobilenet(
    num_classes: int = 21,
    aux_loss: bool = False,
    in_channels: int = 3,
    weights_backbone: Any = None,
) -> SegmentationNetwork:
    layers = {"4": "aux"} if aux_loss else {}
    backbone = _mobilenet(weights_backbone, in_channels, {**layers, "16": "out"})
    aux = FCNHead(40, num_classes) if aux_loss else None
    return SegmentationNetwork(backbone, DeepLabHead(960, num_classes), aux)


def _lraspp_on_mobilenet(
    num_classes: int = 21, in_channels: int = 3, weights_backbone: Any = None
) -> LRASPP:
    backbone = _mobilenet(weights_backbone, in_channels, {"4": "low", "16": "high"})
    return LRASPP(backbone, 40, 960, num_classes)


def _network(name: str, maker: Callable[..., Any], weights: Any, options: dict[str, Any]) -> Any:
    if weights is not None and maker is not _lraspp_on_mobilenet:
        options.setdefault("aux_loss", True)  # published files have the auxiliary head
    return build(name, maker, weights, options)


def fcn_resnet50(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> SegmentationNetwork:
    """FCN on ResNet-50: 32 957 013 parameters, 35 322 218 with the auxiliary head; 520×520.

    Options: `num_classes` (21), `aux_loss` (the auxiliary head: off, with `weights` on),
    `in_channels`, and `weights_backbone`, a file of the ResNet's weights.
    """
    return _network("fcn_resnet50", partial(_on_resnet, FCNHead, resnet50), weights, options)


def fcn_resnet101(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> SegmentationNetwork:
    """FCN on ResNet-101: 51 949 141 parameters, 54 314 346 with the auxiliary head; 520×520."""
    return _network("fcn_resnet101", partial(_on_resnet, FCNHead, resnet101), weights, options)


def deeplabv3_resnet50(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> SegmentationNetwork:
    """DeepLabV3 on ResNet-50: 39 638 869 parameters, 42 004 074 with the auxiliary head; 520×520.

    Options are those of :func:`fcn_resnet50`.
    """
    maker = partial(_on_resnet, DeepLabHead, resnet50)
    return _network("deeplabv3_resnet50", maker, weights, options)


def deeplabv3_resnet101(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> SegmentationNetwork:
    """DeepLabV3 on ResNet-101: 58 630 997 parameters, 60 996 202 with `aux_loss`; 520×520."""
    maker = partial(_on_resnet, DeepLabHead, resnet101)
    return _network("deeplabv3_resnet101", maker, weights, options)


def deeplabv3_mobilenet_v3_large(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> SegmentationNetwork:
    """DeepLabV3 on MobileNetV3: 11 025 477 parameters, 11 029 328 with `aux_loss`; 520×520."""
    return _network("deeplabv3_mobilenet_v3_large", _deeplab_on_mobilenet, weights, options)


def lraspp_mobilenet_v3_large(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> LRASPP:
    """LR-ASPP on MobileNetV3: 3 221 538 parameters; 520×520.

    Options: `num_classes` (21), `in_channels`, `weights_backbone`.
    """
    return _network("lraspp_mobilenet_v3_large", _lraspp_on_mobilenet, weights, options)
