"""linalg and fft: values and gradients against PyTorch, and by their own definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv.autograd import gradcheck

RNG = np.random.default_rng(3)
KINDS = ["float32", "float64"]


def _matrix(*shape: int, spd: bool = False) -> np.ndarray:
    a = RNG.standard_normal(shape)
    if spd:
        return a @ np.swapaxes(a, -1, -2) + shape[-1] * np.eye(shape[-1])
    return a + 2 * np.eye(*shape[-2:])


#: Name, function of the module and matrices, their arguments.
CASES: dict[str, tuple[Any, tuple[np.ndarray, ...]]] = {
    "inv": (lambda m, a: m.inv(a), (_matrix(2, 3, 3),)),
    "solve": (lambda m, a, b: m.solve(a, b), (_matrix(3, 3), _matrix(3, 2))),
    "solve-batch": (lambda m, a, b: m.solve(a, b), (_matrix(2, 3, 3), _matrix(3, 2))),
    "solve-vector": (lambda m, a, b: m.solve(a, b), (_matrix(3, 3), _matrix(3, 2)[:, 0])),
    "solve-right": (lambda m, a, b: m.solve(a, b, left=False), (_matrix(3, 3), _matrix(2, 3))),
    "det": (lambda m, a: m.det(a), (_matrix(2, 3, 3),)),
    "slogdet": (lambda m, a: m.slogdet(a)[1], (_matrix(2, 4, 4),)),
    "cholesky": (lambda m, a: m.cholesky(a), (_matrix(2, 3, 3, spd=True),)),
    "eigvalsh": (lambda m, a: m.eigvalsh(a), (_matrix(2, 4, 4, spd=True),)),
    "eigh": (lambda m, a: m.eigh(a)[1].abs(), (_matrix(3, 3, spd=True),)),
    "svdvals": (lambda m, a: m.svdvals(a), (_matrix(2, 4, 3),)),
    "svd-tall": (lambda m, a: m.svd(a, full_matrices=False)[0].abs(), (_matrix(4, 3),)),
    "svd-wide": (lambda m, a: m.svd(a, full_matrices=False)[2].abs(), (_matrix(2, 4),)),
    "qr": (lambda m, a: m.qr(a)[1].abs(), (_matrix(2, 4, 3),)),
    "pinv": (lambda m, a: m.pinv(a), (_matrix(4, 3),)),
    "lstsq": (lambda m, a, b: m.lstsq(a, b)[0], (_matrix(4, 3), _matrix(4, 2))),
    "matrix_power": (lambda m, a: m.matrix_power(a, 3), (_matrix(2, 3, 3),)),
    "matrix_power-negative": (lambda m, a: m.matrix_power(a, -2), (_matrix(3, 3),)),
    "multi_dot": (lambda m, a, b: m.multi_dot([a, b, a]), (_matrix(3, 2), _matrix(2, 3))),
    "cross": (lambda m, a, b: m.cross(a, b), (_matrix(4, 3), _matrix(4, 3))),
    "vecdot": (lambda m, a, b: m.vecdot(a, b), (_matrix(4, 3), _matrix(4, 3))),
    "cond": (lambda m, a: m.cond(a), (_matrix(3, 3),)),
    "norm": (lambda m, a: m.norm(a), (_matrix(2, 3, 4),)),
    "norm-dim": (lambda m, a: m.norm(a, dim=1), (_matrix(3, 4),)),
    "norm-1": (lambda m, a: m.norm(a, 1, (0, 1)), (_matrix(3, 4),)),
    "vector_norm": (lambda m, a: m.vector_norm(a, 3, 1, True), (_matrix(3, 4),)),
    **{
        f"matrix_norm{order}": (
            lambda m, a, order=order: m.matrix_norm(a, order, keepdim=True),
            (_matrix(2, 3, 4),),
        )
        for order in ("fro", "nuc", 1, -1, 2, -2, float("inf"), float("-inf"))
    },
}


#: Of values, and of gradients.
CLOSE = {
    "float32": (dict(rtol=2e-4, atol=2e-5), dict(rtol=5e-3, atol=1e-3)),
    "float64": (dict(rtol=1e-9, atol=1e-11), dict(rtol=1e-7, atol=1e-9)),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_linalg_torch(name: str, kind: str) -> None:
    """Values in both types as PyTorch's; gradients as PyTorch's in float64."""
    torch = pytest.importorskip("torch")
    function, arrays = CASES[name]
    given = [a.astype(kind) for a in arrays]
    theirs = [torch.tensor(a).double().requires_grad_() for a in given]
    ours = [fastconv.tensor(a, requires_grad=True) for a in given]
    y, z = function(fastconv.linalg, *ours), function(torch.linalg, *theirs)
    values, gradients = CLOSE[kind]
    assert y.dtype == getattr(fastconv, kind)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), **values)
    g = RNG.standard_normal(tuple(y.shape)).astype(kind)
    y.backward(fastconv.tensor(g))
    z.backward(torch.tensor(g).double())
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad.dtype == a.dtype
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), **gradients)


#: What NumPy's function of the same matrices gives.
BY_NUMPY: dict[str, Any] = {
    "inv": np.linalg.inv,
    "solve": np.linalg.solve,
    "solve-batch": np.linalg.solve,
    "solve-vector": np.linalg.solve,
    "solve-right": lambda a, b: b @ np.linalg.inv(a),
    "det": np.linalg.det,
    "slogdet": lambda a: np.linalg.slogdet(a)[1],
    "cholesky": np.linalg.cholesky,
    "eigvalsh": np.linalg.eigvalsh,
    "svdvals": lambda a: np.linalg.svd(a, compute_uv=False),
    "pinv": np.linalg.pinv,
    "lstsq": lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0],
    "matrix_power": lambda a: a @ a @ a,
    "matrix_power-negative": lambda a: np.linalg.inv(a @ a),
    "multi_dot": lambda a, b: a @ b @ a,
    "cross": np.cross,
    "vecdot": lambda a, b: (a * b).sum(-1),
    "cond": np.linalg.cond,
    "norm": lambda a: np.sqrt((a * a).sum()),
    "norm-dim": lambda a: np.linalg.norm(a, axis=1),
    "norm-1": lambda a: np.linalg.norm(a, 1),
    "vector_norm": lambda a: np.linalg.norm(a, 3, 1, True),
    **{
        f"matrix_norm{order}": lambda a, order=order: np.linalg.norm(a, order, (-2, -1), True)
        for order in ("fro", "nuc", 1, -1, 2, -2, float("inf"), float("-inf"))
    },
}


@pytest.mark.parametrize("name", BY_NUMPY)
@pytest.mark.parametrize("kind", KINDS)
def test_linalg_values(name: str, kind: str) -> None:
    function, arrays = CASES[name]
    given = [a.astype(kind) for a in arrays]
    found = function(fastconv.linalg, *[fastconv.tensor(a) for a in given])
    want = BY_NUMPY[name](*[a.astype(np.float64) for a in given])
    assert found.dtype == getattr(fastconv, kind)
    np.testing.assert_allclose(found.numpy(), want, **CLOSE[kind][0])


@pytest.mark.parametrize("name", CASES)
def test_linalg_gradients(name: str) -> None:
    function, arrays = CASES[name]
    ours = [fastconv.tensor(a, dtype=fastconv.float64, requires_grad=True) for a in arrays]
    if name in ("eigvalsh", "eigh", "cholesky"):  # one triangle alone is looked at
        assert gradcheck(lambda a: function(fastconv.linalg, (a + a.mT) / 2), ours)
        return
    assert gradcheck(lambda *t: function(fastconv.linalg, *t), ours)


def test_det_of_a_singular_matrix() -> None:
    a = fastconv.ones(2, 2, dtype=fastconv.float64, requires_grad=True)
    fastconv.linalg.det(a).backward()
    np.testing.assert_allclose(a.grad.numpy(), [[1, -1], [-1, 1]], atol=1e-12)  # the cofactors


def test_linalg_without_a_gradient() -> None:
    a = _matrix(4, 3)
    np.testing.assert_allclose(fastconv.linalg.matrix_rank(fastconv.tensor(a)).item(), 3)
    q, r = fastconv.linalg.qr(fastconv.tensor(a), "complete")
    np.testing.assert_allclose((q @ r).numpy(), a, atol=1e-12)
    u, s, vh = fastconv.linalg.svd(fastconv.tensor(a))
    assert u.shape == (4, 4) and s.shape == (3,) and vh.shape == (3, 3)
    x = fastconv.tensor(a, requires_grad=True)
    with pytest.raises(RuntimeError, match="full_matrices=False"):
        fastconv.linalg.svd(x)
    with pytest.raises(RuntimeError, match=r"square, got shape \(4, 3\)"):
        fastconv.linalg.inv(x)
    with pytest.raises(TypeError, match="int64"):
        fastconv.linalg.inv(fastconv.eye(3).long())
    with pytest.raises(fastconv.linalg.LinAlgError):
        fastconv.linalg.inv(fastconv.zeros(2, 2))


def test_linalg_at_the_top() -> None:
    a = fastconv.tensor(_matrix(3, 3))
    np.testing.assert_allclose((fastconv.inverse(a) @ a).numpy(), np.eye(3), atol=1e-6)
    assert fastconv.det(a).shape == () and fastconv.slogdet(a)[0].shape == ()


# Fourier transforms

SHAPE = (2, 5, 6)
TRANSFORMS: dict[str, Any] = {
    "fft": lambda m, x: m.fft(x),
    "fft-n": lambda m, x: m.fft(x, 4, 1),
    "fft-longer": lambda m, x: m.fft(x, 9, -1, "ortho"),
    "ifft": lambda m, x: m.ifft(x, dim=1),
    "fft2": lambda m, x: m.fft2(x),
    "fft2-s": lambda m, x: m.fft2(x, (4, 8), norm="forward"),
    "ifft2": lambda m, x: m.ifft2(x, norm="forward"),
    "fftn": lambda m, x: m.fftn(x),
    "ifftn": lambda m, x: m.ifftn(x, dim=(0, 2)),
    "rfft": lambda m, x: m.rfft(x),
    "rfft-odd": lambda m, x: m.rfft(x, dim=1, norm="ortho"),
    "rfft2": lambda m, x: m.rfft2(x),
    "rfftn": lambda m, x: m.rfftn(x),
    "shift": lambda m, x: m.fftshift(m.fft2(x), (-2, -1)),
    "unshift": lambda m, x: m.ifftshift(m.fft2(x)),
}
BACK: dict[str, Any] = {
    "irfft": lambda m, x: m.irfft(m.rfft(x)),
    "irfft-odd": lambda m, x: m.irfft(m.rfft(x, dim=1), 5, 1),
    "irfft-shorter": lambda m, x: m.irfft(m.rfft(x), 4, norm="ortho"),
    "irfft2": lambda m, x: m.irfft2(m.rfft2(x) * 2.0),
    "irfft2-s": lambda m, x: m.irfft2(m.rfft2(x), (5, 7)),
    "irfftn": lambda m, x: m.irfftn(m.rfftn(x), norm="forward"),
    "filter": lambda m, x: m.ifft2(m.fft2(x) * m.fft2(x * 2 + 1).conj()).real,
    "quotient": lambda m, x: m.ifft2(m.fft2(x) / (m.fft2(x).abs() + 1)).imag,
    "magnitude": lambda m, x: m.fft2(x).abs(),
    "phase": lambda m, x: m.fft2(x).angle().cos(),  # on the cut, ±π by the sign of a zero
}


@pytest.mark.torch
@pytest.mark.parametrize("name", [*TRANSFORMS, *BACK])
@pytest.mark.parametrize("kind", KINDS)
def test_fft_torch(name: str, kind: str) -> None:
    torch = pytest.importorskip("torch")
    a = np.random.default_rng(5).standard_normal(SHAPE).astype(kind)
    x, t = fastconv.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if kind == "float64" else {"rtol": 1e-3, "atol": 1e-4}
    if name in TRANSFORMS:
        y, z = TRANSFORMS[name](fastconv.fft, x), TRANSFORMS[name](torch.fft, t)
        assert y.shape == z.shape and str(y.dtype).endswith(str(z.dtype).rpartition(".")[2])
        y, z = fastconv.view_as_real(y), torch.view_as_real(z.resolve_conj())
    else:
        y, z = BACK[name](fastconv.fft, x), BACK[name](torch.fft, t)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), **tolerance)
    g = RNG.standard_normal(tuple(y.shape)).astype(kind)
    y.backward(fastconv.tensor(g))
    z.backward(torch.tensor(g))
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), **tolerance)


def test_fft_values() -> None:
    """As NumPy's, of real and complex signals; the inverse undoes it in each norm."""
    a = np.random.default_rng(6).standard_normal(SHAPE)
    x = fastconv.tensor(a)
    for name, call in {**TRANSFORMS, **BACK}.items():
        if name in ("filter", "quotient", "magnitude", "phase"):
            continue
        want = call(_NumPy, a)
        got = call(fastconv.fft, x)
        got = got.tolist() if name in TRANSFORMS else got.numpy()
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-12, atol=1e-12, err_msg=name)
    for norm in ("backward", "ortho", "forward"):
        back = fastconv.fft.ifftn(fastconv.fft.fftn(x, norm=norm), norm=norm)
        np.testing.assert_allclose(back.real.numpy(), a, atol=1e-12)
        np.testing.assert_allclose(back.imag.numpy(), 0, atol=1e-12)


