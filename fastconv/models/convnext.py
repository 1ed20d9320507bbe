"""ConvNeXt: Liu et al., "A ConvNet for the 2020s" (CVPR 2022).

Figure 4, right, is `CNBlock`, table 9 the stages, section 3 the sizes in `DESIGNS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ..nn import (
    GELU,
    AdaptiveAvgPool2d,
    Conv2d,
    Flatten,
    LayerNorm,
    Linear,
    Module,
    Parameter,
    Sequential,
    init,
)
from ..nn.modules.module import empty
from ..tensor import Tensor
from ._blocks import LayerNorm2d, Permute, StochasticDepth, initialise
from ._weights import build

#: Channels C and blocks B of the four stages, and the stochastic depth of the last block.
DESIGNS = {
    "tiny": ((96, 192, 384, 768), (3, 3, 9, 3), 0.1),
    "small": ((96, 192, 384, 768), (3, 3, 27, 3), 0.4),
    "base": ((128, 256, 512, 1024), (3, 3, 27, 3), 0.5),
    "large": ((192, 384, 768, 1536), (3, 3, 27, 3), 0.5),
}
norm = partial(LayerNorm, eps=1e-6)
norm2d = partial(LayerNorm2d, eps=1e-6)


class CNBlock(Module):
    """7×7 on each channel, normalisation, four times as many channels, GELU, and back.

    Parameters
    ----------
    dim : int
        Channels.
    layer_scale : float
        What the result is scaled by at first, channel by channel.
    stochastic_depth_prob : float
    """

    def __init__(self, dim: int, layer_scale: float, stochastic_depth_prob: float) -> None:
        super().__init__()
        self.block = Sequential(
            Conv2d(dim, dim, 7, padding=3, groups=dim),
            Permute([0, 2, 3, 1]),
            norm(dim),
            Linear(dim, 4 * dim),
            GELU(),
            Linear(4 * dim, dim),
            Permute([0, 3, 1, 2]),
        )
        self.layer_scale = Parameter(empty((dim, 1, 1)))
        init.constant_(self.layer_scale, layer_scale)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob)

    def forward(self, input: Tensor) -> Tensor:
        return self.stochastic_depth(self.layer_scale * self.block(input)) + input


class ConvNeXt(Module):
    """Patches of 4×4, four stages with a halving between them, the mean, a linear layer.

    Parameters
    ----------
    widths, depths : sequence of four int
        Channels and blocks of the stages.
    stochastic_depth_prob : float
        Of the last block; it grows from zero block by block.
    layer_scale : float
    num_classes : int
    in_channels : int

    Raises
    ------
    ValueError
        If `widths` and `depths` are not of one length.
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths) or not widths:
            raise ValueError(
                f"ConvNeXt: widths and depths must be of one length, got {widths} and {depths}"
            )
        patches = Sequential(Conv2d(in_channels, widths[0], 4, stride=4), norm2d(widths[0]))
        layers: list[Module] = [patches]  # 56 × 56 of 224 × 224
        done, last = 0, max(sum(depths) - 1, 1)
        for i, (width, depth) in enumerate(zip(widths, depths)):  # at 56², 28², 14², 7²
            if i > 0:
                before = widths[i - 1]
                layers.append(Sequential(norm2d(before), Conv2d(before, width, 2, stride=2)))
            blocks = []
            for _ in range(depth):
                blocks.append(CNBlock(width, layer_scale, stochastic_depth_prob * done / last))
                done += 1
            layers.append(Sequential(*blocks))
        self.features = Sequential(*layers)
        self.avgpool = AdaptiveAvgPool2d(1)
        self.classifier = Sequential(
            norm2d(widths[-1]), Flatten(1), Linear(widths[-1], num_classes)
        )
        small = partial(init.trunc_normal_, std=0.02)
        initialise(self, conv=small, linear=small)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        return self.classifier(self.avgpool(self.features(x)))


def _convnext(size: str, weights: Any, options: dict[str, Any]) -> ConvNeXt:
    widths, depths, drop = DESIGNS[size]
    options = {"stochastic_depth_prob": drop, **options}
    return build(f"convnext_{size}", ConvNeXt, weights, options, widths=widths, depths=depths)


def convnext_tiny(*, weights: Any = None, progress: bool = True, **options: Any) -> ConvNeXt:
    """ConvNeXt-T: 28 589 128 parameters, 224×224; options: :class:`ConvNeXt`."""
    return _convnext("tiny", weights, options)


def convnext_small(*, weights: Any = None, progress: bool = True, **options: Any) -> ConvNeXt:
    """ConvNeXt-S: 50 223 688 parameters, 224×224."""
    return _convnext("small", weights, options)


def convnext_base(*, weights: Any = None, progress: bool = True, **options: Any) -> ConvNeXt:
    """ConvNeXt-B: 88 591 464 parameters, 224×224."""
    return _convnext("base", weights, options)


def convnext_large(*, weights: Any = None, progress: bool = True, **options: Any) -> ConvNeXt:
    """ConvNeXt-L: 197 767 336 parameters, 224×224."""
    return _convnext("large", weights, options)
