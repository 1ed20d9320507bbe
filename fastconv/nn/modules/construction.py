"""Constructors whose errors name the layer, its argument and the value.

A layer hears of a wrong argument from a helper, from a layer that it is made of, or from NumPy.
`Module` wraps the constructors of this package's classes (not those of users') in :func:`told`,
which says it again as the layer's own; it costs a ``try`` where nothing is wrong.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...functions._named import PLAIN, _bound, _expected, _like, _shown

#: Of Python, what a call with too many or too few arguments is told.
_CALL = re.compile(r"^[\w.<>]+\(\) (?=takes|missing|got)")


def told(init: Callable[..., None]) -> Callable[..., None]:
    """`init`, a class's ``__init__``, with errors that name the class of the object."""

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except Exception as error:
            better = explained(error, type(self).__name__, init, (self, *args), kwargs)
            if better is error:
                raise
            raise better from error

    __init__.__dict__["tells"] = True
    return __init__


def explained(
    error: Exception,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Exception:
    """What to raise for what has gone wrong in a constructor: `error` itself if it names it.

    Parameters
    ----------
    error : Exception
        Those of this package's own classes, and those that are no error of an argument, stay.
    name : str
        Of the layer or network.
    function : callable
        Whose signature the arguments have.
    args, kwargs
        Those of the call; an argument called self is left out.
    """
    text, kind = str(error), type(error)
    if not isinstance(error, (*PLAIN, ArithmeticError, LookupError, AttributeError)):
        return error
    if kind.__module__.split(".")[0] not in ("builtins", "numpy"):
        return error
    plain = isinstance(error, PLAIN)
    if plain and re.match(rf"{re.escape(name)}(\(\))?: ", text):
        return error
    given = {k: v for k, v in _bound(function, args, kwargs).items() if k != "self"}
    for argument, (value, annotation) in given.items():
        expected = _expected(argument, value, annotation, kind)
        if expected is not None:
            return TypeError(f"{name}: {argument} must be {expected}, got {_shown(value)}")
    if plain and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) and not _CALL.match(text):
        return error if not given or any(k in text for k in given) else _told(error, text, given)
    text = _CALL.sub("", text) if kind is TypeError else text
    if kind is KeyError:
        text = f"there is no {text}"
    return _told(error, f"{name}: {text}", given)


def _told(error: Exception, text: str, given: Mapping[str, tuple[Any, str]]) -> Exception:
    """The error with the arguments and their values behind its text."""
    what = ", ".join(f"{argument} = {_shown(value)}" for argument, (value, _) in given.items())
    return _like(error, f"{text} ({what})" if what else text)
