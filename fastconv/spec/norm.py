"""Geometry of a normalisation: which elements share their statistics."""

from __future__ import annotations

import math
from typing import Any

from fastconv.caches import cached


class NormSpec:
    """Normalisation of an array (N, C, *spatial); immutable.

    The images form `sets` of `batch` images each. Every channel of a set has statistics of its own;
    `pool` neighbouring channels then share theirs. Kernels see the channels only.

    Attributes
    ----------
    shape : tuple of int
        Of the array.
    sets, batch, channels, space, pool : int
        ``sets * batch`` is N, `space` the product of the spatial sizes.
    """

    __slots__ = ("batch", "cache", "channels", "pool", "sets", "shape", "space")

    def __init__(self, shape: tuple[int, ...], sets: int = 1, pool: int = 1) -> None:
        self.shape = shape
        self.sets = sets
        self.batch = shape[0] // sets if sets else 0
        self.channels = shape[1]
        self.space = math.prod(shape[2:])
        self.pool = pool
        self.cache: dict[Any, Any] = {}

    @property
    def count(self) -> int:
        """Elements that share their statistics."""
        return self.batch * self.space * self.pool

    def __repr__(self) -> str:
        return f"NormSpec(shape={self.shape}, sets={self.sets}, pool={self.pool})"


@cached(1024)
def batch_norm_spec(shape: tuple[int, ...]) -> NormSpec:
    """All images of (N, C, *spatial) together, each channel on its own."""
    return NormSpec(shape)


@cached(1024)
def group_norm_spec(shape: tuple[int, ...], groups: int) -> NormSpec:
    """Every image of (N, C, *spatial) on its own, its channels in `groups` (a divisor of C)."""
    return NormSpec(shape, shape[0], shape[1] // groups)
