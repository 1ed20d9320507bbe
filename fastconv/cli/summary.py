"""``fastconv summary``: a network as a table of its layers."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

from fastconv import models, nn
from fastconv.cli.arguments import CommandError, UsageError, new_command, positive_int, sizes
from fastconv.cli.table import text_table
from fastconv.nn.init import undrawn
from fastconv.utils.summary import COLUMNS, summary

__all__ = ["add", "run"]

DEFAULT = ("input_size", "output_size", "num_params", "mult_adds")


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = new_command(
        commands, "summary", "show a network's layers, shapes, parameters and multiply-adds", run
    )
    parser.epilog = (
        "examples: fastconv summary vgg16; fastconv summary resnet20 --input 1,3,64,64 --columns "
        "kernel_size,output_size,num_params; fastconv summary nets.py:tiny --input 1,3,32,32; "
        "fastconv summary --list 'resnet*'"
    )
    parser.add_argument(
        "network", metavar="NETWORK", nargs="?", default=None,
        help="a name (see --list), or FILE.py:NAME, a class or function of yours that makes a "
        "Module",
    )  # fmt: skip
    parser.add_argument(
        "--list", action="store_true",
        help="list the networks (those that NETWORK fits, as a shell matches names) and stop",
    )  # fmt: skip
    parser.add_argument(
        "--input", type=_input, metavar="N,C,H,W", default=argparse.SUPPRESS,
        help="size of the input, with the batch (default: the network's own, one image)",
    )  # fmt: skip
    parser.add_argument("--num-classes", type=positive_int, metavar="N", default=argparse.SUPPRESS,
                        help="classes (default: the network's own)")  # fmt: skip
    parser.add_argument("--depth", type=positive_int, metavar="N", default=3,
                        help="how many levels of layers are shown")  # fmt: skip
    parser.add_argument(
        "--columns", type=_columns, metavar="C,C", default=",".join(DEFAULT),
        help=f"of {', '.join(COLUMNS)}",
    )  # fmt: skip


def _input(text: str) -> tuple[int, ...]:
    found = sizes(text)
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"must be sizes of at least 1, got {text!r}")
    return found


def _columns(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words or any(word not in COLUMNS for word in words):
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(COLUMNS)}, got {text!r}")
    return words


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    if arguments.list:
        return _list(arguments.network or "*")
    if arguments.network is None:
        raise UsageError("argument NETWORK: give a name; fastconv summary --list has all")
    options = {}
    if hasattr(arguments, "num_classes"):
        options["num_classes"] = arguments.num_classes
    path, colon, name = arguments.network.rpartition(":")
    if colon or arguments.network.endswith(".py"):
        made = _from_file(Path(path), name, options)
        if not hasattr(arguments, "input"):
            raise UsageError("argument --input: a network of yours needs it, such as 1,3,224,224")
        size = arguments.input
    else:
        made = _named(arguments.network, options)
        size = getattr(arguments, "input", (1, *models.input_size(arguments.network)))
    try:
        found = summary(made, size, depth=arguments.depth, col_names=arguments.columns, verbose=0)
    except (TypeError, ValueError, RuntimeError) as error:
        text = ",".join(map(str, size))
        raise CommandError(
            f"{arguments.network} does not take an input of {text}: {error}; --input gives another"
        ) from None
    print(found)
    return 0


def _list(pattern: str) -> int:
    names: Any = models.list(pattern)
    if not names:
        raise UsageError(f"argument NETWORK: no network's name fits {pattern!r}")
    rows = [[name, "×".join(map(str, models.input_size(name)))] for name in names]
    print(text_table(["network", "input"], rows, left=2))
    return 0


def _named(name: str, options: dict[str, Any]) -> Any:
    try:
        models.input_size(name)
    except ValueError as error:
        text = str(error).removeprefix("models.input_size: ")
        raise UsageError(
            "argument NETWORK: "
            + text.replace("models.list() has all", "fastconv summary --list has all")
        ) from None
    try:
        with undrawn():  # the table does not depend on the weights
            return models.get(name, **options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"argument --num-classes: {error}") from None


def _from_file(path: Path, name: str, options: dict[str, Any]) -> Any:
    """What a callable in a Python file makes."""
    if path.suffix != ".py" or not name:
        raise UsageError(
            "argument NETWORK: a network of yours is FILE.py:NAME, a class or a function that "
            "makes a Module"
        )
    if not path.is_file():
        raise UsageError(f"argument NETWORK: there is no file {path}")
    spec: Any = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # what it imports beside it, as a script would
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CommandError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    make = getattr(module, name, None)
    if make is None:
        own = [key for key, value in vars(module).items()
               if callable(value) and getattr(value, "__module__", None) == path.stem]  # fmt: skip
        raise UsageError(f"argument NETWORK: {path} has no {name!r}; it has {', '.join(own)}")
    try:
        made = make if isinstance(make, nn.Module) else make(**options)
    except Exception as error:
        raise CommandError(f"{path}:{name}: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise CommandError(f"{path}:{name} makes {type(made).__name__}, a Module is needed")
    return made
