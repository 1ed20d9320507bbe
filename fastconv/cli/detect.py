"""``fastconv detect``: boxes on a photograph, by a detector from an ONNX file."""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastconv.cli.arguments import CommandError, add_engine, new_command, use_engine
from fastconv.cli.pictures import (
    add_preparation,
    declared_size,
    named,
    network,
    open_picture,
    preparation,
)

COLOURS = ("#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4", "#46f0f0")


class Found(NamedTuple):
    """One box: (x1, y1, x2, y2) in pixels, the class, and its score."""

    box: tuple[float, float, float, float]
    kind: int
    score: float


def share(text: str) -> float:
    """Parse a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, got {text}")
    return value


def add(commands: Any) -> None:
    """Add the command."""
    parser = new_command(commands, "detect", "draw boxes on a photograph", run)
    parser.epilog = "example: fastconv detect photo.jpg --model faces.onnx"
    parser.add_argument("photo", type=Path, help="the photograph")
    parser.add_argument(
        "--model", type=Path, required=True,
        help="the detector, an ONNX file whose outputs are scores (1, N, classes), the background "
        "first, and boxes (1, N, 4), corners from 0 to 1",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("detected.png"), help="the picture drawn")
    parser.add_argument("--threshold", type=share, default=0.7, help="least score of a box")
    parser.add_argument(
        "--overlap", type=share, default=0.3, help="of boxes that overlap more, the best is kept"
    )
    add_preparation(parser, "centred")
    add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    """Detect on one photograph, and draw."""
    picture = open_picture(arguments.photo)
    model = network(arguments.model)
    how = preparation(arguments, "centred")
    size = declared_size(model)
    if size is None:
        raise CommandError(f"{arguments.model}: the size of its input is not fixed")
    from fastconv.transforms import functional as TF

    x = how.apply(np.asarray(TF.resize(picture, list(size))))
    with contextlib.ExitStack() as stack:
        use_engine(arguments, stack)
        with named(arguments.model):
            began = time.perf_counter()
            outputs = model.run([x])
            seconds = time.perf_counter() - began
    found = boxes(outputs, picture.size, arguments.threshold, arguments.overlap)
    draw(picture, found).save(arguments.out)
    print(f"{arguments.photo}: squeezed to {size[0]}×{size[1]}; {how}")
    for f in found:
        x1, y1, x2, y2 = (round(v) for v in f.box)
        print(f"{100 * f.score:6.2f} %  class {f.kind}  x {x1} to {x2}, y {y1} to {y2}")
    print(f"{len(found)} found in {1000 * seconds:.0f} ms; drawn in {arguments.out}")
    return 0


def boxes(outputs: Any, size: tuple[int, int], threshold: float, overlap: float) -> list[Found]:
    """What a detector found, the best first.

    Parameters
    ----------
    outputs : list of ndarray
        Scores (1, N, classes) and boxes (1, N, 4), in either order.
    size : tuple of int
        Width and height of the picture.

    Raises
    ------
    CommandError
        If the outputs are not these.
    """
    from fastconv.functions.boxes import batched_nms

    arrays = [np.asarray(a) for a in outputs]
    if len(arrays) == 2 and arrays[0].ndim == 3 and arrays[0].shape[2] == 4:
        arrays = arrays[::-1] if arrays[1].shape[2:] != (4,) else arrays
    if (
        len(arrays) != 2
        or any(a.ndim != 3 or len(a) != 1 for a in arrays)
        or (arrays[1].shape != (*arrays[0].shape[:2], 4))
    ):
        raise CommandError("the outputs must be scores (1, N, classes) and boxes (1, N, 4), got "
                           f"{[a.shape for a in arrays]}")  # fmt: skip
    scores, corners = arrays[0][0], arrays[1][0]
    kinds = scores[:, 1:] if scores.shape[1] > 1 else scores  # without the background
    where, kind = np.nonzero(kinds > threshold)
    picked = corners[where].astype(np.float64).clip(0, 1) * np.array([*size, *size])
    kept = batched_nms(picked, kinds[where, kind], kind, overlap).numpy()
    return [
        Found(tuple(picked[k].tolist()), int(kind[k]), float(kinds[where[k], kind[k]]))
        for k in kept
    ]


def draw(picture: Any, found: list[Found]) -> Any:
    """A copy of the picture with the boxes and their scores."""
    from PIL import ImageDraw

    out = picture.copy()
    pen = ImageDraw.Draw(out)
    wide = max(2, min(out.size) // 150)
    for f in reversed(found):  # the best on top
        colour = COLOURS[f.kind % len(COLOURS)]
        pen.rectangle(f.box, outline=colour, width=wide)
        text = f"{100 * f.score:.0f} %"
        x, y = f.box[0], f.box[1]
        left, top, right, bottom = pen.textbbox((x, y), text)
        high = bottom - top + 2 * wide
        y = y - high if y >= high else y
        pen.rectangle((x, y, x + right - left + 2 * wide, y + high), fill=colour)
        pen.text((x + wide, y + wide - (top - f.box[1])), text, fill="black")
    return out
