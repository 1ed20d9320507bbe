"""``make bench``: every kernel over the named shapes, with GFLOP/s and share of peak.

    python -m pytest bench --benchmark-columns=min,median,rounds

Each benchmark's ``extra_info`` holds shape, direction, variant, ``gflops`` and ``of_peak``: the
share of the FMA peak of all threads used, measured by a C loop at the start of the same run. The
naive backend would need hours for a layer of a real network; it is timed on single outputs drawn at
random and scaled up, and its ``extra_info`` says ``estimated``. FASTCONV_BENCH_SHAPES chooses the
shapes as ``fastconv bench --shapes`` does, FASTCONV_NUM_THREADS the threads.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv.cli.measure import (
    DIRECTIONS,
    Variant,
    estimate_naive,
    fma_peak,
    kernel_call,
    use,
    variants,
)
from fastconv.shapes import Shape, select

SHAPES = select(os.environ.get("FASTCONV_BENCH_SHAPES", "all"))
VARIANTS = variants(("numba", "c"))[0]


@pytest.fixture(scope="session")
def peak() -> float | None:
    """GFLOP/s of one core."""
    return fma_peak(np.float32)


def describe(
    benchmark: Any,
    shape: Shape,
    direction: str,
    variant: Variant,
    peak: float | None,
    seconds: float,
    threads: int,
) -> None:
    """Fill ``extra_info`` from the shortest time."""
    gflops = shape.spec().flops / seconds / 1e9
    benchmark.extra_info.update(
        shape=shape.name,
        spec=repr(shape.spec()),
        direction=direction,
        variant=str(variant),
        threads=threads,
        gflops=round(gflops, 4),
        peak_gflops=None if peak is None else round(peak * threads, 2),
        of_peak=None if peak is None else round(gflops / (peak * threads), 5),
    )


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_kernel(
    benchmark: Any, shape: Shape, direction: str, variant: Variant, peak: float | None
) -> None:
    benchmark.group = f"{shape.name}, {direction}"
    call = kernel_call(shape.spec(), direction)
    with use(variant):
        benchmark.pedantic(call, warmup_rounds=2, rounds=8, iterations=1)
    shortest = benchmark.stats.stats.min
    describe(benchmark, shape, direction, variant, peak, shortest, fastconv.get_num_threads())


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_naive_estimate(benchmark: Any, shape: Shape, direction: str, peak: float | None) -> None:
    benchmark.group = "naive: time of a few outputs, for the estimate in extra_info"
    seconds, outputs = benchmark.pedantic(
        lambda: estimate_naive(shape.spec(), direction, 0.02), rounds=1, iterations=1
    )
    describe(benchmark, shape, direction, Variant("naive"), peak, seconds, 1)
    benchmark.extra_info.update(estimated=True, outputs_timed=outputs, estimated_seconds=seconds)
