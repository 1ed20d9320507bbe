"""Networks, ready to train."""

from fastconv.models.lenet import LeNet5, LeNetDigits

__all__ = ["LeNet5", "LeNetDigits"]
