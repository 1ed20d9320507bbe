"""Names for annotations, as at ``torch.types``."""

from __future__ import annotations

import builtins
import os
from collections.abc import Sequence
from typing import TypeAlias

from .dtypes import Size, device, dtype, layout
from .tensor import Tensor

__all__ = ["Device", "FileLike", "Number", "Tensor", "_TensorOrTensors", "_bool", "_device",
           "_dtype", "_float", "_int", "_layout", "_size"]  # fmt: skip

_int: TypeAlias = builtins.int
_float: TypeAlias = builtins.float
_bool: TypeAlias = builtins.bool
_dtype: TypeAlias = dtype
_device: TypeAlias = device
_layout: TypeAlias = layout
_size: TypeAlias = Size | list[int] | tuple[int, ...]
Number: TypeAlias = int | float | bool
Device: TypeAlias = device | str | int | None
FileLike: TypeAlias = str | os.PathLike[str]
_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
