"""Measuring the planner's candidates, and remembering which one was fastest.

``explain(..., measure=True)`` shows the measured times.  With ``fastconv.autotune(True)`` or
``FASTCONV_AUTOTUNE=1`` the planner asks ``winner`` before it goes by its thresholds: the first time
a geometry meets a type, an instruction set and a number of threads on the C backend, the candidates
that can run it are timed, and the fastest is kept in memory and in ``autotune.json`` in the user's
cache directory (``FASTCONV_CACHE_DIR``).
"""

from __future__ import annotations

import os
import stat
import time
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastconv import backends, config
from fastconv._locks import make_rlock
from fastconv.backends.kernel import find
from fastconv.memory import empty
from fastconv.spec import ConvSpec, NormSpec, PoolSpec

if TYPE_CHECKING:
    from fastconv.planner import Candidate

#: A candidate must beat the planner's own choice by this factor: less is noise.
MARGIN = 1.05
#: Seconds spent on the candidates of one geometry, about, and rounds of taking turns.
SECONDS, LEAST_ROUNDS, MOST_ROUNDS = 0.1, 2, 7
#: Products above which the naive backend is not timed: a tenth of a second or so.
NAIVE_PRODUCTS = 100_000
#: Bounds of the file: conditions, geometries of one condition, bytes read.
MOST_CONDITIONS, MOST_ENTRIES, MOST_BYTES = 16, 4096, 1 << 24
FORMAT = "fastconv autotune 1"

_lock = make_rlock()
#: condition -> geometry -> algorithm, and the file that it was read from.
_known: dict[str, dict[str, str]] = {}
_file: Path | None = None


# ---------------------------------------------------------------- timing


def arguments(op: str, spec: ConvSpec, dtype: Any) -> tuple[Any, ...]:
    """Operands and result of one direction of a convolution, channels-last, random values."""
    rng = np.random.default_rng(0)

    def make(shape: tuple[int, ...], last: bool = True, fill: bool = True) -> np.ndarray[Any, Any]:
        array = empty(shape, dtype, last)
        if fill:
            array[...] = rng.random(array.shape, np.float32) - np.float32(0.5)
        return array

    if op == "conv_forward":
        return (make(spec.x_shape), make(spec.w_shape, False), None, make(spec.y_shape, fill=False))
    if op == "conv_backward_input":
        return (make(spec.y_shape), make(spec.w_shape, False), make(spec.x_shape, fill=False))
    return (make(spec.y_shape), make(spec.x_shape), make(spec.w_shape, False, False))


def times(
    op: str,
    spec: ConvSpec,
    candidates: Sequence[Candidate],
    dtype: Any = np.float32,
    seconds: float = SECONDS,
    most: int = MOST_ROUNDS,
) -> list[float]:
    """Shortest time of each candidate; they take turns, so that all meet the same disturbances.

    Each runs once before, untimed: that compiles, and brings its memory in.
    """
    operands = arguments(op, spec, dtype)
    rank = operands[0].ndim
    calls = [
        find(c.backend, op, c.algorithm).prepare(spec, np.dtype(dtype), rank) for c in candidates
    ]
    for call in calls:
        call(*operands)
    best = [float("inf")] * len(calls)
    end = time.perf_counter() + seconds * len(calls)
    rounds = 0
    while rounds < LEAST_ROUNDS or (rounds < most and time.perf_counter() < end):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call(*operands)
            best[i] = min(best[i], time.perf_counter() - start)
        rounds += 1
    return best


# ---------------------------------------------------------------- the fastest one


def condition() -> tuple[str, int]:
    """What a measurement holds for, besides the machine: instruction set and threads."""
    return backends.load("c").get_isa(), config.get_num_threads()


