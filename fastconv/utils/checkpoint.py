"""Checkpoints in the graph: compute a part of a network again instead of keeping what it saved.

A checkpointed call runs with its graph as any other. Afterwards its nodes are emptied: they keep
their edges, and let go of everything their ``forward`` left in them. When the backward pass comes
to the first of them, the function runs again, and each node gets what its double has saved. So
gradients, hooks and ``autograd.grad`` work as without a checkpoint.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from .._grad_mode import mode
from .._inplace import CopySlices
from .._later import settle
from ..autograd import Op, TensorBase, _sequence, enable_grad, is_grad_enabled
from ..random import get_rng_state, set_rng_state

__all__ = ["checkpoint", "checkpoint_sequential"]

#: What an emptied node keeps: its place in the graph.
_PLACE = (
    "added", "needed", "before", "edges", "hooks", "inputs", "joined", "last", "materialize",
    "needs", "outputs", "seq", "times",
)  # fmt: skip


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Call ``function(*args, **kwargs)`` without keeping what its backward pass needs.

    The function runs once more during the backward pass, so it must do the same again. What it
    changes outside is changed twice, but for the running statistics and the batch count of our
    normalisations: these move once, in the first run.

    Parameters
    ----------
    function : callable
        Returns a Tensor, or a tuple, list or dict with tensors.
    *args, **kwargs
        Its arguments; the tensors among them are kept.
    use_reentrant : bool, optional
        Accepted for PyTorch's sake: there is one way here, which does what both of PyTorch's do.
    preserve_rng_state : bool
        Let the second run draw the same random numbers (dropout).

    Returns
    -------
    object
        What `function` returns.

    Raises
    ------
    RuntimeError
        If `function` changes an argument in place; in the backward pass, if the second run records
        other operations than the first, or an argument has been changed in place since.
    """
    if not callable(function):
        raise TypeError(f"checkpoint(): function must be callable, got {type(function).__name__}")
    if not is_grad_enabled():
        return function(*args, **kwargs)
    state = get_rng_state() if preserve_rng_state else None
    segment = _Segment(function, args, kwargs, state)
    first = next(_sequence)
    again, mode.again = mode.again, True
    try:
        result = function(*args, **kwargs)
    finally:
        mode.again = again
    segment.check_arguments("by the function itself, which cannot run again then")
    nodes = _nodes(result, first)
    if nodes:
        segment.watch(nodes)
        for node in nodes:
            _empty(node, segment)
    return result


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """Run modules one after another, in `segments` checkpoints of about equal length.

    As in PyTorch the last segment keeps what it saves: backward comes to it at once.

    Parameters
    ----------
    functions : Sequential, or sequence of callables
    segments : int
    input : object
        Of the first function.
    use_reentrant, preserve_rng_state
        As in :func:`checkpoint`.

    Raises
    ------
    ValueError
        If `segments` is not between 1 and the number of functions.
    """
    steps = list(functions)
    if not 1 <= segments <= len(steps):
        raise ValueError(
            f"checkpoint_sequential(): segments must be 1 to {len(steps)}, got {segments}"
        )
    size = len(steps) // segments

    def run(part: list[Any]) -> Callable[[Any], Any]:
        def through(value: Any) -> Any:
            for step in part:
                value = step(value)
            return value

        return through

    for i in range(segments - 1):
        part = steps[i * size : (i + 1) * size]
        input = checkpoint(
            run(part), input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state
        )
    return run(steps[(segments - 1) * size :])(input)


def _tensors(value: Any) -> list[TensorBase]:
    """The tensors in tuples, lists and dicts, in their order, written if they were to be later."""
    if isinstance(value, TensorBase):
        value._array  # noqa: B018  (reading writes)
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [t for part in value for t in _tensors(part)]
    return []


def _nodes(result: Any, first: int) -> list[Op]:
    """Nodes behind `result` that were made after number `first`, oldest first."""
    todo = [t.grad_fn for t in _tensors(result)]
    found: dict[Op, None] = {}
    while todo:
        node = todo.pop()
        if node is None or node.seq < first or node in found:
            continue
        found[node] = None
        todo += [edge[0] for edge in node.edges if edge is not None and isinstance(edge[0], Op)]
        todo.append(getattr(node, "before", None))
    nodes = sorted(found, key=lambda node: node.seq)
    found_in = [(node, node.inner) if isinstance(node, CopySlices) else (node,) for node in nodes]
    return [part for parts in found_in for part in parts]


