"""The ``fastconv`` command: demo, train, classify, detect, bench, info, verify and others.

Exit codes: 0 done, 1 it failed (the reason on standard error), 2 wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fastconv.cli.arguments import CommandError, UsageError

__all__ = ["main"]

DESCRIPTION = "CPU convolution engine: train, look and measure from the command line."


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command; every command sets ``run`` and ``parser``."""
    from fastconv import __version__
    from fastconv.cli import (
        bench,
        convert,
        demo,
        detect,
        explain,
        info,
        photo,
        summary,
        train,
        verify,
    )  # fmt: skip

    parser = argparse.ArgumentParser(
        prog="fastconv",
        description=DESCRIPTION,
        epilog="'fastconv COMMAND --help' tells more. Environment: FASTCONV_BACKEND, FASTCONV_ISA, "
        "FASTCONV_NUM_THREADS.",
    )
    parser.add_argument("--version", action="version", version=f"fastconv {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (demo, train, summary, photo, detect, bench, info, explain, verify, convert):
        module.add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; ``sys.argv[1:]`` if not given.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    SystemExit
        From argparse: 0 after ``--help`` and ``--version``, 2 after an argument it rejects.
    """
    arguments = build_parser().parse_args(argv)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
        return code
    except UsageError as error:
        arguments.parser.print_usage(sys.stderr)
        print(f"{arguments.parser.prog}: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader is gone (head, less): stay silent, also in the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except (CommandError, OSError, ModuleNotFoundError, FloatingPointError, RuntimeError) as error:
        print(f"{arguments.parser.prog}: error: {error}", file=sys.stderr)
        return 1
