"""What each operation of the functional interface should give: formulas in float64.

They share nothing with the kernels, the backends or the graph: positions come from tables made
here, gradients from the rules of :mod:`fastconv.verify.formulas.tape`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fastconv.verify.formulas import conv, loss, norm, pointwise, pool, reduce, resample

Formula = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]

#: PyTorch's name of an operation: the formula of its operands and options.
FORMULAS: dict[str, Formula] = {
    "linear": conv.linear,
    "interpolate": resample.interpolate,
    "pad": resample.pad,
    "pixel_shuffle": resample.pixel_shuffle,
    "pixel_unshuffle": resample.pixel_unshuffle,
    "prelu": pointwise.prelu,
    "sum": reduce.sum_,
    "mean": reduce.mean_,
    "var": reduce.var,
    "std": reduce.std,
    "norm": reduce.norm,
    "logsumexp": reduce.logsumexp,
    "softmax": reduce.softmax,
    "softmin": reduce.softmin,
    "log_softmax": reduce.log_softmax,
    "cumsum": reduce.cumsum,
    "amax": reduce.amax,
    "amin": reduce.amin,
    "max": reduce.max_,
}
for _name in (
    "batch_norm",
    "instance_norm",
    "layer_norm",
    "group_norm",
    "local_response_norm",
    "normalize",
):
    FORMULAS[_name] = getattr(norm, _name)
for _name in (
    "nll_loss",
    "cross_entropy",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "poisson_nll_loss",
    "hinge_embedding_loss",
):
    FORMULAS[_name] = getattr(loss, _name)
for _ndim in (1, 2, 3):
    FORMULAS[f"conv{_ndim}d"] = conv.conv
    FORMULAS[f"conv_transpose{_ndim}d"] = conv.conv_transpose
    for _name in (
        "max_pool",
        "avg_pool",
        "adaptive_avg_pool",
        "adaptive_max_pool",
        "lp_pool",
        "max_unpool",
    ):
        FORMULAS[f"{_name}{_ndim}d"] = partial(getattr(pool, _name), _ndim)
for _name in pointwise.UNARY:
    FORMULAS[_name] = partial(pointwise.unary, _name)
for _name in pointwise.BINARY:
    FORMULAS[_name] = partial(pointwise.binary, _name)
