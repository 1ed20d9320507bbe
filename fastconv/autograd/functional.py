"""Jacobians and what is made of them, by backward passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import TensorBase, enable_grad, grad, wrap

__all__ = ["hessian", "hvp", "jacobian", "vhp", "vjp"]


def _several(values: Any, name: str) -> tuple[bool, tuple[Any, ...]]:
    """Whether these are several tensors, and all of them; TypeError for anything else."""
    many = isinstance(values, (tuple, list))
    found = tuple(values) if many else (values,)
    for i, t in enumerate(found):
        if not isinstance(t, TensorBase):
            raise TypeError(f"{name} must be Tensors: number {i} is a {type(t).__name__}")
    return many, found


def _leaves(inputs: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    """The inputs as they enter the function: with `create_graph` still tied to their graph."""
    if create_graph:
        return tuple(
            t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in inputs
        )
    return tuple(t.detach().requires_grad_() for t in inputs)


def _filled(g: Any, like: Any, strict: bool) -> Any:
    if g is None and strict:
        raise RuntimeError("an output does not depend on an input, which strict=True refuses")
    return wrap(np.zeros_like(like._array)) if g is None else g


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivatives of every output element by every input element.

    Parameters
    ----------
    func : callable
        Takes the inputs, returns a Tensor or a tuple of them.
    inputs : Tensor or tuple of Tensor
        Floating point.
    create_graph : bool
        Whether the result has a gradient itself.
    strict : bool
        Whether an output that does not depend on an input is an error.
    vectorize, strategy
        Accepted for PyTorch's sake: there is one backward pass per output element.

    Returns
    -------
    Tensor, or tuple of Tensor, or tuple of tuples
        Of shape (*output, *input); nested as outputs, then inputs, where there are several.
    """
    from ..functions.join import stack

    many_in, given = _several(inputs, "inputs")
    with enable_grad():
        leaves = _leaves(given, create_graph)
        many_out, outs = _several(func(*leaves), "the outputs of func")
        rows = []
        for out in outs:
            columns: list[list[Any]] = [[] for _ in leaves]
            flat = out.reshape(-1)
            for i in range(out._array.size):
                if out.requires_grad:
                    found = grad(
                        flat[i], leaves, retain_graph=True, create_graph=create_graph,
                        allow_unused=True,
                    )  # fmt: skip
                else:
                    found = (None,) * len(leaves)
                for column, g, leaf in zip(columns, found, leaves, strict=True):
                    column.append(_filled(g, leaf, strict))
            parts = []
            for column, leaf in zip(columns, leaves, strict=True):
                shape = (*out._array.shape, *leaf._array.shape)
                empty = wrap(np.zeros(shape, leaf._array.dtype))
                parts.append(stack(column).reshape(shape) if column else empty)
            rows.append(tuple(parts) if many_in else parts[0])
    return tuple(rows) if many_out else rows[0]


def _scalar(func: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*args: Any) -> Any:
        out = func(*args)
        if not isinstance(out, TensorBase) or out._array.size != 1:
            raise RuntimeError("the function must return a Tensor of one element")
        one: Any = out
        return one.reshape(())

    return checked


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function of one value: see :func:`jacobian`.

    Every operation of `func` needs a gradient of its gradient (``create_graph=True``).

    Returns
    -------
    Tensor, or tuple of tuples
        Of shape (*input, *input).
    """
    many, _ = _several(inputs, "inputs")
    one = _scalar(func)

    def gradient(*args: Any) -> Any:
        found = jacobian(one, args if many else args[0], create_graph=True, strict=strict)
        return found

    return jacobian(gradient, inputs, create_graph, strict)


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs of `func`, and `v` times its Jacobian: one backward pass.

    Parameters
    ----------
    func, inputs, create_graph, strict
        As of :func:`jacobian`.
    v : Tensor or tuple of Tensor, optional
        Shaped like the outputs; may be left out for a single value.
    """
    many_in, given = _several(inputs, "inputs")
    with enable_grad():
        leaves = _leaves(given, create_graph)
        result = func(*leaves)
        _, outs = _several(result, "the outputs of func")
        vs = (None,) * len(outs) if v is None else _several(v, "v")[1]
        found = grad(
            outs, leaves, vs, retain_graph=create_graph, create_graph=create_graph,
            allow_unused=True,
        )  # fmt: skip
    parts = tuple(_filled(g, t, strict) for g, t in zip(found, leaves, strict=True))
    if not create_graph:
        result = tuple(t.detach() for t in outs) if isinstance(result, (tuple, list)) else outs[0]
        result = result if isinstance(result, tuple) else result.detach()
    return result, parts if many_in else parts[0]


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The value of `func`, and `v` times its second derivatives: two backward passes."""
    many, given = _several(inputs, "inputs")
    vs = _several(v, "v")[1] if v is not None else (None,) * len(given)
    with enable_grad():
        leaves = _leaves(given, True)
        value = _scalar(func)(*leaves)
        first = grad(value, leaves, create_graph=True, allow_unused=True)
        pairs = [
            (g, w) for g, w in zip(first, vs, strict=True) if g is not None and g.requires_grad
        ]
        found: Any = (None,) * len(leaves)
        if pairs:
            found = grad(
                [g for g, _ in pairs], leaves, [w for _, w in pairs], retain_graph=create_graph,
                create_graph=create_graph, allow_unused=True,
            )  # fmt: skip
    parts = tuple(_filled(g, t, strict) for g, t in zip(found, leaves, strict=True))
    return value if create_graph else value.detach(), parts if many else parts[0]


hvp = vhp  # second derivatives are symmetric
