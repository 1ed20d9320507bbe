"""The candidates of every operation: literal lists, best first, the specification last.

A new kernel is one line here, with the rules that speak against it (``fastconv/planner/rules/``).
"""

from __future__ import annotations

from typing import NamedTuple

from fastconv import config
from fastconv.planner import rules
from fastconv.planner.rules import Rule


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
