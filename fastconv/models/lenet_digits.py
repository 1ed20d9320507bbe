"""LeNet's plan for 8×8 images."""

from __future__ import annotations

from ..nn import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential
from ._weights import build


class LeNetDigits(Sequential):
    """Two 3×3 convolutions with normalisation and pooling, then two fully connected layers.

    Made for :func:`fastconv.datasets.digits`: images (N, in_channels, 8, 8).

    Parameters
    ----------
    num_classes : int
    in_channels : int
    dropout : float
        Share of the 192 features set to zero in training.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, dropout: float = 0.5) -> None:
        super().__init__(
            Conv2d(in_channels, 24, 3, padding=1),  # (N, 24, 8, 8)
            BatchNorm2d(24),
            ReLU(),
            MaxPool2d(2),  # (N, 24, 4, 4)
            Conv2d(24, 48, 3, padding=1),  # (N, 48, 4, 4)
            BatchNorm2d(48),
            ReLU(),
            MaxPool2d(2),  # (N, 48, 2, 2)
            Flatten(),
            Dropout(dropout),
            Linear(192, 64),
            ReLU(),
            Linear(64, num_classes),
        )


def lenet_digits(num_classes: int = 10, in_channels: int = 1, dropout: float = 0.5) -> LeNetDigits:
    """LeNetDigits for 8×8 digits."""
    options = {"num_classes": num_classes, "in_channels": in_channels, "dropout": dropout}
    return build("lenet_digits", LeNetDigits, None, options)
