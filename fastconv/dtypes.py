"""Data types, devices, memory formats and sizes: the small value objects of the public API."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np


class dtype:
    """A tensor element type. Prints like ``fastconv.float32``; NumPy accepts it as a dtype.

    Attributes
    ----------
    name : str
        ``"float32"`` and so on.
    dtype : numpy.dtype
        The NumPy type (the attribute through which ``np.dtype(fastconv.float32)`` works).
    """

    __slots__ = ("name", "dtype", "is_floating_point", "itemsize")
    is_complex = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.dtype = np.dtype(name)
        self.is_floating_point = self.dtype.kind == "f"
        self.itemsize = self.dtype.itemsize

    def __repr__(self) -> str:
        return f"fastconv.{self.name}"

    def __eq__(self, other: object) -> builtins.bool:
        if isinstance(other, dtype):
            return self is other
        if isinstance(other, (np.dtype, type)):
            try:
                return self.dtype == other
            except TypeError:
                return False
        return NotImplemented

    def __hash__(self) -> builtins.int:
        return hash(self.dtype)

    def __reduce__(self) -> str:
        return self.name


float16 = half = dtype("float16")
float32 = dtype("float32")
float64 = double = dtype("float64")
uint8 = dtype("uint8")
int8 = dtype("int8")
int16 = short = dtype("int16")
int32 = dtype("int32")
int64 = long = dtype("int64")
bool = dtype("bool")
float = float32
int = int32


class ForeignDtype:
    """A type that PyTorch's tensors can have and ours cannot: it can be named, not used."""

    __slots__ = ("name", "is_floating_point", "is_complex", "itemsize")

    def __init__(self, name: str, itemsize: builtins.int) -> None:
        self.name, self.itemsize = name, itemsize
        self.is_complex = name.startswith("complex")
        self.is_floating_point = not self.is_complex

    def __repr__(self) -> str:
        return f"fastconv.{self.name}"

    def __reduce__(self) -> str:
        return self.name

    def refuse(self) -> None:
        """Raise TypeError: there are no such tensors."""
        more = "; fastconv.fft works on pairs of real tensors" if self.is_complex else ""
        raise TypeError(f"no tensor has dtype {self.name}: kernels are float32 and float64{more}")


bfloat16 = ForeignDtype("bfloat16", 2)
complex64 = cfloat = ForeignDtype("complex64", 8)
complex128 = cdouble = ForeignDtype("complex128", 16)

_ALL = (float16, float32, float64, uint8, int8, int16, int32, int64, bool)
_BY_NUM = {d.dtype.num: d for d in _ALL}
for _code in "lq":  # two C types share 64 bits
    if np.dtype(_code).itemsize == 8:
        _BY_NUM[np.dtype(_code).num] = int64
_PYTHON = {builtins.float: None, builtins.int: int64, builtins.bool: bool}
_default = float32


def from_numpy_dtype(np_dtype: np.dtype) -> dtype:
    """The dtype object of a NumPy type.

    Raises
    ------
    TypeError
        If tensors cannot hold that type.
    """
    found = _BY_NUM.get(np_dtype.num)
    if found is None or not np_dtype.isnative:
        names = ", ".join(d.name for d in _ALL)
        raise TypeError(f"a tensor cannot hold NumPy dtype {np_dtype}; supported: {names}")
    return found


def to_numpy_dtype(d: Any) -> np.dtype:
    """The NumPy type of a dtype, NumPy type, Python type (``float``: the default type) or name."""
    if type(d) is dtype:
        return d.dtype
    if type(d) is ForeignDtype:
        d.refuse()
    try:
        if d in _PYTHON:
            return (_PYTHON[d] or _default).dtype
        found = np.dtype(d)
    except (TypeError, ValueError):
        raise TypeError(f"dtype must be a fastconv dtype, got {d!r}") from None
    return from_numpy_dtype(found).dtype


def get_default_dtype() -> dtype:
    """The type of new floating-point tensors (float32 unless changed)."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Set the type of new floating-point tensors: ``float32`` or ``float64``."""
    global _default
    found = from_numpy_dtype(to_numpy_dtype(d))
    if not found.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}")
    _default = found


class device:
    """Where a tensor lives: always the CPU. ``device("cpu")``, ``device("cpu", 0)``.

    Raises
    ------
    RuntimeError
        For any other device, naming it.
    """

    __slots__ = ("type", "index")

    def __init__(self, type: str | device = "cpu", index: builtins.int | None = None) -> None:
        if isinstance(type, device):
            type, index = str(type), None
        if not isinstance(type, str):
            raise TypeError(f"device must be a string or a device, got {type!r}")
        name, colon, number = type.partition(":")
        if colon:
            if not number.isdigit():
                raise RuntimeError(f"invalid device string: {type!r}")
            index = builtins.int(number)
        if name != "cpu":
            raise RuntimeError(
                f"device {type!r} is not available: fastconv runs on the CPU only; use 'cpu', or "
                "choose the device by fastconv.cuda.is_available(), which is False"
            )
        self.type = name
        self.index = index

    def __repr__(self) -> str:
        suffix = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{suffix})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> builtins.bool:
        if not isinstance(other, device):
            return NotImplemented
        return (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> builtins.int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return (device, (self.type, self.index))

    def __enter__(self) -> device:
        return self

    def __exit__(self, *exception: object) -> None:
        """Do nothing: new tensors are on the CPU anyway."""


CPU = device("cpu")


class memory_format:
    """How the axes of a tensor lie in memory; the shape does not change with it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"fastconv.{self.name}"

    def __reduce__(self) -> str:
        return self.name


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")


class layout:
    """How the elements of a tensor are stored; there is one way."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"fastconv.{self.name}"

    def __eq__(self, other: object) -> builtins.bool:
        return self.name == (other.name if isinstance(other, layout) else other)

    def __hash__(self) -> builtins.int:
        return hash(self.name)

    def __reduce__(self) -> str:
        return self.name


strided = layout("strided")


class Size(tuple):
    """A tensor's shape: a tuple that prints like ``fastconv.Size([2, 3])``."""

    __slots__ = ()

    def numel(self) -> builtins.int:
        """The number of elements of a tensor of this shape."""
        n = 1
        for s in self:
            n *= s
        return n

    def __repr__(self) -> str:
        return f"fastconv.Size({list(self)})"

    def __getitem__(self, index: Any) -> Any:
        got = tuple.__getitem__(self, index)
        return Size(got) if isinstance(index, slice) else got

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Size, (tuple(self),))
