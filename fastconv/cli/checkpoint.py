"""What ``fastconv train`` leaves: the weights of a network, and all that is needed to use them.

The file is a dictionary that `fastconv.load` reads: "model" (a name of `fastconv.models`),
"options" (what the builder is given), "classes" (their names, in order), "image_size", "resize"
(the shorter side before the middle is cut out), "mean" and "std" (one for each channel, of pixels
from 0 to 1), "state_dict".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import fastconv
from fastconv import models
from fastconv.cli.arguments import CommandError
from fastconv.models._weights import state_dict_in

__all__ = ["Checkpoint", "is_one", "load_file", "read", "weights_in"]


class Checkpoint(NamedTuple):
    """A file's entries but for the weights."""

    model: str
    options: dict[str, Any]
    classes: list[str]
    image_size: int
    resize: int
    mean: list[float]
    std: list[float]

    @property
    def channels(self) -> int:
        """Of the images."""
        return len(self.mean)


def about(obj: Any) -> Checkpoint | None:
    """The entries of what a file holds; None where it holds something else."""
    if not isinstance(obj, Mapping) or not isinstance(obj.get("model"), str):
        return None
    try:
        found = Checkpoint(**{name: obj[name] for name in Checkpoint._fields})
    except KeyError:
        return None
    texts = isinstance(found.classes, list) and all(isinstance(c, str) for c in found.classes)
    sizes = all(isinstance(n, int) and n > 0 for n in (found.image_size, found.resize))
    numbers = all(isinstance(row, list) and row and all(isinstance(v, (int, float)) for v in row)
                  for row in (found.mean, found.std))  # fmt: skip
    alike = numbers and len(found.mean) == len(found.std) and min(found.std) > 0
    options = isinstance(found.options, dict) and all(isinstance(k, str) for k in found.options)
    return found if texts and sizes and alike and options else None


def is_one(path: Path) -> bool:
    """Whether a file is a zip, as those of fastconv are, and an ONNX file is not."""
    with open(path, "rb") as stream:
        return stream.read(4) == b"PK\x03\x04"


def load_file(path: Path) -> Any:
    """What a file holds.

    Raises
    ------
    CommandError
        If it is not one that `fastconv.load` reads.
    """
    try:
        return fastconv.load(path)
    except ValueError as error:
        raise CommandError(str(error)) from None


def weights_in(obj: Any, path: Path) -> dict[str, Any]:
    """The ``state_dict`` in what a file holds, itself or as "state_dict" or "model".

    Raises
    ------
    CommandError
        If there is none.
    """
    state = state_dict_in(obj)
    if state is None or not all(hasattr(value, "shape") for value in state.values()):
        raise CommandError(f"{path} holds no weights: a state_dict is needed")
    return {str(name): value for name, value in state.items()}


def read(path: Path) -> tuple[Any, Checkpoint]:
    """The network of a file that ``fastconv train`` wrote, ready to be used, and its entries.

    Raises
    ------
    CommandError
        If the file is another.
    OSError
        If it cannot be read.
    """
    obj = load_file(path)
    found = about(obj)
    if found is None:
        raise CommandError(
            f"{path} does not say which network and classes it is of: give the best.fc that "
            "fastconv train writes"
        )
    try:
        model = models.get(found.model, **found.options)
        model.load_state_dict(weights_in(obj, path))
    except (TypeError, ValueError, RuntimeError) as error:
        raise CommandError(f"{path}: {error}") from None
    return model.eval(), found
