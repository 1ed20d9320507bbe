"""``fastconv.precision("exact")``: float32 convolutions as exact as their type."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from bench import accuracy_networks
from fastconv import backends, config, ops
from fastconv.planner import choose, pick
from fastconv.shapes import Shape
from fastconv.verify.graphs import check, draw_program

needs_c = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C extension")

LAYERS: tuple[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ((2, 32, 14, 14), (48, 32, 3, 3), {"padding": 1}),
    ((2, 24, 15, 13), (32, 24, 3, 3), {"padding": 1, "stride": 2}),
    ((2, 32, 12, 12), (32, 1, 3, 3), {"padding": 1, "groups": 32}),
    ((2, 32, 12, 12), (32, 8, 3, 3), {"padding": 2, "dilation": 2, "groups": 4}),
    ((2, 3, 20, 20), (16, 3, 7, 7), {"padding": 3, "stride": 2}),
    ((3, 48, 9, 9), (40, 48, 1, 1), {}),
    ((2, 16, 50), (32, 16, 5), {"padding": 2}),
    ((1, 16, 6, 8, 8), (16, 16, 3, 3, 3), {"padding": 1}),
    ((2, 12, 5, 5), (20, 12, 5, 5), {}),
)


def rounded_once(found: np.ndarray, exact: np.ndarray) -> bool:
    """Whether float32 values are the float64 ones, rounded; a sum next to a tie may fall over."""
    assert found.dtype == np.float32 and exact.dtype == np.float64
    same = found == exact.astype(np.float32)
    close = np.abs(found - exact) <= 2.0**-23 * np.abs(exact) + 1e-13 * np.abs(exact).max()
    return bool(same.mean() > 0.999 and close.all())


def directions(x: np.ndarray, w: np.ndarray, g: Any, options: dict[str, Any]) -> list[np.ndarray]:
    """The results of all three, in the type of x."""
    return [
        ops.conv_forward(x, w, **options),
        ops.conv_backward_input(g.astype(x.dtype), w, x.shape, **options),
        ops.conv_backward_weight(g.astype(x.dtype), x, w.shape, **options),
    ]


@pytest.mark.parametrize("backend", ["c", "numba"])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer[0]} {layer[1]}")
@pytest.mark.parametrize("last", [False, True])
def test_convolutions(layer: Any, last: bool, backend: str) -> None:
    if backends.why_not(backend) is not None:
        pytest.skip(f"no {backend}")
    if backend == "numba" and (last or layer not in LAYERS[1:4]):
        pytest.skip("one of each of its kernels is enough: they are compiled first")
    x_shape, w_shape, options = layer
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in (x_shape, w_shape))
    if last:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    with fc.backend(backend), fc.algorithm("gemm" if backend == "c" else "direct"):
        g = rng.standard_normal(ops.conv_forward(x, w, **options).shape).astype(np.float32)
        exact = directions(x.astype(np.float64), w.astype(np.float64), g, options)
    with fc.backend(backend), fc.precision("exact"):
        found = directions(x, w, g, options)
    for one, want in zip(found, exact, strict=True):
        assert rounded_once(one, want)


def gradients(kind: Any, transposed: bool) -> list[np.ndarray]:
    """Of a small net with a fully connected layer, without a normalisation."""
    rng = np.random.default_rng(1)
    shapes = (2, 4, 9, 9), (4, 6, 3, 3), (6,), (5, 6 * 121) if transposed else (5, 6 * 49), (5,)
    x, w, b, v, c = (fc.tensor(rng.standard_normal(s).astype(np.float32)) for s in shapes)
    leaves = [t.to(kind).requires_grad_() for t in (x, w, b, v, c)]
    x, w, b, v, c = leaves
    if transposed:
        y = F.conv_transpose2d(x, w, b)
    else:
        y = F.conv2d(x, w.transpose(0, 1).contiguous(), b)
    F.linear(y.flatten(1), v, c).sum().backward()
    return [t.grad.numpy() for t in leaves if t.grad is not None]


@needs_c
@pytest.mark.parametrize("transposed", [False, True])
def test_graph(transposed: bool) -> None:
    """In the graph too, and it changes nothing in float64."""
    exact = gradients(fc.float64, transposed)
    with fc.precision("exact"), fc.algorithm("winograd"):
        found, wide = gradients(fc.float32, transposed), gradients(fc.float64, transposed)
    for a, b, c in zip(found, wide, exact, strict=True):
        apart = np.abs(a - c).max() / np.abs(c).max()
        assert apart < 2e-7 and np.allclose(b, c, rtol=1e-12, atol=1e-12)


@needs_c
def test_chosen() -> None:
    """No transformed data, also where it is asked for or was measured as the fastest."""
    spec = Shape("deep", "test", 1, 64, 64, (28, 28), (3, 3), padding=1).spec()
    assert pick("conv_forward", spec, "c").algorithm == "winograd"
    assert pick("conv_forward", spec, "c", "winograd", exact=True).algorithm == "direct"
    usual = choose("conv_forward", spec)
    with fc.precision("exact"):
        assert choose("conv_forward", spec) is not usual
        with fc.autotune():
            assert not config.switches().autotuning
        text = str(fc.explain("conv2d", (1, 64, 28, 28), (64, 64, 3, 3), padding=1))
        assert "precision: exact" in text and "left out: rounds more" in text
        with fc.precision("default"):
            assert choose("conv_forward", spec) is usual
    assert choose("conv_forward", spec) is usual
    assert "precision" not in str(fc.explain("conv2d", (1, 64, 28, 28), (64, 64, 3, 3), padding=1))


def test_names() -> None:
    assert config.current_precision() == "default"
    for wrong in ("high", None, True):
        with pytest.raises(ValueError, match=r"precision must be one of \('default', 'exact'\)"):
            fc.precision(wrong)  # type: ignore[arg-type]


def test_environment() -> None:
    program = "import fastconv.config as c; print(c.current_precision(), c.switches().exact)"
    for value, want in (("exact", "exact True"), ("default", "default False"), ("", "default F"),
                        ("best", None)):  # fmt: skip
        own = {**os.environ, "FASTCONV_PRECISION": value}
        done = subprocess.run(
            [sys.executable, "-c", program], env=own, capture_output=True, text=True, check=False
        )
        if want is None:
            assert done.returncode and "precision must be one of" in done.stderr
        else:
            assert done.stdout.startswith(want)


@needs_c
def test_fusion_agrees() -> None:
    """What joins a convolution is a pass of its own here, and gives the same."""
    with fc.precision("exact"):
        for seed in range(50_000, 50_025):
            assert check(draw_program(seed)) == ("", "")


@needs_c
def test_networks_table() -> None:
    """The script behind the table in docs/accuracy.md; exact gradients are the closer ones."""
    row = accuracy_networks.measure("small", accuracy_networks.unet, 1, 16, 2, False)
    assert max(row.errors["exact"]) < 1e-5 and row.flips["exact"] == [0, 0]
    head, lines = accuracy_networks.table([row])
    assert len(head) == len(lines[0]) and lines[0][0] == "small"
