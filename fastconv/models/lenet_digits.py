"""LeNet's plan for 8×8 images."""

from __future__ import annotations

from ..nn import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential


class LeNetDigits(Sequential):
    """Two 3×3 convolutions with max pooling, then two fully connected layers.

    Made for :func:`fastconv.datasets.digits`: images (N, in_channels, 8, 8).

    Parameters
    ----------
    num_classes : int
    in_channels : int
    dropout : float
        Share of the 128 features set to zero in training.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, dropout: float = 0.3) -> None:
        super().__init__(
            Conv2d(in_channels, 16, 3, padding=1),  # (N, 16, 8, 8)
            ReLU(),
            MaxPool2d(2),  # (N, 16, 4, 4)
            Conv2d(16, 32, 3, padding=1),  # (N, 32, 4, 4)
            ReLU(),
            MaxPool2d(2),  # (N, 32, 2, 2)
            Flatten(),
            Dropout(dropout),
            Linear(128, 64),
            ReLU(),
            Linear(64, num_classes),
        )
