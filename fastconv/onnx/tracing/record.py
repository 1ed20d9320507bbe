"""One run of a network as a list of operations.

Every operation of the graph goes through ``Op.apply``, which asks `_watch.recorder`; while a
network is exported the recorder is the one here. Comparisons, which are no operations of the graph,
are noted by their methods (`METHODS`), as are functions that stand for one operation
(`_watch.whole`), whose inside is not looked at. An array is known by its identity: it is what an
operation made, an input, a tensor of the network's state, or else a constant.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ... import _watch
from ..._locks import make_lock
from ...autograd import Op, enable_grad
from ...config import fusion
from ..errors import ExportError

Array = np.ndarray
_lock = make_lock()
#: Methods of Tensor that leave no node in the graph, and what they are written as.
METHODS = {
    "__gt__": "Greater", "__ge__": "GreaterOrEqual", "__lt__": "Less", "__le__": "LessOrEqual",
    "__eq__": "Equal", "__ne__": "NotEqual", "__and__": "And", "__or__": "Or", "__invert__": "Not",
    "gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual", "eq": "Equal",
    "ne": "NotEqual", "logical_and": "And", "logical_or": "Or", "logical_not": "Not",
    "argmax": "ArgMax", "argmin": "ArgMin",
}  # fmt: skip


class Value:
    """An array of the run.

    Attributes
    ----------
    origin : str
        "made" by an operation, "input", "state" of the network, or "constant".
    key : Any
        (call, output), the number of the input, the name in ``state_dict()``, or the number of the
        constant.
    array : ndarray
    """

    __slots__ = ("array", "key", "origin")

    def __init__(self, origin: str, key: Any, array: Array) -> None:
        self.origin, self.key, self.array = origin, key, array

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its axes."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        """The type of its elements."""
        return self.array.dtype

    def __repr__(self) -> str:
        return f"Value({self.origin} {self.key}, {self.dtype} {self.shape})"


class Call:
    """One operation: its name, its arguments with Values for arrays, and what it made."""

    __slots__ = ("args", "kind", "made")

    def __init__(self, kind: str, args: list[Any], made: list[Value]) -> None:
        self.kind, self.args, self.made = kind, args, made


class Recorder:
    """What `_watch.recorder` is while a network is recorded; other threads just run."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.calls: list[Call] = []
        self.values: dict[int, Value] = {}  # of arrays by id
        self.alive: list[Any] = []  # so that no id comes again
        self.stale: dict[int, str] = {}  # arrays changed through a view of them
        self.constants = 0
        self.inside = False  # of a function that is noted as one operation
        self.thread = threading.get_ident()
        for name, t in state.items():
            array = t._array
            self.alive.append(array)
            self.values.setdefault(id(array), Value("state", name, array))

    def enter(self, number: int, array: Array) -> None:
        """Say that an array is an input."""
        self.alive.append(array)
        self.values[id(array)] = Value("input", number, array)

    def value(self, array: Array, what: str = "") -> Value:
        """The Value of an array; one that nobody knows is a constant from here on."""
        if id(array) in self.stale:
            raise ExportError(
                f"{what}: a tensor of shape {array.shape} is used after {self.stale[id(array)]} "
                "changed a view of it in place; make the change on the tensor itself, or on a copy"
            )
        found = self.values.get(id(array)) or self.reshaped(array)
        if found is None:
            self.alive.append(array)
            found = Value("constant", self.constants, array.copy())
            self.constants += 1
            self.values[id(array)] = found
        return found

    def reshaped(self, array: Array) -> Value | None:
        """The Value of integers that NumPy has only given another shape."""
        if array.dtype.kind != "i" or array.base is None or not array.flags.c_contiguous:
            return None
        base = array.base
        known = self.values.get(id(base))
        if known is None or known.origin == "constant" or base.size != array.size:
            return None
        if base.dtype != array.dtype or not base.flags.c_contiguous:
            return None
        return self.note("Reshape", [known, array.shape], [array])[0]

    def note(self, kind: str, args: list[Any], arrays: Sequence[Array]) -> list[Value]:
        """Add a call that has made these arrays."""
        made = []
        for k, a in enumerate(arrays):
            v = Value("made", (len(self.calls), k), a)
            self.alive.append(a)
            self.values[id(a)] = v
            self.stale.pop(id(a), None)
            made.append(v)
        self.calls.append(Call(kind, args, made))
        return made

    def argument(self, a: Any, what: str) -> Any:
        """An argument with Values in place of arrays, in tuples and lists too."""
        if type(a) is np.ndarray:
            return self.value(a, what)
        if type(a) in (tuple, list):
            return tuple([self.argument(x, what) for x in a])
        if type(a) is dict:
            return {k: self.argument(x, what) for k, x in a.items()}
        return a

    def watches(self) -> bool:
        """Whether what runs now is to be noted."""
        return not self.inside and threading.get_ident() == self.thread

    # -- the interface of recorders ----------------------------------------------------------------

    def forward(self, cls: Any, ctx: Any, args: Sequence[Any]) -> Any:
        """Run an operation's ``forward`` and note it."""
        if not self.watches():
            return cls.forward(ctx, *args)
        given = [self.argument(a, cls.__name__) for a in args]
        found = cls.forward(ctx, *args)
        several = type(found) is tuple
        outs = [
            a if type(a) is np.ndarray else np.asarray(a) for a in (found if several else [found])
        ]
        self.note(cls.__name__, given, outs)
        return tuple(outs) if several else outs[0]

    def whole(
        self, kind: str, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Run a function that is one operation: its argument is a dict of the function's."""
        if not self.watches():
            return function(*args, **kwargs)
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # which says what is wrong
        bound.apply_defaults()
        arrays = {k: getattr(v, "_array", v) for k, v in bound.arguments.items()}
        given = self.argument(arrays, kind)
        self.inside = True
        try:
            result = function(*args, **kwargs)
        finally:
            self.inside = False
        made = result if isinstance(result, tuple) else (result,)
        self.note(kind, [given], [t._array for t in made])
        return result

    def backward(self, node: Any, grads: Sequence[Any], retain: bool) -> Any:
        """Run a node of the graph."""
        return node.run(grads, retain)

    def measure(self, name: str, phase: str, args: Any, call: Any, *given: Any) -> Any:
        """Run anything else."""
        return call(*given)

    def written(self, cls: Any, target: Any) -> None:
        """An in-place operation has put its result, the last call's, into `target`."""
        array, last = target._array, self.calls[-1].made[0]
        if last.array is not array:
            self.alive.append(array)
            self.values[id(array)] = Value("made", last.key, array)
        if target._view is not None:
            base = target._view[0]._array
            self.stale[id(base)] = cls.__name__


def record(run: Any, inputs: Sequence[Array], state: dict[str, Any]) -> tuple[Recorder, Any]:
    """Run ``run(*tensors)`` on inputs and note every operation.

    Gradients are on, so that operations in place go through the graph too, and nothing is fused.

    Returns
    -------
    Recorder, result

    Raises
    ------
    ExportError
        If a profiler is running.
    """
    from ...nn.parameter import Parameter
    from ...tensor import wrap

    with _lock:
        if _watch.recorder is not None:
            raise ExportError("export(): a profile, or the detection of anomalies, is running")
        recorder = Recorder(state)
        tensors = []
        for number, array in enumerate(inputs):
            t = wrap(array)
            if array.dtype.kind == "f":
                t.requires_grad = True
                t = t.clone()  # no leaf: it may be changed in place
            recorder.enter(number, t._array)
            tensors.append(t)
        frozen = [t for t in state.values() if isinstance(t, Parameter) and _waits(t)]
        original: Any = Op.__dict__["apply_"]
        before = {name: vars(owner)[name] for name, owner in _owners().items()}

        def apply_(cls: Any, target: Any, *args: Any) -> Any:
            result = original.__func__(cls, target, *args)
            if recorder.watches():
                recorder.written(cls, target)
            return result

        for t in frozen:  # so that what is done in place to their results is recorded too
            t.requires_grad = True
        _watch.recorder = recorder
        Op.apply_ = classmethod(apply_)  # type: ignore[method-assign,assignment]
        for name, owner in _owners().items():
            setattr(owner, name, _noting(recorder, METHODS[name], before[name]))
        try:
            with enable_grad(), fusion(False):
                return recorder, run(*tensors)
        finally:
            Op.apply_ = original  # type: ignore[method-assign]
            for name, owner in _owners().items():
                setattr(owner, name, before[name])
            _watch.recorder = None
            for t in frozen:
                t.requires_grad = False


def _waits(t: Any) -> bool:
    """Whether a parameter could have a gradient and does not want one."""
    return not t.requires_grad and t._array.dtype.kind == "f"


def _owners() -> dict[str, Any]:
    """The classes of tensors that define the METHODS."""
    from ...tensor import Tensor

    return {
        name: next(c for c in Tensor.__mro__ if name in vars(c))
        for name in METHODS
        if hasattr(Tensor, name)
    }


def _noting(recorder: Recorder, kind: str, method: Any) -> Any:
    """A method of Tensor that tells the recorder what it made."""

    def noted(self: Any, *args: Any, **named: Any) -> Any:
        result = method(self, *args, **named)
        if recorder.watches() and hasattr(result, "_array"):
            given = [a._array if hasattr(a, "_array") else a for a in (self, *args)]
            values = [recorder.argument(a, kind) for a in given]
            recorder.note(kind, [*values, named], [result._array])
        return result

    return noted
