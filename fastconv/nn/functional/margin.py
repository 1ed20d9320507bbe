"""Losses that ask for a distance: between classes, between pairs, from a border."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...functions._named import named
from ...functions.unary import where
from ...tensor import Tensor, wrap
from .activation import logsigmoid
from .common import (
    check_all_floats,
    check_constant,
    check_floats,
    check_shape,
    check_tensor,
    number,
)
from .distance import broadcast_shape, pairwise_distance
from .loss import class_indices, reduction_of, same_shape, weighted


@named
def hinge_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    squared: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - target · input) of scores and targets of ±1, or its square.

    Parameters
    ----------
    input, target : Tensor
        Of one shape and floating-point dtype.
    margin : float
    squared : bool
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError, TypeError
        For shapes and types that differ.
    """
    name = "hinge_loss"
    reduction = reduction_of(name, reduction)
    check_floats(name, input=input, target=target)
    same_shape(name, input, target)
    loss = (number(name, "margin", margin) - target * input).clamp_min(0)
    return weighted(loss * loss if squared else loss, None, reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target · input)) with targets of ±1, without overflow."""
    name = "soft_margin_loss"
    reduction = reduction_of(name, reduction, size_average, reduce)
    check_floats(name, input=input)
    check_tensor(name, "target", target)
    same_shape(name, input, target)
    return weighted(-logsigmoid(target * input), None, reduction)


@named
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The hinge loss of several classes: Σ_j max(0, margin - x_target + x_j)^p / C, j ≠ target.

    Parameters
    ----------
    input : Tensor
        Scores (N, C) or (C,).
    target : Tensor
        Class indices (N,) or ().
    p : 1 or 2
    margin : float
    weight : Tensor, optional
        (C,), a constant: each sample counts with that of its target.
    reduction : "mean", "sum" or "none"

    Raises
    ------
    IndexError
        For a class index out of range.
    ValueError, TypeError
        For shapes and types that do not fit.
    """
    name = "multi_margin_loss"
    reduction = reduction_of(name, reduction, size_average, reduce)
    check_floats(name, input=input, weight=weight)
    check_tensor(name, "target", target)
    if p not in (1, 2):
        raise ValueError(f"{name}(): p must be 1 or 2, got {p!r}")
    margin = number(name, "margin", margin)
    if input._array.ndim not in (1, 2):
        raise ValueError(f"{name}(): input must be (N, C) or (C,), got shape {input._array.shape}")
    single = input._array.ndim == 1
    if single:
        input, target = input.unsqueeze(0), target.reshape(1)
    labels = class_indices(name, input, target, weight, None)
    classes = input._array.shape[1]
    own = wrap(labels[:, None] == np.arange(classes))
    chosen = input.gather(1, wrap(labels[:, None]))
    loss = (margin - chosen + input).clamp_min(0)
    if p == 2:
        loss = loss * loss
    loss = loss.masked_fill(own, 0).sum(1) / classes
    if weight is not None:
        loss = loss * wrap(weight._array[labels])
    return weighted(loss.reshape(()) if single else loss, None, reduction)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ max(0, 1 - (x_j - x_i)) / C over the target classes j and all others i.

    Parameters
    ----------
    input : Tensor
        Scores (N, C) or (C,).
    target : Tensor
        Of the same shape, int64: each row lists classes, up to the first -1.
    reduction : "mean", "sum" or "none"
    """
    name = "multilabel_margin_loss"
    reduction = reduction_of(name, reduction, size_average, reduce)
    check_floats(name, input=input)
    check_tensor(name, "target", target)
    same_shape(name, input, target)
    labels = target._array
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2):
        raise TypeError(
            f"{name}(): target must hold class indices as (N, C) or (C,), "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    single = labels.ndim == 1
    rows = np.atleast_2d(labels)
    count, classes = rows.shape
    listed = np.logical_and.accumulate(rows >= 0, axis=1)
    if rows[listed].size and rows[listed].max() >= classes:
        raise IndexError(
            f"{name}(): target {int(rows[listed].max())} is out of bounds for {classes} classes"
        )
    own = np.zeros((count, classes), bool)
    own[np.nonzero(listed)[0], rows[listed]] = True
    scores = input.reshape(count, classes)
    chosen = scores.gather(1, wrap(np.where(listed, rows, 0).astype(np.int64)))
    pairs = (1 - chosen.unsqueeze(2) + scores.unsqueeze(1)).clamp_min(0)
    skip = ~(listed[:, :, None] & ~own[:, None, :])
    loss = pairs.masked_fill(wrap(skip), 0).sum((1, 2)) / classes
    return weighted(loss.reshape(()) if single else loss, None, reduction)


@named
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy of sigmoid(input), averaged over the classes (the last axis)."""
    name = "multilabel_soft_margin_loss"
    reduction = reduction_of(name, reduction, size_average, reduce)
    check_floats(name, input=input, weight=weight)
    check_tensor(name, "target", target)
    same_shape(name, input, target)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return weighted(loss.mean(-1), None, reduction)


