"""`DataParallel`, under PyTorch's path."""

from . import DataParallel

__all__ = ["DataParallel"]
