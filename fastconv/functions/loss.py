"""Losses in the graph, each one node from scores to the reduced value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Op
from ..ops import contract, elementwise
from ..ops import softmax as soft
from ..ops.layout import alike
from ..ops.reduce import mean, total
from .unary import direction

Array = np.ndarray


def reduced(loss: Array, reduction: str) -> Array:
    """The element losses as they are, their sum, or their mean."""
    if reduction == "none":
        return loss
    return np.asarray(total(loss) if reduction == "sum" else mean(loss), dtype=loss.dtype)


def class_rows(x: Array) -> Array:
    """Scores (N, C, *spatial) as (M, C), the classes last."""
    rows = x if x.ndim == 2 else np.moveaxis(x, 1, -1)
    return np.ascontiguousarray(rows).reshape(-1, x.shape[1])


def scores_like(rows: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of `class_rows`, a view."""
    if len(shape) == 2:
        return rows
    return np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1)


class ClassLoss(Op):
    """What cross-entropy and negative log-likelihood of class indices share.

    Scores (N, C, *), target (N, *) int64, weight (C,) or None. A target of `ignore` counts for
    nothing; the others have been checked to be below C.
    """

    labels: Array
    rows: Array
    sample: Array
    kept: Array
    divisor: Array | None
    target_shape: tuple[int, ...]
    reduction: str

    def prepare(self, target: Array, weight: Array | None, ignore: int, dtype: Any) -> None:
        """Row numbers, safe class indices and the weight of each sample."""
        flat = target.reshape(-1)
        kept = flat != ignore
        self.labels = np.where(kept, flat, 0)
        self.rows = np.arange(len(flat))
        if weight is None:
            self.sample = kept.astype(dtype)
        else:
            self.sample = np.where(kept, weight[self.labels], 0).astype(dtype)
        self.kept = kept

    def finish(self, loss: Array, target: Array, reduction: str) -> Array:
        """The reduced loss; remembers what an element's gradient is divided by."""
        self.target_shape, self.divisor, self.reduction = target.shape, None, reduction
        if reduction == "none":
            return loss.reshape(target.shape)
        if reduction == "mean":
            self.divisor = total(self.sample)
            return np.asarray(total(loss) / self.divisor, dtype=loss.dtype)
        return np.asarray(total(loss), dtype=loss.dtype)

    def upstream(self, g: Array) -> Array:
        """The gradient of each element's loss: (M,), or a scalar array."""
        if self.reduction == "none":
            return g.reshape(-1)
        return g if self.divisor is None else np.asarray(g / self.divisor, dtype=g.dtype)


class CrossEntropy(Op):
    """-log softmax(x) at the target class."""

    @staticmethod
    def forward(
        ctx: Any, x: Array, target: Array, weight: Array | None, ignore: int, reduction: str
    ) -> Array:
        # of both a copy: they may change before backward
        labels, weight = target.flatten(), None if weight is None else weight.copy()
        loss, p, sample, ctx.columns = soft.cross_entropy(x, labels, weight, ignore)
        ctx.weight, ctx.ignore, ctx.divisor, ctx.mean = weight, ignore, None, reduction == "mean"
        ctx.save(p, labels)
        if reduction == "none":
            return loss.reshape(target.shape)
        if not ctx.mean:
            return np.asarray(total(loss), dtype=loss.dtype)
        if sample is not None:
            ctx.divisor = total(sample)
        elif 0 <= ignore < x.shape[1] or labels.min(initial=0) < 0:
            ctx.divisor = x.dtype.type(np.count_nonzero(labels != ignore))
        else:
            ctx.divisor = x.dtype.type(labels.size)
        with np.errstate(invalid="ignore"):
            return np.asarray(total(loss) / ctx.divisor, dtype=loss.dtype)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        p, labels = ctx.saved
        if ctx.mean:
            with np.errstate(invalid="ignore", divide="ignore"):
                g = np.asarray(g / ctx.divisor, dtype=g.dtype)
        if g.ndim:  # one for each, perhaps broadcast
            g = np.ascontiguousarray(g).reshape(-1)
        return soft.cross_entropy_backward(p, labels, ctx.weight, ctx.ignore, g, ctx.columns)


