"""Formulas in float64 that know their derivative and how far a rounded result may be from them.

A value :class:`V` carries the exact array and, beside it, ``e``: the error that an evaluation in a
narrower type may have there, in units of that type's ``eps``, to first order.  Every operation adds
its own rounding to what it is given; sums of n terms add ``sqrt(n)`` roundings of the sum of the
magnitudes, ten standard deviations of a random walk.  Where all operands lie on a grid of 1/64 (1/8
for products) and no partial sum can leave 24 bits, nothing is rounded: ``e`` stays 0, and results
are compared with ``==``.

Rules of differentiation are written in the same operations, so gradients carry their error too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

Array = np.ndarray
Rule = Callable[["V"], "V"]

#: Terms of a product from which on it is summed in more than float64.
_LONG = 1000
#: Roundings of a call to exp, log, tanh and the like.
FUNCTION = 4.0


class V:
    """One array of a formula: values ``a``, errors ``e``, and where it came from.

    Parameters
    ----------
    a : array_like
        The values, taken as float64.
    e : ndarray, optional
        The error in units of eps; zero if left out.
    parents : tuple of (V, callable)
        What it was computed from, each with the rule that turns a gradient of this value into one
        of that.
    """

    __slots__ = ("a", "e", "parents")

    def __init__(self, a: Any, e: Any = None, parents: tuple[tuple[V, Rule], ...] = ()) -> None:
        self.a: Array = np.asarray(a, np.float64)
        self.e: Array = np.zeros(self.a.shape) if e is None else e
        self.parents = parents

    @property
    def shape(self) -> tuple[int, ...]:
        return self.a.shape

    def __add__(self, other: Any) -> V:
        return add(self, other)

    def __radd__(self, other: Any) -> V:
        return add(other, self)

    def __sub__(self, other: Any) -> V:
        return add(self, -lift(other))

    def __rsub__(self, other: Any) -> V:
        return add(other, -self)

    def __mul__(self, other: Any) -> V:
        return mul(self, other)

    def __rmul__(self, other: Any) -> V:
        return mul(other, self)

    def __truediv__(self, other: Any) -> V:
        return div(self, lift(other))

    def __rtruediv__(self, other: Any) -> V:
        return div(lift(other), self)

    def __neg__(self) -> V:
        return V(-self.a, self.e, ((self, lambda g: -g),))


def lift(x: Any) -> V:
    """Return ``x`` as a value: a constant without error, unless it is one already."""
    return x if isinstance(x, V) else V(x)


_rounding = False


@contextmanager
def rounding() -> Iterator[None]:
    """Allow roundings everywhere inside, where whole numbers need none as well.

    Sums of small integers are exact in any order; a mean that is moved term by term, or a
    transform, rounds them all the same. Our kernels are held to the first, others to this.
    """
    global _rounding
    before, _rounding = _rounding, True
    try:
        yield
    finally:
        _rounding = before


def rounds() -> bool:
    """Whether roundings are allowed everywhere."""
    return _rounding


def _grid(x: V, steps: int) -> bool:
    """Whether all of x is known exactly and lies on the multiples of 1/steps."""
    if _rounding:
        return False
    scaled = x.a * steps
    return not x.e.any() and bool(np.all(np.isfinite(scaled)) and np.all(scaled == np.rint(scaled)))


def _growth(terms: int) -> float:
    """Roundings of a sum: ten deviations of a random walk, or all of them where any are allowed."""
    return float(terms) if _rounding else math.sqrt(terms)


def _magnitude(x: Array) -> Array:
    return np.abs(np.where(np.isfinite(x), x, 0.0))


def _like(g: V, shape: tuple[int, ...]) -> V:
    """Sum a gradient over the axes that broadcasting has added or stretched."""
    if g.shape == shape:
        return g
    extra = g.a.ndim - len(shape)
    axes = [*range(extra)]
    axes += [extra + i for i, n in enumerate(shape) if n == 1 and g.shape[extra + i] != 1]
    return reshape(total(g, tuple(axes)), shape)


def add(x: Any, y: Any) -> V:
    x, y = lift(x), lift(y)
    a = x.a + y.a
    exact = _grid(x, 64) and _grid(y, 64) and (not a.size or float(np.max(np.abs(a))) < 2**18)
    e = None if exact else x.e + y.e + _magnitude(a)
    return V(a, e, ((x, lambda g: _like(g, x.shape)), (y, lambda g: _like(g, y.shape))))


def mul(x: Any, y: Any) -> V:
    x, y = lift(x), lift(y)
    a = x.a * y.a
    exact = _grid(x, 8) and _grid(y, 8) and (not a.size or float(np.max(np.abs(a))) < 2**18)
    e = None if exact else _magnitude(x.a) * y.e + _magnitude(y.a) * x.e + _magnitude(a)
    return V(a, e, ((x, lambda g: _like(g * y, x.shape)), (y, lambda g: _like(g * x, y.shape))))


def div(x: V, y: V) -> V:
    a = x.a / y.a
    exact = _grid(x, 1) and not y.e.any() and bool(np.all(np.isin(np.abs(y.a), (1, 2, 4, 8))))
    e = None
    if not exact:  # a kernel may multiply by a rounded reciprocal: two roundings
        e = (x.e + _magnitude(a) * y.e) / np.abs(y.a) + 2 * _magnitude(a)
    z = V(a, e)
    z.parents = (
        (x, lambda g: _like(g / y, x.shape)),
        (y, lambda g: _like(-(g * z) / y, y.shape)),
    )
    return z


def _unary(x: V, a: Array, slope: Callable[[V], V], roundings: float) -> V:
    """Return f(x) for values ``a``, with ``slope`` giving f'(x) as a value."""
    z = V(a)
    z.e = _magnitude(slope(z).a) * x.e + roundings * _magnitude(a)
    z.parents = ((x, lambda g: g * slope(z)),)
    return z


