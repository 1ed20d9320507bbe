"""Activation functions and dropout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd import TensorBase
from ...functions import activation as ops
from ...functions._named import named, retell
from ...functions.unary import Sigmoid, Tanh, rectified, where
from ...random import rng
from ...spec import as_int
from ...tensor import Tensor, wrap
from .common import axis_of, check_floats, check_tensor, check_weight, number


def _apply(name: str, op: Any, input: Tensor, *args: Any, inplace: bool = False) -> Tensor:
    check_floats(name, input=input)
    return op.apply_(input, *args) if inplace else op.apply(input, *args)


def _joined(input: Any, slope: float, limit: float, inplace: bool) -> Any:
    """The activation done while `input`, which is not written yet, is; None otherwise."""
    later = getattr(input, "_later", None)
    return None if later is None else later.activate(input, slope, limit, inplace)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0); NaN stays NaN."""
    try:
        if not isinstance(input, TensorBase):
            check_tensor("relu", "input", input)
        if inplace:
            return input.relu_()
        later = input._later
        if later is not None:
            joined = later.activate(input, 0, math.inf)
            if joined is not None:
                return joined
        return rectified(input) if input._array.dtype.kind == "f" else input.relu()
    except Exception as error:
        retell(error, "relu", relu, (input, inplace), {})


@named
def relu_(input: Tensor) -> Tensor:
    """`relu` in place."""
    return relu(input, True)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where positive, negative_slope · x elsewhere."""
    try:
        negative_slope = number("leaky_relu", "negative_slope", negative_slope)
        if 0 < negative_slope < math.inf:  # 0 times infinity is not what a ReLU gives
            joined = _joined(input, negative_slope, math.inf, inplace)
            if joined is not None:
                return joined
        return _apply("leaky_relu", ops.LeakyRelu, input, negative_slope, inplace, inplace=inplace)
    except Exception as error:
        retell(error, "leaky_relu", leaky_relu, (input, negative_slope, inplace), {})


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x limited to [0, 6]."""
    try:
        joined = _joined(input, 0.0, 6.0, inplace)
        if joined is not None:
            return joined
        return _apply("relu6", ops.Hardtanh, input, 0.0, 6.0, inplace, inplace=inplace)
    except Exception as error:
        retell(error, "relu6", relu6, (input, inplace), {})


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x limited to [min_val, max_val]."""
    try:
        min_val = number("hardtanh", "min_val", min_val)
        max_val = number("hardtanh", "max_val", max_val)
        if min_val > max_val:
            raise ValueError(f"hardtanh(): min_val {min_val} is above max_val {max_val}")
        if min_val == 0:
            joined = _joined(input, 0.0, max_val, inplace)
            if joined is not None:
                return joined
        return _apply("hardtanh", ops.Hardtanh, input, min_val, max_val, inplace, inplace=inplace)
    except Exception as error:
        retell(error, "hardtanh", hardtanh, (input, min_val, max_val, inplace), {})


@named
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where above the threshold, `value` elsewhere."""
    threshold = number("threshold", "threshold", threshold)
    value = number("threshold", "value", value)
    return _apply("threshold", ops.Threshold, input, threshold, value, inplace=inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, alpha · (exp(x) - 1) elsewhere."""
    try:
        alpha = number("elu", "alpha", alpha)
        return _apply("elu", ops.Elu, input, alpha, inplace=inplace)
    except Exception as error:
        retell(error, "elu", elu, (input, alpha, inplace), {})


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """ELU scaled so that it keeps mean 0 and variance 1 (Klambauer et al. 2017)."""
    try:
        alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
        return _apply("selu", ops.Elu, input, alpha, scale, inplace=inplace)
    except Exception as error:
        retell(error, "selu", selu, (input, inplace), {})


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, alpha · (exp(x / alpha) - 1) elsewhere."""
    try:
        alpha = number("celu", "alpha", alpha)
        if alpha == 0:
            raise ValueError("celu(): alpha must not be 0")
        return _apply("celu", ops.Elu, input, alpha, 1, 1 / alpha, inplace=inplace)
    except Exception as error:
        retell(error, "celu", celu, (input, alpha, inplace), {})


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x), also called swish."""
    try:
        return _apply("silu", ops.Silu, input, inplace, inplace=inplace)
    except Exception as error:
        retell(error, "silu", silu, (input, inplace), {})


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x) with the normal distribution function, exact or ("tanh") approximated."""
    try:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"gelu(): approximate must be 'none' or 'tanh', got {approximate!r}")
        return _apply("gelu", ops.Gelu if approximate == "none" else ops.GeluTanh, input)
    except Exception as error:
        retell(error, "gelu", gelu, (input, approximate), {})


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · tanh(softplus(x))."""
    try:
        return _apply("mish", ops.Mish, input, inplace, inplace=inplace)
    except Exception as error:
        retell(error, "mish", mish, (input, inplace), {})


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · clip(x + 3, 0, 6) / 6."""
    try:
        return _apply("hardswish", ops.Hardswish, input, inplace, inplace=inplace)
    except Exception as error:
        retell(error, "hardswish", hardswish, (input, inplace), {})


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """clip(x + 3, 0, 6) / 6."""
    try:
        return _apply("hardsigmoid", ops.Hardsigmoid, input, inplace=inplace)
    except Exception as error:
        retell(error, "hardsigmoid", hardsigmoid, (input, inplace), {})


