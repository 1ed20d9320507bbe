"""How long OpenMP's threads wait awake; for both backends that may load its library first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_SPIN = "GOMP_SPINCOUNT"


@contextmanager
def short_spin() -> Iterator[None]:
    """Let a libgomp that is loaded inside spin for 15000 turns, a third to half a millisecond.

    It reads the variable once, when it is loaded. That is longer than Python needs between two
    kernels of a network, so that the other threads are awake when the next one begins: a step of
    ResNet-50 with two threads takes 0.85 of the time that it takes with 2000 turns, one of LeNet-5
    0.75. By default threads spin for many milliseconds; where other processes want the same cores
    that makes a step several times slower (MobileNetV2 beside one busy process: 2000 turns 222 ms,
    15000 319, the default of PyTorch's threads 1155). What the user has set stays.
    """
    own = _SPIN not in os.environ and "OMP_WAIT_POLICY" not in os.environ
    if own:
        os.environ[_SPIN] = "15000"
    try:
        yield
    finally:
        if own:
            del os.environ[_SPIN]
