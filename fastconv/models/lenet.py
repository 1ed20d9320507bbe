"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998), as it is taught today."""

from __future__ import annotations

from ..nn import Conv2d, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from ..tensor import Tensor


class LeNet5(Module):
    """Two 5×5 convolutions with max pooling, then three fully connected layers.

    Parameters
    ----------
    num_classes : int
    in_channels : int
    image_size : int
        Height and width: 28 (MNIST) or less is padded by the first layer, 32 and more is not.

    Raises
    ------
    ValueError
        For an image too small to convolve and pool twice.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> None:
        super().__init__()
        padding = 2 if image_size < 32 else 0
        side = ((image_size + 2 * padding - 4) // 2 - 4) // 2
        if side < 1:
            raise ValueError(f"LeNet5: image_size must be at least 12, got {image_size}")
        self.features = Sequential(
            Conv2d(in_channels, 6, 5, padding=padding),
            ReLU(),
            MaxPool2d(2),
            Conv2d(6, 16, 5),
            ReLU(),
            MaxPool2d(2),
        )
        self.classifier = Sequential(
            Flatten(),
            Linear(16 * side * side, 120),
            ReLU(),
            Linear(120, 84),
            ReLU(),
            Linear(84, num_classes),
        )

    def forward(self, input: Tensor) -> Tensor:
        """Class scores (N, num_classes) of images (N, in_channels, image_size, image_size)."""
        return self.classifier(self.features(input))


def lenet5(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> LeNet5:
    """LeNet-5 for MNIST: 61 706 parameters."""
    return LeNet5(num_classes, in_channels, image_size)
