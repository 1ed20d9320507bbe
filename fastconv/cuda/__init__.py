"""PyTorch's name for what is not here: fastconv computes on the CPU only.

Questions are answered, what only frees or waits does nothing, and what needs a device says that
there is none.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

from .. import tensor_types as _types
from ..absent import missing
from . import amp, nvtx

__all__ = ["amp", "device_count", "is_available", "manual_seed", "manual_seed_all", "nvtx"]

NO_DEVICE = (
    "there is no CUDA device: fastconv computes on the CPU only; ask cuda.is_available() first, "
    "or use device 'cpu'"
)

FloatTensor = _types.CudaFloatTensor
DoubleTensor = _types.CudaDoubleTensor
HalfTensor = _types.CudaHalfTensor
LongTensor = _types.CudaLongTensor
IntTensor = _types.CudaIntTensor
ShortTensor = _types.CudaShortTensor
CharTensor = _types.CudaCharTensor
ByteTensor = _types.CudaByteTensor
BoolTensor = _types.CudaBoolTensor


class OutOfMemoryError(RuntimeError):
    """Never raised: for ``except`` clauses."""


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(f"cuda.{name}: {NO_DEVICE}")


def is_available() -> bool:
    """False: there is no CUDA device."""
    return False


def is_initialized() -> bool:
    """False: there is no CUDA device."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no CUDA device."""
    return False


def device_count() -> int:
    """0: there is no CUDA device."""
    return 0


def init() -> None:
    """Raise RuntimeError: there is no CUDA device."""
    _refuse("init")


def current_device() -> int:
    """Raise RuntimeError: there is no CUDA device."""
    _refuse("current_device")


def set_device(device: Any) -> None:
    """Raise RuntimeError: there is no CUDA device."""
    _refuse("set_device")


def get_device_name(device: Any = None) -> str:
    """Raise RuntimeError: there is no CUDA device."""
    _refuse("get_device_name")


def get_device_properties(device: Any = None) -> Any:
    """Raise RuntimeError: there is no CUDA device."""
    _refuse("get_device_properties")


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Raise RuntimeError: there is no CUDA device."""
    _refuse("get_device_capability")


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Raise RuntimeError: there is no CUDA device."""
    _refuse("mem_get_info")


def device(device: Any) -> AbstractContextManager[None]:
    """A context manager that does nothing for None and -1; RuntimeError for a device."""
    if device is not None and device != -1:
        _refuse("device")
    return nullcontext()


def stream(stream: Any) -> AbstractContextManager[None]:
    """A context manager that does nothing."""
    return nullcontext()


def manual_seed(seed: int) -> None:
    """Do nothing: there is no CUDA generator to seed."""


def manual_seed_all(seed: int) -> None:
    """Do nothing: there is no CUDA generator to seed."""


def seed() -> None:
    """Do nothing: there is no CUDA generator to seed."""


def seed_all() -> None:
    """Do nothing: there is no CUDA generator to seed."""


def get_rng_state_all() -> list[Any]:
    """No states: there are no devices."""
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Do nothing: there is no CUDA generator."""


def empty_cache() -> None:
    """Do nothing: there is no CUDA memory."""


def ipc_collect() -> None:
    """Do nothing: there is no CUDA memory."""


def synchronize(device: object = None) -> None:
    """Do nothing: there is no CUDA device to wait for."""


def _nothing(device: Any = None) -> int:
    """0: there is no CUDA memory."""
    return 0


memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = _nothing
memory_cached = max_memory_cached = _nothing


def reset_peak_memory_stats(device: Any = None) -> None:
    """Do nothing: there is no CUDA memory."""


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """A line that says that there is no CUDA memory."""
    return "no CUDA memory: fastconv computes on the CPU only"


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
