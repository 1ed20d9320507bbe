"""What the examples share: their settings, where data lies, and pictures."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastconv as fc

try:
    import matplotlib
    import PIL  # noqa: F401
    import sklearn  # noqa: F401
except ModuleNotFoundError as error:
    print(f"skipped: the examples need {error.name}: pip install 'fastconv[vision]'")
    sys.exit(0)

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]


def settings(description: str | None) -> argparse.Namespace:
    """The settings of an example from its command line; seeds the random numbers."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a few seconds, to see that it runs")
    data = os.environ.get("FASTCONV_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(data), help="default: $FASTCONV_DATA")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "examples", help="of pictures")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    fc.manual_seed(args.seed)
    np.random.seed(args.seed)
    return args


def folder(args: argparse.Namespace, name: str, what: str) -> Path:
    """A folder of data; without it the example ends with a sentence that says what it needs."""
    path: Path = args.data / name
    if not path.is_dir():
        print(f"skipped: there is no {path}: it must hold {what}; --data says where to look")
        sys.exit(0)
    return path


def first(data: Any, count: int) -> Any:
    """A TensorDataset's first `count` samples."""
    return fc.data.TensorDataset(*(t[:count] for t in data.tensors))


def curves(ax: Any, lines: Mapping[str, Sequence[float]], title: str) -> None:
    """Columns of histories over their epochs."""
    for name, values in lines.items():
        ax.plot(range(1, len(values) + 1), values, marker=".", label=name)
    ax.set(title=title, xlabel="epoch")
    ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    ax.set_xlim(0.5, max(len(values) for values in lines.values()) + 0.5)
    ax.grid(alpha=0.3)
    ax.legend()


def show(ax: Any, image: Any, title: str = "", **how: Any) -> None:
    """One image (H, W), (1, H, W) or (3, H, W) with values from 0 to 1, without axes."""
    pixels = np.asarray(image)
    pixels = pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    ax.imshow(pixels.clip(0, 1), **{"cmap": "gray", "vmin": 0, "vmax": 1, **how})
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()


def rows(pictures: Mapping[str, Any], size: float = 1.1) -> Any:
    """A figure with a row of images for each name."""
    count = min(len(images) for images in pictures.values())
    shape = (size * count + 1.4, size * len(pictures) + 0.3)
    fig, axes = plt.subplots(len(pictures), count, figsize=shape, squeeze=False)
    for line, (name, images) in zip(axes, pictures.items()):
        for ax, image in zip(line, images):
            show(ax, image)
        line[0].text(-0.15, 0.5, name, transform=line[0].transAxes, ha="right", va="center")
    return fig


def finish(fig: Any, args: argparse.Namespace, name: str) -> None:
    """Write a picture and say where it is."""
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"{name}.png"
    fig.savefig(path, dpi=90, bbox_inches="tight")
    plt.close(fig)
    print(f"picture: {path}")
