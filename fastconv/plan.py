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

import numpy as np

from fastconv import backends, config, rules, tuning
from fastconv.rules import Rule, Spec


class Candidate(NamedTuple):
    """One kernel that can carry out one operation."""

    backend: str
    algorithm: str
    function: str  # its name in the backend's module
    decline: Rule = rules.never  # why it cannot run this geometry
    avoid: Rule = rules.never  # why another one is faster; does not count when it is asked for


def _conv(direction: str) -> list[Candidate]:
    weight = direction == "conv_backward_weight"
    found = [
        Candidate("c", "whole", f"{direction}_whole", rules.whole_only, rules.whole_slow),
        Candidate("c", "depthwise", f"{direction}_depthwise", rules.depthwise_only),
        Candidate(
            "c",
            "grouped",
            f"{direction}_grouped",
            rules.grouped_only,
            rules.grouped_slow(direction),
        ),
        Candidate(
            "c",
            "winograd",
            f"{direction}_winograd",
            rules.winograd_weight_only if weight else rules.winograd_only,
            rules.winograd_slow(direction),
        ),
        Candidate("c", "flat", f"{direction}_flat", rules.flat_only, rules.flat_slow(direction)),
        Candidate(
            "c", "direct", f"{direction}_direct", rules.direct_only, rules.direct_slow(direction)
        ),
        Candidate("c", "gemm", f"{direction}_gemm"),
        Candidate("numba", "depthwise", f"{direction}_depthwise", rules.depthwise_only),
        Candidate("numba", "direct", f"{direction}_direct"),
        Candidate("naive", "direct", direction),
    ]
    if direction == "conv_backward_input":
        found = [c for c in found if c.algorithm != "flat"]
        found.insert(
            1,
            Candidate(
                "c", "scatter", f"{direction}_scatter", rules.scatter_only, rules.scatter_slow
            ),
        )
    if weight:
        found = [c for c in found if (c.backend, c.algorithm) != ("c", "direct")]
    return found


def _only(function: str) -> list[Candidate]:
    return [Candidate(name, "direct", function) for name in config.BACKENDS]


CANDIDATES: dict[str, list[Candidate]] = {
    "conv_forward": _conv("conv_forward"),
    "conv_backward_input": _conv("conv_backward_input"),
    "conv_backward_weight": _conv("conv_backward_weight"),
    "conv_backward_bias": _only("conv_backward_bias"),
    "max_pool_forward": _only("max_pool_forward"),
    "max_pool_backward": _only("max_pool_backward"),
    "max_pool_taps_forward": _only("max_pool_taps_forward"),
    "max_pool_taps_backward": _only("max_pool_taps_backward"),
    "avg_pool_forward": _only("avg_pool_forward"),
    "avg_pool_backward": _only("avg_pool_backward"),
    "max_unpool_forward": _only("max_unpool_forward"),
    "max_unpool_backward": _only("max_unpool_backward"),
    "norm_statistics": _only("norm_statistics"),
    "norm_apply": _only("norm_apply"),
    "norm_backward": _only("norm_backward"),
}

#: Operations without a geometry: one function per backend, of the operation's name.
PLAIN = (
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
CANDIDATES.update({name: _only(name) for name in PLAIN})


def candidates(op: str, backend: str | None = None) -> list[Candidate]:
    """Candidates of an operation, in the order they are tried; of one backend if named."""
    return [c for c in CANDIDATES[op] if backend is None or c.backend == backend]


def algorithms() -> tuple[str, ...]:
    """Names that ``fastconv.algorithm`` accepts."""
    return tuple(sorted({c.algorithm for found in CANDIDATES.values() for c in found}))


def choose(op: str, spec: Spec, dtype: Any = None) -> Callable[..., Any]:
    """Return the function that carries out `op` on this geometry under the current switches.

    The type of the arrays matters to ``fastconv.autotune`` only.
    """
    switches = config.switches()
    key: tuple[Any, ...] = (op, switches)
    if switches.autotuning and switches.backend == "c":
        key += (dtype, *tuning.condition())
    function = spec.cache.get(key)
    if function is None:
        chosen = pick(op, spec, switches.backend, switches.algorithm, dtype, switches.exact)
        function = getattr(backends.load(chosen.backend), chosen.function)
        if switches.exact and op.startswith("conv_") and chosen.backend != "naive":
            function = in_double(function)  # naive sums in double already
        spec.cache[key] = function
    return function  # type: ignore[no-any-return]


def in_double(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a convolution's kernel such that float32 is computed in float64, and rounded once.

    It has neither what `ready` asks for nor the epilogue: those passes follow as their own.
    """

    def run(spec: Spec, *arrays: Any) -> None:
        *operands, out = arrays
        if out.dtype != np.float32:
            function(spec, *arrays)
            return
        wide = np.empty_like(out, np.float64)
        function(spec, *[a if a is None else a.astype(np.float64) for a in operands], wide)
        out[...] = wide

    if hasattr(function, "ranks"):
        run.ranks = True  # type: ignore[attr-defined]
    return run


def ready(op: str, spec: Spec, dtype: Any, rank: int) -> Callable[..., Any] | None:
    """Return `op` made ready for arrays of this type and rank: a call that makes its result too.

    All that the geometry decides was done when it was first asked for. None where the kernel that
    ``choose`` returns cannot be called so.
    """
    switches = config.switches()
    key: tuple[Any, ...] = (op, switches, dtype, rank)
    if switches.autotuning and switches.backend == "c":
        key += tuning.condition()
    try:
        return spec.cache[key]  # type: ignore[no-any-return]
    except KeyError:
        prepare = getattr(choose(op, spec, dtype), "prepare", None)
        call = spec.cache[key] = None if prepare is None else prepare(spec, dtype, rank)
        return call  # type: ignore[no-any-return]


_kernels: dict[tuple[str, str], Callable[..., Any]] = {}


def kernel(op: str) -> Callable[..., Any]:
    """Return the current backend's function for an operation without a geometry."""
    backend = config.current_backend()
    function = _kernels.get((op, backend))
    if function is None:
        found = candidates(op, backend)[0]
        function = _kernels[op, backend] = getattr(backends.load(backend), found.function)
    return function


#: Candidates that multiply transformed data, and round more than a direct sum.
TRANSFORMING = ("winograd",)


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
        able = [c for c in able if c.algorithm not in TRANSFORMING]
    for c in able:
        if c.algorithm == algorithm:
            return c
    own = next(c for c in able if c.avoid(spec) is None)  # the last one accepts everything
    measured = None if exact or algorithm else tuning.winner(op, spec, able, dtype)
    return measured or own
