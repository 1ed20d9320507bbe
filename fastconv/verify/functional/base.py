"""What the families of calls have in common: who runs them, how, and how they are made smaller."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import numpy as np

import fastconv
from fastconv import backends, config
from fastconv.verify.arrays import LAYOUTS, Buffers, integers, reals
from fastconv.verify.calls import Call, Operand, complaints, expected, run
from fastconv.verify.problem import Declined, Failure, Family, Problem

__all__ = ["CHANNELS", "CallFamily", "CallProblem", "available", "judge", "using"]

#: Channels around the widths of vectors and tiles.
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65)
#: Layouts of an operand and of the gradient given to a result, the usual ones more often.
_FORMATS = ("plain", "plain", "last", "last", *LAYOUTS[2:])
_GIVEN = ("plain", "plain", "last", "gaps", "swapped", "everywhere")
#: Elements of an operand that each backend may be given.
_MOST = {"c": 20_000, "numba": 20_000, "naive": 600}
_buffers = Buffers()


@dataclass(frozen=True)
class CallProblem(Problem):
    """The fields that every call has; a family adds its options."""

    op: str = ""
    shape: tuple[int, ...] = (1,)
    dtype: str = "float32"
    backend: str = "c"
    isa: str = "generic"
    threads: int = 1
    layout: str = "plain"
    g: str = "plain"
    offset: int = 0
    fill: str = "ints"
    seed: int = 0

    def call(self) -> Call:
        """The call.

        Raises
        ------
        Declined
            If the fields do not make one.
        """
        raise NotImplementedError

    def numbers(self, which: int, shape: tuple[int, ...], fill: str | None = None) -> Any:
        """Values of the operand of this number: integers, normally distributed, or positive."""
        fill = fill or self.fill
        seed = self.seed + 257 * which
        if fill == "ints":
            return integers(seed, shape)
        if fill == "positive":
            return (np.abs(integers(seed, shape)) + 1) / 4
        return reals(seed, shape)

    def input(self, fill: str | None = None, grad: bool = True) -> Operand:
        """The operand that the layout is of."""
        values = self.numbers(0, self.shape, fill)
        return Operand(values, grad, self.layout, self.offset)

    def extra(
        self, which: int, shape: tuple[int, ...], fill: str | None = None, grad: bool = True
    ) -> Operand:
        """Another operand, plain."""
        return Operand(self.numbers(which, shape, fill), grad)


@contextmanager
def using(backend: str, isa: str, threads: int) -> Iterator[None]:
    """A backend, an instruction set of it and a number of threads hold inside.

    Raises
    ------
    Declined
        If this machine has not got them.
    """
    reason = backends.why_not(backend)
    if reason is not None:
        raise Declined(f"{backend}: {reason}")
    before, old, module = config.get_num_threads(), None, None
    if backend == "c":
        module = backends.load("c")
        old = module.get_isa()
        try:
            module.set_isa(isa)
        except ValueError as error:
            raise Declined(str(error)) from None
    config.set_num_threads(threads)
    try:
        with fastconv.backend(backend):
            yield
    finally:
        config.set_num_threads(before)
        if module is not None:
            module.set_isa(old)


def judge(T: Any, call: Call, dtype: str, algorithm: str = "direct") -> str | None:
    """Say in one line what is wrong with a call of a library, None if nothing is."""
    try:
        want = expected(call, dtype)
    except ValueError as error:  # shapes that do not go together: a step of a shrinking
        raise Declined(f"no such call: {error}") from None
    try:
        got = run(T, call, dtype, _buffers)
    except Declined:
        raise
    except Exception as error:
        return f"raised {type(error).__name__}: {' '.join(str(error).split())}"
    said = complaints(call, dtype, got, want, algorithm)
    return "; ".join(said) or None


class CallFamily(Family):
    """A family whose problems are calls.

    A subclass says which operations and properties there are, and draws the options of one.
    """

    ops: Sequence[str]
    #: Smallest values of fields, beside those that the record has by itself.
    plainest: ClassVar[dict[str, Any]]
    #: Whether the memory layouts of the input and of the gradient vary.
    layouts, given = True, True

    @abstractmethod
    def options(self, rng: Random, op: str, room: int) -> dict[str, Any]:
        """Shape and options of a call of ``op`` with at most about ``room`` elements."""

    def draw(self, rng: Random, number: int) -> Any:
        op = self.ops[number % len(self.ops)]
        settings = available()
        backend, isa = settings[number // len(self.ops) % len(settings)]
        fields = self.options(rng, op, _MOST[backend])
        common = {
            "dtype": rng.choice(("float32", "float32", "float64")),
            "threads": rng.choice((1, 2, 3)),
            "layout": rng.choice(_FORMATS),
            "g": rng.choice(_GIVEN),
            "offset": rng.choice((0, 0, 1, 3)),
            "fill": rng.choice(("ints", "normal")),
        }
        return self.problem(
            op=op, backend=backend, isa=isa, seed=rng.randrange(1 << 20), **{**common, **fields}
        )

    def check(self, problem: Any) -> Failure | None:
        with using(problem.backend, problem.isa, problem.threads):
            what = judge(fastconv, problem.call(), problem.dtype, self.algorithm(problem))
        return None if what is None else Failure(problem, what)

    def algorithm(self, problem: Any) -> str:
        """How a convolution may have been computed."""
        return "direct"

    def smaller(self, problem: Any) -> Iterator[Any]:
        for axis, n in enumerate(problem.shape):
            for less in (1, n // 2, n - 1):
                if 0 < less < n:
                    shape = (*problem.shape[:axis], less, *problem.shape[axis + 1 :])
                    yield problem.but(shape=shape)
        plain = self.problem(op=problem.op, shape=problem.shape)
        plainer = self.plainest | {"layout": "plain", "g": "plain", "threads": 1, "offset": 0}
        for field in dataclasses.fields(problem):
            if field.name in ("op", "shape", "seed", "dtype", "backend", "isa", "fill"):
                continue
            value = plainer.get(field.name, getattr(plain, field.name))
            if value != getattr(problem, field.name):
                yield problem.but(**{field.name: value})
        for name, value in (("isa", "generic"), ("seed", 0), ("fill", "ints")):
            if getattr(problem, name) != value:
                yield problem.but(**{name: value})

    def settings(self, problem: Any) -> Sequence[str]:
        by = f"c/{problem.isa}" if problem.backend == "c" else problem.backend
        found = [by, problem.dtype, f"{problem.threads} threads"]
        found += [f"input {problem.layout}"] if self.layouts else []
        return found + ([f"gradient {problem.g}"] if self.given else [])

    def expected(self) -> Iterator[tuple[str, str]]:
        settings = [f"c/{isa}" if b == "c" else b for b, isa in available()]
        settings += ["float32", "float64", "1 threads", "2 threads", "3 threads"]
        settings += [f"input {layout}" for layout in LAYOUTS if self.layouts]
        settings += [f"gradient {layout}" for layout in dict.fromkeys(_GIVEN) if self.given]
        for name in (*self.ops, *self.properties):
            for setting in dict.fromkeys(settings):
                yield name, setting


def available() -> list[tuple[str, str]]:
    """Backends and instruction sets of this machine, the C kernels most often."""
    found: list[tuple[str, str]] = []
    if backends.why_not("c") is None:
        isas = [name for name, able in backends.load("c").isas().items() if able]
        found = [("c", isa) for isa in isas] * 2
    found += [("numba", "generic")] if backends.why_not("numba") is None else []
    return [*found, ("naive", "generic")]


def sizes(rng: Random, ndim: int, room: int, least: Sequence[int]) -> tuple[int, ...]:
    """Sizes of the spatial axes of at most about ``room`` elements, none below ``least``."""
    most = max(2, math.floor(room ** (1 / ndim)))
    return tuple(max(low, rng.randint(1, min(most, 14))) for low in least)


def batch_and_channels(rng: Random, room: int) -> tuple[int, int]:
    """A batch of 1 to 3 and channels around vectors, at most ``room`` of both."""
    channels = rng.choice([c for c in CHANNELS if c <= max(1, room)])
    return rng.choice([n for n in (1, 2, 3) if n * channels <= max(1, room)] or [1]), channels
