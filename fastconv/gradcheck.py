"""Gradients compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._engine import run_backward
from .autograd import TensorBase, forget


class GradcheckError(RuntimeError):
    """A gradient that differs from its finite difference."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    fast_mode: bool = False,
    seed: int = 0,
    **_: Any,
) -> bool:
    """Compare the gradients of `func` with central differences.

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a Tensor or several; it must be deterministic.
    inputs : Tensor or sequence
        The Tensors among them that require a gradient are checked; these should be float64.
    eps : float
        Half the distance of the two points of a difference.
    atol, rtol : float
        What two numbers may differ by: ``atol + rtol * |numerical|``.
    raise_exception : bool
        Raise instead of returning False.
    fast_mode : bool
        Compare one random projection, u · J · v, instead of every element of the Jacobian J: two
        evaluations of `func` per input, whatever its size.
    seed : int
        Of the random directions.

    Returns
    -------
    bool

    Raises
    ------
    GradcheckError
        A RuntimeError that shows the two gradients.
    ValueError
        If nothing requires a gradient, or an input is not float64.
    """
    inputs = (inputs,) if isinstance(inputs, TensorBase) else tuple(inputs)
    checked = [i for i, t in enumerate(inputs) if isinstance(t, TensorBase) and t.requires_grad]
    if not checked:
        raise ValueError("gradcheck: no input requires a gradient")
    for i in checked:
        if inputs[i]._array.dtype != np.float64:
            raise ValueError(
                f"gradcheck: input {i} has dtype {inputs[i]._array.dtype}; differences need float64"
            )
    rng = np.random.default_rng(seed)
    try:
        outputs = _outputs(func, inputs)
        for k in range(len(outputs)):
            if outputs[k].requires_grad:
                for i in checked:
                    check = _check_projection if fast_mode else _check_jacobian
                    check(func, inputs, i, k, eps, atol, rtol, rng)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> tuple[Any, ...]:
    out = func(*inputs)
    out = (out,) if isinstance(out, TensorBase) else tuple(out)
    for t in out:
        if not isinstance(t, TensorBase):
            raise TypeError(f"gradcheck: func must return Tensors, got {type(t).__name__}")
    return out


def _gradient(func: Any, inputs: Any, i: int, k: int, v: np.ndarray) -> np.ndarray:
    """v · J, by a backward pass."""
    out = _outputs(func, inputs)[k]
    if not out.requires_grad:
        return np.zeros(inputs[i]._array.shape)
    (g,) = run_backward([(out, v)], False, (inputs[i],), accumulate=False)
    return np.zeros(inputs[i]._array.shape) if g is None else g


def _difference(func: Any, inputs: Any, i: int, k: int, u: np.ndarray, eps: float) -> np.ndarray:
    """J · u, by a central difference."""
    array = inputs[i]._array
    before = array.copy()
    try:
        array[...] = before + eps * u
        forget(inputs[i])
        above = _outputs(func, inputs)[k]._array.copy()
        array[...] = before - eps * u
        forget(inputs[i])
        below = _outputs(func, inputs)[k]._array.copy()
    finally:
        array[...] = before
        forget(inputs[i])
    return (above - below) / (2 * eps)


def _check_projection(
    func: Any, inputs: Any, i: int, k: int, eps: float, atol: float, rtol: float, rng: Any
) -> None:
    u = rng.standard_normal(inputs[i]._array.shape)
    u /= np.sqrt(max(u.size, 1))
    v = rng.standard_normal(_outputs(func, inputs)[k]._array.shape)
    analytical = float(np.sum(_gradient(func, inputs, i, k, v) * u))
    numerical = float(np.sum(_difference(func, inputs, i, k, u, eps) * v))
    if not abs(analytical - numerical) <= atol + rtol * abs(numerical):
        raise GradcheckError(
            f"gradient of output {k} by input {i}: projection {analytical:.9g}, "
            f"finite difference {numerical:.9g}"
        )


def _check_jacobian(
    func: Any, inputs: Any, i: int, k: int, eps: float, atol: float, rtol: float, rng: Any
) -> None:
    array = inputs[i]._array
    out = _outputs(func, inputs)[k]._array
    analytical = np.zeros((out.size, array.size))
    numerical = np.zeros_like(analytical)
    for row in range(out.size):
        v = np.zeros(out.shape)
        v.reshape(-1)[row] = 1
        analytical[row] = _gradient(func, inputs, i, k, v).reshape(-1)
    for column in range(array.size):
        u = np.zeros(array.shape)
        u.reshape(-1)[column] = 1
        numerical[:, column] = _difference(func, inputs, i, k, u, eps).reshape(-1)
    if not np.all(np.abs(analytical - numerical) <= atol + rtol * np.abs(numerical)):
        raise GradcheckError(
            f"gradient of output {k} by input {i} (a row per output element):\n"
            f"{analytical}\nfinite differences:\n{numerical}"
        )


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    seed: int = 0,
    **options: Any,
) -> bool:
    """Compare the gradients of the gradients of `func` with differences of its gradients.

    Parameters
    ----------
    func, inputs, **options
        As for :func:`gradcheck`.
    grad_outputs : Tensor or sequence of Tensor, optional
        The gradients of the results, random by default. They are checked as inputs, too.
    seed : int
        Of the random numbers.

    Returns
    -------
    bool

    Raises
    ------
    GradcheckError, ValueError
        As :func:`gradcheck`.
    NotImplementedError
        If an operation has no gradient of its gradient; the error names it.
    """
    from ._backward import grad
    from .autograd import wrap

    inputs = (inputs,) if isinstance(inputs, TensorBase) else tuple(inputs)
    checked = [i for i, t in enumerate(inputs) if isinstance(t, TensorBase) and t.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(seed)
        grad_outputs = []
        for t in _outputs(func, inputs):
            g = wrap(rng.standard_normal(t._array.shape))
            g.requires_grad = True
            grad_outputs.append(g)
    elif isinstance(grad_outputs, TensorBase):
        grad_outputs = [grad_outputs]
    count = len(inputs)

    def gradients(*args: Any) -> tuple[Any, ...]:
        out = _outputs(func, args[:count])
        pairs = [(y, g) for y, g in zip(out, args[count:], strict=True) if y.requires_grad]
        found = grad(
            [y for y, _ in pairs],
            [args[i] for i in checked],
            [g for _, g in pairs],
            create_graph=True,
            allow_unused=True,
        )
        return tuple([g for g in found if g is not None and g.requires_grad])

    return gradcheck(gradients, (*inputs, *grad_outputs), seed=seed, **options)
