"""Rounding errors of whole networks' gradients in float32, and how many ReLUs they flip.

    python -m bench.accuracy_networks --markdown docs/accuracy.md

Deep networks with batch norm on one or two small images are where single roundings tell: a
normalisation over few values enlarges them, and a ReLU whose argument is near zero flips. The
gradient of all parameters is compared with the same in float64 (relative, as vectors), by default,
with ``fastconv.precision("exact")``, and in PyTorch where it is installed, for several seeds;
"flips" counts the ReLUs that let through what they do not in float64, or the other way round.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv.cli.bench import BEGIN, END, insert
from fastconv.cli.info import machine
from fastconv.cli.table import markdown_table, text_table

Build = Callable[[Any], Any]


def _norm_relu_conv(nn: Any, c: int, k: int, kernel: int) -> Any:
    conv = nn.Conv2d(c, k, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(), conv)


def _conv_norm_relu(nn: Any, c: int, k: int, stride: int = 1) -> Any:
    conv = nn.Conv2d(c, k, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(k), nn.ReLU())


def densenet(lib: Any) -> Any:
    """Three dense blocks of eight layers of 1x1 and 3x3, growth 16."""
    nn, module = lib.nn, lib.nn.Module

    class Layer(module):  # type: ignore[misc, valid-type]
        def __init__(self, c: int) -> None:
            super().__init__()
            self.a, self.b = _norm_relu_conv(nn, c, 64, 1), _norm_relu_conv(nn, 64, 16, 3)

        def forward(self, x: Any) -> Any:
            return lib.cat([x, self.b(self.a(x))], 1)

    parts, c = [nn.Conv2d(3, 32, 3, padding=1, bias=False)], 32
    for block in range(3):
        for _ in range(8):
            parts.append(Layer(c))
            c += 16
        if block < 2:
            parts += [_norm_relu_conv(nn, c, c // 2, 1), nn.AvgPool2d(2)]
            c //= 2
    parts += [nn.BatchNorm2d(c), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10)]
    return nn.Sequential(*parts)


def unet(lib: Any) -> Any:
    """Three levels down and up, two convolutions each, 16 to 128 channels."""
    nn, module = lib.nn, lib.nn.Module

    def twice(c: int, k: int) -> Any:
        return nn.Sequential(_conv_norm_relu(nn, c, k), _conv_norm_relu(nn, k, k))

    class Unet(module):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList([twice(3, 16), twice(16, 32), twice(32, 64), twice(64, 128)])
            self.rise = nn.ModuleList(
                [nn.ConvTranspose2d(2 * k, k, 2, stride=2) for k in (64, 32, 16)]
            )
            self.up = nn.ModuleList([twice(2 * k, k) for k in (64, 32, 16)])
            self.head = nn.Conv2d(16, 10, 1)

        def forward(self, x: Any) -> Any:
            kept = []
            for i, level in enumerate(self.down):
                x = level(x if not i else nn.functional.max_pool2d(x, 2))
                kept.append(x)
            for i, (rise, up) in enumerate(zip(self.rise, self.up, strict=True)):
                x = up(lib.cat([kept[2 - i], rise(x)], 1))
            return self.head(x).mean((2, 3))

    return Unet()


def resnet18(lib: Any) -> Any:
    """ResNet-18 for small images: no stride in the stem."""
    nn, module = lib.nn, lib.nn.Module

    class Block(module):  # type: ignore[misc, valid-type]
        def __init__(self, c: int, k: int, stride: int) -> None:
            super().__init__()
            self.first = _conv_norm_relu(nn, c, k, stride)
            self.second = nn.Sequential(
                nn.Conv2d(k, k, 3, padding=1, bias=False), nn.BatchNorm2d(k)
            )
            self.short = nn.Sequential()
            if stride > 1 or c != k:
                self.short = nn.Sequential(
                    nn.Conv2d(c, k, 1, stride=stride, bias=False), nn.BatchNorm2d(k)
                )
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.second(self.first(x)) + self.short(x))

    parts, c = [_conv_norm_relu(nn, 3, 64)], 64
    for k in (64, 128, 256, 512):
        for i in range(2):
            parts.append(Block(c, k, 2 if i == 0 and k > 64 else 1))
            c = k
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


#: Name, network, images, their side.
NETWORKS: tuple[tuple[str, Build, int, int], ...] = (
    ("DenseNet-like, 1 image of 32x32", densenet, 1, 32),
    ("DenseNet-like, 2 images of 32x32", densenet, 2, 32),
    ("U-Net-like, 1 image of 64x64", unet, 1, 64),
    ("U-Net-like, 2 images of 32x32", unet, 2, 32),
    ("ResNet-18, 1 image of 32x32", resnet18, 1, 32),
    ("ResNet-18, 2 images of 32x32", resnet18, 2, 32),
)


class Pass(NamedTuple):
    """What a forward and backward pass gave: all gradients in a row, and what ReLUs let through."""

    gradient: np.ndarray
    passed: np.ndarray


def run(lib: Any, build: Build, state: dict[str, np.ndarray], x: np.ndarray) -> Pass:
    """A pass of a network with these parameters, in the type of x."""
    net = build(lib)
    kind = getattr(lib, x.dtype.name)
    net.to(kind)
    net.load_state_dict({name: lib.tensor(a.astype(x.dtype)) if a.dtype.kind == "f"
                         else lib.tensor(a) for name, a in state.items()})  # fmt: skip
    passed: list[np.ndarray] = []
    for module in net.modules():
        if isinstance(module, lib.nn.ReLU):
            module.register_forward_hook(
                lambda _module, _given, out: passed.append((out.detach().numpy() > 0).ravel())
            )
    target = lib.tensor(np.arange(len(x)) % 10)
    lib.nn.functional.cross_entropy(net(lib.tensor(x)), target).backward()
    grads = [p.grad.numpy().astype(np.float64).ravel() for p in net.parameters()]
    return Pass(np.concatenate(grads), np.concatenate(passed))


class Row(NamedTuple):
    """Of one network, for each side: the gradients' relative errors and flips, by seed."""

    network: str
    relus: int
    errors: dict[str, list[float]]
    flips: dict[str, list[int]]


