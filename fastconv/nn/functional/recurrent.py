"""Recurrent layers: one step, and a whole sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...functions.join import cat, stack
from ...functions.recurrent import Steps
from ...tensor import Tensor
from .activation import relu, sigmoid, tanh
from .conv import linear

#: What one step makes of the input's part, the state and the weights of the state.
Step = Callable[[Tensor, Any, Tensor, Any, Any], tuple[Tensor, Any]]


def rnn_step(function: Callable[[Tensor], Tensor]) -> Step:
    """h' = f(x + W h + b)."""

    def step(x: Tensor, state: Any, weight: Tensor, bias: Any, project: Any) -> tuple[Tensor, Any]:
        h = function(x + linear(state[0], weight, bias))
        return h, (h,)

    return step


def gru_step(x: Tensor, state: Any, weight: Tensor, bias: Any, project: Any) -> tuple[Tensor, Any]:
    """r, z = σ(x + W h + b); n = tanh(x + r (W h + b)); h' = (1 - z) n + z h (Cho et al. 2014)."""
    (h,) = state
    width = h._array.shape[-1]
    inner = linear(h, weight, bias)
    gates = sigmoid(x[..., : 2 * width] + inner[..., : 2 * width])
    reset, update = gates[..., :width], gates[..., width:]
    new = tanh(x[..., 2 * width :] + reset * inner[..., 2 * width :])
    h = new + update * (h - new)
    return h, (h,)


def lstm_step(x: Tensor, state: Any, weight: Tensor, bias: Any, project: Any) -> tuple[Tensor, Any]:
    """i, f, o = σ(…), g = tanh(…); c' = f c + i g; h' = o tanh(c') (Hochreiter 1997, Gers 2000)."""
    h, c = state
    i, f, g, o = (x + linear(h, weight, bias)).chunk(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    if project is not None:
        h = linear(h, project)
    return h, (h, c)


STEPS: dict[str, Step] = {
    "RNN_TANH": rnn_step(tanh),
    "RNN_RELU": rnn_step(relu),
    "GRU": gru_step,
    "LSTM": lstm_step,
}


def run_sequence(
    kind: str,
    input: Tensor,
    state: Any,
    weights: tuple[Any, ...],
    reverse: bool,
    sizes: list[int] | None = None,
) -> tuple[Tensor, Any]:
    """One layer in one direction.

    Parameters
    ----------
    kind : str
        A key of `STEPS`.
    input : Tensor
        (T, N, features), or packed, (sum(sizes), features).
    state : tuple of Tensor
        (N, H) each.
    weights : tuple
        Weight and bias of the input, of the state, and the projection.
    reverse : bool
    sizes : list of int, optional
        Of packed sequences, longest first: how many have each step.

    Returns
    -------
    output, state
        (T, N, H), or packed as the input; and the state after each sequence's last step.
    """
    w_input, b_input, w_state, b_state, project = weights
    step = STEPS[kind]
    parts = Steps.apply(linear(input, w_input, b_input), sizes)
    given, ended = state, []
    if sizes is not None and reverse:
        state = tuple(s[: sizes[-1]] for s in given)
    outputs = []
    for x in reversed(parts) if reverse else parts:
        if sizes is not None:
            size, before = x._array.shape[0], state[0]._array.shape[0]
            if size < before:  # the shorter sequences have ended
                ended.append(tuple(s[size:] for s in state))
                state = tuple(s[:size] for s in state)
            elif size > before:  # from the end: the shorter sequences begin
                state = tuple(cat([s, g[before:size]]) for s, g in zip(state, given, strict=True))
        h, state = step(x, state, w_state, b_state, project)
        outputs.append(h)
    if reverse:
        outputs.reverse()
    if ended:
        state = tuple(cat(list(s)) for s in zip(state, *reversed(ended), strict=True))
    return (stack if sizes is None else cat)(outputs), state
