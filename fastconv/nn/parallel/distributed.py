"""`DistributedDataParallel`, under PyTorch's path."""

from . import DistributedDataParallel

__all__ = ["DistributedDataParallel"]
