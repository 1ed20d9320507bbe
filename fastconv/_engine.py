"""Backward: gradients sent through the graph from the newest node to the oldest, into leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from . import _watch
from ._grad_mode import mode, quiet, unquiet
from ._hooks import PostAccumulate
from ._locks import make_lock
from .autograd import LEAF, Edge, Op, TensorBase, _edge, changed, forget, wrap
from .memory import pooled
from .ops.elementwise import add_as, add_into

ndarray = np.ndarray
_accumulate_lock = make_lock()


def run_backward(
    roots: Sequence[tuple[Any, ndarray]],
    retain_graph: bool = False,
    inputs: Sequence[Any] | None = None,
    accumulate: bool = True,
) -> list[ndarray | None]:
    """Send gradients from `roots` down to the leaves.

    Parameters
    ----------
    roots : sequence of (Tensor, ndarray)
        Where to start, with the gradient there.
    retain_graph : bool
        Keep what the nodes saved, for another pass.
    inputs : sequence of Tensor, optional
        The tensors wanted; all leaves by default.
    accumulate : bool
        Add the gradients to ``.grad``; otherwise return those of `inputs`.

    Returns
    -------
    list of ndarray or None
        One per entry of `inputs`, where `accumulate` is false.
    """
    pending: dict[Op, list[Any]] = {}  # node -> gradient of each of its outputs
    leaves: dict[Any, Any] = {}
    heap: list[tuple[int, Any]] = []
    wanted = {_edge(t): None for t in inputs} if inputs is not None else {}
    needed = None if inputs is None else _needed(roots, wanted)

    def send(edge: Edge, g: ndarray) -> None:
        target, nr = edge
        if nr == LEAF:
            before = leaves.get(target)
            leaves[target] = None
            leaves[target] = g if before is None else _sum(before, g)
            return
        slots = pending.get(target)
        if slots is None:
            pending[target] = slots = [None] * (len(target.outputs) if target.outputs else 1)
            heappush(heap, (-target.seq, target))
        before, slots[nr] = slots[nr], None
        slots[nr] = g if before is None else _sum(before, g)

    def deliver(node: Op, edges: Sequence[Edge | None], grads: Sequence[Any]) -> None:
        for i, edge in enumerate(edges):
            if edge is None:
                continue
            if needed is not None and edge[0] not in needed and edge not in wanted:
                continue
            g = grads[i]
            if g is None:
                raise RuntimeError(
                    f"{node.name()}: backward returned no gradient for input {i}, which "
                    "requires one; return zeros if there is none to give"
                )
            send(edge, g if type(g) is ndarray else np.asarray(g))

    previous, mode.grad = mode.grad, False
    token = quiet()
    try:
        given: Any = None
        for t, given in roots:
            send(_edge(t), given)
        del roots
        while heap:
            node: Any = heappop(heap)[1]
            if type(node) is _Part:
                deliver(*node.what)
                del node
                continue
            grads = pending.pop(node)
            if node.hooks:
                for nr, hook in list(node.hooks.values()):
                    if grads[nr] is not None:
                        grads[nr] = _call_hook(hook, grads[nr])
            for nr, given in enumerate(grads):
                if wanted and (node, nr) in wanted:
                    wanted[node, nr] = given
                if given is None and node.outputs is not None and node.materialize:
                    shape, kind = node.outputs[nr]
                    if kind.kind == "f":
                        grads[nr] = np.zeros(shape, kind)
            if needed is not None and node not in needed:
                continue
            if node.overwrites:
                node.owned = _mine(given, _HELD)
            if _watch.recorder is None:
                result = node.run(grads, retain_graph)
            else:
                result = _watch.recorder.backward(node, grads, retain_graph)
            del grads
            given = None
            if not node.joins:  # as deliver, without the call
                for i, edge in enumerate(node.edges):
                    if edge is None:
                        continue
                    if needed is not None and edge[0] not in needed and edge not in wanted:
                        continue
                    given = result[i]
                    if type(given) is ndarray:
                        send(edge, given)
                    else:
                        before: list[Any] = [None] * i  # so that an error counts as here
                        deliver(node, (*before, edge), (*before, given))
                given = None
            else:
                for part in node.parts(result):
                    if part is None:
                        break
                    if heap and heap[0][0] < -part[0]:
                        heappush(heap, (-part[0], _Part(node, part[1], part[2])))
                    else:
                        deliver(node, part[1], part[2])
                part = None
            del result, node
        for leaf in list(leaves):
            if leaf._hooks:
                for hook in list(leaf._hooks.values()):
                    if type(hook) is not PostAccumulate:
                        leaves[leaf] = _call_hook(hook, leaves[leaf])
        for key in wanted:
            if key[1] == LEAF:
                wanted[key] = leaves.get(key[0])
        if not accumulate:
            return [wanted[_edge(t)] for t in inputs or ()]
        if inputs is not None:
            leaves = {t: wanted.pop(_edge(t), None) for t in inputs}
        told = [leaf for leaf in leaves if leaf._hooks]
        with _accumulate_lock:
            _accumulate(leaves)
        for leaf in told:
            for hook in list(leaf._hooks.values()):
                if type(hook) is PostAccumulate:
                    hook.hook(leaf)
        return []
    finally:
        unquiet(token)
        mode.grad = previous


def _needed(roots: Sequence[tuple[Any, ndarray]], wanted: dict[Edge, Any]) -> set[Op]:
    """The nodes between `roots` and what is wanted: no other has to run."""
    reached: set[Op] = set()
    todo = [_edge(t) for t, _ in roots]
    while todo:
        node, nr = todo.pop()
        if nr != LEAF and node not in reached:
            reached.add(node)
            todo += [edge for edge in node.edges if edge is not None]
    needed: set[Op] = set()
    for node in sorted(reached, key=lambda node: node.seq):  # inputs before results
        if any(e is not None and (e in wanted or e[0] in needed) for e in node.edges):
            needed.add(node)
    return needed


class _Part:
    """Gradients that a joined node (functions/joined.py) sends at the turn of an older one."""

    __slots__ = ("what",)

    def __init__(self, *what: Any) -> None:
        self.what = what

    def __lt__(self, other: Any) -> bool:
        return False

    def __gt__(self, other: Any) -> bool:
        return False


def _call_hook(hook: Callable[[Any], Any], g: ndarray) -> ndarray:
    new = hook(wrap(g))
    if new is None:
        return g
    if not isinstance(new, TensorBase):
        raise TypeError(f"a hook must return a Tensor or None, got {type(new).__name__}")
    if new._array.shape != g.shape:
        raise RuntimeError(
            f"a hook changed the gradient's shape from {g.shape} to {new._array.shape}"
        )
    return new._array


def _counts() -> tuple[int, int, int]:
    """What getrefcount says of an array in a local variable: here, one call and two calls down."""
    array = np.empty(0)

    def once(array: ndarray) -> int:
        return sys.getrefcount(array)

    def twice(array: ndarray) -> int:
        return once(array)

    return sys.getrefcount(array), once(array), twice(array)


_ONE, _PASSED, _PASSED_ON = _counts()
_HELD = _PASSED + 1  # one call down, and in a list


def _mine(array: ndarray, count: int) -> bool:
    """Whether no reference but the `count` of the callers leads to an array and its memory."""
    if sys.getrefcount(array) > count or not array.flags.writeable:
        return False
    base = array.base
    if base is None:
        return True
    if type(base) is ndarray:  # the array is a view
        if base.nbytes != array.nbytes or sys.getrefcount(base) > _ONE + 1:
            return False
        base = base.base
    return base is None or pooled(base)


def _sum(before: ndarray, g: ndarray) -> ndarray:
    """The sum of two gradients, in the memory of the first if no one else has it, or laid out so.

    What is computed from it must not depend on that.
    """
    compute = add_into if _mine(before, _PASSED_ON) else add_as
    if _watch.recorder is None:
        return np.asarray(compute(before, g))
    found = _watch.recorder.measure("sum of gradients", "backward", (before, g), compute, before, g)
    return np.asarray(found)


def _accumulate(grads: dict[Any, Any]) -> None:
    """Add to the ``.grad`` of each key; at first take the array itself if no one else has it."""
    while grads:
        leaf, g = grads.popitem()
        if g is None:
            continue
        if leaf._grad is not None:
            if leaf._grad._array.flags.writeable:
                forget(leaf._grad)
                leaf._grad._array += g
                changed(leaf._grad)
            else:
                leaf._grad = wrap(leaf._grad._array + g)
            continue
        leaf._grad = wrap(g if _mine(g, _PASSED) else np.array(g, order="K"))
