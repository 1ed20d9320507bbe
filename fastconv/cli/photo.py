"""``fastconv classify``: what is on a photograph, by a network from an ONNX file."""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.cli.arguments import (
    CommandError,
    UsageError,
    add_engine,
    new_command,
    positive_int,
    use_engine,
)
from fastconv.cli.pictures import (
    add_preparation,
    declared_size,
    named,
    network,
    open_picture,
    preparation,
)

#: Share of the shorter side that the crop shows, as torchvision's weights are evaluated.
SHOWN = 0.875
BAR = 30


def add(commands: Any) -> None:
    """Add the command."""
    parser = new_command(commands, "classify", "say what is on a photograph", run)
    parser.epilog = (
        "example: fastconv classify dog.jpg --model squeezenet.onnx --labels imagenet_classes.txt"
    )
    parser.add_argument("photo", type=Path, help="the photograph")
    parser.add_argument("--model", type=Path, required=True, help="the network, an ONNX file")
    parser.add_argument("--labels", type=Path, help="text file, the name of a class on each line")
    parser.add_argument("--top", type=positive_int, default=5, metavar="K", help="classes shown")
    parser.add_argument(
        "--size", type=positive_int, default=argparse.SUPPRESS, metavar="N",
        help="side of the square that the network sees (default: what the file says, or 224)",
    )  # fmt: skip
    parser.add_argument(
        "--crop", choices=("centre", "whole"), default="centre",
        help="centre: the shorter side is made size/0.875 and the middle is cut out; whole: the "
        "picture is squeezed into the square",
    )  # fmt: skip
    add_preparation(parser, "caffe for an input called data_0, else imagenet")
    add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    """Classify one photograph."""
    picture = open_picture(arguments.photo)
    model = network(arguments.model)
    # Caffe2's networks call their input data_0, and take what Caffe's took
    how = preparation(arguments, "caffe" if model.input_names == ["data_0"] else "imagenet")
    size = _size(arguments, model)
    pixels, shown = square(picture, size, arguments.crop)
    x = how.apply(pixels)
    with contextlib.ExitStack() as stack:
        use_engine(arguments, stack)
        with named(arguments.model):
            began = time.perf_counter()
            scores = np.asarray(model.run([x])[0], np.float64).reshape(-1)
            seconds = time.perf_counter() - began
    shares, softmax = probabilities(scores)
    names = _labels(arguments.labels, len(shares))
    print(f"{arguments.photo}: {shown}; {how}")
    for note in model.notes:
        print(f"{arguments.model}: {note}")
    best = np.argsort(-shares, kind="stable")[: arguments.top]
    width = max(len(names[k]) for k in best)
    for k in best:
        bar = "█" * round(BAR * shares[k])
        print(f"{100 * shares[k]:6.2f} %  {names[k]:<{width}}  {bar}".rstrip())
    print(f"{1000 * seconds:.0f} ms" + (", softmax of the network's scores" if softmax else ""))
    return 0


def _size(arguments: argparse.Namespace, model: Any) -> tuple[int, int]:
    declared = declared_size(model)
    if not hasattr(arguments, "size"):
        return declared or (224, 224)
    wanted = (arguments.size, arguments.size)
    if declared not in (None, wanted):
        raise UsageError(f"argument --size: the network takes {declared[0]}×{declared[1]} only")  # type: ignore[index]
    return wanted


def square(picture: Any, size: tuple[int, int], crop: str) -> tuple[np.ndarray, str]:
    """The pixels (H, W, 3) that the network sees, and how they came about."""
    from fastconv.transforms import functional as TF

    height, width = size
    if crop == "whole":
        return np.asarray(TF.resize(picture, [height, width])), f"squeezed to {height}×{width}"
    short = round(max(height, width) / SHOWN)
    scaled = TF.resize(picture, short)
    cut = TF.center_crop(scaled, [height, width])
    return np.asarray(cut), f"shorter side {short}, middle {height}×{width}"


def probabilities(scores: np.ndarray) -> tuple[np.ndarray, bool]:
    """Shares that add up to 1, and whether softmax made them."""
    if scores.min() >= 0 and abs(scores.sum() - 1) < 1e-2:
        return scores, False
    shifted = np.exp(scores - scores.max())
    return shifted / shifted.sum(), True


def _labels(path: Path | None, count: int) -> list[str]:
    """A name for each class.

    Raises
    ------
    CommandError
        If the file holds another number of names.
    """
    if path is None:
        return [f"class {k}" for k in range(count)]
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is no text file: {error}") from None
    while names and not names[-1]:
        names.pop()
    if len(names) != count:
        raise CommandError(f"{path} names {len(names)} classes, the network has {count}")
    return names
