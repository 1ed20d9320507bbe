"""MNIST and Fashion-MNIST from their IDX files.

The IDX format is described at http://yann.lecun.com/exdb/mnist/: two zero bytes, a type code, the
number of dimensions, the sizes as big-endian uint32, then the values in C order.
"""

from __future__ import annotations

import math
import os
from typing import Any, ClassVar

import numpy as np

from ..data import TensorDataset
from ..tensor import Tensor, wrap
from ..transforms.picture import pillow
from .packed import read_at_most, unpacked
from .vision import Change, VisionDataset

MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_BYTES = 1 << 32


def mnist(root: str | os.PathLike[str], train: bool = True) -> TensorDataset:
    """The MNIST digits: 60 000 to train on, 10 000 to test with.

    Parameters
    ----------
    root : path
        The folder with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two `t10k-`
        files, gzip-compressed or not; `root/MNIST/raw` is looked into as well.
    train : bool
        The training set, or the test set.

    Returns
    -------
    TensorDataset
        Images (N, 1, 28, 28) float32 in [0, 1] and labels (N,) int64.

    Raises
    ------
    FileNotFoundError
        When a file is missing: the message says what to get and where to put it.
    ValueError
        When a file is not what its name says, or is cut short.
    """
    return _idx_dataset(root, train, "MNIST", MNIST_URL)


def fashion_mnist(root: str | os.PathLike[str], train: bool = True) -> TensorDataset:
    """Fashion-MNIST: ten kinds of clothing in MNIST's format.

    Arguments, result and errors are those of `mnist`; `root/FashionMNIST/raw` is looked into too.
    """
    return _idx_dataset(root, train, "FashionMNIST", FASHION_URL)


def _idx_dataset(root: str | os.PathLike[str], train: bool, name: str, url: str) -> TensorDataset:
    images, labels = _idx_arrays(root, train, name, url)
    pixels = np.multiply(images[:, None], np.float32(1 / 255), dtype=np.float32)
    return TensorDataset(wrap(pixels), wrap(labels.astype(np.int64)))


def _idx_arrays(
    root: str | os.PathLike[str], train: bool, name: str, url: str
) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W) and labels (N,), both uint8."""
    part = "train" if train else "t10k"
    image_path = _find(root, f"{part}-images-idx3-ubyte", name, url)
    label_path = _find(root, f"{part}-labels-idx1-ubyte", name, url)
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(
            f"{image_path}: images must be 3-D uint8, got shape {images.shape} {images.dtype}"
        )
    if labels.ndim != 1 or labels.dtype != np.uint8:
        raise ValueError(
            f"{label_path}: labels must be 1-D uint8, got shape {labels.shape} {labels.dtype}"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"{image_path} has {len(images)} images, {label_path} {len(labels)} labels"
        )
    if labels.size and labels.max() > 9:
        raise ValueError(f"{label_path}: labels must be 0 to 9, found {labels.max()}")
    return images, labels


class MNIST(VisionDataset):
    """The MNIST digits: sample `i` is (a Pillow image of mode L, class number).

    Parameters
    ----------
    root : path
        Where the four files lie, as for `mnist`.
    train : bool
        The training set, or the test set.
    transform, target_transform : callable, optional
    download : bool
        Nothing is downloaded: where files are missing, the error says which to put where.

    Attributes
    ----------
    data : Tensor of uint8, (N, 28, 28)
    targets : Tensor of int64, (N,)
    classes : list of str
    class_to_idx : dict

    Raises
    ------
    FileNotFoundError
        When a file is missing: the message says what to get and where to put it.
    """

    url = MNIST_URL
    classes: ClassVar[list[str]] = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six",
        "7 - seven", "8 - eight", "9 - nine",
    ]  # fmt: skip

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Change | None = None,
        target_transform: Change | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, None, transform, target_transform)
        self.train = train
        images, labels = _idx_arrays(str(self.root), train, type(self).__name__, self.url)
        self.data: Tensor = wrap(images)
        self.targets: Tensor = wrap(labels.astype(np.int64))

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Numbers of the classes."""
        return {name: i for i, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = pillow(type(self).__name__).fromarray(self.data._array[index])
        return self.changed(image, int(self.targets._array[index]))


class FashionMNIST(MNIST):
    """Fashion-MNIST, ten kinds of clothing: arguments, samples and errors are those of `MNIST`."""

    url = FASHION_URL
    classes: ClassVar[list[str]] = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ]  # fmt: skip


def _find(root: str | os.PathLike[str], file: str, name: str, url: str) -> str:
    folder = os.fspath(root)
    for place in (folder, os.path.join(folder, name, "raw")):
        for candidate in (file, file + ".gz", file.replace("-idx", ".idx")):
            path = os.path.join(place, candidate)
            if os.path.isfile(path):
                return path
    raise FileNotFoundError(
        f"{name}: {file}.gz is missing (nothing is downloaded): get it from {url}{file}.gz "
        f"and put it into {os.path.abspath(folder)} (as it is, or unpacked)"
    )


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an IDX file, gzip-compressed or not (told by its content, not by its name).

    Parameters
    ----------
    path : path

    Returns
    -------
    ndarray
        In native byte order.

    Raises
    ------
    ValueError
        When the magic number, the dimensions or the length are not right. No more is read, or
        allocated, than the file really holds.
    """
    with unpacked(path) as stream:
        return _parse(stream, os.fspath(path))


def _parse(stream: Any, name: str) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES:
        raise ValueError(f"{name}: not an IDX file: it begins with {magic.hex(' ') or 'nothing'}")
    dtype, ndim = np.dtype(TYPES[magic[2]]), magic[3]
    if not 1 <= ndim <= 8:
        raise ValueError(f"{name}: IDX header claims {ndim} dimensions, expected 1 to 8")
    header = stream.read(4 * ndim)
    if len(header) < 4 * ndim:
        raise ValueError(f"{name}: truncated in the IDX header")
    shape = tuple(int.from_bytes(header[4 * i : 4 * i + 4], "big") for i in range(ndim))
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_BYTES:
        raise ValueError(f"{name}: IDX header claims shape {shape}, more than {MAX_BYTES} bytes")
    data = read_at_most(stream, size)
    if len(data) != size:
        what = "truncated" if len(data) < size else "longer than it claims"
        raise ValueError(
            f"{name}: {what}: the IDX header claims shape {shape} ({size} bytes of data), "
            f"found {len(data) if len(data) < size else 'more'}"
        )
    values = np.frombuffer(data, dtype=dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)
