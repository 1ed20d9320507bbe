"""One node in place of several: what operations that join a late result have in common.

Gradients are the same, to the last bit, as those of the operations one by one. Sums of gradients
depend on their order, so each is sent when the operation that it belongs to would send it
(``times``). And where a result that was joined is needed by itself as well (``needed``), its
gradients must meet before they go on: then the joined node does its own part alone, and sends that
to the node before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._grad_mode import mode
from .._later import Later
from ..autograd import Edge, Op, _edge, changed, pending, wrap

#: Edges, the gradients for them, and the number of the operation that sends them.
Part = tuple[int, Sequence[Edge | None], Sequence[Any]]


class Joined(Op):
    """A node that does the work of `before` and of what joined it: + residual, or an activation."""

    joins = True
    before: Any = None  # the node it joined, if that was recorded; maybe a joined one itself
    times: tuple[int, ...] = ()  # for each edge, the number of the operation it was an input of
    added = False  # whether a residual is the last tensor argument
    last = False  # whether an activation has joined
    inputs: Sequence[Edge | None] = ()  # to the inputs of all that it does the work of

    @property
    def edges(self) -> Sequence[Edge | None]:  # type: ignore[override]
        """Where gradients go: to the inputs, or to the node before where ``apart()``."""
        level = self.apart()
        if not level:
            return self.inputs
        if level == 1 and self.last:
            return [(self.before, 0)]
        return [((self if level == 1 else self.before).before, 0), self.inputs[-1]]

    @edges.setter
    def edges(self, edges: Sequence[Edge | None]) -> None:
        self.inputs = edges

    def apart(self) -> int:
        """How many of the operations that joined are on their own, 0 for none.

        That is 1 if the result before the last of them was needed by itself, 2 if the one before
        that was.
        """
        before = self.before
        if before is None:
            return 0
        if before.needed:
            return 1
        if not before.joins or before.before is None:
            return 0
        return 2 if before.before.needed else 0

    def parts(self, grads: Sequence[Any]) -> tuple[Part, Part | None]:
        """What backward has returned, in the order in which it is to be sent."""
        edges, times, level = self.inputs, self.times, self.apart()
        if level:
            return ((self if level == 1 else self.before).seq, self.edges, grads), None
        if not self.added:
            return (times[0], edges, grads), None
        return (times[-1], edges[-1:], grads[-1:]), (times[0], edges[:-1], grads[:-1])

    def alone(self, g: Any) -> tuple[Any, ...]:
        """Gradients where ``apart()``, from what the activation lets through of that of the result.

        They are those of the result before, and of the residual.
        """
        if self.last and self.apart() == 1:
            return (g,)
        return g, g if self.needs[-1] else None

    def release(self) -> None:
        """Let go of what was saved, also by the nodes whose work this one has done."""
        super().release()
        if self.before is not None and not self.before.needed:
            self.before.release()


def free(node: Op, tensor: Any, inplace: bool) -> bool:
    """Whether nobody looks at `tensor`, made by `node`: that is the recorded one, without hooks."""
    recorded = node if node.seq >= 0 else None
    if tensor._node is not recorded or tensor._requires is not (recorded is not None):
        return False
    if inplace and not mode.grad and tensor._requires:  # changed behind the graph's back
        return False
    return not tensor._hooks and (recorded is None or not (node.hooks or node.joined))


def join(ctx: Any, before: Any, tensor: Any, other: Any, inplace: bool, *values: Any) -> Any:
    """One operation from the inputs of `before` and `other` in place of two by way of `tensor`.

    ``ctx.forward(*values)`` gives what is to be written later, or the result, which is saved after
    what `before` has saved where `ctx` keeps it. `other` may be None. In place, `tensor` is the
    result.
    """
    needs, edges = before.needs, before.inputs if before.joins else before.edges
    edges = edges or (None,) * len(needs)
    times = before.times if before.joins else (before.seq,) * len(needs)
    if other is not None:
        wanted = other.requires_grad
        needs, edges = (*needs, wanted), (*edges, _edge(other) if wanted else None)
    graph = mode.grad and True in needs
    ctx.needs = needs if graph else (False,) * len(needs)
    out = ctx.run_forward(values)
    late = isinstance(out, Later)
    if inplace:
        result = tensor
        result._array = out
        changed(result)
    else:
        result = pending(out) if late else wrap(out)
    if graph:
        recorded = before.seq >= 0
        before.joined = not inplace and recorded
        ctx.before = before if recorded else None
        ctx.saved, ctx.versions = before.saved, before.versions
        if not late and ctx.watches_result:
            box = result._version_box
            ctx.versions = [*before.versions, (box, box[0], out if ctx.keeps_result else values[0])]
            if ctx.keeps_result:
                ctx.saved = (*before.saved, out)
        ctx.join(edges, result)
        ctx.times = times if other is None else (*times, ctx.seq)
    return result
