"""Gradients as operations on Tensors: what ``create_graph=True`` runs instead of ``Op.backward``.

An operation's ``backward`` computes with ndarrays and records nothing. Here stands the same
gradient a second time, written with differentiable functions, so that it has a gradient of its own.
Nothing of this is loaded before somebody asks for a gradient of a gradient.

:func:`gradients` is what the engine calls. A rule takes the node and the gradients of its outputs,
and returns one Tensor, or a tuple with one for each Tensor argument (None where none is needed).
An operation with a method ``run_differentiable(grads)`` needs no rule.
There are three ways to write one:

* as an expression of :func:`argument`, :func:`result` and constants;
* :func:`linear`: an operation that is linear in its one argument; the gradient is an operation
  whose own gradient is that operation again;
* :func:`formula`: the operation as a composition of others that have rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._grad_mode import enable_grad, no_grad
from ...autograd import LEAF, Op, TensorBase, wrap
from ..shape import Reshape

Rule = Callable[..., Any]
RULES: dict[type[Op], Rule] = {}


def rule(*kinds: type[Op]) -> Callable[[Rule], Rule]:
    """Register the decorated function as the gradient of these operations."""

    def register(function: Rule) -> Rule:
        for kind in kinds:
            RULES[kind] = function
        return function

    return register


def rule_of(node: Op) -> Rule | None:
    """The rule of an operation, or of the one it derives from."""
    for kind in type(node).__mro__:
        if kind in RULES:
            return RULES[kind]
    return None


def gradients(node: Op, grads: list[Any]) -> tuple[Any, ...]:
    """One gradient for each edge of `node`, as Tensors with a graph.

    Raises
    ------
    NotImplementedError
        If the operation has no rule; the error names it.
    """
    own = getattr(node, "run_differentiable", None)
    if own is not None:
        return own(grads)  # type: ignore[no-any-return]
    found = rule_of(node)
    if found is None:
        raise NotImplementedError(
            f"{node.name()}: gradients of gradients (create_graph=True) are not implemented for "
            "this operation"
        )
    node.check()
    result = found(node, *grads)
    if type(result) is not tuple:
        result = (result,)
    node.check_count(len(result))
    return result


def argument(node: Op, i: int, array: Any) -> Any:
    """The Tensor argument `i` of `node`, of value `array`, at its place in the graph."""
    edge = node.edges[i]
    if edge is None:
        return wrap(array)
    target, nr = edge
    if nr == LEAF:
        return target if target._array.shape == array.shape else target.reshape(array.shape)
    return _at(wrap(array), target, nr)


def result(node: Op, array: Any, nr: int = 0) -> Any:
    """The result of `node`, of value `array`, at its place in the graph."""
    return _at(wrap(array), node, nr)


def _at(t: Any, node: Op, nr: int) -> Any:
    t._node, t._nr, t._requires = node, nr, True
    return t


def fit(g: Any, shape: tuple[int, ...]) -> Any:
    """`g` summed over the axes along which an operand of `shape` was broadcast."""
    have = g._array.shape
    if have == shape:
        return g
    extra = len(have) - len(shape)
    dims = [i for i in range(len(have)) if i < extra or shape[i - extra] == 1 != have[i]]
    return (g.sum(dims, keepdim=True) if dims else g).reshape(shape)


def kept(g: Any, shape: tuple[int, ...], dims: Any) -> Any:
    """A reduction's gradient with the reduced axes back as size 1."""
    if not g._array.ndim or dims is None:
        return g.reshape((1,) * len(shape))
    return g.reshape([1 if d in dims else n for d, n in enumerate(shape)])


class Adjoint(Op):
    """The gradient of a linear operation. `forth` is that operation, on Tensors."""

    @staticmethod
    def forward(ctx: Any, g: Any, node: Any, forth: Callable[[Any], Any]) -> Any:
        ctx.forth, owned, node.owned = forth, node.owned, False
        try:
            return np.asarray(node.backward(node, g))
        finally:
            node.owned = owned

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        with no_grad():
            return ctx.forth(wrap(g))._array


@rule(Adjoint)
def _adjoint(node: Any, g: Any) -> Any:
    return node.forth(g)


def linear(node: Any, g: Any, forth: Callable[[Any], Any]) -> Any:
    """The gradient of an operation that is linear in its argument; `forth` is the operation."""
    return Adjoint.apply(g, node, forth)


def formula(
    node: Any, function: Callable[..., Any], arrays: tuple[Any, ...], *grads: Any
) -> tuple[Any, ...]:
    """The gradients of an operation, by way of the same function composed of others.

    Parameters
    ----------
    function : callable
        From Tensors to what the operation gives.
    arrays : tuple of ndarray
        The Tensor arguments.
    """
    from ..._double import run_differentiable

    with enable_grad():
        inputs = []
        for i, array in enumerate(arrays):
            t = argument(node, i, array)
            # a place of its own in the graph, where the way back ends
            inputs.append(Reshape.apply(t, array.shape) if t.requires_grad else t)
        out = function(*inputs)
        wanted = [t for t in inputs if t.requires_grad]
        roots = list(zip(out if isinstance(out, tuple) else (out,), grads, strict=True))
        found = iter(run_differentiable(roots, wanted, stop=True))
        return tuple([next(found) if t.requires_grad else None for t in inputs])


def constant(array: Any) -> Any:
    """A Tensor without a graph."""
    return array if isinstance(array, TensorBase) else wrap(np.asarray(array))


from . import decompose, elementwise, layers, losses, reduce  # noqa: E402  (they register rules)
from . import shape as _shape  # noqa: E402
