"""Pooling, of windows and of everything."""

from __future__ import annotations

import math
from typing import Any

from ...nn import functional as F
from ..base import Layer, backward_order, forward_order, tuple_of
from .geometry import check_channels_last, check_padding, padded, same_pads

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


class _Pool(Layer):
    rank, empty = 2, -math.inf
    function: Any = MAX

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **other: Any,
    ) -> None:
        super().__init__(**other)
        check_channels_last(data_format)
        self.pool_size = tuple_of(pool_size, self.rank, "pool_size")
        self.strides = tuple_of(pool_size if strides is None else strides, self.rank, "strides")
        self.padding = check_padding(padding)

    def call(self, x: Any) -> Any:
        x = forward_order(x)
        pool = self.function[self.rank]
        if self.padding == "valid":
            return backward_order(pool(x, self.pool_size, self.strides))
        pads = same_pads(x.shape[2:], self.pool_size, self.strides, (1,) * self.rank)
        y = pool(padded(x, pads, self.empty), self.pool_size, self.strides)
        return backward_order(self.corrected(y, x, pads))

    def corrected(self, y: Any, x: Any, pads: Any) -> Any:
        """The result without what the borders did to it."""
        return y


class MaxPooling1D(_Pool):
    """Maxima of windows of (N, L, C); arguments as :class:`MaxPooling2D`."""

    rank = 1


class MaxPooling2D(_Pool):
    """Maxima of windows of (N, H, W, C).

    Parameters
    ----------
    pool_size, strides : int or (int, int)
        `strides` is `pool_size` when not given.
    padding : "valid" or "same"
    """


class MaxPooling3D(_Pool):
    """Maxima of windows of (N, D, H, W, C); arguments as :class:`MaxPooling2D`."""

    rank = 3


class _Average(_Pool):
    function, empty = AVERAGE, 0.0

    def corrected(self, y: Any, x: Any, pads: Any) -> Any:
        # borders do not count: averages of ones say how much of a window is inside
        inside = padded(x.detach()[:1, :1] * 0 + 1, pads)
        return y / self.function[self.rank](inside, self.pool_size, self.strides)


class AveragePooling1D(_Average):
    """Averages of windows of (N, L, C); arguments as :class:`MaxPooling2D`."""

    rank = 1


class AveragePooling2D(_Average):
    """Averages of windows of (N, H, W, C); arguments as :class:`MaxPooling2D`."""


class AveragePooling3D(_Average):
    """Averages of windows of (N, D, H, W, C); arguments as :class:`MaxPooling2D`."""

    rank = 3


class _Global(Layer):
    def __init__(self, keepdims: bool = False, **other: Any) -> None:
        super().__init__(**other)
        self.keepdims = keepdims


class GlobalAveragePooling1D(_Global):
    """The mean over all positions: (N, *, C) to (N, C)."""

    def call(self, x: Any) -> Any:
        return x.mean(tuple(range(1, x.ndim - 1)), keepdim=self.keepdims)


class GlobalMaxPooling1D(_Global):
    """The maximum over all positions: (N, *, C) to (N, C)."""

    def call(self, x: Any) -> Any:
        return x.amax(tuple(range(1, x.ndim - 1)), keepdim=self.keepdims)


class GlobalAveragePooling2D(GlobalAveragePooling1D):
    """The mean over all positions: (N, H, W, C) to (N, C)."""


class GlobalAveragePooling3D(GlobalAveragePooling1D):
    """The mean over all positions: (N, D, H, W, C) to (N, C)."""


class GlobalMaxPooling2D(GlobalMaxPooling1D):
    """The maximum over all positions: (N, H, W, C) to (N, C)."""


class GlobalMaxPooling3D(GlobalMaxPooling1D):
    """The maximum over all positions: (N, D, H, W, C) to (N, C)."""
