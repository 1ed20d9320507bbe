"""Sums, means, extremes and what else turns axes into numbers."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from .._watch import whole
from ..autograd import Op, TensorBase, wrap
from ..ops import reduce as ops
from ._named import named
from ._promote import cast, check_tensor, numpy_names, to_float
from .elementwise import into, maximum, minimum
from .elementwise import pow as _pow
from .gather import Gather, grid
from .shape import axes, axis
from .unary import abs as _abs

ndarray = np.ndarray
_total: Any = ops.total
Max = namedtuple("max", ("values", "indices"))  # type: ignore[name-match]
Min = namedtuple("min", ("values", "indices"))  # type: ignore[name-match]
Median = namedtuple("median", ("values", "indices"))  # type: ignore[name-match]


def _kept(y: ndarray, shape: tuple[int, ...], dims: tuple[int, ...]) -> ndarray:
    """`y` with the reduced axes back as size 1."""
    return y.reshape([1 if d in dims else n for d, n in enumerate(shape)])


def _count(shape: tuple[int, ...], dims: tuple[int, ...]) -> int:
    return math.prod([shape[d] for d in dims])


class Sum(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, dims: Any, keepdim: bool) -> Any:
        ctx.args = a.shape, dims, keepdim
        return _total(a, dims, keepdim)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        shape, dims, keepdim = ctx.args
        if not keepdim and g.ndim:
            g = _kept(g, shape, dims)
        return np.broadcast_to(g, shape)


class Mean(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, dims: Any, keepdim: bool) -> Any:
        count = a.size if dims is None else _count(a.shape, dims)
        ctx.args = a.shape, dims, keepdim, count
        return ops.mean(a, dims, keepdim)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        shape, dims, keepdim, count = ctx.args
        if not keepdim and g.ndim:
            g = _kept(g, shape, dims)
        return np.broadcast_to(np.asarray(g / g.dtype.type(count)), shape)


class Prod(Op):
    """The gradient is the product of the others: those to the left times those to the right."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, dims: tuple[int, ...], keepdim: bool) -> Any:
        ctx.dims = dims
        if ctx.needs[0]:
            ctx.save(a)
        return ops.product(a, dims, keepdim)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        (a,) = ctx.saved
        dims = ctx.dims
        rest = [d for d in range(a.ndim) if d not in dims]
        order = (*rest, *dims)
        moved = a.transpose(order)
        flat = moved.reshape(*moved.shape[: len(rest)], -1)
        left, right = np.ones_like(flat), np.ones_like(flat)
        left[..., 1:] = ops.running_product(flat[..., :-1], flat.ndim - 1)
        right[..., :-1] = ops.running_product(flat[..., 1:], flat.ndim - 1, True)
        others = (left * right).reshape(moved.shape).transpose(np.argsort(order))
        return others * _kept(g, a.shape, dims)


class Var(Op):
    """Variance; with `root`, the standard deviation."""

    @staticmethod
    def forward(
        ctx: Any, a: ndarray, dims: tuple[int, ...], correction: float, keepdim: bool, root: bool
    ) -> Any:
        n = _count(a.shape, dims)
        free = a.dtype.type(n - correction if n > correction else 0)
        centre, y = ops.moments(a, dims, free)
        y = (np.sqrt(y) if root else y).astype(a.dtype)
        if ctx.needs[0]:
            ctx.save(a, centre, y if root else None)
            ctx.args = dims, free
        return y if keepdim else y.reshape([n for d, n in enumerate(a.shape) if d not in dims])

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        a, centre, y = ctx.saved
        dims, free = ctx.args
        deviation = np.subtract(a, centre, out=np.empty_like(a), casting="same_kind")
        scale = _kept(g, a.shape, dims) / free
        if y is None:
            return deviation * (scale + scale)
        scale = scale / y
        return deviation * np.where(y == 0, g.dtype.type(0), scale)


