"""Networks that are ready to train."""

from .lenet import LeNet5

__all__ = ["LeNet5"]
