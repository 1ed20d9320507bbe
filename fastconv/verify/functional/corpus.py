"""The corpus as a family: every entry on a backend, an instruction set and a type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import fastconv
from fastconv.verify.arrays import Buffers
from fastconv.verify.calls import run
from fastconv.verify.corpus import ENTRIES, Entry
from fastconv.verify.functional.base import available, judge, using
from fastconv.verify.problem import Declined, Failure, Family, Problem

__all__ = ["CorpusFamily", "CorpusProblem", "judge_entry"]

_BY_NAME = {entry.name: entry for entry in ENTRIES}


@dataclass(frozen=True)
class CorpusProblem(Problem):
    """An entry by its name, and what runs it."""

    family: ClassVar[str] = "corpus"

    entry: str = ""
    dtype: str = "float32"
    backend: str = "c"
    isa: str = "generic"
    threads: int = 1

    def published(self) -> Entry:
        """The entry.

        Raises
        ------
        Declined
            If there is none of this name.
        """
        if self.entry not in _BY_NAME:
            raise Declined(f"the corpus has no entry {self.entry!r}")
        return _BY_NAME[self.entry]


def judge_entry(T: Any, entry: Entry, dtype: str) -> str | None:
    """Say what is wrong with an entry by a library, None if nothing is."""
    if not entry.raises:
        algorithm = "winograd" if entry.call.op.startswith("conv") else "direct"
        return judge(T, entry.call, dtype, algorithm)
    try:
        run(T, entry.call, dtype, Buffers())
    except Declined:
        raise
    except Exception:  # whatever kind: a call that cannot be must be refused
        return None
    return "gave a result, expected an error"


class CorpusFamily(Family):
    """Published cases; the first problems of a run are all of them, on the backends in turn."""

    name = "corpus"
    problem = CorpusProblem
    properties = tuple(dict.fromkeys(entry.family for entry in ENTRIES))

    def draw(self, rng: Random, number: int) -> CorpusProblem:
        turn, which = divmod(number, len(ENTRIES))
        settings = [s for s in available() if s[0] != "naive"] or [("naive", "generic")]
        backend, isa = settings[turn // 2 % len(settings)]
        return CorpusProblem(
            ENTRIES[which].name, ("float32", "float64")[turn % 2], backend, isa, rng.choice((1, 2))
        )

    def check(self, problem: CorpusProblem) -> Failure | None:
        entry = problem.published()
        with using(problem.backend, problem.isa, problem.threads):
            what = judge_entry(fastconv, entry, problem.dtype)
        return None if what is None else Failure(problem, f"{what} ({entry.reference})")

    def smaller(self, problem: CorpusProblem) -> Iterator[CorpusProblem]:
        for name, value in (("threads", 1), ("isa", "generic")):
            if getattr(problem, name) != value:
                yield problem.but(**{name: value})

    def settings(self, problem: CorpusProblem) -> Sequence[str]:
        by = f"c/{problem.isa}" if problem.backend == "c" else problem.backend
        return (by, problem.dtype, f"{problem.threads} threads")

    def holds(self, problem: CorpusProblem) -> Sequence[str]:
        return (problem.published().family,)

    def expected(self) -> Iterator[tuple[str, str]]:
        settings = [f"c/{isa}" if b == "c" else b for b, isa in available() if b != "naive"]
        for name in self.properties:
            for setting in (
                *dict.fromkeys(settings),
                "float32",
                "float64",
                "1 threads",
                "2 threads",
            ):
                yield name, setting
