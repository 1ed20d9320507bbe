"""``fastconv classify``: what is on a photograph, by a network from an ONNX file or a training."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv.cli import checkpoint
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
        "examples: fastconv classify photo.jpg --model squeezenet.onnx --labels "
        "imagenet_classes.txt; fastconv classify photo.jpg --model runs/resnet18/best.fc"
    )
    parser.add_argument("photo", type=Path, help="the photograph")
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        help="the network: an ONNX file, or the best.fc of fastconv train",
    )
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
    with contextlib.ExitStack() as stack:
        use_engine(arguments, stack)
        trained = checkpoint.is_one(arguments.model)
        seen = (_by_checkpoint if trained else _by_onnx)(arguments, picture)
    shares, softmax = probabilities(seen.scores)
    names = seen.classes or _labels(arguments.labels, len(shares))
    print(f"{arguments.photo}: {seen.how}")
    for note in seen.notes:
        print(f"{arguments.model}: {note}")
    best = np.argsort(-shares, kind="stable")[: arguments.top]
    width = max(len(names[k]) for k in best)
    for k in best:
        bar = "█" * round(BAR * shares[k])
        print(f"{100 * shares[k]:6.2f} %  {names[k]:<{width}}  {bar}".rstrip())
    print(
        f"{1000 * seen.seconds:.0f} ms" + (", softmax of the network's scores" if softmax else "")
    )
    return 0


class _Seen(NamedTuple):
    """What a network says of a photograph."""

    scores: np.ndarray  # (K,)
    seconds: float
    classes: list[str] | None  # where the file names them
    how: str  # the picture was prepared
    notes: Sequence[str]


def _by_onnx(arguments: argparse.Namespace, picture: Any) -> _Seen:
    model = network(arguments.model)
    # Caffe2's networks call their input data_0, and take what Caffe's took
    how = preparation(arguments, "caffe" if model.input_names == ["data_0"] else "imagenet")
    size = _size(arguments, model)
    pixels, shown = square(picture, size, arguments.crop)
    x = how.apply(pixels)
    with named(arguments.model):
        began = time.perf_counter()
        scores = np.asarray(model.run([x])[0], np.float64).reshape(-1)
        seconds = time.perf_counter() - began
    return _Seen(scores, seconds, None, f"{shown}; {how}", model.notes)


def _by_checkpoint(arguments: argparse.Namespace, picture: Any) -> _Seen:
    """By what ``fastconv train`` wrote, which says how pictures are prepared."""
    for name in ("labels", "size", "preset", "mean", "std", "range", "channels"):
        if getattr(arguments, name, None) is not None:
            raise UsageError(f"argument --{name}: {arguments.model} says that itself")
    if arguments.crop != "centre":
        raise UsageError(f"argument --crop: {arguments.model} says that itself")
    from fastconv.cli.folder import Preparation

    model, about = checkpoint.read(arguments.model)
    prepared = Preparation(about.image_size, about.resize, about.mean, about.std)
    x = prepared.transform(False)(picture.convert("L") if about.channels == 1 else picture)
    with fastconv.no_grad():
        began = time.perf_counter()
        scores = np.asarray(model(x.unsqueeze(0)), np.float64).reshape(-1)
        seconds = time.perf_counter() - began
    side = about.image_size
    how = f"shorter side {about.resize}, middle {side}×{side}, as {about.model} was trained"
    return _Seen(scores, seconds, about.classes, how, ())


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
