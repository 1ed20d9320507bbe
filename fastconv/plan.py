"""Which kernel runs: ordered candidate lists, best first, the specification last.

``choose`` takes the first candidate of the current backend that neither declines (it cannot run the
geometry) nor should be avoided (another is faster there).  Both come with a reason, and ``explain``
prints them all.  A new kernel is one line here.  With ``fastconv.autotune``, measurements decide
among the candidates that can run (``fastconv.tuning``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastconv import backends, config, tuning
from fastconv.spec import ConvSpec, PoolSpec, as_shape, conv_spec, conv_transpose_spec

Spec = ConvSpec | PoolSpec
#: Returns why a kernel cannot run a geometry, or None where it can.
Decline = Callable[[Spec], "str | None"]


def _never(spec: Spec) -> str | None:
    return None


class Candidate(NamedTuple):
    """One kernel that can carry out one operation."""

    backend: str
    algorithm: str
    function: str  # its name in the backend's module
    decline: Decline  # why it cannot run this geometry
    avoid: Decline = _never  # why another one is faster; does not count when it is asked for


# Thresholds: one thread, AVX-512; `python -m bench.thresholds` measures around Winograd's.

#: Winograd must save this factor of the products: 1x4 saves 1.33 and runs at 1.0 of the GEMM's
#: speed, 1x7 1.56 (1.3), 1x3 2 (1.6), 5x5 2.8 (2.1), 3x3 4 (2.8); 7x7/2 1.56 (1.0 to 1.2).
WINOGRAD_GAIN = 1.5
#: … and sum this many products per transformed element (channels times groups of taps): with 8 it
#: is at 0.8 to 1.1 of the GEMM's speed, with 12 at 1.0 to 1.7, with 16 at 1.8.
WINOGRAD_DEPTH = 12
#: Backward weight has that many input channels and output channels per group instead: 12 to 12 are
#: at 0.7 to 1.1, 16 to 64 at 2.3.
WINOGRAD_CHANNELS = 16
#: Fewer channels have to be gathered tap by tap, which only many outputs pay for: LeNet's 6 to 16
#: run at 0.4 of the direct kernel's speed, a 7x7 stem's 3 to 64 at 1.1.
WINOGRAD_COLUMNS = 48
#: Forward and backward input transform K*C*9 weights into K*C*36 first: 4 tiles of 512 channels
#: are at 0.8 of the GEMM's speed, of 64 channels at 1.5; 8 tiles at 1.0 to 1.9.
WINOGRAD_TILES = 8
#: The same for backward weight, which transforms sums back: 4 tiles are at 1.6 with 64 channels,
#: 1.5 with 256, 0.9 with 512; 1 tile at 1.2, 1.1, 0.6.
WINOGRAD_WEIGHT_TILES = 4
WINOGRAD_APART = 2**31  # far from where indices would overflow
#: Reading the image as it lies pays where lines are long, a panel of weights stays in L2, and few
#: columns share what would be packed: 64 columns of a 7x7 stem run at 1.15 of the GEMM's speed, 32
#: of a 3x3 one at 1.4, 128 at 1.1.
DIRECT_LINE = 8
DIRECT_DEPTH = 1600
DIRECT_COLUMNS = 256
#: Backward input with 3 channels is at 3 to 8 of the GEMM's speed in the scattered form, with
#: LeNet's 6 at 3.5.
SCATTER_CHANNELS = 8
#: A scattered line's copy holds its padding too: this much, or four times the line, is fine.
SCATTER_REACH = 1024

#: Where Winograd pays, groups of this many channels go there: with 16 it is at 1.0 to 1.7 of the
#: grouped kernel's speed forward, 2.1 to 2.5 backward weight; with 8 at 0.3 to 0.6.
GROUPED_BELOW = 16


def _depthwise_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    if spec.in_channels != spec.groups:
        return f"{spec.in_channels // spec.groups} input channels per group, needs 1"
    if spec.groups == 1:
        return "one group: nothing to vectorise over channels"
    return None


def _depthwise_alike(spec: Spec) -> str | None:
    reason = _depthwise_only(spec)
    if reason is None and isinstance(spec, ConvSpec) and spec.out_channels != spec.in_channels:
        return f"channel multiplier {spec.out_channels // spec.groups}, needs 1"
    return reason


def _winograd_axes(spec: ConvSpec) -> list[int]:
    """Axes that Winograd transforms: the last two with several taps."""
    return [i for i in (2, 1, 0) if spec.kernel[i] > 1][:2]


def _grouped_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    channels, columns = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    if channels != columns or channels not in (2, 4, 8, 16) or spec.groups == 1:
        return f"{channels} to {columns} channels per group, needs as many, 2, 4, 8 or 16"
    return None


def _grouped_slow(direction: str) -> Decline:
    winograd_slow = _winograd_slow(direction)

    def avoid(spec: Spec) -> str | None:
        if not isinstance(spec, ConvSpec):
            return None
        channels = spec.in_channels // spec.groups
        if channels < GROUPED_BELOW or _winograd_only(spec) or winograd_slow(spec):
            return None
        return f"{channels} channels per group, Winograd is faster from {GROUPED_BELOW} on"

    return avoid


def _winograd_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    if not _winograd_axes(spec):
        return "kernel 1: nothing to save"
    apart = [math.lcm(spec.stride[i], spec.dilation[i]) for i in _winograd_axes(spec)]
    if max(apart) > WINOGRAD_APART:
        return f"inputs of a tile {max(apart)} positions apart, at most {WINOGRAD_APART}"
    return None


def _tap_groups(spec: ConvSpec, axis: int, direction: str) -> list[int]:
    """Numbers of taps that meet the same inputs: they go in groups of three."""
    k, s, d = spec.kernel[axis], spec.stride[axis], spec.dilation[axis]
    if direction == "conv_backward_input":  # a phase of the stride meets some of the taps
        phases = range(min(s, spec.in_size[axis]))
        counts = [sum((f + spec.pad[axis] - t * d) % s == 0 for t in range(k)) for f in phases]
        return [n for n in counts if n]
    apart = math.lcm(s, d) // d
    return [-(-(k - c) // apart) for c in range(min(apart, k))]


def _tiled(spec: ConvSpec, axis: int, direction: str) -> float:
    """Share of an axis' tiles of 4 that lies inside: sub-grids and small sizes leave some empty."""
    s = spec.stride[axis]
    size = spec.out_size[axis]
    if direction == "conv_backward_input":
        size = -(-spec.in_size[axis] // s)
    apart = min(math.lcm(s, spec.dilation[axis]) // s, size)
    tiles = apart * math.ceil(math.ceil(size / apart) / 4)
    return size / (4 * tiles)


def winograd_gain(spec: ConvSpec, direction: str) -> float:
    """Products of the direct algorithm over those of Winograd."""
    gain = 1.0
    for axis in _winograd_axes(spec):
        groups = _tap_groups(spec, axis, direction)
        if not groups:  # no tap meets anything
            return 1.0
        # 6 products for 4 outputs of three taps; a single tap of a phase stays as it is
        single = direction == "conv_backward_input"
        cost = sum(1.0 if n == 1 and single else 1.5 * -(-n // 3) for n in groups)
        gain *= spec.kernel[axis] / cost * _tiled(spec, axis, direction)
    return gain


def winograd_tiles(spec: ConvSpec) -> int:
    """Tiles of 4x4 outputs (1x4 with one transformed axis), without regard to dilation."""
    tiles = spec.batch
    for axis, size in enumerate(spec.out_size):
        tiles *= -(-size // 4) if axis in _winograd_axes(spec) else size
    return tiles


def _winograd_slow(direction: str) -> Decline:
    def avoid(spec: Spec) -> str | None:
        if not isinstance(spec, ConvSpec):
            return None
        gain = winograd_gain(spec, direction)
        if gain < WINOGRAD_GAIN:
            return f"saves a factor of {gain:.2g}, worth it from {WINOGRAD_GAIN} on"
        channels = spec.in_channels // spec.groups
        columns = spec.out_channels // spec.groups
        least = WINOGRAD_TILES
        if direction == "conv_backward_weight":
            least = WINOGRAD_WEIGHT_TILES
            if min(channels, columns) < WINOGRAD_CHANNELS:
                return (
                    f"{channels} to {columns} channels per group, worth it from "
                    f"{WINOGRAD_CHANNELS} on"
                )
        else:
            if direction == "conv_backward_input":
                channels, columns = columns, channels
            depth = channels
            for axis in _winograd_axes(spec):
                counts = _tap_groups(spec, axis, direction)
                groups = [-(-n // 3) for n in counts]
                depth *= max(groups) if direction == "conv_backward_input" else sum(groups)
            if depth < WINOGRAD_DEPTH:
                return f"sums {depth} products per element, worth it from {WINOGRAD_DEPTH} on"
            if channels < WINOGRAD_CHANNELS and columns < WINOGRAD_COLUMNS:
                return f"{channels} to {columns} channels, worth it from {WINOGRAD_COLUMNS} on"
        tiles = winograd_tiles(spec)
        if tiles < least:
            return f"{tiles} tiles of 4x4 outputs, worth it from {least} on"
        return None

    return avoid


def _direct_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    if spec.kernel[2] > 1 and spec.groups > 1:
        return f"{spec.groups} groups: a pixel holds other channels too"
    if spec.kernel[2] > 1 and spec.dilation[2] > 1:
        return f"dilation {spec.dilation[2]} along W: taps are not neighbours"
    return None


def _direct_slow(direction: str) -> Decline:
    def avoid(spec: Spec) -> str | None:
        if not isinstance(spec, ConvSpec):
            return None
        if spec.kernel == (1, 1, 1):
            return "kernel 1: the GEMM reads the input as it lies too"
        channels, columns, line = spec.in_channels, spec.out_channels, spec.out_size[2]
        if direction == "conv_backward_input":
            channels, columns = columns, channels
            line = spec.in_size[2] // spec.stride[2]
        if line < DIRECT_LINE:
            return f"lines of {line} positions, worth it from {DIRECT_LINE} on"
        if channels * math.prod(spec.kernel) > DIRECT_DEPTH:
            return f"depth {channels * math.prod(spec.kernel)}, worth it to {DIRECT_DEPTH}"
        if columns > DIRECT_COLUMNS:
            return f"{columns} columns share what is packed, worth it to {DIRECT_COLUMNS}"
        return None

    return avoid


def _scatter_only(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return "not a convolution"
    reach = (spec.out_size[2] - 1) * spec.stride[2] + (spec.kernel[2] - 1) * spec.dilation[2] + 1
    if reach > 4 * spec.in_size[2] + SCATTER_REACH:
        return f"lines of {reach} positions with their padding, for {spec.in_size[2]} that count"
    return None


def _scatter_slow(spec: Spec) -> str | None:
    if not isinstance(spec, ConvSpec):
        return None
    channels = spec.in_channels // spec.groups
    if channels > SCATTER_CHANNELS:
        return f"{channels} input channels per group, worth it to {SCATTER_CHANNELS}"
    if spec.groups > 1 or spec.kernel == (1, 1, 1):
        return "several groups or kernel 1: nothing to put side by side"
    return None


def _conv(direction: str) -> list[Candidate]:
    found = [
        Candidate("c", "depthwise", f"{direction}_depthwise", _depthwise_alike),
        Candidate("c", "grouped", f"{direction}_grouped", _grouped_only, _grouped_slow(direction)),
        Candidate(
            "c", "winograd", f"{direction}_winograd", _winograd_only, _winograd_slow(direction)
        ),
        Candidate("c", "direct", f"{direction}_direct", _direct_only, _direct_slow(direction)),
        Candidate("c", "gemm", f"{direction}_gemm", _never),
        Candidate("numba", "depthwise", f"{direction}_depthwise", _depthwise_only),
        Candidate("numba", "direct", f"{direction}_direct", _never),
        Candidate("naive", "direct", direction, _never),
    ]
    if direction == "conv_backward_input":
        found.insert(
            1, Candidate("c", "scatter", f"{direction}_scatter", _scatter_only, _scatter_slow)
        )
    if direction == "conv_backward_weight":
        found = [c for c in found if (c.backend, c.algorithm) != ("c", "direct")]
    return found


def _only(function: str) -> list[Candidate]:
    return [Candidate(name, "direct", function, _never) for name in config.BACKENDS]


CANDIDATES: dict[str, list[Candidate]] = {
    "conv_forward": _conv("conv_forward"),
    "conv_backward_input": _conv("conv_backward_input"),
    "conv_backward_weight": _conv("conv_backward_weight"),
    "conv_backward_bias": _only("conv_backward_bias"),
    "max_pool_forward": _only("max_pool_forward"),
    "max_pool_backward": _only("max_pool_backward"),
    "avg_pool_forward": _only("avg_pool_forward"),
    "avg_pool_backward": _only("avg_pool_backward"),
    "max_unpool_forward": _only("max_unpool_forward"),
    "max_unpool_backward": _only("max_unpool_backward"),
}


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
    backend, algorithm = config.current_backend(), config.current_algorithm()
    key: tuple[Any, ...] = (op, backend, algorithm)
    if config.autotuning() and backend == "c":
        key += (dtype, *tuning.condition())
    function = spec.cache.get(key)
    if function is None:
        chosen = pick(op, spec, backend, algorithm, dtype)
        function = getattr(backends.load(chosen.backend), chosen.function)
        spec.cache[key] = function
    return function  # type: ignore[no-any-return]


def pick(
    op: str, spec: Spec, backend: str, algorithm: str | None = None, dtype: Any = None
) -> Candidate:
    """Return the first candidate of `backend` that accepts; `algorithm` goes first if it can.

    ``"direct"`` means no transformed data also where a backend's direct sum has another name.
    With ``fastconv.autotune`` and a `dtype`, the one measured as the fastest.
    """
    able = [c for c in candidates(op, backend) if c.decline(spec) is None]
    if algorithm == "direct":
        able = [c for c in able if c.algorithm != "winograd"]
    for c in able:
        if c.algorithm == algorithm:
            return c
    own = next(c for c in able if c.avoid(spec) is None)  # the last one accepts everything
    measured = tuning.winner(op, spec, able, dtype) if algorithm is None else None
    return measured or own


# ---------------------------------------------------------------- explain


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
    if op not in makers:
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
    lines.append(f"backend: {backend}" + (f", algorithm asked for: {asked}" if asked else ""))
    if measure:
        threads = config.get_num_threads()
        lines.append(f"measured: {dtype}, {threads} thread{'s' * (threads > 1)}")
    for op in _DIRECTIONS:
        chosen = pick(op, spec, backend, asked, dtype)
        took = _measured(op, spec, dtype) if measure else {}
        lines.append(f"{op}:")
        for c in CANDIDATES[op]:
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
            elif slow:
                verdict = f"can run, avoided: {slow}"
            elif c.backend != backend:
                verdict = f"can run; the backend in use is {backend}"
            else:
                verdict = f"can run; {chosen.algorithm} comes first"
            column = f" {took.get(c, ''):>12} " if measure else ""
            lines.append(f"  {c.backend + '/' + c.algorithm:<18}{column} {verdict}")
    return Explanation("\n".join(lines))


def _measured(op: str, spec: ConvSpec, dtype: Any) -> dict[Candidate, str]:
    """Times of the candidates that can run, as text; the fastest has a star."""
    able = [c for c in CANDIDATES[op] if not backends.why_not(c.backend) and not c.decline(spec)]
    texts = {}
    if spec.flops > 2 * tuning.NAIVE_PRODUCTS:
        texts = {c: "not timed" for c in able if c.backend == "naive"}
        able = [c for c in able if c.backend != "naive"]
    took = dict(zip(able, tuning.times(op, spec, able, dtype, seconds=0.3, most=30)))
    best = min(took.values(), default=0)
    for c, seconds in took.items():
        texts[c] = f"{1e3 * seconds:.4g} ms" + ("*" if seconds == best else " ")
    return texts
