"""The Module of an ONNX graph."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ..autograd import TensorBase, no_grad
from ..dtypes import float16
from ..nn.modules.module import Module
from ..nn.parameter import Parameter
from ..tensor import Tensor
from .errors import OnnxError
from .graph import Graph, Port, given_back
from .reading import TYPES
from .values import NARROW, value

__all__ = ["OnnxModule"]


class _Names(Module):
    """A part of a dotted name."""


class OnnxModule(Module):
    """A network read from an ONNX file; :func:`fastconv.onnx.load` makes it.

    Attributes
    ----------
    input_names, output_names : list of str
    input_shapes : dict of str to tuple
        Sizes as the file declares them: an int, the name of one that may vary, or None.
    names : dict of str to str
        For each initialiser, its name in ``state_dict()``.
    notes : list of str
        What differs from the file: types in which it is computed.
    """

    def __init__(self, graph: Graph, name: str = "") -> None:
        super().__init__()
        self.graph = graph
        self.title = name
        self.input_names = [p.name for p in graph.inputs]
        self.output_names = [p.name for p in graph.outputs]
        self.input_shapes = {p.name: p.dims for p in graph.inputs}
        self.notes = _notes(graph)
        self.names: dict[str, str] = {}
        self._slots: list[tuple[str, str, Module, str]] = []  # name, table, owner, local name
        used = {i for node in graph.nodes for i in node.inputs} | set(self.output_names)
        taken: set[str] = set()
        entries = [("_parameters", k, v) for k, v in graph.weights.items()]
        entries += [
            ("_buffers", k, v)
            for k, v in graph.constants.items()
            if isinstance(v, TensorBase) and v._array.ndim and k in used
        ]
        for table, key, v in entries:
            self._place(table, key, v, taken)
        graph.weights = {}

    def _place(self, table: str, key: str, v: Any, taken: set[str]) -> None:
        """Register one tensor under its ONNX name, made valid; dots make modules."""
        parts = [re.sub(r"\W", "_", part) or "_" for part in key.split(".")]
        owner: Module = self
        for k, part in enumerate(parts[:-1]):
            child = owner._modules.get(part)
            if child is None:
                if hasattr(owner, part):  # a name of Module's own, or of a tensor
                    parts = [*parts[:k], "_".join(parts[k:])]
                    break
                child = _Names()
                owner.add_module(part, child)
            owner = child
        local = parts[-1]
        while hasattr(owner, local):
            local += "_"
        if table == "_parameters":
            owner.register_parameter(local, Parameter(v))
        else:
            owner.register_buffer(local, v)
        self._slots.append((key, table, owner, local))
        self.names[key] = ".".join([*parts[:-1], local])

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The outputs of the graph.

        Parameters
        ----------
        *inputs : Tensor or ndarray
            In the order of `input_names`.
        **named : Tensor or ndarray
            By name.

        Returns
        -------
        Tensor, or tuple of them
            ndarrays for the types that tensors cannot have.

        Raises
        ------
        OnnxError
            For a missing, unknown or unfit input, and what a node says of its operands.
        """
        found = [_tensor(v, p) for v, p in zip(self._results(inputs, named), self.graph.outputs)]
        return found[0] if len(found) == 1 else tuple(found)

    def run(self, inputs: Any) -> list[Any]:
        """The outputs as ndarrays, of the types that the file declares; nothing is recorded.

        Parameters
        ----------
        inputs : dict of str to ndarray, or sequence of ndarray
            By name, or in the order of `input_names`.
        """
        given = inputs if isinstance(inputs, dict) else {}
        rest = () if isinstance(inputs, dict) else tuple(inputs)
        with no_grad():
            found = _Runner(self)(rest, given)
        return [given_back(v, p) for v, p in zip(found, self.graph.outputs)]

    def _results(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        env = dict(self.graph.constants)
        for key, table, owner, local in self._slots:
            env[key] = owner.__dict__[table][local]
        env.update(self._bind(inputs, named))
        return self.graph.run(env)

    def _bind(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        ports = self.graph.inputs
        if len(inputs) > len(ports):
            raise OnnxError(
                f"{len(inputs)} inputs were given, the model has {len(ports)}: "
                f"{', '.join(self.input_names)}"
            )
        given = {p.name: v for p, v in zip(ports, inputs)}
        for key, v in named.items():
            if key not in self.input_shapes:
                raise OnnxError(
                    f"the model has no input {key!r}; its inputs are {', '.join(self.input_names)}"
                )
            if key in given:
                raise OnnxError(f"input {key!r} was given twice")
            given[key] = v
        missing = [p.name for p in ports if p.name not in given]
        if missing:
            raise OnnxError(f"input {', '.join(map(repr, missing))} is missing")
        return {p.name: _checked(given[p.name], p) for p in ports}

    def extra_repr(self) -> str:
        """The inputs, outputs and the number of nodes."""
        ports = ", ".join(_describe(p) for p in self.graph.inputs)
        out = ", ".join(_describe(p) for p in self.graph.outputs)
        lines = [f"{self.title or 'graph'}: {ports} -> {out}; {len(self.graph.nodes)} nodes"]
        return "\n".join(lines + self.notes)


class _Runner:
    """Calls the module as a whole, so that convolutions may wait for what comes after them."""

    def __init__(self, module: OnnxModule) -> None:
        self.module = module

    def __call__(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        from .._grad_mode import mode
        from .._later import settle

        if mode.waits:
            return self.module._results(inputs, named)
        mode.waits = True
        try:
            found = self.module._results(inputs, named)
        finally:
            mode.waits = False
        settle()
        return found


def _describe(p: Port) -> str:
    dims = "?" if p.dims is None else "×".join("?" if n is None else str(n) for n in p.dims)
    return f"{p.name} {TYPES.get(p.kind, 'other')} ({dims})"


def _notes(graph: Graph) -> list[str]:
    narrow = [p for p in (*graph.inputs, *graph.outputs) if p.kind in NARROW]
    if not narrow:
        return []
    names = ", ".join(f"{p.name} ({TYPES[p.kind]})" for p in narrow)
    return [f"computed in float32; converted where they enter and leave: {names}"]


def _checked(v: Any, p: Port) -> Any:
    """An input as a value, of the type and shape that the file declares."""
    if v is None or isinstance(v, list) or not p.kind:
        if isinstance(v, list):
            return [value(x) for x in v]
        return None if v is None else value(v)
    if not isinstance(v, TensorBase):
        v = np.asarray(v)
    a = v._array if isinstance(v, TensorBase) else v
    wanted, kind = TYPES[p.kind], a.dtype.name
    if wanted == "string":
        fits = a.dtype.kind in "OUS"
    else:
        fits = kind == wanted or (p.kind in NARROW and kind == "float32")
    if not fits:
        raise OnnxError(f"input {p.name!r} must be {wanted}, got {a.dtype} of shape {a.shape}")
    if p.dims is not None:
        same = len(a.shape) == len(p.dims) and all(
            not isinstance(n, int) or n == 0 or n == m for n, m in zip(p.dims, a.shape)
        )
        if not same:
            raise OnnxError(f"input {p.name!r} must have shape {p.dims}, got {a.shape}")
    return value(v)


def _tensor(v: Any, p: Port) -> Any:
    """An output for the caller: a Tensor where there is one of its type."""
    if isinstance(v, Tensor):
        return v.to(float16) if p.kind == 10 else v
    if isinstance(v, list) or v is None:
        return v
    try:
        from ..tensor import wrap

        made: Tensor = wrap(v)
        made.dtype  # noqa: B018  (raises for a type that tensors do not have)
        return made
    except TypeError:
        return v
