"""Backward with a graph: gradients travel as Tensors, and what computes them is recorded.

:func:`run_differentiable` is the loop of ``_engine.run_backward`` on Tensors, for
``create_graph=True`` alone. The gradient of each operation comes from ``functions/second``.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from ._engine import _needed
from ._grad_mode import enable_grad
from .autograd import LEAF, Edge, Op, TensorBase, _edge, wrap


def run_differentiable(
    roots: Sequence[tuple[Any, Any]], inputs: Sequence[Any] | None = None, stop: bool = False
) -> Any:
    """Send gradients, as Tensors with a graph, from `roots` to the leaves or to `inputs`.

    Parameters
    ----------
    roots : sequence of (Tensor, Tensor)
        Where to start, with the gradient there.
    inputs : sequence of Tensor, optional
        The tensors wanted.
    stop : bool
        Go no further than `inputs`.

    Returns
    -------
    list of Tensor or None
        One per entry of `inputs`; without `inputs`, a dictionary from leaves to gradients.

    Raises
    ------
    NotImplementedError
        If an operation on the way has no second gradient; the error names it.
    """
    from .functions import second

    pending: dict[Op, list[Any]] = {}
    leaves: dict[Any, Any] = {}
    heap: list[tuple[int, Op]] = []
    wanted: dict[Edge, Any] = {_edge(t): None for t in inputs} if inputs is not None else {}
    ends = {node for node, nr in wanted if nr != LEAF} if stop else set()
    needed = None if inputs is None else _needed(roots, wanted)

    def send(edge: Edge, g: Any) -> None:
        target, nr = edge
        if nr == LEAF:
            leaves[target] = g if leaves.get(target) is None else leaves[target] + g
            return
        slots = pending.get(target)
        if slots is None:
            pending[target] = slots = [None] * (len(target.outputs) if target.outputs else 1)
            heappush(heap, (-target.seq, target))
        slots[nr] = g if slots[nr] is None else slots[nr] + g

    with enable_grad():
        for t, g in roots:
            send(_edge(t), g)
        while heap:
            node = heappop(heap)[1]
            grads = pending.pop(node)
            if node.hooks:
                for nr, hook in list(node.hooks.values()):
                    if grads[nr] is not None:
                        grads[nr] = _call_hook(hook, grads[nr])
            for nr, g in enumerate(grads):
                if wanted and (node, nr) in wanted:
                    wanted[node, nr] = g
                if g is None and node.outputs is not None and node.materialize:
                    shape, kind = node.outputs[nr]
                    if kind.kind == "f":
                        grads[nr] = wrap(np.zeros(shape, kind))
            if node in ends or (needed is not None and node not in needed):
                continue
            for edge, g in zip(node.edges, second.gradients(node, grads), strict=True):
                if edge is None:
                    continue
                if needed is not None and edge[0] not in needed and edge not in wanted:
                    continue
                if g is None:
                    raise RuntimeError(
                        f"{node.name()}: backward returned no gradient for an input that requires "
                        "one; return zeros if there is none to give"
                    )
                send(edge, g)
        for leaf in list(leaves):
            if leaf._hooks:
                for hook in list(leaf._hooks.values()):
                    leaves[leaf] = _call_hook(hook, leaves[leaf])
    if inputs is None:
        return leaves
    for key in wanted:
        if key[1] == LEAF:
            wanted[key] = leaves.get(key[0])
    return [wanted[_edge(t)] for t in inputs]


def _call_hook(hook: Any, g: Any) -> Any:
    new = hook(g)
    if new is None:
        return g
    if not isinstance(new, TensorBase):
        raise TypeError(f"a hook must return a Tensor or None, got {type(new).__name__}")
    if new._array.shape != g._array.shape:
        raise RuntimeError(
            f"a hook changed the gradient's shape from {g._array.shape} to {new._array.shape}"
        )
    return new
