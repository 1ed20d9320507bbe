"""Two Python threads at once, and a child process after a fork, on every backend."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from fastconv import backends, config, planner
from fastconv.spec import conv_spec

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = [name for name in ("c", "numba") if backends.why_not(name) is None]

SPEC = conv_spec((2, 24, 20, 20), (40, 24, 3, 3), 1, 1)


def _call(backend: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    out = np.empty(SPEC.y_shape, np.float32)
    planner.find(backend, "conv_forward", planner.pick("conv_forward", SPEC, backend).algorithm)(
        SPEC, x, w, None, out
    )
    return out


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_two_threads_at_once(backend: str, threads: int) -> None:
    generator = np.random.default_rng(0)
    w = generator.standard_normal(SPEC.w_shape).astype(np.float32)
    inputs = [generator.standard_normal(SPEC.x_shape).astype(np.float32) for _ in range(3)]
    before = config.get_num_threads()
    config.set_num_threads(threads)
    try:
        want = [_call(backend, x, w) for x in inputs]
        wrong: list[str] = []
        start = threading.Barrier(len(inputs))

        def work(i: int) -> None:
            start.wait()
            for _ in range(20):
                if not np.array_equal(_call(backend, inputs[i], w), want[i]):
                    wrong.append(f"thread {i}")

        workers = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert not any(worker.is_alive() for worker in workers)
        assert not wrong
    finally:
        config.set_num_threads(before)


FORK = """
    import os, sys
    import numpy as np
    from fastconv import config
    from tests.test_concurrency import SPEC, _call

    config.set_num_threads(2)
    x, w = np.ones(SPEC.x_shape, np.float32), np.ones(SPEC.w_shape, np.float32)
    want = _call({backend!r}, x, w)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for threads in (config.get_num_threads(), 2):
                config.set_num_threads(threads)
                code = 0 if np.array_equal(_call({backend!r}, x, w), want) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    again = np.array_equal(_call({backend!r}, x, w), want)
    sys.exit(os.waitstatus_to_exitcode(status) or (0 if again else 3))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("backend", BACKENDS)
def test_child_after_fork(backend: str) -> None:
    """The child of a process whose threads are running computes, serially, and does not hang."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORK.format(backend=backend))],
        env=environment, capture_output=True, text=True, timeout=120, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
