"""In-place changes of tensors and of views, seen by the graph.

An in-place result replaces the history of the tensor it is written into. Where that tensor is a
view, the history of its base changes: a :class:`CopySlices` node passes the gradient of the rest
of the base through, and that of the slice to the operation. Other views notice
(:func:`refresh_view`) that their base has a new node and are attached to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._hooks import keep_retained
from .autograd import LEAF, Op, TensorBase, _sequence

ndarray = np.ndarray


class Geometry:
    """Where the elements of a view lie in the memory of its base."""

    __slots__ = ("base", "view", "nbytes")

    def __init__(self, base: ndarray, view: ndarray) -> None:
        low, self.nbytes = _extent(base)
        first = _address(base) - low
        self.base = (base.shape, base.dtype, first, base.strides)
        self.view = (view.shape, view.dtype, first + _address(view) - _address(base), view.strides)
        if _overlaps(base):
            raise RuntimeError(
                f"in-place change of a view of a tensor of shape {base.shape} and strides (in "
                f"bytes) {base.strides}, elements of which share memory: clone() the tensor first"
            )
        if view.itemsize != base.itemsize:
            raise RuntimeError(
                f"in-place change of a view as {view.dtype} of a tensor of {base.dtype}: clone() "
                "the tensor first"
            )

    def empty(self) -> tuple[ndarray, ndarray]:
        """A new array like the base, and the view of it."""
        memory = np.empty(self.nbytes, np.uint8)
        parts = []
        for shape, kind, offset, strides in (self.base, self.view):
            parts.append(np.ndarray(shape, kind, memory, offset, strides))
        return parts[0], parts[1]


def _address(a: ndarray) -> int:
    return a.__array_interface__["data"][0]  # type: ignore[no-any-return]


def _extent(a: ndarray) -> tuple[int, int]:
    """The lowest address of an array's elements, and the bytes from there to their end."""
    if not a.size:
        return _address(a), 0
    ends = [(n - 1) * step for n, step in zip(a.shape, a.strides, strict=True)]
    low = sum(end for end in ends if end < 0)
    return _address(a) + low, sum(ends) - 2 * low + a.itemsize


def _overlaps(a: ndarray) -> bool:
    """Whether elements of an array may share memory; steps along axes of size 1 mean nothing."""
    reach = a.itemsize
    for step, n in sorted((abs(s), n) for n, s in zip(a.shape, a.strides, strict=True) if n != 1):
        if step < reach and a.size:
            return True
        reach += step * (n - 1)
    return False


class CopySlices(Op):
    """A base tensor of which a view was replaced by the result of `inner`."""

    inner: Op
    geometry: Geometry

    @property
    def copies_output(self) -> bool:  # type: ignore[override]
        """As the operation."""
        return self.inner.copies_output

    def detach_from(self, array: ndarray) -> None:
        """As the operation."""
        self.inner.detach_from(array)

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
        keep_retained(target, node)
        target._node, target._nr, target._requires = node, 0, True
        return
    base = target._view[0]
    slices = CopySlices()
    slices.geometry = Geometry(base._array, target._array)
    slices.inner = node
    slices.seq = next(_sequence)
    slices.needs = (base._requires, *node.needs[1:])
    slices.edges = [_edge_to(base), *node.edges[1:]]
    keep_retained(base, slices)
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
    keep_retained(t, strided)
    t._node, t._nr, t._requires = strided, 0, base._requires


def _edge_to(t: TensorBase) -> Any:
    if not t._requires:
        return None
    return (t, LEAF) if t._node is None else (t._node, t._nr)