def exp(x: V) -> V:
    """The exponential; an argument that was itself rounded gives another ``|x|`` roundings."""
    a = np.exp(x.a)
    z = V(a)
    z.e = _magnitude(a) * (x.e + FUNCTION + _magnitude(x.a))
    z.parents = ((x, lambda g: g * V(z.a, z.e)),)
    return z


def expm1(x: V) -> V:
    return _unary(x, np.expm1(x.a), lambda z: exp(x), FUNCTION)


def log(x: V) -> V:
    return _unary(x, np.log(x.a), lambda z: 1.0 / x, FUNCTION)


def log1p(x: V) -> V:
    return _unary(x, np.log1p(x.a), lambda z: 1.0 / (1.0 + x), FUNCTION)


def sqrt(x: V) -> V:
    return _unary(x, np.sqrt(x.a), lambda z: 0.5 / z, 1.0)


def tanh(x: V) -> V:
    return _unary(x, np.tanh(x.a), lambda z: 1.0 - z * z, FUNCTION)


def erf(x: V) -> V:
    """The error function, whose slope is 2/sqrt(pi) exp(-x^2)."""
    a = np.array([math.erf(v) for v in x.a.ravel()]).reshape(x.shape)
    return _unary(x, a, lambda z: (2 / math.sqrt(math.pi)) * exp(-(x * x)), FUNCTION)


def sign(x: V) -> V:
    """The sign, of slope zero."""
    return V(np.sign(x.a))


def absolute(x: V) -> V:
    return V(np.abs(x.a), x.e, ((x, lambda g: g * sign(x)),))


def power(x: V, p: float) -> V:
    """x to a constant power."""
    return _unary(x, x.a**p, lambda z: p * V(x.a ** (p - 1), _power_error(x, p - 1)), FUNCTION)


def _power_error(x: V, p: float) -> Array:
    return _magnitude(p * x.a ** (p - 1)) * x.e + FUNCTION * _magnitude(x.a**p)


def where(mask: Array, x: Any, y: Any) -> V:
    """x where the mask holds, y elsewhere; the mask is not differentiated."""
    x, y = lift(x), lift(y)
    return V(
        np.where(mask, x.a, y.a),
        np.where(mask, x.e, y.e),
        (
            (x, lambda g: _like(where(mask, g, 0.0), x.shape)),
            (y, lambda g: _like(where(mask, 0.0, g), y.shape)),
        ),
    )


def total(x: V, axes: tuple[int, ...] | None = None, keepdims: bool = False) -> V:
    """The sum over some axes, over all of them if none are given."""
    if axes is None:
        axes = tuple(range(x.a.ndim))
    axes = tuple(axis % x.a.ndim for axis in axes)
    # numpy's own sums over leading axes lose as much as a kernel may
    a = np.sum(x.a, axes, np.longdouble, keepdims=True).astype(np.float64)
    sizes = np.sum(_magnitude(x.a), axes, keepdims=True)
    terms = math.prod(x.shape[axis] for axis in axes)
    e = np.zeros(a.shape)
    if not (_grid(x, 64) and (not sizes.size or float(np.max(sizes)) < 2**18)):
        e = np.sum(x.e, axes, keepdims=True) + _growth(terms) * sizes
    kept = a.shape
    if not keepdims:
        a, e = np.squeeze(a, axes), np.squeeze(e, axes)
    return V(a, e, ((x, lambda g: reshape(g, kept) + np.zeros(x.shape)),))


def mean(x: V, axes: tuple[int, ...], keepdims: bool = False) -> V:
    """The mean over some axes."""
    terms = math.prod(x.shape[axis] for axis in axes)
    return total(x, axes, keepdims) / float(terms)


