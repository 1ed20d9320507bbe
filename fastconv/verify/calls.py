"""One call of the functional interface, by any library that has PyTorch's names, and its judgement.

A :class:`Call` names an operation, its operands and options. ``run`` makes the tensors, calls,
sends a gradient back and collects every array that came out; ``expected`` gives the same arrays by
the formulas of :mod:`fastconv.verify.formulas`, with the error that the type allows; ``complaints``
compares.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastconv.verify.arrays import Buffers, integers, view_of
from fastconv.verify.formulas import FORMULAS
from fastconv.verify.formulas.optim import STEPS
from fastconv.verify.formulas.tape import V, gradients
from fastconv.verify.problem import Declined
from fastconv.verify.tolerance import GROWTH

__all__ = ["Call", "Operand", "complaints", "expected", "library", "run"]

Array = np.ndarray[Any, np.dtype[Any]]

#: A result may be off by this many times the error to first order.
MARGIN = 2.0
#: Layouts that only exist in numpy: no other library takes their strides.
_OURS = ("reversed", "flipped")


@dataclass(frozen=True)
class Operand:
    """One array of a call.

    Attributes
    ----------
    values : ndarray
        float64, or an integer type, which is handed on as int64.
    grad : bool
        Whether its gradient is asked for.
    layout : str
        How it lies in memory: one of ``fastconv.verify.arrays.LAYOUTS``, or ``"expanded"``, the
        first of the leading axis shown again and again.
    offset : int
        Elements from where a vector would be aligned.
    """

    values: Array
    grad: bool = True
    layout: str = "plain"
    offset: int = 0

    def exact(self, dtype: Any) -> Array:
        """The values that a tensor of this type has, as float64."""
        if self.values.dtype.kind in "iu":
            return self.values
        values = view_of(self.values.astype(dtype).astype(np.float64), self.layout)
        if self.layout == "expanded":
            values = np.broadcast_to(values[:1], values.shape)
        return values


@dataclass(frozen=True)
class Call:
    """An operation and what it is given.

    Attributes
    ----------
    op : str
        PyTorch's name: of ``nn.functional``, of the package, or ``optim.`` and an optimiser.
    operands : dict of str to Operand
        By the names of the parameters, the input first.
    options : dict
        The other arguments by name.
    seed : int or ndarray
        Where the gradient given to the result comes from: small integers, ones for -1, or itself.
    g_layout : str
        How that gradient lies in memory.
    times : int
        How often it is called: what writes past its memory may be found out later.
    """

    op: str
    operands: dict[str, Operand]
    options: dict[str, Any] = field(default_factory=dict)
    seed: Any = 1
    g_layout: str = "plain"
    times: int = 1

    def gradient(self, shape: tuple[int, ...]) -> Array:
        """The gradient given to a result of this shape."""
        if not isinstance(self.seed, int):
            return np.asarray(self.seed, np.float64).reshape(shape)
        if self.seed == -1:
            return np.ones(shape)
        return view_of(integers(self.seed, shape), self.g_layout)


def library(name: str) -> Any:
    """Import a library by its name.

    Raises
    ------
    Declined
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Declined(f"no library {name!r}: {error}") from error


def _tensor(
    T: Any, operand: Operand, role: str, dtype: str, buffers: Buffers, placed: list[Any]
) -> Any:
    """Make the tensor of an operand, and note where it was put."""
    values = operand.exact(dtype)
    if values.dtype.kind in "iu":
        return T.from_numpy(np.ascontiguousarray(values, np.int64))
    ours = T.__name__ == "fastconv"
    if operand.layout in _OURS and not ours:
        raise Declined(f"{T.__name__} has no negative strides")
    if operand.layout == "expanded":
        first = T.from_numpy(np.ascontiguousarray(values[:1], dtype))
        return first.expand(values.shape).detach()
    layout = operand.layout if values.ndim else "plain"
    place = buffers.place(role, values.shape, dtype, layout, operand.offset)
    cast = values.astype(dtype)
    place.fill(cast)
    placed.append((role, place, cast))
    return T.from_numpy(place.array)


def _check_memory(placed: list[Any]) -> None:
    """Raise if an operand was changed, or what lies around it."""
    for role, place, values in placed:
        if place.spilled():
            raise AssertionError(f"wrote into the memory around {role}")
        same = role.startswith("running") or np.isnan(values).any() or not place.changed(values)
        if not same:
            raise AssertionError(f"changed the values of {role}")


def _function(T: Any, op: str) -> Any:
    for home in (T.nn.functional, T):
        found = getattr(home, op, None)
        if callable(found):
            return found
    return getattr(T.Tensor, op)


