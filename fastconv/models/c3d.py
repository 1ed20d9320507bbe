"""C3D: Tran, Bourdev, Fergus, Torresani, Paluri, "Learning spatiotemporal features with 3D
convolutional networks" (ICCV 2015), figure 3.
"""

from __future__ import annotations

from typing import Any

from ..nn import Conv3d, Dropout, Linear, MaxPool3d, Module, ReLU, init
from ..tensor import Tensor
from ._weights import build


class C3D(Module):
    """Eight 3×3×3 convolutions, five poolings, two hidden linear layers.

    Parameters
    ----------
    num_classes : int
    in_channels : int
    width : int
        Channels of the first convolution, 64 in the paper; the others have up to eight times as
        many, the linear layers 64 times.
    dropout : float
        After the hidden linear layers.

    Raises
    ------
    ValueError
        If `width` is not positive.
    """

    def __init__(
        self, num_classes: int = 487, in_channels: int = 3, width: int = 64, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"C3D: width must be positive, got {width}")
        self.in_channels = in_channels
        w2, w4, w8, hidden = 2 * width, 4 * width, 8 * width, 64 * width
        self.conv1 = Conv3d(in_channels, width, 3, padding=1)
        self.pool1 = MaxPool3d((1, 2, 2))  # "not to merge the temporal signal too early"
        self.conv2 = Conv3d(width, w2, 3, padding=1)
        self.pool2 = MaxPool3d(2)
        self.conv3a = Conv3d(w2, w4, 3, padding=1)
        self.conv3b = Conv3d(w4, w4, 3, padding=1)
        self.pool3 = MaxPool3d(2)
        self.conv4a = Conv3d(w4, w8, 3, padding=1)
        self.conv4b = Conv3d(w8, w8, 3, padding=1)
        self.pool4 = MaxPool3d(2)
        self.conv5a = Conv3d(w8, w8, 3, padding=1)
        self.conv5b = Conv3d(w8, w8, 3, padding=1)
        self.pool5 = MaxPool3d(2, padding=(0, 1, 1))
        self.fc6 = Linear(w8 * 4 * 4, hidden)
        self.fc7 = Linear(hidden, hidden)
        self.fc8 = Linear(hidden, num_classes)
        self.relu, self.dropout = ReLU(), Dropout(dropout)
        for module in self.modules():
            if isinstance(module, Conv3d):
                init.kaiming_normal_(module.weight)
                init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes) of clips (N, in_channels, 16, 112, 112).

        Raises
        ------
        ValueError
            For clips of another size.
        """
        if tuple(x.shape[1:]) != (self.in_channels, 16, 112, 112):
            raise ValueError(
                f"C3D: clips must be (N, {self.in_channels}, 16, 112, 112), "
                f"got shape {tuple(x.shape)}"
            )
        relu = self.relu
        x = self.pool1(relu(self.conv1(x)))  # 64 × 16 × 56 × 56
        x = self.pool2(relu(self.conv2(x)))  # 128 × 8 × 28 × 28
        x = self.pool3(relu(self.conv3b(relu(self.conv3a(x)))))  # 256 × 4 × 14 × 14
        x = self.pool4(relu(self.conv4b(relu(self.conv4a(x)))))  # 512 × 2 × 7 × 7
        x = self.pool5(relu(self.conv5b(relu(self.conv5a(x)))))  # 512 × 1 × 4 × 4
        x = self.dropout(relu(self.fc6(x.flatten(1))))
        return self.fc8(self.dropout(relu(self.fc7(x))))


def c3d(*, weights: Any = None, progress: bool = True, **options: Any) -> C3D:
    """C3D for Sports-1M: 79 991 015 parameters; clips of 16×112×112.

    Options are those of :class:`C3D`.
    """
    return build("c3d", C3D, weights, options)
