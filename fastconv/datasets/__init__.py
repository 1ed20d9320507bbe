"""Data sets: readers for files that the user has, folders of images, and what scikit-learn has."""

from .cifar import CIFAR10, CIFAR100, cifar10, read_cifar
from .digits import digits
from .folder import (
    IMG_EXTENSIONS,
    DatasetFolder,
    ImageFolder,
    SegmentationFolder,
    find_classes,
    has_file_allowed_extension,
    is_image_file,
    make_dataset,
)
from .mnist import MNIST, FashionMNIST, fashion_mnist, mnist, read_idx
from .vision import (
    ArrayDataset,
    BrokenImage,
    FakeData,
    VisionDataset,
    default_loader,
    pil_loader,
)

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "IMG_EXTENSIONS",
    "MNIST",
    "ArrayDataset",
    "BrokenImage",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "SegmentationFolder",
    "VisionDataset",
    "cifar10",
    "default_loader",
    "digits",
    "fashion_mnist",
    "find_classes",
    "has_file_allowed_extension",
    "is_image_file",
    "make_dataset",
    "mnist",
    "pil_loader",
    "read_cifar",
    "read_idx",
]
