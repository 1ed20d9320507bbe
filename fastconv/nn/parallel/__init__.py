"""`DataParallel` and `DistributedDataParallel` for the one device that there is."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..modules import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]


class DataParallel(Module):
    """Calls its module; the engine divides the work among threads.

    Parameters
    ----------
    module : Module
        Kept as ``.module``, so that states have PyTorch's names.
    device_ids, output_device, dim
        Accepted for PyTorch's sake.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module
        self.dim = dim
        self.device_ids: list[Any] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """Calls its module: with one process there is nobody to exchange gradients with.

    Parameters
    ----------
    module : Module
        Kept as ``.module``, so that states have PyTorch's names.
    device_ids, output_device, dim, **options
        Accepted for PyTorch's sake.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        if device_ids:
            raise ValueError(
                f"DistributedDataParallel: device_ids must be None on the CPU, got {device_ids!r}"
            )
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)

    def no_sync(self) -> AbstractContextManager[None]:
        """A context manager that does nothing: there is nobody to exchange gradients with."""
        return nullcontext()


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Call the module."""
    values = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*values, **(module_kwargs or {}))


from . import distributed  # noqa: E402 (which takes its names from here)
