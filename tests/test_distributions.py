"""Distributions: densities, entropies and distances against SciPy, formulas and PyTorch; draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import distributions as D

KINDS = ["float32", "float64"]
TOLERANCE = {"float32": dict(rtol=2e-5, atol=2e-6), "float64": dict(rtol=1e-11, atol=1e-13)}

LOC = np.array([[0.5, -2.0, 3.0], [0.0, 1.0, -1.0]])
SCALE = np.array([0.3, 1.0, 2.5])
LOW, WIDTH = np.array([-1.0, 0.0, 2.0]), np.array([0.5, 1.0, 4.0])
SHARES = np.array([[0.1, 0.5, 0.9], [0.3, 0.7, 0.95]])
SCORES = np.random.default_rng(0).standard_normal((2, 4)) * 2
COUNTS = np.exp(SCORES)
LIKELY = COUNTS / COUNTS.sum(-1, keepdims=True)
BITS, CLASSES = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), np.array([[0, 3], [2, 1], [3, 3]])
SIGMOID = 1 / (1 + np.exp(-LOC))

#: Name, how it is made of a module and its parameters, the parameters.
MADE: dict[str, tuple[Any, tuple[np.ndarray, ...]]] = {
    "normal": (lambda d, a, b: d.Normal(a, b), (LOC, SCALE)),
    "uniform": (lambda d, a, b: d.Uniform(a, a + b), (LOW, WIDTH)),
    "bernoulli": (lambda d, p: d.Bernoulli(p), (SHARES,)),
    "bernoulli logits": (lambda d, a: d.Bernoulli(logits=a), (LOC,)),
    "categorical": (lambda d, p: d.Categorical(p), (COUNTS,)),
    "categorical logits": (lambda d, a: d.Categorical(logits=a), (SCORES,)),
    "independent": (lambda d, a, b: d.Independent(d.Normal(a, b), 1), (LOC, SCALE)),
}
NORMAL_AT = LOC + np.array([0.1, -1.0, 4.0])
UNIFORM_AT = LOW + WIDTH * np.array([0.25, 0.5, 0.999])
GAUSS = -(((NORMAL_AT - LOC) / SCALE) ** 2) / 2 - np.log(SCALE) - math.log(2 * math.pi) / 2


def bits(p: np.ndarray) -> np.ndarray:
    return np.where(BITS == 1, np.log(p), np.log1p(-p))


def coin(p: np.ndarray) -> np.ndarray:
    return -p * np.log(p) - (1 - p) * np.log1p(-p)


#: At which values, the logarithms of densities there, entropies, means and variances.
WANTED: dict[str, tuple[np.ndarray, ...]] = {
    "normal": (NORMAL_AT, GAUSS, np.log(SCALE) + (1 + math.log(2 * math.pi)) / 2 + 0 * LOC, LOC,
               SCALE**2 + 0 * LOC),
    "uniform": (UNIFORM_AT, -np.log(WIDTH), np.log(WIDTH), LOW + WIDTH / 2, WIDTH**2 / 12),
    "bernoulli": (BITS, bits(SHARES), coin(SHARES), SHARES, SHARES * (1 - SHARES)),
    "bernoulli logits": (BITS, bits(SIGMOID), coin(SIGMOID), SIGMOID, SIGMOID * (1 - SIGMOID)),
    "categorical": (CLASSES, np.log(LIKELY[[[0, 1]] * 3, CLASSES]),
                    -(LIKELY * np.log(LIKELY)).sum(-1)),
    "categorical logits": (CLASSES, np.log(LIKELY[[[0, 1]] * 3, CLASSES]),
                           -(LIKELY * np.log(LIKELY)).sum(-1)),
    "independent": (NORMAL_AT, GAUSS.sum(1),
                    (np.log(SCALE) + (1 + math.log(2 * math.pi)) / 2 + 0 * LOC).sum(1), LOC,
                    SCALE**2 + 0 * LOC),
}  # fmt: skip


def made(name: str, kind: str, lib: Any = fc) -> tuple[Any, list[Any]]:
    make, parameters = MADE[name]
    leaves = [lib.tensor(p.astype(kind)).requires_grad_() for p in parameters]
    return make(lib.distributions, *leaves), leaves


def at(name: str, kind: str, lib: Any = fc) -> Any:
    value = WANTED[name][0]
    return lib.tensor(value if value.dtype.kind == "i" else value.astype(kind))


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("kind", KINDS)
def test_values(name: str, kind: str) -> None:
    d, _ = made(name, kind)
    _, density, entropy, *moments = WANTED[name]
    pairs = [(d.log_prob(at(name, kind)), density), (d.entropy(), entropy)]
    if moments:
        mean, variance = moments
        pairs += [(d.mean, mean), (d.variance, variance), (d.stddev, np.sqrt(variance))]
        pairs += [(d.perplexity(), np.exp(entropy))]
    for got, want in pairs:
        assert got.dtype == getattr(fc, kind) and got.shape == want.shape
        np.testing.assert_allclose(got.detach().numpy(), want, **TOLERANCE[kind])


@pytest.mark.torch
@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("kind", KINDS)
def test_as_in_torch(name: str, kind: str) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for lib in (fc, torch):
        d, leaves = made(name, kind, lib)
        parts = [d.log_prob(at(name, kind, lib)), d.entropy()]
        if not name.startswith("categorical"):
            parts += [d.mean, d.variance]
        if name in ("normal", "uniform"):
            parts.append(d.cdf(at(name, kind, lib)))
        sum((p * p.cos()).sum() for p in parts).backward()
        found.append([*parts, *[t.grad for t in leaves]])
        assert tuple(d.batch_shape) == tuple(made(name, kind)[0].batch_shape)
        assert tuple(d.event_shape) == tuple(made(name, kind)[0].event_shape)
    for ours, theirs in zip(*found, strict=True):
        assert tuple(ours.shape) == tuple(theirs.shape)
        np.testing.assert_allclose(
            ours.detach().numpy(), theirs.detach().numpy(), **TOLERANCE[kind]
        )


def test_cdf() -> None:
    stats = pytest.importorskip("scipy.stats")
    normal, uniform = made("normal", "float64")[0], made("uniform", "float64")[0]
    np.testing.assert_allclose(
        normal.cdf(fc.tensor(NORMAL_AT)).detach().numpy(), stats.norm.cdf(NORMAL_AT, LOC, SCALE),
        rtol=1e-12,
    )  # fmt: skip
    x = np.array([[-5.0, 0.5, 9.0], [-0.75, 0.25, 3.0]])
    np.testing.assert_allclose(
        uniform.cdf(fc.tensor(x)).detach().numpy(), stats.uniform.cdf(x, LOW, WIDTH), rtol=1e-12
    )


@pytest.mark.parametrize("name", MADE)
def test_draws(name: str) -> None:
    """Shape, type and range; the mean within five standard errors; the seed gives them again."""
    fc.manual_seed(3)
    d, _ = made(name, "float64")
    x = d.sample((4000, 2))
    assert x.shape == (4000, 2, *d.batch_shape, *d.event_shape) and not x.requires_grad
    fc.manual_seed(3)
    np.testing.assert_array_equal(d.sample((4000, 2)).numpy(), x.numpy())
    assert d.sample().shape == (*d.batch_shape, *d.event_shape)
    assert d.sample_n(3).shape == (3, *d.batch_shape, *d.event_shape)
    values = x.numpy().reshape(8000, *x.shape[2:])
    if name.startswith("categorical"):
        assert x.dtype == fc.int64
        shares = np.stack([(values == k).mean(0) for k in range(4)], -1)
        error = np.sqrt(LIKELY * (1 - LIKELY) / 8000)
        assert (np.abs(shares - LIKELY) < 5 * error).all()
        return
    mean, variance = WANTED[name][3:]
    assert (np.abs(values.mean(0) - mean) < 5 * np.sqrt(variance / 8000)).all()
    np.testing.assert_allclose(values.var(0), variance, rtol=0.12)
    if name.startswith("bernoulli"):
        assert set(np.unique(values)) == {0.0, 1.0}
    if name == "uniform":
        assert (values >= LOW).all() and (values < LOW + WIDTH).all()


@pytest.mark.parametrize("name", ["normal", "uniform", "independent"])
def test_gradients_go_through_draws(name: str) -> None:
    """Both are ``a + b * noise``: the gradient of b is the noise."""
    d, (a, b) = made(name, "float64")
    x = d.rsample((5,))
    x.sum().backward()
    noise = (x.detach().numpy() - a.detach().numpy()) / b.detach().numpy()
    np.testing.assert_allclose(a.grad.numpy(), np.full(a.shape, 5.0))
    want = noise.sum(0) if b.shape == noise.shape[1:] else noise.sum((0, 1))
    np.testing.assert_allclose(b.grad.numpy(), want, rtol=1e-12)
    assert d.has_rsample


KL: dict[str, tuple[Any, tuple[np.ndarray, ...], Any]] = {
    "normal": (
        lambda d, a, b, m, s: (d.Normal(a, b), d.Normal(m, s)), (LOC, SCALE, LOC[::-1], SCALE * 2),
        lambda a, b, m, s: np.log(s / b) + (b**2 + (a - m) ** 2) / (2 * s**2) - 0.5,
    ),
    "uniform": (
        lambda d, a, b, m, s: (d.Uniform(a, b), d.Uniform(m, s)),
        (LOW, LOW + WIDTH, LOW - 1, LOW + 2 * WIDTH),
        lambda a, b, m, s: np.log((s - m) / (b - a)),
    ),
    "bernoulli": (
        lambda d, p, q: (d.Bernoulli(p), d.Bernoulli(q)), (SHARES, SHARES[::-1]),
        lambda p, q: p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)),
    ),
    "categorical": (
        lambda d, p, q: (d.Categorical(p), d.Categorical(q)), (LIKELY, LIKELY[::-1]),
        lambda p, q: (p * np.log(p / q)).sum(-1),
    ),
    "independent": (
        lambda d, a, b, m: (d.Independent(d.Normal(a, b), 1), d.Independent(d.Normal(m, b), 1)),
        (LOC, SCALE, LOC[::-1]),
        lambda a, b, m: ((a - m) ** 2 / (2 * b**2)).sum(1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KL)
@pytest.mark.parametrize("kind", KINDS)
def test_distance(name: str, kind: str) -> None:
    make, arrays, formula = KL[name]
    p, q = make(D, *[fc.tensor(a.astype(kind)) for a in arrays])
    found = D.kl_divergence(p, q)
    np.testing.assert_allclose(found.numpy(), formula(*arrays), **TOLERANCE[kind])
    np.testing.assert_allclose(D.kl_divergence(p, p).numpy(), 0 * found.numpy(), atol=1e-6)


@pytest.mark.torch
@pytest.mark.parametrize("name", KL)
def test_distance_as_in_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    make, arrays, _ = KL[name]
    found = []
    for lib in (fc, torch):
        leaves = [lib.tensor(a.copy()).requires_grad_() for a in arrays]
        y = lib.distributions.kl_divergence(*make(lib.distributions, *leaves))
        (y * y).sum().backward()
        found.append([y.detach().numpy(), *[t.grad.numpy() for t in leaves]])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, **TOLERANCE["float64"])


def test_distance_is_infinite_where_the_second_cannot() -> None:
    inf = math.inf
    p, q = fc.tensor([0.0, 1.0, 0.5, 0.5, 0.0]), fc.tensor([0.0, 1.0, 0.0, 1.0, 0.5])
    found = D.kl_divergence(D.Bernoulli(p), D.Bernoulli(q)).numpy()
    np.testing.assert_allclose(found, [0, 0, inf, inf, math.log(2)], atol=1e-6)
    p, q = (
        fc.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]),
        fc.tensor([[0.5, 0.5, 0], [0.0, 0.5, 0.5]]),
    )
    found = D.kl_divergence(D.Categorical(p), D.Categorical(q)).numpy()
    np.testing.assert_allclose(found, [0, inf], atol=1e-6)
    wide, narrow = D.Uniform(0.0, 2.0), D.Uniform(0.0, 1.0)
    assert D.kl_divergence(wide, narrow).item() == inf
    assert D.kl_divergence(narrow, wide).item() == pytest.approx(math.log(2))


def test_a_formula_of_ones_own() -> None:
    class Point(D.Distribution):
        """All at zero."""

    with pytest.raises(NotImplementedError, match=r"Point and Normal.*register_kl"):
        D.kl_divergence(Point(), D.Normal(0.0, 1.0))

    @D.register_kl(Point, D.Normal)
    def _(p: Point, q: D.Normal) -> Any:
        return -q.log_prob(0.0)

    found = D.kl_divergence(Point(), D.Normal(0.0, 1.0)).item()
    assert found == pytest.approx(math.log(2 * math.pi) / 2)
    for call in (lambda p: p.mean, lambda p: p.variance, lambda p: p.sample(), lambda p: p.cdf(0),
                 lambda p: p.log_prob(0), lambda p: p.entropy()):  # fmt: skip
        with pytest.raises(NotImplementedError, match="Point"):
            call(Point())


def test_the_ends() -> None:
    uniform = D.Uniform(fc.tensor([0.0]), fc.tensor([2.0]))
    assert uniform.log_prob(fc.tensor([2.0])).item() == -math.inf
    assert uniform.log_prob(fc.tensor([0.0])).item() == pytest.approx(-math.log(2))
    free = D.Uniform(fc.tensor([0.0]), fc.tensor([2.0]), validate_args=False)
    assert free.log_prob(fc.tensor([3.0])).item() == -math.inf
    sure = D.Bernoulli(fc.tensor([0.0, 1.0]))
    assert sure.sample((50,)).numpy().tolist() == [[0.0, 1.0]] * 50
    assert np.isfinite(sure.logits.numpy()).all()
    assert D.Categorical(fc.tensor([0.2, 0.5, 0.3])).mode.item() == 1
    np.testing.assert_array_equal(D.Normal(1.0, 2.0).mode.numpy(), 1.0)
    assert repr(D.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"
    assert repr(D.Bernoulli(fc.tensor(SHARES))).startswith("Bernoulli(probs: (2, 3)")
    assert D.Bernoulli(0.25).log_prob(1.0).item() == pytest.approx(math.log(0.25), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: D.Normal(0.0, -1.0), ValueError, "scale must be positive, got -1.0"),
        (lambda: D.Normal("0", 1.0), TypeError, "loc must be a Tensor or number"),
        (lambda: D.Uniform(1.0, 1.0), ValueError, "low must be below high"),
        (lambda: D.Uniform(0.0, 1.0).log_prob(fc.tensor(3.0)), ValueError, "value must be between"),
        (lambda: D.Bernoulli(1.5), ValueError, "probs must be between 0 and 1"),
        (lambda: D.Bernoulli(), ValueError, "either `probs` or `logits`"),
        (lambda: D.Bernoulli(0.5, 0.0), ValueError, "either `probs` or `logits`"),
        (lambda: D.Bernoulli(0.5).log_prob(0.3), ValueError, "value must be 0 or 1"),
        (lambda: D.Bernoulli(0.5).rsample(), NotImplementedError, "no gradient goes through"),
        (lambda: D.Categorical(fc.tensor(0.5)), ValueError, "at least one axis"),
        (lambda: D.Categorical(fc.tensor([-0.5, 1.0])), ValueError, "not negative"),
        (lambda: D.Categorical(fc.ones(3)).log_prob(fc.tensor(3)), ValueError, "a class"),
        (lambda: D.Independent(D.Normal(0.0, 1.0), 1), ValueError, "the base has 0 batch axes"),
        (lambda: D.kl_divergence(D.Independent(D.Normal(fc.ones(2), 1.0), 1),
                                 D.Independent(D.Normal(fc.ones(2), 1.0), 0)),
         NotImplementedError, "as many reinterpreted axes"),
        (lambda: D.Gamma, AttributeError, "Gamma"),
    ],
)  # fmt: skip
def test_errors(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
