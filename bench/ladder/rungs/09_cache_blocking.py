"""Cache blocking: x is packed a block at a time, and all output channels use it while it is in L1.

A block is 8 channels of 64 outputs, 18 KiB. The sums of 64 outputs stay in cache too, and go
through the registers once for each block.
"""

from bench.ladder.rung import kernel

conv = kernel(__file__)
ROWS, PANEL, BLOCK = 6, 64, 8  # with vectors of 64 bytes


def steps(layer):
    """Steps of the inner loop: 9C for each tile of 6 channels × 64 outputs."""
    return 9 * layer.C * -(-layer.K // ROWS) * -(-layer.H * layer.W // PANEL)


def traffic(layer):
    """As before, and a tile of sums read and written for every block of channels."""
    sums = 2 * ROWS * PANEL / (9 * BLOCK)
    return 4 * (ROWS + PANEL + sums) * steps(layer) + 8 * 9 * layer.C * layer.H * layer.W


def limits(layer, machine):
    """The products; all reads from L1."""
    return {
        "FMA peak": 2 * ROWS * PANEL * steps(layer) / machine.peak,
        "loads and stores": traffic(layer) / machine.l1,
    }
