"""Activations, softmax and dropout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fastconv as T
import fastconv.nn.functional as F

from ..errors import OnnxError
from ..registry import Node, operator
from ..values import Array, arr, axis, is_tensor, number, ten

operator("Sigmoid")(lambda n, x: T.sigmoid(ten(x)))
operator("Tanh")(lambda n, x: T.tanh(ten(x)))
operator("Softsign")(lambda n, x: F.softsign(ten(x)))
operator("Mish", since=18)(lambda n, x: F.mish(ten(x)))
operator("LeakyRelu")(lambda n, x: F.leaky_relu(ten(x), n.get("alpha", 0.01)))
operator("Elu")(lambda n, x: F.elu(ten(x), n.get("alpha", 1.0)))
operator("Celu", since=12)(lambda n, x: F.celu(ten(x), n.get("alpha", 1.0)))


@operator("Relu")
def _relu(n: Node, x: Any) -> Any:
    return F.relu(x) if is_tensor(x) else np.maximum(x, np.zeros((), x.dtype))


@operator("Softplus")
def _softplus(n: Node, x: Any) -> Any:
    return F.softplus(ten(x), 1, 88)  # where exp(x) has an end


@operator("Selu")
def _selu(n: Node, x: Any) -> Any:
    x = ten(x)
    alpha, gamma = n.get("alpha", 1.6732632423543772), n.get("gamma", 1.0507009873554805)
    return gamma * F.elu(x, alpha)


@operator("PRelu", since=7, weights=(1,))
def _prelu(n: Node, x: Any, slope: Any) -> Any:
    if not is_tensor(x):
        return np.where(x < 0, x * slope, x)
    if slope.ndim and slope._array.size == 1:
        slope = slope.reshape(())
    elif x.ndim >= 2 and slope.shape == (x.shape[1], *(1,) * (x.ndim - 2)):
        return F.prelu(x, slope.reshape(-1))
    return T.where(x < 0, x * slope, x)


@operator("PRelu", since=1, weights=(1,))
def _prelu_old(n: Node, x: Any, slope: Any) -> Any:
    return F.prelu(ten(x), slope)


@operator("ThresholdedRelu", since=1)
def _thresholded(n: Node, x: Any) -> Any:
    return F.threshold(ten(x), n.get("alpha", 1.0), 0.0)


@operator("HardSigmoid")
def _hard_sigmoid(n: Node, x: Any) -> Any:
    return (ten(x) * n.get("alpha", 0.2) + n.get("beta", 0.5)).clamp(0, 1)


@operator("HardSwish", since=14)
def _hard_swish(n: Node, x: Any) -> Any:
    return F.hardswish(ten(x))


@operator("Gelu", since=20)
def _gelu(n: Node, x: Any) -> Any:
    kind = n.get("approximate", "none")
    if kind not in ("none", "tanh"):
        raise OnnxError(f"approximate must be none or tanh, got {kind!r}")
    return F.gelu(ten(x), approximate=kind)


@operator("Swish", since=24)
def _swish(n: Node, x: Any) -> Any:
    x, alpha = ten(x), n.get("alpha", 1.0)
    return F.silu(x) if alpha == 1 else x * T.sigmoid(x * alpha)


@operator("Shrink", since=9)
def _shrink(n: Node, x: Any) -> Any:
    limit, bias = n.get("lambd", 0.5), n.get("bias", 0.0)
    if not is_tensor(x):
        low, high = (x < -limit), (x > limit)
        return np.where(low, x + bias, np.where(high, x - bias, 0)).astype(x.dtype)
    zero = T.zeros_like(x)
    return T.where(x < -limit, x + bias, T.where(x > limit, x - bias, zero))


def _clip(x: Any, low: Any, high: Any) -> Any:
    low = None if low is None else number(low)
    high = None if high is None else number(high)
    if low is None and high is None:
        return x
    if not is_tensor(x):
        out = x if low is None else np.maximum(x, np.asarray(low, x.dtype))
        return out if high is None else np.minimum(out, np.asarray(high, x.dtype))
    low = -math.inf if low is None else low
    high = math.inf if high is None else high
    if low > high:  # the upper limit wins
        return x.clamp(min=low).clamp(max=high)
    if low == 0 and high == 6:  # by the kernel that joins what comes before
        return F.relu6(x)
    return x.clamp(low, high)


@operator("Clip", since=11)
def _clip_inputs(n: Node, x: Any, low: Any = None, high: Any = None) -> Any:
    return _clip(x, low, high)


@operator("Clip", since=1)
def _clip_attributes(n: Node, x: Any) -> Any:
    return _clip(x, n.get("min"), n.get("max"))


# -- softmax ---------------------------------------------------------------------------------------


def _rows(n: Node, x: Any, function: Any) -> Any:
    """Before version 13: over all axes from the given one on."""
    x = ten(x)
    k = n.get("axis", 1)
    k = k + x.ndim if k < 0 else k
    if not 0 <= k <= x.ndim:
        raise OnnxError(f"axis {k} is out of range for {x.ndim} axes")
    lead = math.prod(x.shape[:k])
    return function(x.reshape(lead, math.prod(x.shape[k:])), 1).reshape(*x.shape)


def _last(n: Node, x: Any, function: Any) -> Any:
    x = ten(x)
    return function(x, axis(n.get("axis", -1), x.ndim))


def _hardmax(x: Any, dim: int) -> Any:
    a = arr(x)
    out = np.zeros_like(a, order="C")
    np.put_along_axis(out, np.expand_dims(a.argmax(dim), dim), 1, dim)
    return out


for _name, _function in (
    ("Softmax", F.softmax),
    ("LogSoftmax", F.log_softmax),
    ("Hardmax", _hardmax),
):
    operator(_name, since=13)(lambda n, x, f=_function: _last(n, x, f))
    operator(_name, since=1)(lambda n, x, f=_function: _rows(n, x, f))


# -- dropout ---------------------------------------------------------------------------------------


def _dropped(n: Node, x: Any, ratio: float, training: bool) -> Any:
    """x with elements set to zero where the file says that it trains; and the mask."""
    if not training or ratio == 0:
        return x, np.ones(arr(x).shape, bool)
    seed = n.get("seed")
    generator = np.random.RandomState(None if seed is None else int(seed))
    mask: Array = generator.uniform(size=arr(x).shape) >= ratio
    scale = 0.0 if ratio >= 1 else 1 / (1 - ratio)
    return x * T.from_numpy((mask * scale).astype(arr(x).dtype)), mask


@operator("Dropout", since=12, constant=False)
def _dropout(n: Node, x: Any, ratio: Any = None, training: Any = None) -> Any:
    share = 0.5 if ratio is None else number(ratio)
    return _dropped(n, x, share, training is not None and bool(number(training)))


@operator("Dropout", since=1, constant=False)
def _dropout_old(n: Node, x: Any) -> Any:
    return x, np.ones(arr(x).shape, bool)
