"""Convolutions of inference that are written late: normalisation, + residual, activation join.

This holds inside the outermost call of a module (``mode.waits``), which writes what still waits
before it returns: nobody outside ever holds a result that was not computed.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from .. import _watch, config
from .._grad_mode import mode, quiet, unquiet
from .._later import Later
from ..autograd import changed, pending, wrap
from ..ops import conv as ops
from ..packed import Packed
from ..spec import ConvSpec
from .kept import kept, normalization

Array = np.ndarray


def reachable(t: Any) -> bool:
    """Whether numpy code can change the memory of `t` unseen."""
    where = t._version_box[1]
    return where is not None and where.exposed


def conv_late(x: Any, weight: Any, bias: Any, spec: ConvSpec) -> Any:
    """The convolution as a tensor to be written late; None where it must be written now."""
    if not config.fusing() or reachable(x) or (bias is not None and reachable(bias)):
        return None
    packed = kept(weight)
    if packed is None:
        return None
    b = None if bias is None else bias._array
    return pending(ConvLater(spec, x._array, weight._array, b, packed))


class ConvLater(Later):
    """A convolution whose values are not written yet, with what has joined it.

    Without a graph. `coef` is that of a normalisation (``ops.norm.coefficients``), `residual` what
    is added after it.
    """

    __slots__ = (
        "bias", "coef", "dtype", "owner", "packed", "residual", "shape", "spec", "weight", "x"
    )  # fmt: skip

    def __init__(
        self, spec: ConvSpec, x: Array, weight: Array, bias: Array | None, packed: Packed
    ) -> None:
        self.spec, self.x, self.weight, self.bias, self.packed = spec, x, weight, bias, packed
        self.coef: Array | None = None
        self.residual: Array | None = None
        self.dtype, self.owner = x.dtype, threading.get_ident()
        shape: tuple[int, ...] = (spec.out_channels, *spec.out_size[3 - spec.ndim :])
        self.shape = (spec.batch, *shape) if x.ndim == spec.ndim + 2 else shape

    def sources(self) -> tuple[Array | None, ...]:
        """Input, weight, bias, and what was added; what is kept of the rest does not change."""
        return self.x, self.weight, self.bias, self.residual

    def write(self) -> Array:
        """The values, in one pass."""
        return self.compute(1.0, math.inf)

    def compute(self, slope: float, limit: float) -> Array:
        """The values after an activation."""
        x, spec, residual = self.x, self.spec, self.residual
        single = x.ndim == spec.ndim + 1
        if single:
            x = x[None]
            residual = None if residual is None else residual[None]
        token = quiet()
        try:
            y = ops.forward(
                spec, x, self.weight, self.bias, True, (slope, limit), residual, self.packed,
                self.coef,
            )  # fmt: skip
        finally:
            unquiet(token)
        return y[0] if single else y

    def also(self, coef: Array | None, residual: Array | None) -> ConvLater:
        """This with one more that has joined."""
        new = ConvLater(self.spec, self.x, self.weight, self.bias, self.packed)
        new.coef, new.residual = coef, residual
        return new

    def normalize(self, tensor: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: Any) -> Any:
        """Batch norm of evaluation, still late; None if that cannot join, or is an error."""
        if self.coef is not None or self.residual is not None or not free(tensor):
            return None
        if (
            type(eps) is not float
            or not 0 <= eps < math.inf
            or len(self.shape) == self.spec.ndim + 1
        ):
            return None
        if mean is None or var is None:
            return None
        for t in (mean, var, weight, bias):
            if t is not None and not self.fits(t):
                return None
        return pending(self.also(normalization(mean, var, weight, bias, eps), None))

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
        if self.residual is not None or other is tensor or not free(tensor):
            return None
        values = other._array
        if values.shape != self.shape or values.dtype != self.dtype or reachable(other):
            return None
        if mode.grad and other.requires_grad:
            return None
        later = self.also(self.coef, values)
        if not inplace:
            return pending(later)
        tensor._array = later
        changed(tensor)
        return tensor

    def activate(self, tensor: Any, slope: float, limit: float, inplace: bool = False) -> Any:
        """An activation of `tensor`, written now; None if that cannot join."""
        if not free(tensor):
            return None
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

    def name(self) -> str:
        """What it consists of."""
        norm, add = "Norm" * (self.coef is not None), "Add" * (self.residual is not None)
        return f"Convolution{norm}{add}"


def free(tensor: Any) -> bool:
    """Whether nobody has made a leaf of `tensor` meanwhile."""
    return not tensor._requires and tensor._node is None
