"""Functions of functions/more.py and methods beside them: values and gradients against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv

A = np.random.default_rng(4).standard_normal((3, 4))
POSITIVE = np.abs(A) + 1.25
UNIT = np.tanh(A)

#: Name: a call on the module and its tensors, and the arrays of these.
CASES: dict[str, tuple[Any, tuple[np.ndarray, ...]]] = {
    "asinh": (lambda m, x: m.asinh(x), (A,)),
    "acosh": (lambda m, x: x.acosh(), (POSITIVE,)),
    "atanh": (lambda m, x: m.arctanh(x), (UNIT,)),
    "hypot": (lambda m, x, y: m.hypot(x, y), (A, POSITIVE)),
    "logaddexp": (lambda m, x, y: m.logaddexp(x, y), (A, POSITIVE[0])),
    "frac": (lambda m, x: m.frac(x * 3), (A,)),
    "deg2rad": (lambda m, x: m.deg2rad(x), (A,)),
    "rad2deg": (lambda m, x: x.rad2deg(), (A,)),
    "rsub": (lambda m, x, y: m.rsub(x, y, alpha=2), (A, A)),
    "copysign": (lambda m, x, y: m.copysign(x, y), (A, A[::-1].copy())),
    "fmax": (lambda m, x, y: m.fmax(x, y), (A, np.where(A > 1, np.nan, -A))),
    "fmin": (lambda m, x, y: m.fmin(x, y), (A, np.where(A > 1, np.nan, -A))),
    "erfc": (lambda m, x: m.erfc(x), (A,)),
    "logit": (lambda m, x: m.logit(x, 0.01), (np.abs(UNIT),)),
    "sinc": (lambda m, x: m.sinc(x), (np.where(A > 1, 0, A),)),
    "xlogy": (lambda m, x, y: m.xlogy(x, y), (np.where(A > 0, A, 0), POSITIVE)),
    "atleast_1d": (lambda m, x: m.atleast_1d(x.sum()), (A,)),
    "atleast_2d": (lambda m, x: m.atleast_2d(x[0]), (A,)),
    "atleast_3d": (lambda m, x: m.atleast_3d(x[0], x)[1], (A,)),
    "column_stack": (lambda m, x: m.column_stack((x[:, 0], x)), (A,)),
    "row_stack": (lambda m, x: m.row_stack((x[0], x)), (A,)),
    "dstack": (lambda m, x: m.dstack((x, x * 2)), (A,)),
    "tensor_split": (lambda m, x: m.tensor_split(x, 3, 1)[0], (A,)),
    "tensor_split-at": (lambda m, x: x.tensor_split((1, 3), 1)[1], (A,)),
    "diag_embed": (lambda m, x: m.diag_embed(x), (A,)),
    "diag_embed-dims": (lambda m, x: m.diag_embed(x, 1, 0, 2), (A,)),
    "diag_embed-below": (lambda m, x: x.diag_embed(-2), (A,)),
    "diagflat": (lambda m, x: m.diagflat(x, 1), (A,)),
    "block_diag": (lambda m, x: m.block_diag(x, x[0], x[:, :2]), (A,)),
    "kron": (lambda m, x, y: m.kron(x, y), (A, A[0, :3])),
    "tensordot": (lambda m, x, y: m.tensordot(x, y, 1), (A, A.T.copy())),
    "tensordot-pairs": (lambda m, x, y: m.tensordot(x, y, ([0, 1], [1, 0])), (A, A.T.copy())),
    "vdot": (lambda m, x: m.vdot(x[0], x[1]), (A,)),
    "ger": (lambda m, x: m.ger(x[0], x[1]), (A,)),
    "cartesian_prod": (lambda m, x: m.cartesian_prod(x[0], x[1, :2]), (A,)),
    "combinations": (lambda m, x: m.combinations(x[0], 3), (A,)),
    "combinations-again": (lambda m, x: m.combinations(x[0], 2, True), (A,)),
    "trapezoid": (lambda m, x: m.trapezoid(x, dx=0.5, dim=0), (A,)),
    "trapz": (lambda m, x, y: m.trapz(x, y), (A, np.cumsum(POSITIVE[0]))),
    "kthvalue": (lambda m, x: m.kthvalue(x, 2)[0], (A,)),
    "kthvalue-dim": (lambda m, x: x.kthvalue(3, 0, True)[0], (A,)),
    "cummax": (lambda m, x: m.cummax(x, 1)[0], (A,)),
    "cummin": (lambda m, x: x.cummin(0)[0], (A,)),
    "msort": (lambda m, x: m.msort(x), (A,)),
    "mode": (lambda m, x: m.mode(x)[0], (A,)),
    "masked_scatter": (lambda m, x, y: m.masked_scatter(x, x > 0, y), (A, POSITIVE)),
    "index_put": (lambda m, x: x.index_put((m.tensor([0, 2]), m.tensor([1, 1])), x[1, :2]), (A,)),
    "cross": (lambda m, x: m.cross(x[:, 0], x[:, 1], dim=0), (A,)),
    "inverse": (lambda m, x: x[:, :3].inverse(), (A,)),
}  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("name", CASES)
def test_against_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    call, arrays = CASES[name]
    ours = [fastconv.tensor(a, dtype=fastconv.float64, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = call(fastconv, *ours), call(torch, *theirs)
    assert tuple(y.shape) == tuple(z.shape)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-7, atol=1e-9)
    g = np.random.default_rng(6).standard_normal(tuple(y.shape))
    y.backward(fastconv.tensor(g))
    z.backward(torch.tensor(g))
    for a, b in zip(ours, theirs, strict=True):
        if b.grad is not None:
            found = np.zeros(a.shape) if a.grad is None else a.grad.numpy()  # of a sign: none
            np.testing.assert_allclose(found, b.grad.numpy(), rtol=1e-6, atol=1e-8)


INTEGERS = np.array([[3, 1, 1, 2], [2, 2, 3, 3], [1, 1, 1, 0]])
PLAIN: dict[str, Any] = {
    "isin": lambda m, x: m.isin(x, m.tensor([1, 3])),
    "isin-not": lambda m, x: m.isin(x, m.tensor([1, 3]), invert=True),
    "isposinf": lambda m, x: m.isposinf(x / 0.0),
    "isneginf": lambda m, x: m.isneginf(-x / 0.0),
    "isreal": lambda m, x: m.isreal(x),
    "heaviside": lambda m, x: m.heaviside(x - 1.0, m.tensor(0.5)),
    "searchsorted": lambda m, x: m.searchsorted(m.tensor([0, 1, 2, 3]), x),
    "searchsorted-rows": lambda m, x: m.searchsorted(x.sort(1)[0], x, right=True),
    "bucketize": lambda m, x: m.bucketize(x, m.tensor([1, 2]), right=True),
    "mode": lambda m, x: m.mode(x, 1)[1],
    "cummax": lambda m, x: m.cummax(x, 1)[1],
    "cummin": lambda m, x: m.cummin(x, 0)[1],
    "unique_consecutive": lambda m, x: m.unique_consecutive(x),
    "unique_consecutive-counts": lambda m, x: m.unique_consecutive(x, True, True)[2],
    "unique_consecutive-inverse": lambda m, x: m.unique_consecutive(x, return_inverse=True)[1],
    "triu_indices": lambda m, x: m.triu_indices(3, 4, 1),
    "tril_indices": lambda m, x: m.tril_indices(3, 4),
    "eq_": lambda m, x: x.clone().eq_(1),
    "logical_not_": lambda m, x: (x > 1).logical_not_(),
    "masked_scatter_": lambda m, x: x.clone().masked_scatter_(x > 1, m.arange(12)),
    "index_put_": lambda m, x: x.clone().index_put_((m.tensor([0, 0]),), m.tensor(7), True),
    "fill_diagonal_": lambda m, x: x.clone().fill_diagonal_(9),
    "resize_": lambda m, x: x.clone().resize_(2, 3),
    "resize_as_": lambda m, x: x.clone().resize_as_(m.zeros(4)),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", PLAIN)
def test_integers_against_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    y, z = (
        PLAIN[name](fastconv, fastconv.tensor(INTEGERS)),
        PLAIN[name](torch, torch.tensor(INTEGERS)),
    )
    assert y.tolist() == z.tolist()
    assert str(y.dtype).rpartition(".")[2] == str(z.dtype).rpartition(".")[2]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: fastconv.kthvalue(x, 5), RuntimeError, "k must be 1 to 4"),
        (lambda x: fastconv.tensor_split(x, 0), RuntimeError, "positive"),
        (lambda x: fastconv.masked_scatter(x, x == x, x[0]), RuntimeError, "source has 4"),
        (lambda x: fastconv.searchsorted(x, x[0]), RuntimeError, "axes in front differ"),
        (lambda x: (x.requires_grad_() * 1).resize_(2), RuntimeError, "without a graph"),
        (lambda x: fastconv.hypot(x, "y"), TypeError, "hypot"),
    ],
)
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(fastconv.tensor(A))


def test_broadcast_shapes() -> None:
    assert fastconv.broadcast_shapes((3, 1), (4,), 4) == (3, 4)
