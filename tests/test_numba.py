"""The Numba backend's own duties: laziness, its disk cache, layouts, geometry tables."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fastconv import config
from fastconv.backends import naive
from fastconv.spec import conv_spec

numba = pytest.importorskip("numba")

from fastconv.backends import numba as backend  # noqa: E402
from fastconv.backends.numba import geometry, layout, runtime  # noqa: E402
from tests.shapes import named  # noqa: E402


def test_numba_is_imported_only_when_used() -> None:
    code = "import sys, fastconv; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_compiles_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import caching

    def fail(self):
        raise OSError("read-only file system")

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", fail)

    def add(a, b):
        return a + b

    with pytest.raises(RuntimeError):
        numba.njit(cache=True)(add)
    assert runtime.compiled(add)(1, 2) == 3


def test_serial_and_parallel_are_cached_apart() -> None:
    def nothing():
        pass

    kernel = runtime.Kernel(nothing)
    names = {f.py_func.__qualname__ for f in (kernel._parallel, kernel._serial)}
    assert len(names) == 2


def test_thread_count_of_others_is_kept() -> None:
    spec = named("3-D").spec()
    arrays = [np.ones(shape, np.float32) for shape in (spec.x_shape, spec.w_shape, spec.y_shape)]
    before, ours = numba.get_num_threads(), config.get_num_threads()
    config.set_num_threads(config.MAX_THREADS)  # more than Numba has
    try:
        backend.conv_forward_direct(spec, arrays[0], arrays[1], None, arrays[2])
    finally:
        config.set_num_threads(ours)
    assert numba.get_num_threads() == before


@pytest.mark.parametrize("kind", ["read-only", "every second", "reversed", "broadcast"])
def test_any_strides(kind: str) -> None:
    spec = conv_spec((2, 4, 5, 6), (3, 4, 3, 3), 1, 1)
    x = np.random.default_rng(0).integers(-3, 4, spec.x_shape).astype(np.float32)
    if kind == "read-only":
        x.flags.writeable = False
    elif kind == "every second":
        x = np.repeat(x, 2, axis=4)[..., ::2]
    elif kind == "reversed":
        x = x[:, ::-1, :, ::-1]
    else:
        x = np.broadcast_to(x[:, :1], x.shape)
    w = np.random.default_rng(1).integers(-3, 4, spec.w_shape).astype(np.float32)
    want, got = np.empty(spec.y_shape, np.float32), np.empty(spec.y_shape, np.float32)
    naive.conv_forward(spec, x, w, None, want)
    backend.conv_forward_direct(spec, x, w, None, got)
    assert np.array_equal(got, want)


def test_output_must_be_dense() -> None:
    with pytest.raises(ValueError, match="not dense"):
        layout.flat(np.empty((2, 4, 1, 5, 12))[..., ::2])


def test_source_is_used_as_it_lies() -> None:
    """No copy of channels-last data where no padding is read."""
    x = np.ones((2, 1, 5, 6, 8), np.float32).transpose(0, 4, 1, 2, 3)
    window = geometry.correlation(conv_spec((2, 8, 5, 6), (3, 8, 3, 3)), False).window
    assert np.shares_memory(layout.channels_last(x, window), x)


def test_scratch_starts_on_a_cache_line() -> None:
    for count in range(1, 40):
        a = layout.aligned_empty(count, np.float32)
        assert a.size == count
        assert a.ctypes.data % 64 == 0


def test_runs_join_taps_and_channels() -> None:
    def width(*args: int, **rest: int) -> int:
        spec = conv_spec((1, 4, 9, 9), (4, 4 // rest.get("groups", 1), 3, 3), *args, **rest)
        return geometry.correlation(spec, False).run_taps.shape[1]

    assert width(1, 1) == 3
    assert width(2, 1) == 3
    assert width(1, 1, dilation=2) == 1
    assert width(1, 1, groups=2) == 1
