"""Results too large for plain loops: random projections of the whole, and single elements.

A convolution is linear in each operand. The sum of its results over images and over the channels of
a group, with weights, is the convolution of the sums of its operands with these weights: for the
price of one image and one channel a group every element of the result is seen. With weights that
are small integers other than 0 it is exact, and one wrong element shows for certain; several can
cancel only by chance.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv.backends import naive
from fastconv.ops.layout import as_5d
from fastconv.spec import ConvSpec
from fastconv.verify import tolerance
from fastconv.verify.arrays import Array
from fastconv.verify.conv.reference import reference

__all__ = ["difference"]

#: Elements that are looked at one by one where results are not exact.
SAMPLES = 24


def difference(
    op: str, spec: ConvSpec, got: Array, a: Array, b: Array, bias: Array | None, dtype: Any,
    algorithm: str, exact: bool, depth: int,
) -> str | None:  # fmt: skip
    """How a result differs from what projections and elements say, or None.

    Parameters
    ----------
    op : {'conv_forward', 'conv_backward_input', 'conv_backward_weight'}
    spec : ConvSpec
    got : ndarray
    a, b : ndarray
        The operands, float64, in the order of `op`.
    bias : ndarray, (K,), optional
    dtype, algorithm, exact, depth
        As for ``compare.difference``.
    """
    a, b, result = as_5d(a), as_5d(b), as_5d(got)
    rng = np.random.default_rng(spec.flops)
    images, k = _weights(rng, (spec.batch,)), _weights(rng, (spec.out_channels,))
    c = _weights(rng, (spec.in_channels,))
    found, want = _projected(op, spec, result.astype(np.float64), a, b, bias, images, k, c)
    limit = 0.0
    if not (exact and algorithm in tolerance.EXACT):
        scale = tolerance.typical(a, b, depth)
        limit = tolerance.allowed(dtype, depth, algorithm, result, scale)
        wrong = _elements(op, spec, result, a, b, bias, limit, rng)
        if wrong:
            return wrong
        limit *= result.size / found.size * 4  # weights of at most 4, all errors added up
    bad = ~(np.abs(found - want) <= limit)
    if not bad.any():
        return None
    at = tuple([int(i) for i in np.argwhere(bad)[0]])
    return (
        f"{np.count_nonzero(bad)} of {bad.size} sums over images and channels wrong, the first at "
        f"{at}: {found[at]:.9g}, expected {want[at]:.9g}"
    )


def _weights(rng: Any, shape: tuple[int, ...]) -> Array:
    """Integers from 1 to 4 of either sign."""
    return rng.integers(1, 5, shape) * rng.choice([-1.0, 1.0], shape)  # type: ignore[no-any-return]


def _sum(a: Array, axis: int, weights: Array, groups: int) -> Array:
    """Sums over an axis, that of each group by itself, with weights; the axis has `groups` left."""
    a = np.moveaxis(a, axis, 0).astype(np.float64)
    parts = a.reshape(groups, -1, math.prod(a.shape[1:]))
    sums = np.einsum("gi,gix->gx", weights.reshape(groups, -1), parts)
    return np.moveaxis(sums.reshape(groups, *a.shape[1:]), 0, axis)


def _projected(
    op: str, spec: ConvSpec, got: Array, a: Array, b: Array, bias: Array | None, images: Array,
    k: Array, c: Array,
) -> tuple[Array, Array]:  # fmt: skip
    """The result's sums, and those that the sums of the operands give."""
    g = spec.groups

    def geometry(batch: int, in_channels: int, out_channels: int) -> ConvSpec:
        return ConvSpec(
            3, batch, in_channels, out_channels, g, spec.in_size, spec.out_size, spec.kernel,
            spec.stride, spec.pad, spec.dilation,
        )  # fmt: skip

    if op == "conv_forward":
        found = _sum(_sum(got, 0, images, 1), 1, k, g)
        x, w = _sum(a, 0, images, 1), _sum(b, 0, k, g)
        extra = None if bias is None else _sum(bias[:, None], 0, k, g)[:, 0] * images.sum()
        return found, reference(op, geometry(1, spec.in_channels, g), x, w, extra)
    per_in = spec.in_channels // g
    if op == "conv_backward_input":
        found = _sum(_sum(got, 0, images, 1), 1, c, g)
        gy = _sum(a, 0, images, 1)
        # Weights (K, C/g): those of an output channel's own group.
        own = np.repeat(c.reshape(g, per_in), spec.out_channels // g, axis=0)
        w = np.einsum("kc,kcdhw->kdhw", own, b)[:, None]
        return found, reference(op, geometry(1, g, spec.out_channels), gy, w)
    found = _sum(got, 0, k, g)
    found = np.einsum("gc,gcdhw->gdhw", c.reshape(g, per_in), found)[:, None]
    gy, x = _sum(a, 1, k, g), _sum(b, 1, c, g)
    return found, reference(op, geometry(spec.batch, g, g), gy, x)


def _elements(
    op: str, spec: ConvSpec, got: Array, a: Array, b: Array, bias: Array | None, limit: float,
    rng: Any,
) -> str | None:  # fmt: skip
    """Whether single elements, at corners and inside, are off by more than `limit`."""
    at = [[int(rng.choice((0, n - 1, rng.integers(n)))) for n in got.shape] for _ in range(SAMPLES)]
    arrays = [a, b, bias] if op == "conv_forward" else [a, b]
    for i in at:
        want = getattr(naive, op + "_at")(spec, *arrays, i[0], i[1], tuple(i[2:]))
        if not abs(float(got[tuple(i)]) - want) <= limit:
            return f"the element at {tuple(i)} is {got[tuple(i)]:.9g}, expected {want:.9g}"
    return None
