"""Normalisation: batch, layer, group, instance, local response, and by norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import config
from ..._grad_mode import mode
from ...autograd import changed, forget
from ...functions._named import named, retell
from ...functions.norm import BatchNorm, GroupNorm, LayerNorm, LocalResponse
from ...spec import as_int, as_shape, batch_norm_spec, group_norm_spec
from ...tensor import Tensor
from .common import FLOATS, check_constant, check_floats, check_shape, check_tensor, number


def _eps(name: str, eps: Any) -> float:
    """For batch norm: not negative, as in PyTorch."""
    eps = number(name, "eps", eps)
    if eps < 0:
        raise ValueError(f"{name}(): eps must not be negative, got {eps}")
    return eps


def _written(name: str, argument: str, t: Tensor, kind: np.dtype) -> np.ndarray:
    """The array of running statistics that a kernel moves: the tensor's own where it can be.

    That is where it is of the input's type, and dense.
    """
    a = t._array
    if t._requires:
        check_constant(name, **{argument: t})
    if not a.flags.writeable:
        raise ValueError(f"{name}(): {argument} is read-only and cannot be updated")
    forget(t)
    return a if a.dtype is kind and a.flags.c_contiguous else np.ascontiguousarray(a, kind)


def _moving(
    name: str, op: Any, input: Tensor, mean: Tensor | None, var: Tensor | None, *args: Any
) -> Any:
    """``op`` with the arrays of the running statistics, which its kernel moves."""
    if mode.second:  # they have moved in the first run of a checkpoint
        mean = var = None
    kind = input._array.dtype
    m = None if mean is None else _written(name, "running_mean", mean, kind)
    v = None if var is None else _written(name, "running_var", var, kind)
    weight, bias, spec, eps, momentum = args
    y = op.moving(input, weight, bias, spec, eps, (m, v), momentum, late(input))
    for t, a in ((mean, m), (var, v)):
        if t is not None:
            if a is not t._array:
                t._array[...] = a
            changed(t)
    return y


def _fit(input: Any, *tensors: Any) -> bool:
    """Whether all is in order; where not, the checks one by one say what is wrong."""
    try:
        shape, kind = input._array.shape, input._array.dtype
        if kind not in FLOATS or len(shape) < 2:
            return False
        channels = shape[1:2]
        for t in tensors:
            if t is not None:
                a = t._array
                if a.shape != channels or a.dtype is not kind:
                    return False
    except AttributeError:
        return False
    return True


def late(input: Tensor) -> bool:
    """Whether the result may wait: nobody can change the input's memory unseen."""
    where = input._version_box[1]
    return config.fusing() and (where is None or not where.exposed)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) · weight + bias for each channel.

    Parameters
    ----------
    input : Tensor
        (N, C) or (N, C, *spatial); float32 or float64.
    running_mean, running_var : Tensor, optional
        (C,). In training they move towards the batch's by `momentum` (the variance unbiased);
        otherwise they are what is normalised with.
    weight, bias : Tensor, optional
        (C,).
    training : bool
        Normalise with the batch's own statistics.
    momentum, eps : float

    Raises
    ------
    ValueError
        For shapes that do not fit, statistics that are missing, or in training a single value per
        channel. An empty input is returned, and moves no statistics.
    """
    try:
        name = "batch_norm"
        later = None if training else getattr(input, "_later", None)
        if later is not None:
            joined = later.normalize(input, running_mean, running_var, weight, bias, eps)
            if joined is not None:
                return joined
        if not _fit(input, running_mean, running_var, weight, bias):
            check_floats(name, input=input, weight=weight, bias=bias)
            check_floats(name, running_mean=running_mean, running_var=running_var)
            shape = input._array.shape
            if shape == (0,):  # as in PyTorch
                return input.clone()
            if len(shape) < 2:
                raise ValueError(f"{name}(): input must be (N, C, ...), got shape {shape}")
            channels = (shape[1],)
            check_shape(name, "running_mean", running_mean, channels)
            check_shape(name, "running_var", running_var, channels)
            check_shape(name, "weight", weight, channels)
            check_shape(name, "bias", bias, channels)
        momentum, eps = number(name, "momentum", momentum), _eps(name, eps)
        shape = input._array.shape
        if not training:
            if running_mean is None or running_var is None:
                raise ValueError(
                    f"{name}(): running_mean and running_var are needed when training is False"
                )
            if running_mean._requires or running_var._requires:
                check_constant(name, running_mean=running_mean, running_var=running_var)
            stats = (running_mean._array, running_var._array)
            spec = batch_norm_spec(shape)
            return BatchNorm.apply(
                input, weight, bias, spec, stats, eps, (None, None), 0.0, late(input)
            )
        if shape[0] * math.prod(shape[2:]) == 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {shape}"
            )
        if not input._array.size:
            return _nothing(input, weight, bias)
        return _moving(
            name, BatchNorm, input, running_mean, running_var,
            weight, bias, batch_norm_spec(shape), eps, momentum,
        )  # fmt: skip
    except Exception as error:
        retell(
            error,
            "batch_norm",
            batch_norm,
            (input, running_mean, running_var, weight, bias, training, momentum, eps),
            {},
        )


def _nothing(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """An empty input, normalised: no statistics move, and the gradients are zeros."""
    y, shape = input.clone(), (-1, *[1] * (input.ndim - 2))
    if weight is not None:
        y = y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise over the last axes, those of `normalized_shape`, then scale and shift."""
    check_floats("layer_norm", input=input, weight=weight, bias=bias)
    if hasattr(normalized_shape, "__index__"):
        normalized_shape = (as_int("layer_norm", "normalized_shape", normalized_shape),)
    last, shape = as_shape("layer_norm", "normalized_shape", normalized_shape), input._array.shape
    eps = number("layer_norm", "eps", eps)
    if not last or shape[len(shape) - len(last) :] != last:
        raise ValueError(
            f"layer_norm(): input must end in the shape {last}, got input of shape {shape}"
        )
    check_shape("layer_norm", "weight", weight, last)
    check_shape("layer_norm", "bias", bias, last)
    return LayerNorm.apply(input, weight, bias, last, eps)  # type: ignore[no-any-return]


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each sample over groups of channels, then scale and shift each channel."""
    name = "group_norm"
    check_floats(name, input=input, weight=weight, bias=bias)
    num_groups, eps = as_int(name, "num_groups", num_groups), number(name, "eps", eps)
    shape = input._array.shape
    if len(shape) < 2 or num_groups < 1 or shape[1] % num_groups:
        raise ValueError(
            f"{name}(): number of channels of input {shape} must be divisible by "
            f"num_groups {num_groups}"
        )
    check_shape(name, "weight", weight, (shape[1],))
    check_shape(name, "bias", bias, (shape[1],))
    spec = group_norm_spec(shape, num_groups)
    return GroupNorm.apply(input, weight, bias, spec, None, eps, (None, None), 0.0, late(input))


@named
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each sample over its spatial axes."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    name = "instance_norm"
    check_floats(name, input=input, weight=weight, bias=bias)
    check_floats(name, running_mean=running_mean, running_var=running_var)
    momentum, eps = number(name, "momentum", momentum), number(name, "eps", eps)
    shape = input._array.shape
    if len(shape) < 3 or math.prod(shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {shape}"
        )
    for argument, given in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        check_shape(name, argument, given, (shape[1],))
    if not input._array.size:
        return _nothing(input, weight, bias)
    return _moving(
        name, GroupNorm, input, running_mean, running_var,
        weight, bias, group_norm_spec(shape, shape[1]), eps, momentum,
    )  # fmt: skip


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha · mean of x² over `size` neighbouring channels)^beta (AlexNet, 2012).

    k and alpha that are both 0 are refused: PyTorch divides by 0 then.
    """
    name = "local_response_norm"
    check_floats(name, input=input)
    if input._array.ndim < 3:
        raise ValueError(
            f"{name}(): expected 3D or higher dimensionality input, got shape {input._array.shape}"
        )
    size = as_int(name, "size", size)
    if size < 1:
        raise ValueError(f"{name}(): size must be positive, got {size}")
    alpha, beta = number(name, "alpha", alpha), number(name, "beta", beta)
    k = number(name, "k", k)
    if k == 0 and alpha == 0 and beta > 0:
        raise ValueError(f"{name}(): k and alpha must not both be 0: x would be divided by 0")
    return LocalResponse.apply(input, size, alpha, beta, k)


def rms_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / √(mean of x² + eps) over the last axes, those of `normalized_shape`, then scaled.

    `eps` is the type's machine epsilon when not given.
    """
    name = "rms_norm"
    check_floats(name, input=input, weight=weight)
    if hasattr(normalized_shape, "__index__"):
        normalized_shape = (as_int(name, "normalized_shape", normalized_shape),)
    last, shape = as_shape(name, "normalized_shape", normalized_shape), input._array.shape
    if not last or shape[len(shape) - len(last) :] != last:
        raise ValueError(f"{name}(): input must end in the shape {last}, got input of {shape}")
    check_shape(name, "weight", weight, last)
    least = float(np.finfo(input._array.dtype).eps) if eps is None else number(name, "eps", eps)
    dims = tuple(range(-len(last), 0))
    y = input * ((input * input).mean(dims, keepdim=True) + least).rsqrt()
    return y if weight is None else y * weight


@named
def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: None = None
) -> Tensor:
    """x / max(‖x‖_p, eps) along `dim`."""
    check_tensor("normalize", "input", input)
    if out is not None:
        raise ValueError("normalize(): out is not supported")
    return input / input.norm(p, dim, keepdim=True).clamp_min(eps)
