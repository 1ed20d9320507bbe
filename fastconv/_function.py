"""Operations that users define, with PyTorch's interface: Tensors in, Tensors out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._grad_mode import mode, no_grad
from ._hooks import keep_retained
from .autograd import LEAF, Op, TensorBase, _edge, _sequence, changed, wrap


class Function(Op):
    """An operation with a gradient of your own.

    Subclass it with static methods ``forward(ctx, *args)`` and ``backward(ctx, *grads)``, both on
    Tensors, and call ``YourFunction.apply(*args)``. ``backward`` returns one gradient per argument
    of ``forward``, None for those that need none. ``forward(*args)`` together with
    ``setup_context(ctx, inputs, output)`` works too.

    Notes
    -----
    `ctx` offers ``save_for_backward``, ``saved_tensors``, ``needs_input_grad``, ``mark_dirty``,
    ``mark_non_differentiable`` and ``set_materialize_grads``.
    """

    needs_input_grad: tuple[bool, ...] = ()
    _non_differentiable: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()
    _to_save: tuple[Any, ...] = ()
    _boxes: Sequence[Any] = ()  # version boxes of what was saved
    _places: list[Any]  # where in the graph it stands: an edge, or None
    _graph = False  # whether backward runs with a graph (create_graph)
    _inputs: tuple[Any, ...] = ()  # (shape, dtype) per argument, None for what is not a Tensor

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep Tensors (or None) for backward."""
        for t in tensors:
            if t is not None and not isinstance(t, TensorBase):
                raise TypeError(
                    f"{type(self).__name__}: save_for_backward takes Tensors or None, "
                    f"got {type(t).__name__}"
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` kept."""
        if self.freed:
            raise RuntimeError(f"{self.name()}: the saved tensors have been freed")
        found = []
        for s, box, place in zip(self.saved, self._boxes, self._places, strict=True):
            t: Any = None if s is None else wrap(s)
            if t is not None:
                t._version_box = box
                if self._graph and place is not None:
                    if place[1] == LEAF:
                        t = place[0]
                    else:
                        t._node, t._nr = place[0] or self, place[1]
                        t._requires = True
            found.append(t)
        return tuple(found)

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """Say which outputs have no gradient."""
        self._non_differentiable = outputs

    def mark_dirty(self, *inputs: Any) -> None:
        """Say which inputs forward changed in place; they must be returned."""
        self._dirty = inputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs without a gradient."""
        self.materialize = bool(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Save what backward needs, where ``forward`` takes no `ctx`."""
        raise NotImplementedError

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Compute the operation, and record it if an input requires a gradient."""
        ctx = cls()
        tensors = [a for a in args if isinstance(a, TensorBase)]
        ctx.needs_input_grad = tuple(
            [mode.grad and isinstance(a, TensorBase) and a.requires_grad for a in args]
        )
        previous, mode.grad = mode.grad, False
        try:
            if cls.setup_context is Function.setup_context:
                out = cls.forward(ctx, *args)
            else:
                out = cls.forward(*args)
                cls.setup_context(ctx, args, out)
        finally:
            mode.grad = previous
        outs = tuple(out) if isinstance(out, (tuple, list)) else (out,)
        for o in outs:
            if not isinstance(o, TensorBase):
                raise TypeError(
                    f"{cls.__name__}.forward must return Tensors, got {type(o).__name__}"
                )
        for t in ctx._dirty:
            if t._view is not None:
                raise NotImplementedError(f"{cls.__name__}: mark_dirty of a view")
            if mode.grad and t._requires and t._node is None:
                raise RuntimeError(
                    f"{cls.__name__}: a leaf tensor that requires grad is being used in an "
                    "in-place operation"
                )
            changed(t)
        if True in ctx.needs_input_grad:
            outs = ctx._attach(args, tensors, outs)
        ctx._to_save = ctx._non_differentiable = ctx._dirty = ()
        return outs if isinstance(out, (tuple, list)) else outs[0]

    def _attach(
        self, args: tuple[Any, ...], tensors: list[Any], outs: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Make this instance the node of the outputs; returns them."""
        self.seq = next(_sequence)
        self.edges = [
            _edge(a) if need else None for a, need in zip(args, self.needs_input_grad, strict=True)
        ]
        self._inputs = tuple(
            [(a._array.shape, a._array.dtype) if isinstance(a, TensorBase) else None for a in args]
        )
        results = []
        for nr, o in enumerate(outs):
            dirty = any(o is d for d in self._dirty)
            if not dirty and (o._requires or any(o is t for t in tensors)):
                passed = wrap(
                    o._array
                )  # an input handed through: a new tensor over the same memory
                passed._version_box = o._version_box
            else:
                passed = o
            if o._array.dtype.kind == "f" and not any(o is n for n in self._non_differentiable):
                keep_retained(passed, self, nr)
                passed._node, passed._nr, passed._requires = self, nr, True
            results.append(passed)
        if len(results) > 1:
            self.outputs = tuple([(r._array.shape, r._array.dtype) for r in results])
        self.saved = tuple([None if t is None else t._array for t in self._to_save])
        self._boxes = [None if t is None else t._version_box for t in self._to_save]
        self._places = []
        for t in self._to_save:
            place = _edge(t) if t is not None and t.requires_grad else None
            # its own result without the node: that would be a cycle
            self._places.append((None, place[1]) if place and place[0] is self else place)
        self.watch([t for t in (*tensors, *results, *self._to_save) if t is not None])
        return tuple(results)

    def run(self, grads: Any, retain: bool) -> Any:
        """Call the user's backward with Tensors and check what it returns."""
        self.check()
        result = self.backward(self, *[None if g is None else wrap(g) for g in grads])
        checked = self._checked(result)
        if not retain:
            self.release()
        return [
            g if g is None or edge is None else g._array.astype(self._inputs[i][1], copy=False)
            for i, (g, edge) in enumerate(zip(checked, self.edges, strict=True))
        ]

    def run_differentiable(self, grads: Any) -> tuple[Any, ...]:
        """The same with a graph: what was saved has its place in it, and Tensors come back."""
        self.check()
        self._graph = True
        try:
            return tuple(self._checked(self.backward(self, *grads)))
        finally:
            self._graph = False

    def _checked(self, result: Any) -> list[Any]:
        """What backward returned, one Tensor or None for each argument of forward."""
        result = list(result) if isinstance(result, (tuple, list)) else [result]
        while len(result) > len(self.edges) and result[-1] is None:
            result.pop()
        self.check_count(len(result))
        for i, (g, edge) in enumerate(zip(result, self.edges, strict=True)):
            if g is None:
                continue
            if not isinstance(g, TensorBase):
                raise TypeError(
                    f"{self.name()}: gradient {i} must be a Tensor or None, got {type(g).__name__}"
                )
            if edge is not None and g._array.shape != self._inputs[i][0]:
                raise RuntimeError(
                    f"{self.name()}: gradient {i} has shape {g._array.shape}, but argument {i} of "
                    f"forward has {self._inputs[i][0]}"
                )
        return result

    def name(self) -> str:
        """The class's name and "Backward"."""
        return f"{type(self).__name__}Backward"


class _Once(Op):
    """The gradients of a backward that is not to be differentiated."""

    @staticmethod
    def forward(ctx: Any, *arrays: Any) -> Any:
        return tuple([a.copy() for a in arrays])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a backward as not differentiable itself: differentiating its result is an error."""

    @functools.wraps(function)
    def backward(ctx: Any, *grads: Any) -> Any:
        watched = mode.grad and any(isinstance(g, TensorBase) and g.requires_grad for g in grads)
        watched = watched or (mode.grad and any(p is not None for p in ctx._places))
        with no_grad():
            result = function(ctx, *grads)
        if not watched:
            return result
        single = not isinstance(result, (tuple, list))
        found = [result] if single else list(result)
        tensors = [i for i, t in enumerate(found) if isinstance(t, TensorBase)]
        trigger = wrap(np.zeros(()))
        trigger._requires = True
        for i, t in zip(tensors, _Once.apply(*[found[i] for i in tensors], trigger), strict=False):
            found[i] = t
        return found[0] if single else tuple(found)

    return backward
