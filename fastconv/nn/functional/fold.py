"""`unfold` and `fold`: pictures as columns of windows, and back."""

from __future__ import annotations

from typing import Any

from ...functions._named import named
from ...functions.fold import Columns, Picture, Windows
from ...spec import as_tuple
from ...tensor import Tensor
from .common import check_floats


def _windows(
    name: str, picture: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Windows:
    """The geometry, checked."""
    kernel = as_tuple(name, "kernel_size", kernel_size, 2)
    dilation = as_tuple(name, "dilation", dilation, 2)
    padding = as_tuple(name, "padding", padding, 2)
    stride = as_tuple(name, "stride", stride, 2)
    for argument, values in (("kernel_size", kernel), ("dilation", dilation), ("stride", stride)):
        if min(values) < 1:
            raise ValueError(f"{name}(): {argument} must be positive, got {values}")
    if min(padding) < 0:
        raise ValueError(f"{name}(): padding must not be negative, got {padding}")
    count = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(picture, kernel, dilation, padding, stride, strict=True)
    )
    if min(count) < 1:
        raise ValueError(
            f"{name}(): no window of kernel_size {kernel}, dilation {dilation} and padding "
            f"{padding} fits into size {tuple(picture)}"
        )
    return Windows(tuple(picture), kernel, dilation, padding, stride, count)  # type: ignore[arg-type]


@named
def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The windows of pictures, each as a column.

    Parameters
    ----------
    input : Tensor
        (N, C, H, W) or (C, H, W).
    kernel_size, dilation, padding, stride : int or tuple of 2 ints

    Returns
    -------
    Tensor
        (N, C · kH · kW, windows), or without N.

    Raises
    ------
    ValueError, TypeError
        When no window fits, and for shapes and types that do not.
    """
    check_floats("unfold", input=input)
    shape = input._array.shape
    if len(shape) not in (3, 4):
        raise ValueError(f"unfold(): input must be (N, C, H, W) or (C, H, W), got shape {shape}")
    at = _windows("unfold", shape[-2:], kernel_size, dilation, padding, stride)
    if len(shape) == 3:
        return Columns.apply(input.unsqueeze(0), at).squeeze(0)
    return Columns.apply(input, at)  # type: ignore[no-any-return]


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Columns added up where their windows lie: the adjoint of `unfold`.

    Parameters
    ----------
    input : Tensor
        (N, C · kH · kW, windows), or without N.
    output_size : int or tuple of 2 ints
        (H, W).
    kernel_size, dilation, padding, stride : int or tuple of 2 ints

    Returns
    -------
    Tensor
        (N, C, H, W), or without N.

    Raises
    ------
    ValueError, TypeError
        For shapes and types that do not fit.
    """
    check_floats("fold", input=input)
    shape = input._array.shape
    if len(shape) not in (2, 3):
        raise ValueError(
            f"fold(): input must be (N, C · kH · kW, windows) or without N, got shape {shape}"
        )
    size = as_tuple("fold", "output_size", output_size, 2)
    at = _windows("fold", size, kernel_size, dilation, padding, stride)
    if shape[-2] % (at.kernel[0] * at.kernel[1]):
        raise ValueError(
            f"fold(): axis -2 of input {shape} must be divisible by the elements of "
            f"kernel_size {at.kernel}"
        )
    if shape[-1] != at.places[0] * at.places[1]:
        raise ValueError(
            f"fold(): input of shape {shape} must have {at.places[0]} · {at.places[1]} windows for "
            f"output_size {size}"
        )
    if len(shape) == 2:
        return Picture.apply(input.unsqueeze(0), at).squeeze(0)
    return Picture.apply(input, at)  # type: ignore[no-any-return]
