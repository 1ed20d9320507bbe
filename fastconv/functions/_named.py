"""Errors that name the function that was called, its argument, the value and what was expected.

A function that is made of others hears of a wrong argument from the one that it happened to call,
or from NumPy. :func:`explained` says it again as the function's own. It runs when something has
been raised already: what succeeds pays for a ``try``, and where :func:`named` is used for one more
call.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import numpy as np

from ..autograd import TensorBase

_F = TypeVar("_F", bound=Callable[..., Any])

#: What a wrong argument may raise. Other classes become ValueError, AttributeError TypeError.
PLAIN = (TypeError, ValueError, RuntimeError, IndexError, MemoryError)
#: Arguments without an annotation of their own that are Tensors.
_TENSORS = frozenset((
    "A", "B", "a", "abs", "angle", "b", "batch1", "batch2", "bn_rm", "bn_rv", "boundaries",
    "condition", "conv_w", "elements", "end", "imag", "indices", "input", "linear_w", "mask",
    "mat1", "mat2", "other", "out", "padded_sequences", "real", "self", "sorted_sequence",
    "source", "src", "tensor", "tensor1", "tensor2", "test_elements", "values", "vec", "vec2",
    "weights", "x", "x1", "x2", "y",
))  # fmt: skip
_SISTER = re.compile(r"(?:\w+\.)*[a-zA-Z]\w*(?:\(\)|=)?: ")
_Wanted = tuple[str, tuple[type, ...]]
_KINDS: dict[str, _Wanted] = {
    "int": ("an int", (int, np.integer)),
    "bool": ("a bool", (bool, np.bool_, int)),
    "float": ("a number", (int, float, np.integer, np.floating)),
    "str": ("a str", (str,)),
}


def named(function: _F, name: str | None = None) -> _F:
    """`function`, or an alias of it with a `name` of its own, whose errors name it."""
    own = name or function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            retell(error, own, function, args, kwargs)

    if name is not None:
        call.__name__ = call.__qualname__ = name
    return call  # type: ignore[return-value]


def retell(
    error: Exception,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> NoReturn:
    """Raise what :func:`explained` makes of `error`."""
    told = explained(error, name, function, args, kwargs)
    if told is error:
        raise error
    raise told from error


def explained(
    error: Exception,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Exception:
    """What to raise for what a call of `name` has raised: `error` itself if it says all.

    Parameters
    ----------
    error : Exception
    name : str
        What the user has called.
    function : callable
        Whose signature the arguments have.
    args, kwargs
        Those of the call.
    """
    text, kind = str(error), type(error)
    if isinstance(error, PLAIN) and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
        return error
    if isinstance(error, np.linalg.LinAlgError):
        return np.linalg.LinAlgError(f"{name}: {text}")
    if not isinstance(error, (*PLAIN, ArithmeticError, LookupError, AttributeError)):
        return error
    sister = _SISTER.match(text)
    if sister is not None and isinstance(error, PLAIN):
        return _like(error, f"{name}: {text[sister.end() :]}")
    given = _bound(function, args, kwargs)
    for argument, (value, annotation) in given.items():
        expected = _expected(argument, value, annotation, kind)
        if expected is not None:
            return TypeError(f"{name}: {argument} must be {expected}, got {_shown(value)}")
    what = ", ".join(f"{argument} = {_shown(value)}" for argument, (value, _) in given.items())
    said = "takes too many or too few arguments" if not given else f"{text} ({what})"
    return _like(error, f"{name}: {said if given or args else text}")


def _like(error: Exception, text: str) -> Exception:
    """An exception of the class of `error`, or of the plain one that stands for it."""
    for kind in (NotImplementedError, *PLAIN):
        if isinstance(error, kind):
            return kind(text)
    return TypeError(text) if isinstance(error, AttributeError) else ValueError(text)


def _bound(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, tuple[Any, str]]:
    """The arguments of a call: name, value and annotation; none where they do not fit."""
    import inspect

    try:
        signature = inspect.signature(function)
        bound = signature.bind(*args, **kwargs)
    except (TypeError, ValueError):
        return {}
    found: dict[str, tuple[Any, str]] = {}
    for name, value in bound.arguments.items():
        parameter = signature.parameters[name]
        if value is parameter.default:
            continue
        annotation = parameter.annotation if isinstance(parameter.annotation, str) else ""
        if parameter.kind is parameter.VAR_POSITIONAL:
            found |= {f"{name}[{i}]": (v, "") for i, v in enumerate(value)}
        elif parameter.kind is parameter.VAR_KEYWORD:
            found |= {k: (v, "") for k, v in value.items()}
        else:
            found[name] = value, annotation
    return found


def _expected(name: str, value: Any, annotation: str, error: type[Exception]) -> str | None:
    """What should be here instead of `value`; None where it may be right."""
    parts = [part.strip() for part in annotation.split("|")]
    if all(part in _KINDS or part == "None" for part in parts):
        if value is None and "None" in parts:
            return None
        kinds = [_KINDS[part] for part in parts if part in _KINDS]
        if any(isinstance(value, types) for _, types in kinds) and not (
            isinstance(value, (bool, np.bool_)) and "bool" not in parts
        ):
            return None
        whole = isinstance(value, TensorBase) and not value._array.ndim and "bool" not in parts
        if whole and ("float" in parts or value._array.dtype.kind in "iu"):
            return None
        return " or ".join([what for what, _ in kinds] + ["None"] * ("None" in parts))
    if name in _TENSORS and annotation in ("Any", "Tensor"):
        if isinstance(value, TensorBase):
            return None
        number = isinstance(value, (bool, int, float, np.ndarray, np.generic))
        if number and error is not AttributeError:
            return None  # some take numbers, and arrays
        return "a Tensor"
    return None


def _shown(value: Any) -> str:
    """A value in few words."""
    if isinstance(value, TensorBase):
        return f"a tensor {value._array.dtype} of shape {value._array.shape}"
    if isinstance(value, np.ndarray):
        return f"an array {value.dtype} of shape {value.shape}"
    try:
        return f"{value!r:.80}" if not isinstance(value, int) else f"{value}"
    except Exception:
        return f"a {type(value).__name__}"
