"""If, Loop and Scan: graphs inside a graph, run as the values say."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv as T

from ..errors import OnnxError
from ..graph import Graph
from ..registry import Node, operator
from ..values import along_axis, arr, axis, is_tensor, number

#: Rounds that a Loop without a trip count may take.
ROUNDS = 1 << 20
Env = dict[str, Any]


def _body(n: Node, name: str) -> Graph:
    body = n.get(name)
    if not isinstance(body, Graph):
        raise OnnxError(f"attribute {name} is no graph")
    return body


@operator("If", scoped=True)
def _if(n: Node, env: Env, condition: Any) -> Any:
    branch = _body(n, "then_branch" if bool(number(condition)) else "else_branch")
    return tuple(branch.inside(env))


def stacked(parts: list[Any], k: int = 0) -> Any:
    """Values of equal shape along a new axis."""
    if parts and is_tensor(parts[0]):
        return T.stack(parts, k)
    return np.stack([arr(p) for p in parts], k)


@operator("Loop", scoped=True)
def _loop(n: Node, env: Env, trips: Any = None, condition: Any = None, *carried: Any) -> Any:
    body = _body(n, "body")
    limit = ROUNDS if trips is None else int(number(trips))
    if limit > ROUNDS:
        raise OnnxError(f"a loop of {limit} rounds: {ROUNDS} are allowed")
    going = condition is None or bool(number(condition))
    state = list(carried)
    scans: list[list[Any]] = [[] for _ in range(max(0, len(body.outputs) - 1 - len(state)))]
    rounds = 0
    while going and rounds < limit:
        given = (np.asarray(rounds, np.int64), np.asarray(True), *state)
        found = body.inside(env, *given)
        going = bool(number(found[0]))
        state = found[1 : 1 + len(state)]
        for scan, v in zip(scans, found[1 + len(state) :], strict=True):
            scan.append(v)
        rounds += 1
    if going and trips is None:
        raise OnnxError(f"the loop did not end after {ROUNDS} rounds")
    return (*state, *[_joined(s, body, 1 + len(state) + k) for k, s in enumerate(scans)])


def _joined(parts: list[Any], body: Graph, output: int) -> Any:
    """What a loop gathered; of no rounds, an empty array of the declared type."""
    if parts:
        return stacked(parts)
    p = body.outputs[output]
    shape = [d if isinstance(d, int) else 0 for d in p.dims or ()]
    kinds = {1: "float32", 11: "float64", 6: "int32", 9: "bool"}
    return np.zeros((0, *shape), kinds.get(p.kind, "int64"))


@operator("Scan", since=9, scoped=True)
def _scan(n: Node, env: Env, *given: Any) -> Any:
    body = _body(n, "body")
    count = n.get("num_scan_inputs", 0)
    if not 0 < count <= len(given):
        raise OnnxError(f"num_scan_inputs is {count}, of {len(given)} inputs")
    state, inputs = list(given[: len(given) - count]), given[len(given) - count :]
    outs = len(body.outputs) - len(state)
    into = n.get("scan_input_directions") or [0] * count
    out_of = n.get("scan_output_directions") or [0] * outs
    in_axes = n.get("scan_input_axes") or [0] * count
    out_axes = n.get("scan_output_axes") or [0] * outs
    places = [axis(k, len(x.shape)) for k, x in zip(in_axes, inputs, strict=True)]
    lengths = {x.shape[k] for k, x in zip(places, inputs, strict=True)}
    if len(lengths) != 1:
        raise OnnxError(f"the scanned axes have sizes {sorted(lengths)}")
    steps = lengths.pop()
    gathered: list[list[Any]] = [[] for _ in range(outs)]
    for t in range(steps):
        parts = []
        for x, k, turned in zip(inputs, places, into, strict=True):
            parts.append(x[along_axis(k, steps - 1 - t if turned else t)])
        found = body.inside(env, *state, *parts)
        state = found[: len(state)]
        for k, v in enumerate(found[len(state) :]):
            gathered[k].append(v)
    results = []
    for values, turned, k in zip(gathered, out_of, out_axes, strict=True):
        values = values[::-1] if turned else values
        if not values:
            raise OnnxError("a scan over nothing")
        rank = len(values[0].shape) + 1
        results.append(stacked(values, axis(k, rank)))
    return (*state, *results)


@operator("Scan", since=8, scoped=True)
def _scan8(n: Node, env: Env, lengths: Any, *given: Any) -> Any:
    """Version 8: a batch axis before all others, each image on its own."""
    if lengths is not None and arr(lengths).size:
        raise OnnxError("sequence_lens of Scan version 8 are not supported")
    batch = given[0].shape[0]
    newer = Node.__new__(Node)
    newer.__setstate__(n.__getstate__())
    newer.attributes = {
        "body": n.get("body"), "num_scan_inputs": n.get("num_scan_inputs"),
        "scan_input_directions": n.get("directions"),
    }  # fmt: skip
    every = [_scan(newer, env, *[g[b] for g in given]) for b in range(batch)]
    return tuple([stacked([e[k] for e in every]) for k in range(len(every[0]))])
