"""Memory formats: which order elements lie in, and copies in another."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..autograd import Op
from ._promote import check_tensor

ndarray = np.ndarray


class Clone(Op):
    """A copy; `order` "K" keeps the layout, "C" makes it contiguous, "L" channels-last."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, order: Any) -> ndarray:
        return channels_last(a, copy=True) if order == "L" else np.array(a, order=order)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        return g


def is_channels_last(a: ndarray) -> bool:
    """Whether the channels of a 4-D or 5-D array lie next to each other, otherwise in order."""
    if a.ndim not in (4, 5):
        return False
    step = a.itemsize
    for d in (1, *range(a.ndim - 1, 1, -1), 0):
        if a.shape[d] != 1:
            if a.strides[d] != step:
                return False
            step *= a.shape[d]
    return True


def channels_last(a: ndarray, copy: bool = False) -> ndarray:
    """The same shape with channels-last strides; `a` itself if it has them and `copy` is false."""
    if not copy and is_channels_last(a):
        return a
    rank = a.ndim
    forth, back = (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))
    return np.array(a.transpose(forth), order="C").transpose(back)


def format_order(a: ndarray, memory_format: Any, function: str) -> str:
    """The order letter of :class:`Clone` for a memory format."""
    if memory_format is None or memory_format is dtypes.preserve_format:
        return "K"
    if memory_format is dtypes.contiguous_format:
        return "C"
    if memory_format is dtypes.channels_last or memory_format is dtypes.channels_last_3d:
        rank = 4 if memory_format is dtypes.channels_last else 5
        if a.ndim != rank:
            raise ValueError(f"{function}: {memory_format} needs {rank} axes, got shape {a.shape}")
        return "L"
    raise TypeError(f"{function}: memory_format must be a memory format, got {memory_format!r}")


def has_order(a: ndarray, order: str) -> bool:
    """Whether `a` lies in memory in the order of that letter."""
    return order == "K" or (is_channels_last(a) if order == "L" else a.flags.c_contiguous)


def contiguous(input: Any, memory_format: Any = dtypes.contiguous_format) -> Any:
    """The tensor itself if it lies in memory in that format, else a copy that does."""
    check_tensor(input, "input", "contiguous")
    order = format_order(input._array, memory_format, "contiguous")
    return input if has_order(input._array, order) else Clone.apply(input, order)


def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy, through which gradients flow."""
    check_tensor(input, "input", "clone")
    return Clone.apply(input, format_order(input._array, memory_format, "clone"))
