"""Photographs for networks: read, scaled, cropped, shifted; networks from ONNX files."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastconv.cli.arguments import CommandError, UsageError

__all__ = ["PRESETS", "Preparation", "add_preparation", "network", "open_picture", "preparation"]


class Preparation(NamedTuple):
    """What is done to the pixels: ``(value / 255 · high - mean) / std`` for each channel."""

    channels: str  # 'rgb' or 'bgr'
    high: float  # of the range that pixels get, from 0
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __str__(self) -> str:
        mean, std = (", ".join(f"{v:g}" for v in row) for row in (self.mean, self.std))
        return f"{self.channels.upper()}, 0 to {self.high:g}, minus ({mean}), over ({std})"

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 as (1, 3, H, W) float32."""
        rows = pixels[..., ::-1] if self.channels == "bgr" else pixels
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        shifted = (rows * np.float32(self.high / 255) - mean) / std
        return np.ascontiguousarray(shifted.transpose(2, 0, 1)[None], np.float32)


#: Ways of preparing by name.
PRESETS = {
    "imagenet": Preparation("rgb", 1, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe": Preparation("bgr", 255, (104, 117, 123), (1, 1, 1)),
    "centred": Preparation("rgb", 255, (127, 127, 127), (128, 128, 128)),
    "plain": Preparation("rgb", 1, (0, 0, 0), (1, 1, 1)),
}


def three(text: str) -> tuple[float, ...]:
    """Parse one number, or three with commas between them."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be numbers, got {text!r}") from None
    if len(values) not in (1, 3) or not np.isfinite(values).all():
        raise argparse.ArgumentTypeError(f"must be one number or three, got {text!r}")
    return values * (3 // len(values))


def add_preparation(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the options of :func:`preparation`."""
    parser.add_argument(
        "--preset", choices=PRESETS, default=argparse.SUPPRESS,
        help=f"how pixels are prepared (default: {default})",
    )  # fmt: skip
    parser.add_argument("--mean", type=three, metavar="M,M,M", default=argparse.SUPPRESS,
                        help="what is subtracted (default: the preset's)")  # fmt: skip
    parser.add_argument("--std", type=three, metavar="S,S,S", default=argparse.SUPPRESS,
                        help="what is divided by, afterwards (default: the preset's)")  # fmt: skip
    parser.add_argument("--range", type=float, metavar="MAX", default=argparse.SUPPRESS,
                        help="pixels go from 0 to this first: 1 or 255")  # fmt: skip
    parser.add_argument("--channels", choices=("rgb", "bgr"), default=argparse.SUPPRESS,
                        help="order of the colours (default: the preset's)")  # fmt: skip


def preparation(arguments: argparse.Namespace, default: str) -> Preparation:
    """The preset, with what was given instead of parts of it.

    Raises
    ------
    UsageError
        If a number is out of range.
    """
    found = PRESETS[getattr(arguments, "preset", default)]
    for name, field in (("mean", "mean"), ("std", "std"), ("range", "high"),
                        ("channels", "channels")):  # fmt: skip
        if hasattr(arguments, name):
            found = found._replace(**{field: getattr(arguments, name)})
    if min(found.std) <= 0 or not 0 < found.high < np.inf:
        raise UsageError("argument --std, --range: must be above 0")
    return found


def open_picture(path: Path) -> Any:
    """A photograph as an RGB picture of Pillow's, turned as its camera says.

    Raises
    ------
    CommandError
        If it is no picture.
    OSError
        If it cannot be read.
    """
    from fastconv.transforms.picture import pillow

    image_module = pillow("reading a photograph")
    from PIL import ImageOps

    try:
        with image_module.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (image_module.UnidentifiedImageError, image_module.DecompressionBombError) as error:
        raise CommandError(f"{path} is no picture that Pillow can read: {error}") from None
    except (ValueError, SyntaxError) as error:
        raise CommandError(f"{path}: {error}") from None


def network(path: Path) -> Any:
    """The network of an ONNX file, which takes one picture.

    Raises
    ------
    CommandError
        If it cannot be used.
    """
    from fastconv.onnx import load

    with named(path):
        model = load(path)
    shapes = list(model.input_shapes.values())
    if len(shapes) != 1 or shapes[0] is None or len(shapes[0]) != 4:
        raise CommandError(f"{path}: a network with one input (N, 3, H, W) is needed, got "
                           f"{model.input_shapes}")  # fmt: skip
    if shapes[0][1] not in (3, None) and not isinstance(shapes[0][1], str):
        raise CommandError(f"{path}: its input has {shapes[0][1]} channels, a photograph has 3")
    return model


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Turn what an ONNX file is refused for into the command's error."""
    from fastconv.onnx import OnnxError

    try:
        yield
    except OnnxError as error:
        raise CommandError(f"{path}: {error}") from None


def declared_size(model: Any) -> tuple[int, int] | None:
    """Height and width of the input where the file fixes them."""
    (dims,) = model.input_shapes.values()
    height, width = dims[2:]
    both = isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0
    return (height, width) if both else None
