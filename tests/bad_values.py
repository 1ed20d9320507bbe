"""Wrong values for every argument of every public function, and what may be raised."""

from __future__ import annotations

import inspect
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import nn, optim
from fastconv.nn.utils import rnn

#: Errors that say what is wrong with an argument. KeyError is PyTorch's for a missing initial_lr.
ALLOWED = (TypeError, ValueError, RuntimeError, IndexError, NotImplementedError, MemoryError)
SECONDS = 20  # a call that takes longer hangs


def values() -> list[Any]:
    return [
        None, "x", b"x", [1, "a"], {1: 2}, {1}, (3, 4), (1, 0), [[1], [1, 2]], 1j, int, object(),
        float("nan"), float("inf"), -float("inf"), 0, -1, 0.5, False, 1e-320, 2**62, 2**64,
        -(2**70), fc.ones(7, 1, 2), fc.ones(2, 3).to(fc.int64), fc.ones(2, 3).to(fc.uint8),
        fc.ones(2, 3) > 0, fc.zeros(0), fc.tensor(2.0), np.ones((2, 3)), np.array([1, 2]),
        lambda *a: 1,
    ]  # fmt: skip


def right(name: str) -> Any:
    """A value that often fits an argument of this name."""
    x, weight = fc.ones(2, 3, 4, 4), fc.ones(4, 3, 3, 3)
    found = {
        "input": x, "x": x, "other": x, "target": x, "src": x, "weight": weight, "bias": fc.ones(4),
        "tensors": [fc.ones(2, 3)] * 2, "tensor": fc.ones(3, 3), "mask": x > 0, "condition": x > 0,
        "index": fc.zeros(2, 3, 4, 4, dtype=fc.int64), "dim": 0, "dims": (0, 1), "size": (2, 3),
        "shape": (2, 3), "kernel_size": 2, "n": 3, "start": 0, "end": 3, "steps": 3, "p": 0.5,
        "value": 1.0, "in_channels": 3, "out_channels": 4, "in_features": 4, "out_features": 3,
        "num_features": 3, "params": [nn.Parameter(fc.ones(2))], "repeats": 2, "num_groups": 1,
        "parameters": [nn.Parameter(fc.ones(2))], "max_norm": 1.0, "equation": "ij->i",
        "output_size": 2, "pad": (1, 1), "exponent": 2.0, "fill_value": 1.0, "num_channels": 3,
    }  # fmt: skip
    return found.get(name)


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions, fillers, layers and optimisers."""
    for where, module, names in (
        ("fc", fc, dir(fc)), ("F", F, dir(F)), ("init", nn.init, dir(nn.init)),
        ("utils", nn.utils, dir(nn.utils)), ("rnn", rnn, rnn.__all__), ("nn", nn, nn.__all__),
        ("optim", optim, optim.__all__), ("linalg", fc.linalg, fc.linalg.__all__),
        ("fft", fc.fft, fc.fft.__all__), ("special", fc.special, fc.special.__all__),
    ):  # fmt: skip
        for name in sorted(names):
            f = getattr(module, name)
            room = "fastconv" if where not in ("init", "utils") else module.__name__
            own = str(getattr(f, "__module__", "")).startswith(room) and name != "checked"
            left_out = name.startswith("_") or name in STATE
            if callable(f) and own and not left_out:
                yield f"{where}.{name}", f


#: What changes the process, or runs for as long as it is told.
STATE = {
    "save", "load", "set_num_threads", "backend", "algorithm", "profile", "seed", "manual_seed",
    "set_default_dtype", "set_grad_enabled", "set_rng_state", "set_printoptions", "autotune",
    "fusion", "set_default_device", "empty_cache", "set_default_tensor_type", "set_warn_always",
    "set_float32_matmul_precision",
}  # fmt: skip


def methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Tensor's methods, on tensors of several types."""
    for name in sorted(dir(fc.Tensor)):
        operators = ("add", "sub", "mul", "pow", "truediv", "mod", "and", "getitem", "matmul")
        public = not name.startswith("_") or name.strip("_") in operators
        function = getattr(fc.Tensor, name, None)
        if not public or not callable(function):
            continue
        for kind in (fc.float32, fc.uint8):

            def method(*args: Any, _name: str = name, _kind: Any = kind, **kwargs: Any) -> Any:
                return getattr(fc.ones(2, 3, 4, 4).to(_kind), _name)(*args, **kwargs)

            try:
                of = inspect.signature(getattr(fc.ones(1), name))
                method.__signature__ = of  # type: ignore[attr-defined]
            except (TypeError, ValueError):
                pass
            yield f"Tensor.{name}", method


