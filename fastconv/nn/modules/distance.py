"""Distances, under PyTorch's path."""

from .margin import CosineSimilarity, PairwiseDistance

__all__ = ["CosineSimilarity", "PairwiseDistance"]
