"""Losses of masks, unbalanced classes, intervals and pictures' style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...functions._named import named
from ...functions.unary import where
from ...spec import as_int
from ...tensor import Tensor, wrap
from .activation import log_softmax, logsigmoid, sigmoid, softmax
from .common import check_all_floats, check_floats, check_tensor, number
from .distance import raised
from .loss import (
    class_indices,
    mse_loss,
    reduction_of,
    same_shape,
    weighted,
)


def _modulated(loss: Tensor, missing: Tensor, gamma: float) -> Tensor:
    """`loss` times `missing`^gamma; a probability of 1 gives 0, and a gradient of 0."""
    if gamma == 0:
        return loss
    return loss * missing.clamp_min(float(np.finfo(missing._array.dtype).tiny)) ** gamma


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
) -> Tensor:
    """Binary cross-entropy times (1 - p_t)^gamma (Lin et al. 2017), as in torchvision.

    Parameters
    ----------
    inputs : Tensor
        Scores, of any shape.
    targets : Tensor
        Of the same shape and dtype: 0 or 1.
    alpha : float
        Weight of the positive class, 1 - alpha of the negative; -1 for none.
    gamma : float
        How far easy examples are ignored; 0 is binary cross-entropy.
    reduction : "none", "mean" or "sum"

    Raises
    ------
    ValueError, TypeError
        For shapes and types that differ, and an alpha outside [0, 1] that is not -1.
    """
    name = "sigmoid_focal_loss"
    reduction = reduction_of(name, reduction)
    check_all_floats(name, inputs=inputs, targets=targets)
    same_shape(name, inputs, targets)
    alpha, gamma = number(name, "alpha", alpha), number(name, "gamma", gamma)
    if not (0 <= alpha <= 1 or alpha == -1):
        raise ValueError(f"{name}(): alpha must be in [0, 1], or -1 for none, got {alpha}")
    if gamma < 0:
        raise ValueError(f"{name}(): gamma must not be negative, got {gamma}")
    loss = -(targets * logsigmoid(inputs) + (1 - targets) * logsigmoid(-inputs))
    # 1 - p_t, without the cancellation of that difference
    missing = sigmoid(inputs) * (1 - targets) + sigmoid(-inputs) * targets
    loss = _modulated(loss, missing, gamma)
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return weighted(loss, None, reduction)


def focal_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    gamma: float = 2.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of classes times (1 - p_t)^gamma: the focal loss with a softmax.

    Parameters
    ----------
    input : Tensor
        Scores (N, C), (N, C, *spatial), or (C,) for one sample.
    target : Tensor
        Class indices (N, *spatial).
    weight : Tensor, optional
        (C,), a constant: the alpha of each class. The mean is then a weighted one, as that of
        `cross_entropy`.
    gamma : float
        0 gives `cross_entropy`.
    ignore_index : int
    reduction : "mean", "sum" or "none"

    Raises
    ------
    IndexError
        For a class index out of range.
    ValueError, TypeError
        For shapes and types that do not fit.
    """
    name = "focal_loss"
    reduction = reduction_of(name, reduction)
    check_floats(name, input=input, weight=weight)
    check_tensor(name, "target", target)
    gamma, ignore_index = number(name, "gamma", gamma), as_int(name, "ignore_index", ignore_index)
    if gamma < 0:
        raise ValueError(f"{name}(): gamma must not be negative, got {gamma}")
    if input._array.ndim == 0:
        raise ValueError(f"{name}(): input must have at least one dimension")
    single = input._array.ndim == 1
    if single:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
    labels = class_indices(name, input, target, weight, ignore_index)
    counted = labels != ignore_index
    safe = np.where(counted, labels, 0)
    sample = counted.astype(input._array.dtype)
    if weight is not None:
        sample *= weight._array[safe]
    logp = log_softmax(input, 1).gather(1, wrap(np.expand_dims(safe, 1))).squeeze(1)
    loss = _modulated(-logp, -logp.expm1(), gamma)
    loss = loss.masked_fill(wrap(~counted), 0) * wrap(sample)
    if reduction == "mean":
        with np.errstate(invalid="ignore"):
            return loss.sum() / wrap(np.asarray(sample.sum(), sample.dtype))
    loss = loss.squeeze(0) if single else loss
    return weighted(loss, None, reduction)


