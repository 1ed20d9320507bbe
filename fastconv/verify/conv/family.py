"""The family of convolutions: every property meets every kernel and all it can be given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from fastconv.verify.conv import check, compare, crossing, graph
from fastconv.verify.conv.crossing import DTYPES, parts, possible
from fastconv.verify.conv.drawing import drawn
from fastconv.verify.conv.kernels import GRAPHS, kernels
from fastconv.verify.conv.properties import PROPERTIES
from fastconv.verify.conv.record import ConvProblem
from fastconv.verify.conv.smaller import smaller
from fastconv.verify.problem import Failure, Family

__all__ = ["ConvFamily"]

#: Drafts for one problem before its property is given up.
TRIES = 12


class ConvFamily(Family):
    """Convolutions: each candidate of the planner, and the public functions with backward."""

    name = "conv"
    problem = ConvProblem
    properties: Sequence[str] = tuple(PROPERTIES)

    def draw(self, rng: Random, number: int) -> ConvProblem:
        """The kernels take turns; at each turn of one its properties, and what it is given, do."""
        turn, which = divmod(number, len(kernels()))
        kernel = kernels()[which]
        names = possible(kernel)
        lap, at = divmod(turn + 7 * which, len(names))
        part = parts(kernel)[(which + 3 * lap + at) % len(parts(kernel))]
        dtype, focus = DTYPES[(lap + at + which) % 2], names[at]
        problem = None
        for attempt in range(3 * TRIES):
            asked = [focus] if attempt < TRIES else []
            if attempt < TRIES // 2:  # others beside it
                asked += rng.sample(names, rng.choice((0, 0, 1, 2)))
            found = drawn(kernel, dtype, asked, part, rng)
            if found is not None:
                problem = found
                if not asked or PROPERTIES[focus].holds(found):
                    break
        return problem or ConvProblem(kernel.op, kernel.on, kernel.isa, dtype)

    def check(self, problem: ConvProblem) -> Failure | None:
        """Run a problem and compare."""
        way = graph if problem.op in GRAPHS else check
        what = way.check(problem)
        return None if what is None else Failure(problem, what)

    def smaller(self, problem: ConvProblem) -> Iterator[ConvProblem]:
        """Plainer ways to call, then smaller geometries."""
        return smaller(problem)

    def settings(self, problem: ConvProblem) -> Sequence[str]:
        """The kernel with type and instruction set, and with each thing that it was given."""
        base = f"{problem.op} {problem.on}"
        parts = [
            f"{problem.isa} {problem.dtype}", f"threads={problem.threads}",
            f"route={problem.route}", *crossing.given(problem),
        ]  # fmt: skip
        return [f"{base} {part}" for part in parts]

    def holds(self, problem: ConvProblem) -> Sequence[str]:
        """Names of the properties."""
        return [one.name for one in PROPERTIES.values() if one.holds(problem)]

    def expected(self) -> Iterator[tuple[str, str]]:
        """Each kernel's settings with the properties that it can have."""
        seen = set()
        for kernel in kernels():
            base = f"{kernel.op} {kernel.on}"
            found = [f"{kernel.isa} {dtype}" for dtype in DTYPES]
            if base not in seen:
                found += parts(kernel)
            seen.add(base)
            for part in found:
                for name in possible(kernel):
                    if not crossing.never(kernel, name, part):
                        yield name, f"{base} {part}"

    def largest(self) -> dict[str, float]:
        """Largest errors of the inexact algorithms in units of what is allowed."""
        return {f"error of {name} over the allowed": share for name, share in compare.worst.items()}
