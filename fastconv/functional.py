"""The functions that PyTorch has at ``torch.functional``."""

from .functions.index import meshgrid, split, unique
from .functions.linalg import cdist, einsum
from .functions.reduce import norm
from .functions.shape import broadcast_tensors
from .nn import functional as F
from .tensor import Tensor

__all__ = [
    "F", "Tensor", "broadcast_tensors", "cdist", "einsum", "meshgrid", "norm", "split", "unique",
]  # fmt: skip
