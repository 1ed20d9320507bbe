"""Pixels from channels, under PyTorch's path."""

from .flatten import PixelShuffle, PixelUnshuffle

__all__ = ["PixelShuffle", "PixelUnshuffle"]