def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """log(1 + exp(beta · x)) / beta; x itself where beta · x is above the threshold."""
    beta, threshold = number("softplus", "beta", beta), number("softplus", "threshold", threshold)
    return _apply("softplus", ops.Softplus, input, beta, threshold)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    check_floats("softsign", input=input)
    return input / (1 + input.abs())


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    check_floats("tanhshrink", input=input)
    return input - input.tanh()


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| is above lambd, 0 elsewhere."""
    check_floats("hardshrink", input=input)
    lambd = number("hardshrink", "lambd", lambd)
    x = input._array
    rest = np.where(np.isnan(x), x, x.dtype.type(0))
    return where(wrap((x > lambd) | (x < -lambd)), input, wrap(rest))


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x brought nearer to 0 by lambd, which must not be negative."""
    check_floats("softshrink", input=input)
    lambd = number("softshrink", "lambd", lambd)
    if not lambd >= 0:
        raise ValueError(f"softshrink(): lambd must not be negative, got {lambd}")
    return input - input.clamp(-lambd, lambd)


def maxout(input: Tensor, pieces: int, dim: int = 1) -> Tensor:
    """The largest of every `pieces` neighbours along `dim` (Goodfellow et al. 2013).

    The size of `dim` must be divisible by `pieces`; it is divided by them.
    """
    check_floats("maxout", input=input)
    pieces, axis = as_int("maxout", "pieces", pieces), axis_of("maxout", dim, input.ndim)
    shape = input._array.shape
    if not shape or pieces < 1 or shape[axis] % pieces:
        raise ValueError(
            f"maxout(): axis {dim} of input {shape} must be divisible by pieces {pieces}"
        )
    parts = (*shape[:axis], shape[axis] // pieces, pieces, *shape[axis + 1 :])
    return input.reshape(parts).max(axis + 1)[0]


def _inplace(function: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    def changed(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        try:
            return function(input, *args, inplace=True, **kwargs)
        except Exception as error:
            retell(error, f"{name}_", function, (input, *args), kwargs)

    changed.__name__ = changed.__qualname__ = f"{name}_"
    changed.__doc__ = f"`{name}` in place."
    return changed


leaky_relu_ = _inplace(leaky_relu, "leaky_relu")
hardtanh_ = _inplace(hardtanh, "hardtanh")
threshold_ = _inplace(threshold, "threshold")
elu_ = _inplace(elu, "elu")
selu_ = _inplace(selu, "selu")
celu_ = _inplace(celu, "celu")


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return _apply("tanh", Tanh, input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return _apply("sigmoid", Sigmoid, input)


def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + exp(-x))) without overflow."""
    return _apply("logsigmoid", ops.LogSigmoid, input)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where positive, weight · x elsewhere; weight has one element or one per channel."""
    check_floats("prelu", input=input, weight=weight)
    check_weight("prelu", weight)
    size, shape = weight._array.size, input._array.shape
    channels = shape[1] if len(shape) > 1 else 1
    if size != 1 and size != channels:
        raise ValueError(
            f"prelu(): weight must have 1 element or one per channel ({channels}), "
            f"got {size} for input of shape {shape}"
        )
    return ops.Prelu.apply(input, weight)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a · sigmoid(b), a and b being the halves of the input along `dim`."""
    try:
        check_floats("glu", input=input)
        axis = axis_of("glu", dim, input.ndim)
        if input.shape[axis] % 2:
            raise ValueError(f"glu(): size along dim {dim} must be even, got shape {input.shape}")
        a, b = input.chunk(2, axis)
        return a * b.sigmoid()
    except Exception as error:
        retell(error, "glu", glu, (input, dim), {})


def _soft(name: str, op: Any, input: Tensor, dim: int | None, dtype: Any) -> Tensor:
    check_tensor(name, "input", input)
    if dtype is not None:
        input = input.to(dtype)
    check_floats(name, input=input)
    ndim = input._array.ndim
    if dim is None:  # PyTorch's rule from before dim was an argument
        dim = 0 if ndim in (0, 1, 3) else 1
    axis = axis_of(name, dim, ndim)
    if ndim == 0:
        return op.apply(input.reshape(1), 0).reshape(())
    return op.apply(input, axis)


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """exp(x) / sum of exp(x) along an axis.

    Parameters
    ----------
    input : Tensor
    dim : int
    dtype : dtype, optional
        Convert to it first.
    """
    try:
        return _soft("softmax", ops.Softmax, input, dim, dtype)
    except Exception as error:
        retell(error, "softmax", softmax, (input, dim, _stacklevel, dtype), {})


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """`softmax` of -x."""
    try:
        check_tensor("softmin", "input", input)
        if dtype is not None:
            input = input.to(dtype)
        check_floats("softmin", input=input)
        return _soft("softmin", ops.Softmax, -input, dim, None)
    except Exception as error:
        retell(error, "softmin", softmin, (input, dim, _stacklevel, dtype), {})


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """The logarithm of `softmax`, without its cancellation."""
    try:
        return _soft("log_softmax", ops.LogSoftmax, input, dim, dtype)
    except Exception as error:
        retell(error, "log_softmax", log_softmax, (input, dim, _stacklevel, dtype), {})


def _drop(
    name: str,
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
    mask_shape: Callable[[tuple[int, ...]], tuple[int, ...]] | None,
) -> Tensor:
    check_floats(name, input=input)
    p = number(name, "p", p)
    if not 0 <= p <= 1:
        raise ValueError(f"{name}(): dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return input
    x = input._array
    shape = x.shape if mask_shape is None else mask_shape(x.shape)
    mask = np.empty(shape, x.dtype) if mask_shape else np.empty_like(x)
    keep = 1 - p
    draw = rng().random(mask.size, dtype=np.float32) < keep
    flat = mask.ravel(order="K")
    np.multiply(draw, x.dtype.type(1 / keep if keep else 0), out=flat)
    if not np.shares_memory(flat, mask):
        mask[...] = flat.reshape(mask.shape)
    if inplace:
        return ops.Dropout.apply_(input, mask)
    return ops.Dropout.apply(input, mask)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability p and multiply the others by 1 / (1 - p).

    Parameters
    ----------
    input : Tensor
    p : float
    training : bool
        Otherwise the input is returned.
    inplace : bool

    Raises
    ------
    ValueError
        When p is not a probability.
    """
    try:
        return _drop("dropout", input, p, training, inplace, None)
    except Exception as error:
        retell(error, "dropout", dropout, (input, p, training, inplace), {})


def _channels(ndim: int) -> Callable[[tuple[int, ...]], tuple[int, ...]]:
    def shape(full: tuple[int, ...]) -> tuple[int, ...]:
        keep = len(full) - ndim
        return (*full[:keep], *([1] * ndim))

    return shape


def _check_rank(name: str, input: Tensor, ranks: tuple[int, ...]) -> None:
    check_tensor(name, "input", input)
    if input._array.ndim not in ranks:
        raise ValueError(
            f"{name}(): input must have {' or '.join(map(str, ranks))} dimensions, "
            f"got shape {input._array.shape}"
        )


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, L) or (C, L)."""
    try:
        _check_rank("dropout1d", input, (2, 3))
        return _drop("dropout1d", input, p, training, inplace, _channels(1))
    except Exception as error:
        retell(error, "dropout1d", dropout1d, (input, p, training, inplace), {})


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, H, W), or with 3 dimensions of (N, C, L) as PyTorch does."""
    try:
        _check_rank("dropout2d", input, (3, 4))
        return _drop("dropout2d", input, p, training, inplace, _channels(input._array.ndim - 2))
    except Exception as error:
        retell(error, "dropout2d", dropout2d, (input, p, training, inplace), {})


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    try:
        _check_rank("dropout3d", input, (4, 5))
        return _drop("dropout3d", input, p, training, inplace, _channels(3))
    except Exception as error:
        retell(error, "dropout3d", dropout3d, (input, p, training, inplace), {})


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class indices (*) as (*, num_classes) int64 zeros and ones.

    Parameters
    ----------
    tensor : Tensor
        Integers, not negative.
    num_classes : int
        One more than the largest index when -1.

    Raises
    ------
    ValueError
        When an index is negative or not below num_classes.
    """
    check_tensor("one_hot", "tensor", tensor)
    num_classes = as_int("one_hot", "num_classes", num_classes)
    index = tensor._array
    if index.dtype.kind not in "iu":
        raise TypeError(f"one_hot(): tensor must hold integers, got {index.dtype}")
    if index.size == 0 and num_classes <= 0:
        raise ValueError("one_hot(): cannot infer num_classes from an empty tensor")
    least, most = (int(index.min()), int(index.max())) if index.size else (0, -1)
    if least < 0:
        raise ValueError(f"one_hot(): class values must be non-negative, got {least}")
    classes = most + 1 if num_classes == -1 else num_classes
    if classes <= most or classes < 1:
        raise ValueError(
            f"one_hot(): class values must be smaller than num_classes, "
            f"got {most} and {num_classes}"
        )
    return wrap((index[..., None] == np.arange(classes)).astype(np.int64))
