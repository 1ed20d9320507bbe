"""Random numbers that belong to a sample: the same whoever loads it.

While a DataLoader makes a sample, what `draws` returns begins from the epoch's base seed and the
sample's index. So an augmented epoch is the same for any number of workers, and comes again after
the same ``manual_seed``.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ..random import rng


class _Current(threading.local):
    key: tuple[int, int] | None = None
    rng: np.random.Generator | None = None


_current = _Current()


def enter_sample(base_seed: int, index: Any) -> None:
    """From here on, `draws` in this thread are those of a sample."""
    known = isinstance(index, (int, np.integer))
    _current.key = (base_seed, int(index)) if known else None
    _current.rng = None


def leave_sample() -> None:
    """From here on, `draws` in this thread are the package's own again."""
    _current.key = _current.rng = None


def draws() -> np.random.Generator:
    """The source of a transform's random numbers.

    Returns
    -------
    numpy.random.Generator
        The sample's own one while a DataLoader makes a sample, else that of the package, which
        ``fastconv.manual_seed`` seeds.
    """
    key = _current.key
    if key is None:
        return rng()
    if _current.rng is None:
        words = [key[0] & (2**64 - 1), key[1] & (2**64 - 1)]
        _current.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
    return _current.rng
