"""Where a backward pass starts: ``backward`` and ``grad`` check what they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._engine import run_backward
from .autograd import TensorBase, keep_apart, wrap

if TYPE_CHECKING:
    from .tensor import Tensor

ndarray = np.ndarray


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors` to the ``.grad`` of the leaves they were computed from.

    Parameters
    ----------
    tensors : Tensor or sequence of Tensor
        What to differentiate: scalars, unless `grad_tensors` is given.
    grad_tensors : Tensor, None, or a sequence of these, optional
        The gradient with respect to each of `tensors`, of the same shape. One for a scalar by
        default.
    retain_graph : bool, optional
        Keep the graph for another backward pass. False by default.
    create_graph : bool
        Record how the gradients are computed, so that they have gradients themselves. The graph
        is then kept, unless `retain_graph` says otherwise.
    inputs : Tensor or sequence of Tensor, optional
        Accumulate only into these.

    Raises
    ------
    RuntimeError
        If a tensor has no graph, is not a scalar, or its gradient has another shape; if the graph
        was freed, or a value it needs was changed in place.
    NotImplementedError
        With `create_graph`, for an operation whose gradient has none; the error names it.
    """
    roots = _roots(tensors, grad_tensors)
    if inputs is not None:
        inputs = (inputs,) if isinstance(inputs, TensorBase) else tuple(inputs)
        if not inputs:
            raise RuntimeError("inputs of backward() must not be empty")
        _check_inputs(inputs)
    if create_graph:
        _accumulate_differentiable(roots, grad_tensors, inputs)
        return
    run_backward(roots, bool(retain_graph), inputs)


def _tensor_roots(roots: Sequence[tuple[Any, ndarray]], grads: Any) -> list[tuple[Any, Any]]:
    """The roots with their gradients as Tensors: the user's own, with their graph."""
    given = (grads,) if grads is None or isinstance(grads, TensorBase) else tuple(grads)
    given = given * len(roots) if given == (None,) else given
    found = []
    for (t, a), g in zip(roots, given, strict=True):
        own = g is not None and g._array.dtype == a.dtype
        found.append((t, g if own else wrap(a)))
    return found


def _accumulate_differentiable(
    roots: Sequence[tuple[Any, ndarray]], grads: Any, inputs: Sequence[Any] | None
) -> None:
    """Add gradients with a graph to the ``.grad`` of leaves, or of `inputs`."""
    from ._double import run_differentiable

    found = run_differentiable(_tensor_roots(roots, grads), inputs)
    pairs = found.items() if inputs is None else zip(inputs, found, strict=True)
    for t, g in pairs:
        if g is not None:
            t._grad = g if t._grad is None else t._grad + g


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
) -> tuple[Tensor | None, ...]:
    """Gradients of `outputs` with respect to `inputs`, without touching any ``.grad``.

    Parameters
    ----------
    outputs, grad_outputs
        As `tensors` and `grad_tensors` of :func:`backward`.
    inputs : Tensor or sequence of Tensor
        Leaves or intermediate results.
    retain_graph : bool, optional
        Keep the graph for another pass.
    create_graph : bool
        Record how the gradients are computed, so that they have gradients themselves. The graph
        is then kept, unless `retain_graph` says otherwise.
    only_inputs : bool
        Must be True, as in PyTorch.
    allow_unused : bool, optional
        Return None for an input that `outputs` do not depend on, instead of raising.

    Returns
    -------
    tuple of Tensor
        One per input.

    Raises
    ------
    RuntimeError
        As :func:`backward`, and for an unused input.
    ValueError
        For ``only_inputs=False``.
    NotImplementedError
        As :func:`backward`.
    """
    if not only_inputs:
        raise ValueError("grad(): only_inputs=False is not supported; call backward() instead")
    roots = _roots(outputs, grad_outputs)
    inputs = (inputs,) if isinstance(inputs, TensorBase) else tuple(inputs)
    _check_inputs(inputs)
    if create_graph:
        from ._double import run_differentiable

        found = run_differentiable(_tensor_roots(roots, grad_outputs), inputs)
    else:
        found = run_backward(roots, bool(retain_graph), inputs, accumulate=False)
    for i, g in enumerate(found):
        if g is None and not allow_unused:
            raise RuntimeError(
                f"input {i}, of shape {inputs[i]._array.shape}, was not used in the graph; "
                "pass allow_unused=True if that is meant"
            )
    return tuple(g if g is None or create_graph else wrap(g) for g in found)


def _check_inputs(inputs: Sequence[Any]) -> None:
    for i, t in enumerate(inputs):
        if not isinstance(t, TensorBase):
            raise TypeError(f"input {i} must be a Tensor, got {type(t).__name__}")
        if not t.requires_grad:
            raise RuntimeError(f"input {i}, of shape {t._array.shape}, does not require grad")
        keep_apart(t)


def _roots(tensors: Any, grads: Any) -> list[tuple[Any, ndarray]]:
    tensors = (tensors,) if isinstance(tensors, TensorBase) else tuple(tensors)
    if grads is None or isinstance(grads, TensorBase):
        grads = (grads,) * len(tensors) if grads is None else (grads,)
    grads = tuple(grads) if isinstance(grads, (tuple, list)) else (grads,)
    if len(grads) != len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(grads)} gradients")
    roots = []
    for i, (t, g) in enumerate(zip(tensors, grads, strict=True)):
        if not t.requires_grad:
            raise RuntimeError(f"element {i} of tensors does not require grad and has no grad_fn")
        a = t._array
        if g is None:
            if a.size != 1:
                raise RuntimeError(
                    f"grad can be created implicitly only for scalar outputs, got shape {a.shape}"
                )
            roots.append((t, np.ones_like(a)))
            continue
        if not isinstance(g, TensorBase):
            raise TypeError(f"gradients must be Tensors or None, got {type(g).__name__}")
        if g._array.shape != a.shape:
            raise RuntimeError(
                f"mismatch in shape: gradient {i} has {g._array.shape}, its tensor has {a.shape}"
            )
        roots.append((t, g._array.astype(a.dtype, copy=False)))
    return roots
