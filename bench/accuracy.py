"""Rounding errors in float32 against the same convolution in float64.

    python -m bench.accuracy --markdown docs/accuracy.md

For each layer and direction: the root-mean-square error and the largest error, over the root mean
square of the exact result, of the GEMM, of Winograd, and of PyTorch where it is installed. Operands
are normal with deviation 1; "exact" is our GEMM in float64, whose own error is nine orders smaller.
The ratios are Winograd's RMS error over the GEMM's and over PyTorch's (both are direct sums, in
other chains), and its largest error over the GEMM's.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import ops
from fastconv.cli.bench import BEGIN, END, insert
from fastconv.cli.info import machine
from fastconv.cli.measure import DIRECTIONS
from fastconv.cli.table import markdown_table, text_table
from fastconv.ops.layout import as_5d
from fastconv.planner import pick
from fastconv.shapes import Shape, matching


def _layer(name: str, n: int, c: int, k: int, size: Any, kernel: Any, **rest: Any) -> Shape:
    return Shape(name, "accuracy", n, c, k, size, kernel, **rest)


LAYERS = (
    _layer("64->64 at 56, 3x3", 1, 64, 64, (56, 56), (3, 3), padding=1),
    _layer("128->128 at 28, 3x3, batch 4", 4, 128, 128, (28, 28), (3, 3), padding=1),
    _layer("256->256 at 14, 3x3, batch 4", 4, 256, 256, (14, 14), (3, 3), padding=1),
    _layer("512->512 at 14, 3x3", 1, 512, 512, (14, 14), (3, 3), padding=1),
    _layer("16->16 at 32, 3x3, batch 16", 16, 16, 16, (32, 32), (3, 3), padding=1),
    _layer("64->64 at 224, 3x3", 1, 64, 64, (224, 224), (3, 3), padding=1),
    _layer("64->192 at 27, 5x5", 1, 64, 192, (27, 27), (5, 5), padding=2),
    _layer("64->64 at 28, 7x7", 1, 64, 64, (28, 28), (7, 7), padding=3),
    _layer("3->64 at 112, 7x7/2", 1, 3, 64, (112, 112), (7, 7), stride=2, padding=3),
    _layer("128->192 at 17, 1x7, batch 4", 4, 128, 192, (17, 17), (1, 7), padding=(0, 3)),
    _layer("128->128 at 28, 3x3, dilation 4", 1, 128, 128, (28, 28), (3, 3), padding=4, dilation=4),
    _layer("128->128 at 28, 3x3/2, batch 4", 4, 128, 128, (28, 28), (3, 3), stride=2, padding=1),
    _layer("64->128 at 32, 4x4/2, batch 4", 4, 64, 128, (32, 32), (4, 4), stride=2, padding=1),
    _layer("256->512 at 8, 4x4/2, batch 16", 16, 256, 512, (8, 8), (4, 4), stride=2, padding=1),
    _layer("64->64 at 28, 2x2", 1, 64, 64, (28, 28), (2, 2)),
    _layer("64->64 at 2048, 3, batch 4", 4, 64, 64, (2048,), (3,), padding=1),
    _layer("32->32 at 1024, 7, dilation 4", 4, 32, 32, (1024,), (7,), padding=12, dilation=4),
    _layer("64->64 at 8x28x28, 3x3x3", 1, 64, 64, (8, 28, 28), (3, 3, 3), padding=1),
    _layer("256 at 28, 3x3, groups 16", 1, 256, 256, (28, 28), (3, 3), padding=1, groups=16),
)


class Row(NamedTuple):
    """Errors (RMS, largest) of one direction of one layer, over the RMS of the result."""

    layer: str
    direction: str
    chosen: bool  # whether the planner takes Winograd here
    errors: dict[str, tuple[float, float]]

    def ratio(self, direct: str) -> float:
        """Winograd's RMS error over that of a direct sum."""
        return self.errors["winograd"][0] / self.errors[direct][0]

    def most(self) -> float:
        """Winograd's largest error over the GEMM's."""
        return self.errors["winograd"][1] / self.errors["gemm"][1]


def our(layer: Shape, operands: tuple[np.ndarray, ...], algorithm: str) -> dict[str, np.ndarray]:
    """The three results with one algorithm."""
    spec = layer.spec()
    x, w, g = (as_5d(a) for a in operands)
    with fastconv.algorithm(algorithm):
        return {
            "forward": ops.conv.forward(spec, x, w),
            "backward input": ops.conv.backward_input(spec, g, w),
            "backward weight": ops.conv.backward_weight(spec, g, x),
        }


