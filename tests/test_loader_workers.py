"""DataLoader workers: PyTorch's contract, for processes, and what threads keep of it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    TensorDataset,
    get_worker_info,
    processes,
)

#: Both start methods where there are both; spawn needs a dataset that can be imported again.
METHODS = [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()]
pytestmark = pytest.mark.skipif("fork" not in METHODS, reason="no fork here")


class Draws(Dataset):
    """Each sample: the worker, and a draw from each generator."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i: int) -> Any:
        info = get_worker_info()
        number = -1 if info is None else info.id
        return i, number, float(fc.rand(1).item()), float(np.random.rand()), random.random()


class Samples(Dataset):
    """Sample i is what `make(i)` gives."""

    def __init__(self, make: Any, n: int = 8) -> None:
        self.make, self.n = make, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Any:
        return self.make(i)


class Stream(IterableDataset):
    """0 to n - 1, each worker its share."""

    def __init__(self, n: int, whole: bool = False) -> None:
        self.n, self.whole = n, whole

    def __iter__(self) -> Any:
        info = get_worker_info()
        if info is None or self.whole:
            return iter(range(self.n))
        return iter(range(info.id, self.n, info.num_workers))


class Told(Exception):
    """An exception with arguments of its own."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)


def states() -> list[Any]:
    return [
        fc.get_rng_state()["state"]["state"],
        np.random.get_state()[1].tolist(),
        random.getstate(),
    ]


def draws(**kwargs: Any) -> list[list[float]]:
    rows = []
    for i, number, *values in DataLoader(Draws(), 2, num_workers=2, **kwargs):
        rows.append([i.tolist(), number.tolist(), *(v.tolist() for v in values)])
    return rows


# ---------------------------------------------------------------- random numbers


@pytest.mark.parametrize("method", METHODS)
def test_draws_come_again_and_differ(method: str) -> None:
    before = states()
    fc.manual_seed(7)
    first, second = draws(multiprocessing_context=method), draws()
    fc.manual_seed(7)
    assert draws() == first and draws() == second  # however they were started
    numbers = [value for row in first + second for column in row[2:] for value in column]
    assert len(set(numbers)) == len(numbers) == 2 * 3 * 12
    assert [row[0] for row in first] == [[i, i + 1] for i in range(0, 12, 2)]
    assert [row[1] for row in first] == [[0, 0], [1, 1]] * 3
    fc.manual_seed(8)
    assert draws() != first
    assert states()[1:] == before[1:]


def test_the_main_program_draws_as_without_workers() -> None:
    found = []
    for workers in (0, 2):
        fc.manual_seed(3)
        state = states()
        loader = DataLoader(TensorDataset(fc.arange(6)), 2, num_workers=workers)
        [None for _ in loader]
        assert states() == state
        found.append(fc.rand(3).tolist())
    assert found[0] == found[1]


def test_a_generator_seeds_the_workers() -> None:
    found = []
    for seed in (1, 1, 2):
        fc.seed()
        found.append(draws(generator=fc.Generator().manual_seed(seed)))
    assert found[0] == found[1] != found[2]


def test_a_generator_continues_its_seeds_from_a_state() -> None:
    generator = fc.Generator().manual_seed(5)
    seeds = [generator.child_seed() for _ in range(2)]
    state = generator.get_state()
    later = generator.child_seed()
    assert fc.Generator().set_state(state).child_seed() == later not in seeds
    assert generator.manual_seed(5).child_seed() == seeds[0]


def info_of(i: int) -> Any:
    info = get_worker_info()
    assert info is not None
    return info.id, info.num_workers, info.seed, len(info.dataset), fc.initial_seed()


@pytest.mark.parametrize("threads", [False, True])
def test_worker_info(threads: bool) -> None:
    fc.manual_seed(0)
    loader = DataLoader(Samples(info_of), None, num_workers=3, threads=threads)
    rows = list(loader)
    assert [row[0] for row in rows] == [0, 1, 2, 0, 1, 2, 0, 1]
    base = rows[0][2]
    assert all(row[1:4] == [3, base + row[0], 8] for row in rows)
    assert all((row[4] == row[2]) is not threads for row in rows)
    assert get_worker_info() is None


@pytest.mark.parametrize("method", METHODS)
def test_worker_init_does_not_reach_the_main_program(method: str) -> None:
    before = states()
    loader = DataLoader(
        Draws(), 1, num_workers=2, worker_init_fn=reseed, multiprocessing_context=method
    )
    rows = [float(row[3]) for row in loader]
    assert states() == before
    for number in (0, 1):
        wanted = np.random.RandomState(100 + number).rand(6)
        np.testing.assert_array_equal(rows[number::2], wanted)


def reseed(number: int) -> None:
    np.random.seed(100 + number)


def test_persistent_workers_stay_and_go_on_drawing() -> None:
    loader = DataLoader(Draws(), 3, num_workers=2, persistent_workers=True)
    fc.manual_seed(1)
    first, pids = rows_of(loader), pids_of(loader)
    second = rows_of(loader)
    assert pids_of(loader) == pids and first != second
    iterator = iter(loader)  # left half-way
    next(iterator)
    assert rows_of(loader)[0][0] == [0, 1, 2] and pids_of(loader) == pids
    fc.manual_seed(1)
    again = DataLoader(Draws(), 3, num_workers=2, persistent_workers=True)
    assert [rows_of(again), rows_of(again)] == [first, second]
    stream = DataLoader(Stream(5), 2, num_workers=2, persistent_workers=True)
    assert [[b.tolist() for b in stream] for _ in range(2)] == [[[0, 2], [1, 3], [4]]] * 2


def rows_of(loader: DataLoader) -> list[Any]:
    return [[column.tolist() for column in row] for row in loader]


def pids_of(loader: DataLoader) -> list[int]:
    return [worker._process.pid for worker in loader._kept._workers]


# ---------------------------------------------------------------- order, streams


@pytest.mark.parametrize("threads", [False, True])
def test_order_is_kept_where_workers_take_turns(threads: bool) -> None:
    def slow(i: int) -> int:
        time.sleep(0.02 * (i % 3 == 0))
        return i

    loader = DataLoader(Samples(slow, 12), 2, num_workers=3, threads=threads)
    assert [b.tolist() for b in loader] == [[i, i + 1] for i in range(0, 12, 2)]
    free = DataLoader(Samples(slow, 12), 2, num_workers=3, threads=threads, in_order=False)
    assert sorted(b.tolist() for b in free) == [[i, i + 1] for i in range(0, 12, 2)]


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_streams(workers: int, threads: bool) -> None:
    """Each worker reads the stream from its beginning; one that knows its number takes a share."""
    kwargs: dict[str, Any] = dict(num_workers=workers, threads=threads)
    got = list(DataLoader(Stream(7), None, **kwargs))
    assert got == list(range(7))
    batches = [b.tolist() for b in DataLoader(Stream(10), 2, **kwargs)]
    assert sorted(i for b in batches for i in b) == list(range(10))
    assert batches[0] == [0, workers] and all(len(b) <= 2 for b in batches)
    whole = [b.tolist() for b in DataLoader(Stream(3, whole=True), 2, **kwargs)]
    assert whole == [[0, 1]] * workers + [[2]] * workers
    dropped = DataLoader(Stream(3, whole=True), 2, drop_last=True, **kwargs)
    assert [b.tolist() for b in dropped] == [[0, 1]] * workers
    assert list(DataLoader(Stream(0), 2, **kwargs)) == []


@pytest.mark.torch
@pytest.mark.parametrize("workers", [2, 3])
def test_streams_as_pytorch(workers: int) -> None:
    torch = pytest.importorskip("torch")

    def make(base: Any, info: Any) -> Any:
        class Uneven(base):
            def __iter__(self) -> Any:
                return iter([10 * info().id + i for i in range(3 * info().id + 1)])

        return Uneven()

    ours = DataLoader(make(IterableDataset, get_worker_info), 2, num_workers=workers)
    theirs = torch.utils.data
    other = theirs.DataLoader(
        make(theirs.IterableDataset, theirs.get_worker_info), 2, num_workers=workers
    )
    assert [b.tolist() for b in ours] == [b.tolist() for b in other]


# ---------------------------------------------------------------- arrays on their way


def batch(i: int) -> Any:
    """Large and small, of several types and layouts."""
    rng = np.random.default_rng(i)
    large = fc.from_numpy(rng.standard_normal((3, 70, 71)).astype(np.float32))
    last = fc.ones(2, 3, 40, 40).to(memory_format=fc.channels_last) * i
    leaf = fc.full((2,), float(i)).requires_grad_()
    arrays = (rng.integers(0, 9, (200, 50)), np.asfortranarray(rng.random((90, 91))))
    return {"t": large, "last": last, "leaf": leaf, "a": arrays, "none": fc.zeros(0, 3), "s": "x"}


@pytest.mark.parametrize("memory_files", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_arrays_come_whole(method: str, memory_files: bool, monkeypatch: Any) -> None:
    if not memory_files:
        monkeypatch.delattr(os, "memfd_create", raising=False)  # spawned ones have it again
    loader = DataLoader(
        Samples(batch, 4), None, num_workers=2, multiprocessing_context=method,
        collate_fn=same,
    )  # fmt: skip
    for i, got in enumerate(loader):
        wanted = batch(i)
        assert list(got) == list(wanted)
        for key in ("t", "last", "leaf", "none"):
            np.testing.assert_array_equal(got[key].detach(), wanted[key].detach())
            assert got[key].dtype == wanted[key].dtype and type(got[key]) is fc.Tensor
        assert got["last"].is_contiguous(memory_format=fc.channels_last)
        assert got["leaf"].requires_grad and not got["t"].requires_grad
        for a, b in zip(got["a"], wanted["a"], strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype and a.flags.writeable
            a += 1
        got["t"].add_(1)


def same(value: Any) -> Any:
    return value


def test_kept_batches_hold_no_descriptors() -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc here")
    before = len(os.listdir("/proc/self/fd"))
    loader = DataLoader(Samples(lambda i: np.full(20_000, i), 40), 1, num_workers=2)
    kept = list(loader)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    assert [int(b[0, -1]) for b in kept] == list(range(40))


def test_kernels_run_in_workers() -> None:
    """OpenMP's threads are dead in a forked child, which must not wait for them."""
    x, w = fc.randn(4, 16, 40, 40), fc.randn(32, 16, 3, 3)
    wanted = fc.nn.functional.conv2d(x, w)

    def conv(i: int) -> Any:
        assert fc.get_num_threads() == 1
        return fc.nn.functional.conv2d(x, w)

    for got in DataLoader(Samples(conv, 4), None, num_workers=2, timeout=60):
        np.testing.assert_array_equal(got, wanted)