@named
def quantile_loss(
    input: Tensor,
    target: Tensor,
    quantile: float | Sequence[float] = 0.5,
    reduction: str = "mean",
) -> Tensor:
    """The pinball loss max(q (t - x), (q - 1) (t - x)), whose best constant is the q-quantile.

    Parameters
    ----------
    input : Tensor
        (*), or (*, Q) for several quantiles.
    target : Tensor
        (*).
    quantile : float or sequence of Q floats
        Between 0 and 1.
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError, TypeError
        For shapes and types that do not fit, and a quantile outside [0, 1].
    """
    name = "quantile_loss"
    reduction = reduction_of(name, reduction)
    check_floats(name, input=input, target=target)
    many = isinstance(quantile, (list, tuple))
    given: Any = quantile if many else [quantile]
    levels = [number(name, "quantile", q) for q in given]
    if not levels or not all(0 <= q <= 1 for q in levels):
        raise ValueError(f"{name}(): quantile must be between 0 and 1, got {quantile}")
    expected = (*target._array.shape, len(levels)) if many else target._array.shape
    if input._array.shape != expected:
        raise ValueError(
            f"{name}(): input must have shape {expected} for target of shape "
            f"{target._array.shape} and {len(levels)} quantile(s), got {input._array.shape}"
        )
    q = wrap(np.asarray(levels if many else levels[0], input._array.dtype))
    difference = (target.unsqueeze(-1) if many else target) - input
    return weighted(where(difference >= 0, q * difference, (q - 1) * difference), None, reduction)


pinball_loss = named(quantile_loss, "pinball_loss")


def _overlap(
    name: str, input: Tensor, target: Tensor, from_logits: bool, smooth: float
) -> tuple[Tensor, Tensor, float]:
    """Σ p t and Σ p + Σ t of each sample and class, and the smoothing checked."""
    check_floats(name, input=input)
    check_tensor(name, "target", target)
    smooth = number(name, "smooth", smooth)
    if smooth < 0:
        raise ValueError(f"{name}(): smooth must not be negative, got {smooth}")
    shape = input._array.shape
    if len(shape) < 2:
        raise ValueError(f"{name}(): input must be (N, *) or (N, C, *spatial), got shape {shape}")
    if target._array.dtype.kind in "iu" and target._array.shape != shape:
        labels = class_indices(name, input, target, None, None)
        one = np.expand_dims(labels, 1) == np.arange(shape[1]).reshape(-1, *[1] * (len(shape) - 2))
        target = wrap(one.astype(input._array.dtype))
        p = softmax(input, 1) if from_logits else input
    else:
        same_shape(name, input, target)
        p = sigmoid(input) if from_logits else input
        if target._array.dtype.kind != "f":
            target = target.to(input.dtype)
    check_floats(name, input=input, target=target)
    dims = tuple(range(2 if len(shape) > 2 else 1, len(shape)))
    return (p * target).sum(dims), p.sum(dims) + target.sum(dims), smooth


