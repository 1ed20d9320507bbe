"""The buffer pool: blocks do not overlap, are used again, and go back to the system."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import numpy as np
import pytest

import fastconv as fc
from fastconv import backends
from fastconv.memory import empty, zeros_like

pytestmark = pytest.mark.skipif(bool(backends.why_not("c")), reason="no C extension")

#: Bytes below, in and above those that are cut from slabs, and so many that slabs fill up.
SIZES = [100, 1 << 13, 1 << 14, 70_000, 300_000, 900_000, (2 << 20) - 200, 2 << 20, 5 << 20]


def test_blocks_do_not_overlap():
    """Every block keeps what was written to it while others come and go."""
    block = backends.load("c").block
    draw = random.Random(0)
    held: list[tuple[np.ndarray, int]] = []
    for number in range(600):
        if held and (len(held) > 60 or draw.random() < 0.4):
            array, value = held.pop(draw.randrange(len(held)))
            assert array[0] == array[-1] == value and np.all(array[::4096] == value)
        if number % 150 == 149:
            fc.empty_cache()
        size = draw.choice(SIZES) + draw.randrange(3)
        array = np.frombuffer(block(size), np.uint8)
        assert array.ctypes.data % 64 == 0
        array[:] = number % 251
        held.append((array, number % 251))
    for array, value in held:
        assert np.all(array == value)


def test_memory_is_used_again_and_given_back():
    fc.empty_cache()
    before = fc.memory_stats()["in_use"]
    arrays = [empty((n // 4,), np.float32) for n in SIZES * 4 if n >= 1 << 16]
    assert fc.memory_stats()["in_use"] - before >= sum(a.nbytes for a in arrays)
    places = {a.ctypes.data for a in arrays}
    sizes = [a.size for a in arrays]
    arrays.clear()
    assert fc.memory_stats()["in_use"] == before
    again = [empty((n,), np.float32) for n in sizes]
    assert {a.ctypes.data for a in again} == places
    again.clear()
    assert fc.memory_stats()["cached"] > 0
    fc.empty_cache()
    assert fc.memory_stats() == {"in_use": before, "cached": 0, "packed": 0, "tables": 0}


def run(script: str, **environment: str) -> None:
    """Run a script in a process of its own, whose heap has nothing to give."""
    start = "import os, numpy as np, fastconv as fc\nfrom fastconv.memory import empty\n"
    subprocess.run(
        [sys.executable, "-c", start + script], env={**os.environ, **environment}, check=True
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_system_gets_it_back():
    run(
        "def resident():\n"
        "    pages = int(open('/proc/self/statm').read().split()[1])\n"
        "    return pages * os.sysconf('SC_PAGE_SIZE') >> 20\n"
        "empty((1 << 18,), np.float32)\n"
        "fc.empty_cache()\n"
        "start = resident()\n"
        "arrays = [empty((1 << 18,), np.float32) for _ in range(100)]\n"  # cut from slabs
        "for i, a in enumerate(arrays): a.fill(i)\n"
        "assert resident() - start > 90\n"
        "kept = arrays[50]\n"
        "del a, arrays\n"
        "fc.empty_cache()\n"
        "assert resident() - start < 20\n"
        "assert np.all(kept == 50)\n"
    )


def test_without_a_cache():
    """With a bound of nothing every block goes back at once, and comes from a slab again."""
    run(
        "kept = []\n"
        "for i in range(2000):\n"
        "    a = empty((100_000 + i % 7,), np.float32)\n"
        "    a.fill(i)\n"
        "    if i % 400 == 0: kept.append((a, i))\n"
        "assert all(np.all(a == i) for a, i in kept)\n"
        "assert fc.memory_stats()['cached'] == 0\n",
        FASTCONV_CACHE_MB="0",
    )


@pytest.mark.parametrize("last", [False, True])
def test_zeros_like(last):
    a = np.ones((2, 9, 40, 50), np.float32)
    a = a.transpose(0, 3, 1, 2) if last else a
    z = zeros_like(a)
    assert z.shape == a.shape and z.strides == a.strides and not z.any()


def test_what_nobody_takes_makes_room():
    """Blocks that wait since long ago give way to those in use now, young ones do not."""
    run(
        "mb = 1 << 18\n"
        "def take(n): return empty((n * mb - 1000,), np.float32).ctypes.data\n"
        "take(48)\n"  # waits
        "full = fc.memory_stats()['cached']\n"
        "take(40)\n"  # finds no room
        "assert fc.memory_stats()['cached'] == full\n"
        "for _ in range(1100): take(1)\n"
        "assert fc.memory_stats()['cached'] > full\n"
        "take(40)\n"  # the first one makes room
        "left = fc.memory_stats()['cached']\n"
        "assert 40 << 20 <= left < 48 << 20, left\n",
        FASTCONV_CACHE_MB="64",
    )
