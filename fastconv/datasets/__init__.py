"""Data sets: what ships inside scikit-learn, and readers for files that the user has."""

from .digits import digits
from .mnist import fashion_mnist, mnist, read_idx

__all__ = ["digits", "fashion_mnist", "mnist", "read_idx"]
