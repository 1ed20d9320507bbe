"""Random numbers that belong to a sample: the same whoever loads it.

While a DataLoader makes a sample, what `draws` returns begins from the epoch's seed and the
sample's index. So an augmented epoch is the same for any number of workers, and comes again after
the same ``manual_seed``. A sample that comes several times in an epoch draws anew each time.
"""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..random import rng


class _Current(threading.local):
    key: tuple[int, Any] | None = None
    rng: np.random.Generator | None = None


_current = _Current()


class Task(NamedTuple):
    """What is to be fetched: the epoch's seed, an index or a list of them, and how often each has
    come before in the epoch (None: none has)."""

    seed: int
    what: Any
    times: list[int] | None = None


def numbered(seed: int, order: Iterable[Any], batched: bool) -> Iterator[Task]:
    """Tasks of an order in which indices may come again."""
    seen: Counter[Any] = Counter()
    for what in order:
        if batched and not isinstance(what, (list, tuple)):
            what = list(what)
        times = []
        for index in what if batched else [what]:
            times.append(0)
            with contextlib.suppress(TypeError):  # an index that cannot be a key
                times[-1] = seen[index]
                seen[index] += 1
        yield Task(seed, what, times if any(times) else None)


@contextlib.contextmanager
def sample_draws() -> Iterator[None]:
    """A block in which `enter_sample` is called; after it, draws are those from before."""
    before = _current.key, _current.rng
    try:
        yield
    finally:
        _current.key, _current.rng = before


def enter_sample(base_seed: int, index: Any, time: int = 0) -> None:
    """From here on, `draws` in this thread are those of a sample.

    Parameters
    ----------
    base_seed : int
        The epoch's.
    index : int, sequence or any key
        The sample's, or those of a batch that is made as one.
    time : int
        How often it has come before.
    """
    _current.key, _current.rng = (base_seed, (index, time) if time else index), None


def leave_sample() -> None:
    """From here on, `draws` in this thread are the package's own again."""
    _current.key = _current.rng = None


def _words(index: Any) -> Iterator[int]:
    if isinstance(index, (int, np.integer)):
        yield int(index) & (2**64 - 1)
    elif isinstance(index, (list, tuple, np.ndarray)):
        yield len(index)
        for item in index:
            yield from _words(item)
    else:
        yield zlib.crc32(repr(index).encode())


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
        words = [key[0] & (2**64 - 1), *_words(key[1])]
        _current.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
    return _current.rng
