"""Timing one layer on both sides in turn: fastconv's three directions and PyTorch's.

Both sides get the same numbers in arrays of their own, allocate their results in every call as
their users' calls do, and check the geometry in every call. PyTorch is called at the level where
its autograd calls its kernels (``aten::convolution`` and ``aten::convolution_backward``), fastconv
where its graph does (``fastconv.ops``). Neither side records a graph.
"""

from __future__ import annotations

import gc
import math
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import backends, config, ops, planner
from fastconv.cli.measure import DIRECTIONS
from fastconv.memory import empty
from fastconv.ops.layout import as_5d
from fastconv.shapes import Shape

__all__ = ["FORMATS", "Row", "Side", "merge", "our_calls", "shortest", "time_layer", "torch_calls"]

#: Memory formats of the operands and the results.
FORMATS = ("channels-last", "nchw")

Call = Callable[[], Any]

#: A burst of calls lasts this long at least, so that its first call, which finds the other side's
#: data in the caches, is not the only one.
BURST_SECONDS = 2e-3
#: A call on one thread that lasts longer is timed by the processor time of the process, as another
#: process can have the core in the meantime; shorter ones, and those on more threads, by the clock.
CLOCK_SECONDS = 3e-4
#: Rounds in which the sides take turns, at least, in every pass.
ROUNDS = 3


class Side(NamedTuple):
    """One way to compute a direction on one of the sides."""

    seconds: float
    calls: int
    faults: float  # pages mapped per call, at the fewest


class Row(NamedTuple):
    """One direction of one layer; keys of ``ours`` are 'isa format', of ``theirs`` formats."""

    layer: str
    family: str
    direction: str
    dtype: str
    threads: int
    flops: int
    nbytes: int  # operands and result, each once
    algorithm: str
    difference: float  # between the results: largest, over the RMS of theirs
    ours: dict[str, Side]
    theirs: dict[str, Side]

    @property
    def best(self) -> Side:
        """PyTorch's better memory format."""
        return min(self.theirs.values())

    @property
    def own(self) -> Side:
        """Our first variant: what the ratios are about."""
        return next(iter(self.ours.values()))

    @property
    def ratio(self) -> float:
        """PyTorch's time over ours."""
        return self.best.seconds / self.own.seconds


# ---------------------------------------------------------------- operands and calls


