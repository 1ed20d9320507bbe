"""Compiler vectors: the loop over neighbouring outputs goes innermost.

Neighbouring outputs do not wait for each other, so the compiler computes a vector of them at once.
Their sums no longer fit a register: they are read from y and written back for every tap.
"""

from bench.ladder.rung import kernel

conv = kernel(__file__)


def traffic(layer):
    """x read, y read, y written, for each product."""
    return 12 * layer.products


def limits(layer, machine):
    """Three accesses to the L1 cache for every vector of products."""
    return {
        "FMA peak": layer.flops / machine.peak,
        "loads and stores": traffic(layer) / machine.l1,
    }
