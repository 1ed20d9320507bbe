"""Feature pyramids: Lin et al., "Feature pyramid networks for object detection" (CVPR 2017).

Figure 3 is `FeaturePyramidNetwork.forward`: the map above, enlarged, is added to the map beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..nn import Conv2d, Module, ModuleList, Sequential, init
from ..nn import functional as F
from ..tensor import Tensor
from ._weights import build
from .feature_extraction import IntermediateLayerGetter
from .resnet import resnet18, resnet50, resnet101

#: The groups of a ResNet: the pyramid's maps, at 1/4, 1/8, 1/16 and 1/32 of the image.
LAYERS = {"layer1": "0", "layer2": "1", "layer3": "2", "layer4": "3"}


class FeaturePyramidNetwork(Module):
    """Maps of many sizes with many channels each, to maps of these sizes that know the whole image.

    Names are torchvision's: ``inner_blocks.N.0`` is the 1×1 convolution of map N, and
    ``layer_blocks.N.0`` the 3×3 convolution after the sum.

    Parameters
    ----------
    in_channels_list : sequence of int
        Channels of the maps, the largest map first.
    out_channels : int
        Channels of all results.
    extra : bool
        One more map, each second pixel of the smallest: ``pool``.

    Raises
    ------
    ValueError
        If there is no map, or a number of channels is not positive.
    """

    def __init__(
        self, in_channels_list: Sequence[int], out_channels: int = 256, extra: bool = False
    ) -> None:
        super().__init__()
        if not in_channels_list or min(*in_channels_list, out_channels) < 1:
            raise ValueError(
                "FeaturePyramidNetwork: in_channels_list and out_channels must be positive, "
                f"got {list(in_channels_list)} and {out_channels}"
            )
        self.inner_blocks = ModuleList(
            [Sequential(Conv2d(channels, out_channels, 1)) for channels in in_channels_list]
        )
        self.layer_blocks = ModuleList(
            [Sequential(Conv2d(out_channels, out_channels, 3, padding=1)) for _ in in_channels_list]
        )
        self.out_channels, self.extra = out_channels, extra
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_uniform_(module.weight, a=1)
                init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Maps (N, out_channels, H, W) under the names of the maps given, the largest first.

        Raises
        ------
        ValueError
            For another number of maps than the pyramid has.
        """
        if len(x) != len(self.inner_blocks):
            raise ValueError(
                f"FeaturePyramidNetwork: expected {len(self.inner_blocks)} maps, got {len(x)}: "
                f"{', '.join(x)}"
            )
        beside = [block(map) for block, map in zip(self.inner_blocks, x.values(), strict=True)]
        summed = [beside[-1]]
        for map in reversed(beside[:-1]):  # down the pyramid, to larger maps
            above = F.interpolate(summed[0], size=map.shape[-2:], mode="nearest")
            summed.insert(0, map + above)
        maps = {
            name: block(map) for name, block, map in zip(x, self.layer_blocks, summed, strict=True)
        }
        if self.extra:
            maps["pool"] = F.max_pool2d(maps[next(reversed(maps))], 1, 2, 0)
        return maps


class FPN(Module):
    """A backbone and the pyramid on its maps.

    Parameters
    ----------
    backbone : Module
        Returns its maps, the largest first, as a dict, a list or a tuple; or any network, with
        `return_layers`.
    in_channels : sequence of int
        Channels of the maps.
    out_channels : int
        Channels of all results.
    return_layers : dict of str to str, optional
        Which modules of `backbone` give the maps, and their names: see `IntermediateLayerGetter`.
    extra : bool
        One more map, ``pool``, half as large as the smallest.

    Raises
    ------
    ValueError
        As of :class:`FeaturePyramidNetwork`; for `return_layers` that are not modules of
        `backbone`, or that are not as many as `in_channels`.

    Examples
    --------
    >>> backbone = models.create_feature_extractor(models.vgg16(), ["features.22", "features.29"])
    >>> models.FPN(backbone, [512, 512], 128)(images)["features.29"]
    """

    def __init__(
        self,
        backbone: Module,
        in_channels: Sequence[int],
        out_channels: int = 256,
        return_layers: Mapping[str, str] | None = None,
        extra: bool = False,
    ) -> None:
        super().__init__()
        if return_layers is not None:
            if len(return_layers) != len(in_channels):
                raise ValueError(
                    "FPN: return_layers and in_channels must be of one length, got "
                    f"{len(return_layers)} and {len(in_channels)}"
                )
            backbone = IntermediateLayerGetter(backbone, return_layers)
        self.body = backbone
        self.fpn = FeaturePyramidNetwork(in_channels, out_channels, extra)
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Maps (N, out_channels, H, W), the largest first."""
        maps = self.body(x)
        if not isinstance(maps, Mapping):
            maps = {str(i): map for i, map in enumerate(maps)}
        return self.fpn(maps)


def _on_resnet(
    resnet: Any,
    widths: Sequence[int],
    out_channels: int = 256,
    extra: bool = True,
    weights_backbone: Any = None,
    **options: Any,
) -> FPN:
    network = resnet(weights=weights_backbone, **options)
    return FPN(network, widths, out_channels, LAYERS, extra)


def _network(name: str, resnet: Any, widths: Sequence[int], weights: Any, options: Any) -> FPN:
    return build(name, _on_resnet, weights, options, resnet=resnet, widths=widths)


def fpn_resnet18(*, weights: Any = None, progress: bool = True, **options: Any) -> FPN:
    """A pyramid on ResNet-18: 13 783 616 parameters, 224×224; options as `fpn_resnet50`'s."""
    return _network("fpn_resnet18", resnet18, (64, 128, 256, 512), weights, options)


def fpn_resnet50(*, weights: Any = None, progress: bool = True, **options: Any) -> FPN:
    """A pyramid on ResNet-50: 26 852 416 parameters, 224×224.

    Names are those of torchvision's ``resnet_fpn_backbone``. Options: `out_channels`, `extra`
    (the map ``pool``, on), `weights_backbone` (a file of the ResNet's weights), and those of
    `ResNet`.
    """
    return _network("fpn_resnet50", resnet50, (256, 512, 1024, 2048), weights, options)


def fpn_resnet101(*, weights: Any = None, progress: bool = True, **options: Any) -> FPN:
    """A pyramid on ResNet-101: 45 844 544 parameters, 224×224; options as `fpn_resnet50`'s."""
    return _network("fpn_resnet101", resnet101, (256, 512, 1024, 2048), weights, options)
