"""Where the problems of a run come from: drawn by number, or a list of lines."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from fastconv.verify.families import family, parse
from fastconv.verify.problem import Problem

__all__ = ["Drawn", "Listed", "Source"]


@dataclass(frozen=True)
class Drawn:
    """Problem `number` of a seed is always the same, whoever draws it: families take turns.

    A family that is named several times has several turns in each round.
    """

    families: tuple[str, ...]
    seed: int
    count: int

    #: Whether each problem is reported by itself, so that none is lost with a process.
    each: ClassVar[bool] = False

    def problem(self, number: int) -> Problem:
        """The problem of this number."""
        turn, which = divmod(number, len(self.families))
        name, rng = self.families[which], Random((self.seed << 40) + number)
        turn = turn * self.families.count(name) + self.families[:which].count(name)
        return family(name).draw(rng, turn)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Listed:
    """Problems by their text."""

    lines: tuple[str, ...]

    each: ClassVar[bool] = False

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.lines)

    @property
    def families(self) -> tuple[str, ...]:
        """The families of the problems."""
        return tuple(dict.fromkeys(line.split(None, 1)[0] for line in self.lines))

    def problem(self, number: int) -> Problem:
        """The problem of this number."""
        return parse(self.lines[number])


Source = Drawn | Listed
