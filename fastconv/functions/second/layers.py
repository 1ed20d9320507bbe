"""Gradients of layers: convolution in all directions, fully connected, pooling, normalisation.

The two gradients of a convolution are convolutions, so three operations are closed under
differentiation: forward, backward input (which is the transposed convolution) and backward weight.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...autograd import Op, wrap
from ...ops import conv as ops
from ...ops import pool as pool_ops
from ...spec import ConvSpec
from .. import norm as nm
from .. import pool as pl
from ..conv import Convolution, ConvTranspose
from ..conv_late import ConvolutionJoined
from ..linear import LinearOp
from ..pad import Pad
from ..resample import Resample
from . import argument, constant, formula, linear, result, rule
from .elementwise import gated

Array = np.ndarray


class BackwardWeight(Op):
    """dw (K, C/groups, *kernel) of a convolution, from g (N, K, *out) and x (N, C, *in)."""

    @staticmethod
    def forward(ctx: Any, g: Array, x: Array, spec: ConvSpec) -> Array:
        ctx.spec = spec
        ctx.save(g, x)
        return ops.backward_weight(spec, g, x)

    @staticmethod
    def backward(ctx: Any, gw: Array) -> tuple[Array | None, ...]:
        g, x = ctx.saved
        gw = np.ascontiguousarray(gw)
        return (
            ops.forward(ctx.spec, x, gw, None) if ctx.needs[0] else None,
            ops.backward_input(ctx.spec, g, gw) if ctx.needs[1] else None,
        )


@rule(BackwardWeight)
def _backward_weight(node: Any, gw: Any) -> Any:
    g, x = node.saved
    return (
        Convolution.apply(argument(node, 1, x), gw, None, node.spec, None)
        if node.needs[0]
        else None,
        ConvTranspose.apply(argument(node, 0, g), gw, None, node.spec, None)
        if node.needs[1]
        else None,
    )


def _to_channels(g: Any) -> Any:
    """The sum over all axes but the channels'."""
    return g.sum([d for d in range(g._array.ndim) if d != 1])


@rule(Convolution)
def _convolution(node: Any, g: Any) -> tuple[Any, ...]:
    x, w = node.saved[:2]
    spec, single, needs = node.spec, node.single, node.needs
    if single:
        g = g.unsqueeze(0)
    gx = gw = None
    if needs[0]:
        gx = ConvTranspose.apply(g, argument(node, 1, w), None, spec, None)
        gx = gx.squeeze(0) if single else gx
    if needs[1]:
        t = argument(node, 0, x)
        gw = BackwardWeight.apply(g, t.unsqueeze(0) if single else t, spec)
    if not node.biased:
        return gx, gw
    return gx, gw, _to_channels(g) if needs[2] else None


@rule(ConvolutionJoined)
def _convolution_joined(node: Any, g: Any) -> tuple[Any, ...]:
    if node.activation is not None:
        (slope, limit), y = node.activation, node.saved[2]
        g = _activated(g, node, y, slope, limit)
    if node.apart():
        return tuple(node.alone(g))
    found = _convolution(node, g)
    return (*found, g if node.needs[-1] else None) if node.added else found


def _activated(g: Any, node: Any, y: Array, slope: float, limit: float) -> Any:
    """The gradient before an activation of the ReLU family, whose result is `y`."""
    open_ = y > 0 if limit == math.inf else (y > 0) & (y < limit)
    return gated(g, result(node, y), open_, slope)


@rule(ConvTranspose)
def _conv_transpose(node: Any, g: Any) -> Any:
    x, w = node.saved
    spec, single = node.spec, node.single
    if single:
        g = g.unsqueeze(0)
    found: list[Any] = [None] * len(node.needs)
    if node.needs[0]:
        gx = Convolution.apply(g, argument(node, 1, w), None, spec, None)
        found[0] = gx.squeeze(0) if single else gx
    if node.needs[1]:
        t = argument(node, 0, x)
        found[1] = BackwardWeight.apply(t.unsqueeze(0) if single else t, g, spec)
    if len(found) > 2 and node.needs[2]:
        found[2] = _to_channels(g)
    return tuple(found)


