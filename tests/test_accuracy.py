"""Rounding errors and page faults: what docs/accuracy.md and ARCHITECTURE.md say."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from bench import accuracy, thresholds
from fastconv import backends
from fastconv.shapes import Shape

pytestmark = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C extension")


@pytest.mark.parametrize("channels", [64, 512])
def test_winograd_error_does_not_grow_with_channels(channels: int) -> None:
    layer = Shape("deep", "accuracy", 1, channels, 48, (12, 12), (3, 3), padding=1)
    for row in accuracy.measure(layer, with_torch=False):
        direct, winograd = row.errors["gemm"], row.errors["winograd"]
        limit = 4 if row.direction == "backward weight" else 3.3  # docs/accuracy.md: up to 3.1
        assert winograd[0] < limit * direct[0], row
    assert "of 3 rows" in accuracy.summary(accuracy.measure(layer, with_torch=False))


def test_threshold_sections() -> None:
    for title, rows, directions in thresholds.sections():
        assert title.startswith("WINOGRAD_") and rows and directions
    found, _ = thresholds.ratio("conv_forward", thresholds.conv(1, 4, 4, 6, 3), 0.0)
    assert 0 < found < 100


COUNT = """
from bench.faults import count
from fastconv import models
from fastconv.optim import SGD
print(count(models.LeNet5, (64, 1, 28, 28), SGD, 10)[0])
"""


def test_no_page_faults_in_steady_state() -> None:
    if not sys.platform.startswith("linux") or os.confstr("CS_GNU_LIBC_VERSION") is None:
        pytest.skip("needs glibc")
    own: dict[str, Any] = {**os.environ, "FASTCONV_HEAP": "1", "FASTCONV_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env=own, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 40


def test_heap_switch() -> None:
    command = [sys.executable, "-c", "import fastconv; fastconv.ops.conv_forward"]
    command[-1] += "; from fastconv.backends import c"
    for value, code in (("0", 0), ("1", 0), ("2", 1)):
        own = {**os.environ, "FASTCONV_HEAP": value}
        done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == code and ("FASTCONV_HEAP must be" in done.stderr) == bool(code)
