"""How long OpenMP's threads wait awake; for both backends that may load its library first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_SPIN = "GOMP_SPINCOUNT"


@contextmanager
def short_spin() -> Iterator[None]:
    """Let a libgomp that is loaded inside spin for 2000 turns, about 30 microseconds.

    It reads the variable once, when it is loaded. By default its threads spin for milliseconds at
    every barrier; where other processes want the same cores that makes a training step several
    times slower. What the user has set stays.
    """
    own = _SPIN not in os.environ and "OMP_WAIT_POLICY" not in os.environ
    if own:
        os.environ[_SPIN] = "2000"
    try:
        yield
    finally:
        if own:
            del os.environ[_SPIN]