class _Segment:
    """A checkpointed call: how to run it again, and its nodes, which it does not keep alive."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        state: Any,
    ) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.state, self.waits = state, mode.waits
        self.versions = [(t, t._version_box[0]) for t in _tensors((args, kwargs))]
        self.nodes: list[Callable[[], Op | None]] = []
        self.kinds: list[type[Op]] = []

    def watch(self, nodes: list[Op]) -> None:
        """Take the nodes that the first run has recorded."""
        self.nodes = [weakref.ref(node) for node in nodes]
        self.kinds = [type(node) for node in nodes]

    def check_arguments(self, by: str) -> None:
        """Raise if an argument is no longer what it was."""
        for t, version in self.versions:
            if t._version_box[0] != version:
                raise RuntimeError(
                    f"checkpoint(): an argument of shape {t._array.shape} was changed in place "
                    f"{by}: it is at version {t._version_box[0]}, expected {version}"
                )

    def restore(self) -> None:
        """Run the function again and give every node what its double has."""
        self.check_arguments("since the first run")
        args, kwargs = _detached(self.args), _detached(self.kwargs)
        before = get_rng_state() if self.state is not None else None
        outside = mode.waits, mode.again, mode.second
        mode.waits, mode.again = self.waits, True  # the same operations join
        mode.second = True
        if self.state is not None:
            set_rng_state(self.state)
        try:
            with enable_grad():
                first = next(_sequence)
                doubles = _nodes(self.function(*args, **kwargs), first)
        finally:
            mode.waits, mode.again, mode.second = outside
            settle()
            if before is not None:
                set_rng_state(before)
        kinds = [type(node) for node in doubles]
        if kinds != self.kinds:
            raise RuntimeError(
                f"checkpoint(): the second run recorded {_listed(kinds)}, "
                f"the first {_listed(self.kinds)}"
            )
        places: dict[Op, Op] = {}
        for ref, double in zip(self.nodes, doubles, strict=True):
            node = ref()
            if node is not None and _segment(node) is self:
                places[double] = node
                del node.__dict__["check"]
                for name, value in double.__dict__.items():
                    if name not in _PLACE:
                        node.__dict__[name] = value
        # A checkpoint inside this one has run again too: its new segment now is about our nodes.
        for inside in {s for s in map(_segment, places) if s is not None}:
            found = [ref() for ref in inside.nodes]
            nodes = [None if double is None else places.get(double) for double in found]
            inside.nodes = [weakref.ref(node) if node else _nobody for node in nodes]
            for node in filter(None, nodes):
                node.__dict__["check"] = _Check(inside, node)


class _Check:
    """Stands in for the ``check`` of an emptied node, which is called before its backward."""

    __slots__ = ("node", "segment")

    def __init__(self, segment: _Segment, node: Op) -> None:
        self.segment, self.node = segment, weakref.ref(node)

    def __call__(self) -> None:
        self.segment.restore()
        node = self.node()
        if node is not None:
            node.check()  # the class's own, or that of a checkpoint inside


def _segment(node: Op) -> _Segment | None:
    check = node.__dict__.get("check")
    return check.segment if check is not None else None


def _nobody() -> None:
    """Refers to a node that is gone."""


def _empty(node: Op, segment: _Segment) -> None:
    """Let go of what `forward` left in a node, until its backward asks."""
    fields = {name: value for name, value in node.__dict__.items() if name in _PLACE}
    node.__dict__.clear()
    node.__dict__.update(fields, check=_Check(segment, node))


def _detached(value: Any) -> Any:
    """The same containers, with leaves over the same memory in place of the tensors."""
    if isinstance(value, TensorBase):
        leaf: Any = value
        needs = leaf.requires_grad
        leaf = leaf.detach()
        leaf._requires = needs
        return leaf
    if isinstance(value, dict):
        return {key: _detached(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_detached(part) for part in value]
    if isinstance(value, tuple):
        parts = [_detached(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def _listed(kinds: list[Any]) -> str:
    return ", ".join(kind.__name__ for kind in kinds) or "nothing"
