"""The gradients of convolutions as functions: `conv2d_input`, `conv2d_weight` and their kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import enable_grad, grad
from ..creation import zeros
from . import functional as F

__all__ = [
    "conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input",
    "conv3d_weight",
]  # fmt: skip


def _pair(rank: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    conv = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[rank]

    def by_input(
        input_size: Any,
        weight: Any,
        grad_output: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        with enable_grad():
            x = zeros(tuple(input_size), dtype=weight.dtype, requires_grad=True)
            y = conv(x, weight.detach(), None, stride, padding, dilation, groups)
            return grad(y, x, grad_output)[0]

    def by_weight(
        input: Any,
        weight_size: Any,
        grad_output: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        with enable_grad():
            w = zeros(tuple(weight_size), dtype=input.dtype, requires_grad=True)
            y = conv(input.detach(), w, None, stride, padding, dilation, groups)
            return grad(y, w, grad_output)[0]

    by_input.__name__ = by_input.__qualname__ = f"conv{rank}d_input"
    by_input.__doc__ = f"The gradient of conv{rank}d by an input of size `input_size`."
    by_weight.__name__ = by_weight.__qualname__ = f"conv{rank}d_weight"
    by_weight.__doc__ = f"The gradient of conv{rank}d by a weight of size `weight_size`."
    return by_input, by_weight


conv1d_input, conv1d_weight = _pair(1)
conv2d_input, conv2d_weight = _pair(2)
conv3d_input, conv3d_weight = _pair(3)
