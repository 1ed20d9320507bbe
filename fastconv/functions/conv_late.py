"""Convolutions that are written late: normalisation, + residual, activation join.

This holds inside the outermost call of a module (``mode.waits``), which writes what still waits
before it returns: nobody outside ever holds a result that was not computed.
"""

from __future__ import annotations

import math
from threading import get_ident
from typing import Any

import numpy as np

from .. import _watch, config
from .._changes import memory
from .._grad_mode import mode, quiet, unquiet
from .._later import Later
from ..autograd import Op, changed, pending, wrap
from ..ops import conv as ops
from ..ops import elementwise, epilogue
from ..packed import Packed
from ..spec import ConvSpec
from . import joined
from .conv import Convolution, gradients
from .kept import kept, normalization, normalized

Array = np.ndarray


def reachable(t: Any) -> bool:
    """Whether numpy code can change the memory of `t` unseen."""
    where = t._version_box[1]
    return where is not None and where.exposed


def conv_late(x: Any, weight: Any, bias: Any, spec: ConvSpec) -> Any:
    """The convolution as a tensor to be written late; None where it must be written now."""
    if not config.fusing():
        return None
    b = None if bias is None else bias._array
    unseen = reachable(x) or (bias is not None and reachable(bias))
    packed = kept(weight)
    needs: tuple[bool, ...] = ()
    if mode.grad:
        inputs = (x, weight) if bias is None else (x, weight, bias)
        needs = tuple([t.requires_grad for t in inputs])
    if True not in needs:
        if unseen or packed is None:
            return None
        return pending(ConvLater(spec, x._array, weight._array, b, packed))
    place = memory(weight)
    if place.apart and not mode.again:
        return None
    node = Convolution()
    node.needs = needs
    node.remember(None, (x._array, weight._array, b, spec, packed))
    later = ConvLater(spec, x._array, weight._array, b, packed)
    later.node, later.place = node, place
    if unseen or place.exposed:
        later.compute_now()
    result = pending(later)
    node.record(inputs, (result,))
    return result


