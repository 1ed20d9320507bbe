"""Folders of small drawn pictures: discs and squares, for tests of what reads pictures."""

from __future__ import annotations

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
