"""LeNet-5 for 28×28 images, and its little sister for 8×8 ones."""

from __future__ import annotations

from fastconv import nn

__all__ = ["LeNet5", "LeNetDigits"]


class LeNet5(nn.Sequential):
    """LeNet-5 with ReLU and max pooling: 61 706 parameters for ten classes and one channel.

    The layers are those of LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to
    document recognition" (1998), figure 2; the 28×28 image is padded to the 32×32 used there, and
    ReLU, max pooling and a linear output stand for tanh, averaging and radial basis units.

    Parameters
    ----------
    num_classes : int
        Number of scores K.
    in_channels : int
        Channels C of the images, (N, C, 28, 28).
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 6, 5, padding=2),  # (N, 6, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 6, 14, 14)
            nn.Conv2d(6, 16, 5),  # (N, 16, 10, 10)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 16, 5, 5)
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )


class LeNetDigits(nn.Sequential):
    """The same plan for 8×8 images such as :func:`fastconv.datasets.digits`.

    Parameters
    ----------
    num_classes : int
        Number of scores K.
    in_channels : int
        Channels C of the images, (N, C, 8, 8).
    dropout : float
        Share of the 128 features set to zero in training.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, dropout: float = 0.3) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 16, 3, padding=1),  # (N, 16, 8, 8)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 16, 4, 4)
            nn.Conv2d(16, 32, 3, padding=1),  # (N, 32, 4, 4)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 32, 2, 2)
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, num_classes),
        )
