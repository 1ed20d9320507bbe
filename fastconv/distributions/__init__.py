"""Probability distributions under PyTorch's names: Normal, Uniform, Bernoulli, Categorical."""

from . import bernoulli, categorical, distribution, independent, kl, normal, uniform
from .bernoulli import Bernoulli
from .categorical import Categorical
from .distribution import Distribution
from .independent import Independent
from .kl import kl_divergence, register_kl
from .normal import Normal
from .uniform import Uniform

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Independent",
    "Normal",
    "Uniform",
    "bernoulli",
    "categorical",
    "distribution",
    "independent",
    "kl",
    "kl_divergence",
    "normal",
    "register_kl",
    "uniform",
]


def __getattr__(name: str) -> object:
    from ..absent import missing

    raise missing(__name__, name)
