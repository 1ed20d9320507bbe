"""``fastconv explain``: which kernel a convolution gets, and why not the others."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

import fastconv
from fastconv.cli.arguments import UsageError, add_engine, new_command, sizes, use_engine
from fastconv.planner.explanation import explain

OPERATIONS = tuple(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3))


def add(commands: Any) -> None:
    """Add the command's parser."""
    parser = new_command(
        commands, "explain", "say which kernel a convolution gets, and why not the others", run
    )
    parser.epilog = (
        "example: fastconv explain conv2d --input 1,64,56,56 --weight 64,64,3,3 --padding 1"
    )
    parser.add_argument(
        "operation", choices=OPERATIONS, metavar="OPERATION", help=", ".join(OPERATIONS)
    )
    parser.add_argument(
        "--input",
        type=sizes,
        required=True,
        metavar="N,C,H,W",
        help="shape of the input: batch, channels, then one to three sizes",
    )
    parser.add_argument(
        "--weight",
        type=sizes,
        required=True,
        metavar="K,C,kH,kW",
        help="shape of the weight, as PyTorch has it (C is per group)",
    )
    parser.add_argument(
        "--stride",
        type=sizes,
        default=(1,),
        metavar="S[,S...]",
        help="one number for all axes, or one each",
    )
    parser.add_argument(
        "--padding",
        type=_padding,
        default=(0,),
        metavar="P[,P...]",
        help="likewise, or 'same' or 'valid'",
    )
    parser.add_argument(
        "--output-padding",
        type=sizes,
        metavar="P[,P...]",
        default=argparse.SUPPRESS,
        help="for a transposed convolution",
    )
    parser.add_argument(
        "--dilation",
        type=sizes,
        default=(1,),
        metavar="D[,D...]",
        help="one number for all axes, or one each",
    )
    parser.add_argument("--groups", type=int, default=1, metavar="G", help="number of groups")
    parser.add_argument(
        "--algorithm",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="algorithm to ask for, as fastconv.algorithm does",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="time every candidate as well; * marks the fastest (naive: small convolutions only)",
    )
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="type to measure with"
    )
    add_engine(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation."""
    options: dict[str, Any] = {
        "groups": arguments.groups,
        "measure": arguments.measure,
        "dtype": arguments.dtype,
    }
    for name in ("stride", "padding", "dilation", "output_padding"):
        if hasattr(arguments, name):
            value = getattr(arguments, name)
            options[name] = value[0] if len(value) == 1 and not isinstance(value, str) else value
    with contextlib.ExitStack() as stack:
        use_engine(arguments, stack)
        try:
            if hasattr(arguments, "algorithm"):
                stack.enter_context(fastconv.algorithm(arguments.algorithm))
            text = explain(arguments.operation, arguments.input, arguments.weight, **options)
        except (ValueError, TypeError) as error:
            raise UsageError(str(error)) from None
        print(text)
    return 0


def _padding(text: str) -> tuple[int, ...] | str:
    return text if text in ("same", "valid") else sizes(text)
