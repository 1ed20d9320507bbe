"""NASNet-A: Zoph, Vasudevan, Shlens, Le, "Learning transferable architectures" (CVPR 2018).

Figure 4 has the two cells (left `NormalCell`, right `ReductionCell`), figure 2 how they are
stacked, appendix A.4 how a cell takes the hidden state before last when its shape is another one.
"""

from __future__ import annotations

from typing import Any

from ..functions.join import cat
from ..nn import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    SeparableConv2d,
    Sequential,
)
from ..nn import functional as F
from ..tensor import Tensor
from ._blocks import he_backward, initialise
from ._weights import build


def norm(channels: int) -> BatchNorm2d:
    """Batch normalisation as in the authors' code."""
    return BatchNorm2d(channels, eps=0.001, momentum=0.0003)


class Separable(Sequential):
    """ReLU, separable convolution and normalisation, all of it twice (appendix A.4).

    Parameters
    ----------
    in_channels, out_channels, kernel, stride : int
        The stride is the first convolution's.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        pad = kernel // 2
        super().__init__(
            ReLU(),
            SeparableConv2d(in_channels, out_channels, kernel, stride, pad, bias=False),
            norm(out_channels),
            ReLU(inplace=True),
            SeparableConv2d(out_channels, out_channels, kernel, 1, pad, bias=False),
            norm(out_channels),
        )


class Squeeze(Sequential):
    """ReLU, 1×1 and normalisation: a hidden state in the cell's number of channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            ReLU(), Conv2d(in_channels, out_channels, 1, bias=False), norm(out_channels)
        )


