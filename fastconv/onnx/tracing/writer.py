"""Values and nodes of the graph that is being written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import ExportError, need_onnx
from .axes import Axis
from .record import Call, Recorder, Value

#: What writes the nodes of an operation, by its class's name: ``rule(writer, call, twin)``.
RULES: dict[str, Callable[[Writer, Call, Call], Any]] = {}
#: Larger than any size: a slice to the end.
END = 2**63 - 1


def rule(*names: str) -> Callable[[Any], Any]:
    """Register a rule for operations of these names."""

    def add(function: Any) -> Any:
        for name in names:
            RULES[name] = function
        return function

    return add


class Writer:
    """Nodes, initialisers and the names of values.

    Every call comes with its twin: the same call of a second run with other sizes on the axes that
    may vary. A size that differs between the two depends on them: :meth:`extent` says how. Where
    nothing varies a call is its own twin.
    """

    def __init__(self, opset: int, input_names: list[str], axes: Sequence[Axis]) -> None:
        self.onnx = need_onnx()
        self.opset, self.input_names, self.axes = opset, input_names, axes
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.made: dict[Any, str] = {}  # (call, output) -> name
        self.taken: set[str] = set(input_names)
        self.constants: dict[Any, str] = {}
        self.extents: dict[tuple[int, int], str] = {}  # sizes that vary, by those of the two runs
        self.seen: dict[tuple[int, int], tuple[str, int]] = {}  # the value and axis they stand on
        self.used: set[Any] = set()  # keys of made values that something takes
        self.what = ""  # the operation that is being written

    # -- names -----------------------------------------------------------------------------------

    def fresh(self, stem: str) -> str:
        """A name that is not taken."""
        k, name = 0, stem
        while name in self.taken:
            k += 1
            name = f"{stem}_{k}"
        self.taken.add(name)
        return name

    def fail(self, text: str) -> ExportError:
        """An error that names the operation."""
        return ExportError(f"{self.what}: {text}")

    def constant(self, array: Any, dtype: Any = None, stem: str = "constant") -> str:
        """The name of an initialiser with these values."""
        a = np.ascontiguousarray(array, dtype).reshape(np.shape(array))
        key = (a.dtype.str, a.shape, a.tobytes()) if a.size <= 64 else None
        if key is not None and key in self.constants:
            return self.constants[key]
        name = self.fresh(stem)
        self.initializers[name] = a
        if key is not None:
            self.constants[key] = name
        return name

    def ints(self, *values: int) -> str:
        """The name of a list of int64."""
        return self.constant(np.array(values, np.int64), stem="ints")

    def name(self, v: Any, twin: Any = None, like: Any = None) -> str:
        """The name of a Value, or of a number in the type of the Value `like`."""
        if not isinstance(v, Value):
            if v is None:
                return ""
            if isinstance(v, np.generic):
                v = v.item()
            return self.constant(np.asarray(v, None if like is None else like.dtype))
        if v.origin == "made":
            return self.made[v.key]
        if v.origin == "input":
            return self.input_names[v.key]
        if v.origin == "state":
            name = str(v.key)
            if name not in self.initializers:
                self.taken.add(name)
                self.initializers[name] = np.ascontiguousarray(v.array).reshape(v.shape)
            return name
        if isinstance(twin, Value) and twin.shape != v.shape:
            return self.batched(v, twin)
        return self.constant(v.array)

    def batched(self, v: Value, twin: Value) -> str:
        """A constant whose size varies: the same along that axis, or counting integers."""
        axes = [k for k, (a, b) in enumerate(zip(v.shape, twin.shape)) if a != b]
        if len(v.shape) != len(twin.shape):
            raise self.fail(f"a constant of shape {v.shape} has {len(twin.shape)} axes where "
                            f"{self.grown()}")  # fmt: skip
        first = v.array
        for k in axes:
            first = first.take(range(min(1, v.shape[k])), k)
        if first.size and (v.array == first).all() and (twin.array == first).all():
            return self.node("Expand", [self.constant(first), self.shape(v.shape, twin.shape)])
        k = axes[0]
        steps = [np.diff(t.array, axis=k) for t in (v, twin)]
        step = steps[0].reshape(-1)[:1]
        counts = first.size == 1 and v.shape[k] == v.array.size and v.dtype.kind == "i"
        if counts and step.size and all((d == step).all() for d in steps) and step[0]:
            start, by = int(first.reshape(-1)[0]), int(step[0])
            if int(twin.array.reshape(-1)[0]) == start:
                count = self.node("Mul", [self.extent(v.shape[k], twin.shape[k]), self.ints(by)])
                end = self.node("Add", [count, self.ints(start)])
                ends = [self.integer(start), self.node("Squeeze", [end, self.ints(0)])]
                line = self.node("Range", [*ends, self.integer(by)])
                if v.dtype != np.int64:
                    line = self.cast(line, v.dtype)
                return self.reshape(line, v.shape, twin.shape)
        raise self.fail(
            f"a constant of shape {v.shape} has the shape {twin.shape} where {self.grown()}, and "
            f"differs along axes {axes}; {self.remedy()}"
        )

    def grown(self) -> str:
        """In what the two runs differ, for errors."""
        parts = [f"{a.name} goes from {a.size} to {a.other}" for a in self.axes]
        return " and ".join(parts) if parts else "the input has other values"

    def remedy(self) -> str:
        """What to do about a size that varies and must not, for errors."""
        if all(a.name == "batch" for a in self.axes):
            return "use dynamic_batch=False"
        return f"let fewer axes vary than {', '.join(a.name for a in self.axes)}"

    # -- nodes -----------------------------------------------------------------------------------

    def node(
        self, kind: str, inputs: list[str], outputs: int = 1, stem: str = "", **attributes: Any
    ) -> Any:
        """Add a node and return the names of what it makes."""
        names = [self.fresh((stem or kind).lower()) for _ in range(outputs)]
        while inputs and inputs[-1] == "":
            inputs = inputs[:-1]
        attributes = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(
            self.onnx.helper.make_node(kind, inputs, names, name=f"{names[0]}_node", **attributes)
        )
        return names[0] if outputs == 1 else names

    def integer(self, value: int) -> str:
        """The name of an int64 without axes."""
        return self.constant(np.asarray(value, np.int64))

    def cast(self, x: str, dtype: Any) -> str:
        """`x` in another type."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.node("Cast", [x], to=kind)  # type: ignore[no-any-return]

    def source(self, n: int, twin: int) -> tuple[Axis, int] | None:
        """The axis of the inputs that a size is a multiple of, and how many times."""
        exact = [a for a in self.axes if (a.size, a.other) == (n, twin)]
        for axis in (*exact, *self.axes):
            if n % axis.size == 0 and n // axis.size * axis.other == twin:
                return axis, n // axis.size
        return None

    def note(self, value: Value, twin: Value, name: str) -> None:
        """Remember which sizes that vary stand on a value."""
        if len(value.shape) == len(twin.shape):
            for k, pair in enumerate(zip(value.shape, twin.shape)):
                if pair[0] != pair[1]:
                    self.seen.setdefault(pair, (name, k))

    def extent(self, n: int, twin: int) -> str:
        """The name of a size, as a list of one.

        Raises
        ------
        ExportError
            For one that varies, and is none of the inputs', nor of a value made before, nor follows
            from those by a factor, a product or a sum.
        """
        if n == twin:
            return self.ints(n)
        pair = n, twin
        if pair not in self.extents:
            name = self._extent(n, twin)
            if name is None:
                raise self.fail(
                    f"a size is {n}, and {twin} where {self.grown()}, which no size of a tensor "
                    f"says; {self.remedy()}"
                )
            self.extents[pair] = name
        return self.extents[pair]

    def _extent(self, n: int, twin: int) -> Any:
        found = self.source(n, twin)
        if found is not None:
            axis, times = found
            k, at = axis.places[0]
            if times == 1:
                return self.cut(self.input_names[k], at)
            return self.node("Mul", [self.extent(axis.size, axis.other), self.ints(times)])
        if (n, twin) in self.seen:
            return self.cut(*self.seen[n, twin])
        pairs = [(a.size, a.other) for a in self.axes] + list(self.seen)
        for a, b in pairs:  # a part of another size, or several times another
            by = a // n if n else 0
            if by > 1 and (a // by, b // by) == (n, twin):
                return self.node("Div", [self.extent(a, b), self.ints(by)])
            if a and n % a == 0 and n // a * b == twin:
                return self.node("Mul", [self.extent(a, b), self.ints(n // a)])
        for k, (a, b) in enumerate(pairs):
            for c, d in pairs[k:]:
                if (a * c, b * d) == (n, twin):
                    return self.node("Mul", [self.extent(a, b), self.extent(c, d)])
        for a, b in pairs:
            if n - a == twin - b:
                return self.node("Add", [self.extent(a, b), self.ints(n - a)])
        for a, b in pairs:
            for c, d in pairs:
                if (a - c, b - d) == (n, twin):
                    return self.node("Sub", [self.extent(a, b), self.extent(c, d)])
        return None

    def cut(self, x: str, axis: int) -> str:
        """The size of an axis of a value, as a list of one."""
        return self.node("Shape", [x], start=axis, end=axis + 1)  # type: ignore[no-any-return]

    def shape(self, wanted: Any, twin: Any) -> str:
        """The name of a list of numbers, some of which may be sizes that vary."""
        wanted, twin = tuple(wanted), tuple(twin)
        if wanted == twin:
            return self.ints(*wanted)
        parts = [self.extent(n, m) for n, m in zip(wanted, twin, strict=True)]
        return parts[0] if len(parts) == 1 else self.node("Concat", parts, axis=0)

    def product(self, sizes: Any, twin: Any) -> str:
        """The product of sizes, as a list of one."""
        if tuple(sizes) == tuple(twin):
            return self.ints(math.prod(sizes))
        shape = self.shape(sizes, twin)
        return self.reduce("ReduceProd", shape, (0,), True)

    def reshape(self, x: str, wanted: Any, twin: Any) -> str:
        """`x` in another shape; with one size that varies, that is what is left."""
        wanted, twin = list(wanted), list(twin)
        if len(wanted) != len(twin):
            raise self.fail(f"a result has {len(wanted)} axes, and {len(twin)} where "
                            f"{self.grown()}")  # fmt: skip
        differing = [k for k, (n, m) in enumerate(zip(wanted, twin, strict=True)) if n != m]
        if len(differing) == 1 and 0 not in wanted:
            wanted[differing[0]] = -1
            return self.node("Reshape", [x, self.ints(*wanted)])  # type: ignore[no-any-return]
        return self.node("Reshape", [x, self.shape(wanted, twin)])  # type: ignore[no-any-return]

    def reduce(self, kind: str, x: str, dims: Any, keep: bool) -> str:
        """A reduction; its axes are an input from version 18 on (of ReduceSum always)."""
        keepdims = int(keep)
        if kind == "ReduceSum" or self.opset >= 18:
            return self.node(kind, [x, self.ints(*dims)], keepdims=keepdims)  # type: ignore[no-any-return]
        return self.node(kind, [x], axes=list(dims), keepdims=keepdims)  # type: ignore[no-any-return]


def write_calls(writer: Writer, first: Recorder, second: Recorder) -> None:
    """The nodes of all calls.

    Raises
    ------
    ExportError
        For an operation without a rule, and where the two runs differ in their operations.
    """
    from . import layers, picking, pointwise, pools, resizing, shapes  # noqa: F401  (fill RULES)

    kinds, others = ([c.kind.removesuffix("Only") for c in run.calls] for run in (first, second))
    if kinds != others:
        least = min(len(kinds), len(others))
        k = next((k for k in range(least) if kinds[k] != others[k]), least)
        raise ExportError(
            f"export(): the network runs other operations where {writer.grown()}: "
            f"{_told(first, k)} and {_told(second, k)}; {writer.remedy()}"
        )
    for k, name in enumerate(writer.input_names):
        for axis in writer.axes:
            for number, at in axis.places:
                if number == k:
                    writer.seen.setdefault((axis.size, axis.other), (name, at))
    for call, twin in zip(first.calls, second.calls, strict=True):
        writer.what = describe(call)
        write = RULES.get(call.kind)
        if write is None:
            raise writer.fail("there is no rule to write this operation as ONNX")
        names = write(writer, call, twin)
        names = [names] if isinstance(names, str) else names
        for v, u, name in zip(call.made, twin.made, names, strict=False):
            writer.made[v.key] = name
            writer.note(v, u, name)


def arrays_in(args: Any) -> Iterator[Value]:
    """The Values among arguments."""
    for a in args.values() if isinstance(args, dict) else args:
        if isinstance(a, Value):
            yield a
        elif isinstance(a, (tuple, dict)):
            yield from arrays_in(a)


def describe(call: Call) -> str:
    """An operation and its shapes, for errors."""
    shapes = [str(a.shape) for a in arrays_in(call.args)]
    return f"{call.kind} on shapes {', '.join(shapes) or 'none'}"


def _told(run: Recorder, k: int) -> str:
    return describe(run.calls[k]) if k < len(run.calls) else "no more"
