"""Parameters as one vector, under PyTorch's path."""

from .clip_grad import parameters_to_vector, vector_to_parameters

__all__ = ["parameters_to_vector", "vector_to_parameters"]
