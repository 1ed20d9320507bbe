"""Small drawn pictures: folders of classes, and MNIST's files, for tests of what reads them."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def draw(root: Path, count: int, seed: int = 0, names: Sequence[str] = ("disc", "square")) -> None:
    """`count` pictures of 40×32 for each name: bright discs or squares (even, odd) on dark."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            dark, bright = (
                tuple(rng.integers(*span, 3).tolist()) for span in ((0, 60), (200, 256))
            )
            image = Image.new("RGB", (40, 32), dark)
            x, y, radius = 20, 16, int(rng.integers(9, 12))
            pen = ImageDraw.Draw(image)
            box = (x - radius, y - radius, x + radius, y + radius)
            (pen.rectangle if number % 2 else pen.ellipse)(box, fill=bright)
            image.save(root / name / f"{i:03}.png")


def write_mnist(folder: Path, per_class: int = 24) -> None:
    """Small IDX files: each class a bar at its own place, with noise."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 10 * per_class), ("t10k", 40)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = rng.integers(0, 40, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 3 : 2 * label + 6, 4:24] = 250
        header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in images.shape)
        data = gzip.compress(header + images.tobytes())
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(data)
        header = b"\0\0\x08\x01" + count.to_bytes(4, "big")
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
