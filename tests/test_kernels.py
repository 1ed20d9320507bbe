"""Every kernel against the specification, over the shared shapes.

Every candidate of the planner × direction × type × instruction set × memory format. Inputs are
small integers, so that direct and GEMM results are exact and compared with ``==``. Every operand
lies at the edge of a page that cannot be touched. Small shapes are compared in full, layers of
networks by sampled elements and by the exact identity ``<conv(x), g> = <x, conv_backward_input(g)>
= <w, conv_backward_weight(g, x)>``.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import zlib
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fastconv import backends, config, planner
from fastconv.backends import naive
from fastconv.spec import ConvSpec, PoolSpec, conv_spec
from tests.guarded import SIDES, Guarded, fenced
from tests.shapes import AWKWARD, NETWORKS, POOLS, SHAPES, Shape, named
from tests.tolerance import EXACT, assert_close

DIRECTIONS = ("conv_forward", "conv_backward_input", "conv_backward_weight")
DTYPES = (np.float32, np.float64)
FORMATS = ("contiguous", "channels_last")


class Variant(NamedTuple):
    """One candidate on one instruction set."""

    backend: str
    algorithm: str
    isa: str | None

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


def _variants(op: str) -> list[Variant]:
    found = []
    for candidate in planner.candidates(op):
        if candidate.backend == "naive" or backends.why_not(candidate.backend):
            continue
        isas: list[str | None] = [None]
        if candidate.backend == "c":
            isas = [name for name, able in backends.load("c").isas().items() if able]
        found += [Variant(candidate.backend, candidate.algorithm, isa) for isa in isas]
    return found


def _candidate(op: str, variant: Variant) -> planner.Candidate:
    return next(
        c for c in planner.candidates(op, variant.backend) if c.algorithm == variant.algorithm
    )


@contextlib.contextmanager
def using(op: str, variant: Variant, threads: int | None = None) -> Iterator[Any]:
    """The variant's function; its instruction set and the thread count hold inside."""
    module = backends.load(variant.backend)
    isa, before = None, config.get_num_threads()
    if variant.isa is not None:
        isa = module.get_isa()
        module.set_isa(variant.isa)
    if threads is not None:
        config.set_num_threads(threads)
    try:
        plain = op in planner.PLAIN
        yield (
            getattr(module, op)
            if plain
            else planner.find(variant.backend, op, _candidate(op, variant).algorithm)
        )
    finally:
        config.set_num_threads(before)
        if isa is not None:
            module.set_isa(isa)


VARIANTS = {op: _variants(op) for op in planner.CANDIDATES}


# --- arrays ---


def integers(shape: tuple[int, ...], seed: Any, most: int = 3) -> np.ndarray:
    """Small integers as float64, the same for the same seed."""
    generator = np.random.default_rng(zlib.crc32(repr((shape, seed)).encode()))
    return generator.integers(-most, most + 1, shape).astype(np.float64)


@lru_cache(maxsize=8)
def operands(spec: ConvSpec) -> dict[str, np.ndarray]:
    """The integer operands of a convolution."""
    return {
        "x": integers(spec.x_shape, "x"),
        "w": integers(spec.w_shape, "w"),
        "g": integers(spec.y_shape, "g"),
        "b": integers((spec.out_channels,), "b"),
    }


ARGUMENTS = {
    "conv_forward": ("x", "w", "b"),
    "conv_backward_input": ("g", "w"),
    "conv_backward_weight": ("g", "x"),
    "conv_backward_bias": ("g",),
}


def result_shape(op: str, spec: ConvSpec) -> tuple[int, ...]:
    return {
        "conv_forward": spec.y_shape,
        "conv_backward_input": spec.x_shape,
        "conv_backward_weight": spec.w_shape,
        "conv_backward_bias": (spec.out_channels,),
    }[op]


