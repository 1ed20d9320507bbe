"""Fixtures that several test modules share, and `--every`, a part of the suite."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import fastconv

#: A test function with more cases than this is run in part, if asked.
MANY = 100


def pytest_addoption(parser: Any) -> None:
    """`--every N`: stratified, as `make test` runs it; `.ci/run` runs all."""
    parser.addoption(
        "--every", type=int, default=1, metavar="N",
        help=f"of each test function with more than {MANY} cases run one in N (default: all)",
    )  # fmt: skip


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leave out what `--every` leaves out: by a checksum of its name, so always the same."""
    every = config.getoption("--every")
    if every < 1:
        raise pytest.UsageError(f"--every must be at least 1, got {every}")
    cases = Counter(item.nodeid.split("[")[0] for item in items)
    chosen, left = [], []
    for item in items:
        many = cases[item.nodeid.split("[")[0]] > MANY
        out = many and zlib.crc32(item.nodeid.encode()) % every
        (left if out else chosen).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = chosen


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def thread_counts(request: Any) -> Iterator[None]:
    """Run a test with one thread and with two."""
    before = fastconv.get_num_threads()
    fastconv.set_num_threads(request.param)
    yield
    fastconv.set_num_threads(before)
