"""DenseNet: Huang, Liu, van der Maaten, Weinberger, "Densely connected networks" (CVPR 2017).

Figure 1 is `nn.DenseBlock`, table 1 `LAYERS`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..nn import (
    BatchNorm2d,
    Conv2d,
    DenseBlock,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
    Transition,
    init,
)
from ..nn import functional as F
from ..nn.modules.state import IncompatibleKeys
from ..tensor import Tensor
from ._blocks import initialise
from ._weights import build

#: Table 1: layers of the four dense blocks.
LAYERS = {
    121: (6, 12, 24, 16),
    161: (6, 12, 36, 24),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
}


class DenseNet(Module):
    """Dense blocks with transitions between them, the mean over the image, a linear layer.

    Parameters
    ----------
    growth_rate : int
        Channels that each layer adds (k).
    block_config : sequence of int
        Layers per block.
    num_init_features : int
        Channels of the first convolution.
    bn_size : int
        The 1×1 convolutions leave bn_size · k channels.
    drop_rate : float
        Dropout after each layer.
    num_classes : int
    memory_efficient : bool
        Compute what joins the layers again in backward.
    in_channels : int
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = LAYERS[121],
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0.0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        width = num_init_features
        features = Sequential()  # 2k × 56 × 56 of 224 × 224 after the pooling
        features.add_module("conv0", Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False))
        features.add_module("norm0", BatchNorm2d(width))
        features.add_module("relu0", ReLU(inplace=True))
        features.add_module("pool0", MaxPool2d(3, stride=2, padding=1))
        for i, layers in enumerate(block_config, 1):  # at 56², 28², 14², 7²
            block = DenseBlock(layers, width, bn_size, growth_rate, drop_rate, memory_efficient)
            features.add_module(f"denseblock{i}", block)
            width += layers * growth_rate
            if i < len(block_config):
                features.add_module(f"transition{i}", Transition(width, width // 2))
                width //= 2
        features.add_module("norm5", BatchNorm2d(width))
        self.features = features
        self.classifier = Linear(width, num_classes)
        initialise(self, conv=init.kaiming_normal_)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        x = F.relu(self.features(x), inplace=True)
        return self.classifier(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))

    def load_state_dict(
        self, state_dict: Any, strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """As of every module; also takes the older names (``norm.1``) of published files."""
        if isinstance(state_dict, Mapping):
            old = re.compile(r"(\.denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
            state_dict = {old.sub(r"\1\2.", key): value for key, value in state_dict.items()}
        return super().load_state_dict(state_dict, strict, assign)


def _densenet(
    depth: int, growth: int, width: int, weights: Any, options: dict[str, Any]
) -> DenseNet:
    fixed = {
        "growth_rate": growth,
        "block_config": LAYERS[depth],
        "num_init_features": width,
    }
    return build(f"densenet{depth}", DenseNet, weights, options, **fixed)


def densenet121(*, weights: Any = None, progress: bool = True, **options: Any) -> DenseNet:
    """DenseNet-121, k = 32: 7 978 856 parameters, 224×224; options: :class:`DenseNet`."""
    return _densenet(121, 32, 64, weights, options)


def densenet161(*, weights: Any = None, progress: bool = True, **options: Any) -> DenseNet:
    """DenseNet-161, k = 48: 28 681 000 parameters, 224×224."""
    return _densenet(161, 48, 96, weights, options)


def densenet169(*, weights: Any = None, progress: bool = True, **options: Any) -> DenseNet:
    """DenseNet-169, k = 32: 14 149 480 parameters, 224×224."""
    return _densenet(169, 32, 64, weights, options)


def densenet201(*, weights: Any = None, progress: bool = True, **options: Any) -> DenseNet:
    """DenseNet-201, k = 32: 20 013 928 parameters, 224×224."""
    return _densenet(201, 32, 64, weights, options)
