"""The graph fuzzer: random programs, run with fusion, without, and by PyTorch.

Fused and plain must agree bit for bit in all that is seen, and raise alike; with PyTorch, where it
is installed, float64 agrees within rounding. A failure is shrunk, and printed as a line that
``python -m fastconv.verify.graphs "LINE"`` runs again.
"""

from .judge import Failure, check, run
from .program import Program, draw_program, parse

__all__ = ["Failure", "Program", "check", "draw_program", "parse", "run"]
