"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable

from fastconv.spec import ConvSpec, NormSpec, PoolSpec

Spec = ConvSpec | PoolSpec | NormSpec
#: Returns why a kernel should not run a geometry, or None where it may.
Rule = Callable[[Spec], "str | None"]


def never(spec: Spec) -> str | None:
    """No reason against it."""
    return None