def test_fork_while_threads_draw() -> None:
    """A lock that another thread holds at the fork is nobody's in the child."""
    over = threading.Event()

    def draw() -> None:
        while not over.is_set():
            fc.rand(100_000)
            np.random.rand(100_000)

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert len(list(DataLoader(Draws(), 6, num_workers=2, timeout=60))) == 2
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_a_forked_child_has_no_part_in_its_parents_iterator(threads: bool, keep: bool) -> None:
    """The child is told so at once, makes an iterator of its own, and the parent's goes on."""
    kind = dict(num_workers=2, threads=threads, persistent_workers=keep, timeout=30)
    loader = DataLoader(Samples(int, 8), 2, **kind)
    batches = iter(loader)
    assert next(batches).tolist() == [0, 1]
    pipe, theirs = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            signal.alarm(60)
            try:
                next(batches)
                theirs.send("a batch")
            except RuntimeError as error:
                theirs.send(str(error))
            del batches
            theirs.send([b.tolist() for b in loader])
        finally:
            os._exit(0)
    try:
        assert pipe.poll(60), "the child hangs"
        message = pipe.recv()
        assert f"DataLoader: this iterator belongs to process {os.getpid()}" in message
        assert pipe.poll(60), "the child hangs"
        assert pipe.recv() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert [b.tolist() for b in batches] == [[2, 3], [4, 5], [6, 7]]


