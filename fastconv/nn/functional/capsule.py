"""Capsules: vectors whose length says whether something is there."""

from __future__ import annotations

import numpy as np

from ...functions._named import named
from ...tensor import Tensor, wrap
from .common import check_floats, check_tensor, number
from .loss import class_indices, reduction_of, same_shape, weighted


@named
def squash(input: Tensor, dim: int = -1, eps: float = 1e-8) -> Tensor:
    """Vectors along `dim` shrunk to a length below 1: ‖s‖² / (1 + ‖s‖²) · s / ‖s‖.

    Sabour, Frosst and Hinton (2017). `eps` is added to ‖s‖² under the root, so that a vector of
    zeros has a gradient.
    """
    check_floats("squash", input=input)
    eps = number("squash", "eps", eps)
    squares = (input * input).sum(dim, keepdim=True)
    return input * (squares / ((1 + squares) * (squares + eps).sqrt()))


def capsule_margin_loss(
    input: Tensor,
    target: Tensor,
    upper: float = 0.9,
    lower: float = 0.1,
    down_weight: float = 0.5,
    reduction: str = "mean",
) -> Tensor:
    """Σ_k T max(0, upper - ‖v‖)² + down_weight (1 - T) max(0, ‖v‖ - lower)² (Sabour et al. 2017).

    Parameters
    ----------
    input : Tensor
        Capsules (N, K, D), whose lengths say what is there; or the lengths (N, K).
    target : Tensor
        Class indices (N,), or T itself (N, K), of 0 and 1.
    upper, lower, down_weight : float
    reduction : "mean", "sum" or "none"

    Returns
    -------
    Tensor
        () or, not reduced, (N,).
    """
    name = "capsule_margin_loss"
    reduction = reduction_of(name, reduction)
    check_floats(name, input=input)
    check_tensor(name, "target", target)
    if input._array.ndim not in (2, 3):
        raise ValueError(
            f"{name}(): input must be (N, K, D) or (N, K), got shape {input._array.shape}"
        )
    length = input.norm(2, 2) if input._array.ndim == 3 else input
    if target._array.ndim == 1:
        labels = class_indices(name, length, target, None, None)
        there = wrap(np.eye(length._array.shape[1], dtype=length._array.dtype)[labels])
    else:
        check_floats(name, input=length, target=target)
        same_shape(name, length, target)
        there = target
    short, long = (upper - length).clamp_min(0), (length - lower).clamp_min(0)
    loss = there * short * short + down_weight * (1 - there) * long * long
    return weighted(loss.sum(1), None, reduction)
