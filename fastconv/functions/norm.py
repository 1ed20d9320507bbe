"""Normalisation in the graph, each one node with its derivative by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _watch
from .._grad_mode import mode
from .._later import Later
from ..autograd import Op, pending
from ..ops import elementwise, epilogue
from ..ops import local_response as response
from ..ops import norm as ops
from ..spec import NormSpec
from .joined import Joined, free, join

Array = np.ndarray


class Normalize(Op):
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel of x (N, C, *).

    With `constant` = (mean, var) these are what is normalised with (evaluation). Without, they are
    those of what shares them (`spec`), and the arrays `running` = (mean, var), each may be None,
    move towards them by `momentum`. weight and bias (C,) may each be None. Backward computes the
    normalised input anew. With `late`, the result waits for what comes next (:class:`NormLater`).
    """

    spec: NormSpec
    stats: Array
    coef: Array
    constant: bool
    weighted: bool
    biased: bool
    overwrites = True
    added = False  # whether a residual is the last tensor argument
    relu = False  # whether the result went through a ReLU, and is saved if a residual was added
    limit = math.inf  # where the ReLU was cut off

    @staticmethod
    def forward(
        ctx: Any,
        x: Array,
        weight: Array | None,
        bias: Array | None,
        spec: NormSpec,
        constant: tuple[Array, Array] | None,
        eps: float,
        running: tuple[Array | None, Array | None] = (None, None),
        momentum: float = 0.0,
        late: bool = False,
    ) -> Any:
        if constant is None:
            stats, coef = ops.statistics(spec, x, weight, bias, eps, running, momentum)
        else:
            stats, coef = ops.constants(spec, *constant, weight, bias, eps, x.dtype)
        ctx.spec, ctx.stats, ctx.coef, ctx.constant = spec, stats, coef, constant is not None
        ctx.weighted, ctx.biased = weight is not None, bias is not None
        ctx.save(x, weight)
        return NormLater(ctx, x, coef, None) if late else ops.apply(spec, x, coef)

    @classmethod
    def moving(
        cls, x: Any, weight: Any, bias: Any, spec: NormSpec, eps: float,
        running: tuple[Array | None, Array | None], momentum: float, late: bool,
    ) -> Any:  # fmt: skip
        """``apply`` for Tensors in training, without what a late result need not ask."""
        a = x._array
        if not late or _watch.recorder is not None:
            return cls.apply(x, weight, bias, spec, None, eps, running, momentum, late)
        ctx = cls()
        inputs = tuple([t for t in (x, weight, bias) if t is not None])
        graph = False
        if mode.grad:
            ctx.needs = needs = tuple([t.requires_grad for t in inputs])
            graph = True in needs
        else:
            ctx.needs = (False,) * len(inputs)
        w = None if weight is None else weight._array
        b = None if bias is None else bias._array
        ctx.stats, ctx.coef = ops.statistics(spec, a, w, b, eps, running, momentum)
        ctx.spec, ctx.constant = spec, False
        ctx.weighted, ctx.biased = weight is not None, bias is not None
        ctx.saved = a, w
        result = pending(NormLater(ctx, a, ctx.coef, None))
        if graph:
            ctx.record(inputs, (result,))
        return result

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        return ctx.gradients(g, ctx.relu, ctx.owned)

    def gradients(ctx: Any, g: Array, relu: bool, owned: bool) -> tuple[Array | None, ...]:
        """Those of all inputs from that of the result, before it goes through a ReLU or after."""
        x, weight, *rest = ctx.saved
        needs, added = ctx.needs, ctx.added
        affine = needs[1 : len(needs) - added]
        wanted = (needs[0], True in affine, added and needs[-1])
        y = rest[0] if rest else None
        gx, gw, gb, passed = ops.backward(
            ctx.spec, g, x, y, relu, weight, ctx.stats, ctx.coef, ctx.constant, wanted, ctx.limit,
            owned,
        )  # fmt: skip
        grads = [gx]
        if ctx.weighted:
            grads.append(gw)
        if ctx.biased:
            grads.append(gb)
        if added:
            grads.append(passed)
        return tuple(grads)


