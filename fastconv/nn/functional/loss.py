"""Losses."""

from __future__ import annotations

import warnings

import numpy as np

from ...functions import loss as ops
from ...functions._named import named
from ...functions.unary import where
from ...spec import as_int
from ...tensor import Tensor, wrap
from .activation import log_softmax, logsigmoid
from .common import check_constant, check_floats, check_shape, check_tensor, number


def reduction_of(
    name: str, reduction: str, size_average: bool | None = None, reduce: bool | None = None
) -> str:
    """The reduction, from PyTorch's older pair of flags where they are given."""
    if size_average is not None or reduce is not None:
        if reduce is False:
            return "none"
        return "sum" if size_average is False else "mean"
    if not isinstance(reduction, str) or reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{name}(): {reduction!r} is not a valid value for reduction")
    return reduction


def class_indices(
    name: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore: int | None
) -> np.ndarray:
    """The target as int64, checked against scores (N, C, *); `ignore` may be out of range."""
    x, t = input._array, target._array
    expected = (x.shape[0], *x.shape[2:])
    if t.dtype.kind not in "iu":
        raise TypeError(f"{name}(): class indices must be integers, got target of dtype {t.dtype}")
    if t.shape != expected:
        raise ValueError(
            f"{name}(): target must have shape {expected} for input of shape {x.shape}, "
            f"got {t.shape}"
        )
    check_shape(name, "weight", weight, (x.shape[1],))
    check_constant(name, weight=weight)
    t = t.astype(np.int64, copy=False)
    if t.size and t.view(np.uint64).max() >= x.shape[1]:  # negative ones are large then
        out = (t < 0) | (t >= x.shape[1])
        bad = t[out if ignore is None else out & (t != ignore)]
        if bad.size:
            raise IndexError(
                f"{name}(): target {int(bad[0])} is out of bounds for {x.shape[1]} classes "
                f"(input of shape {x.shape})"
            )
    return t


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input) at the target class.

    Parameters
    ----------
    input : Tensor
        Scores (N, C), (N, C, *spatial), or (C,) for one sample; float32 or float64.
    target : Tensor
        Class indices (N, *spatial), integers; or probabilities of the input's shape and dtype.
    weight : Tensor, optional
        (C,): of each class. The mean is then a weighted one. With class indices it is a constant,
        and must not require a gradient.
    ignore_index : int
        A class index that counts for nothing.
    reduction : "mean", "sum" or "none"
    label_smoothing : float
        Share of the target that is spread evenly over the classes.

    Returns
    -------
    Tensor
        () or, not reduced, (N, *spatial).

    Raises
    ------
    IndexError
        For a class index out of range.
    ValueError, TypeError
        For shapes and types that do not fit.
    """
    name = "cross_entropy"
    check_floats(name, input=input, weight=weight)
    check_tensor(name, "target", target)
    reduction = reduction_of(name, reduction, size_average, reduce)
    ignore_index = as_int(name, "ignore_index", ignore_index)
    label_smoothing = number(name, "label_smoothing", label_smoothing)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name}(): label_smoothing must be in [0, 1], got {label_smoothing}")
    if input._array.ndim == 0:
        raise ValueError(f"{name}(): input must have at least one dimension")
    single = input._array.ndim == 1
    if single:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
    if target._array.dtype.kind == "f" and target._array.shape == input._array.shape:
        loss = _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    else:
        labels = class_indices(name, input, target, weight, ignore_index)
        weights = None if weight is None else np.ascontiguousarray(weight._array)
        given = (input, labels, weights, ignore_index, reduction)
        if label_smoothing:
            loss = ops.SmoothedCrossEntropy.apply(*given, float(label_smoothing))
        else:
            loss = ops.CrossEntropy.apply(*given)
    return loss.squeeze(0) if single and reduction == "none" else loss


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float
) -> Tensor:
    check_floats("cross_entropy", input=input, target=target)
    classes = input.shape[1]
    check_shape("cross_entropy", "weight", weight, (classes,))
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    logp = log_softmax(input, 1)
    if weight is not None:
        logp = logp * weight.reshape(1, classes, *([1] * (input.ndim - 2)))
    loss = -(logp * target).sum(1)
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.mean()


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the input, log-probabilities (N, C, *spatial) or (C,), at the target class.

    Arguments, result and errors are those of `cross_entropy`.
    """
    name = "nll_loss"
    check_floats(name, input=input, weight=weight)
    check_tensor(name, "target", target)
    reduction = reduction_of(name, reduction, size_average, reduce)
    ignore_index = as_int(name, "ignore_index", ignore_index)
    single = input._array.ndim == 1
    if single:
        input, target = input.unsqueeze(0), target.unsqueeze(0)
    elif input._array.ndim == 0:
        raise ValueError(f"{name}(): input must have at least one dimension")
    labels = class_indices(name, input, target, weight, ignore_index)
    weights = None if weight is None else weight._array
    loss = ops.NllLoss.apply(input, labels, weights, ignore_index, reduction)
    return loss.squeeze(0) if single and reduction == "none" else loss