class Extreme(Op):
    """The largest or smallest element; equal ones share the gradient."""

    @staticmethod
    def forward(ctx: Any, a: ndarray, f: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
        y = f.reduce(a, axis=dims, keepdims=keepdim)
        if ctx.needs[0]:
            ctx.args = dims, keepdim
            ctx.save(a, np.asarray(y))
        return y

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        a, y = ctx.saved
        dims, _ = ctx.args
        y = _kept(y, a.shape, dims)
        hit = (a == y) | (np.isnan(a) & np.isnan(y))
        share = _kept(g, a.shape, dims) / np.add.reduce(hit, axis=dims, keepdims=True).astype(
            g.dtype
        )
        return np.where(hit, share, g.dtype.type(0))


class LogSumExp(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, dims: tuple[int, ...], keepdim: bool) -> Any:
        top = np.maximum.reduce(a, axis=dims, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, a.dtype.type(0))
        y = (np.log(ops.exponentials(a, dims, top)) + top).astype(a.dtype)
        if ctx.needs[0]:
            ctx.save(a, y)
            ctx.dims = dims
        return y if keepdim else y.reshape([n for d, n in enumerate(a.shape) if d not in dims])

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        a, y = ctx.saved
        y = np.where(y == -np.inf, y.dtype.type(0), y)  # of nothing: no element has a share
        return np.exp(a - y) * _kept(g, a.shape, ctx.dims)


class Norm2(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, dims: tuple[int, ...], keepdim: bool) -> Any:
        y = np.sqrt(ops.squares(a, dims)).astype(a.dtype)
        if ctx.needs[0]:
            ctx.save(a, y)
            ctx.dims = dims
        return y if keepdim else y.reshape([n for d, n in enumerate(a.shape) if d not in dims])

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        a, y = ctx.saved
        scale = _kept(g, a.shape, ctx.dims) / y
        return a * np.where(y == 0, g.dtype.type(0), scale)


class CumSum(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, dim: int) -> ndarray:
        ctx.dim = dim
        return ops.running_sum(a, dim)

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        return ops.running_sum(g, ctx.dim, True)


class CumProd(Op):
    @staticmethod
    def forward(ctx: Any, a: ndarray, dim: int) -> ndarray:
        y = ops.running_product(a, dim)
        if ctx.needs[0]:
            ctx.save(a, y)
            ctx.dim = dim
        return y

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        a, y = ctx.saved
        if np.all(a != 0):
            return ops.running_sum(g * y, ctx.dim, True) / a
        moved, gm = np.moveaxis(a, ctx.dim, 0), np.moveaxis(g, ctx.dim, 0)
        out = np.zeros_like(moved)
        left = np.ones_like(moved[0])
        for i in range(len(moved)):  # d y[j] / d a[i] = product of a[:j + 1] without a[i]
            run = left
            for j in range(i, len(moved)):
                run = run * moved[j] if j > i else run
                out[i] += gm[j] * run
            left = left * moved[i]
        return np.moveaxis(out, 0, ctx.dim)


def _typed(input: Any, dtype: Any, function: str) -> Any:
    check_tensor(input, "input", function)
    if dtype is not None:
        return cast(input, dtypes.to_numpy_dtype(dtype))
    return input


def _summable(input: Any, dtype: Any, function: str) -> Any:
    """Integers and bools are summed as int64."""
    input = _typed(input, dtype, function)
    if input._array.dtype.kind != "f":
        return cast(input, np.dtype(np.int64))
    return input


def _of_type(result: Any, dtype: Any) -> Any:
    """What was summed as int64, in the type that was asked for."""
    return result if dtype is None else cast(result, dtypes.to_numpy_dtype(dtype))


def _floating(input: Any, dtype: Any, function: str) -> Any:
    input = _typed(input, dtype, function)
    if input._array.dtype.kind != "f":
        raise TypeError(
            f"{function}: input must be floating point, got {input._array.dtype}; cast it first"
        )
    return input


@numpy_names
def sum(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """The sum over all axes, or over `dim`.

    Parameters
    ----------
    input : Tensor
        Integers and bools are summed as int64.
    dim : int or sequence of int, optional
    keepdim : bool
        Keep the axes, with size 1.
    dtype : dtype, optional
        Cast to this first; the type of the result.

    Returns
    -------
    Tensor
    """
    x = _summable(input, dtype, "sum")
    dims = None if dim is None and not keepdim else axes(dim, x._array.ndim, "sum")
    return into(out, _of_type(Sum.apply(x, dims, keepdim), dtype))


@numpy_names
def mean(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """The mean over all axes, or over `dim`; arguments as :func:`sum`.

    Raises
    ------
    TypeError
        If `input` is not floating point.
    """
    x = _floating(input, dtype, "mean")
    dims = None if dim is None and not keepdim else axes(dim, x._array.ndim, "mean")
    return into(out, Mean.apply(x, dims, keepdim))


@numpy_names
def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The product of all elements, or of those along `dim`."""
    x = _summable(input, dtype, "prod")
    return _of_type(Prod.apply(x, axes(dim, x._array.ndim, "prod"), keepdim), dtype)


@numpy_names
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum with NaN counted as zero."""
    check_tensor(input, "input", "nansum")
    return sum(input.masked_fill(wrap(np.isnan(input._array)), 0), dim, keepdim, dtype=dtype)


def _variance(
    input: Any, dim: Any, unbiased: Any, correction: Any, keepdim: bool, root: bool, name: str
) -> Any:
    x = _floating(input, None, name)
    if isinstance(dim, bool):  # var(input, unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    return Var.apply(x, axes(dim, x._array.ndim, name), correction, keepdim, root)


@numpy_names
def var(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Any:
    """The variance, divided by the number of elements less `correction` (1 by default)."""
    return _variance(input, dim, unbiased, correction, keepdim, False, "var")


@numpy_names
def std(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Any:
    """The standard deviation: the root of :func:`var`."""
    return _variance(input, dim, unbiased, correction, keepdim, True, "std")


@numpy_names
def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> tuple[Any, Any]:
    """:func:`var` and :func:`mean`."""
    v = _variance(input, dim, unbiased, correction, keepdim, False, "var_mean")
    return v, mean(input, None if isinstance(dim, bool) else dim, keepdim)


@numpy_names
def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> tuple[Any, Any]:
    """:func:`std` and :func:`mean`."""
    v = _variance(input, dim, unbiased, correction, keepdim, True, "std_mean")
    return v, mean(input, None if isinstance(dim, bool) else dim, keepdim)


def _nonempty(a: ndarray, dims: tuple[int, ...], function: str) -> None:
    if 0 in [a.shape[d] for d in dims]:
        raise ValueError(
            f"{function}: cannot reduce an axis of size 0 of a tensor of shape {a.shape}"
        )


@numpy_names
def amax(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element of all, or over `dim`; equal ones share the gradient."""
    check_tensor(input, "input", "amax")
    dims = axes(dim, input._array.ndim, "amax")
    _nonempty(input._array, dims, "amax")
    return Extreme.apply(input, np.maximum, dims, keepdim)


@numpy_names
def amin(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element of all, or over `dim`; equal ones share the gradient."""
    check_tensor(input, "input", "amin")
    dims = axes(dim, input._array.ndim, "amin")
    _nonempty(input._array, dims, "amin")
    return Extreme.apply(input, np.minimum, dims, keepdim)


@numpy_names
def aminmax(input: Any, *, dim: Any = None, keepdim: bool = False) -> tuple[Any, Any]:
    """:func:`amin` and :func:`amax`."""
    return amin(input, dim, keepdim), amax(input, dim, keepdim)


def _arg(input: Any, f: Any, dim: Any, keepdim: bool, name: str) -> Any:
    check_tensor(input, "input", name)
    a = input._array
    if dim is None:
        _nonempty(a, tuple(range(a.ndim)), name)
        out = np.asarray(f(a), np.int64)
        return wrap(out.reshape((1,) * a.ndim) if keepdim else out)
    d = axis(dim, a.ndim, name)
    if not a.ndim:
        return wrap(np.zeros((), np.int64))
    _nonempty(a, (d,), name)
    return wrap(np.asarray(f(a, axis=d, keepdims=keepdim)))


@numpy_names
def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The position of the largest element (the first of equal ones), flat or along `dim`."""
    return _arg(input, np.argmax, dim, keepdim, "argmax")


@numpy_names
def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The position of the smallest element (the first of equal ones), flat or along `dim`."""
    return _arg(input, np.argmin, dim, keepdim, "argmin")


def _pick(input: Any, indices: ndarray, d: int, keepdim: bool) -> tuple[Any, Any]:
    """Elements at `indices` (the axis kept with size 1), with a gradient only there."""
    values = Gather.apply(input, grid(d, indices), True) if input._array.ndim else input.clone()
    if keepdim or not input._array.ndim:
        return values, wrap(indices)
    return values.squeeze(d), wrap(np.squeeze(indices, d))


@whole("Along")
def _along(input: Any, f: Any, dim: Any, keepdim: bool, name: str) -> tuple[Any, Any]:
    a = input._array
    d = axis(dim, a.ndim, name)
    if not a.ndim:
        return input.clone(), wrap(np.zeros((), np.int64))
    _nonempty(a, (d,), name)
    return _pick(
        input,
        np.argmax(a, d, keepdims=True) if f is max else np.argmin(a, d, keepdims=True),
        d,
        keepdim,
    )


@numpy_names
def max(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The largest element; along `dim`, also where it is; of two tensors, the larger elements.

    Parameters
    ----------
    input : Tensor
    dim : int or Tensor, optional
        A Tensor gives ``maximum(input, dim)``.
    keepdim : bool

    Returns
    -------
    Tensor, or a named tuple (values, indices) with `dim`
    """
    check_tensor(input, "input", "max")
    if isinstance(dim, TensorBase):
        return into(out, maximum(input, dim))
    return into(out, amax(input)) if dim is None else Max(*_along(input, max, dim, keepdim, "max"))


@numpy_names
def min(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The smallest element; along `dim`, also where it is; of two tensors, the smaller elements.

    Parameters and result as :func:`max`.
    """
    check_tensor(input, "input", "min")
    if isinstance(dim, TensorBase):
        return into(out, minimum(input, dim))
    return into(out, amin(input)) if dim is None else Min(*_along(input, min, dim, keepdim, "min"))


@numpy_names
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element (the lower of two); along `dim`, also where it is. NaN if there is one."""
    check_tensor(input, "input", "median")
    flat = input.reshape(-1) if dim is None else input
    d = axis(0 if dim is None else dim, flat._array.ndim, "median")
    _nonempty(flat._array, (d,) if flat._array.ndim else (), "median")
    order = np.argsort(flat._array, d, kind="stable")
    middle = np.take(order, [(order.shape[d] - 1) // 2], d)
    if flat._array.dtype.kind == "f":
        nan = np.isnan(flat._array)
        middle = np.where(nan.any(d, keepdims=True), nan.argmax(d, keepdims=True), middle)
    values, indices = _pick(flat, middle, d, keepdim and dim is not None)
    return values if dim is None else Median(values, indices)


@numpy_names
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """The logarithm of the sum of exponentials over `dim`, without overflow.

    Where every element is -inf the result is -inf, and the gradient 0: no element has a share in it
    (PyTorch's is NaN).
    """
    check_tensor(input, "input", "logsumexp")
    x = to_float(input)
    return LogSumExp.apply(x, axes(dim, x._array.ndim, "logsumexp"), keepdim)


@numpy_names
def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The vector p-norm over all axes, or over `dim`.

    Parameters
    ----------
    input : Tensor
        Floating point.
    p : number, inf, -inf, or "fro"
        "fro" is 2; 0 counts the non-zero elements.
    """
    x = _floating(input, dtype, "norm")
    dims = axes(dim, x._array.ndim, "norm")
    if p == "fro" or p is None or p == 2:
        return Norm2.apply(x, dims, keepdim)
    if not isinstance(p, (int, float)):
        raise ValueError(f"norm: p must be a number or 'fro', got {p!r}")
    if p == 0:
        return Sum.apply(wrap((x._array != 0).astype(x._array.dtype)), dims, keepdim)
    size = _abs(x)
    if p == 1:
        return Sum.apply(size, dims, keepdim)
    if math.isinf(p):
        return (amax if p > 0 else amin)(size, dims, keepdim)
    return _pow(Sum.apply(_pow(size, p), dims, keepdim), 1.0 / p)


@named
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of ``input - other``."""
    return norm(input - other, p)


@numpy_names
def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running sums along `dim`."""
    x = _summable(input, dtype, "cumsum")
    d = axis(dim, x._array.ndim, "cumsum")
    return _of_type(CumSum.apply(x, d) if x._array.ndim else x.clone(), dtype)


@numpy_names
def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running products along `dim`."""
    x = _summable(input, dtype, "cumprod")
    d = axis(dim, x._array.ndim, "cumprod")
    return _of_type(CumProd.apply(x, d) if x._array.ndim else x.clone(), dtype)


def _logical(f: Callable[..., Any], input: Any, dim: Any, keepdim: bool, name: str) -> Any:
    check_tensor(input, "input", name)
    found = f(input._array, axis=axes(dim, input._array.ndim, name), keepdims=keepdim)
    return wrap(np.asarray(found, np.uint8 if input._array.dtype == np.uint8 else np.bool_))


@numpy_names
def any(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether any element is non-zero, of all or over `dim`: a bool tensor."""
    return _logical(np.any, input, dim, keepdim, "any")


@numpy_names
def all(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether all elements are non-zero, of all or over `dim`: a bool tensor."""
    return _logical(np.all, input, dim, keepdim, "all")


@named
def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements are not zero, of all or over `dim`."""
    check_tensor(input, "input", "count_nonzero")
    return wrap(
        np.asarray(
            np.count_nonzero(input._array, axis=axes(dim, input._array.ndim, "count_nonzero"))
        )
    )
