"""Fourier transforms as operations on real and imaginary parts, with gradients.

A transform is linear: its gradient is the conjugate transform, with the factors of the forward.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import Op

ndarray = np.ndarray


def _factor(norm: str, inverse: bool, count: int) -> float:
    """What the plain sum of a transform over `count` elements is multiplied by."""
    if norm == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if (norm == "backward") == inverse else 1.0


def _sums(z: ndarray, axes: tuple[int, ...], inverse: bool) -> ndarray:
    """The plain sums, without a factor, with exp(+i…) where `inverse`."""
    if inverse:
        return np.fft.ifftn(z, axes=axes, norm="forward")
    return np.fft.fftn(z, axes=axes)


class Transform(Op):
    """(re, im) → (re, im) of the transform over `axes`; both inputs of the full size."""

    @staticmethod
    def forward(
        ctx: Any, re: ndarray, im: ndarray, axes: tuple[int, ...], inverse: bool, norm: str
    ) -> Any:
        count = math.prod(re.shape[d] for d in axes)
        factor = _factor(norm, inverse, count)
        ctx.args, ctx.norm = (axes, inverse, factor, re.dtype), norm
        z = _sums(re + 1j * im, axes, inverse) * factor
        return z.real.astype(re.dtype), z.imag.astype(re.dtype)

    @staticmethod
    def backward(ctx: Any, gre: ndarray, gim: ndarray) -> Any:
        axes, inverse, factor, kind = ctx.args
        z = _sums(gre + 1j * gim, axes, not inverse) * factor
        return z.real.astype(kind), z.imag.astype(kind)
