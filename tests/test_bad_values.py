"""Whatever is given to whatever public function: an error that says what is wrong, or a result."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from tests.bad_values import complaints, functions, methods

ROOMS = ["fc", "F", "init", "utils", "rnn", "nn", "optim", "linalg", "fft", "special"]


@pytest.mark.parametrize("where", ROOMS)
def test_functions_raise_plain_errors(where: str) -> None:
    """Never AttributeError, OverflowError, ZeroDivisionError or KeyError from inside; no hang.

    Functions are named by their errors, under the name that was called.
    """
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


NAMES = {
    "absolute": (), "arccos": (), "greater": (None,), "not_equal": (None,), "multiply": (None,),
    "subtract": (None,), "divide": (None,), "true_divide": (None,), "clip": ("x",), "ger": (T, 1),
    "moveaxis": (None, 0), "swapaxes": ("x", 0), "negative_": (1,), "subtract_": (None,),
    "divide_": (None,), "log1p_": (1,), "fix": (1,), "split_with_sizes": ([5],), "diagflat": ("x",),
    "new_zeros": ("x",), "reshape_as": (fc.ones(2),), "view": (2,), "inverse": (), "pinverse": (),
    "scatter_add": (0, T, T), "cummax": ("x",), "kthvalue": ("x",), "copysign": ("x",),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_name_that_was_called_is_the_one_in_the_error(name: str) -> None:
    arguments = NAMES[name]
    keywords = {"out": "x"} if name in ("absolute", "arccos") else {}
    with pytest.raises((TypeError, ValueError, IndexError, RuntimeError), match=rf"^{name}: "):
        getattr(fc.tensor([1.0, 2.0, 3.0]), name)(*arguments, **keywords)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fc.kron(None, T), "^kron: input must be a Tensor, got None"),
        (lambda: fc.trapz("x"), "^trapz: y must be a Tensor, got 'x'"),
        (lambda: fc.fmax(T, fc.ones(2)), r"^fmax: .*tensors.1. = a tensor float32 of shape \(2,\)"),
        (lambda: T.renorm(2, 0, 1), r"^renorm: input needs two axes, got shape \(3,\)"),
        (lambda: fc.special.entr(2.0), "^entr: input must be a Tensor, got 2.0"),
        (
            lambda: fc.linalg.inv(fc.ones(2, 3)),
            r"^linalg.inv: A must be square, got .*\(2, 3\)",
        ),
        (lambda: fc.linalg.inv(fc.zeros(2, 2)), "^inv: Singular matrix"),
        (lambda: fc.fft.fft(T, "x"), "^fft: n must be an int or None, got 'x'"),
        (
            lambda: nn.utils.fuse_conv_bn_eval(None, None),
            "^fuse_conv_bn_eval: conv must be a",
        ),
        (lambda: fc.set_default_tensor_type("x"), "^set_default_tensor_type: .*'x'"),
        (lambda: fc.set_float32_matmul_precision(1), "^set_float32_matmul_precision: precision"),
        (lambda: fc.tensor_split(T, 2**62), "^tensor_split: at most 16777216 sections"),
        (lambda: T.sum(keepdim="x"), "^sum: keepdim must be a bool, got 'x'"),
        (lambda: fc.tensor([1]).div_(2), "^div_: a result of type float32 cannot be put"),
    ],
)
def test_errors_are_whole_sentences(call: Any, match: str) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError, np.linalg.LinAlgError), match=match):
        call()


def test_errors_keep_their_cause() -> None:
    with pytest.raises(TypeError) as caught:
        fc.kron(None, T)
    assert isinstance(caught.value.__cause__, AttributeError)
    with pytest.raises(ZeroDivisionError):  # a user's own error is nobody else's
        T.apply_(lambda v: 1 / 0)


def test_differences_past_the_last_element() -> None:
    assert fc.diff(T, 2**62).shape == (0,) and fc.diff(T, 2).tolist() == [0.0]


@pytest.mark.torch
def test_other_types_in_place_and_beside_arrays_as_in_torch() -> None:
    torch = pytest.importorskip("torch")
    values, more = [250, 7, 3], [300, -2, 2]
    for name in ("add_", "sub_", "mul_", "floor_divide_", "remainder_"):
        mine = getattr(fc.tensor(values, dtype=fc.uint8), name)(fc.tensor(more))
        theirs = torch.tensor(values, dtype=torch.uint8)
        getattr(theirs, name)(torch.tensor(more))
        assert mine.dtype == fc.uint8 and mine.tolist() == theirs.tolist(), name
    assert fc.sign(fc.tensor([True, False])).tolist() == [True, False]
    big = 2**24 + 1  # float32 does not tell it from its neighbour
    assert (fc.tensor([1, 1], dtype=fc.uint8) & np.array([big, 2])).tolist() == [1, 0]
    assert (fc.tensor([big], dtype=fc.int32) == np.array([big - 1])).tolist() == [False]
    for approximate in ("none", "tanh"):
        want = torch.nn.functional.gelu(torch.tensor(2.0), approximate=approximate).item()
        got = fc.nn.functional.gelu(fc.tensor(2.0), approximate=approximate)
        assert got.shape == () and abs(got.item() - want) < 1e-6
    assert abs(fc.erf(fc.tensor(0.25)).item() - torch.erf(torch.tensor(0.25)).item()) < 1e-7


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
