"""``fastconv.explain``: which kernels a convolution would use, and why not the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv import backends, config, planner
from fastconv.backends.kernel import find
from fastconv.planner import tuning
from fastconv.spec import ConvSpec, as_shape, conv_spec, conv_transpose_spec


class Explanation(str):
    """Text of ``explain``; shows itself as is in an interactive session."""

    def __repr__(self) -> str:
        return str(self)


_DIRECTIONS = ("conv_forward", "conv_backward_input", "conv_backward_weight")


def explain(
    op: str,
    input_size: Any,
    weight_size: Any,
    *,
    measure: bool = False,
    dtype: Any = np.float32,
    **arguments: Any,
) -> Explanation:
    """Say which kernel each direction of a convolution would use, and why not the others.

    Parameters
    ----------
    op : str
        ``conv1d`` … ``conv3d`` or ``conv_transpose1d`` … ``conv_transpose3d``.
    input_size : tuple of int
        (N, C, *spatial).
    weight_size : tuple of int
        (K, C/groups, *kernel); for a transposed convolution (C_in, C_out/groups, *kernel).
    measure : bool
        Also time every candidate of every backend there is, on channels-last arrays: the shortest
        of several calls in turns. The naive backend is timed for very small convolutions only.
    dtype : float32 or float64
        Type to measure with.
    **arguments
        ``stride``, ``padding``, ``dilation``, ``groups`` (and ``output_padding``).

    Returns
    -------
    str

    Raises
    ------
    ValueError, TypeError
        As the operation itself.
    """
    makers: dict[str, tuple[Callable[..., ConvSpec], int]] = {}
    for n in (1, 2, 3):
        makers[f"conv{n}d"] = conv_spec, n
        makers[f"conv_transpose{n}d"] = conv_transpose_spec, n
    if not isinstance(op, str) or op not in makers:
        raise ValueError(f"explain(): op must be one of {sorted(makers)}, got {op!r}")
    make, ndim = makers[op]
    x_shape = as_shape("explain", "input_size", input_size)
    w_shape = as_shape("explain", "weight_size", weight_size)
    spec = make(x_shape, w_shape, ndim=ndim, name=op, **arguments)
    return explain_spec(spec, measure, dtype)


def explain_spec(spec: ConvSpec, measure: bool = False, dtype: Any = np.float32) -> Explanation:
    """Say which kernel each direction of `spec` would use, and why not the others."""
    dtype = np.dtype(dtype)
    if dtype.char not in "fd":
        raise TypeError(f"explain(): dtype must be float32 or float64, got {dtype}")
    backend, asked = config.current_backend(), config.current_algorithm()
    lines = [repr(spec), f"{spec.flops / 1e9:.4g} GFLOP per direction, depth {spec.depth}"]
    exact = config.switches().exact
    lines.append(
        f"backend: {backend}"
        + (f", algorithm asked for: {asked}" if asked else "")
        + (", precision: exact" if exact else "")
    )
    if measure:
        threads = config.get_num_threads()
        lines.append(f"measured: {dtype}, {threads} thread{'s' * (threads > 1)}")
    for op in _DIRECTIONS:
        chosen = planner.pick(op, spec, backend, asked, dtype, exact)
        took = _measured(op, spec, dtype) if measure else {}
        lines.append(f"{op}:")
        for c in planner.CANDIDATES[op]:
            missing = backends.why_not(c.backend)
            reason, slow = c.decline(spec), c.avoid(spec)
            if c == chosen:
                verdict = "chosen"
                if slow and c.algorithm != asked:
                    verdict += f": measured as the fastest, though {slow}"
            elif missing:
                verdict = f"backend not available: {missing}"
            elif reason:
                verdict = f"declined: {reason}"
            elif exact and find(c.backend, op, c.algorithm).transforms:
                verdict = "can run, left out: rounds more than a direct sum"
            elif slow:
                verdict = f"can run, avoided: {slow}"
            elif c.backend != backend:
                verdict = f"can run; the backend in use is {backend}"
            else:
                verdict = f"can run; {chosen.algorithm} comes first"
            column = f" {took.get(c, ''):>12} " if measure else ""
            lines.append(f"  {c.backend + '/' + c.algorithm:<18}{column} {verdict}")
    return Explanation("\n".join(lines))


def _measured(op: str, spec: ConvSpec, dtype: Any) -> dict[planner.Candidate, str]:
    """Times of the candidates that can run, as text; the fastest has a star."""
    able = [
        c for c in planner.CANDIDATES[op] if not backends.why_not(c.backend) and not c.decline(spec)
    ]
    texts = {}
    if spec.flops > 2 * tuning.NAIVE_PRODUCTS:
        texts = {c: "not timed" for c in able if c.backend == "naive"}
        able = [c for c in able if c.backend != "naive"]
    took = dict(zip(able, tuning.times(op, spec, able, dtype, seconds=0.3, most=30)))
    best = min(took.values(), default=0)
    for c, seconds in took.items():
        texts[c] = f"{1e3 * seconds:.4g} ms" + ("*" if seconds == best else " ")
    return texts
