"""Published cases of wrong values and gradients, in any framework, with the right ones.

Each entry was read in the thread that it names, and is told in our own words. Its right value is
that of the formulas (:mod:`fastconv.verify.formulas`), and where the thread states one, the two
must agree.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fastconv.verify.corpus import conv, loss, norm, other, pool, resample, transposed
from fastconv.verify.corpus.build import Entry

__all__ = ["ENTRIES", "Entry"]

_PARTS = (conv, transposed, pool, norm, resample, loss, other)


def _named(entries: list[Entry]) -> list[Entry]:
    """Number the entries of one reference, all but the first."""
    times: Counter[str] = Counter()
    found = []
    for entry in entries:
        times[entry.name] += 1
        if times[entry.name] > 1:
            entry = replace(entry, name=f"{entry.name}-{times[entry.name]}")
        found.append(entry)
    return found


ENTRIES: list[Entry] = _named([entry for part in _PARTS for entry in part.case.entries])
