"""Normalisations."""

from __future__ import annotations

from typing import Any

import fastconv as T
import fastconv.nn.functional as F

from ..errors import OnnxError
from ..registry import Node, operator
from ..values import axes, axis, ten


def _epsilon(n: Node) -> float:
    return float(n.get("epsilon", 1e-5))


def _normalized(n: Node, x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    return F.batch_norm(ten(x), mean, var, scale, bias, False, 0.1, _epsilon(n))


def _typed(x: Any, *others: Any) -> tuple[Any, ...]:
    """The others in the type of x (from version 14 on they may differ)."""
    return tuple([o if o.dtype == x.dtype else o.to(x.dtype) for o in others])


@operator("BatchNormalization", since=14, weights=(1, 2))
def _batch_norm(n: Node, x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    x = ten(x)
    scale, bias, mean, var = _typed(x, scale, bias, mean, var)
    if not n.get("training_mode", 0):
        return _normalized(n, x, scale, bias, mean, var)
    momentum, over = n.get("momentum", 0.9), tuple(k for k in range(x.ndim) if k != 1)
    here, spread = x.mean(over).detach(), x.detach().var(over, unbiased=False)
    y = F.batch_norm(x, None, None, scale, bias, True, 0.1, _epsilon(n))
    return (
        y,
        mean * momentum + here * (1 - momentum),
        var * momentum + spread * (1 - momentum),
    )


@operator("BatchNormalization", since=1, weights=(1, 2))
def _batch_norm_old(n: Node, x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    if not n.get("spatial", 1):
        raise OnnxError("spatial=0 is not supported")
    if n.version < 7 and not n.get("is_test", 0) and n.wants(1):
        raise OnnxError("training (is_test=0 with several outputs) is not supported")
    return _normalized(n, x, scale, bias, mean, var)


@operator("InstanceNormalization", weights=(1, 2))
def _instance_norm(n: Node, x: Any, scale: Any, bias: Any) -> Any:
    return F.instance_norm(ten(x), weight=scale, bias=bias, eps=_epsilon(n))


@operator("LayerNormalization", since=17, weights=(1, 2))
def _layer_norm(n: Node, x: Any, scale: Any, bias: Any = None) -> Any:
    x = ten(x)
    k = axis(n.get("axis", -1), x.ndim)
    last, eps = tuple(x.shape[k:]), _epsilon(n)
    fits = tuple(scale.shape) == last and (bias is None or tuple(bias.shape) == last)
    if fits:
        y = F.layer_norm(x, last, scale, bias, eps)
    else:
        y = F.layer_norm(x, last, None, None, eps) * scale
        y = y if bias is None else y + bias
    if not n.wants(1) and not n.wants(2):
        return y
    over = tuple(range(k, x.ndim))
    mean = x.mean(over, keepdim=True)
    return y, mean, (x.var(over, unbiased=False, keepdim=True) + eps).rsqrt()


@operator("RMSNormalization", since=23, weights=(1,))
def _rms_norm(n: Node, x: Any, scale: Any) -> Any:
    x = ten(x)
    k = axis(n.get("axis", -1), x.ndim)
    over = tuple(range(k, x.ndim))
    return x * ((x * x).mean(over, keepdim=True) + _epsilon(n)).rsqrt() * scale


def _group_norm(n: Node, x: Any, scale: Any, bias: Any) -> Any:
    groups = n.get("num_groups", 0)
    if groups < 1 or x.shape[1] % groups:
        raise OnnxError(f"num_groups={groups} must divide the channels of {tuple(x.shape)}")
    return F.group_norm(x, groups, scale, bias, _epsilon(n))


@operator("GroupNormalization", since=21, weights=(1, 2))
def _group_norm21(n: Node, x: Any, scale: Any, bias: Any) -> Any:
    return _group_norm(n, ten(x), scale, bias)


@operator("GroupNormalization", since=18, weights=(1, 2))
def _group_norm18(n: Node, x: Any, scale: Any, bias: Any) -> Any:
    """Weights of each group, where later versions have them of each channel."""
    each = x.shape[1] // max(1, n.get("num_groups", 1))
    return _group_norm(n, ten(x), scale.repeat_interleave(each), bias.repeat_interleave(each))


@operator("LRN")
def _lrn(n: Node, x: Any) -> Any:
    x, size = ten(x), n.get("size", 0)
    settings = n.get("alpha", 1e-4), n.get("beta", 0.75), n.get("bias", 1.0)
    if size % 2:
        return F.local_response_norm(x, size, *settings)
    # of an even window, the channel more comes after: before, seen from the other end
    return T.flip(F.local_response_norm(T.flip(x, [1]), size, *settings), [1])


@operator("MeanVarianceNormalization", since=9)
def _mean_variance(n: Node, x: Any) -> Any:
    x = ten(x)
    over = axes(n.get("axes", [0, 2, 3]), x.ndim)
    centred = x - x.mean(over, keepdim=True)
    return centred / ((centred * centred).mean(over, keepdim=True).sqrt() + 1e-9)


@operator("LpNormalization", since=1)
def _lp_normalization(n: Node, x: Any) -> Any:
    x, p = ten(x), n.get("p", 2)
    k = axis(n.get("axis", -1), x.ndim)
    size = x.abs() if p == 1 else x * x
    norm = size.sum(k, keepdim=True)
    norm = norm if p == 1 else norm.sqrt()
    return T.where(norm == 0, T.zeros_like(x), x / T.where(norm == 0, T.ones_like(norm), norm))
