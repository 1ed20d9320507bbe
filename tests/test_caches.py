"""What is kept of geometries: bounded in bytes, found again, and let go of when asked."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

import fastconv as fc
from fastconv import backends, caches
from fastconv.nn import functional as F
from fastconv.ops import resample
from fastconv.spec import adaptive_pool_spec, conv_spec, pool_spec

BACKENDS = [name for name in ("c", "numba", "naive") if backends.why_not(name) is None]


@pytest.fixture(autouse=True)
def empty():
    fc.empty_cache()
    yield
    fc.empty_cache()


@pytest.fixture
def small(monkeypatch):
    """A bound of one megabyte."""
    monkeypatch.setattr(caches, "limit", 1 << 20)


def lengths(n, many):
    return [fc.zeros(1, 1, n + i) for i in range(many)]


CALLS = {
    "max_pool1d": lambda x: F.max_pool1d(x, 2),
    "avg_pool1d": lambda x: F.avg_pool1d(x, 3, 1, 1),
    "lp_pool1d": lambda x: F.lp_pool1d(x, 2, 2),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x, x.shape[-1] // 2),
    "adaptive_max_pool1d": lambda x: F.adaptive_max_pool1d(x, x.shape[-1] // 2),
    "interpolate linear": lambda x: F.interpolate(x, scale_factor=2.0, mode="linear"),
    "interpolate nearest": lambda x: F.interpolate(x, x.shape[-1] + 5),
    "interpolate bicubic": lambda x: F.interpolate(x[None], scale_factor=1.5, mode="bicubic"),
}


@pytest.mark.parametrize("name", CALLS)
def test_tables_stay_within_the_bound(name, small):
    call, most = CALLS[name], 0
    for x in lengths(5_000, 12):
        x.requires_grad_()
        call(x).sum().backward()
        most = max(most, caches.total())
        assert caches.total() <= 2 * caches.limit  # one table may be larger
    assert most > caches.limit // 8
    assert fc.memory_stats()["tables"] == caches.total()
    fc.empty_cache()
    assert caches.total() == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_tables_are_counted_by_every_backend(backend):
    with fc.backend(backend):
        x = fc.randn(1, 4, 40, requires_grad=True)
        F.max_pool1d(x, 2, return_indices=True)[0].sum().backward()
        pooled = caches.total()
        F.conv1d(x, fc.randn(4, 1, 3, requires_grad=True), groups=4).sum().backward()
    assert pooled >= 4 * 20 * 8
    assert (caches.total() > pooled) == (backend == "numba")


def test_specifications_go_when_there_is_no_room(small):
    kept = [weakref.ref(table) for n in range(40) for table in _tables(30_000 + n)]
    assert sum(ref() is not None for ref in kept) <= 3


def _tables(n):
    spec = pool_spec((1, 1, n), 2, ndim=1)
    return [t for t in spec.windows if t.shape[1] > 1]


def test_everything_goes_with_empty_cache():
    made = [
        lambda: pool_spec((1, 1, 31), 2, ndim=1),
        lambda: pool_spec((1, 1, 31), [2], ndim=1),
        lambda: adaptive_pool_spec((1, 1, 31), 7, 1),
        lambda: conv_spec((1, 1, 31), (1, 1, 3), ndim=1),
        lambda: resample.axis(resample.Scaling("linear", 31, 62, None, False), "f"),
        lambda: resample.identity(31, "d"),
    ]
    before = [make() for make in made]
    assert all(make() is old for make, old in zip(made, before, strict=True))
    fc.empty_cache()
    assert not any(make() is old for make, old in zip(made, before, strict=True))


def test_results_are_the_same_afterwards():
    x = fc.randn(2, 3, 9, 9)
    w = fc.randn(4, 3, 3, 3)

    def results():
        with fc.no_grad():
            y = F.conv2d(x, w)
            return [y, F.max_pool2d(y, 2), F.interpolate(y, scale_factor=2.0), F.linear(x, x[0, 0])]

    before = results()
    for _ in range(3):
        fc.empty_cache()
        for a, b in zip(before, results(), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_table_larger_than_the_bound_is_kept_alone(monkeypatch):
    monkeypatch.setattr(caches, "limit", 1000)
    first = pool_spec((1, 1, 5000), 2, ndim=1)
    assert pool_spec((1, 1, 5000), 2, ndim=1) is first
    pool_spec((1, 1, 5001), 2, ndim=1)
    assert pool_spec((1, 1, 5000), 2, ndim=1) is not first


def test_no_lru_cache_but_these():
    package = Path(fc.__file__).parent
    found = {
        p.relative_to(package).as_posix()
        for p in package.rglob("*.py")
        if "lru_cache" in p.read_text(encoding="utf-8")
    }
    # one thing each in the next two, and at most 1024 small ones in the others
    assert found == {
        "caches.py", "functions/erf.py", "planner/tuning.py", "backends/c/reduce.py",
        "ops/reduce.py",
    }  # fmt: skip


def test_several_threads_and_no_room(monkeypatch):
    monkeypatch.setattr(caches, "limit", 20_000)
    x = fc.arange(900.0).reshape(1, 1, 900)
    failed = []

    def work(seed):
        for i in range(60):
            n = 300 + (i * 7 + seed * 13) % 500
            y = F.max_pool1d(x[..., :n], 2)
            if y[0, 0, -1].item() != n // 2 * 2 - 1:
                failed.append(n)

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc")
def test_memory_of_many_lengths_goes_back():
    code = (
        "import fastconv as fc\n"
        "F = fc.nn.functional\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096 >> 20\n"
        "F.max_pool1d(fc.zeros(1, 1, 9), 2)\n"
        "F.interpolate(fc.zeros(1, 1, 9), scale_factor=2.0, mode='linear')\n"
        "start = resident()\n"
        "for i in range(150):\n"
        "    F.max_pool1d(fc.zeros(1, 1, 160000 + i), 2)\n"
        "for i in range(50):\n"
        "    F.interpolate(fc.zeros(1, 1, 160000 + i), scale_factor=2.0, mode='linear')\n"
        "full = resident()\n"
        "fc.empty_cache()\n"
        "print(full - start, resident() - start)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    full, left = map(int, done.stdout.split())
    assert full < 200, f"{full} MB are kept"  # without a bound 1 000
    assert left < 40, f"{left} MB are left after empty_cache()"


@pytest.mark.parametrize("text, fails", [("3", False), ("x", True), ("-1", True)])
def test_the_bound_is_read_from_the_environment(text, fails):
    code = "import fastconv.caches as c; print(c.limit)"
    env = {**os.environ, "FASTCONV_TABLES_MB": text}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    if fails:
        assert "FASTCONV_TABLES_MB must be a number of megabytes" in done.stderr
    else:
        assert int(done.stdout) == 3 << 20