def operands(layer: Shape, dtype: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input, weight and gradient of the output, uniform in ±1/2, in the layer's own rank."""
    spec = layer.spec()
    y_shape = spec.x_shape if layer.transposed else spec.y_shape
    rng = np.random.default_rng(0)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        array: np.ndarray = rng.random(shape, dtype)
        return array - array.dtype.type(0.5)

    y_size = y_shape[:2] + y_shape[5 - layer.ndim :]
    return draw(layer.x_shape), draw(layer.w_shape), draw(y_size)


def our_calls(
    layer: Shape, arrays: Sequence[np.ndarray], channels_last: bool = True
) -> dict[str, Call]:
    """fastconv's three directions as functions of no arguments."""
    spec = layer.spec

    def place(array: np.ndarray) -> np.ndarray:
        array = as_5d(array)
        memory = empty(array.shape, array.dtype, channels_last)
        memory[...] = array
        return memory

    x, y = place(arrays[0]), place(arrays[2])
    w = np.ascontiguousarray(as_5d(arrays[1]))
    conv, last = ops.conv, channels_last
    if layer.transposed:  # the adjoint: input and output change places
        return {
            "forward": lambda: conv.backward_input(spec(), x, w, channels_last=last),
            "backward input": lambda: conv.forward(spec(), y, w, channels_last=last),
            "backward weight": lambda: conv.backward_weight(spec(), x, y),
        }
    return {
        "forward": lambda: conv.forward(spec(), x, w, channels_last=last),
        "backward input": lambda: conv.backward_input(spec(), y, w, channels_last=last),
        "backward weight": lambda: conv.backward_weight(spec(), y, x),
    }


def torch_calls(
    layer: Shape, arrays: Sequence[np.ndarray], channels_last: bool = True
) -> dict[str, Call]:
    """PyTorch's three directions as functions of no arguments."""
    import torch

    def place(array: np.ndarray) -> Any:
        tensor = torch.from_numpy(array).clone()
        if not channels_last:
            return tensor
        if array.ndim == 3:  # there is no name for it, but it can be laid out so
            return tensor.transpose(1, 2).contiguous().transpose(1, 2)
        form = torch.channels_last if array.ndim == 4 else torch.channels_last_3d
        return tensor.contiguous(memory_format=form)

    x, w, y = map(place, arrays)
    stride, padding, dilation, extra = (
        [value] * layer.ndim if isinstance(value, int) else list(value)
        for value in (layer.stride, layer.padding, layer.dilation, layer.output_padding)
    )
    rest = (stride, padding, dilation, layer.transposed, extra, layer.groups)
    forward = torch.ops.aten.convolution.default
    backward = torch.ops.aten.convolution_backward.default
    return {
        "forward": lambda: forward(x, w, None, *rest),
        "backward input": lambda: backward(y, x, w, None, *rest, [True, False, False])[0],
        "backward weight": lambda: backward(y, x, w, None, *rest, [False, True, False])[1],
    }


def algorithm(layer: Shape, direction: str) -> str:
    """The algorithm that runs for a direction of a layer under the current switches."""
    op = DIRECTIONS[direction]
    if layer.transposed and direction != "backward weight":
        op = DIRECTIONS["forward" if direction == "backward input" else "backward input"]
    backend, asked = config.current_backend(), config.current_algorithm()
    return planner.pick(op, layer.spec(), backend, asked).algorithm


# ---------------------------------------------------------------- time


def shortest(calls: Mapping[str, Call], seconds: float, threads: int = 1) -> dict[str, Side]:
    """Time calls in turns for about ``seconds`` each and keep the shortest time of each.

    Every call runs twice before, untimed. The sides take turns in bursts of a few milliseconds, in
    alternating order, for at least :data:`ROUNDS` rounds.
    """
    count: dict[str, int] = {}
    faults: dict[str, float] = {}
    slowest = 0.0
    for name, call in calls.items():
        call()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        start = time.perf_counter()
        call()
        once = time.perf_counter() - start
        faults[name] = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        count[name] = max(1, math.ceil(BURST_SECONDS / max(once, 1e-7)))
        slowest = max(slowest, once)
    best = dict.fromkeys(calls, math.inf)
    spent = dict.fromkeys(calls, 0.0)
    total = dict.fromkeys(calls, 0)
    # One clock for all sides.
    clock = time.process_time if threads == 1 and slowest > CLOCK_SECONDS else time.perf_counter
    order = list(calls)
    collecting = gc.isenabled()
    gc.disable()
    try:
        rounds = 0
        while rounds < ROUNDS or min(spent.values()) < seconds:
            for name in order:
                if rounds >= ROUNDS and spent[name] >= seconds:
                    continue
                call, least, sum_ = calls[name], best[name], 0.0
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
                for _ in range(count[name]):
                    start = clock()
                    call()
                    elapsed = clock() - start
                    sum_ += elapsed
                    if elapsed < least:
                        least = elapsed
                pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
                faults[name] = min(faults[name], pages / count[name])
                best[name] = least
                spent[name] += sum_
                total[name] += count[name]
            order.reverse()
            rounds += 1
    finally:
        if collecting:
            gc.enable()
    return {name: Side(best[name], total[name], faults[name]) for name in calls}


def difference(ours: np.ndarray, theirs: Any) -> float:
    """Largest difference of two results over the root mean square of the second."""
    a, b = as_5d(np.asarray(ours)), as_5d(theirs.numpy())
    if a.shape != b.shape:
        raise RuntimeError(f"the results have shapes {a.shape} and {b.shape}")
    rms = math.sqrt(float(np.mean(np.square(b, dtype=np.float64))))
    return float(np.max(np.abs(a - b))) / max(rms, 1e-30)


def time_layer(
    layer: Shape,
    *,
    dtype: str = "float32",
    threads: int = 1,
    isas: Sequence[str] | None = None,
    formats: Sequence[str] = FORMATS[:1],
    directions: Sequence[str] = tuple(DIRECTIONS),
    seconds: float = 0.1,
    note: Callable[[str], None] = lambda text: None,
) -> list[Row]:
    """Time the directions of one layer on both sides.

    Parameters
    ----------
    layer : Shape
    dtype : {'float32', 'float64'}
    threads : int
        Of both sides.
    isas : sequence of str, optional
        Instruction sets of our side, the one that ratios are about first; the one in use if not
        given. PyTorch always takes its best.
    formats : sequence of str
        Of :data:`FORMATS`, for our side, the one that ratios are about first. PyTorch is timed in
        both.
    directions : sequence of str
    seconds : float
        Time spent on each variant of each direction, about.
    note : callable
        Told which direction was timed.

    Returns
    -------
    list of Row
        One per direction.

    Raises
    ------
    RuntimeError
        If the two sides do not compute the same.
    """
    import torch

    c: Any = backends.load("c")
    before = c.get_isa(), fastconv.get_num_threads(), torch.get_num_threads()
    isas = [before[0]] if isas is None else isas
    arrays = operands(layer, np.dtype(dtype))
    made = {form: our_calls(layer, arrays, form == FORMATS[0]) for form in formats}
    peer = {form: torch_calls(layer, arrays, form == FORMATS[0]) for form in FORMATS}
    spec = layer.spec()
    values = sum(math.prod(shape) for shape in (spec.x_shape, spec.w_shape, spec.y_shape))
    tolerance = 1e-3 if dtype == "float32" else 1e-10
    rows = []

    def under(isa: str, call: Call) -> Call:
        if len(isas) == 1:
            return call

        def run() -> Any:
            c.set_isa(isa)
            return call()

        return run

    try:
        fastconv.set_num_threads(threads)
        torch.set_num_threads(threads)
        c.set_isa(isas[0])
        with torch.inference_mode():
            for direction in directions:
                ours = {
                    f"{isa} {form}": under(isa, made[form][direction])
                    for isa in isas
                    for form in formats
                }
                theirs = {f"torch {form}": peer[form][direction] for form in FORMATS}
                reference = theirs["torch nchw"]()
                error = max(difference(call(), reference) for call in ours.values())
                if not error < tolerance:
                    raise RuntimeError(f"{layer.name}, {direction}: results differ by {error:.2g}")
                del reference
                found = shortest(ours | theirs, seconds, threads)
                rows.append(
                    Row(
                        layer.name, layer.family, direction, dtype, threads, spec.flops,
                        values * np.dtype(dtype).itemsize, algorithm(layer, direction), error,
                        {name: found[name] for name in ours},
                        {form: found[f"torch {form}"] for form in FORMATS},
                    )
                )  # fmt: skip
                note(direction)
    finally:
        c.set_isa(before[0])
        fastconv.set_num_threads(before[1])
        torch.set_num_threads(before[2])
    return rows


def merge(old: Row, new: Row) -> Row:
    """One row of two that were measured at different times: the shorter time of each variant."""

    def both(a: dict[str, Side], b: dict[str, Side]) -> dict[str, Side]:
        return {
            name: Side(
                min(a[name].seconds, b[name].seconds),
                a[name].calls + b[name].calls,
                min(a[name].faults, b[name].faults),
            )
            for name in a
        }

    return new._replace(
        ours=both(old.ours, new.ours),
        theirs=both(old.theirs, new.theirs),
        difference=max(old.difference, new.difference),
    )
