"""The loss of sequences whose alignment is not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...functions.ctc import CTC
from ...spec import as_int
from ...tensor import Tensor, wrap
from .common import check_floats, check_tensor
from .loss import reduction_of, weighted

NAME = "ctc_loss"


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-probability of the label sequences, over all their alignments (Graves 2006).

    Parameters
    ----------
    log_probs : Tensor
        (T, N, C), or (T, C) for one sample: what `log_softmax` gives; float32 or float64.
    targets : Tensor
        Class indices, integers: (N, S), or all behind one another as (sum(target_lengths),).
    input_lengths, target_lengths : Tensor of integers, or sequence of int
        (N,): how many steps, and how many labels, each sample has. () for one sample.
    blank : int
        The class of no label.
    reduction : "mean", "sum" or "none"
        The mean is one of the losses divided by the target lengths.
    zero_infinity : bool
        Samples with fewer steps than their labels need have an infinite loss, and a gradient of
        NaN. They count as zero instead.

    Returns
    -------
    Tensor
        () or, not reduced, (N,).

    Raises
    ------
    IndexError
        For a class index out of range.
    ValueError, TypeError
        For lengths, shapes and types that do not fit.

    Notes
    -----
    As PyTorch's, the gradient of `log_probs` is exp(log_probs) minus the posterior of each class:
    through `log_softmax` it is the gradient of the loss; by itself it is not.
    """
    reduction = reduction_of(NAME, reduction)
    check_tensor(NAME, "log_probs", log_probs)
    check_floats(NAME, log_probs=log_probs)
    check_tensor(NAME, "targets", targets)
    if log_probs._array.ndim not in (2, 3):
        raise ValueError(
            f"{NAME}(): log_probs must be (T, N, C) or (T, C), got {log_probs._array.shape}"
        )
    single = log_probs._array.ndim == 2
    x = log_probs.unsqueeze(1) if single else log_probs
    steps, count, classes = x._array.shape
    blank = as_int(NAME, "blank", blank)
    if not 0 <= blank < classes:
        raise ValueError(f"{NAME}(): blank must be one of {classes} classes, got {blank}")
    inputs = _lengths("input_lengths", input_lengths, count, steps)
    lengths = _lengths("target_lengths", target_lengths, count, None)
    labels = _labels(targets._array, lengths, classes)
    states = np.full((count, 2 * labels.shape[1] + 1), blank, np.int64)
    states[:, 1::2] = labels
    loss = CTC.apply(x, states, inputs, lengths, bool(zero_infinity))
    if reduction == "mean":
        loss = loss / wrap(np.maximum(lengths, 1).astype(x._array.dtype))
    return weighted(loss.reshape(()) if single else loss, None, reduction)


def _lengths(name: str, given: Any, count: int, most: int | None) -> np.ndarray:
    """(N,) int64, checked to be 0 … `most`."""
    array = np.asarray(given._array if isinstance(given, Tensor) else given)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{NAME}(): {name} must hold integers, got {array.dtype}")
    if array.size != count or array.ndim > 1:
        raise ValueError(
            f"{NAME}(): {name} must have one length for each of {count} samples, got shape "
            f"{array.shape}"
        )
    array = array.reshape(count).astype(np.int64)
    if array.size and (array.min() < 0 or (most is not None and array.max() > most)):
        limit = "not be negative" if most is None else f"be 0 to {most}, the steps of log_probs"
        raise ValueError(f"{NAME}(): {name} must {limit}, got {array.min()} to {array.max()}")
    return array


def _labels(targets: np.ndarray, lengths: np.ndarray, classes: int) -> np.ndarray:
    """The targets as (N, S), class 0 behind their ends."""
    if targets.dtype.kind not in "iu":
        raise TypeError(f"{NAME}(): targets must be integers, got dtype {targets.dtype}")
    longest = int(lengths.max(initial=0))
    valid = np.arange(longest) < lengths[:, None]
    labels = np.zeros(valid.shape, np.int64)
    if targets.ndim == 1 and targets.size == lengths.sum():
        labels[valid] = targets
    elif targets.ndim == 2 and len(targets) == len(lengths) and targets.shape[1] >= longest:
        labels[valid] = targets[:, :longest][valid]
    else:
        raise ValueError(
            f"{NAME}(): targets must be ({len(lengths)}, S) with S ≥ {longest}, the longest, or "
            f"({lengths.sum()},), the sum of target_lengths, got shape {targets.shape}"
        )
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        bad = labels[(labels < 0) | (labels >= classes)][0]
        raise IndexError(f"{NAME}(): target {bad} is out of bounds for {classes} classes")
    return labels
