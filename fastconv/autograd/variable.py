"""`Variable`, under PyTorch's path."""

from .._variable import Variable

__all__ = ["Variable"]
