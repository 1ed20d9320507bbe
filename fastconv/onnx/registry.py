"""The table of operators: ``@operator("Conv")`` puts a function into it.

The function gets the :class:`Node` and the values of its inputs (None for one that is left out),
and returns a value or a tuple of them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

__all__ = ["OPERATORS", "Node", "Operator", "find", "operator"]

#: The files that fill the table.
FILES = (
    "activation", "control", "conv", "detection", "elementwise", "gather", "linear", "loss", "norm",
    "pool", "quantized", "recurrent", "reduce", "resize", "sequence", "shape",
)  # fmt: skip


class Operator(NamedTuple):
    """One operator from one version of its domain on.

    Attributes
    ----------
    name, domain : str
    since : int
        The first opset version in which it behaves like this.
    function : callable
    weights : tuple of int
        Inputs that hold weights: initialisers there become Parameters.
    scoped : bool
        Whether it runs graphs of its own, and gets the values around it.
    constant : bool
        Whether it may be computed once where all its inputs are constants.
    """

    name: str
    domain: str
    since: int
    function: Callable[..., Any]
    weights: tuple[int, ...] = ()
    scoped: bool = False
    constant: bool = True


#: (domain, name): what is registered, the newest first.
OPERATORS: dict[tuple[str, str], list[Operator]] = {}


def operator(
    *names: str,
    since: int = 1,
    domain: str = "",
    weights: tuple[int, ...] = (),
    scoped: bool = False,
    constant: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function for operators of these names, from version `since` on."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            entries = OPERATORS.setdefault((domain, name), [])
            entries.append(Operator(name, domain, since, function, weights, scoped, constant))
            entries.sort(key=lambda o: -o.since)
        return function

    return add


def find(name: str, domain: str, version: int) -> Operator | None:
    """The operator as it behaves in a version of its domain; None if it is not there."""
    if not OPERATORS:
        for file in FILES:
            import_module(f"fastconv.onnx.operators.{file}")
    domain = "" if domain == "ai.onnx" else domain
    for entry in OPERATORS.get((domain, name), ()):
        if entry.since <= version:
            return entry
    return None


class Node:
    """One operation of a graph.

    Attributes
    ----------
    name : str
        As in the file, or what it makes where that is empty.
    kind, domain : str
    version : int
        Of its domain in this file.
    inputs, outputs : tuple of str
        Names of values; '' for one that is left out.
    attributes : dict
    call : callable
    scoped : bool
    last : tuple of str
        Values that nobody needs after this node.
    memo : dict
        What an operator wants to find again, by the shapes of its inputs (`kept`).
    """

    __slots__ = (
        "attributes", "call", "domain", "inputs", "kind", "last", "memo", "name", "outputs",
        "scoped", "version",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        operator: Operator,
        version: int,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        attributes: dict[str, Any],
    ) -> None:
        self.name, self.kind, self.domain = name, operator.name, operator.domain
        self.version, self.inputs, self.outputs = version, inputs, outputs
        self.attributes, self.call, self.scoped = attributes, operator.function, operator.scoped
        self.last: tuple[str, ...] = ()
        self.memo: dict[Any, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {slot: getattr(self, slot) for slot in self.__slots__ if slot != "memo"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for slot, value in state.items():
            setattr(self, slot, value)
        self.memo = {}

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` has returned for this key before, or does now."""
        found = self.memo.get(key)
        if found is None:
            if len(self.memo) >= 64:
                self.memo.clear()
            found = self.memo[key] = make()
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or what it is where the file does not say."""
        return self.attributes.get(name, default)

    def wants(self, output: int) -> bool:
        """Whether an output is used."""
        return len(self.outputs) > output and self.outputs[output] != ""

    def __repr__(self) -> str:
        return f"Node({self.kind} {self.name!r}: {', '.join(self.inputs)} -> {self.outputs})"