def _same_rank(name: str, **tensors: Tensor) -> None:
    """Raise ValueError unless all have as many dimensions."""
    if len({t._array.ndim for t in tensors.values()}) > 1:
        shapes = [t._array.shape for t in tensors.values()]
        raise ValueError(
            f"{name}(): {', '.join(tensors)} must have as many dimensions, got shapes {shapes}"
        )


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target · (input1 - input2) + margin): target 1 wants input1 to be the larger."""
    name = "margin_ranking_loss"
    reduction = reduction_of(name, reduction, size_average, reduce)
    check_all_floats(name, input1=input1, input2=input2)
    check_tensor(name, "target", target)
    _same_rank(name, input1=input1, input2=input2, target=target)
    broadcast_shape(name, input1=input1, input2=input2, target=target)
    loss = (number(name, "margin", margin) - target * (input1 - input2)).clamp_min(0)
    return weighted(loss, None, reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + d(anchor, positive) - d(anchor, negative)), d the `pairwise_distance`.

    Parameters
    ----------
    anchor, positive, negative : Tensor
        (*, D), of shapes that broadcast.
    margin : float
        Above 0.
    p, eps : float
        See `pairwise_distance`.
    swap : bool
        Take d(positive, negative) for the second distance where it is smaller (Balntas 2016).
    reduction : "mean", "sum" or "none"
    """
    name = "triplet_margin_loss"
    reduction = reduction_of(name, reduction, size_average, reduce)
    check_all_floats(name, anchor=anchor, positive=positive, negative=negative)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return _triplet(name, anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own; without one, the Euclidean."""
    name = "triplet_margin_with_distance_loss"
    reduction = reduction_of(name, reduction)
    check_all_floats(name, anchor=anchor, positive=positive, negative=negative)
    distance = pairwise_distance if distance_function is None else distance_function
    return _triplet(name, anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(
    name: str,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    margin = number(name, "margin", margin)
    if not margin > 0:
        raise ValueError(f"{name}(): margin must be positive, got {margin}")
    _same_rank(name, anchor=anchor, positive=positive, negative=negative)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return weighted((margin + near - far).clamp_min(0), None, reduction)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(input1, input2) where the target is 1, max(0, cos - margin) where it is -1.

    Parameters
    ----------
    input1, input2 : Tensor
        (N, D) or (D,).
    target : Tensor
        (N,) or (), of ±1.
    margin : float
    reduction : "mean", "sum" or "none"
    """
    name = "cosine_embedding_loss"
    reduction = reduction_of(name, reduction, size_average, reduce)
    check_all_floats(name, input1=input1, input2=input2)
    check_tensor(name, "target", target)
    check_constant(name, target=target)
    margin = number(name, "margin", margin)
    shape = broadcast_shape(name, input1=input1, input2=input2)
    if len(shape) not in (1, 2):
        raise ValueError(
            f"{name}(): inputs must be (N, D) or (D,), got {input1._array.shape} and "
            f"{input2._array.shape}"
        )
    check_shape(name, "target", target, shape[:-1])
    # as PyTorch's loss, which adds to the squares where its cosine_similarity limits the norms
    product = (input1 * input2).sum(-1)
    squares = ((input1 * input1).sum(-1) + 1e-12) * ((input2 * input2).sum(-1) + 1e-12)
    cosine = product / squares.sqrt()
    zero = wrap(np.zeros((), cosine._array.dtype))
    loss = where(target == 1, 1 - cosine, zero)
    loss = loss + where(target == -1, (cosine - margin).clamp_min(0), zero)
    return weighted(loss, None, reduction)