def calls(f: Callable[..., Any]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Arguments of which one is wrong."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    several = not parameters or any(p.kind == p.VAR_POSITIONAL for p in parameters)
    for i in range(len(values())):
        if several:
            yield (values()[i],), {}
            yield (fc.ones(2, 3, 4, 4), values()[i]), {}
        for p in parameters:
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                continue
            given = {
                q.name: right(q.name)
                for q in parameters
                if q.default is q.empty and q.kind not in (q.VAR_POSITIONAL, q.VAR_KEYWORD)
            }
            given[p.name] = values()[i]
            before = [q.name for q in parameters if q.kind == q.POSITIONAL_ONLY]
            yield tuple(given.pop(name) for name in before if name in given), given


#: What NumPy and Python say, which tells a user nothing.
RAW = re.compile(
    r"has no attribute|^'\w+' object|^ufunc |^unsupported operand|^Cannot cast|^Python int|"
    r"^(only|an) integer|^tuple index|^operands could not|^The truth value|^not enough values"
)
#: In PyTorch's own words; and indexing, of which users know no function.
OTHER_WORDS = {"Tensor.backward", "Tensor.register_hook", "Tensor.__getitem__"}
#: What raises what the user's function raises.
CALLERS = {"Tensor.apply_", "Tensor.map_"}
#: Where errors begin with the function's name: not the constructors of layers and optimisers.
NAMED = {"fc", "F", "init", "utils", "rnn", "linalg", "fft", "special", "Tensor"}
#: The functions behind operators, where the names differ.
OPERATORS = {"truediv": "div", "mod": "remainder", "and": "bitwise_and"}


def unnamed(name: str, f: Callable[..., Any], error: Exception) -> bool:
    """Whether an error does not say which function was called, or says nothing else."""
    where, _, own = name.partition(".")
    if where not in NAMED or name in CALLERS or isinstance(f, type):
        return False
    if RAW.search(str(error)):
        return True
    if name in OTHER_WORDS:
        return False
    if own.startswith("__"):
        own = OPERATORS.get(own.strip("_"), own.strip("_"))
    return re.search(rf"(?<!\w){own}(?!\w)", str(error), re.IGNORECASE) is None


class Hang(BaseException):
    """A call took too long."""


def _alarm(*_: Any) -> None:
    raise Hang


def complaints(name: str, f: Callable[..., Any]) -> list[str]:
    """Calls of a function that raised what they should not, or hang."""
    found = []
    before = signal.signal(signal.SIGALRM, _alarm)
    try:
        for args, kwargs in calls(f):
            signal.alarm(SECONDS)
            try:
                f(*args, **kwargs)
            except RecursionError as error:
                found.append(f"{name}(*{args!r:.60}, **{kwargs!r:.90}): {error!r:.100}")
            except ALLOWED as error:
                if unnamed(name, f, error):
                    found.append(f"{name}(*{args!r:.60}, **{kwargs!r:.90}): {error!r:.200}")
            except (Exception, Hang) as error:
                found.append(f"{name}(*{args!r:.60}, **{kwargs!r:.90}): {error!r:.100}")
            finally:
                signal.alarm(0)
    finally:
        signal.signal(signal.SIGALRM, before)
    return found
