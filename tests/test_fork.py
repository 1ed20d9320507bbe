"""A process that forks while its other threads work: the child must not wait for what they held."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

PACKAGE = Path(__file__).parents[1] / "fastconv"

#: Runs `work` in threads, forks many times, and lets each child do `work` as well.
FORKS = """
import os, signal, sys, threading, time
import fastconv as fc
from fastconv import nn
{setup}
fc.set_num_threads(1)
stop = False
def loop():
    while not stop:
        work()
threads = [threading.Thread(target=loop, daemon=True) for _ in range({threads})]
for t in threads:
    t.start()
time.sleep(0.2)
for i in range({forks}):
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        work()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, (i, status)
    time.sleep(0.003)
stop = True
for t in threads:
    t.join()
print("done")
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=300, cwd=PACKAGE.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_fork_while_another_thread_draws() -> None:
    setup = "def work(): fc.rand(200_000)"
    assert run(FORKS.format(setup=setup, threads=1, forks=15)) == "done"


def test_fork_while_another_thread_draws_from_its_own_generator() -> None:
    setup = "own = fc.Generator().manual_seed(1)\ndef work(): fc.rand(200_000, generator=own)"
    assert run(FORKS.format(setup=setup, threads=2, forks=15)) == "done"


def test_fork_while_another_thread_trains() -> None:
    setup = """
net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
                    nn.Linear(8 * 36, 4))
def work():
    net(fc.randn(4, 3, 8, 8)).square().mean().backward()
    fc.nn.functional.interpolate(fc.zeros(1, 1, int(fc.randint(20, 40, ()))), scale_factor=2.0)
"""
    assert run(FORKS.format(setup=setup, threads=2, forks=15)) == "done"


def test_every_lock_is_free_in_the_child() -> None:
    code = """
    import os, signal, threading
    import fastconv as fc
    from fastconv import _locks, backends, nn, profiler
    from fastconv.random import default_generator
    for name in ("c", "numba"):
        if backends.why_not(name) is None:
            backends.load(name)
    fc.rand(1)
    locks = [*_locks._locks, default_generator.rng.bit_generator.lock]
    taken, over = threading.Event(), threading.Event()
    def hold():
        for lock in locks:
            lock.acquire()
        taken.set()
        over.wait()
    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    taken.wait()
    pid = os.fork()
    if not pid:
        for lock in locks:
            if not lock.acquire(timeout=1):
                os._exit(3)
            lock.release()
        fc.rand(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert not any(lock.acquire(blocking=False) for lock in locks)  # the parent's are still held
    print(len(locks))
    """
    assert int(run(code)) >= 6


def test_the_child_continues_the_parents_numbers() -> None:
    code = """
    import os
    import fastconv as fc
    fc.manual_seed(5)
    fc.rand(3)
    read, write = os.pipe()
    if not os.fork():
        os.write(write, repr(fc.rand(3).tolist()).encode())
        os._exit(0)
    os.wait()
    print(os.read(read, 999).decode() == repr(fc.rand(3).tolist()))
    """
    assert run(code) == "True"


def test_no_lock_is_made_elsewhere() -> None:
    made = re.compile(r"threading\.R?Lock\(|threading\.(Condition|Semaphore)\(")
    files = [p for p in PACKAGE.rglob("*.py") if made.search(p.read_text(encoding="utf-8"))]
    # a DataLoader's iterator has a condition of its own, which goes with it
    assert sorted(p.name for p in files) == ["_locks.py", "dataloader.py"]
