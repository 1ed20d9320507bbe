"""Packing: both operands are copied into the order in which the tile reads them.

The copy of x is the im2col matrix of rung 2, cut into panels. A tile then takes 64 outputs from
wherever they are, so none of its lanes is wasted, and its loads follow each other in memory.
"""

from bench.ladder.rung import kernel

conv = kernel(__file__)
ROWS, PANEL = 6, 64  # of a tile: with vectors of 64 bytes


def steps(layer):
    """Steps of the inner loop: 9C for each tile of 6 channels × 64 outputs."""
    return 9 * layer.C * -(-layer.K // ROWS) * -(-layer.H * layer.W // PANEL)


def traffic(layer):
    """A step reads 64 + 6 numbers; packing reads and writes 9C for each output."""
    return 4 * (ROWS + PANEL) * steps(layer) + 8 * 9 * layer.C * layer.H * layer.W


def limits(layer, machine):
    """The products; the matrix, which is read again for every 6 channels, from behind the L2."""
    return {
        "FMA peak": 2 * ROWS * PANEL * steps(layer) / machine.peak,
        "reading the matrix": traffic(layer) / machine.l2,
    }
