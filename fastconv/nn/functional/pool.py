"""Pooling: max, average, power average, adaptive, and max unpooling."""

from __future__ import annotations

import math
from typing import Any

from ...functions._named import named, retell
from ...functions.pool import LPPool, MaxUnpool
from ...functions.pool import avg_pool as average
from ...functions.pool import max_pool as pool
from ...ops.check import index_array
from ...ops.pool import unpool_size
from ...spec import adaptive_pool_spec, as_tuple, pool_spec, split_batch
from ...tensor import Tensor
from .common import check_floats, check_tensor, number, same_floats


def _batched(input: Tensor, ndim: int, name: str) -> tuple[int, ...]:
    if not same_floats(input, input, None):
        check_floats(name, input=input)
    shape = input._array.shape
    return shape if len(shape) == ndim + 2 else split_batch(shape, ndim, name)[0]


def _max(
    ndim: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{ndim}d"
    shape = _batched(input, ndim, name)
    spec = pool_spec(shape, kernel_size, stride, padding, dilation, ceil_mode, ndim=ndim, name=name)
    return pool(input, spec, return_indices)


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum of each window over one spatial axis: see `max_pool2d`."""
    try:
        return _max(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    except Exception as error:
        retell(
            error,
            "max_pool1d",
            max_pool1d,
            (input, kernel_size, stride, padding, dilation, ceil_mode, return_indices),
            {},
        )


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum of each window over two spatial axes; NaN wins every window that it is in.

    Parameters
    ----------
    input : Tensor
        (N, C, H, W), or (C, H, W) without a batch; float32 or float64.
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        kernel_size when not given.
    padding : int or tuple of int
        At most half the kernel; a border that never wins.
    dilation : int or tuple of int
    ceil_mode : bool
        Round the output size up.
    return_indices : bool
        Return the flat index of each maximum in the spatial axes too, for `max_unpool2d`.

    Returns
    -------
    Tensor, or (Tensor, Tensor)

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    try:
        return _max(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    except Exception as error:
        retell(
            error,
            "max_pool2d",
            max_pool2d,
            (input, kernel_size, stride, padding, dilation, ceil_mode, return_indices),
            {},
        )


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum of each window over three spatial axes: see `max_pool2d`."""
    try:
        return _max(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    except Exception as error:
        retell(
            error,
            "max_pool3d",
            max_pool3d,
            (input, kernel_size, stride, padding, dilation, ceil_mode, return_indices),
            {},
        )


def _avg(
    ndim: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    name = f"avg_pool{ndim}d"
    shape = _batched(input, ndim, name)
    spec = pool_spec(
        shape,
        kernel_size,
        stride,
        padding,
        1,
        ceil_mode,
        count_include_pad,
        divisor_override,
        ndim,
        name,
    )
    return average(input, spec)


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Average of each window over one spatial axis: see `avg_pool2d`."""
    return _avg(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Average of each window over two spatial axes.

    Parameters
    ----------
    input : Tensor
        (N, C, H, W) or (C, H, W); float32 or float64.
    kernel_size, stride, padding : int or tuple of int
        stride is kernel_size when not given; padding is at most half the kernel.
    ceil_mode : bool
        Round the output size up.
    count_include_pad : bool
        Whether the padding's zeros count in the divisor.
    divisor_override : int, optional
        Divide by this instead.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError, TypeError
        Naming the argument, its value and the shapes.
    """
    return _avg(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Average of each window over three spatial axes: see `avg_pool2d`."""
    return _avg(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _adaptive_avg(ndim: int, input: Tensor, output_size: Any) -> Tensor:
    name = f"adaptive_avg_pool{ndim}d"
    shape = _batched(input, ndim, name)
    return average(input, adaptive_pool_spec(shape, output_size, ndim, name))


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Average over `output_size` windows that cover the axis."""
    return _adaptive_avg(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Average over a grid of windows that cover the image.

    Parameters
    ----------
    input : Tensor
        (N, C, H, W) or (C, H, W).
    output_size : int, or tuple of int or None
        None keeps the input's size on that axis.

    Returns
    -------
    Tensor
    """
    return _adaptive_avg(2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Average over a grid of windows that cover the volume: see `adaptive_avg_pool2d`."""
    return _adaptive_avg(3, input, output_size)


def _adaptive_max(ndim: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    name = f"adaptive_max_pool{ndim}d"
    shape = _batched(input, ndim, name)
    return pool(input, adaptive_pool_spec(shape, output_size, ndim, name), return_indices)


@named
def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over `output_size` windows that cover the axis."""
    return _adaptive_max(1, input, output_size, return_indices)


@named
def adaptive_max_pool1d_with_indices(input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool1d` with ``return_indices=True``: ``fastconv.adaptive_max_pool1d``."""
    return adaptive_max_pool1d(input, output_size, True)  # type: ignore[no-any-return]


@named
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over a grid of windows that cover the image: see `adaptive_avg_pool2d`."""
    return _adaptive_max(2, input, output_size, return_indices)


@named
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over a grid of windows that cover the volume: see `adaptive_avg_pool2d`."""
    return _adaptive_max(3, input, output_size, return_indices)


def _lp(
    ndim: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    name = f"lp_pool{ndim}d"
    norm_type = number(name, "norm_type", norm_type)
    if norm_type == 0:
        raise ValueError(f"{name}(): norm_type must not be 0")
    shape = _batched(input, ndim, name)
    spec = pool_spec(shape, kernel_size, stride, 0, 1, ceil_mode, ndim=ndim, name=name)
    count = math.prod(as_tuple(name, "kernel_size", kernel_size, ndim))
    return LPPool.apply(input, spec, norm_type, count)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """Power average over one spatial axis: see `lp_pool2d`."""
    return _lp(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^p)^(1/p) of each window over two spatial axes, p being `norm_type`.

    p = 1 is the sum; p = inf and -inf give the largest and the smallest |x|. Where p is no whole
    number |x|^p is summed: there PyTorch gives NaN for a negative x. A negative sum gives NaN.

    Parameters
    ----------
    input : Tensor
        (N, C, H, W) or (C, H, W).
    norm_type : float
    kernel_size, stride : int or tuple of int
    ceil_mode : bool

    Returns
    -------
    Tensor
    """
    return _lp(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """Power average over three spatial axes: see `lp_pool2d`."""
    return _lp(3, input, norm_type, kernel_size, stride, ceil_mode)


def _unpool(
    ndim: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
) -> Tensor:
    name = f"max_unpool{ndim}d"
    shape = _batched(input, ndim, name)
    check_tensor(name, "indices", indices)
    if indices._array.shape != input._array.shape:
        raise ValueError(
            f"{name}(): indices must have the input's shape {input._array.shape}, "
            f"got {indices._array.shape}"
        )
    size = unpool_size(name, shape, kernel_size, stride, padding, output_size)
    index_array(name, "indices", indices._array, math.prod(size))
    if indices._array.dtype.itemsize != 8:
        indices = indices.long()
    return MaxUnpool.apply(input, indices, size)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Partial inverse of `max_pool1d`: see `max_unpool2d`."""
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Partial inverse of `max_pool2d`: the maxima in their places, zeros elsewhere.

    Parameters
    ----------
    input : Tensor
        (N, C, H, W) or (C, H, W).
    indices : Tensor
        int64, of the same shape: what `max_pool2d(..., return_indices=True)` gave.
    kernel_size, stride, padding : int or tuple of int
        Those of the pooling.
    output_size : tuple of int, optional
        Which of the sizes that pool to the input's is wanted: less than one stride from
        ``(n - 1) * stride - 2 * padding + kernel_size``. PyTorch asks for that too, and refuses the
        sizes of dilated poolings; here one that a dilation of 2 or more pools to the input's is
        taken.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError, TypeError
        Also for an index outside the output.
    """
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Partial inverse of `max_pool3d`: see `max_unpool2d`."""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)
