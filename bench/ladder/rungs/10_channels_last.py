"""Channels-last: with the channels side by side x needs no packing at all.

The tile is turned: 6 outputs, each broadcasting what it reads of x, times 64 output channels, whose
weights alone are packed. A row of taps of an output is one run of 3C numbers, at any width.
"""

from bench.ladder.rung import kernel

LAYOUT = "channels-last"
conv = kernel(__file__)
ROWS, PANEL = 6, 64  # outputs and output channels of a tile, with vectors of 64 bytes


def steps(layer):
    """Steps of the inner loop: 9C for each tile of 6 outputs × 64 channels."""
    return 9 * layer.C * -(-layer.K // PANEL) * -(-layer.H * layer.W // ROWS)


def traffic(layer):
    """A step reads 64 + 6 numbers; a tile of sums is written, and twice more read and written."""
    return 4 * (ROWS + PANEL + 5 * ROWS * PANEL / (9 * layer.C)) * steps(layer)


def limits(layer, machine):
    """The products; the weights from L2, as a panel of a kernel row does not fit L1."""
    return {
        "FMA peak": 2 * ROWS * PANEL * steps(layer) / machine.peak,
        "reading the weights": 4 * PANEL * steps(layer) / machine.l2,
    }
