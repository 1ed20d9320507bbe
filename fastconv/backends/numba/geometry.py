"""Geometry tables for the convolution kernels: plain Python integers in, int64 arrays out.

Forward and backward-input are both a *correlation*: every output position is a sum over taps of a
source read at a fixed offset from the position's base. Per axis, position ``j`` and tap ``t`` read
source index ``j * step + offset[t]``. Forward has one such phase with ``step = stride``. In
backward-input the input positions ``i`` with equal ``(i + pad) mod stride`` form a phase: they meet
the same taps, at consecutive outputs, so ``step = 1`` and the positions written are ``stride``
apart.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from fastconv import caches
from fastconv.spec import ConvSpec, Triple

AXES = (0, 1, 2)


class AxisPhase(NamedTuple):
    """One phase on one axis."""

    first: int  # first position written
    positions: int  # how many are written
    taps: list[tuple[int, int]]  # (offset, tap), offsets ascending


class Window(NamedTuple):
    """The part of a source that is read, per axis: ``lo <= index < lo + size``."""

    lo: Triple
    size: Triple


class Correlation(NamedTuple):
    """Tables for one correlation.

    phases : int64 (P, 10)
        Count D, H, W of positions; offset of the first and steps D, H, W in flattened positions
        of the result; first run, number of runs; first row of the packed weight.
    run_offset : int64 (runs,)
        Where a run starts, in source positions from the base of the output position.
    run_taps : int64 (runs, width)
        The taps of a run, consecutive in the source.
    """

    window: Window
    step: Triple
    phases: np.ndarray
    run_offset: np.ndarray
    run_taps: np.ndarray
    rows: int


def _forward_axis(spec: ConvSpec, axis: int) -> list[AxisPhase]:
    stride, pad, dilation = spec.stride[axis], spec.pad[axis], spec.dilation[axis]
    last = (spec.out_size[axis] - 1) * stride
    offsets = [(t * dilation - pad, t) for t in range(spec.kernel[axis])]
    taps = [(o, t) for o, t in offsets if o + last >= 0 and o < spec.in_size[axis]]
    return [AxisPhase(0, spec.out_size[axis], taps)]


def _backward_axis(spec: ConvSpec, axis: int) -> list[AxisPhase]:
    stride, pad, dilation = spec.stride[axis], spec.pad[axis], spec.dilation[axis]
    phases = []
    for first in range(min(stride, spec.in_size[axis])):
        count = (spec.in_size[axis] - 1 - first) // stride + 1
        taps = []
        for t in reversed(range(spec.kernel[axis])):
            offset, remainder = divmod(first + pad - t * dilation, stride)
            if remainder == 0 and offset + count > 0 and offset < spec.out_size[axis]:
                taps.append((offset, t))
        phases.append(AxisPhase(first, count, taps))
    return phases


def _window(phases: list[AxisPhase], step: int) -> tuple[int, int]:
    """Smallest ``(lo, size)`` holding every source index that a phase reads."""
    spans = [
        (p.taps[0][0], p.taps[-1][0] + (p.positions - 1) * step)
        for p in phases
        if p.taps and p.positions > 0
    ]
    if not spans:
        return 0, 1
    lo = min(a for a, _ in spans)
    return lo, max(b for _, b in spans) - lo + 1


def correlation(spec: ConvSpec, backward: bool) -> Correlation:
    """Tables of the forward or the backward-input correlation, kept in ``spec.cache``."""
    key = ("numba", backward)
    tables = spec.cache.get(key)
    if tables is None:
        tables = spec.cache[key] = _correlation(spec, backward)
        caches.count(*[part for part in tables if isinstance(part, np.ndarray)])
    return tables  # type: ignore[no-any-return]


def _correlation(spec: ConvSpec, backward: bool) -> Correlation:
    axes = [(_backward_axis if backward else _forward_axis)(spec, axis) for axis in AXES]
    step = (1, 1, 1) if backward else spec.stride
    write = spec.stride if backward else (1, 1, 1)
    source = spec.out_size if backward else spec.in_size
    result = spec.in_size if backward else spec.out_size
    pairs = [_window(axes[axis], step[axis]) for axis in AXES]
    if all(lo >= 0 and lo + size <= source[a] for a, (lo, size) in zip(AXES, pairs)):
        lo, size = (0, 0, 0), source  # no padding is read: the source is used as it lies
    else:
        (a, b), (c, d), (e, f) = pairs
        lo, size = (a, c, e), (b, d, f)
    width = _run_width(spec, axes[2])
    depth = spec.out_channels if backward else spec.in_channels
    rows = 0
    phases: list[tuple[int, ...]] = []
    run_offset: list[int] = []
    run_taps: list[list[int]] = []
    for pd, ph, pw in product(*axes):
        runs = len(run_offset)
        for (od, td), (oh, th) in product(pd.taps, ph.taps):
            for i in range(0, len(pw.taps), width):
                ow = pw.taps[i][0]
                flat = ((od - lo[0]) * size[1] + oh - lo[1]) * size[2] + ow - lo[2]
                run_offset.append(flat)
                tap = (td * spec.kernel[1] + th) * spec.kernel[2]
                run_taps.append([tap + t for _, t in pw.taps[i : i + width]])
        start = (pd.first * result[1] + ph.first) * result[2] + pw.first
        steps = (write[0] * result[1] * result[2], write[1] * result[2], write[2])
        runs_here = len(run_offset) - runs
        phases.append(
            (pd.positions, ph.positions, pw.positions, start, *steps, runs, runs_here, rows)
        )
        rows += runs_here * width * (depth // spec.groups)
    return Correlation(
        Window(lo, size),
        step,
        np.array(phases, np.int64).reshape(-1, 10),
        np.array(run_offset, np.int64),
        np.array(run_taps, np.int64).reshape(-1, width),
        rows,
    )


def _run_width(spec: ConvSpec, phases: list[AxisPhase]) -> int:
    """Taps along W that lie next to each other in a source with its channels innermost.

    Together with their channels they are one contiguous run. One where groups come in between, the
    taps are dilated, or the phases have different numbers of taps.
    """
    if spec.groups > 1:
        return 1
    counts = {len(p.taps) for p in phases}
    neighbours = all(b[0] - a[0] == 1 for p in phases for a, b in zip(p.taps, p.taps[1:]))
    return counts.pop() if len(counts) == 1 and neighbours and 0 not in counts else 1
