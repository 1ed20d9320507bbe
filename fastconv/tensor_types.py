"""Type objects such as ``FloatTensor``: constructors, and what ``isinstance`` asks by dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import creation, dtypes
from .autograd import TensorBase, wrap
from .functions._named import retell
from .functions.shape import sizes


class TensorType(type):
    """The type of these: `dtype` is that of the elements, `cuda` whether on a device."""

    dtype: dtypes.dtype
    cuda: bool

    def __new__(mcs, name: str, dtype: dtypes.dtype, cuda: bool = False) -> TensorType:
        where = "fastconv.cuda" if cuda else "fastconv"
        fields = {
            "__doc__": f"A {dtype.name} tensor: of data, or uninitialised of the given sizes.",
            "__module__": where,
            "__slots__": (),
            "dtype": dtype,
            "cuda": cuda,
        }
        return super().__new__(mcs, name, (), fields)

    def __init__(cls, *args: Any, **kwargs: Any) -> None:
        super().__init__(cls.__name__, (), {})

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            not cls.cuda
            and isinstance(instance, TensorBase)
            and instance._array.dtype == cls.dtype.dtype
        )

    def __call__(cls, *args: Any, **device: Any) -> Any:
        if cls.cuda:
            raise RuntimeError(
                f"{cls.__module__}.{cls.__name__}: there is no CUDA device: fastconv computes on "
                f"the CPU only; use fastconv.{cls.__name__}"
            )
        if device.pop("device", "cpu") not in (None, "cpu", dtypes.CPU) or device:
            raise TypeError(f"{cls.__name__}: sizes or data are expected, got {device!r:.80}")
        try:
            if len(args) == 1 and not isinstance(args[0], (int, np.integer, dtypes.Size)):
                return creation.tensor(args[0], dtype=cls.dtype)
            return wrap(np.empty(sizes(args, cls.__name__) if args else (0,), cls.dtype.dtype))
        except Exception as error:
            retell(error, cls.__name__, lambda *given: None, args, {})

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__}.{cls.__name__}'>"


def by_name(name: str) -> TensorType | None:
    """The type of a name such as ``torch.FloatTensor`` or ``torch.cuda.LongTensor``, or None."""
    head, _, last = name.rpartition(".")
    found = globals().get(f"Cuda{last}" if head.endswith("cuda") else last)
    return found if isinstance(found, TensorType) else None


def wanted(dtype: Any, function: str) -> Any:
    """What a type object, or its name, stands for; anything else as it is.

    Raises
    ------
    RuntimeError
        For a type of CUDA's.
    ValueError
        For the name of no type.
    """
    if isinstance(dtype, str) and dtype.endswith("Tensor"):
        found = by_name(dtype)
        if found is None:
            raise ValueError(f"{function}: unknown type {dtype!r}")
        dtype = found
    if isinstance(dtype, TensorType):
        if dtype.cuda:
            dtype()
        return dtype.dtype
    return dtype


HalfTensor = TensorType("HalfTensor", dtypes.float16)
FloatTensor = TensorType("FloatTensor", dtypes.float32)
DoubleTensor = TensorType("DoubleTensor", dtypes.float64)
ByteTensor = TensorType("ByteTensor", dtypes.uint8)
CharTensor = TensorType("CharTensor", dtypes.int8)
ShortTensor = TensorType("ShortTensor", dtypes.int16)
IntTensor = TensorType("IntTensor", dtypes.int32)
LongTensor = TensorType("LongTensor", dtypes.int64)
BoolTensor = TensorType("BoolTensor", dtypes.bool)
CudaHalfTensor = TensorType("HalfTensor", dtypes.float16, cuda=True)
CudaFloatTensor = TensorType("FloatTensor", dtypes.float32, cuda=True)
CudaDoubleTensor = TensorType("DoubleTensor", dtypes.float64, cuda=True)
CudaByteTensor = TensorType("ByteTensor", dtypes.uint8, cuda=True)
CudaCharTensor = TensorType("CharTensor", dtypes.int8, cuda=True)
CudaShortTensor = TensorType("ShortTensor", dtypes.int16, cuda=True)
CudaIntTensor = TensorType("IntTensor", dtypes.int32, cuda=True)
CudaLongTensor = TensorType("LongTensor", dtypes.int64, cuda=True)
CudaBoolTensor = TensorType("BoolTensor", dtypes.bool, cuda=True)
