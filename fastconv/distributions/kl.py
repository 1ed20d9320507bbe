"""How far one distribution is from another (Kullback and Leibler 1951)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import wrap
from ..functions.unary import where
from .bernoulli import Bernoulli
from .categorical import Categorical
from .distribution import Distribution
from .independent import Independent
from .normal import Normal
from .uniform import Uniform

__all__ = ["kl_divergence", "register_kl"]

_rules: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate the function that computes it for two classes."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _rules[type_p, type_q] = function
        return function

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """The mean of ``log p - log q`` under `p`, of the batch's shape.

    Raises
    ------
    NotImplementedError
        If there is no formula for these two classes.
    """
    for kind_p in type(p).__mro__:
        for kind_q in type(q).__mro__:
            rule = _rules.get((kind_p, kind_q))
            if rule is not None:
                return rule(p, q)
    raise NotImplementedError(
        f"kl_divergence: no formula for {type(p).__name__} and {type(q).__name__}: give one by "
        "register_kl"
    )


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Any:
    ratio = (p.scale / q.scale) ** 2
    distance = ((p.loc - q.loc) / q.scale) ** 2
    return 0.5 * (ratio + distance - 1 - ratio.log())


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Any:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    outside = (q.low._array > p.low._array) | (q.high._array < p.high._array)
    return where(wrap(outside), float("inf"), found)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Any:
    from ..nn.functional import softplus

    one = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    zero = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    a, b = p.probs._array, q.probs._array
    one = where(wrap(a == 0), 0.0, where(wrap(b == 0), float("inf"), one))
    zero = where(wrap(a == 1), 0.0, where(wrap(b == 1), float("inf"), zero))
    return one + zero


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Any:
    terms = p.probs * (p.logits - q.logits)
    terms = where(wrap(q.probs._array == 0), float("inf"), terms)
    terms = where(wrap(p.probs._array == 0), 0.0, terms)
    return terms.sum(-1)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("kl_divergence: both must have as many reinterpreted axes")
    return p._added(kl_divergence(p.base_dist, q.base_dist))
