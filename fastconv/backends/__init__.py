"""The backends and which of them can be used here.

``c`` is the compiled extension, ``numba`` compiles when first used, ``naive`` always works and is
the specification.
"""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

ORDER = ("c", "numba", "naive")

_loaded: dict[str, ModuleType] = {}
_missing: dict[str, str] = {}


def load(name: str) -> ModuleType:
    """Return a backend's module, importing it when first asked for.

    Raises
    ------
    RuntimeError
        If the backend cannot be used here; the message says why.
    """
    module = _loaded.get(name)
    if module is not None:
        return module
    reason = why_not(name)
    if reason is not None:
        raise RuntimeError(f"backend {name!r} is not available: {reason}")
    return _loaded[name]


def why_not(name: str) -> str | None:
    """Return why a backend cannot be used here, or None where it can."""
    if name in _loaded:
        return None
    if name not in _missing:
        try:
            _loaded[name] = importlib.import_module(f"fastconv.backends.{name}")
            return None
        except ImportError as error:
            _missing[name] = str(error)
    return _missing[name]


def best() -> str:
    """Return the fastest backend that can be used here; warn if only the naive one can."""
    for name in ORDER:
        if why_not(name) is None:
            if name == "naive":
                warnings.warn(
                    "fastconv: neither the C extension nor Numba is available "
                    f"({_missing['c']}; {_missing['numba']}); the naive backend is very slow",
                    RuntimeWarning,
                    stacklevel=2,
                )
            return name
    raise RuntimeError("no backend is available")  # naive needs nothing but numpy


#: PyTorch's settings of engines that are not here, which load when they are asked for.
_FOREIGN = ("cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp")


def __getattr__(name: str) -> ModuleType:
    if name in _FOREIGN:
        return importlib.import_module(f"fastconv.backends.{name}")
    from ..absent import missing

    raise missing("fastconv.backends", name)
