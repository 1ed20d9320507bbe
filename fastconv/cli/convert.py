"""``fastconv convert``: weights from one file format into another, or a network into ONNX."""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import fastconv
from fastconv import models
from fastconv.cli import checkpoint
from fastconv.cli.arguments import CommandError, UsageError, new_command, positive_int, sizes
from fastconv.nn.modules.utils import consume_prefix_in_state_dict_if_present
from fastconv.text import grouped

__all__ = ["TARGETS", "Target", "add", "run"]


class Target(NamedTuple):
    """A format that files are converted into."""

    suffixes: tuple[str, ...]
    summary: str
    write: Callable[[Any, str], None]


def _saved(format: str) -> Callable[[Any, str], None]:
    return lambda obj, path: fastconv.save(obj, path, format=format)


#: What can be written, by the name that ``--to`` takes.
TARGETS = {
    "npz": Target((".npz", ".fc"), "fastconv's own, arrays in a zip", _saved("npz")),
    "safetensors": Target((".safetensors",), "one dict of tensors", _saved("safetensors")),
    "torch": Target((".pt", ".pth", ".th"), "a checkpoint of PyTorch's", _saved("torch")),
}
#: Not weights but the network that has them, as ``fastconv.onnx.export`` writes it.
ONNX = "onnx"


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = new_command(commands, "convert", "write a file of weights in another format", run)
    formats = "; ".join(f"{n} ({', '.join(t.suffixes)}): {t.summary}" for n, t in TARGETS.items())
    parser.epilog = (
        f"Read is all that fastconv.load reads, by its contents; no code of a file is run. "
        f"Written: {formats}; onnx (.onnx): the network with its weights. Examples: fastconv "
        "convert net.pth net.safetensors --key state_dict --strip module.; fastconv convert "
        "resnet18.pth resnet18.onnx --network resnet18; fastconv convert best.fc best.onnx"
    )
    parser.add_argument("source", metavar="SOURCE", help="the file to read")
    parser.add_argument("target", metavar="TARGET", help="the file to write")
    parser.add_argument(
        "--to", choices=(*TARGETS, ONNX), default=None,
        help="format (default: by the target's suffix)",
    )  # fmt: skip
    parser.add_argument(
        "--key", action="append", default=None, metavar="NAME",
        help="take this entry of what the file holds, such as state_dict; again for one inside it",
    )  # fmt: skip
    parser.add_argument(
        "--strip", default=None, metavar="PREFIX",
        help="take this off the names, such as the 'module.' of DataParallel",
    )  # fmt: skip
    parser.add_argument(
        "--network", default=None, metavar="NAME",
        help="for onnx: whose weights these are, a name of 'fastconv summary --list'; the files of "
        "fastconv train say it",
    )  # fmt: skip
    parser.add_argument(
        "--num-classes", type=positive_int, default=None, metavar="N",
        help="for onnx: classes of the network (default: its own)",
    )  # fmt: skip
    parser.add_argument(
        "--input", type=sizes, default=None, metavar="SIZES",
        help="for onnx: channels, height and width of an image (default: the network's own)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Convert, and say how much.

    Raises
    ------
    UsageError
        For a suffix that names no format, or an entry that is not there.
    CommandError
        For a file that is not read, or what the target's format cannot hold.
    """
    to = arguments.to or _by_suffix(arguments.target)
    for name in ("network", "num_classes", "input"):
        if to != ONNX and getattr(arguments, name) is not None:
            option = name.replace("_", "-")
            raise UsageError(f"argument --{option}: is for onnx, and {to} holds weights alone")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            obj = fastconv.load(arguments.source)
        except ValueError as error:
            raise CommandError(str(error)) from None
    for warning in said:
        print(str(warning.message))
    trained = checkpoint.about(obj)
    for key in arguments.key or ():
        if not isinstance(obj, Mapping) or key not in obj:
            raise UsageError(f"argument --key: there is no {key!r}; {_contents(obj)}")
        obj = obj[key]
    if arguments.strip:
        if not isinstance(obj, Mapping) or not any(
            str(key).startswith(arguments.strip) for key in obj
        ):
            raise UsageError(
                f"argument --strip: no name begins with {arguments.strip!r}; {_contents(obj)}"
            )
        consume_prefix_in_state_dict_if_present(obj, arguments.strip)  # type: ignore[arg-type]
    if to == ONNX:
        obj = _export(obj, trained, arguments)
    try:
        if to != ONNX:
            TARGETS[to].write(obj, arguments.target)
    except (TypeError, ValueError) as error:
        raise CommandError(f"{error}; {_contents(obj)}; --key takes one of them") from None
    tensors, numbers = _counted(obj)
    size = grouped(os.path.getsize(arguments.target))
    print(f"{arguments.target}: {tensors} tensors, {grouped(numbers)} numbers, {size} bytes")
    return 0


def _export(obj: Any, trained: checkpoint.Checkpoint | None, arguments: argparse.Namespace) -> Any:
    """Write a network with these weights; its state_dict."""
    name = arguments.network or (trained and trained.model)
    if name is None:
        raise UsageError(
            f"{arguments.source} has weights but does not say of which network: give --network NAME"
        )
    options = dict(trained.options) if trained and not arguments.network else {}
    if arguments.num_classes is not None:
        options["num_classes"] = arguments.num_classes
    path = Path(arguments.source)
    try:
        model = models.get(name, **options)
        model.load_state_dict(checkpoint.weights_in(obj, path))
        size = arguments.input or models.input_size(name)
        if trained and not arguments.input:
            size = (trained.channels, trained.image_size, trained.image_size)
        fastconv.onnx.export(model.eval(), fastconv.zeros(1, *size), arguments.target)
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise CommandError(f"{arguments.source} as {name}: {error}") from None
    return model.state_dict()


def _by_suffix(path: str) -> str:
    """The format that a file's name asks for."""
    for name, target in TARGETS.items():
        if path.lower().endswith(target.suffixes):
            return name
    if path.lower().endswith(".onnx"):
        return ONNX
    known = ", ".join(suffix for target in TARGETS.values() for suffix in target.suffixes)
    formats = "|".join((*TARGETS, ONNX))
    raise UsageError(f"the name {path!r} says no format ({known}, .onnx): use --to {formats}")


def _contents(obj: Any) -> str:
    """What an object holds, in a few words."""
    if not isinstance(obj, Mapping):
        return f"the file holds a {type(obj).__name__}"
    names = [str(key) for key in obj]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"the file holds {', '.join(names[:8])}{more}"


def _counted(obj: Any) -> tuple[int, int]:
    """How many tensors and arrays there are in nested containers, and their elements."""
    if hasattr(obj, "shape") and hasattr(obj, "dtype"):
        size = 1
        for n in obj.shape:
            size *= n
        return 1, size
    parts: Any = obj.values() if isinstance(obj, Mapping) else obj
    parts = parts if isinstance(obj, (Mapping, list, tuple)) else ()
    counts = [_counted(part) for part in parts]
    return sum(n for n, _ in counts), sum(n for _, n in counts)
