"""Threads: the outputs are divided among the cores.

Only the loop around the tiles changes. Each output belongs to one task and is summed in one order:
the result is the same for any number of threads.
"""

from bench.ladder.rung import kernel

LAYOUT = "channels-last"
THREADED = True
conv = kernel(__file__)
ROWS, PANEL = 6, 64  # outputs and output channels of a tile, with vectors of 64 bytes


def steps(layer):
    """Steps of the inner loop: 9C for each tile of 6 outputs × 64 channels."""
    return 9 * layer.C * -(-layer.K // PANEL) * -(-layer.H * layer.W // ROWS)


def traffic(layer):
    """As before."""
    return 4 * (ROWS + PANEL + 5 * ROWS * PANEL / (9 * layer.C)) * steps(layer)


def limits(layer, machine):
    """The same, with the peak and the caches of all cores."""
    return {
        "FMA peak": 2 * ROWS * PANEL * steps(layer) / machine.peak,
        "reading the weights": 4 * PANEL * steps(layer) / machine.l2,
    }
