"""The words in which the corpus is written: operands and entries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastconv.verify.arrays import integers, reals
from fastconv.verify.calls import Call, Operand

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Make:
    """How an operand comes about: its values, once a seed is known, and how it lies in memory."""

    values: Callable[[int], Array]
    layout: str = "plain"
    grad: bool = True
    offset: int = 0

    def lies(self, layout: str, offset: int = 0) -> Make:
        """The same in another memory layout."""
        return Make(self.values, layout, self.grad, offset)

    @property
    def last(self) -> Make:
        """The same, channels-last."""
        return self.lies("last")

    @property
    def fixed(self) -> Make:
        """The same, without asking for its gradient."""
        return Make(self.values, self.layout, False, self.offset)

    def plus(self, what: Any) -> Make:
        """The same with a constant or an array added."""
        return Make(lambda seed: self.values(seed) + what, self.layout, self.grad, self.offset)

    def times(self, what: Any) -> Make:
        """The same times a constant or an array."""
        return Make(lambda seed: self.values(seed) * what, self.layout, self.grad, self.offset)


def ints(*shape: int) -> Make:
    """Small integers."""
    return Make(lambda seed: integers(seed, shape))


def normal(*shape: int) -> Make:
    """Normally distributed numbers."""
    return Make(lambda seed: reals(seed, shape))


def positive(*shape: int) -> Make:
    """Numbers between 0.07 and 0.55."""

    def values(seed: int) -> Array:
        return (np.abs(integers(seed, shape)) + 1 + integers(seed + 9, shape) / 8) / 8

    return Make(values)


def full(value: float, *shape: int) -> Make:
    """One number everywhere."""
    return Make(lambda seed: np.full(shape, float(value)))


def ramp(*shape: int) -> Make:
    """0, 1, 2 and so on."""
    return Make(lambda seed: np.arange(float(math.prod(shape))).reshape(shape))


def exactly(values: Any) -> Make:
    """These numbers."""
    return Make(lambda seed: np.asarray(values, np.float64))


def labels(values: Any) -> Make:
    """These integers: targets or indices."""
    return Make(lambda seed: np.asarray(values, np.int64))


@dataclass(frozen=True)
class Entry:
    """One published case.

    Attributes
    ----------
    name : str
        Unique in the corpus: the reference, and a number where it has several.
    reference : str
        Repository and number of the issue or pull request, ``owner/name#number``.
    what : str
        What went wrong there.
    call : Call
        The smallest input that shows it; where the thread's own is large and its size has no part
        in the fault, batch and image are smaller here.
    right : dict of str to ndarray
        Right values that the thread gives, to four digits; the formula must agree with them.
    raises : bool
        Whether the right answer is an error: an exception, not a crash, and no result.
    """

    name: str
    reference: str
    what: str
    call: Call
    right: dict[str, Array] = field(default_factory=dict)
    raises: bool = False

    @property
    def family(self) -> str:
        """The family of its operation."""
        return family_of(self.call.op)


def family_of(op: str) -> str:
    """Return the family that an operation is counted under."""
    for family, marks in _MARKS.items():
        if any(mark in op for mark in marks):
            return family
    return "elementwise"


_MARKS = {
    "optimisers": ("optim.",),
    "transposed convolution": ("conv_transpose",),
    "convolution": ("conv", "linear"),
    "pooling": ("pool",),
    "losses": ("loss", "cross_entropy", "kl_div"),
    "normalisation": ("_norm", "normalize"),
    "resampling": ("interpolate",),
    "padding": ("pad", "pixel"),
    "softmax": ("softm",),
    "reductions": ("sum", "mean", "var", "std", "norm", "amax", "amin", "logsumexp"),
}


class Cases:
    """Collects the entries of one file."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def __call__(
        self,
        reference: str,
        what: str,
        op: str,
        *given: Make,
        seed: Any = None,
        g_layout: str = "plain",
        times: int = 1,
        right: dict[str, Any] | None = None,
        raises: bool = False,
        **named: Any,
    ) -> None:
        """Add an entry.

        Operands come first, named by their places (input, weight, bias for most), or by keyword;
        every other keyword is an option of the call.
        """
        names = _NAMES.get(family_of(op), ("input", "weight", "bias"))
        makes = dict(zip(names, given))
        makes |= {k: v for k, v in named.items() if isinstance(v, Make)}
        options = {k: v for k, v in named.items() if not isinstance(v, Make)}
        number = sum(map(ord, reference)) + 31 * len(self.entries)
        operands = {
            name: Operand(make.values(number + 1000 * i), make.grad, make.layout, make.offset)
            for i, (name, make) in enumerate(makes.items())
        }
        call = Call(op, operands, options, number + 77 if seed is None else seed, g_layout, times)
        name = reference.replace("/", "-").replace("#", "-")
        values = {k: np.asarray(v, np.float64) for k, v in (right or {}).items()}
        self.entries.append(Entry(name, reference, what, call, values, raises))


_NAMES = {
    "losses": ("input", "target"),
    "optimisers": ("parameter", "grads"),
    "elementwise": ("input", "other"),
    "pooling": ("input", "indices"),
}
