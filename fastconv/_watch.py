"""Who watches operations run: nobody, or the recorder of a ``fastconv.profile()`` block."""

from __future__ import annotations

from typing import Any

#: Set and cleared by fastconv.profiler; :class:`Op` and the engine look at it at every operation.
recorder: Any = None
