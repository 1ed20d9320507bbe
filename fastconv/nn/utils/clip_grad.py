"""Norms of gradients, and gradients that are scaled down or cut off."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...autograd import changed, forget
from ...functions._named import named
from ...ops.contract import matmul as _matmul
from ...ops.reduce import total as _add_up
from ...tensor import Tensor, wrap


def tensors_of(values: Any, name: str) -> list[Any]:
    """A list of Tensors; TypeError for anything else."""
    if isinstance(values, (str, bytes, dict)) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} must be an iterable of Tensors, got {type(values).__name__}")
    found = list(values)
    for i, value in enumerate(found):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}[{i}] must be a Tensor, got {type(value).__name__}")
    return found


def _with_grad(parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    found = [parameters] if isinstance(parameters, Tensor) else tensors_of(parameters, "parameters")
    return [p.grad for p in found if p.grad is not None]


@named
def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all elements of several tensors together."""
    arrays = [t._array for t in tensors_of(tensors, "tensors")]
    if isinstance(norm_type, (bool, str)) or not hasattr(norm_type, "__float__"):
        raise TypeError(f"norm_type must be a number, got {norm_type!r:.80}")
    norm_type = float(norm_type)
    if norm_type == 0 or math.isnan(norm_type):
        raise ValueError(f"norm_type must be a number other than 0, got {norm_type}")
    if math.isinf(norm_type):
        least = norm_type < 0
        each = (float(np.abs(a).min() if least else np.abs(a).max()) for a in arrays if a.size)
        total: Any = (min if least else max)(each, default=0.0)
    elif norm_type == 2:
        flat = [a.ravel(order="K") for a in arrays]
        total = math.sqrt(sum(float(_matmul(a, a)) for a in flat))
    else:
        with np.errstate(divide="ignore", over="ignore"):
            powers = sum(float(_add_up(np.abs(a) ** norm_type)) for a in arrays)
            total = np.float64(powers) ** (1 / norm_type) if arrays else 0.0
    return wrap(np.asarray(total, dtype=arrays[0].dtype if arrays else np.float32))


@named
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients down together, in place, so that their norm is at most `max_norm`.

    Parameters
    ----------
    parameters : iterable of Tensor
    max_norm, norm_type : float
    error_if_nonfinite : bool

    Returns
    -------
    Tensor
        The norm before.

    Raises
    ------
    RuntimeError
        When it is not finite and `error_if_nonfinite`.
    """
    grads = _with_grad(parameters)
    total = get_total_norm(grads, norm_type)
    value = float(total._array)
    if error_if_nonfinite and not math.isfinite(value):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped"
        )
    _scale(grads, max_norm / (value + 1e-6))
    return total


def _scale(grads: list[Any], scale: float) -> None:
    """Multiply gradients in place, where that makes them smaller or NaN."""
    if not scale >= 1:
        for grad in grads:
            forget(grad)
            grad._array *= scale
            changed(grad)


@named
def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limit each element of the gradients to ±clip_value, in place."""
    for grad in _with_grad(parameters):
        forget(grad)
        np.clip(grad._array, -clip_value, clip_value, out=grad._array)
        changed(grad)


@named
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale all gradients down together, in place, for a norm that is known."""
    _scale(_with_grad(parameters), float(max_norm) / (float(total_norm) + 1e-6))


@named
def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """:func:`clip_grad_norm_` under its older name, with a warning."""
    import warnings

    warnings.warn(
        "clip_grad_norm is now deprecated in favor of clip_grad_norm_", FutureWarning, stacklevel=3
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)
