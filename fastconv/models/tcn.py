"""TCN: Bai, Kolter, Koltun, "An empirical evaluation of generic convolutional and recurrent
networks for sequence modeling" (2018).

Figure 1(a) is the stack of dilated causal convolutions, figure 1(b) `TemporalBlock`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..nn import Conv1d, Dropout, Linear, Module, ReLU, Sequential, init
from ..nn import functional as F
from ..nn.utils import weight_norm
from ..tensor import Tensor
from ._weights import build


class CausalConv1d(Conv1d):
    """A convolution whose result at a time knows that time and earlier ones only.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, dilation : int
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, dilation=dilation)
        self.before = (kernel_size - 1) * dilation

    def forward(self, input: Tensor) -> Tensor:
        """(N, out_channels, L) of (N, in_channels, L)."""
        return super().forward(F.pad(input, (self.before, 0)))


class TemporalBlock(Module):
    """Two causal convolutions with weight norm, ReLU and dropout; the input is added.

    Parameters
    ----------
    inputs, outputs, kernel_size, dilation : int
    dropout : float
        Whole channels are dropped in the paper's picture; single numbers in the authors' code,
        and here.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, dilation: int, dropout: float
    ) -> None:
        super().__init__()
        first = CausalConv1d(inputs, outputs, kernel_size, dilation)
        second = CausalConv1d(outputs, outputs, kernel_size, dilation)
        self.downsample = Conv1d(inputs, outputs, 1) if inputs != outputs else None
        for convolution in (first, second, self.downsample):
            if convolution is not None:
                init.normal_(convolution.weight, 0.0, 0.01)
        self.conv1, self.conv2 = weight_norm(first), weight_norm(second)
        self.relu, self.dropout = ReLU(), Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.dropout(self.relu(self.conv1(x)))
        inner = self.dropout(self.relu(self.conv2(inner)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(inner + shortcut)


class TCN(Module):
    """Blocks with dilation 1, 2, 4, …, and a linear layer.

    Parameters
    ----------
    in_channels, num_classes : int
    widths : sequence of int
        Channels of the blocks.
    kernel_size : int
    dropout : float
    each : bool
        Scores at each time, rather than at the last one.

    Raises
    ------
    ValueError
        If a width or the kernel is not positive.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 10,
        widths: Sequence[int] = (25,) * 8,
        kernel_size: int = 7,
        dropout: float = 0.0,
        each: bool = False,
    ) -> None:
        super().__init__()
        counts = (in_channels, *widths, num_classes, kernel_size)
        if not widths or min(counts) < 1:
            raise ValueError(
                "TCN: in_channels, widths, num_classes and kernel_size must be positive, "
                f"got {in_channels}, {tuple(widths)}, {num_classes} and {kernel_size}"
            )
        blocks = [
            TemporalBlock(before, after, kernel_size, 2**i, dropout)
            for i, (before, after) in enumerate(zip([in_channels, *widths], widths))
        ]
        self.network = Sequential(*blocks)
        self.linear = Linear(widths[-1], num_classes)
        self.each = each
        self.receptive_field = 1 + 2 * (kernel_size - 1) * (2 ** len(widths) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of sequences (N, in_channels, L).

        With `each` they are (N, num_classes, L), none of which knows what comes later.
        """
        x = self.network(x)
        if self.each:
            scores: Tensor = self.linear(x.transpose(1, 2)).transpose(1, 2)
        else:
            scores = self.linear(x[..., -1])
        return scores

    def extra_repr(self) -> str:
        return f"receptive_field={self.receptive_field}"


def tcn(*, weights: Any = None, progress: bool = True, **options: Any) -> TCN:
    """The TCN for MNIST as sequences of 784 pixels: 66 910 parameters.

    Options are those of :class:`TCN`.
    """
    return build("tcn", TCN, weights, options)
