"""Gradients of reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import reduce as red
from ..join import stack
from ..shape import flip
from ..unary import exp, where
from . import argument, constant, formula, kept, result, rule


@rule(red.Sum)
def _sum(node: Any, g: Any) -> Any:
    shape, dims, keepdim = node.args
    return (g if keepdim else kept(g, shape, dims)).expand(shape)


@rule(red.Mean)
def _mean(node: Any, g: Any) -> Any:
    shape, dims, keepdim, count = node.args
    return (g if keepdim else kept(g, shape, dims)).expand(shape) / count


@rule(red.Prod)
def _prod(node: Any, g: Any) -> Any:
    (a,) = node.saved
    if not a.all():
        raise NotImplementedError(
            f"{node.name()}: gradients of gradients (create_graph=True) are not implemented for a "
            "product with a zero among its factors"
        )
    x = argument(node, 0, a)
    return kept(g, a.shape, node.dims) * red.Prod.apply(x, node.dims, True) / x


@rule(red.Var)
def _var(node: Any, g: Any) -> Any:
    a, _, y = node.saved
    dims, free = node.args
    x = argument(node, 0, a)
    d = x - x.mean(dims, keepdim=True)
    # the mean's share of the gradient is zero: deviations sum up to nothing
    scale = kept(g, a.shape, dims) / float(free)
    if y is None:
        return d * (scale + scale)
    zero = constant(y == 0)
    square = (d * d).sum(dims, keepdim=True) / float(free)
    root = where(zero, 1.0, square).sqrt()
    return d * where(zero, 0.0, scale / root)


@rule(red.Extreme)
def _extreme(node: Any, g: Any) -> Any:
    a, y = node.saved
    dims, _ = node.args
    y = red._kept(y, a.shape, dims)
    hit = (a == y) | (np.isnan(a) & np.isnan(y))
    share = hit / np.add.reduce(hit, axis=dims, keepdims=True)
    return kept(g, a.shape, dims) * constant(share.astype(a.dtype))


@rule(red.LogSumExp)
def _logsumexp(node: Any, g: Any) -> Any:
    a, y = node.saved
    shape = tuple([n for d, n in enumerate(a.shape) if d not in node.dims])
    same = g._array.shape == y.shape
    t = result(node, y if same else y.reshape(shape))
    t = t if same else t.reshape(y.shape)
    t = where(constant(y == -np.inf), 0.0, t)
    return exp(argument(node, 0, a) - t) * kept(g, a.shape, node.dims)


@rule(red.Norm2)
def _norm(node: Any, g: Any) -> Any:
    a, y = node.saved
    x = argument(node, 0, a)
    zero = constant(y == 0)
    root = where(zero, 1.0, (x * x).sum(node.dims, keepdim=True)).sqrt()
    return x * where(zero, 0.0, kept(g, a.shape, node.dims) / root)


@rule(red.CumSum)
def _cumsum(node: Any, g: Any) -> Any:
    return flip(red.cumsum(flip(g, node.dim), node.dim), node.dim)


@rule(red.CumProd)
def _cumprod(node: Any, g: Any) -> Any:
    a, _ = node.saved
    if not a.all():
        raise NotImplementedError(
            f"{node.name()}: gradients of gradients (create_graph=True) are not implemented for a "
            "product with a zero among its factors"
        )
    d = node.dim

    def steps(x: Any) -> Any:
        run = x.select(d, 0)
        found = [run]
        for i in range(1, a.shape[d]):
            run = run * x.select(d, i)
            found.append(run)
        return stack(found, d)

    return formula(node, steps, (a,), g)
