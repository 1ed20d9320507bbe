"""CIFAR-10 and CIFAR-100 from their binary records.

The format is described at https://www.cs.toronto.edu/~kriz/cifar.html: a file is nothing but
records: the label (CIFAR-100: first that of the superclass), then 1024 red, 1024 green and 1024
blue pixels, by rows.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..data import TensorDataset
from ..tensor import wrap
from ..transforms.picture import pillow
from .packed import read_at_most, unpacked
from .vision import Change, VisionDataset

CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR100_URL = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
PIXELS = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
#: The classes of CIFAR-100 by number.
FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree
orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum
rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train
trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
#: No more than this is read of one file (the whole of CIFAR-10 are 60 000).
MAX_RECORDS = 1 << 20


def cifar10(root: str | os.PathLike[str], train: bool = True) -> TensorDataset:
    """The CIFAR-10 photographs: 50 000 to train on, 10 000 to test with, or what there is of them.

    Parameters
    ----------
    root : path
        The folder with `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, or with
        parts named `train_*.bin` and `test_*.bin`, gzip-compressed (`.bin.gz`) or not;
        `root/cifar-10-batches-bin` is looked into as well.
    train : bool
        The training set, or the test set.

    Returns
    -------
    TensorDataset
        Images (N, 3, 32, 32) float32 in [0, 1] and labels (N,) int64.

    Raises
    ------
    FileNotFoundError
        When a file is missing: the message says what to get and where to put it.
    ValueError
        When a file is not made of whole records, or has a label beyond 9.
    """
    images, labels = _arrays(Path(root), train)
    pixels = np.multiply(images, np.float32(1 / 255), dtype=np.float32)
    return TensorDataset(wrap(pixels), wrap(labels.astype(np.int64)))


def _arrays(root: Path, train: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) and labels (N,), both uint8, of CIFAR-10."""
    parts = [read_cifar(path) for path in _find(root, train)]
    return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])


def _find(root: Path, train: bool) -> list[Path]:
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
    missing = names
    for folder in (root, root / "cifar-10-batches-bin"):
        found = {name: path for name in names if (path := _one(folder, name))}
        if len(found) == len(names):
            return list(found.values())
        if found:
            missing = [name for name in names if name not in found]
            break
        parts: dict[str, Path] = {}  # by name without .gz, so that no part counts twice
        for pattern in ("*.bin.gz", "*.bin"):
            for path in folder.glob(("train_" if train else "test_") + pattern):
                parts[path.name.removesuffix(".gz")] = path
        if parts:
            return [parts[name] for name in sorted(parts)]
    raise FileNotFoundError(
        f"CIFAR-10: {', '.join(missing)} missing: get {CIFAR_URL} "
        f"and put its .bin files into {root.absolute()} (as they are, or gzip-compressed)"
    )


def _one(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def read_cifar(path: str | os.PathLike[str], classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of CIFAR-10 or CIFAR-100 records, gzip-compressed or not.

    Parameters
    ----------
    path : path
    classes : {10, 100}
        With 100, the label is the second byte of a record, after that of the superclass.

    Returns
    -------
    images, labels : ndarray of uint8, (N, 3, 32, 32) and (N,)

    Raises
    ------
    ValueError
        When it is empty, not made of whole records, too long, or has a label beyond the classes.
    """
    name = os.fspath(path)
    record = RECORD + (classes == 100)
    with unpacked(path) as stream:
        data = read_at_most(stream, MAX_RECORDS * record)
    if len(data) > MAX_RECORDS * record:
        raise ValueError(f"{name}: more than {MAX_RECORDS} records of {record} bytes")
    if not data or len(data) % record:
        raise ValueError(
            f"{name}: not a file of CIFAR-{classes} records, or truncated: {len(data)} bytes are "
            f"not a multiple of {record}"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    labels = records[:, record - RECORD]
    if labels.max() >= classes:
        at = int((labels >= classes).argmax())
        raise ValueError(
            f"{name}: labels must be 0 to {classes - 1}, found {labels[at]} in record {at}"
        )
    return records[:, record - RECORD + 1 :].reshape(-1, *PIXELS), labels


class CIFAR10(VisionDataset):
    """The CIFAR-10 photographs: sample `i` is (a Pillow image of mode RGB, class number).

    Parameters
    ----------
    root : path
        Where the binary files lie, as for `cifar10`.
    train : bool
        The training set, or the test set.
    transform, target_transform : callable, optional
    download : bool
        Nothing is downloaded: where files are missing, the error says which to put where.

    Attributes
    ----------
    data : ndarray of uint8, (N, 32, 32, 3)
    targets : list of int
    classes : list of str
    class_to_idx : dict

    Raises
    ------
    FileNotFoundError
        When a file is missing: the message says what to get and where to put it.
    """

    classes: ClassVar[list[str]] = [
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
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
        images, labels = self._read(Path(str(self.root)))
        self.data = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.targets: list[int] = labels.tolist()

    def _read(self, root: Path) -> tuple[np.ndarray, np.ndarray]:
        return _arrays(root, self.train)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Numbers of the classes."""
        return {name: i for i, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = pillow(type(self).__name__).fromarray(self.data[index])
        return self.changed(image, self.targets[index])


class CIFAR100(CIFAR10):
    """The CIFAR-100 photographs of 100 classes: arguments and samples are those of `CIFAR10`.

    The files are `train.bin` and `test.bin`, gzip-compressed or not, in `root` or
    `root/cifar-100-binary`.
    """

    classes: ClassVar[list[str]] = FINE.split()

    def _read(self, root: Path) -> tuple[np.ndarray, np.ndarray]:
        name = "train.bin" if self.train else "test.bin"
        for folder in (root, root / "cifar-100-binary"):
            path = _one(folder, name)
            if path is not None:
                return read_cifar(path, 100)
        raise FileNotFoundError(
            f"CIFAR-100: {name} missing (nothing is downloaded): get {CIFAR100_URL} "
            f"and put its .bin files into {root.absolute()} (as they are, or gzip-compressed)"
        )