# ---------------------------------------------------------------- errors


def broken(i: int) -> int:
    if i == 5:
        raise KeyError(f"sample {i} is broken")
    return i


@pytest.mark.parametrize("method", METHODS)
def test_exceptions_bring_their_traceback(method: str) -> None:
    loader = DataLoader(
        Samples(broken), 1, num_workers=2, multiprocessing_context=method
    )  # fmt: skip
    seen = []
    with pytest.raises(KeyError) as caught:
        for b in loader:
            seen.append(b.item())
    text = str(caught.value)
    assert seen == [0, 1, 2, 3, 4]
    assert text.startswith("Caught KeyError in DataLoader worker process 1.\nOriginal Traceback")
    assert "in broken" in text and "sample 5 is broken" in text


def raising(error: Any) -> Any:
    def make(i: int) -> Any:
        raise error

    return make


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("v"), ValueError),
        (Told(3, "told"), RuntimeError),
        (StopIteration("s"), RuntimeError),
        (type("Local", (Exception,), {})("l"), RuntimeError),
        (OSError(2, "no such"), OSError),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), RuntimeError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_exceptions_of_every_kind(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="Original Traceback"):
        list(DataLoader(Samples(raising(error)), 1, num_workers=1))


def test_results_that_cannot_be_pickled() -> None:
    with pytest.raises(Exception, match=r"(?s)in DataLoader worker process 0.*pickle"):
        list(DataLoader(Samples(lambda i: threading.Lock()), None, num_workers=1))

    def graph(i: int) -> Any:
        return fc.ones(2).requires_grad_() * 2

    with pytest.raises(RuntimeError, match=r"detach\(\)"):
        list(DataLoader(Samples(graph), None, num_workers=1))


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_a_worker_that_dies_is_an_error(how: str) -> None:
    def die(i: int) -> int:
        if i == 3 and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if i == 3:
            os._exit(4)
        return i

    seen = []
    with pytest.raises(RuntimeError, match=r"worker 1 .*(signal SIGKILL|exited with code 4)"):
        for b in DataLoader(Samples(die), 1, num_workers=2):
            seen.append(b.item())
    assert seen == [0, 1, 2]


