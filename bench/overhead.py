"""Python's part of a call: operations on tensors so small that the kernels hardly count.

    python -m bench.overhead [words]

prints microseconds per call, the shortest of many short runs, without a graph and with one, of the
operations whose names contain one of the words; and those of a step of SGD and Adam.
"""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable
from typing import Any

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import models, nn


def shortest(call: Callable[[], Any], runs: int = 400, calls: int = 20) -> float:
    """Microseconds of one call."""
    for _ in range(10 * calls):
        call()
    return min(timeit.repeat(call, number=calls, repeat=runs)) / calls * 1e6


def image(*shape: int) -> fc.Tensor:
    """Random values, channels-last."""
    return fc.randn(*shape).contiguous(memory_format=fc.channels_last)


def operations() -> dict[str, tuple[Callable[[], Any], tuple[fc.Tensor, ...]]]:
    """Calls by name, with the tensors that require a gradient when there is a graph."""
    x, y = image(1, 2, 4, 4), image(1, 2, 4, 4)
    w, b, g = fc.randn(2, 2, 3, 3), fc.randn(2), fc.ones(2)
    mean, var = fc.zeros(2), fc.ones(2)
    rows, matrix = fc.randn(1, 8), fc.randn(4, 8)
    wide, large = fc.randn(1, 256), fc.randn(128, 256)
    conv, relu, norm = nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(2)
    lenet, digit = models.LeNet5(), fc.randn(1, 1, 28, 28)
    block = nn.Sequential(conv, norm, relu)
    inference = nn.Sequential(conv, nn.BatchNorm2d(2).eval(), relu)
    return {
        "conv2d": (lambda: F.conv2d(x, w, b, 1, 1), (w, b)),
        "max_pool2d": (lambda: F.max_pool2d(x, 2), (x,)),
        "avg_pool2d": (lambda: F.avg_pool2d(x, 2), (x,)),
        "linear, NumPy": (lambda: F.linear(rows, matrix), (matrix,)),
        "linear, 128x256": (lambda: F.linear(wide, large), (large,)),
        "relu": (lambda: F.relu(x), (x,)),
        "add": (lambda: x + y, (x,)),
        "mul": (lambda: x * y, (x,)),
        "flatten": (lambda: x.flatten(1), (x,)),
        "batch_norm": (lambda: F.batch_norm(x, mean, var, g, b, True)._array, (g, b)),
        "nn.Conv2d": (lambda: conv(x), ()),
        "nn.ReLU": (lambda: relu(x), (x,)),
        "conv, norm, relu: training": (lambda: block(x), ()),
        "conv, norm, relu: evaluation": (lambda: inference(x), ()),
        "LeNet-5, batch 1": (lambda: lenet(digit), ()),
    }


def main(words: list[str]) -> None:
    """Print the table."""
    fc.set_num_threads(1)
    print(f"{'microseconds':30s} {'no_grad':>8s} {'graph':>8s}")
    for name, (call, tensors) in operations().items():
        if words and not any(word in name for word in words):
            continue
        with fc.no_grad():
            without = shortest(call)
        for t in tensors:
            t.requires_grad_(True)
        recorded = shortest(call)
        for t in tensors:
            t.requires_grad_(False)
        print(f"{name:30s} {without:8.2f} {recorded:8.2f}")
    for name in ("SGD", "Adam"):
        for count in (1, 158):
            params = [fc.randn(4).requires_grad_() for _ in range(count)]
            for p in params:
                p.grad = fc.randn(4)
            if not words or "step" in words:
                step = getattr(fc.optim, name)(params, lr=0.01).step
                print(f"{f'{name}.step, {count} parameters':30s} {shortest(step, 100, 2):8.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
