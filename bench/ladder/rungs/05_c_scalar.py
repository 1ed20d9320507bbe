"""C scalar: the same loops in C, a sum in one register.

Nothing new but the language: what the compiler may do without changing a rounding is what Numba's
could do. From here on the compiler is ours to look at.
"""

from bench.ladder.rung import kernel

conv = kernel(__file__)


def traffic(layer):
    """An operand and a weight per product."""
    return 8 * layer.products


def limits(layer, machine):
    """A chain of additions, 3 cycles each on this kind of core."""
    return {"latency of additions": 3 * layer.products / machine.clock}
