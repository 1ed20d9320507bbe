"""Which properties met which settings, and which never did."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from fastconv.files import write_text
from fastconv.verify.families import family
from fastconv.verify.problem import Problem

__all__ = ["Coverage"]

Pair = tuple[str, str]


class Coverage:
    """Counts of pairs (property, setting) for each family."""

    def __init__(self) -> None:
        self.pairs: dict[str, Counter[Pair]] = {}

    def add(self, problem: Problem) -> None:
        """Count the pairs of a problem that was run."""
        one = family(problem.family)
        counts = self.pairs.setdefault(problem.family, Counter())
        counts.update(product(one.holds(problem), one.settings(problem)))

    def update(self, other: Coverage) -> None:
        """Add the counts of another part of the run."""
        for name, counts in other.pairs.items():
            self.pairs.setdefault(name, Counter()).update(counts)

    def missing(self, name: str) -> list[Pair]:
        """Expected pairs of a family that never met."""
        met = self.pairs.get(name, Counter())
        return [pair for pair in family(name).expected() if not met[pair]]

    def lines(self, name: str, most: int = 12) -> Iterable[str]:
        """The figures of a family as text, with at most so many of the pairs that never met."""
        expected, met = list(family(name).expected()), self.pairs.get(name, Counter())
        missing = [pair for pair in expected if not met[pair]]
        least = min((met[pair] for pair in expected), default=0)
        yield (
            f"{name}: {len(expected) - len(missing)} of {len(expected)} pairs of a property and a "
            f"setting met, each at least {least} times"
        )
        for one, other in missing[:most]:
            yield f"  never met: {one} × {other}"
        if len(missing) > most:
            yield f"  … and {len(missing) - most} more"

    def write(self, path: Path) -> None:
        """Write every count as JSON: family, property, setting, count."""
        data = {
            name: [[*pair, met] for pair, met in sorted(counts.items())]
            + [[*pair, 0] for pair in self.missing(name)]
            for name, counts in self.pairs.items()
        }
        write_text(path, json.dumps(data, indent=0, ensure_ascii=False) + "\n")
