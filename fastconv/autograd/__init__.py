"""The graph: operations record themselves going forward, and one loop runs them backward.

Three things make it up.

* :class:`TensorBase` is what the graph knows of a tensor: its array, whether it requires a
  gradient, and the
  operation that made it.
* :class:`Op` is an operation *and* its node in the graph: ``Op.apply`` creates an instance, gives
  it to ``forward`` as
  ``ctx``, and keeps it with edges to the nodes of its inputs when one of them requires a gradient.
* :func:`run_backward` (in _engine.py) visits the nodes from the newest to the oldest. Every node
  is newer than the
  nodes of its inputs, so that order alone means that a node's gradient is complete when its turn
  comes.

Edges point from results to inputs only and no node holds its output tensor: there are no cycles,
and a graph goes with its last reference, without the garbage collector.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _watch
from .._changes import EXPOSED, changed, expose, forget, memory, move
from .._grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    mode,
    no_grad,
    quiet,
    set_grad_enabled,
    unquiet,
)
from .._later import Later

if TYPE_CHECKING:
    from .._hooks import HookDict
    from ..tensor import Tensor

__all__ = [
    "Function",
    "Op",
    "TensorBase",
    "Variable",
    "backward",
    "changed",
    "enable_grad",
    "expose",
    "forget",
    "grad",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "memory",
    "move",
    "no_grad",
    "once_differentiable",
    "set_grad_enabled",
    "wrap",
]

ndarray = np.ndarray
Edge = tuple[Any, int]  # (node, which of its outputs), or (leaf tensor, LEAF)
LEAF = -1
_sequence = itertools.count()
_new = object.__new__


class TensorBase:
    """What the graph knows of a tensor; :class:`fastconv.Tensor` adds the methods.

    Attributes
    ----------
    array : numpy.ndarray
        The values. Tensors that are views of one another share memory.
    """

    __slots__ = (
        "_array",
        "_grad",
        "_requires",
        "_node",  # the Op that made this tensor, None for a leaf
        "_nr",  # which of its outputs this is
        "_version_box",  # [in-place changes, Memory or None], shared by views and detach()
        "_view",  # (base tensor, its node when this tensor's node was made), None if not a view
        "_hooks",
        "__weakref__",
    )
    _array: ndarray
    _grad: Tensor | None
    _requires: bool
    _node: Op | None
    _nr: int
    _version_box: list[Any]
    _view: tuple[TensorBase, Op | None] | None
    _hooks: HookDict | None
    _later: Later | None = None  # what a tensor that is not written yet (_pending.py) waits for

    @property
    def array(self) -> ndarray:
        """The values: for people. Inside the package it is `_array`."""
        expose(self)
        return self._array

    @array.setter
    def array(self, value: ndarray) -> None:
        changed(self)
        move(self, value, EXPOSED)

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        if self._view is not None:
            refresh_view(self)
        return self._requires

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self._node is not None:
            if not value:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf tensors; "
                    "use detach() for a tensor without a graph"
                )
            return
        if value and self._array.dtype.kind != "f":
            raise RuntimeError(
                "only tensors of floating-point dtype can require gradients, "
                f"got {self._array.dtype}"
            )
        self._requires = bool(value)

    @property
    def grad_fn(self) -> Op | None:
        """The node that computed this tensor, None for a leaf."""
        if self._view is not None:
            refresh_view(self)
        return self._node

    @property
    def is_leaf(self) -> bool:
        """True for a tensor that no recorded operation made."""
        return self.grad_fn is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward passes have added up, None before the first."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, TensorBase):
                raise TypeError(f"grad must be a Tensor or None, got {type(value).__name__}")
            if value._array.shape != self._array.shape:
                raise RuntimeError(
                    f"grad of shape {value._array.shape} does not fit a tensor of shape "
                    f"{self._array.shape}"
                )
            if value._array.dtype != self._array.dtype:
                raise RuntimeError(
                    f"grad of dtype {value._array.dtype} does not fit a tensor of dtype "
                    f"{self._array.dtype}"
                )
        self._grad = value

    @property
    def _version(self) -> int:
        return self._version_box[0]  # type: ignore[no-any-return]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> ndarray:
        raise NotImplementedError  # Tensor defines it; here so that NumPy never iterates


# The class of new tensors: fastconv.tensor, which needs this module, sets it to Tensor.
_tensor_class: list[Any] = [TensorBase]
# The class of tensors that are not written yet: fastconv._pending sets it.
_pending_class: list[Any] = [TensorBase]


def wrap(array: Any, cls: Any = None) -> Any:
    """A tensor over `array`, without a copy and without a graph."""
    t = _new(_tensor_class[0] if cls is None else cls)
    t._array = array if type(array) is ndarray else np.asarray(array)
    t._grad = t._node = t._view = t._hooks = None
    t._requires = False
    t._nr = 0
    t._version_box = [0, None]
    return t


def pending(later: Later) -> Any:
    """A tensor that holds `later`, to be written when its values are asked for."""
    t = _new(_pending_class[0])
    t._grad = t._node = t._view = t._hooks = None
    t._requires = False
    t._nr = 0
    t._version_box = [0, None]
    t._array = later
    return t


def _owner(a: ndarray) -> ndarray:
    """The array that stands for the memory of `a`: the same object for all its views."""
    base = a.base
    return base if type(base) is ndarray else a


def share(view: TensorBase, source: TensorBase) -> None:
    """If the new tensor `view` shares memory with `source`, let it share its changes too."""
    a, b = view._array, source._array
    if a is b or a.base is b or _owner(a) is _owner(b):
        base = source if source._view is None else source._view[0]
        if source._node is None and source._requires:  # a view that was made a leaf
            base = source
        view._version_box = source._version_box
        view._view = (base, base._node)


_NO_NEEDS = tuple((False,) * n for n in range(16))


class Op:
    """A differentiable operation on ndarrays, and its node in the graph.

    A subclass defines two static methods; an instance of it is the ``ctx`` of both::

        class Exp(Op):
            @staticmethod
            def forward(ctx, a):        # Tensors arrive as ndarrays, anything else unchanged
                y = np.exp(a)
                ctx.save(y)
                return y                # an ndarray or a tuple of ndarrays
            @staticmethod
            def backward(ctx, g):       # one gradient per output
                (y,) = ctx.saved
                return g * y            # one per Tensor argument; None where ctx.needs is False

    ``ctx.needs[i]`` says whether the i-th Tensor argument needs a gradient. Outputs of integer
    type get none, and a multi-output ``backward`` receives None for them.
    """

    saved: tuple[Any, ...] = ()
    needs: tuple[bool, ...] = ()
    edges: Sequence[Edge | None] = ()
    versions: Sequence[tuple[list[Any], int, ndarray]] = ()
    hooks: HookDict | None = None  # of (output, hook)
    outputs: tuple[Any, ...] | None = None  # (shape, dtype) of each, when there are several
    seq = -1
    freed = False
    joins = False  # whether it does the work of several (functions/joined.py)
    joined = False  # whether another node does this one's work, from the same inputs
    needed = False  # whether its result was needed by itself, though it may have been joined
    materialize = True  # zeros, not None, for outputs that got no gradient
    view = False  # whether the result may share the first argument's memory
    keeps_result = True  # whether backward needs the result, where this joins another (joined.py)
    watches_result = True  # whether that must not be changed in place before backward
    overwrites = False  # whether backward can write over its (one) gradient, where it is `owned`
    owned = False  # set before backward: nobody else has the gradient's memory
    copies_output = False  # a saved output is copied before an in-place operation changes it

    #: `forward` in two, of operations that can say them apart: ``compute(arguments)`` is the
    #: result, an ndarray, and all that runs without a graph; ``remember(ctx, result, arguments)``
    #: keeps what backward needs.
    compute: Any = None
    remember: Any = None

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        result = ctx.compute(args)
        ctx.remember(result, args)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError(f"{type(ctx).__name__} has no backward")

    def save(self, *arrays: Any) -> None:
        """Keep arrays for backward, which finds them in ``ctx.saved``."""
        self.saved = arrays

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Compute the operation, and record it if an input requires a gradient."""
        inputs = []
        values = []
        for a in args:
            if isinstance(a, TensorBase):
                inputs.append(a)
                values.append(a._array)
            else:
                values.append(a)
        return cls.of(inputs, values)

    @classmethod
    def of(cls, inputs: Sequence[TensorBase], values: Sequence[Any]) -> Any:
        """``apply`` where the Tensors are known, and `values` holds their arrays."""
        compute = cls.compute if _watch.recorder is None else None
        if mode.grad:
            needs = tuple([t._requires if t._view is None else t.requires_grad for t in inputs])
            graph = True in needs
        elif compute is not None:
            return wrap(compute(values))
        else:
            needs = _NO_NEEDS[len(inputs)] if len(inputs) < 16 else (False,) * len(inputs)
            graph = False
        if compute is not None and not graph:
            return wrap(compute(values))
        ctx = cls()
        ctx.needs = needs
        if compute is not None and cls.remember is not None:
            out = compute(values)
            ctx.remember(out, values)
            result = wrap(out)
            ctx.record(inputs, (result,))
            return result
        out = ctx.run_forward(values)
        if type(out) is tuple:
            results = tuple([wrap(o) for o in out])
            if graph:
                ctx.record(inputs, results)
            if cls.view:
                for r in results:
                    share(r, inputs[0])
            return results
        result = pending(out) if isinstance(out, Later) else wrap(out)
        if graph:
            ctx.record(inputs, (result,))
        if cls.view:
            share(result, inputs[0])
        return result

    def run_forward(self, values: Sequence[Any]) -> Any:
        """What ``forward`` returns for these arguments, noted by a profiler that watches."""
        kind = type(self)
        token = quiet()
        try:
            if _watch.recorder is None:
                return kind.forward(self, *values)
            return _watch.recorder.forward(kind, self, values)
        finally:
            unquiet(token)

    def record(self, inputs: Sequence[TensorBase], results: tuple[TensorBase, ...]) -> None:
        """Make this the node of `results`, with an edge to every input that needs a gradient."""
        self.seq = next(_sequence)
        self.edges = edges = []
        for t in inputs:
            node = t._node
            edges.append((node, t._nr) if node is not None else (t, LEAF) if t._requires else None)
        nr = 0
        for r in results:
            if r._later is not None or r._array.dtype.kind == "f":
                r._node, r._nr, r._requires = self, nr, True
            nr += 1
        if nr > 1:
            self.outputs = tuple([(r._array.shape, r._array.dtype) for r in results])
        if self.saved:
            self.watch(inputs, results)

    def join(self, edges: Sequence[Edge | None], result: TensorBase) -> None:
        """Make this the node of `result`, with the edges of the operations that it replaces."""
        self.seq = next(_sequence)
        self.edges = edges
        result._node, result._nr, result._requires = self, 0, True

    def watch(self, inputs: Iterable[TensorBase], results: Iterable[TensorBase] = ()) -> None:
        """Remember the version of every saved array that is the memory of one of these tensors."""
        self.versions = versions = []
        for s in self.saved:
            if type(s) is not ndarray:
                continue
            for t in inputs:
                if t._array is s:
                    box = t._version_box
                    break
            else:
                own, box = _owner(s), None
                for t in (*inputs, *results):
                    if t._later is None and _owner(t._array) is own:
                        box = t._version_box
                        break
            if box is not None:
                versions.append((box, box[0], s))

    def detach_from(self, array: ndarray) -> None:
        """Keep copies of what is saved in the memory of `array`, before it is overwritten."""
        own = _owner(array)
        there = [type(s) is ndarray and _owner(s) is own for s in self.saved]
        if True in there:
            self.versions = [v for v in self.versions if _owner(v[2]) is not own]
            self.saved = tuple(
                [s.copy(order="K") if t else s for s, t in zip(self.saved, there, strict=True)]
            )

    def saved_after(self, target: TensorBase) -> None:
        """What is saved of `target`, changed by forward itself, is its present value."""
        box = target._version_box
        self.versions = [(b, b[0] if b is box else v, s) for b, v, s in self.versions]

    @classmethod
    def apply_(cls, target: Any, *args: Any) -> Any:
        """Compute the operation on `target` and put the result into it, as methods named ``…_`` do.

        ``forward`` may return a new array, which is copied, or change the first array itself and
        return it.
        """
        if mode.grad and target.requires_grad:
            base = target if target._view is None else target._view[0]
            leaf = base if base._requires else target
            if leaf._node is None:
                what = "a leaf" if leaf is target else "a view of a leaf"
                raise RuntimeError(
                    f"{cls.__name__}: {what} tensor that requires grad is being used in an "
                    "in-place operation; wrap it in no_grad(), or use the out-of-place operation"
                )
        forget(target)
        array = target._array
        whole = target if target._view is None else target._view[0]
        if whole._node is not None and whole._node.copies_output:
            whole._node.detach_from(whole._array)
        out = cls.apply(target, *args)
        if out._array is not array:
            if out._array.shape != array.shape:
                raise RuntimeError(
                    f"{cls.__name__}: in-place result of shape {out._array.shape} does not fit the "
                    f"tensor of shape {array.shape}"
                )
            if out._requires:
                out._node.detach_from(array)
            np.copyto(array, out._array, casting="unsafe")
        changed(target)
        if out._requires:
            if out._array is array:
                out._node.saved_after(target)
            rebase(target, out._node)
        return target

    def run(self, grads: Sequence[Any], retain: bool) -> Any:
        """The gradients of the inputs from those of the outputs."""
        self.check()
        result = self.backward(self, *grads)
        if type(result) is not tuple:
            result = (result,)
        if len(result) != len(self.edges):
            self.check_count(len(result))
        if not retain:
            self.release()
        return result

    def check(self) -> None:
        """Raise if what was saved has been freed, or changed in place."""
        if self.freed:
            raise RuntimeError(
                f"{self.name()}: trying to backward through the graph a second time, but what it "
                "saved has been freed; pass retain_graph=True to the first backward"
            )
        for box, version, saved in self.versions:
            if box[0] != version:
                raise RuntimeError(
                    f"{self.name()}: a value of shape {saved.shape} needed for its gradient was "
                    "changed by an in-place operation: "
                    f"it is at version {box[0]}, expected {version}"
                )

    def check_count(self, count: int) -> None:
        """Raise if backward returned the wrong number of gradients."""
        if count != len(self.edges):
            raise RuntimeError(
                f"{self.name()}: backward returned {count} gradients, expected {len(self.edges)}"
            )

    def release(self) -> None:
        """Let go of what was saved; another pass through here is then an error."""
        if self.saved:
            self.saved = ()
            self.versions = ()
            self.freed = True

    def name(self) -> str:
        """The operation's name as it appears in a tensor's ``grad_fn``."""
        return f"{type(self).__name__}Backward0"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that this one sends gradients to, as in PyTorch."""
        return tuple(
            (None, 0) if e is None else (AccumulateGrad(e[0]), 0) if e[1] == LEAF else e
            for e in self.edges
        )

    def __repr__(self) -> str:
        return f"<{self.name()}>"


class AccumulateGrad:
    """Stands for a leaf tensor in ``next_functions``; `variable` is the tensor."""

    __slots__ = ("variable",)
    next_functions: tuple[Any, ...] = ()

    def __init__(self, variable: Any) -> None:
        self.variable = variable

    def name(self) -> str:
        """The name PyTorch gives these nodes."""
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return "<AccumulateGrad>"


def keep_apart(t: TensorBase) -> None:
    """Let the gradient of `t` be computed, also if a later operation has joined it."""
    if t._node is not None:
        t._node.needed = True


def _edge(t: TensorBase) -> Edge:
    """Where gradients of `t`, which requires one, go."""
    node = t.grad_fn
    return (t, LEAF) if node is None else (node, t._nr)


from .._backward import backward, grad  # noqa: E402
from .._function import Function, once_differentiable  # noqa: E402  (they build on Op)
from .._inplace import rebase, refresh_view  # noqa: E402
from .._variable import Variable  # noqa: E402


def gradcheck(func: Callable[..., Any], inputs: Any, **options: Any) -> bool:
    """Compare gradients with finite differences; see :func:`fastconv.gradcheck.gradcheck`."""
    from ..gradcheck import gradcheck as check

    return check(func, inputs, **options)


def gradgradcheck(func: Callable[..., Any], inputs: Any, *args: Any, **options: Any) -> bool:
    """Compare second gradients with differences; see :func:`fastconv.gradcheck.gradgradcheck`."""
    from ..gradcheck import gradgradcheck as check

    return check(func, inputs, *args, **options)


#: PyTorch's paths to parts of this room, which load when they are asked for.
_PARTS = (
    "anomaly_mode", "function", "functional", "grad_mode", "graph", "profiler", "variable",
)  # fmt: skip
_ELSEWHERE = {
    "detect_anomaly": "anomaly_mode",
    "is_anomaly_enabled": "anomaly_mode",
    "set_detect_anomaly": "anomaly_mode",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _PARTS:
        return import_module(f"{__name__}.{name}")
    if name in _ELSEWHERE:
        value = getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
