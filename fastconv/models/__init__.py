"""Networks that are ready to train."""

from .lenet import LeNet5
from .lenet_digits import LeNetDigits
from .resnet import CifarResNet, resnet20, resnet32

__all__ = ["CifarResNet", "LeNet5", "LeNetDigits", "resnet20", "resnet32"]