class SmoothedCrossEntropy(ClassLoss):
    """-log softmax(x) at the target class, with label smoothing."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Array,
        target: Array,
        weight: Array | None,
        ignore: int,
        reduction: str,
        smoothing: float,
    ) -> Array:
        ctx.prepare(target, weight, ignore, x.dtype)
        ctx.shape, ctx.smoothing, ctx.weight = x.shape, smoothing, weight
        rows = class_rows(x)
        z = rows - rows.max(axis=1, keepdims=True)
        chosen = z[ctx.rows, ctx.labels]
        classes = x.shape[1]
        if smoothing:
            spread = total(z, (1,)) if weight is None else contract.matmul(z, weight)
        np.exp(z, out=z)
        whole = total(z, (1,), True)
        z /= whole
        log_total = np.log(whole[:, 0])
        loss = np.where(ctx.kept, (log_total - chosen) * ctx.sample, 0)
        if smoothing:
            mass = classes if weight is None else total(weight)
            smooth = np.where(ctx.kept, log_total * mass - spread, 0)
            loss = loss * (1 - smoothing) + smooth * (smoothing / classes)
        ctx.save(z)
        return ctx.finish(loss.astype(x.dtype, copy=False), target, reduction)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        up = ctx.upstream(g)
        (p,) = ctx.saved
        scale = up * ctx.sample
        if not ctx.smoothing:
            gx = p * scale[:, None]
            gx[ctx.rows, ctx.labels] -= scale
            if not ctx.kept.all():
                gx[~ctx.kept] = 0
            return scores_like(gx, ctx.shape)
        classes = p.shape[1]
        weight = np.ones(classes, p.dtype) if ctx.weight is None else ctx.weight
        main = scale * (1 - ctx.smoothing)
        even = np.where(ctx.kept, up * (ctx.smoothing / classes), 0).astype(p.dtype)
        gx = p * (main + even * total(weight))[:, None]
        gx -= even[:, None] * weight
        gx[ctx.rows, ctx.labels] -= main
        gx[~ctx.kept] = 0
        return scores_like(gx, ctx.shape)


class NllLoss(ClassLoss):
    """Minus the entry of x at the target class, x being log-probabilities."""

    @staticmethod
    def forward(
        ctx: Any, x: Array, target: Array, weight: Array | None, ignore: int, reduction: str
    ) -> Array:
        ctx.prepare(target, weight, ignore, x.dtype)
        ctx.shape = x.shape
        rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
        loss = np.where(ctx.kept, -rows[ctx.rows, ctx.labels] * ctx.sample, 0)
        return ctx.finish(loss.astype(x.dtype, copy=False), target, reduction)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        gx = np.zeros((len(ctx.rows), ctx.shape[1]), g.dtype)
        gx[ctx.rows, ctx.labels] = np.where(ctx.kept, -ctx.upstream(g) * ctx.sample, 0)
        return scores_like(gx, ctx.shape)


class PointwiseLoss(Op):
    """A loss of pairs (x, t) of one shape.

    A subclass gives `value(x, t, *params)` and `slopes(x, t, needs_t, *params)`, the derivatives
    with respect to x and, where needed, t.
    """

    @staticmethod
    def value(x: Array, t: Array, *params: Any) -> Array:
        raise NotImplementedError

    @staticmethod
    def slopes(x: Array, t: Array, needs_t: bool, *params: Any) -> tuple[Array, Array | None]:
        raise NotImplementedError

    @staticmethod
    def forward(ctx: Any, x: Array, t: Array, reduction: str, *params: Any) -> Array:
        ctx.reduction, ctx.params = reduction, params
        t = alike(x, t)
        ctx.save(x, t)
        return reduced(ctx.value(x, t, *params), reduction)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, Array | None]:
        x, t = ctx.saved
        if ctx.reduction == "mean":
            g = np.asarray(g / x.size if x.size else g * np.nan, dtype=g.dtype)
        dx, dt = ctx.slopes(x, t, ctx.needs[1], *ctx.params)
        dx *= g
        if dt is not None:
            dt *= g
        return dx, dt


class SquaredError(PointwiseLoss):
    """(x - t)²."""

    @staticmethod
    def value(x: Array, t: Array) -> Array:
        d = elementwise.sub(x, t)
        d *= d
        return d

    @staticmethod
    def slopes(x: Array, t: Array, needs_t: bool) -> tuple[Array, Array | None]:
        d = elementwise.sub(x, t)
        d *= 2
        return d, -d if needs_t else None


class AbsoluteError(PointwiseLoss):
    """|x - t|."""

    @staticmethod
    def value(x: Array, t: Array) -> Array:
        return np.abs(x - t)

    @staticmethod
    def slopes(x: Array, t: Array, needs_t: bool) -> tuple[Array, Array | None]:
        d = direction(x - t)
        return d, -d if needs_t else None


class SmoothL1(PointwiseLoss):
    """d² / (2 beta) where |d| < beta, |d| - beta / 2 elsewhere, with d = x - t."""

    @staticmethod
    def value(x: Array, t: Array, beta: float) -> Array:
        d = np.abs(x - t)
        return np.where(d < beta, 0.5 * d * d / beta, d - 0.5 * beta)

    @staticmethod
    def slopes(x: Array, t: Array, needs_t: bool, beta: float) -> tuple[Array, Array | None]:
        d = np.clip((x - t) / beta, -1, 1)
        return d, -d if needs_t else None


class Huber(PointwiseLoss):
    """d² / 2 where |d| <= delta, delta (|d| - delta / 2) elsewhere, with d = x - t."""

    @staticmethod
    def value(x: Array, t: Array, delta: float) -> Array:
        d = np.abs(x - t)
        return np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))

    @staticmethod
    def slopes(x: Array, t: Array, needs_t: bool, delta: float) -> tuple[Array, Array | None]:
        d = np.clip(x - t, -delta, delta)
        return d, -d if needs_t else None


class BinaryCrossEntropy(PointwiseLoss):
    """-(t log x + (1 - t) log(1 - x)), the logarithms not below -100."""

    @staticmethod
    def value(x: Array, t: Array) -> Array:
        high, low = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
        return (t - 1) * low - t * high

    @staticmethod
    def slopes(x: Array, t: Array, needs_t: bool) -> tuple[Array, Array | None]:
        dx = (x - t) / np.maximum((1 - x) * x, 1e-12)
        if not needs_t:
            return dx, None
        return dx, np.maximum(np.log1p(-x), -100) - np.maximum(np.log(x), -100)


class BinaryCrossEntropyLogits(PointwiseLoss):
    """Binary cross-entropy of sigmoid(x) without overflow; `pos` weighs the positive part."""

    @staticmethod
    def value(x: Array, t: Array, pos: Array | None) -> Array:
        soft = np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0)  # -log sigmoid(x)
        if pos is None:
            return (1 - t) * x + soft
        return (1 - t) * x + (1 + (pos - 1) * t) * soft

    @staticmethod
    def slopes(x: Array, t: Array, needs_t: bool, pos: Array | None) -> tuple[Array, Array | None]:
        s = elementwise.sigmoid(x)
        if pos is None:
            return s - t, -x if needs_t else None
        dx = (1 - t) - (1 + (pos - 1) * t) * (1 - s)
        if not needs_t:
            return dx, None
        return dx, (pos - 1) * (np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0)) - x


class Stirling(Op):
    """t log t - t + log(2 pi t) / 2, about log t!, where t > 1; 0 elsewhere."""

    @staticmethod
    def forward(ctx: Any, t: Array) -> Array:
        ctx.save(t)
        value = t * np.log(t) - t + 0.5 * np.log(2 * math.pi * t)
        return np.where(t <= 1, t.dtype.type(0), value)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        (t,) = ctx.saved
        return np.where(t <= 1, g.dtype.type(0), g * (np.log(t) + 0.5 / t))


class KlDiv(PointwiseLoss):
    """t (log t - x), or exp(t) (t - x) with t a logarithm; x is a log-probability."""

    @staticmethod
    def value(x: Array, t: Array, log_target: bool) -> Array:
        if log_target:
            return np.exp(t) * (t - x)
        return np.where(t == 0, 0, t * np.log(t)) - t * x

    @staticmethod
    def slopes(x: Array, t: Array, needs_t: bool, log_target: bool) -> tuple[Array, Array | None]:
        if log_target:
            e = np.exp(t)
            return -e, e * (t - x + 1) if needs_t else None
        return -t, np.where(t == 0, 0, np.log(t) + 1) - x if needs_t else None
