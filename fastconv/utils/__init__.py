"""PyTorch's name for the data package: `fastconv.utils.data` is `fastconv.data`."""

from . import data

__all__ = ["data"]