@rule(LinearOp)
def _linear(node: Any, g: Any) -> Any:
    x, w = node.saved
    found: list[Any] = [None] * len(node.needs)
    rows = g.reshape(-1, g._array.shape[-1])
    if node.needs[0]:
        found[0] = (rows @ argument(node, 1, w)).reshape(node.shape)
    if node.needs[1]:
        t = argument(node, 0, x)
        found[1] = rows.t() @ t.reshape(-1, t._array.shape[-1])
    if len(found) > 2 and node.needs[2]:
        found[2] = rows.sum(0)
    return tuple(found)


# --- pooling ---


class Pick(Op):
    """Elements of x (N, C, D, H, W) at flat spatial positions `at` (N, C, *out)."""

    @staticmethod
    def forward(ctx: Any, x: Array, at: Array) -> Array:
        ctx.shape, ctx.at = x.shape, at
        flat = x.reshape(*x.shape[:2], -1)
        return np.take_along_axis(flat, at.reshape(*at.shape[:2], -1), 2).reshape(at.shape)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        n, c = ctx.shape[:2]
        out = np.zeros((n * c, math.prod(ctx.shape[2:])), g.dtype)
        rows = np.repeat(np.arange(n * c), g.size // max(n * c, 1))
        np.add.at(out, (rows, ctx.at.reshape(-1)), g.reshape(-1))
        return out.reshape(ctx.shape)


@rule(Pick)
def _pick(node: Any, g: Any) -> Any:
    return linear(node, g, lambda t: Pick.apply(t, node.at))


def _picked(t: Any, at: Array, ndim: int, single: bool) -> Any:
    """What max pooling took from `t`, which may lack the batch axis."""
    shape = t._array.shape
    whole = t.reshape((*((1,) if single else ()), *shape[: 2 - single], *(1,) * (3 - ndim),
                       *shape[2 - single :]))  # fmt: skip
    y = Pick.apply(whole, at)
    sizes = at.shape[2 + 3 - ndim :]
    return y.reshape((*at.shape[single:2], *sizes))


def _largest(t: Any, at: Array, node: Any) -> Any:
    """As `_picked`, and nothing where a window lies in the padding alone."""
    ndim, empty = node.spec.ndim, node.spec.empty
    y = _picked(t, at, ndim, node.single)
    if empty is None:
        return y
    return y.masked_fill(wrap(np.broadcast_to(empty, at.shape).reshape(y.shape)), 0)


@rule(pl.MaxPool)
def _max_pool(node: Any, g: Any, _: Any) -> Any:
    (at,) = node.saved
    return linear(_First(node), g, lambda t: _largest(t, at, node))


class _First:
    """A node with two results, of which the second has no gradient."""

    def __init__(self, node: Any) -> None:
        self.node, self.owned = node, False

    def backward(self, _: Any, g: Array) -> Any:
        """The gradient from that of the first result."""
        return self.node.backward(self.node, g, None)


@rule(pl.MaxPoolOnly)
def _max_pool_only(node: Any, g: Any) -> Any:
    (taps,) = node.saved
    at = pool_ops.tap_positions(node.spec, taps)
    return linear(node, g, lambda t: _largest(t, at, node))


@rule(pl.AvgPool)
def _avg_pool(node: Any, g: Any) -> Any:
    return linear(node, g, lambda t: pl.AvgPool.apply(t, node.spec))


@rule(pl.LPPool)
def _lp_pool(node: Any, g: Any) -> Any:
    if math.isinf(node.p):
        raise NotImplementedError(
            f"{node.name()}: gradients of gradients (create_graph=True) are not implemented for an "
            "infinite power"
        )

    def power(x: Any) -> Any:
        inner = x if float(node.p).is_integer() else x.abs()
        return (pl.AvgPool.apply(inner**node.p, node.spec) * node.count) ** (1 / node.p)

    return formula(node, power, (node.saved[0],), g)


@rule(pl.MaxUnpool)
def _max_unpool(node: Any, g: Any) -> Any:
    (at,) = node.saved
    return _picked(g, at, node.ndim, node.single), *(None,) * (len(node.edges) - 1)


@rule(Resample)
def _resample(node: Any, g: Any) -> Any:
    return linear(node, g, lambda t: Resample.apply(t, node.scalings))


# --- normalisation ---


@rule(nm.Normalize)
def _normalize(node: Any, g: Any) -> tuple[Any, ...]:
    x, weight, *rest = node.saved
    residual = None
    if node.relu:
        y = rest[0] if rest else _joined_result(node, x)
        g = _activated(g, node, y, 0, node.limit)
    if node.joins and node.apart():
        return tuple(node.alone(g))
    if node.added:
        residual = g if node.needs[-1] else None
    arrays = [x]
    if node.weighted:
        arrays.append(weight)
    if node.biased:
        arrays.append(np.zeros(x.shape[1], x.dtype))
    found = formula(node, _normalization(node), tuple(arrays), g)
    return (*found, residual) if node.added else found


def _joined_result(node: Any, x: Array) -> Array:
    """The result of a normalisation and its ReLU, computed again."""
    return nm.ops.apply(node.spec, x, node.coef, None, True, node.limit)


def _normalization(node: Any) -> Any:
    """The normalisation of `node` as a function of x, weight and bias."""
    spec = node.spec
    sets, groups = spec.sets, spec.channels // spec.pool
    stats = np.asarray(node.stats).reshape(3, sets, 1, groups, spec.pool)[..., :1]
    mean, variance, inverse = stats

    def normalized(x: Any, *affine: Any) -> Any:
        shape, kind = x._array.shape, x._array.dtype
        channels = (1, shape[1], *(1,) * (len(shape) - 2))
        rows = x.reshape(sets, spec.batch, groups, -1)
        if node.constant:
            d = rows - constant(mean.astype(kind))
            y = d * constant(inverse.astype(kind))
        else:
            d = rows - rows.mean((1, 3), keepdim=True)
            eps = constant((1 / np.square(inverse) - variance).astype(kind))
            y = d * (d.square().mean((1, 3), keepdim=True) + eps).rsqrt()
        y = y.reshape(shape)
        given = iter(affine)
        if node.weighted:
            y = y * next(given).reshape(channels)
        if node.biased:
            y = y + next(given).reshape(channels)
        return y

    return normalized


@rule(nm.LayerNorm)
def _layer_norm(node: Any, g: Any) -> Any:
    x, weight = node.saved
    last, (weighted, biased) = node.last, node.affine

    def normalized(t: Any, *affine: Any) -> Any:
        dims = list(range(t._array.ndim - len(last), t._array.ndim))
        d = t - t.mean(dims, keepdim=True)
        y = d * (d.square().mean(dims, keepdim=True) + node.eps).rsqrt()
        given = iter(affine)
        y = y * next(given) if weighted else y
        return y + next(given) if biased else y

    arrays = [x]
    if weighted:
        arrays.append(weight)
    if biased:
        arrays.append(np.zeros(last, x.dtype))
    return formula(node, normalized, tuple(arrays), g)


@rule(nm.LocalResponse)
def _local_response(node: Any, g: Any) -> Any:
    size, before = node.size, node.size // 2

    def response(x: Any) -> Any:
        channels = x._array.shape[1]
        square, total = x * x, None
        for offset in range(-before, size - before):
            low, high = max(0, -offset), min(channels, channels - offset)
            if low >= high:
                continue
            pads = ((1, low, channels - high),)
            part = Pad.apply(square.narrow(1, low + offset, high - low), pads, "constant", 0)
            total = part if total is None else total + part
        return x * (total * (node.alpha / size) + node.k) ** -node.beta

    return formula(node, response, (node.saved[0],), g)
