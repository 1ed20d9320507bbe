"""Xception: Chollet, "Deep learning with depthwise separable convolutions" (CVPR 2017).

Figure 5: `ENTRY`, the middle flow eight times, `EXIT`.
"""

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
    SeparableConv2d,
    Sequential,
    init,
)
from ..tensor import Tensor
from ._blocks import ConvNormActivation, initialise
from ._weights import build

#: Channels after the separable convolutions of each block; all but the middle ones are pooled.
ENTRY = ((128, 128), (256, 256), (728, 728))
MIDDLE = (728, 728, 728)
EXIT = (728, 1024)


class Block(Module):
    """Separable convolutions, ReLU before each, and a shortcut round them.

    Parameters
    ----------
    in_channels : int
    widths : sequence of int
        Channels after each convolution.
    pool : bool
        Halve the image at the end, and by a 1×1 convolution in the shortcut.
    relu_first : bool
        Whether a ReLU stands before the first convolution too.
    """

    def __init__(
        self, in_channels: int, widths: Sequence[int], pool: bool, relu_first: bool = True
    ) -> None:
        super().__init__()
        layers: list[Module] = []
        width = in_channels
        for i, outputs in enumerate(widths):
            if i > 0 or relu_first:
                # the input of the block is needed again by the shortcut
                layers.append(ReLU(inplace=i > 0))
            layers.append(SeparableConv2d(width, outputs, 3, padding=1, bias=False))
            layers.append(BatchNorm2d(outputs))
            width = outputs
        self.skip = None
        if pool:
            layers.append(MaxPool2d(3, stride=2, padding=1))
            self.skip = ConvNormActivation(in_channels, width, 1, 2, activation=None)
        self.rep = Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.rep(x) + (x if self.skip is None else self.skip(x))


class Xception(Module):
    """Entry, middle and exit flow, the mean over the image, a linear layer.

    Parameters
    ----------
    num_classes : int
    middle : int
        Blocks of the middle flow.
    dropout : float
        Before the last layer (section 4.3 has 0.5 for ImageNet).
    in_channels : int
    """

    def __init__(
        self,
        num_classes: int = 1000,
        middle: int = 8,
        dropout: float = 0.5,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.stem = Sequential(
            Conv2d(in_channels, 32, 3, stride=2, bias=False),  # 149 × 149 of 299 × 299
            BatchNorm2d(32),
            ReLU(inplace=True),
            Conv2d(32, 64, 3, bias=False),  # 147 × 147
            BatchNorm2d(64),
            ReLU(inplace=True),
        )
        blocks: list[Module] = []
        width = 64
        for i, widths in enumerate(ENTRY):  # 74², 37², 19²
            blocks.append(Block(width, widths, pool=True, relu_first=i > 0))
            width = widths[-1]
        blocks += [Block(width, MIDDLE, pool=False) for _ in range(middle)]
        blocks.append(Block(width, EXIT, pool=True))  # 10 × 10
        self.blocks = Sequential(*blocks)
        self.tail = Sequential(
            SeparableConv2d(1024, 1536, 3, padding=1, bias=False),
            BatchNorm2d(1536),
            ReLU(inplace=True),
            SeparableConv2d(1536, 2048, 3, padding=1, bias=False),
            BatchNorm2d(2048),
            ReLU(inplace=True),
        )
        self.avgpool = AdaptiveAvgPool2d(1)
        self.dropout = Dropout(dropout)
        self.fc = Linear(2048, num_classes)
        initialise(self, conv=init.xavier_uniform_, linear=init.xavier_uniform_)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        x = self.tail(self.blocks(self.stem(x)))  # 2048 × 10 × 10
        return self.fc(self.dropout(self.avgpool(x).flatten(1)))


def xception(*, weights: Any = None, progress: bool = True, **options: Any) -> Xception:
    """Xception: 22 855 952 parameters, 299×299; options are those of :class:`Xception`."""
    return build("xception", Xception, weights, options)
