"""Fused Winograd: transforms and products of a block of tiles, while it is in L2.

The same operations in another order: 12 tiles are transformed, multiplied and transformed back
before the next 12 are looked at, and nothing transformed is ever written to memory.
"""

from bench.ladder.rung import kernel

LAYOUT = "channels-last"
EXACT = False
THREADED = True
conv = kernel(__file__)
ROWS, PANEL, LANES = 6, 64, 16  # tiles and channels of a register tile; vectors of 64 bytes


def tiles(layer):
    """Tiles of 4 × 4 outputs."""
    return -(-layer.H // 4) * -(-layer.W // 4)


def steps(layer):
    """Steps of the inner loop: C for each of 36 products of 6 tiles × 64 channels."""
    return 36 * layer.C * -(-layer.K // PANEL) * -(-tiles(layer) // ROWS)


def transforms(layer):
    """Numbers that the transforms of x and y read and write, and those of the weights."""
    C, K = layer.C, layer.K
    return tiles(layer) * (72 * C + 52 * K) + 45 * C * K


def cycles(layer):
    """Of the transforms, a vector each: 156 for a tile of x, 100 of y, 220 for 3×3 of w."""
    C, K = layer.C, layer.K
    return (tiles(layer) * (156 * C + 100 * K) + 220 * C * K) / LANES


def traffic(layer):
    """A step reads 64 + 6 numbers; sums are written once."""
    sums = 36 * tiles(layer) * layer.K
    return 4 * ((ROWS + PANEL) * steps(layer) + sums + transforms(layer))


def limits(layer, machine):
    """A quarter of the products, and transforms; or all that they and the tiles read from L2."""
    products = 2 * ROWS * PANEL * steps(layer) / machine.peak
    return {
        "products and transforms": products + cycles(layer) / machine.clock,
        "reading from the L2": 4 * (PANEL * steps(layer) + transforms(layer)) / machine.l2,
    }
