"""In-place changes of tensors and of views, seen by the graph.

An in-place result replaces the history of the tensor it is written into. Where that tensor is a
view, the history of its base changes: a :class:`CopySlices` node passes the gradient of the rest
of the base through, and that of the slice to the operation. Other views notice
(:func:`refresh_view`) that their base has a new node and are attached to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .autograd import LEAF, Op, TensorBase, _sequence

ndarray = np.ndarray


class Geometry:
    """Where the elements of a view lie in the dense memory of its base."""

    __slots__ = ("base", "view", "offset")

    def __init__(self, base: ndarray, view: ndarray) -> None:
        dense = np.empty_like(base)  # keeps the order of the axes
        if base.strides != dense.strides or view.itemsize != base.itemsize:
            raise RuntimeError(
                "in-place change of a view of a tensor that is not dense in memory, with a graph: "
                "clone() the tensor first"
            )
        self.base = (base.shape, base.strides, base.dtype)
        self.view = (view.shape, view.strides)
        self.offset = view.__array_interface__["data"][0] - base.__array_interface__["data"][0]

    def empty(self) -> tuple[ndarray, ndarray]:
        """A new array like the base, and the view of it."""
        shape, strides, kind = self.base
        count = 1
        for s in shape:
            count *= s
        memory = np.empty(count, kind)
        return (
            np.ndarray(shape, kind, memory, 0, strides),
            np.ndarray(self.view[0], kind, memory, self.offset, self.view[1]),
        )


class CopySlices(Op):
    """A base tensor of which a view was replaced by the result of `inner`."""

    inner: Op
    geometry: Geometry

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> tuple[Any, ...]:
        full, part = ctx.geometry.empty()
        full[...] = g
        first, *rest = ctx.inner.run([part.copy()], ctx.retain)
        if first is None:
            part[...] = 0
        else:
            part[...] = first
        return (full, *rest)

    def run(self, grads: Any, retain: bool) -> Any:
        """As any node's, with `retain` passed on to the operation inside."""
        self.retain = retain
        return super().run(grads, retain)

    def name(self) -> str:
        """The name of the operation that changed the view."""
        return f"CopySlices({self.inner.name()})"


class AsStrided(Op):
    """A view, attached to the current history of its base."""

    geometry: Geometry

    @staticmethod
    def backward(ctx: Any, g: ndarray) -> ndarray:
        full, part = ctx.geometry.empty()
        full[...] = 0
        part[...] = g
        return full


def rebase(target: TensorBase, node: Op) -> None:
    """Make `node`, whose first input is `target`, the history of `target` from here on."""
    if target._view is None:
        target._node, target._nr, target._requires = node, 0, True
        return
    base = target._view[0]
    slices = CopySlices()
    slices.geometry = Geometry(base._array, target._array)
    slices.inner = node
    slices.seq = next(_sequence)
    slices.needs = (base._requires, *node.needs[1:])
    slices.edges = [_edge_to(base), *node.edges[1:]]
    base._node, base._nr, base._requires = slices, 0, True
    refresh_view(target)


def refresh_view(t: TensorBase) -> None:
    """If the base of the view `t` has a new history, attach `t` to it."""
    base, node = t._view  # type: ignore[misc]
    if base._node is node:
        return
    t._view = (base, base._node)
    strided = AsStrided()
    strided.geometry = Geometry(base._array, t._array)
    strided.seq = next(_sequence)
    strided.needs = (base._requires,)
    strided.edges = [_edge_to(base)]
    t._node, t._nr, t._requires = strided, 0, base._requires


def _edge_to(t: TensorBase) -> Any:
    if not t._requires:
        return None
    return (t, LEAF) if t._node is None else (t._node, t._nr)
