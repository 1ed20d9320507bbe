"""RNN, GRU and LSTM, step by step: the standard's gates, peepholes and linear_before_reset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fastconv as T
import fastconv.nn.functional as F

from ..errors import OnnxError
from ..registry import Node, operator
from ..values import arr, ten

Function = Callable[[Any], Any]

#: Activations by name, each made from (alpha, beta), None where the file does not say.
ACTIVATIONS: dict[str, Callable[[Any, Any], Function]] = {
    "relu": lambda a, b: F.relu,
    "tanh": lambda a, b: T.tanh,
    "sigmoid": lambda a, b: T.sigmoid,
    "affine": lambda a, b: lambda x: x * (1.0 if a is None else a) + (0.0 if b is None else b),
    "leakyrelu": lambda a, b: lambda x: F.leaky_relu(x, 0.01 if a is None else a),
    "thresholdedrelu": lambda a, b: lambda x: F.threshold(x, 1.0 if a is None else a, 0.0),
    "hardsigmoid": lambda a, b: (
        lambda x: (x * (0.2 if a is None else a) + (0.5 if b is None else b)).clamp(0, 1)
    ),
    "elu": lambda a, b: lambda x: F.elu(x, 1.0 if a is None else a),
    "softsign": lambda a, b: F.softsign,
    "softplus": lambda a, b: lambda x: F.softplus(x, 1, 88),
}
TAKES = {"affine": (1, 1), "leakyrelu": (1, 0), "thresholdedrelu": (1, 0), "hardsigmoid": (1, 1),
         "elu": (1, 0)}  # fmt: skip


def _activations(n: Node, defaults: tuple[str, ...], directions: int) -> list[list[Function]]:
    """The functions of each direction."""
    names = [str(v).lower() for v in n.get("activations") or defaults * directions]
    alphas, betas = list(n.get("activation_alpha") or []), list(n.get("activation_beta") or [])
    if len(names) != len(defaults) * directions:
        raise OnnxError(f"{len(names)} activations for {directions} directions")
    made = []
    for name in names:
        if name not in ACTIVATIONS:
            raise OnnxError(f"activation {name!r} is none of {', '.join(ACTIVATIONS)}")
        a, b = TAKES.get(name, (0, 0))
        made.append(
            ACTIVATIONS[name](
                alphas.pop(0) if a and alphas else None, betas.pop(0) if b and betas else None
            )
        )
    size = len(defaults)
    return [made[k * size : (k + 1) * size] for k in range(directions)]


def _rnn(x: Any, state: Any, r: Any, b: Any, f: list[Function], more: Any) -> Any:
    (h,) = state
    return (f[0](x + h.matmul(r.t()) + b),)


def _gru(x: Any, state: Any, r: Any, b: Any, f: list[Function], more: Any) -> Any:
    (h,) = state
    width = h.shape[1]
    rz, rn = r[: 2 * width], r[2 * width :]
    bz, bn = b[: 2 * width], b[2 * width :]
    gates = f[0](x[:, : 2 * width] + h.matmul(rz.t()) + bz)
    z, reset = gates[:, :width], gates[:, width:]
    if more["linear"]:
        inner = reset * (h.matmul(rn.t()) + bn)
    else:
        inner = (reset * h).matmul(rn.t()) + bn
    new = f[1](x[:, 2 * width :] + inner)
    return ((1 - z) * new + z * h,)


def _lstm(x: Any, state: Any, r: Any, b: Any, f: list[Function], more: Any) -> Any:
    h, c = state
    width, peep = h.shape[1], more["peep"]
    i, o, forget, g = (x + h.matmul(r.t()) + b).split(width, 1)
    if peep is not None:
        pi, po, pf = peep.split(width)
        i, forget = i + pi * c, forget + pf * c
    if more["clip"]:
        i, forget, g = (v.clamp(-more["clip"], more["clip"]) for v in (i, forget, g))
    forget = 1 - f[0](i) if more["coupled"] else f[0](forget)
    c = forget * c + f[0](i) * f[1](g)
    if peep is not None:
        o = o + po * c
    return f[0](o) * f[2](c), c


def _run(
    n: Node, step: Any, gates: int, states: int, defaults: tuple[str, ...], x: Any, w: Any, r: Any,
    b: Any, lengths: Any, initial: list[Any], peep: Any = None,
) -> Any:  # fmt: skip
    x = ten(x)
    layout = n.get("layout", 0)
    if layout:
        x = x.transpose(0, 1)
        initial = [None if s is None else s.transpose(0, 1) for s in initial]
    steps, batch, _ = x.shape
    directions, width = w.shape[0], r.shape[2]
    kind = n.get("direction", "forward")
    if {"forward": 1, "reverse": 1, "bidirectional": 2}.get(kind) != directions:
        raise OnnxError(f"direction {kind!r} for weights of {directions} directions")
    functions = _activations(n, defaults, directions)
    sizes = np.full(batch, steps) if lengths is None else arr(lengths)
    outputs, finals = [], []
    for d in range(directions):
        turned = kind == "reverse" or d == 1
        bias = T.zeros(2 * gates * width, dtype=x.dtype) if b is None else b[d]
        projected = x.matmul(w[d].t()) + bias[: gates * width]
        state = tuple(
            [T.zeros(batch, width, dtype=x.dtype) if s is None else s[d] for s in initial]
        )
        more = {"linear": n.get("linear_before_reset", 0), "clip": n.get("clip", 0.0),
                "coupled": n.get("input_forget", 0),
                "peep": None if peep is None else peep[d]}  # fmt: skip
        line: list[Any] = [None] * steps
        for t in reversed(range(steps)) if turned else range(steps):
            new = step(projected[t], state, r[d], bias[gates * width :], functions[d], more)
            alive = t < sizes
            if not alive.all():  # past its end a sequence stays as it is
                mask = T.from_numpy(alive[:, None])
                new = tuple([T.where(mask, v, s) for v, s in zip(new, state, strict=True)])
                line[t] = T.where(mask, new[0], T.zeros_like(new[0]))
            else:
                line[t] = new[0]
            state = new
        outputs.append(T.stack(line))
        finals.append(state)
    y = T.stack(outputs, 1)  # (steps, directions, batch, width)
    last = [T.stack([f[k] for f in finals]) for k in range(states)]
    if layout:
        y, last = y.permute(2, 0, 1, 3), [v.transpose(0, 1) for v in last]
    return (y, *last)


@operator("RNN", since=7, weights=(1, 2, 3))
def _rnn_node(
    n: Node, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h: Any = None
) -> Any:
    return _run(n, _rnn, 1, 1, ("tanh",), x, w, r, b, lengths, [h])


@operator("GRU", since=7, weights=(1, 2, 3))
def _gru_node(
    n: Node, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h: Any = None
) -> Any:
    return _run(n, _gru, 3, 1, ("sigmoid", "tanh"), x, w, r, b, lengths, [h])


@operator("LSTM", since=7, weights=(1, 2, 3, 7))
def _lstm_node(
    n: Node, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h: Any = None,
    c: Any = None, peep: Any = None,
) -> Any:  # fmt: skip
    functions = ("sigmoid", "tanh", "tanh")
    return _run(n, _lstm, 4, 2, functions, x, w, r, b, lengths, [h, c], peep)
