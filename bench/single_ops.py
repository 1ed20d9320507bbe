"""Single operations around convolution, on both sides in turn: PyTorch and the memory's bandwidth.

Each is written once, against PyTorch's names. The bytes of a direction are the fewest that pass the
memory: every operand read once and every result written once, batch norm's input once more for its
statistics. A large tensor can then be at the bandwidth of the memory, and no faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import fastconv
from bench.pairs import FORMATS, Call, Side, shortest

__all__ = ["OPERATIONS", "Operation", "Row", "choose", "merge", "time_operation"]

Shape = tuple[int, ...]
#: 8 images of 64 channels: 26 MB a tensor, more than the caches hold of two of them.
LARGE = (8, 64, 112, 112)


class Operation(NamedTuple):
    """An operation of one or several tensors.

    ``forward`` and ``backward`` are the fewest bytes that pass the memory in units of the first
    operand, or 0 where computing is the limit; no ``backward`` measures the forward pass alone.
    """

    name: str
    x_shapes: tuple[Shape, ...]  # of operands that require gradients
    build: Callable[[Any], Callable[..., Any]]  # of the package
    forward: float
    backward: float | None = None


def _function(name: str, *rest: Any, **named: Any) -> Callable[[Any], Callable[..., Any]]:
    """A function of torch.nn.functional with these arguments after its operands."""

    def build(package: Any) -> Callable[..., Any]:
        function = getattr(package.nn.functional, name)
        return lambda *x: function(*x, *rest, **named)

    return build


def _batch_norm(training: bool) -> Callable[[Any], Callable[..., Any]]:
    def build(package: Any) -> Callable[..., Any]:
        return package.nn.BatchNorm2d(64).train(training)  # type: ignore[no-any-return]

    return build


def _module(name: str, *rest: Any) -> Callable[[Any], Callable[..., Any]]:
    return lambda package: getattr(package.nn, name)(*rest)


def _cross_entropy(package: Any) -> Callable[..., Any]:
    target = package.from_numpy(np.random.default_rng(0).integers(0, 1000, 256))
    return lambda x: package.nn.functional.cross_entropy(x, target)


def _join(name: str, *rest: Any) -> Callable[[Any], Callable[..., Any]]:
    return lambda package: lambda *x: getattr(package, name)(x, *rest)


def _optimizer(name: str, **named: Any) -> Callable[[Any], Callable[..., Any]]:
    """A step of an optimiser over one parameter of the operand's shape, whose gradient is set."""

    def build(package: Any) -> Callable[..., Any]:
        made: list[Any] = []

        def step(x: Any) -> Any:
            if not made:
                parameter = package.nn.Parameter(x.detach().clone())
                parameter.grad = x.detach().clone()
                made.append(getattr(package.optim, name)([parameter], **named))
            made[0].step()
            return x

        return step

    return build


OPERATIONS: tuple[Operation, ...] = (
    Operation("max_pool2d 2/2", (LARGE,), _function("max_pool2d", 2), 1.25, 1.3125),
    Operation("max_pool2d 3/2, padding 1", (LARGE,), _function("max_pool2d", 3, 2, 1), 1.25,
              1.3125),
    Operation("avg_pool2d 2/2", (LARGE,), _function("avg_pool2d", 2), 1.25, 1.25),
    Operation("avg_pool2d 3/1, padding 1", (LARGE,), _function("avg_pool2d", 3, 1, 1), 2, 2),
    Operation("adaptive_avg_pool2d 1", ((32, 512, 14, 14),), _function("adaptive_avg_pool2d", 1),
              1, 1),
    Operation("max_pool3d 2/2", ((2, 64, 16, 56, 56),), _function("max_pool3d", 2), 1.125, 1.16),
    Operation("max_pool1d 2/2", ((16, 64, 8192),), _function("max_pool1d", 2), 1.5, 1.625),
    Operation("batch norm, training", (LARGE,), _batch_norm(True), 3, 5),
    Operation("batch norm, inference", (LARGE,), _batch_norm(False), 2),
    Operation("group norm, 32 groups", (LARGE,), _module("GroupNorm", 32, 64), 3, 5),
    Operation("layer norm, 512", ((8192, 512),), _module("LayerNorm", 512), 2, 3),
    Operation("relu", (LARGE,), _function("relu"), 2, 3),
    Operation("relu6", (LARGE,), _function("relu6"), 2, 3),
    Operation("leaky_relu", (LARGE,), _function("leaky_relu", 0.2), 2, 3),
    Operation("sigmoid", (LARGE,), _function("sigmoid"), 2, 3),
    Operation("add", (LARGE, LARGE), lambda package: lambda a, b: a + b, 3),
    Operation("interpolate, nearest ×2", ((8, 64, 56, 56),),
              _function("interpolate", scale_factor=2, mode="nearest"), 5, 5),
    Operation("interpolate, bilinear ×2", ((8, 64, 56, 56),),
              _function("interpolate", scale_factor=2, mode="bilinear", align_corners=False), 5, 5),
    Operation("cat of two, channels", (LARGE, LARGE), _join("cat", 1), 4, 4),
    Operation("zero padding 1", (LARGE,), _function("pad", (1, 1, 1, 1)), 2, 2),
    Operation("dropout, training", (LARGE,), _function("dropout", 0.5, training=True), 2.25, 2.25),
    Operation("softmax, 256×1000", ((256, 1000),), _function("softmax", -1), 0, 0),
    Operation("softmax, 64×10", ((64, 10),), _function("softmax", -1), 0, 0),
    Operation("cross entropy, 256×1000", ((256, 1000),), _cross_entropy, 0, 0),
    Operation("SGD with momentum, 10 M", ((10_000_000,),),
              _optimizer("SGD", lr=1e-9, momentum=0.9), 5),
    Operation("Adam, 10 M", ((10_000_000,),), _optimizer("Adam", lr=1e-9), 7),
    Operation("AdamW, 10 M", ((10_000_000,),), _optimizer("AdamW", lr=1e-9), 7),
    Operation("linear 4096 → 4096, batch 1", ((1, 4096),), _module("Linear", 4096, 4096),
              4096),
    Operation("linear 1024 → 1024, batch 256", ((256, 1024),), _module("Linear", 1024, 1024), 0, 0),
    Operation("linear 400 → 120, batch 64", ((64, 400),), _module("Linear", 400, 120), 0, 0),
)  # fmt: skip


