"""Values and nodes of the graph that is being written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ExportError, need_onnx
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

    Every call comes with its twin: the same call of a second run with another batch size. Where
    their sizes differ, the size is the batch's. Without a dynamic batch a call is its own twin.
    """

    def __init__(self, opset: int, input_names: list[str], batches: tuple[int, int]) -> None:
        self.onnx = need_onnx()
        self.opset, self.input_names, self.batches = opset, input_names, batches
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.made: dict[Any, str] = {}  # (call, output) -> name
        self.taken: set[str] = set(input_names)
        self.constants: dict[Any, str] = {}
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
        """A constant whose size goes with the batch: it must be the same along that axis."""
        axes = [k for k, (a, b) in enumerate(zip(v.shape, twin.shape)) if a != b]
        if len(v.shape) != len(twin.shape) or len(axes) != 1:
            raise self.fail(f"a constant of shape {v.shape} changes with the batch size")
        k = axes[0]
        first = v.array.take([0], k)
        if not v.shape[k] or not (v.array == first).all() or not (twin.array == first).all():
            raise self.fail(
                f"a constant of shape {v.shape}, of another size for another batch, differs along "
                f"axis {k}; use dynamic_batch=False"
            )
        return self.node("Expand", [self.constant(first), self.shape(v.shape, twin.shape)])

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

    def size(self, n: int, twin: int) -> int | None:
        """How many batches a size is; None where it is the same for both."""
        if n == twin:
            return None
        b, c = self.batches
        if n % b == 0 and n // b * c == twin:
            return n // b
        raise self.fail(
            f"size {n} becomes {twin} where the batch goes from {b} to {c}, which is no multiple "
            "of it; use dynamic_batch=False"
        )

    def batch(self) -> str:
        """The batch size, as a list of one."""
        key = "batch"
        if key not in self.constants:
            shape = self.node("Shape", [self.input_names[0]])
            self.constants[key] = self.node(
                "Slice", [shape, self.ints(0), self.ints(1)], stem="batch"
            )
        return self.constants[key]

    def shape(self, wanted: Any, twin: Any) -> str:
        """The name of a list of sizes, some of which may go with the batch."""
        wanted, twin = tuple(wanted), tuple(twin)
        if wanted == twin:
            return self.ints(*wanted)
        parts = []
        for n, m in zip(wanted, twin, strict=True):
            times = self.size(n, m)
            if times is None:
                parts.append(self.ints(n))
            elif times == 1:
                parts.append(self.batch())
            else:
                parts.append(self.node("Mul", [self.batch(), self.ints(times)]))
        return self.node("Concat", parts, axis=0)  # type: ignore[no-any-return]

    def reshape(self, x: str, wanted: Any, twin: Any, have: Any = None) -> str:
        """`x` in another shape; with one size that goes with the batch, that is what is left."""
        wanted, twin = list(wanted), list(twin)
        differing = [k for k, (n, m) in enumerate(zip(wanted, twin, strict=True)) if n != m]
        if len(differing) == 1:
            self.size(wanted[differing[0]], twin[differing[0]])
            if 0 not in wanted:
                wanted[differing[0]] = -1
                return self.node("Reshape", [x, self.ints(*wanted)])  # type: ignore[no-any-return]
        if differing:
            return self.node("Reshape", [x, self.shape(wanted, twin)])  # type: ignore[no-any-return]
        return self.node("Reshape", [x, self.ints(*wanted)])  # type: ignore[no-any-return]

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
    from . import layers, pointwise, shapes  # noqa: F401  (they fill RULES)

    if [c.kind for c in first.calls] != [c.kind for c in second.calls]:
        raise ExportError(
            f"with {writer.batches[0]} and with {writer.batches[1]} examples in the batch the "
            "network runs other operations; use dynamic_batch=False"
        )
    for call, twin in zip(first.calls, second.calls, strict=True):
        shapes_ = [a.shape for a in call.args if isinstance(a, Value)]
        writer.what = f"{call.kind} on shapes {', '.join(map(str, shapes_)) or 'none'}"
        write = RULES.get(call.kind)
        if write is None:
            raise writer.fail("there is no rule to write this operation as ONNX")
        names = write(writer, call, twin)
        for v, name in zip(call.made, [names] if isinstance(names, str) else names, strict=False):
            writer.made[v.key] = name