def einsum(spec: str, x: V, y: V) -> V:
    """A product of two arrays summed over the letters that the result does not have."""
    inputs, out = spec.split("->")
    left, right = inputs.split(",")
    sizes = dict(zip(left + right, x.shape + y.shape))
    terms = math.prod(n for letter, n in sizes.items() if letter not in out)
    wide = np.longdouble if terms > _LONG else np.float64
    a = np.einsum(spec, x.a.astype(wide), y.a.astype(wide)).astype(np.float64)
    magnitudes = np.einsum(spec, _magnitude(x.a), _magnitude(y.a))
    e = np.zeros(a.shape)
    if not (_grid(x, 8) and _grid(y, 8) and (not a.size or float(np.max(magnitudes)) < 2**18)):
        e = np.einsum(spec, x.e, _magnitude(y.a)) + np.einsum(spec, _magnitude(x.a), y.e)
        e = e + _growth(terms) * magnitudes
    return V(
        a,
        e,
        (
            (x, lambda g: einsum(f"{out},{right}->{left}", g, y)),
            (y, lambda g: einsum(f"{out},{left}->{right}", g, x)),
        ),
    )


def reshape(x: V, shape: tuple[int, ...]) -> V:
    return V(x.a.reshape(shape), x.e.reshape(shape), ((x, lambda g: reshape(g, x.shape)),))


def permute(x: V, order: tuple[int, ...]) -> V:
    back = tuple(int(i) for i in np.argsort(order))
    return V(x.a.transpose(order), x.e.transpose(order), ((x, lambda g: permute(g, back)),))


def gather(x: V, index: Array, fill: float = 0.0) -> V:
    """x[..., index] along the last axis, with ``fill`` where the index is negative.

    Parameters
    ----------
    x : V
        (..., n).
    index : ndarray of int
        Positions in 0 to n - 1 or negative, of any shape, which takes the place of the last axis.
    fill : float
        The value outside.
    """
    inside = index >= 0
    if x.shape[-1]:
        safe = np.where(inside, index, 0)
        a, e = np.where(inside, x.a[..., safe], fill), np.where(inside, x.e[..., safe], 0.0)
    else:
        a = np.full((*x.shape[:-1], *index.shape), fill)
        e = np.zeros(a.shape)
    return V(a, e, ((x, lambda g: scatter(g, index, x.shape[-1])),))


def scatter(g: V, index: Array, size: int) -> V:
    """Sum each of g[..., index's axes] into place ``index`` of a new last axis of ``size``."""
    lead = g.shape[: g.a.ndim - index.ndim]
    flat = index.ravel()
    keep = flat >= 0
    rows = math.prod(lead)
    places = (np.arange(rows)[:, None] * size + flat[keep]).ravel()

    def summed(values: Array) -> Array:
        weights = values.reshape(rows, flat.size)[:, keep].ravel()
        return np.bincount(places, weights, rows * size).reshape(*lead, size)

    a, e = summed(g.a), np.zeros((*lead, size))
    sizes = summed(_magnitude(g.a))
    if not (_grid(g, 64) and (not sizes.size or float(np.max(sizes)) < 2**18)):
        terms = max(1, int(np.max(np.bincount(flat[keep], minlength=1)))) if keep.any() else 1
        e = summed(g.e) + _growth(terms) * sizes
    return V(a, e, ((g, lambda h: gather(h, index)),))


def pick(x: V, index: Array) -> V:
    """x[..., i] with another i for each position: (..., n), index (...) → (...)."""
    n = x.shape[-1]
    flat = reshape(x, (x.a.size,))
    places = np.arange(index.size).reshape(index.shape) * n + index
    return gather(flat, places)


def gradients(y: V, g: Any, of: list[V]) -> list[V]:
    """Return the gradients of ``sum(y * g)`` with respect to some values.

    Parameters
    ----------
    y : V
        The result.
    g : array_like
        The gradient given to it, of its shape.
    of : list of V
        Operands.
    """
    order: list[V] = []
    seen: set[int] = set()
    stack: list[tuple[V, bool]] = [(y, False)]
    while stack:
        v, done = stack.pop()
        if done:
            order.append(v)
        elif id(v) not in seen:
            seen.add(id(v))
            stack.append((v, True))
            stack.extend((parent, False) for parent, _ in v.parents)
    found: dict[int, V] = {id(y): lift(g)}
    for v in reversed(order):
        arrived = found.get(id(v))
        if arrived is None:
            continue
        for parent, rule in v.parents:
            part = rule(arrived)
            before = found.get(id(parent))
            found[id(parent)] = part if before is None else before + part
    return [found.get(id(v), V(np.zeros(v.shape))) for v in of]
