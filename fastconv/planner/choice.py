"""Which candidate runs: the first that neither declines nor should be avoided, or as measured.

Both are rules and come with a reason; ``explain`` (``explanation.py``) prints them all. With
``fastconv.autotune``, measurements decide among the candidates that can run (``tuning.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastconv import backends, config
from fastconv.backends.kernel import Call, Kernel, find, in_double
from fastconv.planner import tuning
from fastconv.planner.candidates import Candidate, candidates
from fastconv.planner.rules import Spec


def choose(op: str, spec: Spec, dtype: Any = None) -> Kernel:
    """Return the kernel that carries out `op` on this geometry under the current switches.

    The type of the arrays matters to ``fastconv.autotune`` only.
    """
    now = config.switches()
    chosen = pick(op, spec, now.backend, now.algorithm, dtype, now.exact)
    found = find(chosen.backend, op, chosen.algorithm)
    if now.exact and op.startswith("conv_") and chosen.backend != "naive":
        return in_double(found)  # naive sums in double already
    return found


def ready(op: str, spec: Spec, dtype: Any, rank: int) -> Call:
    """Return the call of `op` for arrays of this type and rank (``fastconv/backends/kernel.py``).

    All that the geometry decides was done when it was first asked for.
    """
    now = config.switches()
    key: tuple[Any, ...] = (op, now, dtype, rank)
    if now.autotuning and now.backend == "c":
        key += tuning.condition()
    call = spec.cache.get(key)
    if call is None:
        call = spec.cache[key] = choose(op, spec, dtype).prepare(spec, dtype, rank)
    return call  # type: ignore[no-any-return]


_plain: dict[tuple[str, str], Callable[..., Any]] = {}


def kernel(op: str) -> Callable[..., Any]:
    """Return the current backend's function for an operation without a geometry."""
    backend = config.current_backend()
    function = _plain.get((op, backend))
    if function is None:
        function = _plain[op, backend] = getattr(backends.load(backend), op)
    return function


def pick(
    op: str,
    spec: Spec,
    backend: str,
    algorithm: str | None = None,
    dtype: Any = None,
    exact: bool = False,
) -> Candidate:
    """Return the first candidate of `backend` that accepts; `algorithm` goes first if it can.

    ``"direct"`` means no transformed data also where a backend's direct sum has another name.
    `exact` leaves transformed data out, whatever is asked for. With ``fastconv.autotune`` and a
    `dtype`, the one measured as the fastest.
    """
    able = [c for c in candidates(op, backend) if c.decline(spec) is None]
    if exact or algorithm == "direct":
        able = [c for c in able if not find(backend, op, c.algorithm).transforms]
    for c in able:
        if c.algorithm == algorithm:
            return c
    own = next(c for c in able if c.avoid(spec) is None)  # the last one accepts everything
    measured = None if exact or algorithm else tuning.winner(op, spec, able, dtype)
    return measured or own
