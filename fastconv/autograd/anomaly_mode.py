"""`detect_anomaly`: a NaN in a gradient is an error that shows where its operation was called.

While it is on, a recorder (`_watch.py`) notes the stack at every operation and looks at every
gradient; where it is off, nothing is paid.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _watch

__all__ = ["detect_anomaly", "is_anomaly_enabled", "set_detect_anomaly"]


class _Watcher(_watch.Passing):
    """What `_watch.recorder` is while the mode is on; hands on to the one before, a profiler."""

    def __init__(self, before: Any, check_nan: bool) -> None:
        super().__init__(before)
        self.check_nan = check_nan

    def forward(self, cls: Any, ctx: Any, args: Sequence[Any]) -> Any:
        """Note the stack, then run an operation's ``forward``."""
        ctx.__dict__["called_from"] = traceback.format_stack()[:-4]
        return super().forward(cls, ctx, args)

    def backward(self, node: Any, grads: Sequence[Any], retain: bool) -> Any:
        """Run a node of the graph and look at what it returns."""
        stack = node.__dict__.get("called_from")
        found = super().backward(node, grads, retain)
        if self.check_nan:
            for i, g in enumerate(found):
                array = getattr(g, "_array", g)
                if isinstance(array, np.ndarray) and np.isnan(array).any():
                    where = (
                        "".join(stack) if stack else "an operation from before the mode was on\n"
                    )
                    raise RuntimeError(
                        f"Function '{node.name()}' returned nan values in its {i}th output. "
                        f"Called from:\n{where}"
                    )
        return found


def is_anomaly_enabled() -> bool:
    """Whether gradients are looked at."""
    return isinstance(_watch.recorder, _Watcher)


def _switch(mode: bool, check_nan: bool) -> None:
    now: Any = _watch.recorder
    if isinstance(now, _Watcher):
        now = now.before
    _watch.recorder = _Watcher(now, check_nan) if mode else now


class set_detect_anomaly:
    """Switch the mode at once, as a function; as a context manager, put it back on leaving.

    Parameters
    ----------
    mode : bool
    check_nan : bool
        Whether a NaN is an error; without it only stacks are noted.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        now: Any = _watch.recorder
        self._before = isinstance(now, _Watcher), getattr(now, "check_nan", True)
        _switch(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        _switch(*self._before)


class detect_anomaly:
    """``with detect_anomaly():`` a NaN in a gradient is an error that names its operation.

    Parameters
    ----------
    check_nan : bool
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self._mode = set_detect_anomaly(True, self.check_nan)

    def __exit__(self, *exception: object) -> None:
        self._mode.__exit__()
