"""Fixtures that several test modules share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import fastconv


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def thread_counts(request: Any) -> Iterator[None]:
    """Run a test with one thread and with two."""
    before = fastconv.get_num_threads()
    fastconv.set_num_threads(request.param)
    yield
    fastconv.set_num_threads(before)
