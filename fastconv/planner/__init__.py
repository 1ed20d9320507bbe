"""Which kernel runs: candidates in order, the rules against them, the choice, and its reasons."""

from fastconv.backends.kernel import find
from fastconv.planner.candidates import CANDIDATES, PLAIN, Candidate, algorithms, candidates
from fastconv.planner.choice import choose, kernel, pick, ready

__all__ = [
    "CANDIDATES",
    "PLAIN",
    "Candidate",
    "algorithms",
    "candidates",
    "choose",
    "find",
    "kernel",
    "pick",
    "ready",
]
