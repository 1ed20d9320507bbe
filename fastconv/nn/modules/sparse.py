"""Tables of vectors, under PyTorch's path."""

from .embedding import Embedding

__all__ = ["Embedding"]
