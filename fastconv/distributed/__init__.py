"""PyTorch's process groups, for the one process that there is.

Scripts for several processes run in one: rank 0 of a world of 1, in which every exchange gives
back what came in. More processes are an error: one process computes, with threads.
"""

from __future__ import annotations

import os
from typing import Any

from ..absent import missing

__all__ = [
    "ReduceOp", "all_gather", "all_gather_object", "all_reduce", "barrier", "broadcast",
    "broadcast_object_list", "destroy_process_group", "get_backend", "get_rank", "get_world_size",
    "init_process_group", "is_available", "is_gloo_available", "is_initialized",
    "is_mpi_available", "is_nccl_available", "reduce",
]  # fmt: skip

_backend: str | None = None


class ReduceOp:
    """How values of several processes become one; with one process, all the same."""

    SUM, AVG, PRODUCT, MIN, MAX = "sum", "avg", "product", "min", "max"


class _GroupType:
    WORLD: Any = None


group = _GroupType()


def is_available() -> bool:
    """True: for one process."""
    return True


def is_initialized() -> bool:
    """Whether :func:`init_process_group` has been called."""
    return _backend is not None


def is_nccl_available() -> bool:
    """False: there is no GPU."""
    return False


def is_gloo_available() -> bool:
    """True: as a name for the one process."""
    return True


def is_mpi_available() -> bool:
    """False."""
    return False


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    **options: Any,
) -> None:
    """Begin a group of one process.

    Raises
    ------
    RuntimeError
        For a second call; if `world_size`, or WORLD_SIZE in the environment where it is not given,
        is larger than 1; for the backend "nccl".
    """
    global _backend
    if _backend is not None:
        raise RuntimeError("init_process_group: the group exists already")
    if backend == "nccl":
        raise RuntimeError("init_process_group: there is no GPU for 'nccl': use 'gloo'")
    if world_size < 0:
        world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size > 1:
        raise RuntimeError(
            f"init_process_group: world_size is {world_size}, but fastconv computes in one process "
            "with threads: use world_size=1 and fastconv.set_num_threads"
        )
    _backend = backend or "gloo"


def destroy_process_group(group: Any = None) -> None:
    """End the group."""
    global _backend
    _backend = None


def _check() -> None:
    if _backend is None:
        raise RuntimeError("the process group has not been begun: call init_process_group first")


def get_backend(group: Any = None) -> str:
    """The name that the group was begun with."""
    _check()
    return str(_backend)


def get_rank(group: Any = None) -> int:
    """0."""
    _check()
    return 0


def get_world_size(group: Any = None) -> int:
    """1."""
    _check()
    return 1


def barrier(group: Any = None, **options: Any) -> None:
    """Do nothing: there is nobody to wait for."""
    _check()


def all_reduce(
    tensor: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> None:
    """Leave the tensor as it is: the sum over one process."""
    _check()


def reduce(
    tensor: Any, dst: int = 0, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> None:
    """Leave the tensor as it is: the sum over one process."""
    _check()


def broadcast(tensor: Any, src: int = 0, group: Any = None, async_op: bool = False) -> None:
    """Leave the tensor as it is."""
    _check()


def broadcast_object_list(object_list: list[Any], src: int = 0, **options: Any) -> None:
    """Leave the objects as they are."""
    _check()


def all_gather(
    tensor_list: list[Any], tensor: Any, group: Any = None, async_op: bool = False
) -> None:
    """Copy the tensor into the one of the list."""
    _check()
    if len(tensor_list) != 1:
        raise ValueError(f"all_gather: tensor_list must have 1 tensor, got {len(tensor_list)}")
    tensor_list[0].copy_(tensor)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Put the object into the list of one."""
    _check()
    object_list[0] = obj


def new_group(ranks: Any = None, **options: Any) -> None:
    """The one group, which None stands for."""
    _check()


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
