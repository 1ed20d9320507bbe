"""Backward weight by Winograd: F(3×3, 4×4), the gradient's tile as the taps.

A tile of 4×4 gradients is a 4×4 kernel that runs over the 6×6 inputs of the tile, with 3×3 results.
Only the sum over all tiles is wanted, so only sums are transformed back.
"""

from bench.ladder.rung import kernel

DIRECTION = "backward weight"
LAYOUT = "channels-last"
EXACT = False
THREADED = True
conv = kernel(__file__)
LANES = 16  # with vectors of 64 bytes


def limits(layer, machine):
    """36 products a tile; transforms: 156 vectors for a tile of x, 130 of g, 100 for 3×3 of dw."""
    C, K, H, W = layer
    tiles = -(-H // 4) * -(-W // 4)
    cycles = (tiles * (156 * C + 130 * K) + 100 * C * K) / LANES
    products = 2 * 36 * tiles * C * K / machine.peak
    return {"products and transforms": products + cycles / machine.clock}
