"""Connectionist temporal classification: the loss of a sequence without an alignment.

A label sequence l of length S is written with a blank before, between and after its labels: l' of
length 2 S + 1. A path through l' stays, goes on by one, or leaves out a blank between two different
labels; it gives every step of the input one state. The loss is minus the logarithm of the sum of
all paths' probabilities (Graves et al. 2006):

    alpha[t, s] = the paths over steps 0 … t that end in state s, step t included
    beta[t, s]  = the paths over steps t … T - 1 that begin there, step t included
    p = alpha[T - 1, 2 S] + alpha[T - 1, 2 S - 1]
    posterior[t, c] = Σ_{s: l'_s = c} alpha[t, s] beta[t, s] / (y[t, c] p)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Op

Array = np.ndarray


class CTC(Op):
    """The loss (N,) of log-probabilities (T, N, C), in logarithms and float64.

    `states` (N, 2 S + 1) are l' of each sample, filled up with any class; `inputs` and `targets`
    (N,) the lengths T and S of each. The gradient is that by the scores of a log_softmax which gave
    `x`, exp(x) - posterior, as PyTorch's is.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Array, states: Array, inputs: Array, targets: Array, zero_infinity: bool
    ) -> Array:
        y = np.take_along_axis(
            x.astype(np.float64), np.broadcast_to(states, (len(x), *states.shape)), 2
        )
        skip = np.zeros(states.shape, bool)
        skip[:, 2:] = states[:, 2:] != states[:, :-2]
        alpha = np.full(y.shape, -np.inf)
        if len(x):
            alpha[0, :, :2] = y[0, :, :2]
        for t in range(1, len(x)):
            alpha[t] = _onward(alpha[t - 1], skip) + y[t]
        rows, end = np.arange(len(states)), 2 * targets
        last = alpha[inputs - 1, rows]  # of no steps: replaced below
        p = last[rows, end]
        p = np.where(targets > 0, np.logaddexp(p, last[rows, np.maximum(end - 1, 0)]), p)
        p = np.where(inputs > 0, p, np.where(targets > 0, -np.inf, 0.0))
        impossible = np.isneginf(p)
        ctx.save(x, y, alpha)
        ctx.known = states, inputs, targets, skip, p, impossible, zero_infinity
        loss = np.where(impossible & zero_infinity, 0.0, -p)
        return loss.astype(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Array) -> Array:
        x, y, alpha = ctx.saved
        states, inputs, targets, skip, p, impossible, zero_infinity = ctx.known
        steps, rows, end = len(x), np.arange(len(states)), 2 * targets
        start = np.full(states.shape, -np.inf)
        start[rows, end] = 0.0
        start[rows, np.maximum(end - 1, 0)] = 0.0
        backwards = np.zeros(skip.shape, bool)  # as `skip`, from the end
        backwards[:, 2:] = skip[:, :1:-1]
        posterior = np.zeros(x.shape)
        beta = np.full(states.shape, -np.inf)
        for t in range(steps - 1, -1, -1):
            beta = _onward(beta[:, ::-1], backwards)[:, ::-1]
            beta = np.where((inputs == t + 1)[:, None], start, beta) + y[t]
            share = alpha[t] + beta
            found = np.isfinite(share)  # an impossible sample has none
            share = np.exp(
                np.where(found, share - y[t] - p[:, None], -np.inf),
                where=found,
                out=np.zeros(share.shape),
            )
            np.add.at(posterior[t], (rows[:, None], states), share)
        grad = np.exp(x.astype(np.float64)) - posterior
        grad *= g.astype(np.float64)[:, None]
        grad[:, impossible] = 0.0 if zero_infinity else np.nan
        grad[np.arange(steps)[:, None] >= inputs] = 0.0
        return grad.astype(x.dtype)


def _onward(a: Array, skip: Array) -> Array:
    """Of states (N, L) in logarithms: stay, go on by one, or by two where `skip`."""
    found = a.copy()
    found[:, 1:] = np.logaddexp(found[:, 1:], a[:, :-1])
    two = np.where(skip[:, 2:], a[:, :-2], -np.inf)
    found[:, 2:] = np.logaddexp(found[:, 2:], two)
    return found