class ConvLater(Later):
    """A convolution whose values are not written yet, with what has joined it.

    `coef` is that of a normalisation (``ops.norm.coefficients``), only without a graph; `residual`
    what is added after it. With a graph, `node` is the operation as far as it goes. `y` is the
    convolution itself where it could not wait, because its operands may change unseen: then what
    joins is a pass of its own, and saves backward one.
    """

    __slots__ = (
        "bias", "coef", "dtype", "node", "owner", "packed", "place", "residual", "shape", "spec",
        "weight", "x", "y",
    )  # fmt: skip

    def __init__(
        self, spec: ConvSpec, x: Array, weight: Array, bias: Array | None, packed: Packed | None
    ) -> None:
        self.spec, self.x, self.weight, self.bias, self.packed = spec, x, weight, bias, packed
        self.coef: Array | None = None
        self.residual: Array | None = None
        self.node: Op | None = None
        self.place: Any = None  # the Memory of the weight, with a graph
        self.y: Array | None = None
        self.dtype, self.owner = x.dtype, get_ident()
        shape = spec.shapes[spec.ndim + 2][2]
        self.shape = shape if x.ndim == spec.ndim + 2 else shape[1:]

    def sources(self) -> tuple[Array | None, ...]:
        """Input, weight, bias, and what was added; what is kept of the rest does not change."""
        return self.x, self.weight, self.bias, self.residual

    def compute_now(self) -> None:
        """The convolution before anything joins."""
        if _watch.recorder is None:
            self.y = self.compute(*epilogue.NONE)
        else:
            self.y = _watch.recorder.measure(
                self.name(), "forward", self.sources(), self.compute, *epilogue.NONE
            )

    def write(self) -> Array:
        """The values, in one pass."""
        if self.node is not None:
            self.node.needed = True
        if self.place is not None and self.residual is None:  # nothing joins: in future not put off
            self.place.apart = True
        return self.compute(*epilogue.NONE)

    def compute(self, slope: float, limit: float) -> Array:
        """The values after an activation."""
        x, spec, residual = self.x, self.spec, self.residual
        if self.y is None and x.ndim == spec.ndim + 2:
            call = ops.ready("conv_forward", spec, self.dtype, x.ndim)
            finish: Any = slope, limit, residual, self.coef
            if residual is None and self.coef is None and (slope, limit) == epilogue.NONE:
                finish = None
            return call(x, self.weight, self.bias, None, finish, self.packed)  # type: ignore[no-any-return]
        token = quiet()
        try:
            if self.y is not None:
                y = self.y if residual is None else elementwise.add_as(self.y, residual)
                return y if (slope, limit) == epilogue.NONE else epilogue.activate(y, slope, limit)
            single = x.ndim == spec.ndim + 1
            if single:
                x = x[None]
                residual = None if residual is None else residual[None]
            y = ops.forward(
                spec, x, self.weight, self.bias, True, (slope, limit), residual, self.packed,
                self.coef,
            )  # fmt: skip
        finally:
            unquiet(token)
        return y[0] if single else y

    def also(self, coef: Array | None, residual: Array | None, node: Op | None) -> ConvLater:
        """This with one more that has joined."""
        new = ConvLater(self.spec, self.x, self.weight, self.bias, self.packed)
        new.coef, new.residual, new.node, new.place = coef, residual, node, self.place
        new.y = self.y
        return new

    def normalize(self, tensor: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: Any) -> Any:
        """Batch norm of evaluation, still late; None if that cannot join, or is an error."""
        if self.coef is not None or self.residual is not None or self.node is not None:
            return None
        if tensor._requires or tensor._node is not None or len(self.shape) == self.spec.ndim + 1:
            return None
        if type(eps) is not float or not 0 <= eps < math.inf or mean is None or var is None:
            return None
        coef = None
        if not mode.grad:  # what is kept was found to fit before
            coef = normalized(mean, var, weight, bias, eps)
            if coef is not None and (coef.shape[1] != self.shape[1] or coef.dtype != self.dtype):
                coef = None
        if coef is None:
            for t in (mean, var, weight, bias):
                if t is not None and not self.fits(t):
                    return None
            coef = normalization(mean, var, weight, bias, eps)
        return pending(self.also(coef, None, None))

    def fits(self, t: Any) -> bool:
        """Whether `t` has one value for each channel, and no gradient to record."""
        a = getattr(t, "_array", None)
        return (
            type(a) is np.ndarray
            and a.shape == (self.spec.out_channels,)
            and a.dtype == self.dtype
            and not (mode.grad and t.requires_grad)
        )

    def add(self, tensor: Any, other: Any, inplace: bool = False) -> Any:
        """``tensor + other``, still late; None if that cannot join."""
        if self.residual is not None or other is tensor or not self.free(tensor, inplace):
            return None
        values = other._array
        if values.shape != self.shape or values.dtype != self.dtype or reachable(other):
            return None
        if not inplace:
            single = len(self.shape) == self.spec.ndim + 1
            if not elementwise.adds_alike(None, values[None] if single else values):
                return None
        if self.node is not None:
            return self.join(tensor, other, None, inplace)
        if mode.grad and other.requires_grad:
            return None
        later = self.also(self.coef, values, None)
        if not inplace:
            return pending(later)
        tensor._array = later
        changed(tensor)
        return tensor

    def activate(self, tensor: Any, slope: float, limit: float, inplace: bool = False) -> Any:
        """An activation of `tensor`, written now; None if that cannot join."""
        if not self.free(tensor, inplace):
            return None
        if self.node is not None:
            known = slope == 0 or (slope > 0 and limit == math.inf)
            return self.join(tensor, None, (slope, limit), inplace) if known else None
        if _watch.recorder is None:
            y = self.compute(slope, limit)
        else:
            y = _watch.recorder.measure(
                f"{self.name()}Activation",
                "forward",
                self.sources(),
                lambda: self.compute(slope, limit),
            )
        if not inplace:
            return wrap(y)
        tensor._array = y
        changed(tensor)
        return tensor

    def free(self, tensor: Any, inplace: bool = False) -> bool:
        """Whether nobody looks at `tensor` itself, or has made a leaf of it meanwhile."""
        if self.node is not None:
            return joined.free(self.node, tensor, inplace)
        return not tensor._requires and tensor._node is None

    def join(
        self, tensor: Any, other: Any, activation: tuple[float, float] | None, inplace: bool
    ) -> Any:
        """One operation from the inputs of the convolution in place of two from `tensor`."""
        before: Any = self.node
        ctx = ConvolutionJoined()
        ctx.spec, ctx.single, ctx.biased = before.spec, before.single, before.biased
        ctx.added, ctx.activation = self.residual is not None or other is not None, activation
        ctx.last = activation is not None
        ctx.copies_output = activation is not None and activation != (0, math.inf)  # as Hardtanh
        residual = self.residual if other is None else other._array
        arrays = self.x, self.weight, self.bias, residual
        return joined.join(ctx, before, tensor, other, inplace, *arrays, self)

    def name(self) -> str:
        """What it consists of."""
        norm, add = "Norm" * (self.coef is not None), "Add" * (self.residual is not None)
        return f"Convolution{norm}{add}"


class ConvolutionJoined(joined.Joined, Convolution):
    """A convolution with what has joined it: + residual, and an activation of the ReLU family."""

    overwrites = True
    activation: tuple[float, float] | None = None  # its slope and limit; its result is saved

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Array, w: Array, b: Array | None, residual: Array | None, later: ConvLater
    ) -> Any:
        if ctx.activation is None:
            return later.also(None, residual, ctx)
        return later.compute(*ctx.activation)

    @staticmethod
    def backward(ctx: Any, g: Array) -> tuple[Array | None, ...]:
        gb = None
        if ctx.activation is not None:
            (slope, limit), y, found = ctx.activation, ctx.saved[2], None
            if ctx.biased and ctx.needs[2] and not ctx.apart():
                gs, ys = (g[None], y[None]) if ctx.single else (g, y)
                found = epilogue.backward_sums(gs, ys, slope, limit, ctx.owned)
            if found is None:
                g = epilogue.backward(g, y, slope, limit, ctx.owned)
            else:
                g, gb = found
                g = g[0] if ctx.single else g
        if ctx.apart():
            return ctx.alone(g)  # type: ignore[no-any-return]
        grads = gradients(ctx, g, gb)
        return (*grads, g if ctx.needs[-1] else None) if ctx.added else grads

    def name(self) -> str:
        """What it consists of."""
        last = ""
        if self.activation is not None:
            slope, limit = self.activation
            last = "LeakyRelu" if slope else "Relu" if limit == math.inf else "Hardtanh"
        return f"Convolution{'Add' if self.added else ''}{last}Backward0"
