"""Which kernel runs: ordered candidate lists, best first, the specification last.

``choose`` takes the first candidate of the current backend that neither declines (it cannot run the
geometry) nor should be avoided (another is faster there).  Both are rules of ``fastconv.rules`` and
come with a reason; ``explain`` (``fastconv.explanation``) prints them all.  A new kernel is one
line here.  With ``fastconv.autotune``, measurements decide among the candidates that can run
(``fastconv.tuning``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fastconv import backends, config, rules, tuning
from fastconv.backends.kernel import Call, Kernel, find, in_double
from fastconv.rules import Rule, Spec


class Candidate(NamedTuple):
    """One kernel that can carry out one operation, and what speaks against it."""

    backend: str
    algorithm: str
    decline: Rule = rules.never  # why it cannot run this geometry
    avoid: Rule = rules.never  # why another one is faster; does not count when it is asked for


FORWARD = [
    Candidate("c", "whole", rules.whole_only, rules.whole_slow),
    Candidate("c", "depthwise", rules.depthwise_only),
    Candidate("c", "grouped", rules.grouped_only, rules.grouped_slow("conv_forward")),
    Candidate("c", "winograd", rules.winograd_only, rules.winograd_slow("conv_forward")),
    Candidate("c", "flat", rules.flat_only, rules.flat_slow("conv_forward")),
    Candidate("c", "direct", rules.direct_only, rules.direct_slow("conv_forward")),
    Candidate("c", "gemm"),
    Candidate("numba", "depthwise", rules.depthwise_only),
    Candidate("numba", "direct"),
    Candidate("naive", "direct"),
]
BACKWARD_INPUT = [
    Candidate("c", "whole", rules.whole_only, rules.whole_slow),
    Candidate("c", "scatter", rules.scatter_only, rules.scatter_slow),
    Candidate("c", "depthwise", rules.depthwise_only),
    Candidate("c", "grouped", rules.grouped_only, rules.grouped_slow("conv_backward_input")),
    Candidate("c", "winograd", rules.winograd_only, rules.winograd_slow("conv_backward_input")),
    Candidate("c", "direct", rules.direct_only, rules.direct_slow("conv_backward_input")),
    Candidate("c", "gemm"),
    Candidate("numba", "depthwise", rules.depthwise_only),
    Candidate("numba", "direct"),
    Candidate("naive", "direct"),
]
BACKWARD_WEIGHT = [
    Candidate("c", "whole", rules.whole_only, rules.whole_slow),
    Candidate("c", "depthwise", rules.depthwise_only),
    Candidate("c", "grouped", rules.grouped_only, rules.grouped_slow("conv_backward_weight")),
    Candidate(
        "c", "winograd", rules.winograd_weight_only, rules.winograd_slow("conv_backward_weight")
    ),
    Candidate("c", "flat", rules.flat_only, rules.flat_slow("conv_backward_weight")),
    Candidate("c", "gemm"),
    Candidate("numba", "depthwise", rules.depthwise_only),
    Candidate("numba", "direct"),
    Candidate("naive", "direct"),
]
EACH = [Candidate(name, "direct") for name in config.BACKENDS]

CANDIDATES: dict[str, list[Candidate]] = {
    "conv_forward": FORWARD,
    "conv_backward_input": BACKWARD_INPUT,
    "conv_backward_weight": BACKWARD_WEIGHT,
    "conv_backward_bias": EACH,
    "max_pool_forward": EACH,
    "max_pool_backward": EACH,
    "max_pool_taps_forward": EACH,
    "max_pool_taps_backward": EACH,
    "avg_pool_forward": EACH,
    "avg_pool_backward": EACH,
    "norm_statistics": EACH,
    "norm_apply": EACH,
    "norm_backward": EACH,
}

#: Operations without a geometry: one function per backend, of the operation's name.
PLAIN = (
    "max_unpool_forward",
    "max_unpool_backward",
    "add",
    "sub",
    "mul",
    "relu",
    "leaky_relu",
    "clamp",
    "sigmoid",
    "tanh",
    "silu",
    "relu_backward",
    "leaky_relu_backward",
    "clamp_backward",
    "sigmoid_backward",
    "tanh_backward",
    "silu_backward",
    "relu_backward_sums",
    "leaky_relu_backward_sums",
    "clamp_backward_sums",
    "layer_norm",
    "layer_norm_backward",
    "softmax",
    "log_softmax",
    "softmax_backward",
    "log_softmax_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "sums",
    "sums_of_squares",
    "sums_of_products",
    "sums_of_exps",
    "products",
    "running_sums",
    "running_products",
    "local_response",
    "local_response_backward",
    "resample",
    "warp",
    "copy_format",
    "copy_columns",
    "sgd_step",
    "adam_step",
)
CANDIDATES.update({name: EACH for name in PLAIN})


def candidates(op: str, backend: str | None = None) -> list[Candidate]:
    """Candidates of an operation, in the order they are tried; of one backend if named."""
    return [c for c in CANDIDATES[op] if backend is None or c.backend == backend]


def algorithms() -> tuple[str, ...]:
    """Names that ``fastconv.algorithm`` accepts."""
    return tuple(sorted({c.algorithm for found in CANDIDATES.values() for c in found}))


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
