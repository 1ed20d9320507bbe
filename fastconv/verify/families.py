"""The families of problems, by name; each is loaded when it is first asked for."""

from __future__ import annotations

import importlib

from fastconv.verify.problem import Family, Problem

__all__ = ["FAMILIES", "TURNS", "family", "parse"]

#: Name: module and class.
FAMILIES: dict[str, tuple[str, str]] = {
    "conv": ("fastconv.verify.conv.family", "ConvFamily"),
    "public-conv": ("fastconv.verify.functional.conv", "PublicConvFamily"),
    "pool": ("fastconv.verify.functional.pool", "PoolFamily"),
    "norm": ("fastconv.verify.functional.norm", "NormFamily"),
    "resample": ("fastconv.verify.functional.resample", "ResampleFamily"),
    "pad": ("fastconv.verify.functional.resample", "PadFamily"),
    "loss": ("fastconv.verify.functional.loss", "LossFamily"),
    "softmax": ("fastconv.verify.functional.loss", "SoftmaxFamily"),
    "reduce": ("fastconv.verify.functional.pointwise", "ReduceFamily"),
    "pointwise": ("fastconv.verify.functional.pointwise", "PointwiseFamily"),
    "optim": ("fastconv.verify.functional.optim", "OptimFamily"),
    "corpus": ("fastconv.verify.functional.corpus", "CorpusFamily"),
}

#: Whose turn it is in a run: a convolution's every other time.
TURNS: tuple[str, ...] = tuple(
    name for other in FAMILIES if other != "conv" for name in ("conv", other)
)

#: Families whose problems can be read and run, but are not drawn by a run of their own.
OTHERS: dict[str, tuple[str, str]] = {
    "against": ("fastconv.verify.against", "AgainstFamily"),
}

_loaded: dict[str, Family] = {}


def family(name: str) -> Family:
    """The family of this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in FAMILIES and name not in OTHERS:
        raise ValueError(f"no family {name!r}, expected one of {', '.join(FAMILIES)}")
    if name not in _loaded:
        module, cls = FAMILIES.get(name) or OTHERS[name]
        _loaded[name] = getattr(importlib.import_module(module), cls)()
    return _loaded[name]


def parse(text: str) -> Problem:
    """Read the line of a problem of any family.

    Raises
    ------
    ValueError
        If it is none.
    """
    words = text.split(None, 1)
    if not words:
        raise ValueError("an empty line is no problem")
    return family(words[0]).problem.parse(text)  # type: ignore[no-any-return]
