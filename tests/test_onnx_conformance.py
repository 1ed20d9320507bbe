"""ONNX's own backend tests, run on fastconv: node cases, small networks, and nine whole ones.

The onnx package brings them. Node cases are generated when asked for, so a part of them is one test
here, which names every case that fails.
"""

from __future__ import annotations

import functools
import re
import unittest
from typing import Any

import pytest

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")

#: What is not run: a pattern of names, and the reason.
EXCLUDED = {
    r"FLOAT8|FLOAT4|_e4m3fn|_e5m2|float4e2m1|e8m0": "tensors have no 4- and 8-bit floats",
    r"INT4|INT2|_u?int4|_u?int2_": "tensors have no integers of less than a byte",
    r"image_decoder": "decoding pictures is Pillow's work",
    r"tfidfvectorizer|string_split|regex_full_match": "text is not a network's work",
    r"ai_onnx_ml": "domain ai.onnx.ml: trees and encoders, not networks",
    r"adagrad|adam|test_(nesterov_)?momentum|gradient_of":
        "domain ai.onnx.preview.training: fastconv.optim does it",
    r"_(dft|stft|melweightmatrix)(?!.*expanded)": "spectra of sound",
    r"bernoulli": "random numbers, which no two implementations share",
    r"attention_4d_causal_fp16":
        "computed in float32, where the expected values were rounded to float16 between the steps",
    r"loop16_seq_none": "onnx's own runner compares the numbers of a sequence as sequences",
}  # fmt: skip

#: At least so many cases are run of each kind.
FLOORS = {
    "NodeModel": 1650,
    "SimpleModel": 21,
    "PyTorchConvertedModel": 82,
    "PyTorchOperatorModel": 35,
    "RealModel": 9,
}
PARTS = 8


@functools.cache
def runner() -> Any:
    """The runner of onnx with our backend."""
    from onnx.backend.test.runner import Runner

    from fastconv.onnx.backend import FastconvBackend

    return Runner(FastconvBackend, __name__)


@functools.cache
def cases(kind: str) -> tuple[tuple[str, Any], ...]:
    """Name and function of every case of a kind, in order; those for other devices not."""
    items = sorted(runner()._test_items[kind].items())
    return tuple((name, item.func) for name, item in items if name.endswith("_cpu"))


def excluded(name: str) -> bool:
    """Whether a case is on the list."""
    return any(re.search(pattern, name) for pattern in EXCLUDED)


@pytest.mark.parametrize(
    ("kind", "part", "parts"),
    [
        *(("NodeModel", part, PARTS) for part in range(PARTS)),
        *((kind, 0, 1) for kind in FLOORS if kind != "NodeModel"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_cases(kind: str, part: int, parts: int, monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setenv("ONNX_HOME", str(tmp_path))  # where whole networks are unpacked
    ran, failed = 0, []
    for name, function in cases(kind)[part::parts]:
        if excluded(name):
            continue
        try:
            function(None)
        except unittest.SkipTest:
            continue
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        ran += 1
    assert not failed, "\n".join(failed)
    assert ran >= FLOORS[kind] // parts - 20 * (parts > 1), f"{ran} cases ran"


def test_floor() -> None:
    total = {kind: sum(not excluded(name) for name, _ in cases(kind)) for kind in FLOORS}
    assert all(total[kind] >= floor for kind, floor in FLOORS.items()), total
    assert sum(FLOORS.values()) >= 600


@pytest.mark.filterwarnings("ignore")
def test_every_exclusion_is_needed() -> None:
    names = [name for kind in FLOORS for name, _ in cases(kind)]
    for pattern in EXCLUDED:
        assert any(re.search(pattern, name) for name in names), pattern
    works = []
    for kind in FLOORS:
        for name, function in cases(kind):
            if excluded(name):
                try:
                    function(None)
                except Exception:
                    continue
                works.append(name)
    assert not works
