"""CIFAR-10 from its binary records.

The format is described at https://www.cs.toronto.edu/~kriz/cifar.html: a file is nothing but
records of 3073 bytes: the label (0 to 9), then 1024 red, 1024 green and 1024 blue pixels, by rows.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..data import TensorDataset
from ..tensor import wrap
from .packed import read_at_most, unpacked

CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
PIXELS = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
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
    parts = [read_cifar(path) for path in _find(Path(root), train)]
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    pixels = np.multiply(images, np.float32(1 / 255), dtype=np.float32)
    return TensorDataset(wrap(pixels), wrap(labels.astype(np.int64)))


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


def read_cifar(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of CIFAR-10 records, gzip-compressed or not.

    Returns
    -------
    images, labels : ndarray of uint8, (N, 3, 32, 32) and (N,)

    Raises
    ------
    ValueError
        When it is empty, not made of whole records, too long, or has a label beyond 9.
    """
    name = os.fspath(path)
    with unpacked(path) as stream:
        data = read_at_most(stream, MAX_RECORDS * RECORD)
    if len(data) > MAX_RECORDS * RECORD:
        raise ValueError(f"{name}: more than {MAX_RECORDS} records of {RECORD} bytes")
    if not data or len(data) % RECORD:
        raise ValueError(
            f"{name}: not a file of CIFAR-10 records, or truncated: {len(data)} bytes are not a "
            f"multiple of {RECORD}"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    labels = records[:, 0]
    if labels.max() > 9:
        at = int((labels > 9).argmax())
        raise ValueError(f"{name}: labels must be 0 to 9, found {labels[at]} in record {at}")
    return records[:, 1:].reshape(-1, *PIXELS), labels