class FactorizedReduction(Module):
    """Halve the image: every second pixel, beside those one further down and right.

    Parameters
    ----------
    in_channels, out_channels : int
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        first = out_channels // 2
        self.path1 = Conv2d(in_channels, first, 1, bias=False)
        self.path2 = Conv2d(in_channels, out_channels - first, 1, bias=False)
        self.norm = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        further = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        paths = [self.path1(x[:, :, ::2, ::2]), self.path2(further[:, :, ::2, ::2])]
        return self.norm(cat(paths, 1))


class Cell(Module):
    """What both cells share: how the two hidden states come in.

    Parameters
    ----------
    before_channels, channels : int
        Of the hidden state before last, and of the last.
    filters : int
        Channels inside.
    halved : bool
        Whether the state before last is twice as large as the last.
    """

    def __init__(
        self, before_channels: int, channels: int, filters: int, halved: bool = False
    ) -> None:
        super().__init__()
        self.before: Module
        if halved:
            self.before = FactorizedReduction(before_channels, filters)
        elif before_channels != filters:
            self.before = Squeeze(before_channels, filters)
        else:
            self.before = Sequential()
        self.squeeze = Squeeze(channels, filters)


class NormalCell(Cell):
    """Figure 4, left: five sums of two operations; six times `filters` channels go out."""

    def __init__(
        self, before_channels: int, channels: int, filters: int, halved: bool = False
    ) -> None:
        super().__init__(before_channels, channels, filters, halved)
        self.left1 = Separable(filters, filters, 5)
        self.right1 = Separable(filters, filters, 3)
        self.left2 = Separable(filters, filters, 5)
        self.right2 = Separable(filters, filters, 3)
        self.pool = AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.left5 = Separable(filters, filters, 3)

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        p, h = self.before(before), self.squeeze(last)
        pooled = self.pool(p)
        sums = [
            self.left1(h) + self.right1(p),
            self.left2(p) + self.right2(p),
            self.pool(h) + p,
            pooled + pooled,
            self.left5(h) + h,
        ]
        return cat([p, *sums], 1)  # type: ignore[no-any-return]


class ReductionCell(Cell):
    """Figure 4, right: the image is halved; four times `filters` channels go out.

    Parameters
    ----------
    before_channels, channels, filters, halved
        See `Cell`.
    first : bool
        The first cell of all has one input for both states, and takes it as it is.
    """

    def __init__(
        self,
        before_channels: int,
        channels: int,
        filters: int,
        halved: bool = False,
        first: bool = False,
    ) -> None:
        super().__init__(filters if first else before_channels, channels, filters, halved)
        inputs = before_channels if first else filters
        self.left1 = Separable(filters, filters, 5, 2)
        self.right1 = Separable(inputs, filters, 7, 2)
        self.max_pool = MaxPool2d(3, stride=2, padding=1)
        self.right2 = Separable(inputs, filters, 7, 2)
        self.avg_pool = AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
        self.right3 = Separable(inputs, filters, 5, 2)
        self.smooth = AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.left5 = Separable(filters, filters, 3)

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        p, h = self.before(before), self.squeeze(last)
        maxima = self.max_pool(h)
        first = self.left1(h) + self.right1(p)
        second = maxima + self.right2(p)
        third = self.avg_pool(h) + self.right3(p)
        fourth = second + self.smooth(first)
        fifth = self.left5(first) + maxima
        return cat([second, third, fourth, fifth], 1)  # type: ignore[no-any-return]


class NASNet(Module):
    """Figure 2, for ImageNet: a convolution, two reductions, three stacks of normal cells.

    Parameters
    ----------
    penultimate_filters : int
        Channels before the last layer (the @ in "4 @ 1056"); a multiple of 96.
    cells : int
        Normal cells per stack (N).
    stem_filters : int
    num_classes : int
    dropout : float
    in_channels : int

    Raises
    ------
    ValueError
        If `penultimate_filters` is no multiple of 96, or `cells` is not positive.
    """

    def __init__(
        self,
        penultimate_filters: int = 1056,
        cells: int = 4,
        stem_filters: int = 32,
        num_classes: int = 1000,
        dropout: float = 0.5,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if penultimate_filters % 96 or penultimate_filters < 96 or cells < 1:
            raise ValueError(
                "NASNet: penultimate_filters must be a multiple of 96 and cells positive, "
                f"got {penultimate_filters} and {cells}"
            )
        filters = penultimate_filters // 24
        self.stem = Sequential(
            Conv2d(in_channels, stem_filters, 3, stride=2, padding=1, bias=False),  # 112 of 224
            norm(stem_filters),
        )
        self.cells = Sequential()
        widths = [stem_filters, stem_filters]  # of the states, and whether the last was halved
        halved = False

        def add(cell: type[Cell], name: str, width: int, **options: Any) -> None:
            nonlocal halved
            made = cell(widths[-2], widths[-1], width, halved=halved, **options)
            self.cells.add_module(name, made)
            halved = cell is ReductionCell
            widths.append(width * (4 if halved else 6))

        add(ReductionCell, "stem1", filters // 4, first=True)  # 56 × 56
        add(ReductionCell, "stem2", filters // 2)  # 28 × 28
        for stack in range(3):  # 28², 14², 7²
            if stack > 0:
                add(ReductionCell, f"reduction{stack}", filters * 2**stack)
            for i in range(cells):
                add(NormalCell, f"normal{stack * cells + i + 1}", filters * 2**stack)
        self.avgpool = AdaptiveAvgPool2d(1)
        self.dropout = Dropout(dropout)
        self.fc = Linear(penultimate_filters, num_classes)
        initialise(self, conv=he_backward)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, H, W)."""
        before = last = self.stem(x)
        for cell in self.cells:
            before, last = last, cell(before, last)
        return self.fc(self.dropout(self.avgpool(F.relu(last)).flatten(1)))


def nasnet_a_mobile(*, weights: Any = None, progress: bool = True, **options: Any) -> NASNet:
    """NASNet-A (4 @ 1056): 5 289 978 parameters, 224×224; options: :class:`NASNet`."""
    return build("nasnet_a_mobile", NASNet, weights, options)