def _pair(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both of one shape; a target that has to be broadcast is often a mistake."""
    check_floats(name, input=input, target=target)
    if input._array.shape == target._array.shape:
        return input, target
    x, t = input._array.shape, target._array.shape
    try:
        shape = np.broadcast_shapes(x, t)
    except ValueError:
        raise ValueError(
            f"{name}(): input of shape {x} and target of shape {t} do not broadcast"
        ) from None
    warnings.warn(
        f"{name}(): using a target size ({t}) that is different to the input size ({x}). This will "
        "likely lead to incorrect results due to broadcasting. Please ensure they have the same "
        "size.",
        stacklevel=3,
    )
    return input.expand(shape), target.expand(shape)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """(input - target)², its mean, sum, or as it is."""
    reduction = reduction_of("mse_loss", reduction, size_average, reduce)
    return ops.SquaredError.apply(*_pair("mse_loss", input, target), reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """|input - target|, its mean, sum, or as it is."""
    reduction = reduction_of("l1_loss", reduction, size_average, reduce)
    return ops.AbsoluteError.apply(*_pair("l1_loss", input, target), reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Squared, over 2 beta, below a distance of beta, and linear above."""
    beta = number("smooth_l1_loss", "beta", beta)
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss(): beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, size_average, reduce, reduction)
    reduction = reduction_of("smooth_l1_loss", reduction, size_average, reduce)
    return ops.SmoothL1.apply(*_pair("smooth_l1_loss", input, target), reduction, beta)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """Half the square up to a distance of delta, and linear above."""
    delta = number("huber_loss", "delta", delta)
    if not delta > 0:
        raise ValueError(f"huber_loss(): delta must be positive, got {delta}")
    reduction = reduction_of("huber_loss", reduction)
    return ops.Huber.apply(*_pair("huber_loss", input, target), reduction, delta)


def weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Element losses times weights, then reduced."""
    if weight is not None:
        loss = loss * weight
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.mean()


@named
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log x + (1 - t) log(1 - x)) of probabilities x.

    Parameters
    ----------
    input, target : Tensor
        Of one shape, the input between 0 and 1.
    weight : Tensor, optional
        Of each element, broadcast.
    reduction : "mean", "sum" or "none"

    Raises
    ------
    ValueError
        For different shapes, or an input outside [0, 1].
    """
    name = "binary_cross_entropy"
    reduction = reduction_of(name, reduction, size_average, reduce)
    check_floats(name, input=input, target=target)
    same_shape(name, input, target)
    check_floats(name, input=input, weight=weight)
    x = input._array
    if x.size and (x.min() < 0 or x.max() > 1):
        raise ValueError(f"{name}(): all elements of input should be between 0 and 1")
    if weight is None:
        return ops.BinaryCrossEntropy.apply(input, target, reduction)
    return weighted(ops.BinaryCrossEntropy.apply(input, target, "none"), weight, reduction)


@named
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of sigmoid(input), without overflow.

    Parameters
    ----------
    input, target : Tensor
        Of one shape.
    weight : Tensor, optional
        Of each element, broadcast.
    reduction : "mean", "sum" or "none"
    pos_weight : Tensor, optional
        Of the positive part, broadcast.
    """
    name = "binary_cross_entropy_with_logits"
    reduction = reduction_of(name, reduction, size_average, reduce)
    check_floats(name, input=input, target=target)
    check_floats(name, input=input, weight=weight, pos_weight=pos_weight)
    same_shape(name, input, target)
    if pos_weight is not None and pos_weight.requires_grad:
        loss = ops.BinaryCrossEntropyLogits.apply(input, target, "none", None)
        return weighted(loss - (pos_weight - 1) * target * logsigmoid(input), weight, reduction)
    pos = None if pos_weight is None else pos_weight._array
    if weight is None:
        return ops.BinaryCrossEntropyLogits.apply(input, target, reduction, pos)
    loss = ops.BinaryCrossEntropyLogits.apply(input, target, "none", pos)
    return weighted(loss, weight, reduction)


def same_shape(name: str, input: Tensor, target: Tensor) -> None:
    """Raise ValueError unless the target has the input's shape."""
    if input._array.shape != target._array.shape:
        raise ValueError(
            f"{name}(): target must have the input's shape {input._array.shape}, "
            f"got {target._array.shape}"
        )


@named
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback–Leibler divergence: target · (log target - input), the input a log-probability.

    `reduction` may also be "batchmean", the sum over the first size, which is the definition;
    "mean" averages over all elements.
    """
    name = "kl_div"
    batch = reduction == "batchmean"
    reduction = reduction_of(name, "sum" if batch else reduction, size_average, reduce)
    loss = ops.KlDiv.apply(*_pair(name, input, target), reduction, log_target)
    return loss / input.shape[0] if batch and input.ndim else loss


@named
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) - t x, or x - t log(x + eps) unless `log_input`; `full` adds Stirling's term."""
    name = "poisson_nll_loss"
    reduction = reduction_of(name, reduction, size_average, reduce)
    check_floats(name, input=input, target=target)
    eps = number(name, "eps", eps)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        loss = loss + ops.Stirling.apply(target)
    return weighted(loss, None, reduction)


@named
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1."""
    name = "hinge_embedding_loss"
    reduction = reduction_of(name, reduction, size_average, reduce)
    check_floats(name, input=input)
    check_tensor(name, "target", target)
    margin = number(name, "margin", margin)
    zero = wrap(np.zeros((), input._array.dtype))
    loss = where(target != 1, (margin - input).clamp_min(0), zero)
    loss = loss + where(target != -1, input, zero)
    return weighted(loss, None, reduction)
