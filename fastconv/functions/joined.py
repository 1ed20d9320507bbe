"""One node in place of several: what operations that join a late result have in common."""

from __future__ import annotations

from typing import Any

from .._grad_mode import mode
from .._later import Later
from ..autograd import Op, _edge, changed, pending, wrap


def free(node: Op, tensor: Any, inplace: bool) -> bool:
    """Whether nobody looks at `tensor`, made by `node`: that is the recorded one, without hooks."""
    recorded = node if node.seq >= 0 else None
    if tensor._node is not recorded or tensor._requires is not (recorded is not None):
        return False
    if inplace and not mode.grad and tensor._requires:  # changed behind the graph's back
        return False
    return not tensor._hooks and (recorded is None or not node.hooks)


def join(ctx: Op, before: Op, tensor: Any, other: Any, inplace: bool, *values: Any) -> Any:
    """One operation from the inputs of `before` and `other` in place of two by way of `tensor`.

    ``ctx.forward(*values)`` gives what is to be written later, or the result, which is saved after
    what `before` has saved where `ctx` keeps it. `other` may be None. In place, `tensor` is the
    result.
    """
    needs, edges = before.needs, before.edges or (None,) * len(before.needs)
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
        before.joined = not inplace and before.seq >= 0
        ctx.saved, ctx.versions = before.saved, before.versions
        if not late and ctx.keeps_result:
            ctx.saved = (*before.saved, out)
            box = result._version_box
            ctx.versions = [*before.versions, (box, box[0], out)]
        ctx.join(edges, result)
    return result
