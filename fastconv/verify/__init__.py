"""Generated problems: geometry drawn by properties, every kernel, exact comparison.

``fastconv verify`` and ``python -m bench.verify`` run them. A problem is one line of text
(``problem.py``), a family draws, checks and shrinks problems (``families.py`` lists them), and
``run.py`` goes through them in processes and prints what fails, shrunk, as a line that shows it
again.
"""

from fastconv.verify.families import FAMILIES, family, parse
from fastconv.verify.problem import Declined, Failure, Family, Problem

__all__ = ["FAMILIES", "Declined", "Failure", "Family", "Problem", "family", "parse"]
