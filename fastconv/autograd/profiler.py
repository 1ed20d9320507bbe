"""`profile` and `record_function`, under PyTorch's path; see `fastconv.profiler`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .. import profiler as _profiler
from ..profiler import record_function

__all__ = ["emit_nvtx", "profile", "record_function"]


class profile(_profiler.profile):
    """:class:`fastconv.profile` with PyTorch's arguments.

    Parameters
    ----------
    enabled : bool
        Without it nothing is recorded.
    **options
        PyTorch's (`use_cuda`, `record_shapes`, …): shapes are always recorded, the others have no
        effect.
    """

    def __init__(self, enabled: bool = True, **options: Any) -> None:
        super().__init__()
        self.enabled = enabled

    def __enter__(self) -> Any:
        return super().__enter__() if self.enabled else self

    def __exit__(self, *exception: Any) -> None:
        if self.enabled:
            super().__exit__(*exception)


def emit_nvtx(enabled: bool = True, record_shapes: bool = False) -> AbstractContextManager[None]:
    """A context manager that does nothing: there is no GPU."""
    return nullcontext()
