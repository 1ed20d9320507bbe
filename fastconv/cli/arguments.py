"""Argument types and options that several commands share."""

from __future__ import annotations

import argparse
import contextlib
import math
from typing import Any

import fastconv
from fastconv import config

__all__ = [
    "CommandError",
    "UsageError",
    "add_engine",
    "new_command",
    "non_negative_float",
    "non_negative_int",
    "positive_float",
    "positive_int",
    "share",
    "sizes",
    "use_engine",
]


class CommandError(Exception):
    """The command could not do its work: exit code 1."""


class UsageError(Exception):
    """The arguments do not fit together: exit code 2."""


def positive_int(text: str) -> int:
    """Parse an int of at least 1."""
    value = _int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def non_negative_int(text: str) -> int:
    """Parse an int of at least 0."""
    value = _int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return value


def positive_float(text: str) -> float:
    """Parse a finite number above 0."""
    value = _float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a finite number above 0, got {text}")
    return value


def non_negative_float(text: str) -> float:
    """Parse a finite number of at least 0."""
    value = _float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a finite number of at least 0, got {text}")
    return value


def share(text: str) -> float:
    """Parse a number between 0 and 1."""
    value = _float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and below 1, got {text}")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None


def sizes(text: str) -> tuple[int, ...]:
    """Parse '1,64,56,56' (or '1x64x56x56') into a tuple of int."""
    return tuple(_int(part) for part in text.replace("x", ",").split(","))


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from None


class _Help(argparse.HelpFormatter):
    """Shows the default of every option that has one to show."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if action.default in (None, False, argparse.SUPPRESS) or "(default" in text:
            return text
        return f"{text} (default: %(default)s)"


def new_command(commands: Any, name: str, summary: str, run: Any) -> argparse.ArgumentParser:
    """Add a command whose arguments are carried out by ``run(arguments) -> exit code``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        formatter_class=_Help,
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_engine(parser: argparse.ArgumentParser, backend: bool = True) -> None:
    """Add ``--threads`` and ``--backend``."""
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        default=argparse.SUPPRESS,
        help=f"threads of the kernels (default: {config.get_num_threads()})",
    )
    if backend:
        parser.add_argument(
            "--backend",
            choices=config.BACKENDS,
            default=argparse.SUPPRESS,
            help="backend to compute with (default: the best there is)",
        )


def use_engine(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> str:
    """Apply what ``add_engine`` added, until ``stack`` closes; return the backend's name.

    NumPy's BLAS is held to one thread where threadpoolctl is there to do it (it comes with
    scikit-learn): its idle threads spin, and take the cores from the kernels' own.

    Raises
    ------
    UsageError
        If the thread count is out of range.
    RuntimeError
        If the backend cannot be used here.
    """
    if hasattr(arguments, "threads"):
        before = fastconv.get_num_threads()
        try:
            fastconv.set_num_threads(arguments.threads)
        except ValueError as error:
            raise UsageError(f"argument --threads: {error}") from None
        stack.callback(fastconv.set_num_threads, before)
    if hasattr(arguments, "backend"):
        stack.enter_context(fastconv.backend(arguments.backend))
    with contextlib.suppress(ModuleNotFoundError):
        from threadpoolctl import threadpool_limits

        stack.enter_context(threadpool_limits(1, user_api="blas"))
    return config.current_backend()