def theirs(layer: Shape, operands: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    """The three results of PyTorch, 5-D."""
    import torch

    functional: Any = torch.nn.functional
    x, w, g = (torch.from_numpy(a) for a in operands)
    x.requires_grad_(), w.requires_grad_()
    y = getattr(functional, f"conv{layer.ndim}d")(
        x, w, None, layer.stride, layer.padding, layer.dilation, layer.groups
    )
    gx, gw = torch.autograd.grad(y, (x, w), g)
    found = zip(DIRECTIONS, (y.detach(), gx, gw), strict=True)
    return {direction: as_5d(a.numpy()) for direction, a in found}


def errors(found: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """RMS and largest error over the RMS of what is exact."""
    scale = float(np.sqrt(np.mean(exact**2)))
    apart = found.astype(np.float64) - exact
    return float(np.sqrt(np.mean(apart**2))) / scale, float(np.abs(apart).max()) / scale


def measure(layer: Shape, with_torch: bool, seed: int = 0) -> list[Row]:
    """All directions of one layer."""
    spec = layer.spec()
    rng = np.random.default_rng(seed)
    shapes = (layer.x_shape, layer.w_shape, spec.y_shape[:2] + spec.y_shape[5 - layer.ndim :])
    operands = tuple(rng.standard_normal(shape, np.float32) for shape in shapes)
    exact = our(layer, tuple(a.astype(np.float64) for a in operands), "gemm")
    sides: dict[str, Callable[[], dict[str, np.ndarray]]] = {
        "gemm": lambda: our(layer, operands, "gemm"),
        "winograd": lambda: our(layer, operands, "winograd"),
    }
    if with_torch:
        sides["PyTorch"] = lambda: theirs(layer, operands)
    found = {name: run() for name, run in sides.items()}
    return [
        Row(
            layer.name,
            direction,
            pick(op, spec, "c").algorithm == "winograd",
            {name: errors(found[name][direction], exact[direction]) for name in sides},
        )
        for direction, op in DIRECTIONS.items()
    ]


def table(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Errors in units of 1e-7 of the result's RMS."""
    names = list(rows[0].errors)
    lines = []
    for row in rows:
        cells = [
            f"{1e7 * rms:.1f} / {1e7 * most:.0f}" for rms, most in (row.errors[n] for n in names)
        ]
        ratios = [f"{row.ratio(name):.1f}" for name in names if name != "winograd"]
        chosen = "yes" if row.chosen else "no"
        lines.append([row.layer, row.direction, *cells, *ratios, f"{row.most():.1f}", chosen])
    over = [f"/ {name}" for name in names if name != "winograd"]
    return ["layer", "direction", *names, *over, "max / gemm", "chosen"], lines


def summary(rows: list[Row]) -> str:
    """How often Winograd's error is above three times that of each direct sum."""
    parts = []
    for name in rows[0].errors:
        if name == "winograd":
            continue
        worst = max(rows, key=lambda row: row.ratio(name))
        over = [row for row in rows if row.ratio(name) > 3]
        parts.append(
            f"Of {name}'s RMS error Winograd's is at most {worst.ratio(name):.1f} times "
            f"({worst.layer}, {worst.direction}); above 3 in {len(over)} of {len(rows)} rows, "
            f"{sum(row.chosen for row in over)} of them where the planner takes it."
        )
    return " ".join(parts)


def main() -> None:
    """Measure, print, write the table where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", help="beginnings of words of a layer's name")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    parser.add_argument("--markdown", type=Path, help="file with a mark named accuracy")
    arguments = parser.parse_args()
    with_torch = not arguments.no_torch and importlib.util.find_spec("torch") is not None
    layers = matching(LAYERS, arguments.layers) if arguments.layers else LAYERS
    rows = [row for layer in layers for row in measure(layer, with_torch)]
    head, lines = table(rows)
    print(text_table(head, lines, left=2))
    print("\n" + summary(rows))
    if arguments.markdown:
        facts = machine()
        note = f"Made with `python -m bench.accuracy` on {facts['processor']}, {facts['backend']}"
        if with_torch:
            import torch

            note += f", PyTorch {torch.__version__}"
        text = f"{note}.\n\n{markdown_table(head, lines, left=2)}\n\n{summary(rows)}"
        begin, end = (line.replace("bench", "accuracy") for line in (BEGIN, END))
        insert(arguments.markdown, text, begin, end)


if __name__ == "__main__":
    main()
