"""Hooks of a Module: handles, and the pair of graph nodes behind a full backward hook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._hooks import HookDict, RemovableHandle, add_to_node
from ...autograd import Op
from ...tensor import Tensor, wrap

__all__ = ["BackwardCall", "Hook", "HookDict", "RemovableHandle"]

Hook = Callable[..., Any]


class Outputs(Op):
    """Identity at a module's outputs: keeps the gradients that arrive for the hooks."""

    call: BackwardCall

    @staticmethod
    def forward(ctx: Any, *arrays: Any) -> Any:
        *values, ctx.call = arrays
        views = tuple(v.view() for v in values)
        return views if len(views) > 1 else views[0]

    @staticmethod
    def backward(ctx: Any, *grads: np.ndarray | None) -> Any:
        ctx.run_differentiable([None if g is None else wrap(g) for g in grads])
        return grads if len(grads) > 1 else grads[0]

    def run_differentiable(self, grads: Any) -> tuple[Any, ...]:
        """The same on Tensors, which have a graph with ``create_graph=True``."""
        self.call.outputs_ready(tuple(grads))
        return tuple(grads)


class Inputs(Op):
    """Identity at a module's inputs: calls the hooks, which may replace the gradients."""

    call: BackwardCall

    @staticmethod
    def forward(ctx: Any, *arrays: Any) -> Any:
        *values, ctx.call = arrays
        views = tuple(v.view() for v in values)
        return views if len(views) > 1 else views[0]

    @staticmethod
    def backward(ctx: Any, *grads: np.ndarray | None) -> Any:
        found = ctx.run_differentiable([None if g is None else wrap(g) for g in grads])
        arrays = tuple([None if g is None else g._array for g in found])
        return arrays if len(arrays) > 1 else arrays[0]

    def run_differentiable(self, grads: Any) -> tuple[Any, ...]:
        """The same on Tensors, which have a graph with ``create_graph=True``."""
        return self.call.inputs_ready(tuple(grads))


class BackwardCall:
    """One call of a module that has full backward hooks."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.hooks = list(module._backward_hooks.values())
        self.grad_output: tuple[Tensor | None, ...] = ()
        self.watches_inputs = False
        self.input_count = 0
        self.input_slots: list[int] = []

    def wrap_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Pass the tensors among `args` that need a gradient through an Inputs node."""
        self.input_count = len(args)
        self.input_slots = [
            i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad
        ]
        if not self.input_slots:
            return args
        self.watches_inputs = True
        wrapped = Inputs.apply(*(args[i] for i in self.input_slots), self)
        out = list(args)
        tensors = wrapped if isinstance(wrapped, tuple) else (wrapped,)
        for slot, tensor in zip(self.input_slots, tensors, strict=True):
            out[slot] = tensor
        return tuple(out)

    def wrap_outputs(self, result: Any) -> Any:
        """Pass the result, a tensor or a tuple with tensors, through an Outputs node."""
        items = result if isinstance(result, tuple) else (result,)
        slots = [i for i, r in enumerate(items) if isinstance(r, Tensor) and r.requires_grad]
        if not slots:
            return result
        wrapped = Outputs.apply(*(items[i] for i in slots), self)
        tensors = wrapped if isinstance(wrapped, tuple) else (wrapped,)
        out = list(items)
        for slot, tensor in zip(slots, tensors, strict=True):
            out[slot] = tensor
        return tuple(out) if isinstance(result, tuple) else out[0]

    def outputs_ready(self, grads: tuple[Tensor | None, ...]) -> None:
        """Take the gradients of the outputs; without inputs to wait for, call the hooks."""
        self.grad_output = grads
        if not self.watches_inputs:
            self.inputs_ready(())

    def inputs_ready(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        """Call the hooks; the gradients of the inputs, or what hooks gave for them."""
        full: list[Tensor | None] = [None] * self.input_count
        for slot, grad in zip(self.input_slots, grads, strict=True):
            full[slot] = grad
        grad_input = tuple(full)
        for hook in self.hooks:
            answer = hook(self.module, grad_input, self.grad_output)
            if answer is not None:
                grad_input = answer if isinstance(answer, tuple) else (answer,)
        return tuple(grad_input[slot] for slot in self.input_slots)


class LastOperation:
    """A forward hook that lets an older backward hook see the module's last operation.

    The operation's node is given a ``run`` of its own, which calls the hook afterwards.
    """

    __slots__ = ("hook",)

    def __init__(self, hook: Hook) -> None:
        self.hook = hook

    def __call__(self, module: Any, args: Any, result: Any) -> None:
        while not isinstance(result, Tensor):
            if isinstance(result, dict):
                result = next((v for v in result.values() if isinstance(v, Tensor)), None)
            elif isinstance(result, (tuple, list)) and result:
                result = result[0]
            else:
                return
        result._array  # noqa: B018  (written, so that nothing joins the operation)
        node = result.grad_fn
        if node is not None:
            watch(node, lambda inputs, outputs: self.hook(module, inputs, outputs))


def watch(node: Any, hook: Hook) -> None:
    """Call ``hook(grad_inputs, grad_outputs)`` after a node of the graph has run."""
    add_to_node(node, 0, _nothing)  # a node with hooks is not joined
    before = node.run

    def run(grads: Any, retain: bool) -> Any:
        found = before(grads, retain)
        inputs = tuple(None if g is None else _tensor(g) for g in found)
        outputs = tuple(None if g is None else _tensor(g) for g in grads)
        answer = hook(inputs, outputs)
        if answer is None:
            return found
        given = answer if isinstance(answer, tuple) else (answer,)
        if len(given) != len(inputs):
            raise RuntimeError(
                f"a backward hook returned {len(given)} gradients, the operation has {len(inputs)}"
            )
        return tuple(
            old if new is None else new._array if isinstance(old, np.ndarray) else new
            for old, new in zip(found, given, strict=True)
        )

    node.__dict__["run"] = run


def _tensor(g: Any) -> Any:
    return g if isinstance(g, Tensor) else wrap(g)


def _nothing(g: Any) -> None:
    """Leaves a gradient as it is."""
