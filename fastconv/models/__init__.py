"""Networks that are ready to train."""

from .lenet import LeNet5
from .lenet_digits import LeNetDigits

__all__ = ["LeNet5", "LeNetDigits"]
