"""Networks that are ready to train.

A family of networks is a file; it is imported when one of its names is first used. ``get(name)``
builds a network by its name, ``list()`` names them all.
"""

from __future__ import annotations

import importlib
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..nn import Module

#: Each family's file, its builders (what `get` and `list` know) and its other public names.
FAMILIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "lenet": (("lenet5",), ("LeNet5",)),
    "lenet_digits": (("lenet_digits",), ("LeNetDigits",)),
    "cifar_resnet": (("resnet20", "resnet32"), ("CifarResNet",)),
}

_BUILDERS = {name: family for family, (builders, _) in FAMILIES.items() for name in builders}
_PUBLIC = _BUILDERS | {name: family for family, (_, others) in FAMILIES.items() for name in others}

__all__ = ["get", "list", *sorted(_PUBLIC)]


def list(pattern: str = "*") -> list[str]:  # type: ignore[valid-type]
    """The names that :func:`get` knows, sorted.

    Parameters
    ----------
    pattern : str
        As a shell matches file names: ``"resnet*"``.
    """
    return sorted(name for name in _BUILDERS if fnmatch(name, pattern))


def get(name: str, **options: Any) -> Module:
    """Build a network by its name.

    Parameters
    ----------
    name : str
        One of :func:`list`; upper case and hyphens are read as lower case and underscores.
    **options
        Passed on to the builder: ``num_classes`` and what its docstring names.

    Raises
    ------
    ValueError
        For an unknown name; the message has the names that resemble it.
    TypeError
        For an option that the builder does not have.
    """
    if not isinstance(name, str):
        raise TypeError(f"models.get: name must be a string, got {type(name).__name__}")
    key = name.lower().replace("-", "_")
    if key not in _BUILDERS:
        import difflib

        near = difflib.get_close_matches(key, _BUILDERS, 4, 0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(f"models.get: no network is named {name!r}; {hint}models.list() has all")
    network: Module = getattr(_family(_BUILDERS[key]), key)(**options)
    return network


def _family(name: str) -> Any:
    return importlib.import_module(f".{name}", __name__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        found = getattr(_family(_PUBLIC[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:  # type: ignore[valid-type]
    return sorted({*globals(), *__all__})
