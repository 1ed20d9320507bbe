"""One run of a network as steps: the calls of its modules, and which result goes where."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..config import fusion
from ..nn import Module, MultiheadAttention
from ..tensor import Tensor, wrap
from ._model import check_model, looking, run


class Step(NamedTuple):
    """A call of a module, the input (number 0), or an operation where results meet.

    Attributes
    ----------
    name, kind : str
        The module's name and class; "" and the operation's where results meet.
    module : Module or None
    sources : tuple of int
        Numbers of the steps whose results come in.
    inputs, output : tuple of int
        Shapes of the first tensor that comes in, and of what goes out.
    """

    name: str
    kind: str
    module: Module | None
    sources: tuple[int, ...]
    inputs: tuple[int, ...]
    output: tuple[int, ...]


def trace(model: Module, shape: Any, what: str) -> list[Step]:
    """The steps of a run on random numbers, in their order; the last is the output.

    Modules without modules inside count, and those with parameters of their own. What leads where
    is read from the autograd graph, so operations between modules do not hide it.

    Parameters
    ----------
    shape : sequence of int
        Of the input, with the batch.

    Raises
    ------
    TypeError
        For a model that is no Module.
    ValueError
        For a shape without sizes.
    """
    check_model(model, what)
    sizes = tuple(shape)
    whole = all(hasattr(n, "__index__") and not isinstance(n, bool) and n > 0 for n in sizes)
    if not sizes or not whole:
        raise ValueError(f"{what}: shape must hold positive sizes, got {shape!r:.80}")
    dtype = next((p.detach().numpy().dtype for p in model.parameters()), np.dtype(np.float32))
    x = wrap(np.random.default_rng(0).standard_normal(sizes).astype(dtype)).requires_grad_(True)
    walk = _Walk(sizes)
    handles = []
    names = {id(module): name for name, module in model.named_modules()}
    inside: set[int] = set()
    for module in model.modules():
        leaf = not any(True for _ in module.children())
        own = any(True for _ in module.parameters(recurse=False))
        if id(module) in inside or not (leaf or own or isinstance(module, MultiheadAttention)):
            continue
        inside |= {id(m) for m in module.modules()}
        handles.append(module.register_forward_pre_hook(walk.before, with_kwargs=True))
        handles.append(
            module.register_forward_hook(walk.after(names[id(module)]), with_kwargs=True)
        )
    try:
        with looking(model), fusion(False):
            result = run(model, x)
    finally:
        for handle in handles:
            handle.remove()
    tensors = _tensors(result)
    if not tensors:
        raise ValueError(f"{what}: the network must give a Tensor, got {type(result).__name__}")
    sources = walk.sources(tensors)
    shape_out = tuple(tensors[0].shape)
    walk.steps.append(Step("", "output", None, sources, shape_out, shape_out))
    return walk.steps


class _Walk:
    """Collects steps; knows by which node of the graph the result of each was made."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.steps = [Step("", "input", None, (), shape, shape)]
        self.made: dict[int, int] = {}  # id of a node: number of its step
        self.alive: list[Any] = []  # so that no id is used again
        self.open: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def before(self, module: Module, args: Any, kwargs: Any) -> None:
        given = _tensors((*args, *kwargs.values()))
        shape = tuple(given[0].shape) if given else ()
        self.open.append((self.sources(given), shape))

    def after(self, name: str) -> Any:
        def done(module: Module, args: Any, kwargs: Any, result: Any) -> None:
            sources, shape = self.open.pop()
            tensors = _tensors(result)
            output = tuple(tensors[0].shape) if tensors else ()
            self.steps.append(Step(name, type(module).__name__, module, sources, shape, output))
            for t in tensors:
                self.mark(t.grad_fn, len(self.steps) - 1)

        return done

    def mark(self, node: Any, number: int) -> None:
        if node is not None:
            self.alive.append(node)
            self.made[id(node)] = number

    def sources(self, tensors: list[Tensor]) -> tuple[int, ...]:
        found: dict[int, None] = {}
        for t in tensors:
            if t.grad_fn is None:
                if t.requires_grad:
                    found[0] = None
                continue
            found.update(dict.fromkeys(self.behind(t.grad_fn, tuple(t.shape))))
        return tuple(found)

    def behind(self, node: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The steps that a node's result comes from; where several meet, a step of its own."""
        if id(node) in self.made:
            return (self.made[id(node)],)
        if hasattr(node, "variable"):
            return (0,)
        found: dict[int, None] = {}
        for before, _ in node.next_functions:
            if before is not None:
                found.update(dict.fromkeys(self.behind(before, shape)))
        if len(found) < 2:
            return tuple(found)
        kind = node.name().removesuffix("0").removesuffix("Backward")
        self.steps.append(Step("", kind, None, tuple(found), (), shape))
        self.mark(node, len(self.steps) - 1)
        return (len(self.steps) - 1,)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _tensors(v)] if isinstance(value, (tuple, list)) else []