def winner(
    op: str, spec: ConvSpec | PoolSpec | NormSpec, able: Sequence[Candidate], dtype: Any
) -> Candidate | None:
    """Return the fastest of the candidates that can run, None where the planner is to decide.

    Parameters
    ----------
    op : str
    spec : ConvSpec, PoolSpec or NormSpec
    able : sequence of Candidate
        Of one backend, in the planner's order.
    dtype : dtype or None

    Returns
    -------
    Candidate or None
        None without ``fastconv.autotune``, on other backends than C, with fewer than two
        candidates, for an empty convolution, and where the planner's own choice is fastest within
        `MARGIN` (it is not asked again).
    """
    if dtype is None or not config.autotuning() or len(able) < 2 or able[0].backend != "c":
        return None
    if not isinstance(spec, ConvSpec) or not spec.flops or np.dtype(dtype).char not in "fd":
        return None
    isa, threads = condition()
    where = f"{_machine()}, {isa}, {threads} thread{'s' * (threads > 1)}"
    key = f"{op} {np.dtype(dtype)} {spec!r}"
    with _lock:
        _read()
        kept = _known.setdefault(where, {})
        found = next((c for c in able if c.algorithm == kept.get(key)), None)
        if found is None:
            found = _fastest(op, spec, able, dtype)
            while len(kept) >= MOST_ENTRIES:  # the oldest first
                del kept[next(iter(kept))]
            kept[key] = found.algorithm
            _write()
        return found


def _fastest(op: str, spec: ConvSpec, able: Sequence[Candidate], dtype: Any) -> Candidate:
    own = next(c for c in able if c.avoid(spec) is None)
    took = dict(zip(able, times(op, spec, able, dtype), strict=True))
    best = min(able, key=took.__getitem__)
    return best if took[best] * MARGIN < took[own] else own


@lru_cache(maxsize=1)
def _machine() -> str:
    from fastconv.sysinfo import VERSION, cpu_name

    return f"fastconv {VERSION}, {cpu_name()}"


# ---------------------------------------------------------------- the file


def cache_file() -> Path:
    """Where winners are kept: in ``FASTCONV_CACHE_DIR``, else in the user's cache directory."""
    folder = os.environ.get("FASTCONV_CACHE_DIR")
    if folder:
        return Path(folder) / "autotune.json"
    home = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home and os.path.isabs(home) else Path(os.path.expanduser("~/.cache"))
    return base / "fastconv" / "autotune.json"


def forget() -> None:
    """Drop what this process remembers; the file stays, and is read again when it is needed."""
    global _file
    with _lock:
        _known.clear()
        _file = None


def _load(path: Path) -> dict[str, dict[str, str]]:
    """Contents of the file; none, with a warning, where it is damaged."""
    import json

    try:
        # not to wait where a FIFO lies in its place
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError("it is no file")
            data = stream.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        content = json.loads(data)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"it does not say {FORMAT!r}")
        found = content.get("winners")
        if not isinstance(found, dict) or not all(
            isinstance(part, dict) and all(isinstance(name, str) for name in part.values())
            for part in found.values()
        ):
            raise ValueError("winners are not what they should be")
        return found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        warnings.warn(
            f"fastconv: the autotune file {path} is ignored: {error}", RuntimeWarning, stacklevel=2
        )
        return {}


def _read() -> None:
    """Take in the file, once for each path."""
    global _file
    path = cache_file()
    if path != _file:
        _known.clear()
        _known.update(_load(path))
        _file = path


def _write() -> None:
    """Write what is known and what others have written since.

    Two processes that write at once may lose what the other has just added; each adds all it
    knows whenever it writes again.
    """
    import json

    from fastconv.files import write_text

    path = cache_file()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # said when it was read
        merged = _load(path)
    for where, kept in _known.items():
        part = merged.setdefault(where, {})
        part.update(kept)
        while len(part) > MOST_ENTRIES:
            del part[next(iter(part))]
    while len(merged) > MOST_CONDITIONS:
        del merged[next(iter(merged))]
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no file")
        write_text(path, json.dumps({"format": FORMAT, "winners": merged}, indent=0) + "\n")
    except (OSError, ValueError) as error:
        warnings.warn(
            f"fastconv: autotune results cannot be kept in {path}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
