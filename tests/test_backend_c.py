"""The C backend's own duties: formats, checks, instruction sets, fork, layout, pooling in C."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from fastconv import config
from fastconv.backends import naive
from fastconv.spec import ConvSpec, PoolSpec, adaptive_pool_spec, conv_spec, pool_spec

c = pytest.importorskip("fastconv.backends.c")

ISAS = [name for name, supported in c.isas().items() if supported]
DTYPES = [np.float32, np.float64]


@pytest.fixture(params=ISAS)
def isa(request):
    before = c.get_isa()
    c.set_isa(request.param)
    yield request.param
    c.set_isa(before)


@pytest.fixture
def two_threads():
    before = config.get_num_threads()
    config.set_num_threads(2)
    yield
    config.set_num_threads(before)


def last(a):
    """The same values with channels-last memory."""
    return np.ascontiguousarray(a.transpose(0, 2, 3, 4, 1)).transpose(0, 4, 1, 2, 3)


FORMATS = {"nchw": np.ascontiguousarray, "last": last}


def fill(rng, shape, dtype):
    return rng.integers(-4, 5, shape).astype(dtype)


def guarded(shape, dtype, form):
    """An array to write, its neighbours in memory, and the value those must keep."""
    n, ch, d, h, w = shape
    size = int(np.prod(shape))
    whole = np.full(size + 64, 77, dtype)
    inner = whole[32 : 32 + size]
    if form == "nchw":
        return inner.reshape(shape), whole
    return inner.reshape(n, d, h, w, ch).transpose(0, 4, 1, 2, 3), whole


def intact(whole):
    return (whole[:32] == 77).all() and (whole[-32:] == 77).all()


# ---------------------------------------------------------------- layout


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7, 16, 17, 33, 300])
@pytest.mark.parametrize("space", [(1, 1, 1), (1, 1, 5), (2, 3, 4), (1, 17, 19)])
def test_layout_round_trip(isa, dtype, channels, space):
    a = np.arange(2 * channels * np.prod(space), dtype=dtype).reshape(2, channels, *space)
    b = c.to_channels_last(a)
    assert b.transpose(0, 2, 3, 4, 1).flags.c_contiguous
    np.testing.assert_array_equal(a, b)
    back = c.to_contiguous(b)
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(a, back)


def test_layout_of_other_arrays():
    a = np.arange(2 * 6 * 4 * 4).reshape(2, 6, 1, 4, 4)
    for odd in (a, a[:, ::2], a.astype(np.float32)[..., ::2], a.transpose(1, 0, 2, 4, 3)):
        np.testing.assert_array_equal(c.to_channels_last(odd), odd)
        np.testing.assert_array_equal(c.to_contiguous(odd), odd)
        assert c.to_channels_last(odd).transpose(0, 2, 3, 4, 1).flags.c_contiguous
        assert c.to_contiguous(odd).flags.c_contiguous
    dense = last(a)
    assert c.to_channels_last(dense) is dense
    assert c.to_contiguous(a) is a


# ---------------------------------------------------------------- bias


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "shape", [(2, 5, 1, 3, 3), (3, 64, 1, 9, 7), (1, 150, 2, 3, 4), (2, 1, 1, 1, 1)]
)
def test_bias(isa, dtype, form, shape):
    rng = np.random.default_rng(1)
    g = fill(rng, shape, dtype)
    spec = ConvSpec(3, shape[0], 1, shape[1], 1, shape[2:], shape[2:], (1, 1, 1))
    out = np.full(shape[1], np.nan, dtype)
    c.conv_backward_bias(spec, FORMATS[form](g), out)
    np.testing.assert_array_equal(out, g.sum((0, 2, 3, 4)))


def test_bias_does_not_depend_on_threads(isa):
    g = last(np.random.default_rng(2).standard_normal((4, 40, 1, 70, 70)).astype(np.float32))
    spec = ConvSpec(2, 4, 1, 40, 1, (1, 70, 70), (1, 70, 70), (1, 1, 1))
    results = []
    before = config.get_num_threads()
    for threads in (1, 2, 3):
        config.set_num_threads(threads)
        out = np.empty(40, np.float32)
        c.conv_backward_bias(spec, g, out)
        results.append(out)
    config.set_num_threads(before)
    assert (results[0] == results[1]).all() and (results[0] == results[2]).all()
    np.testing.assert_allclose(results[0], g.astype(float).sum((0, 2, 3, 4)), rtol=2e-6, atol=1e-3)


# ---------------------------------------------------------------- pooling

POOLS = {
    "2x2": pool_spec((2, 6, 8, 8), 2),
    "3x3s2p1": pool_spec((2, 19, 9, 7), 3, 2, 1),
    "dilated": pool_spec((1, 40, 9, 9), 2, 1, 1, dilation=3),
    "ceil": pool_spec((2, 16, 6, 7), 3, 2, 1, ceil_mode=True),
    "1d": pool_spec((3, 5, 11), 3, 2, 1, ndim=1),
    "3d": pool_spec((2, 67, 4, 5, 6), 2, ndim=3),
    "no-pad-count": pool_spec((2, 8, 5, 5), 3, 1, 1, count_include_pad=False),
    "divisor": pool_spec((1, 4, 6, 6), 2, divisor_override=3),
    "adaptive": adaptive_pool_spec((2, 33, 7, 9), (3, 4), 2, "adaptive_max_pool2d"),
    "global": adaptive_pool_spec((2, 130, 7, 7), 1, 2, "adaptive_avg_pool2d"),
    "one": pool_spec((1, 1, 1, 1), 1),
    "overlap": pool_spec((2, 17, 6, 6), 3, 1),
}


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMATS)
def test_pooling_matches_naive(isa, two_threads, name, dtype, form):
    spec: PoolSpec = POOLS[name]
    rng = np.random.default_rng(3)
    as_form = FORMATS[form]
    x, g = fill(rng, spec.x_shape, dtype), fill(rng, spec.y_shape, dtype)
    x.flat[rng.integers(0, x.size, 1 + x.size // 20)] = np.nan
    x.flat[rng.integers(0, x.size, 1 + x.size // 20)] = -np.inf

    want, where = np.empty(spec.y_shape, dtype), np.empty(spec.y_shape, np.int64)
    naive.max_pool_forward(spec, x, want, where)
    (y, y_all), (i, i_all) = (
        guarded(spec.y_shape, dtype, form),
        guarded(spec.y_shape, np.int64, form),
    )
    c.max_pool_forward(spec, as_form(x), y, i)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(i, where)
    assert intact(y_all) and intact(i_all)

    naive.max_pool_backward(spec, g, where, want_x := np.empty(spec.x_shape, dtype))
    dx, dx_all = guarded(spec.x_shape, dtype, form)
    c.max_pool_backward(spec, as_form(g), i, dx)
    np.testing.assert_array_equal(dx, want_x)
    assert intact(dx_all)

    x = fill(rng, spec.x_shape, dtype)
    naive.avg_pool_forward(spec, x, want)
    c.avg_pool_forward(spec, as_form(x), y)
    np.testing.assert_allclose(y, want, rtol=4 * np.finfo(dtype).eps)
    naive.avg_pool_backward(spec, g, want_x)
    c.avg_pool_backward(spec, as_form(g), dx)
    np.testing.assert_allclose(dx, want_x, rtol=0, atol=32 * np.finfo(dtype).eps)
    assert intact(y_all) and intact(dx_all)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("channels", [1, 5, 34])
def test_unpooling_matches_naive(isa, dtype, form, channels):
    rng = np.random.default_rng(4)
    small, big = (2, channels, 1, 3, 4), (2, channels, 2, 5, 6)
    x, g = fill(rng, small, dtype), fill(rng, big, dtype)
    indices = np.stack([rng.permutation(60)[:12] for _ in range(2 * channels)]).reshape(small)
    naive.max_unpool_forward(x, indices, want := np.empty(big, dtype))
    out, whole = guarded(big, dtype, form)
    c.max_unpool_forward(FORMATS[form](x), FORMATS[form](indices), out)
    np.testing.assert_array_equal(out, want)
    naive.max_unpool_backward(g, indices, want := np.empty(small, dtype))
    back, back_whole = guarded(small, dtype, form)
    c.max_unpool_backward(FORMATS[form](g), FORMATS[form](indices), back)
    np.testing.assert_array_equal(back, want)
    assert intact(whole) and intact(back_whole)


def test_max_backward_with_channels_split_over_threads(isa, two_threads):
    rng = np.random.default_rng(5)
    spec = pool_spec((1, 72, 30, 30), 3, 1)
    x, g = last(fill(rng, spec.x_shape, np.float32)), last(fill(rng, spec.y_shape, np.float32))
    y, i = last(np.empty(spec.y_shape, np.float32)), last(np.empty(spec.y_shape, np.int64))
    c.max_pool_forward(spec, x, y, i)
    two, one = last(np.empty_like(x)), last(np.empty_like(x))
    c.max_pool_backward(spec, g, i, two)
    config.set_num_threads(1)
    c.max_pool_backward(spec, g, i, one)
    np.testing.assert_array_equal(one, two)
    assert one.sum() == g.sum()


def test_indices_out_of_range_touch_nothing(isa):
    indices = np.array([-1, 10**12, 4, 2], np.int64).reshape(1, 1, 1, 2, 2)
    x = np.ones((1, 1, 1, 2, 2), np.float32)
    out, whole = guarded((1, 1, 1, 2, 2), np.float32, "nchw")
    with pytest.raises(IndexError, match="indices"):
        c.max_unpool_forward(x, indices, out)
    assert out.ravel().tolist() == [0, 0, 1, 0] and intact(whole)


# ---------------------------------------------------------------- convolution


CONVS = {
    "3x3": conv_spec((2, 5, 8, 7), (9, 5, 3, 3), 1, 1),
    "stride": conv_spec((1, 16, 9, 9), (8, 16, 3, 3), 2, 1),
    "groups": conv_spec((2, 6, 7, 7), (9, 2, 3, 2), (2, 1), (1, 0), (1, 2), groups=3),
    "1x1": conv_spec((2, 33, 5, 5), (17, 33, 1, 1)),
    "1d": conv_spec((3, 4, 20), (6, 4, 5), 2, 4, 2, ndim=1),
}


@pytest.mark.skipif(not c.has_kernel("conv_forward_gemm"), reason="no GEMM kernels")
@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("x_form", FORMATS)
@pytest.mark.parametrize("y_form", FORMATS)
def test_convolution_accepts_every_mix_of_formats(isa, name, x_form, y_form):
    spec = CONVS[name]
    rng = np.random.default_rng(6)
    x, w, g = (fill(rng, s, np.float32) for s in (spec.x_shape, spec.w_shape, spec.y_shape))
    bias = fill(rng, (spec.out_channels,), np.float32)
    fx, fy = FORMATS[x_form], FORMATS[y_form]
    naive.conv_forward(spec, x, w, bias, want := np.empty(spec.y_shape, np.float32))
    y, whole = guarded(spec.y_shape, np.float32, y_form)
    c.conv_forward_gemm(spec, fx(x), w, bias, y)
    np.testing.assert_array_equal(y, want)
    assert intact(whole)
    naive.conv_backward_input(spec, g, w, want := np.empty(spec.x_shape, np.float32))
    dx, whole = guarded(spec.x_shape, np.float32, x_form)
    c.conv_backward_input_gemm(spec, fy(g), w, dx)
    np.testing.assert_array_equal(dx, want)
    assert intact(whole)
    naive.conv_backward_weight(spec, g, x, want := np.empty(spec.w_shape, np.float32))
    dw = np.empty(spec.w_shape, np.float32)
    c.conv_backward_weight_gemm(spec, fy(g), fx(x), dw)
    np.testing.assert_array_equal(dw, want)


@pytest.mark.skipif(not c.has_kernel("conv_forward_gemm"), reason="no GEMM kernels")
def test_inputs_may_be_read_only_or_strided():
    spec = CONVS["3x3"]
    rng = np.random.default_rng(7)
    x, w = fill(rng, spec.x_shape, np.float32), fill(rng, spec.w_shape, np.float32)
    naive.conv_forward(spec, x, w, None, want := np.empty(spec.y_shape, np.float32))
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), np.float32)
    wide[..., ::2] = x
    x.flags.writeable = w.flags.writeable = False
    for given in (x, last(x), wide[..., ::2]):
        out = np.empty(spec.y_shape, np.float32)
        c.conv_forward_gemm(spec, given, w, None, out)
        np.testing.assert_array_equal(out, want)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        c.conv_forward_gemm(spec, x, w, None, out)


def test_wrong_arrays_are_refused():
    spec = CONVS["3x3"]
    x, w = np.zeros(spec.x_shape, np.float32), np.zeros(spec.w_shape, np.float32)
    out = np.zeros(spec.y_shape, np.float32)
    with pytest.raises(TypeError, match="w must be float32"):
        c.conv_forward_gemm(spec, x, w.astype(np.float64), None, out)
    with pytest.raises(TypeError, match="expected float32 or float64, got int64"):
        c.conv_forward_gemm(spec, x.astype(np.int64), w, None, out)
    with pytest.raises(TypeError, match="float32 or float64"):
        c.conv_forward_gemm(spec, x.astype(">f4"), w, None, out)
    with pytest.raises(ValueError, match="x must have shape"):
        c.conv_forward_gemm(spec, x[:1], w, None, out)
    with pytest.raises(ValueError, match="out must be dense"):
        c.conv_forward_gemm(spec, x, w, None, np.zeros((2, 9, 1, 8, 14), np.float32)[..., ::2])
    with pytest.raises(ValueError, match="bias must have shape"):
        c.conv_forward_gemm(spec, x, w, np.zeros(3, np.float32), out)
    pool = POOLS["2x2"]
    y = np.zeros(pool.y_shape, np.float32)
    with pytest.raises(TypeError, match="indices must be int64"):
        c.max_pool_forward(pool, np.zeros(pool.x_shape, np.float32), y, y.astype(np.int32))


def test_empty_batch():
    spec = conv_spec((0, 5, 8, 7), (9, 5, 3, 3), 1, 1)
    x, w = np.zeros(spec.x_shape, np.float32), np.ones(spec.w_shape, np.float32)
    y = np.zeros(spec.y_shape, np.float32)
    c.conv_forward_gemm(spec, x, w, None, y)
    c.conv_backward_input_gemm(spec, y, w, x)
    dw = np.full(spec.w_shape, np.nan, np.float32)
    c.conv_backward_weight_gemm(spec, y, x, dw)
    assert (dw == 0).all()
    db = np.full(9, np.nan, np.float32)
    c.conv_backward_bias(spec, y, db)
    assert (db == 0).all()


# ---------------------------------------------------------------- instruction sets, threads, fork


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("name", ISAS)
def test_environment_caps_the_instruction_set(name):
    code = "from fastconv.backends import c; print(c.get_isa())"
    assert run_python(code, FASTCONV_ISA=name).stdout.strip() == name


def test_unknown_instruction_set():
    found = run_python("from fastconv.backends import c", FASTCONV_ISA="sse9")
    assert found.returncode != 0 and "FASTCONV_ISA must be one of" in found.stderr
    with pytest.raises(ValueError, match="set_isa"):
        c.set_isa("sse9")


FORK = """
import os
import numpy as np
from fastconv import config
from fastconv.backends import c
from fastconv.spec import ConvSpec
g = np.ones((8, 8, 1, 64, 64), np.float32)
spec = ConvSpec(2, 8, 1, 8, 1, (1, 64, 64), (1, 64, 64), (1, 1, 1))
out = np.empty(8, np.float32)
config.set_num_threads(2)
c.conv_backward_bias(spec, g, out)
child = os.fork()
if child == 0:
    config.set_num_threads(2)
    out[:] = 0
    c.conv_backward_bias(spec, g, out)
    os._exit(0 if (out == 8 * 64 * 64).all() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_child_after_fork_runs_serially():
    assert run_python(FORK).stdout.strip() == "0"


def test_two_python_threads_at_once(two_threads):
    spec = pool_spec((4, 32, 40, 40), 3, 2, 1)
    x = last(np.random.default_rng(8).standard_normal(spec.x_shape).astype(np.float32))
    want = last(np.empty(spec.y_shape, np.float32))
    c.avg_pool_forward(spec, x, want)
    wrong = []

    def work():
        for _ in range(20):
            out = last(np.empty(spec.y_shape, np.float32))
            c.avg_pool_forward(spec, x, out)
            if not (out == want).all():
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for t in workers:
        t.start()
    for t in workers:
        t.join()
    assert not wrong