def run(
    op: str, function: Any, spec: ConvSpec, values: dict[str, Any], dtype: Any, form: str,
    what: str, side: str = "after",
) -> np.ndarray:  # fmt: skip
    """Call a kernel on `values` in a type and format; check guards and inputs."""
    given_ = {}
    for name in ARGUMENTS[op]:
        a = values[name]
        if a is not None:
            a = fenced(a.astype(dtype), form if name in "xg" else "contiguous", side)
        given_[name] = a
    shape = result_shape(op, spec)
    result_form = form if op in ("conv_forward", "conv_backward_input") else "contiguous"
    out = Guarded(shape, dtype, result_form, side)
    function(spec, *given_.values(), out.array)
    for name, a in given_.items():
        assert a is None or np.array_equal(a, values[name]), f"{what}: changed its input {name}"
    return out.check(what)


_expected: dict[Any, np.ndarray] = {}


def expected(op: str, spec: ConvSpec) -> np.ndarray:
    """The specification's result on the integer operands."""
    key = (op, spec)
    if key not in _expected:
        values = operands(spec)
        out = np.empty(result_shape(op, spec))
        getattr(naive, op)(spec, *(values[name] for name in ARGUMENTS[op]), out)
        _expected[key] = out
    return _expected[key]


def corners(shape: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
    """Indices of corners of an array, some chosen at random, and random ones inside."""
    generator = np.random.default_rng(math.prod(shape))
    ends = [sorted({0, n - 1}) for n in shape]
    found = [tuple(int(generator.choice(e)) for e in ends) for _ in range(count // 2)]
    found += [tuple(0 for _ in shape), tuple(n - 1 for n in shape)]
    found += [tuple(int(generator.integers(n)) for n in shape) for _ in range(count // 2)]
    return list(dict.fromkeys(found))


@cache
def sampled(op: str, spec: ConvSpec) -> tuple[list[tuple[int, ...]], list[float]]:
    """Indices and the specification's values there."""
    values = operands(spec)
    at = corners(result_shape(op, spec), 10)
    function = getattr(naive, f"{op}_at")
    arrays = [values[name] for name in ARGUMENTS[op]]
    return at, [function(spec, *arrays, i[0], i[1], i[2:]) for i in at]


# --- convolution ---


def _cases(shapes: tuple[Shape, ...]) -> list[Any]:
    """Every shape × direction × variant that accepts it."""
    return [
        pytest.param(shape, op, variant, id=f"{shape.name}-{op[5:]}-{variant}")
        for shape, op in itertools.product(shapes, DIRECTIONS)
        for variant in VARIANTS[op]
        if _candidate(op, variant).decline(shape.spec()) is None
    ]


@pytest.mark.parametrize(("shape", "op", "variant"), _cases(AWKWARD))
def test_awkward(shape: Shape, op: str, variant: Variant) -> None:
    spec = shape.spec()
    want = expected(op, spec)
    with using(op, variant) as function:
        for dtype, form, side in itertools.product(DTYPES, FORMATS, SIDES):
            what = f"{op} {variant} {np.dtype(dtype)} {form} {side} {spec}"
            got = run(op, function, spec, operands(spec), dtype, form, what, side)
            if variant.algorithm in EXACT:
                assert np.array_equal(got, want), what
            else:
                assert_close(got, want, dtype, spec.depth, variant.algorithm, what)


@pytest.mark.parametrize(("shape", "op", "variant"), _cases(NETWORKS))
def test_network_samples(shape: Shape, op: str, variant: Variant) -> None:
    spec = shape.spec()
    at, want = sampled(op, spec)
    # Both types and formats on the small layers; the large ones take one format each, in turn.
    pairs = list(itertools.product(DTYPES, FORMATS))
    if spec.flops > 3e7:
        pairs = [(np.float32, "channels_last"), (np.float64, "contiguous")]
    if spec.flops > 2e8:
        pairs = pairs[:1]
    with using(op, variant) as function:
        for dtype, form in pairs:
            what = f"{op} {variant} {np.dtype(dtype)} {form} {spec}"
            got = run(op, function, spec, operands(spec), dtype, form, what)
            picked = np.array([got[i] for i in at], np.float64)
            if variant.algorithm in EXACT:
                assert np.array_equal(picked, want), what
            else:
                assert_close(picked, np.array(want), dtype, spec.depth, variant.algorithm, what)


def _projections() -> list[Any]:
    """Every layer × algorithm with all three directions, on its best instruction set."""
    common = [v for v in VARIANTS["conv_forward"] if all(v in VARIANTS[op] for op in DIRECTIONS)]
    best = {(v.backend, v.algorithm): v for v in common}
    return [
        pytest.param(shape, variant, id=f"{shape.name}-{variant}")
        for shape, variant in itertools.product(NETWORKS, best.values())
        if not any(_candidate(op, variant).decline(shape.spec()) for op in DIRECTIONS)
    ]


@pytest.mark.parametrize(("shape", "variant"), _projections())
def test_adjoint(shape: Shape, variant: Variant) -> None:
    """All elements at once: the three directions agree on a random projection."""
    spec = shape.spec()
    values = dict(operands(spec), b=None)
    dtype = np.float32 if variant.algorithm in EXACT else np.float64
    products = []
    for op, other in zip(DIRECTIONS, ("g", "x", "w"), strict=True):
        with using(op, variant) as function:
            got = run(op, function, spec, values, dtype, "channels_last", f"{op} {variant} {spec}")
        products.append(float(np.vdot(got.astype(np.float64), values[other])))
    if variant.algorithm in EXACT:
        assert products[0] == products[1] == products[2]
    else:
        scale = math.sqrt(spec.flops)
        assert max(products) - min(products) <= 1e-10 * scale


@pytest.mark.parametrize("shape", AWKWARD, ids=lambda shape: shape.name)
@pytest.mark.parametrize("variant", VARIANTS["conv_backward_bias"], ids=str)
def test_bias_gradient(shape: Shape, variant: Variant) -> None:
    spec = shape.spec()
    want = operands(spec)["g"].sum(axis=(0, 2, 3, 4))
    with using("conv_backward_bias", variant) as function:
        for dtype, form, side in itertools.product(DTYPES, FORMATS, SIDES):
            what = f"bias {variant} {np.dtype(dtype)} {form} {side} {spec}"
            got = run("conv_backward_bias", function, spec, operands(spec), dtype, form, what, side)
            assert np.array_equal(got, want), what


def test_bias_gradient_is_the_specification() -> None:
    spec = named("all asymmetric").spec()
    want = operands(spec)["g"].sum(axis=(0, 2, 3, 4))
    assert np.array_equal(expected("conv_backward_bias", spec), want)


@pytest.mark.parametrize("op", DIRECTIONS)
def test_specification_elements(op: str) -> None:
    """The per-element functions against the definition written with numpy."""
    spec = named("all asymmetric").spec()
    values = operands(spec)
    y = np.zeros(spec.y_shape)
    gx, gw = np.zeros(spec.x_shape), np.zeros(spec.w_shape)
    per_in, per_out = spec.in_channels // spec.groups, spec.out_channels // spec.groups
    for o, t in itertools.product(np.ndindex(spec.out_size), np.ndindex(spec.kernel)):
        i = tuple(
            p * s - b + q * d
            for p, q, s, b, d in zip(o, t, spec.stride, spec.pad, spec.dilation, strict=True)
        )
        if not all(0 <= v < n for v, n in zip(i, spec.in_size, strict=True)):
            continue
        for group in range(spec.groups):
            c = slice(group * per_in, (group + 1) * per_in)
            k = slice(group * per_out, (group + 1) * per_out)
            w = values["w"][(k, slice(None), *t)]
            x, g = values["x"][(slice(None), c, *i)], values["g"][(slice(None), k, *o)]
            y[(slice(None), k, *o)] += x @ w.T
            gx[(slice(None), c, *i)] += g @ w
            gw[(k, slice(None), *t)] += g.T @ x
    want = {
        DIRECTIONS[0]: y + values["b"][:, None, None, None],
        DIRECTIONS[1]: gx,
        DIRECTIONS[2]: gw,
    }
    assert np.array_equal(expected(op, spec), want[op])


def _real(spec: ConvSpec) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(7)
    names = {"x": spec.x_shape, "w": spec.w_shape, "g": spec.y_shape, "b": (spec.out_channels,)}
    return {name: generator.standard_normal(shape) for name, shape in names.items()}


REAL = ("lenet conv2", "resnext grouped 3x3", "wavenet dilation 64", "mobilenet depthwise at 7",
        "dcgan up 4x4", "resnet 512->512 at 7", "3-D all asymmetric")  # fmt: skip


@pytest.mark.parametrize(("shape", "op", "variant"), _cases(tuple(named(name) for name in REAL)))
def test_real_values(shape: Shape, op: str, variant: Variant) -> None:
    """float32 against the same kernel in float64, and both thread counts bit for bit."""
    spec = shape.spec()
    exact = _real(spec)
    values = {name: a.astype(np.float32).astype(np.float64) for name, a in exact.items()}
    what = f"{op} {variant} {spec}"
    depth = {
        "conv_forward": spec.depth,
        "conv_backward_input": spec.depth // (spec.in_channels // spec.groups) * spec.out_channels,
        "conv_backward_weight": spec.batch * math.prod(spec.out_size),
    }[op]
    with using(op, variant, threads=1) as function:
        single = run(op, function, spec, values, np.float32, "channels_last", what)
        double = run(op, function, spec, values, np.float64, "channels_last", what)
    assert_close(single, double, np.float32, depth, variant.algorithm, what)
    for threads in (2, 3):
        with using(op, variant, threads=threads) as function:
            again = run(op, function, spec, values, np.float32, "channels_last", what)
        assert np.array_equal(single, again), f"{what}: {threads} threads give another result"


@st.composite
def geometries(draw: Any) -> ConvSpec:
    """Small random convolutions of any rank."""
    ndim = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    axes = [
        (
            draw(st.integers(1, 9 if ndim < 3 else 5)),  # size
            draw(st.integers(1, 4)),  # kernel
            draw(st.integers(1, 4)),  # stride
            draw(st.integers(0, 4)),  # padding
            draw(st.integers(1, 3)),  # dilation
        )
        for _ in range(ndim)
    ]
    size, kernel, stride, padding, dilation = zip(*axes, strict=True)
    for n, k, p, d in zip(size, kernel, padding, dilation, strict=True):
        assume(n + 2 * p >= d * (k - 1) + 1)
    c = draw(st.sampled_from([1, 2, 5])) * groups
    k = draw(st.sampled_from([1, 3, 4])) * groups
    spec = conv_spec(
        (draw(st.integers(1, 2)), c, *size), (k, c // groups, *kernel), stride, padding, dilation,
        groups, ndim,
    )  # fmt: skip
    assume(spec.flops < 40_000)
    return spec


@settings(
    max_examples=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)  # fmt: skip
@given(spec=geometries())
def test_random_geometry(spec: ConvSpec) -> None:
    for op in DIRECTIONS:
        want = expected(op, spec)
        for variant in VARIANTS[op]:
            if variant.algorithm not in EXACT or _candidate(op, variant).decline(spec):
                continue
            with using(op, variant) as function:
                for form in FORMATS:
                    what = f"{op} {variant} {form} {spec}"
                    got = run(op, function, spec, operands(spec), np.float32, form, what)
                    assert np.array_equal(got, want), what


# --- pooling ---


def pooled(
    op: str, function: Any, spec: PoolSpec, inputs: list[np.ndarray], shape: tuple[int, ...],
    dtype: Any, form: str, what: str, side: str = "after",
) -> np.ndarray:  # fmt: skip
    """Call a kernel with one output; check guards and inputs."""
    arrays = [fenced(a if a.dtype == np.int64 else a.astype(dtype), form, side) for a in inputs]
    out = Guarded(shape, dtype, form, side)
    if op.startswith("max_unpool"):
        function(*arrays, out.array)
    else:
        function(spec, *arrays, out.array)
    for a, b in zip(arrays, inputs, strict=True):
        assert np.array_equal(a, b.astype(a.dtype), equal_nan=True), f"{what}: changed its input"
    return out.check(what)


def max_pooled(
    function: Any, spec: PoolSpec, x: np.ndarray, dtype: Any, form: str, what: str,
    side: str = "after",
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Call a max-pool kernel, which has two outputs."""
    given_ = fenced(x.astype(dtype), form, side)
    out = Guarded(spec.y_shape, dtype, form, side)
    indices = Guarded(spec.y_shape, np.int64, form, side)
    function(spec, given_, out.array, indices.array)
    assert np.array_equal(given_, x.astype(dtype), equal_nan=True), f"{what}: changed its input"
    return out.check(what), indices.check(what)


@cache
def pool_reference(name: str) -> dict[str, np.ndarray]:
    """The specification's results on integers, for all operations."""
    spec = next(pool for pool in POOLS if pool.name == name).spec()
    r = {"x": integers(spec.x_shape, "x"), "g": integers(spec.y_shape, "g")}
    r["max"], r["indices"] = np.empty(spec.y_shape), np.empty(spec.y_shape, np.int64)
    naive.max_pool_forward(spec, r["x"], r["max"], r["indices"])
    for key, shape, function, inputs in (
        ("max_backward", spec.x_shape, naive.max_pool_backward, ("g", "indices")),
        ("avg", spec.y_shape, naive.avg_pool_forward, ("x",)),
        ("avg_backward", spec.x_shape, naive.avg_pool_backward, ("g",)),
    ):
        r[key] = np.empty(shape)
        function(spec, *(r[i] for i in inputs), r[key])
    r["unpool"], r["unpool_backward"] = np.empty(spec.x_shape), np.empty(spec.y_shape)
    naive.max_unpool_forward(r["g"], r["indices"], r["unpool"])
    naive.max_unpool_backward(r["x"], r["indices"], r["unpool_backward"])
    return r


POOLED = pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.name)
ALL = list(itertools.product(DTYPES, FORMATS, SIDES))


@POOLED
@pytest.mark.parametrize("variant", VARIANTS["max_pool_forward"], ids=str)
def test_max_pool(pool: Any, variant: Variant) -> None:
    spec, want = pool.spec(), pool_reference(pool.name)
    for dtype, form, side in ALL:
        what = f"{variant} {np.dtype(dtype)} {form} {side} {spec}"
        with using("max_pool_forward", variant) as function:
            y, indices = max_pooled(function, spec, want["x"], dtype, form, what, side)
        assert np.array_equal(y, want["max"]), what
        assert np.array_equal(indices, want["indices"]), what
        for op, inputs, key in (
            ("max_pool_backward", ["g", "indices"], "max_backward"),
            ("max_unpool_forward", ["g", "indices"], "unpool"),
            ("max_unpool_backward", ["x", "indices"], "unpool_backward"),
        ):
            with using(op, variant) as function:
                arrays = [want[i] for i in inputs]
                got = pooled(op, function, spec, arrays, want[key].shape, dtype, form, what, side)
            assert np.array_equal(got, want[key]), f"{op} {what}"


def taps_pooled(
    function: Any, spec: PoolSpec, x: np.ndarray, dtype: Any, form: str, what: str,
    side: str = "after",
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Call a max-pool kernel that keeps tap numbers; without them the maxima are the same."""
    given_ = fenced(x.astype(dtype), form, side)
    out, alone = (Guarded(spec.y_shape, dtype, form, side) for _ in range(2))
    taps = Guarded(spec.y_shape, np.uint8, "channels_last", side)
    function(spec, given_, out.array, taps.array)
    function(spec, given_, alone.array, None)
    y = out.check(what)
    assert np.array_equal(y, alone.check(what), equal_nan=True), what
    return y, taps.check(what)


@POOLED
@pytest.mark.parametrize("variant", VARIANTS["max_pool_taps_forward"], ids=str)
def test_max_pool_taps(pool: Any, variant: Variant) -> None:
    spec, want = pool.spec(), pool_reference(pool.name)
    want_taps, back = np.empty(spec.y_shape, np.uint8), np.empty(spec.x_shape)
    naive.max_pool_taps_forward(spec, want["x"], np.empty(spec.y_shape), want_taps)
    naive.max_pool_taps_backward(spec, want["g"], want_taps, back)
    assert np.array_equal(back, want["max_backward"])
    for dtype, form, side in ALL:
        what = f"{variant} {np.dtype(dtype)} {form} {side} {spec}"
        with using("max_pool_taps_forward", variant) as function:
            y, taps = taps_pooled(function, spec, want["x"], dtype, form, what, side)
        assert np.array_equal(y, want["max"]), what
        assert np.array_equal(taps, want_taps), what
        for threads in (1, 3):
            gx = Guarded(spec.x_shape, dtype, form, side)
            with using("max_pool_taps_backward", variant, threads) as function:
                function(spec, fenced(want["g"].astype(dtype), form, side), taps, gx.array)
            assert np.array_equal(gx.check(what), back), what


@POOLED
@pytest.mark.parametrize("variant", VARIANTS["avg_pool_forward"], ids=str)
def test_avg_pool(pool: Any, variant: Variant) -> None:
    spec, want = pool.spec(), pool_reference(pool.name)
    window = math.prod(int(w[1].max(initial=1)) for w in spec.windows)
    for dtype, form, side in ALL:
        what = f"{variant} {np.dtype(dtype)} {form} {side} {spec}"
        for op, given_, key in (
            ("avg_pool_forward", "x", "avg"),
            ("avg_pool_backward", "g", "avg_backward"),
        ):
            with using(op, variant) as function:
                shape = want[key].shape
                inputs = [want[given_]]
                got = pooled(op, function, spec, inputs, shape, dtype, form, f"{op} {what}", side)
            assert_close(got, want[key], dtype, window, "direct", f"{op} {what}")


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 65])
@pytest.mark.parametrize("variant", VARIANTS["max_pool_forward"], ids=str)
def test_max_pool_non_finite(variant: Variant, channels: int) -> None:
    """NaN, both infinities and all -inf, in every lane and at every place of a window."""
    pool = next(p for p in POOLS if p.name == "resnet stem")._replace(shape=(12, channels, 5, 5))
    spec = pool.spec()
    x = integers(spec.x_shape, "non-finite")
    flat = x.reshape(12, channels, -1)
    lane = np.arange(channels)
    flat[0, lane, lane % 25] = np.nan
    flat[0, lane, (lane * 7 + 3) % 25] = np.nan
    flat[1, lane, (lane * 3) % 25] = np.inf
    flat[1, lane, (lane * 3 + 1) % 25] = -np.inf
    flat[2] = -np.inf
    flat[2, lane[::2], 24 - lane[::2] % 25] = np.nan
    flat[3, channels - 1] = np.nan
    want, want_indices = np.empty(spec.y_shape), np.empty(spec.y_shape, np.int64)
    naive.max_pool_forward(spec, x, want, want_indices)
    for dtype, form, side in ALL:
        what = f"{variant} {np.dtype(dtype)} {form} {side} {spec}"
        with using("max_pool_forward", variant) as function:
            y, indices = max_pooled(function, spec, x, dtype, form, what, side)
        assert np.array_equal(y, want, equal_nan=True), what
        assert np.array_equal(indices, want_indices), what
        taps_want = np.empty(spec.y_shape, np.uint8)
        naive.max_pool_taps_forward(spec, x, np.empty(spec.y_shape), taps_want)
        with using("max_pool_taps_forward", variant) as function:
            y, taps = taps_pooled(function, spec, x, dtype, form, what, side)
        assert np.array_equal(y, want, equal_nan=True), what
        assert np.array_equal(taps, taps_want), what


def test_every_shape_is_named_once() -> None:
    names = [shape.name for shape in SHAPES]
    assert len(set(names)) == len(names)