def run(T: Any, call: Call, dtype: str, buffers: Buffers | None = None) -> dict[str, Array]:
    """Make a call with a library and return every array it gives.

    Parameters
    ----------
    T : module
        The library: fastconv, torch, or another with these names.
    call : Call
    dtype : str
        ``"float32"`` or ``"float64"``.
    buffers : Buffers, optional
        Memory for the operands.

    Returns
    -------
    dict of str to ndarray
        ``y``, ``indices`` where asked for, running statistics, and ``gradient of`` each operand.

    Raises
    ------
    Declined
        If the library cannot have such an operand.
    AssertionError
        If it has written into an operand or the memory around one.
    """
    buffers = Buffers() if buffers is None else buffers
    buffers.reset()
    if call.op.startswith("optim."):
        return _optimise(T, call, dtype)
    found: dict[str, Array] = {}
    for _ in range(call.times):
        placed: list[Any] = []
        tensors = {n: _tensor(T, o, n, dtype, buffers, placed) for n, o in call.operands.items()}
        asked = [n for n, o in call.operands.items() if o.grad and o.values.dtype.kind == "f"]
        for name in asked:
            tensors[name].requires_grad_(True)
        (_, first), *others = tensors.items()
        result = _function(T, call.op)(first, **dict(others), **call.options)
        found = {}
        if isinstance(result, tuple):
            result, places = result
            found["indices"] = np.asarray(places.detach().numpy())
        found["y"] = np.array(result.detach().numpy())
        if asked:
            g = Operand(call.gradient(tuple(result.shape)), False, call.g_layout)
            result.backward(_tensor(T, g, "g", dtype, buffers, placed))
        for name in asked:
            g = tensors[name].grad
            if g is not None:
                found[f"gradient of {name}"] = np.array(g.detach().numpy())
        for name in ("running_mean", "running_var"):
            if name in tensors:
                found[name] = np.array(tensors[name].detach().numpy())
        _check_memory(placed)
    return found


def _optimise(T: Any, call: Call, dtype: str) -> dict[str, Array]:
    """Take one step for each row of ``grads`` and return the parameter after each."""
    parameter = call.operands["parameter"].exact(dtype).astype(dtype)
    p = T.from_numpy(np.array(parameter)).requires_grad_(True)
    optimiser = getattr(T.optim, call.op.removeprefix("optim."))([p], **call.options)
    found = {}
    for step, g in enumerate(call.operands["grads"].exact(dtype), 1):
        p.grad = T.from_numpy(np.array(g, dtype))
        optimiser.step()
        found[f"parameter after step {step}"] = np.array(p.detach().numpy())
    return found


def expected(call: Call, dtype: str) -> dict[str, tuple[Array, Array | None]]:
    """What :func:`run` should return, each array with its error in units of eps, None of integers.

    Inside :func:`fastconv.verify.formulas.tape.rounding` nothing is expected to be exact.
    """
    arrays = {name: operand.exact(dtype) for name, operand in call.operands.items()}
    found: dict[str, tuple[Array, Array | None]] = {}
    with np.errstate(all="ignore"):
        if call.op.startswith("optim."):
            steps = STEPS[call.op.removeprefix("optim.")]
            grads = list(arrays["grads"])
            for step, p in enumerate(steps(V(arrays["parameter"]), grads, call.options), 1):
                found[f"parameter after step {step}"] = p.a, p.e
            return found
        operands: dict[str, Any] = {
            n: a if a.dtype.kind in "iu" else V(a) for n, a in arrays.items()
        }
        results = FORMULAS[call.op](operands, call.options)
        y = results["y"]
        asked = [n for n, o in call.operands.items() if o.grad and isinstance(operands[n], V)]
        for name, result in results.items():
            found[name] = (result.a, result.e) if isinstance(result, V) else (result, None)
        for name in ("running_mean", "running_var"):  # as they were, where nothing has moved them
            if name in operands and name not in found:
                found[name] = operands[name].a, np.zeros(operands[name].shape)
        parts = gradients(y, call.gradient(y.shape), [operands[n] for n in asked])
        for name, part in zip(asked, parts):
            found[f"gradient of {name}"] = part.a, part.e
    return found


def _limit(call: Call, dtype: str, right: Array, error: Array, algorithm: str) -> Array:
    """How far each element may be off."""
    eps = float(np.finfo(dtype).eps)
    limit = MARGIN * error * eps + np.where(error > 0, float(np.finfo(dtype).tiny), 0.0)
    if GROWTH.get(algorithm, 1.0) > 1.0:
        # transformed data: the error is that of a tile, not of the element
        size = float(np.max(np.abs(right), initial=0.0))
        depth = call.operands["weight"].values[0].size
        batch = call.operands["input"].values.size
        limit = limit + GROWTH[algorithm] * eps * (8.0 + 2.0 * math.sqrt(max(depth, batch))) * size
    return limit


def complaints(
    call: Call,
    dtype: str,
    got: dict[str, Array],
    want: dict[str, tuple[Array, Array | None]],
    algorithm: str = "direct",
) -> list[str]:
    """Say what is wrong with the results of a call, one line each; an empty list if nothing.

    Parameters
    ----------
    call : Call
    dtype : str
    got, want : dict
        What ``run`` and ``expected`` have returned.
    algorithm : str
        One of ``fastconv.verify.tolerance.GROWTH``: what a convolution may have been done by.
    """
    said = [f"no {name}" for name in want if name not in got]
    for name, (right, error) in want.items():
        if name not in got:
            continue
        a = got[name]
        if a.shape != right.shape:
            said.append(f"{name} has shape {a.shape}, expected {right.shape}")
            continue
        if not a.size:
            continue
        if error is None:
            wrong = a != right
        else:
            limit = _limit(call, dtype, right, np.nan_to_num(error, posinf=np.inf), algorithm)
            with np.errstate(all="ignore"):
                off = np.abs(a.astype(np.float64) - right)
            same = (a == right) | (np.isnan(a) & np.isnan(right))
            wrong = ~(same | (off <= limit))
        if np.any(wrong):
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            said.append(
                f"{name}: {int(np.count_nonzero(wrong))} of {a.size} wrong, first at {at}: "
                f"{a[at]!s}, expected {right[at]!s}"
            )
    return said