class NormLater(Later):
    """A normalisation whose values are not written yet: what is added and a ReLU can join.

    `node` is the operation as far as it goes; `residual` is what has joined it.
    """

    __slots__ = ("coef", "dtype", "node", "residual", "shape", "x")

    def __init__(self, node: Normalize, x: Array, coef: Array, residual: Array | None) -> None:
        self.node, self.x, self.coef, self.residual = node, x, coef, residual
        self.shape, self.dtype = x.shape, x.dtype

    def sources(self) -> tuple[Array | None, ...]:
        """The input, and what was added."""
        return self.x, self.residual

    def write(self) -> Array:
        """The values, in one pass."""
        self.node.needed = True
        return ops.apply(self.node.spec, self.x, self.coef, self.residual)

    def add(self, tensor: Any, other: Any, inplace: bool = False) -> Any:
        """``tensor + other``, written with it or still late; None if that cannot join."""
        if self.residual is not None or other is tensor or not free(self.node, tensor, inplace):
            return None
        values, where = other._array, other._version_box[1]
        if values.shape != self.shape or values.dtype != self.dtype:
            return None
        if where is not None and where.exposed:  # it may change unseen
            return None
        if not inplace and not elementwise.adds_alike(self.x, values):
            return None
        return self.join(tensor, other, False, inplace)

    def activate(self, tensor: Any, slope: float, limit: float, inplace: bool = False) -> Any:
        """``relu(tensor)`` up to the limit, written now; None if that cannot join."""
        if slope != 0 or not limit > 0 or not free(self.node, tensor, inplace):
            return None
        return self.join(tensor, None, True, inplace, limit)

    def join(
        self, tensor: Any, other: Any, relu: bool, inplace: bool, limit: float = math.inf
    ) -> Any:
        """One operation from the inputs of the normalisation in place of two from `tensor`."""
        before, ctx = self.node, NormJoined()
        ctx.spec, ctx.stats, ctx.coef = before.spec, before.stats, before.coef
        ctx.constant, ctx.weighted, ctx.biased = before.constant, before.weighted, before.biased
        ctx.added, ctx.relu = before.added or other is not None, relu
        ctx.last, ctx.keeps_result = relu, ctx.added
        ctx.watches_result = ctx.added or limit == math.inf  # as ReLU, whose result is saved
        if limit < math.inf:  # as Hardtanh in functions/activation.py
            ctx.limit, ctx.copies_output = limit, True
        values = self.residual if other is None else other._array
        return join(ctx, before, tensor, other, inplace, self, values, relu)


class NormJoined(Joined, Normalize):
    """A normalisation with what has joined it: + residual, and a ReLU, cut off or not."""

    overwrites = True

    @staticmethod
    def forward(ctx: Any, later: NormLater, residual: Array | None, relu: bool) -> Any:  # type: ignore[override]
        if not relu:
            return NormLater(ctx, later.x, later.coef, residual)
        return ops.apply(ctx.spec, later.x, later.coef, residual, True, ctx.limit)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, apart = ctx.saved[0], ctx.apart()
        relu, owned = ctx.relu, ctx.owned
        if relu and (apart or (ctx.added and ctx.needs[-1] and g.strides != x.strides)):
            if ctx.added:
                y = ctx.saved[2]
            else:
                y = ops.apply(ctx.spec, x, ctx.coef, None, True, ctx.limit)
            g, relu, owned = epilogue.backward(g, y, 0.0, ctx.limit, owned), False, False
        return ctx.alone(g) if apart else ctx.gradients(g, relu, owned)

    def name(self) -> str:
        """What it consists of."""
        last = "" if not self.relu else "Relu" if self.limit == math.inf else "Hardtanh"
        return f"Norm{'Add' if self.added else ''}{last}Backward0"


class BatchNorm(Normalize):
    """Statistics of each channel over the batch."""


class GroupNorm(Normalize):
    """Statistics of groups of channels of each image."""


class LayerNorm(Op):
    """Statistics over the last axes, of sizes `last`; weight and bias are of that shape or None."""

    last: tuple[int, ...]
    eps: float
    stats: Array
    affine: tuple[bool, bool]
    overwrites = True

    @staticmethod
    def forward(
        ctx: Any,
        x: Array,
        weight: Array | None,
        bias: Array | None,
        last: tuple[int, ...],
        eps: float,
    ) -> Array:
        w, b = (None if a is None else a.reshape(-1) for a in (weight, bias))
        y, ctx.stats = ops.layer_norm(x, math.prod(last), w, b, eps)
        ctx.last, ctx.eps, ctx.affine = last, eps, (weight is not None, bias is not None)
        ctx.save(x, weight)
        return y

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        x, weight = ctx.saved
        needs = iter(ctx.needs)
        wanted = (next(needs), *[given and next(needs) for given in ctx.affine])
        flat = None if weight is None else weight.reshape(-1)
        gx, *grads = ops.layer_norm_backward(
            g, x, math.prod(ctx.last), flat, ctx.stats, wanted, ctx.owned
        )
        shaped = [None if a is None else a.reshape(ctx.last) for a in grads]
        return gx, *[a for a, given in zip(shaped, ctx.affine, strict=True) if given]


class LocalResponse(Op):
    """x / (k + alpha · average of x² over `size` neighbouring channels)^beta, as AlexNet."""

    @staticmethod
    def forward(ctx: Any, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
        ctx.size, ctx.alpha, ctx.beta, ctx.k = size, alpha, beta, k
        ctx.save(x)
        return response.local_response(x, size, alpha, beta, k)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (x,) = ctx.saved
        return response.local_response_backward(g, x, ctx.size, ctx.alpha, ctx.beta, ctx.k)