def choose(words: str | None = None) -> list[Operation]:
    """The operations whose names hold one of the comma-separated words; all without any."""
    if words is None:
        return list(OPERATIONS)
    wanted = [word.strip().lower() for word in words.split(",") if word.strip()]
    return [o for o in OPERATIONS if any(word in o.name.lower() for word in wanted)]


class Row(NamedTuple):
    """One direction of one operation; ``theirs`` by memory format."""

    operation: str
    direction: str
    threads: int
    nbytes: float  # 0 where computing is the limit
    ours: Side
    theirs: dict[str, Side]

    @property
    def best(self) -> Side:
        """PyTorch's better memory format."""
        return min(self.theirs.values())

    @property
    def ratio(self) -> float:
        """PyTorch's time over ours."""
        return self.best.seconds / self.ours.seconds


def _finished(y: Any) -> Any:
    """The result, computed: fastconv may write it when somebody looks at it."""
    return y.detach().numpy()


def _side(
    package: Any, operation: Operation, form: str, training: bool
) -> tuple[Call, Call | None, Callable[[], list[np.ndarray]]]:
    """Forward and backward of one side as functions of no arguments, and what to compare."""
    rng = np.random.default_rng(0)
    package.manual_seed(0)
    operands = [
        package.from_numpy(rng.random(shape, np.float32) - np.float32(0.5))
        for shape in operation.x_shapes
    ]
    if form == FORMATS[0]:
        operands = [_channels_last(package, x) for x in operands]
    for x in operands:
        x.requires_grad = training
    function = operation.build(package)
    if hasattr(function, "parameters"):  # layers start from random weights
        for parameter in function.parameters():
            with package.no_grad():
                values = rng.random(tuple(parameter.shape), np.float32)
                parameter.copy_(package.from_numpy(values))

    def forward() -> Any:
        with package.no_grad():
            return _finished(function(*operands))

    if not training:
        return forward, None, lambda: [np.asarray(forward())]
    y = function(*operands)
    dy = package.from_numpy(rng.random(tuple(y.shape), np.float32))
    if form == FORMATS[0]:
        dy = _channels_last(package, dy)
    _finished(y)
    wanted = [*operands, *(function.parameters() if hasattr(function, "parameters") else ())]

    def backward() -> Any:
        return [
            _finished(g) for g in package.autograd.grad(y, wanted, dy, retain_graph=True)
        ]  # fmt: skip

    def graph() -> Any:
        return _finished(function(*operands))

    return graph, backward, lambda: [np.asarray(g) for g in (_finished(y), *backward())]


def _channels_last(package: Any, x: Any) -> Any:
    """The tensor with its channels side by side, where it has such."""
    if x.ndim < 3:
        return x
    axes = [0, *range(2, x.ndim), 1]
    back = [0, x.ndim - 1, *range(1, x.ndim - 1)]
    return x.permute(*axes).contiguous().permute(*back)


def _compare(
    operation: Operation, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]
) -> None:
    if "dropout" in operation.name:  # other random numbers
        return
    for a, b in zip(ours, theirs, strict=True):
        error = float(np.max(np.abs(a - b))) / max(float(np.max(np.abs(b))), 1e-30)
        if not error < 1e-3:
            raise RuntimeError(f"{operation.name}: results differ by {error:.2g}")


def time_operation(
    operation: Operation, *, threads: int = 1, seconds: float = 0.2, check: bool = True
) -> list[Row]:
    """Time one operation on both sides, forward and, where it has one, backward.

    Both sides get both memory formats; ours counts in the one it prefers, channels-last, for images
    and in the only one otherwise.

    Raises
    ------
    RuntimeError
        If the two sides do not compute the same.
    """
    import torch

    before = fastconv.get_num_threads(), torch.get_num_threads()
    training = operation.backward is not None
    first = 4 * math.prod(operation.x_shapes[0])
    rows = []
    try:
        fastconv.set_num_threads(threads)
        torch.set_num_threads(threads)
        made = {"ours": _side(fastconv, operation, FORMATS[0], training)}
        for form in FORMATS:
            made[form] = _side(torch, operation, form, training)
        if check:
            _compare(operation, made["ours"][2](), made[FORMATS[1]][2]())
        for i, units in enumerate((operation.forward, operation.backward)):
            if units is None:
                continue
            calls: dict[str, Call] = {}
            for name, side in made.items():
                call = side[i]
                assert call is not None
                calls[name] = call
            found = shortest(calls, seconds, threads)
            ours = found.pop("ours")
            direction = ("forward", "backward")[i]
            rows.append(Row(operation.name, direction, threads, units * first, ours, found))
    finally:
        fastconv.set_num_threads(before[0])
        torch.set_num_threads(before[1])
    return rows


def merge(old: Row, new: Row) -> Row:
    """One row of two: the shorter time of each side."""
    return new._replace(
        ours=min(old.ours, new.ours),
        theirs={form: min(old.theirs[form], new.theirs[form]) for form in old.theirs},
    )
