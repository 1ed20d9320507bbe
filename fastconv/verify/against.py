"""The corpus and the generated calls run by another library, which may end its process over them.

The library is imported by its name and must have PyTorch's. Every problem runs in a process that
:mod:`fastconv.verify.run` watches: one that dies, or takes longer than a minute, is counted with
the line of the problem it was at, and another goes on behind it. What is said to be right is what
the formulas say, not what fastconv computes.
"""

from __future__ import annotations

import faulthandler
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar, NamedTuple

from fastconv.verify import run as running
from fastconv.verify.calls import library
from fastconv.verify.corpus import ENTRIES
from fastconv.verify.families import family, parse
from fastconv.verify.formulas.tape import rounding
from fastconv.verify.functional.base import CallProblem, judge
from fastconv.verify.functional.corpus import CorpusProblem, judge_entry
from fastconv.verify.problem import Declined, Failure, Family, Problem
from fastconv.verify.sources import Listed

__all__ = ["Against", "AgainstFamily", "AgainstProblem", "Row", "Table", "against"]

#: The families of calls, which any library with the names can run.
CALLS = (
    "public-conv", "pool", "norm", "resample", "pad", "loss", "softmax", "reduce", "pointwise",
    "optim",
)  # fmt: skip
#: Seconds that a problem may take.
PATIENCE = 60.0


@dataclass(frozen=True)
class AgainstProblem(Problem):
    """A problem of another family, its words joined by commas, and who is to run it."""

    family: ClassVar[str] = "against"

    library: str = "torch"
    line: str = "-"

    def inner(self) -> Problem:
        """The problem itself."""
        return parse(self.line.replace(",", " "))


def _wrapped(name: str, problem: Problem) -> AgainstProblem:
    return AgainstProblem(name, str(problem).replace(" ", ","))


@dataclass(frozen=True)
class Against:
    """Where the problems come from: the corpus in both types, then drawn calls of every family."""

    library: str
    seed: int
    count: int

    families: ClassVar[tuple[str, ...]] = ("against",)
    each: ClassVar[bool] = True

    def problem(self, number: int) -> AgainstProblem:
        """The problem of this number."""
        turn, which = divmod(number, len(ENTRIES))
        if turn < 2:
            entry = CorpusProblem(ENTRIES[which].name, ("float32", "float64")[turn])
            return _wrapped(self.library, entry)
        turn, which = divmod(number - 2 * len(ENTRIES), len(CALLS))
        drawn = family(CALLS[which]).draw(Random((self.seed << 40) + number), turn)
        return _wrapped(self.library, replace(drawn, backend="c", isa="generic"))


class AgainstFamily(Family):
    """Problems of other families, run by another library."""

    name = "against"
    problem = AgainstProblem
    properties = CALLS

    def draw(self, rng: Random, number: int) -> AgainstProblem:
        raise Declined("which library is to be run is said by fastconv.verify.against")

    def check(self, problem: AgainstProblem) -> Failure | None:
        T, inner = library(problem.library), problem.inner()
        with open(os.devnull, "w") as nowhere:
            faulthandler.dump_traceback_later(PATIENCE, exit=True, file=nowhere)
            try:
                with rounding():
                    what = self._judge(T, inner)
            finally:
                faulthandler.cancel_dump_traceback_later()
        return None if what is None else Failure(problem, what)

    def _judge(self, T: Any, inner: Problem) -> str | None:
        if isinstance(inner, CorpusProblem):
            entry = inner.published()
            what = judge_entry(T, entry, inner.dtype)
            return None if what is None else f"{what} ({entry.reference})"
        if not isinstance(inner, CallProblem):
            raise Declined(f"{inner.family} is no family of calls")
        T.set_num_threads(inner.threads)
        algorithm = family(inner.family).algorithm(inner)  # type: ignore[attr-defined]
        return judge(T, inner.call(), inner.dtype, algorithm)

    def smaller(self, problem: AgainstProblem) -> Iterator[AgainstProblem]:
        inner = problem.inner()
        for less in family(inner.family).smaller(inner):
            yield _wrapped(problem.library, less)

    def settings(self, problem: AgainstProblem) -> Sequence[str]:
        return (problem.library,)

    def holds(self, problem: AgainstProblem) -> Sequence[str]:
        return (_row(problem),)

    def expected(self) -> Iterator[tuple[str, str]]:
        return iter(())


def _row(problem: AgainstProblem) -> str:
    """What a problem is counted under."""
    inner = problem.inner()
    if isinstance(inner, CorpusProblem):
        return f"corpus: {inner.published().family}"
    return inner.family


class Row(NamedTuple):
    """Counts of one kind of problem."""

    problems: int
    wrong: int
    raised: int
    crashed: int


class Table(NamedTuple):
    """What a library has made of the problems.

    Attributes
    ----------
    rows : dict of str to Row
        By the part of the corpus or the family.
    found : list of Failure
        Every failure, shrunk; of a crash the problem as it was met. Each was run once more in a
        process of its own, and says if it did not fail there.
    declined : int
        Problems that the library cannot be given.
    """

    rows: dict[str, Row]
    found: list[Failure]
    declined: int

    def lines(self) -> Iterator[str]:
        """The counts as lines of text."""
        width = max([len(name) for name in self.rows] + [len("problems of")])
        yield f"{'problems of':{width}}  checked    wrong   raised  crashed"
        totals = [sum(column) for column in zip(*self.rows.values())] or [0] * 4
        for name, row in [*self.rows.items(), ("all", Row(*totals))]:
            yield f"{name:{width}}  " + "  ".join(f"{n:7d}" for n in row)


def against(
    name: str,
    count: int,
    seed: int = 0,
    jobs: int = 1,
    progress: Callable[[Any], None] | None = None,
) -> Table:
    """Run the corpus and drawn calls by another library.

    Parameters
    ----------
    name : str
        Its name, as it is imported: ``"torch"``.
    count : int
        Problems; the first of them are the corpus, in float32 and float64.
    seed : int
        Of the drawn ones.
    jobs : int
        Processes.
    progress : callable, optional
        Gets the result so far, now and then.

    Raises
    ------
    Declined
        If there is no such library.
    """
    library(name)
    result = running.run(Against(name, seed, count), jobs, progress=progress)  # type: ignore[arg-type]
    checked: Counter[str] = Counter()
    for (row, _), times in result.coverage.pairs.get("against", Counter()).items():
        checked[row] += times
    kinds: dict[str, Counter[str]] = {k: Counter() for k in ("wrong", "raised", "crashed")}
    for found in result.found:
        row, kind = _row(found.first.problem), _kind(found.first.what)  # type: ignore[arg-type]
        kinds[kind][row] += 1
        if kind == "crashed":
            checked[row] += 1
    rows = {
        row: Row(checked[row], *(kinds[kind][row] for kind in kinds)) for row in sorted(checked)
    }
    return Table(rows, [_alone(found.smallest) for found in result.found], result.declined)


def _alone(failure: Failure) -> Failure:
    """A failure, with a word where a process of its own has none of it.

    Who writes past his memory may harm whoever comes after him.
    """
    again = running.run(Listed((str(failure.problem),)))
    if again.found:
        return failure
    return failure._replace(what=f"{failure.what}, but not by itself")


def _kind(what: str) -> str:
    if what.startswith("ended the process"):
        return "crashed"
    return "raised" if what.startswith("raised") else "wrong"
