"""Channels by turns, under PyTorch's path."""

from .flatten import ChannelShuffle

__all__ = ["ChannelShuffle"]
