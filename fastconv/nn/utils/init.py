"""``skip_init``: a module whose initial values are not drawn."""

from __future__ import annotations

from typing import Any

from ..init import undrawn
from ..modules.module import Module


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """``module_cls(*args, **kwargs)`` without the time that drawing its parameters takes.

    Parameters
    ----------
    module_cls : class
        Of a module.
    *args, **kwargs
        Passed on.

    Returns
    -------
    Module
        What its class draws holds whatever was in memory; what it sets to 0 or 1 is set.

    Raises
    ------
    TypeError
        If `module_cls` is not a subclass of Module.
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise TypeError(f"skip_init: module_cls must be a class of modules, got {module_cls!r:.80}")
    with undrawn():
        return module_cls(*args, **kwargs)
