"""Windows as columns, under PyTorch's path."""

from .flatten import Fold, Unfold

__all__ = ["Fold", "Unfold"]
