"""Batch norm folded into the layer before it, for inference.

A convolution and the batch norm behind it are joined as they run (`fastconv.fusion`); folding
changes the weights instead, once, as scripts for PyTorch do.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from ..._grad_mode import no_grad
from ...creation import zeros_like
from ...functions._named import named
from ..modules.module import Module
from ..parameter import Parameter

__all__ = [
    "fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights",
]  # fmt: skip


def _check(layer: Any, bn: Any, function: str) -> None:
    for module, name in ((layer, function.split("_")[1]), (bn, "bn")):
        if not isinstance(module, Module):
            raise TypeError(f"{function}: {name} must be a Module, got {type(module).__name__}")
    if layer.training or bn.training:
        raise ValueError(f"{function}: both modules must be in evaluation mode: call eval() first")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(f"{function}: the batch norm keeps no running statistics")


@named
def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of a convolution that does the work of the batch norm behind it too.

    Parameters
    ----------
    conv : Module
    bn : Module
        Both in evaluation mode.
    transpose : bool
        Whether it is a transposed convolution, of weight (in, out, *kernel); of one group.

    Raises
    ------
    ValueError
        If a module is in training mode.
    """
    _check(conv, bn, "fuse_conv_bn_eval")
    fused = deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias,
        transpose,
    )  # fmt: skip
    return fused


@named
def fuse_conv_bn_weights(
    conv_w: Any,
    conv_b: Any,
    bn_rm: Any,
    bn_rv: Any,
    bn_eps: float,
    bn_w: Any,
    bn_b: Any,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """The weight (out, in, *kernel) and bias with a batch norm of these numbers folded in."""
    with no_grad():
        scale = (bn_rv + bn_eps).rsqrt()
        if bn_w is not None:
            scale = scale * bn_w
        shape = [1] * conv_w.ndim
        shape[1 if transpose else 0] = -1
        weight = conv_w * scale.reshape(shape)
        bias = (zeros_like(bn_rm) if conv_b is None else conv_b) - bn_rm
        bias = bias * scale
        if bn_b is not None:
            bias = bias + bn_b
    return (
        Parameter(weight.to(conv_w.dtype), conv_w.requires_grad),
        Parameter(
            bias.to(conv_w.dtype), conv_w.requires_grad if conv_b is None else conv_b.requires_grad
        ),
    )


@named
def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of a linear layer that does the work of the batch norm behind it too."""
    _check(linear, bn, "fuse_linear_bn_eval")
    fused = deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


@named
def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Parameter, Parameter]:
    """The weight (out, in) and bias with a batch norm of these numbers folded in."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
