"""Whether a rung computes the convolution: integer operands, so that exact means equal.

Small layers of awkward sizes are compared with the naive rung of the direction, which is the
specification; the layer that is timed with a sum in float64, which is compared with it too.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from bench.ladder.rung import DIRECTIONS, RUNGS, Array, Layer, Rung, load
from fastconv.verify.tolerance import allowed

__all__ = ["SMALL", "Operands", "exact", "operands", "verify"]

#: The rungs that say what is right.
NAIVE = dict(
    zip(DIRECTIONS, ("01_naive_python", "21_input_scatter", "31_weight_naive"), strict=True)
)
#: No multiple of any tile, less than a tile, and one of everything.
SMALL = (Layer(1, 1, 1, 1), Layer(5, 7, 3, 37), Layer(17, 70, 9, 6), Layer(3, 20, 13, 1))
#: What a direction reads and writes.
NAMES = {"forward": "xwy", "backward input": "ywx", "backward weight": "yxw"}
#: Elements behind an operand that may be read, and around a result that may not be written.
SLACK = 64
GUARD = np.float32(-12345.0)


class Operands(NamedTuple):
    """Two operands and a result for a rung, each in a buffer of its own."""

    a: Array
    b: Array
    out: Array
    around: Array  # the buffer of the result

    def guarded(self) -> bool:
        """Whether nothing was written beside the result."""
        return bool((self.around[:SLACK] == GUARD).all() and (self.around[-SLACK:] == GUARD).all())


def _place(values: Array, behind: float) -> Array:
    """A copy with SLACK elements of `behind` behind it, on a cache line."""
    buffer = np.full(values.size + SLACK + 16, behind, np.float32)
    first = -buffer.ctypes.data // 4 % 16
    view = buffer[first : first + values.size].reshape(values.shape)
    view[...] = values
    return view


def operands(rung: Rung, layer: Layer, integers: bool = True) -> Operands:
    """Random operands in the rung's layout: integers up to 4, or reals up to 1/2."""
    rng = np.random.default_rng(0)
    shapes = layer.shapes()
    made = []
    for name in NAMES[rung.direction]:
        if integers:
            values = rng.integers(-4, 5, shapes[name]).astype(np.float32)
        else:
            values = rng.random(shapes[name], np.float32) - np.float32(0.5)
        if name != "w" and rung.channels_last:
            values = np.ascontiguousarray(values.transpose(1, 2, 0))
        made.append(values)
    around = np.full(made[2].size + 2 * SLACK, GUARD, np.float32)
    out = around[SLACK:-SLACK].reshape(made[2].shape)
    out[...] = np.nan  # every element is to be written
    return Operands(_place(made[0], np.nan), _place(made[1], np.nan), out, around)


def exact(direction: str, layer: Layer, a: Any, b: Any) -> Any:
    """The direction in float64, by nine shifted products; operands in nchw."""
    _, _, H, W = layer
    a, b = a.astype(np.float64), b.astype(np.float64)
    out = np.zeros(layer.shapes()[NAMES[direction][2]])
    for r in range(3):
        for s in range(3):
            if direction == "forward":
                out += np.tensordot(b[:, :, r, s], a[:, r : r + H, s : s + W], 1)
            elif direction == "backward input":
                out[:, r : r + H, s : s + W] += np.tensordot(b[:, :, r, s].T, a, 1)
            else:
                out[:, :, r, s] = np.tensordot(a, b[:, r : r + H, s : s + W], ((1, 2), (1, 2)))
    return out


@functools.cache
def _naive(direction: str, layer: Layer) -> Array:
    """What the specification makes of the integers of a small layer."""
    rung = load(RUNGS / f"{NAIVE[direction]}.py")
    made = operands(rung, layer)
    rung.conv(layer, made.a, made.b, made.out, 1)
    return made.out


def _nchw(array: Array, rung: Rung, name: str) -> Array:
    return array.transpose(2, 0, 1) if rung.channels_last and name != "w" else array


def verify(rung: Rung, layer: Layer, threads: int = 1) -> str | None:
    """Compare a rung's result for integers with the right one.

    Returns
    -------
    str or None
        What is wrong.
    """
    names = NAMES[rung.direction]
    made = operands(rung, layer)
    a, b = (_nchw(array, rung, name) for array, name in zip(made[:2], names))
    right = exact(rung.direction, layer, a, b)
    if layer in SMALL and not (right == _naive(rung.direction, layer)).all():
        return f"{layer}: the sum in float64 is not what the naive rung computes"
    rung.conv(layer, made.a, made.b, made.out, threads)
    if not made.guarded():
        return f"{layer}: it writes outside of its result"
    error = np.abs(_nchw(made.out, rung, names[2]) - right)
    if np.isnan(error).any():
        return f"{layer}: {np.isnan(error).sum()} of {error.size} results were not written, or NaN"
    depth = {"forward": 9 * layer.C, "backward input": 9 * layer.K}.get(
        rung.direction, layer.H * layer.W
    )
    limit = 0.0 if rung.exact else allowed(np.float32, depth, "winograd", right)
    if error.max() > limit:
        return f"{layer}: an error of {error.max():.3g}, at most {limit:.3g} is allowed"
    return None
