"""Padding as TensorFlow has it, and checks of arguments."""

from __future__ import annotations

import math
from typing import Any

from ...nn import functional as F
from ..base import Layer, Shape


def same_pads(sizes: Any, kernel: Any, stride: Any, dilation: Any) -> tuple[tuple[int, int], ...]:
    """Zeros before and after each axis so that the result has ceil(size / stride) elements."""
    pads = []
    for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


def padded(x: Any, pads: Any, value: float = 0.0) -> Any:
    """x (N, C, *) with borders, of (before, after) for each axis."""
    if not any(a or b for a, b in pads):
        return x
    return F.pad(x, [n for pair in reversed(pads) for n in pair], value=value)


def check_padding(padding: Any) -> str:
    if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
        raise ValueError(f"padding must be 'valid' or 'same', got {padding!r}")
    return padding.lower()


def check_channels_last(data_format: Any) -> None:
    if data_format not in (None, "channels_last"):
        raise ValueError(f"data_format must be 'channels_last', got {data_format!r}")


def check_rank(layer: Layer, shape: Shape, rank: int) -> None:
    if len(shape) != rank:
        raise ValueError(
            f"{layer.name} takes inputs of {rank} axes, the batch included, got shape {shape}"
        )
