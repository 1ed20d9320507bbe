"""Timing kernels: shapes, variants, and an interleaved minimum of many.

The machine's clock and its other guests drift, so variants of one shape take turns, the whole list
is gone through several times, and each keeps its shortest time; the FMA peak is measured by a C
loop in the same run.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import backends, config, ops
from fastconv.shapes import Shape
from fastconv.spec import ConvSpec

__all__ = [
    "DIRECTIONS",
    "Cell",
    "Variant",
    "best_times",
    "estimate_naive",
    "fma_peak",
    "kernel_call",
    "measure",
    "use",
    "variants",
]

#: Direction of a convolution: its name on a page and its name in the planner.
DIRECTIONS = {
    "forward": "conv_forward",
    "backward input": "conv_backward_input",
    "backward weight": "conv_backward_weight",
}


#: How often the list of shapes is gone through: a busy moment then spoils no figure.
PASSES = 3


class Variant(NamedTuple):
    """A way to compute it: a backend, and for C an instruction set."""

    backend: str
    isa: str | None = None

    def __str__(self) -> str:
        return self.backend if self.isa is None else f"{self.backend} {self.isa}"


class Cell(NamedTuple):
    """One measured figure; ``of_peak`` is a share of the peak of all threads used, or None."""

    shape: str
    direction: str
    variant: str
    seconds: float
    gflops: float
    of_peak: float | None
    rounds: int
    estimated: bool


def variants(
    names: Iterable[str], isas: Iterable[str] | None = None
) -> tuple[list[Variant], list[str]]:
    """The variants that can run here, slowest backend first, and a line for each that cannot.

    Parameters
    ----------
    names : iterable of str
        Backends.
    isas : iterable of str, optional
        Instruction sets of the C backend; all that this machine has if not given.
    """
    found, missing = [], []
    asked = None if isas is None else list(isas)
    for name in sorted(set(names), key=config.BACKENDS.index, reverse=True):
        reason = backends.why_not(name)
        if reason:
            missing.append(f"{name}: not measured, {reason}")
        elif name != "c":
            found.append(Variant(name))
        else:
            supported = backends.load("c").isas()
            for isa in supported if asked is None else asked:
                if supported.get(isa):
                    found.append(Variant("c", isa))
                elif asked is not None:
                    missing.append(f"c {isa}: not measured, this machine does not have it")
    return found, missing


@contextlib.contextmanager
def use(variant: Variant) -> Any:
    """Compute with a variant inside a ``with`` block."""
    with fastconv.backend(variant.backend):
        if variant.isa is None:
            yield
            return
        c = backends.load("c")
        before = c.get_isa()
        c.set_isa(variant.isa)
        try:
            yield
        finally:
            c.set_isa(before)


def fma_peak(dtype: Any = np.float32, seconds: float = 0.3) -> float | None:
    """GFLOP/s that one core reaches with nothing but fused multiply-adds, or None without C."""
    if backends.why_not("c"):
        return None
    c = backends.load("c")
    before = c.get_isa()
    best = 0.0
    try:
        for isa in [name for name, supported in c.isas().items() if supported]:
            c.set_isa(isa)
            best = max(best, c.fma_peak(dtype, seconds))
    finally:
        c.set_isa(before)
    return best / 1e9


def operands(spec: ConvSpec, dtype: Any, channels_last: bool) -> tuple[Any, Any, Any]:
    """Random x, w and y of a convolution, 5-D, in one memory format."""
    rng = np.random.default_rng(0)

    def make(shape: tuple[int, ...], last: bool) -> np.ndarray:
        array: np.ndarray = rng.standard_normal(shape).astype(dtype)
        if last:
            dense = np.ascontiguousarray(array.transpose(0, 2, 3, 4, 1))
            array = dense.transpose(0, 4, 1, 2, 3)
        return array

    return (
        make(spec.x_shape, channels_last),
        make(spec.w_shape, False),
        make(spec.y_shape, channels_last),
    )


def kernel_call(
    spec: ConvSpec, direction: str, dtype: Any = np.float32, channels_last: bool = True
) -> Callable[[], Any]:
    """Make a function of no arguments that runs one direction through ``fastconv.ops``.

    Parameters
    ----------
    spec : ConvSpec
    direction : str
        A key of :data:`DIRECTIONS`.
    dtype : dtype
    channels_last : bool
        Memory format of the operands and the result.

    Returns
    -------
    callable
        Allocation of the result is part of the call, as it is in a network.
    """
    x, w, y = operands(spec, dtype, channels_last)
    if direction == "forward":
        return lambda: ops.conv.forward(spec, x, w, channels_last=channels_last)
    if direction == "backward input":
        return lambda: ops.conv.backward_input(spec, y, w, channels_last=channels_last)
    return lambda: ops.conv.backward_weight(spec, y, x)


def best_times(
    calls: Sequence[tuple[Variant, Callable[[], Any]]], seconds: float
) -> list[tuple[float, int]]:
    """Time calls in turns for about ``seconds`` each; return (shortest time, rounds) of each.

    Every call runs once before, untimed: that compiles, and brings its memory in.
    """
    for variant, call in calls:
        with use(variant):
            call()
    best = [float("inf")] * len(calls)
    spent = [0.0] * len(calls)
    rounds = [0] * len(calls)
    while any(s < seconds for s in spent):
        for i, (variant, call) in enumerate(calls):
            if spent[i] >= seconds and rounds[i] >= 3:
                continue
            with use(variant):
                start = time.perf_counter()
                call()
                elapsed = time.perf_counter() - start
            best[i] = min(best[i], elapsed)
            spent[i] += elapsed
            rounds[i] += 1
    return list(zip(best, rounds, strict=True))


def estimate_naive(spec: ConvSpec, direction: str, seconds: float) -> tuple[float, int]:
    """Estimate the naive backend's time from outputs drawn at random.

    Returns
    -------
    seconds, outputs : float, int
        Time of the whole operation, scaled up from the mean of the ``outputs`` computed.
    """
    naive: Any = backends.load("naive")
    x, w, y = operands(spec, np.float32, False)
    shape, call = {
        "forward": (
            spec.y_shape,
            lambda n, k, at: naive.conv_forward_at(spec, x, w, None, n, k, at),
        ),
        "backward input": (
            spec.x_shape,
            lambda n, c, at: naive.conv_backward_input_at(spec, y, w, n, c, at),
        ),
        "backward weight": (
            spec.w_shape,
            lambda k, c, at: naive.conv_backward_weight_at(spec, y, x, k, c, at),
        ),
    }[direction]
    draw = random.Random(0)
    total, outputs = 0.0, 0
    while total < seconds or outputs < 3:
        first, second, *at = (draw.randrange(size) for size in shape)
        start = time.perf_counter()
        call(first, second, tuple(at))
        total += time.perf_counter() - start
        outputs += 1
    return total / outputs * int(np.prod(shape)), outputs


def measure(
    shapes: Sequence[Shape],
    directions: Sequence[str],
    chosen: Sequence[Variant],
    *,
    seconds: float = 0.5,
    dtype: Any = np.float32,
    channels_last: bool = True,
    peak: float | None = None,
    note: Callable[[str], None] | None = None,
) -> list[Cell]:
    """Measure every shape, direction and variant.

    Parameters
    ----------
    shapes, directions, chosen : sequences
    seconds : float
        Time spent on each variant of a shape and direction, about, over :data:`PASSES` passes.
    dtype, channels_last
        Type and memory format of the operands.
    peak : float, optional
        GFLOP/s of one core; the share is of ``peak`` times the threads used.
    note : callable, optional
        Told what comes next.

    Returns
    -------
    list of Cell
        ``naive`` is estimated by :func:`estimate_naive` and marked so.
    """
    best: dict[tuple[Shape, str, Variant], tuple[float, int]] = {}
    for turn, shape, direction in itertools.product(range(PASSES), shapes, directions):
        if note is not None:
            note(f"{turn + 1}/{PASSES}: {shape.name}, {direction}")
        for variant, (shortest, rounds) in _once(
            shape.spec(), direction, chosen, seconds / PASSES, dtype, channels_last
        ).items():
            key = shape, direction, variant
            before = best.get(key, (float("inf"), 0))
            best[key] = min(before[0], shortest), before[1] + rounds
    return [
        _cell(shape, direction, variant, *best[shape, direction, variant], peak)
        for shape, direction, variant in itertools.product(shapes, directions, chosen)
    ]


def _once(
    spec: ConvSpec,
    direction: str,
    chosen: Sequence[Variant],
    seconds: float,
    dtype: Any,
    channels_last: bool,
) -> dict[Variant, tuple[float, int]]:
    """Shortest time and rounds of every variant, in one pass."""
    call = kernel_call(spec, direction, dtype, channels_last)
    quick = [variant for variant in chosen if variant.backend != "naive"]
    found = dict(
        zip(quick, best_times([(variant, call) for variant in quick], seconds), strict=True)
    )
    if len(quick) < len(chosen):
        found[Variant("naive")] = estimate_naive(spec, direction, seconds)
    return found


def _cell(
    shape: Shape,
    direction: str,
    variant: Variant,
    shortest: float,
    rounds: int,
    peak: float | None,
) -> Cell:
    naive = variant.backend == "naive"
    threads = 1 if naive else fastconv.get_num_threads()
    gflops = shape.spec().flops / shortest / 1e9
    share = None if peak is None else gflops / (peak * threads)
    return Cell(shape.name, direction, str(variant), shortest, gflops, share, rounds, naive)
