"""A sequence taken apart into its steps, in one node of the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op
from .join import cat, stack

Array = np.ndarray


class Steps(Op):
    """The slices along axis 0, which nothing may change in place; or runs of `sizes` slices."""

    packed: bool

    @staticmethod
    def forward(ctx: Any, a: Array, sizes: list[int] | None = None) -> Any:
        ctx.packed = sizes is not None
        if sizes is None:
            return tuple([a[i] for i in range(a.shape[0])])
        return tuple(np.split(a, np.cumsum(sizes)[:-1]))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (np.concatenate if ctx.packed else np.stack)(grads)

    def run_differentiable(self, grads: Any) -> tuple[Any, ...]:
        """The gradient with a graph of its own."""
        return ((cat if self.packed else stack)(list(grads)),)
