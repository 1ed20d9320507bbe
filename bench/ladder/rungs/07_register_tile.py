"""Register tile: 6 output channels × 4 vectors of outputs stay in registers for the whole sum.

A sum is stored once, after its last tap. A vector of x is loaded once for six products, a weight
once for four. What a row of outputs leaves of its last vector is computed and thrown away.
"""

from bench.ladder.rung import kernel

conv = kernel(__file__)
ROWS, VECTOR, VECTORS = 6, 16, 4  # of a tile: with vectors of 64 bytes


def padded(layer):
    """Products of whole tiles: rows of channels and vectors of outputs rounded up."""
    K, W = -(-layer.K // ROWS) * ROWS, -(-layer.W // VECTOR) * VECTOR
    return layer._replace(K=K, W=W).products


def traffic(layer):
    """A step of 24 products of vectors loads 4 vectors and 6 weights."""
    vectors = min(VECTORS, -(-layer.W // VECTOR))
    return 4 * padded(layer) * (1 / ROWS + 1 / (VECTOR * vectors))


def limits(layer, machine):
    """The products, the wasted ones too."""
    return {
        "FMA peak": 2 * padded(layer) / machine.peak,
        "loads": traffic(layer) / machine.l1,
    }
