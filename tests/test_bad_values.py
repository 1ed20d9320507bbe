"""Whatever is given to whatever public function: an error that says what is wrong, or a result."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from tests.bad_values import complaints, functions, methods


@pytest.mark.parametrize("where", ["fc", "F", "init", "utils", "nn", "optim"])
def test_functions_raise_plain_errors(where: str) -> None:
    """Never AttributeError, OverflowError, ZeroDivisionError or KeyError from inside; no hang."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = [
            text for name, f in functions() if name.startswith(f"{where}.")
            for text in complaints(name, f)
        ]  # fmt: skip
    assert not found, "\n".join(found[:20])


def test_methods_raise_plain_errors() -> None:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = [text for name, f in methods() for text in complaints(name, f)]
    assert not found, "\n".join(found[:20])


T = fc.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fc.masked_select(T, np.array([1, 2])), "masked_select: mask must be a Tensor"),
        (lambda: fc.masked_select(T, T), "masked_select: mask must be a bool tensor"),
        (lambda: fc.meshgrid(T, 1), r"meshgrid: tensors\[1\] must be a Tensor"),
        (lambda: fc.detach((3, 4)), "detach: input must be a Tensor"),
        (lambda: T.reshape_as((1, 0)), "reshape_as: other must be a Tensor"),
        (lambda: T.to(fc.int64).__pow__(2**64), "pow: 18446744073709551616 does not fit int64"),
        (lambda: fc.randperm(1e-320), r"randperm\(\): n must be an int"),
        (lambda: T.exponential_(False), "exponential_: lambd must be a number"),
        (lambda: T.add(T, alpha=None), "alpha must be a number"),
        (lambda: T + fc.ones(2), r"add: shapes \(3,\) and \(2,\)"),
        (lambda: T.clamp("x"), "clamp: expected a number"),
        (lambda: fc.rand(2, generator="x"), "generator must be a Generator"),
        (lambda: fc.arange(float("inf")), "arange: end must be finite"),
        (lambda: nn.init.trunc_normal_(fc.ones(3), std=float("inf")), "std must be finite"),
        (lambda: nn.utils.clip_grad_norm_("x", 1.0), "parameters must be an iterable"),
    ],
)
def test_errors_name_function_and_argument(call: Any, match: str) -> None:
    with pytest.raises((TypeError, ValueError), match=match):
        call()


def test_integers_wrap_as_in_pytorch() -> None:
    u = fc.tensor([255, 1], dtype=fc.uint8)
    assert (u + 300).tolist() == [43, 45] and (u - -1).tolist() == [0, 2]
    assert fc.where(u > 3, u, -1).tolist() == [255, 255]
    assert u.clamp(-1, 300).tolist() == [255, 1]  # the limits hold; PyTorch wraps them
    u.sub_(-1)
    assert u.tolist() == [0, 2]


@pytest.mark.parametrize("bounds", [(5.9, 100.0), (-100.0, -5.9), (0.1, 0.1 + 1e-9), (0.7, 0.9)])
def test_truncated_normals_do_not_wait_for_rare_draws(bounds: tuple[float, float]) -> None:
    fc.manual_seed(0)
    t = nn.init.trunc_normal_(fc.zeros(10_000, dtype=fc.float64), a=bounds[0], b=bounds[1])
    assert bounds[0] <= t.min().item() and t.max().item() <= bounds[1]
    grid = np.linspace(*np.clip(bounds, -9, 9), 100_001)
    weight = np.exp(-(grid**2) / 2)
    mean, spread = (grid * weight).sum() / weight.sum(), t.std().item() / 100
    assert abs(t.mean().item() - mean) < 5 * spread + 1e-9
