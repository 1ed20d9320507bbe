"""Losses: NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv as T
import fastconv.nn.functional as F

from ..errors import OnnxError
from ..registry import Node, operator
from ..values import arr, ten


def _nll(n: Node, logp: Any, target: Any, weight: Any) -> Any:
    reduction, ignored = n.get("reduction", "mean"), n.get("ignore_index")
    classes = logp.shape[1]
    at = arr(target).astype(np.int64)
    if at.shape != (logp.shape[0], *logp.shape[2:]):
        raise OnnxError(f"labels of shape {at.shape} do not fit scores of {tuple(logp.shape)}")
    counts = np.ones(at.shape, bool) if ignored is None else at != ignored
    safe = np.where(counts, at, 0)
    if safe.size and (safe.min() < 0 or safe.max() >= classes):
        raise OnnxError(f"labels must be in [0, {classes})")
    shares = arr(weight)[safe] if weight is not None else np.ones(at.shape)
    shares = np.where(counts, shares, 0).astype(arr(logp).dtype)
    picked = T.gather(logp, 1, T.from_numpy(safe[:, None])).reshape(*at.shape)
    loss = -picked * T.from_numpy(shares)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "mean":
        return loss.sum() / float(shares.sum(dtype=np.float64))
    raise OnnxError(f"reduction {reduction!r} is none of none, sum, mean")


@operator("NegativeLogLikelihoodLoss", since=12)
def _negative(n: Node, logp: Any, target: Any, weight: Any = None) -> Any:
    return _nll(n, ten(logp), target, weight)


@operator("SoftmaxCrossEntropyLoss", since=12)
def _cross_entropy(n: Node, scores: Any, target: Any, weight: Any = None) -> Any:
    logp = F.log_softmax(ten(scores), 1)
    loss = _nll(n, logp, target, weight)
    return (loss, logp) if n.wants(1) else loss