def measure(name: str, build: Build, images: int, side: int, seeds: int, with_torch: bool) -> Row:
    """All sides of one network."""
    sides: dict[str, tuple[Any, AbstractContextManager[Any]]] = {
        "default": (fastconv, nullcontext()),
        "exact": (fastconv, fastconv.precision("exact")),
    }
    if with_torch:
        import torch

        sides["PyTorch"] = (torch, nullcontext())
    row = Row(name, 0, {side: [] for side in sides}, {side: [] for side in sides})
    for seed in range(seeds):
        fastconv.manual_seed(seed)
        state = {k: v.numpy().copy() for k, v in build(fastconv).state_dict().items()}
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((images, 3, side, side)).astype(np.float32)
        exact = run(fastconv, build, state, x.astype(np.float64))
        for label, (lib, context) in sides.items():
            with context:
                found = run(lib, build, state, x)
            apart = np.linalg.norm(found.gradient - exact.gradient)
            row.errors[label].append(float(apart / np.linalg.norm(exact.gradient)))
            row.flips[label].append(int((found.passed != exact.passed).sum()))
        row = row._replace(relus=exact.passed.size)
    return row


def table(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Median and largest error, in units of 1e-6, and the mean number of flips."""
    sides = list(rows[0].errors)
    head = ["network", *[f"{s}: error" for s in sides], *[f"{s}: flips" for s in sides], "ReLUs"]
    lines = []
    for row in rows:
        errors = [f"{1e6 * np.median(e):.3g} / {1e6 * max(e):.3g}" for e in row.errors.values()]
        flips = [f"{np.mean(f):.1f}" for f in row.flips.values()]
        lines.append([row.network, *errors, *flips, str(row.relus)])
    return head, lines


def main() -> None:
    """Measure, print, write the table where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    parser.add_argument("--markdown", type=Path, help="file with a mark named networks")
    arguments = parser.parse_args()
    with_torch = not arguments.no_torch and importlib.util.find_spec("torch") is not None
    rows = [measure(*network, arguments.seeds, with_torch) for network in NETWORKS]
    head, lines = table(rows)
    print(text_table(head, lines, left=1))
    if arguments.markdown:
        facts = machine()
        note = f"Made with `python -m bench.accuracy_networks` on {facts['processor']}, "
        note += f"{facts['backend']}, {arguments.seeds} seeds"
        if with_torch:
            import torch

            note += f", PyTorch {torch.__version__}"
        text = f"{note}.\n\n{markdown_table(head, lines, left=1)}"
        begin, end = (line.replace("bench", "networks") for line in (BEGIN, END))
        insert(arguments.markdown, text, begin, end)


if __name__ == "__main__":
    main()