class _Reference:
    """numpy.fft with PyTorch's names of arguments."""

    def __getattr__(self, name: str) -> Any:
        several = name.rstrip("n2") != name or name.endswith("shift")

        def call(x: Any, n: Any = None, dim: Any = None, norm: Any = None) -> Any:
            function = getattr(np.fft, name)
            if name.endswith("shift"):
                return function(x, n if n is not None else dim)
            if several:
                axes = dim if dim is not None else (-2, -1) if name.endswith("2") else None
                return function(x, n, axes, norm)
            return function(x, n, -1 if dim is None else dim, norm)

        return call


_NumPy: Any = _Reference()


def test_complex_pairs() -> None:
    x = fastconv.tensor([[3.0, 0.0], [4.0, 0.0]])
    z = fastconv.complex(x[0], x[1])
    assert z.abs().tolist() == [5.0, 0.0] and abs(z).tolist() == [5.0, 0.0]
    assert fastconv.real(z).tolist() == [3.0, 0.0] and fastconv.imag(z).tolist() == [4.0, 0.0]
    assert (z * z.conj()).real.tolist() == [25.0, 0.0]
    assert (1j * z).tolist() == [-4 + 3j, 0] and (2 - z).tolist() == [-1 - 4j, 2]
    assert fastconv.view_as_complex(fastconv.view_as_real(z)).tolist() == z.tolist()
    assert fastconv.polar(fastconv.ones(1), fastconv.zeros(1)).tolist() == [1]
    assert z.dtype == fastconv.complex64 and z.is_complex() and z[0].item() == 3 + 4j
    with pytest.raises(TypeError, match="complex64"):
        fastconv.zeros(2, dtype=fastconv.complex64)
    with pytest.raises(ValueError, match="one shape"):
        fastconv.complex(fastconv.zeros(2), fastconv.zeros(3))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: fastconv.fft.fft(x, norm="no"), RuntimeError, "norm"),
        (lambda x: fastconv.fft.fft(x, 0), RuntimeError, "positive"),
        (lambda x: fastconv.fft.fft2(x, (1, 2, 3)), RuntimeError, "one length"),
        (lambda x: fastconv.fft.fftn(x, dim=(0, 0)), RuntimeError, "once"),
        (lambda x: fastconv.fft.rfft(fastconv.fft.fft(x)), RuntimeError, "real"),
        (lambda x: fastconv.fft.fft([1.0]), TypeError, "Tensor"),
        (lambda x: fastconv.imag(x), RuntimeError, "real tensors"),
    ],
)
def test_fft_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call(fastconv.ones(3, 4))


def test_frequencies() -> None:
    assert fastconv.fft.fftfreq(4).tolist() == [0.0, 0.25, -0.5, -0.25]
    assert fastconv.fft.rfftfreq(4, 0.5).tolist() == [0.0, 0.5, 1.0]


@pytest.mark.torch
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(3, 5), (20, 9), (7, 30)])
def test_antialias_torch(mode: str, size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    a = RNG.standard_normal((2, 3, 13, 17))
    x, t = fastconv.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    y = fastconv.nn.functional.interpolate(x, size, mode=mode, antialias=True)
    z = torch.nn.functional.interpolate(t, size, mode=mode, antialias=True)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), atol=1e-9)
    y.square().sum().backward()
    z.square().sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), atol=1e-8)