@named
def dice_loss(
    input: Tensor,
    target: Tensor,
    smooth: float = 1.0,
    from_logits: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """1 - (2 Σ p t + smooth) / (Σ p + Σ t + smooth) of each sample and class.

    Parameters
    ----------
    input : Tensor
        Probabilities (N, C, *spatial), or (N, *) for one class.
    target : Tensor
        Masks of the input's shape, between 0 and 1; or class indices (N, *spatial).
    smooth : float
        Keeps the loss of two empty masks at 0.
    from_logits : bool
        The input is scores: a sigmoid for masks, a softmax over the channels for class indices.
    reduction : "mean", "sum" or "none"

    Returns
    -------
    Tensor
        () or, not reduced, (N, C), (N,) for an input of two dimensions.

    Raises
    ------
    ValueError, TypeError, IndexError
        For shapes, types and class indices that do not fit.
    """
    reduction = reduction_of("dice_loss", reduction)
    both, total, smooth = _overlap("dice_loss", input, target, from_logits, smooth)
    return weighted(1 - (2 * both + smooth) / (total + smooth), None, reduction)


@named
def jaccard_loss(
    input: Tensor,
    target: Tensor,
    smooth: float = 1.0,
    from_logits: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """1 - (Σ p t + smooth) / (Σ p + Σ t - Σ p t + smooth): intersection over union.

    Arguments, result and errors are those of `dice_loss`.
    """
    reduction = reduction_of("jaccard_loss", reduction)
    both, total, smooth = _overlap("jaccard_loss", input, target, from_logits, smooth)
    return weighted(1 - (both + smooth) / (total - both + smooth), None, reduction)


iou_loss = named(jaccard_loss, "iou_loss")


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log var + (input - target)² / var) / 2; `full` adds log(2 π) / 2.

    Parameters
    ----------
    input, target : Tensor
        The expected and the seen values.
    var : Tensor or float
        Not negative; of the input's shape, with a last size of 1, or without the last axis. Below
        `eps` it counts as `eps`, and its gradient passes.
    full : bool
    eps : float
    reduction : "mean", "sum" or "none"
    """
    name = "gaussian_nll_loss"
    reduction = reduction_of(name, reduction)
    check_floats(name, input=input, target=target)
    eps = number(name, "eps", eps)
    if not isinstance(var, Tensor):
        filled = np.full(input._array.shape, number(name, "var", var), input._array.dtype)
        return gaussian_nll_loss(input, target, wrap(filled), full, eps, reduction)
    check_floats(name, input=input, var=var)
    spread: Tensor = var
    shape = input._array.shape
    if spread._array.shape != shape:
        if spread._array.shape == shape[:-1]:
            spread = var.unsqueeze(-1)
        elif spread._array.shape[:-1] != shape[:-1] or spread._array.shape[-1:] != (1,):
            raise ValueError(f"{name}(): var of shape {spread._array.shape} does not fit {shape}")
    if spread._array.size and spread._array.min() < 0:
        raise ValueError(f"{name}(): var must not be negative, got {spread._array.min()}")
    spread = raised(spread, eps)
    difference = input - target
    loss = 0.5 * (spread.log() + difference * difference / spread)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return weighted(loss, None, reduction)


@named
def gram_matrix(input: Tensor, normalize: bool = False) -> Tensor:
    """The products F Fᵀ of all pairs of channels (Gatys et al. 2016).

    Parameters
    ----------
    input : Tensor
        Feature maps (N, C, *spatial), or (C, M) for one matrix of C flat maps.
    normalize : bool
        Divide by the number of elements C · M.

    Returns
    -------
    Tensor
        (N, C, C), or (C, C).
    """
    check_floats("gram_matrix", input=input)
    shape = input._array.shape
    if len(shape) < 2:
        raise ValueError(f"gram_matrix(): input must be (N, C, *) or (C, M), got shape {shape}")
    rows = input if len(shape) == 2 else input.reshape(*shape[:2], math.prod(shape[2:]))
    gram = rows.matmul(rows.transpose(-1, -2))
    return gram / math.prod(rows._array.shape[-2:]) if normalize else gram


@named
def content_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input - target)² of two pictures' feature maps; the target's shape must be the input's."""
    check_floats("content_loss", input=input, target=target)
    same_shape("content_loss", input, target)
    return mse_loss(input, target, reduction=reduction)


@named
def style_loss(
    input: Tensor, target: Tensor, normalize: bool = True, reduction: str = "mean"
) -> Tensor:
    """(Gram matrix of input - Gram matrix of target)² of two pictures' feature maps.

    The pictures may differ in size, not in channels. See `gram_matrix` for `normalize`.
    """
    mine, theirs = gram_matrix(input, normalize), gram_matrix(target, normalize)
    check_floats("style_loss", input=mine, target=theirs)
    same_shape("style_loss", mine, theirs)
    return mse_loss(mine, theirs, reduction=reduction)
