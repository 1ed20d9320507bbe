"""Data sets: what ships inside scikit-learn, and readers for files that the user has."""

from .cifar import cifar10, read_cifar
from .digits import digits
from .mnist import fashion_mnist, mnist, read_idx

__all__ = ["cifar10", "digits", "fashion_mnist", "mnist", "read_cifar", "read_idx"]