def test_a_worker_that_is_killed_between_epochs() -> None:
    loader = DataLoader(Samples(same), 1, num_workers=2, persistent_workers=True)
    assert len(list(loader)) == 8
    os.kill(pids_of(loader)[1], signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"worker 1 .*SIGKILL"):
        list(loader)
    assert len(list(loader)) == 8  # with new ones


def test_timeout_ends_a_worker_that_is_stuck() -> None:
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"timed out after 0.1 seconds"):
        list(DataLoader(Samples(lambda i: time.sleep(60)), 1, num_workers=2, timeout=0.1))
    assert time.monotonic() - start < 20 and not loaders()


def loaders() -> list[Any]:
    return [p for p in multiprocessing.active_children() if p.name.startswith("fastconv-loader")]


def test_workers_end_with_their_iterator(monkeypatch: Any) -> None:
    iterator = iter(DataLoader(Samples(same, 1000), 1, num_workers=3))
    next(iterator)
    assert len(loaders()) == 3
    del iterator
    gc.collect()
    assert not loaders()
    monkeypatch.setattr(processes, "GRACE", 0.05)  # one that is busy is ended
    iterator = iter(DataLoader(Samples(lambda i: time.sleep(60 * i)), None, num_workers=2))
    next(iterator)
    del iterator
    gc.collect()
    assert not loaders()


def script(text: str) -> subprocess.Popen[str]:
    head = """
        import os, signal, sys, time
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
        import fastconv as fc
        from fastconv.data import DataLoader, Dataset
        class Slow(Dataset):
            def __len__(self): return 100
            def __getitem__(self, i):
                if i >= 2: time.sleep(100)
                return os.getpid()
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(text)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int]) -> bool:
    """Whether none is left, after a while."""
    until = time.monotonic() + 20
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.01)
    return not any(alive(pid) for pid in pids)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc here")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_program_ends(sent: signal.Signals) -> None:
    """Ctrl-C ends it, with all workers; so does every other end."""
    program = script(
        """
        for i, batch in enumerate(DataLoader(Slow(), 1, num_workers=2)):
            print(batch.item(), flush=True)
        """
    )
    pids = [int(program.stdout.readline()) for _ in range(2)]
    assert all(alive(pid) for pid in pids)
    if sent == signal.SIGINT:
        os.killpg(program.pid, sent)  # as a terminal does
    else:
        program.send_signal(sent)
    _, errors = program.communicate(timeout=60)
    assert program.returncode in (-sent, 1, 130)
    assert ("KeyboardInterrupt" in errors) == (sent == signal.SIGINT)
    assert gone(pids)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc here")
def test_workers_notice_that_the_program_is_gone() -> None:
    program = script(
        """
        Slow.__getitem__ = lambda self, i: os.getpid()
        for i, batch in enumerate(DataLoader(Slow(), 1, num_workers=2)):
            print(batch.item(), flush=True)
            if i == 1: os._exit(0)
        """
    )
    pids = [int(line) for line in program.communicate(timeout=60)[0].split()]
    assert len(pids) == 2 and gone(pids)


def test_arguments() -> None:
    data = TensorDataset(fc.arange(4))
    for kwargs, match in (
        (dict(num_workers=1, multiprocessing_context="thread"), "multiprocessing_context"),
        (dict(multiprocessing_context="fork"), "multiprocessing_context"),
        (dict(num_workers=1, threads=True, multiprocessing_context="fork"), "multiprocessing"),
        (dict(timeout=float("nan")), "timeout"),
    ):
        with pytest.raises(ValueError, match=match):
            DataLoader(data, **kwargs)
    for kwargs, match in (
        (dict(num_workers=1, multiprocessing_context=3), "multiprocessing_context"),
        (dict(collate_fn=3), "collate_fn"),
        (dict(worker_init_fn="f"), "worker_init_fn"),
        (dict(timeout="1"), "timeout"),
    ):
        with pytest.raises(TypeError, match=match):
            DataLoader(data, **kwargs)
    loader = DataLoader(data, 2, num_workers=1, pin_memory=True, prefetch_factor=1, timeout=30)
    assert [b[0].tolist() for b in loader] == [[0, 1], [2, 3]]
    context = multiprocessing.get_context("fork")
    assert len(list(DataLoader(data, num_workers=1, multiprocessing_context=context))) == 4
    with pytest.raises(RuntimeError, match="a worker process cannot have workers"):
        nested = Samples(lambda i: len(list(DataLoader(data, num_workers=1))))
        list(DataLoader(nested, num_workers=1))
