"""Upsampling and downsampling in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op
from ..ops.resample import Scaling, resample

Array = np.ndarray


class Resample(Op):
    """x (N, C, *in) with its spatial axes resampled, one Scaling per axis (None: as it is)."""

    @staticmethod
    def forward(ctx: Any, x: Array, scalings: tuple[Scaling | None, ...]) -> Array:
        ctx.scalings = scalings
        return resample(x, scalings)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        return resample(g, ctx.scalings, transposed=True)
