"""The names that checkpoints may refer to, and what is made of them.

Each function gets the machine and the arguments of the file, and checks them itself. The names
are those that PyTorch's own pickles of tensors and containers have, and NumPy's of numbers.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from .errors import Refused, Unreadable
from .kinds import FOREIGN, KINDS, Count, Kind, kind_of
from .npy import MAX_RANK, NUMBER
from .tensors import Storage, from_array, parameter
from .unpickler import Admitted, Buildable, Machine, checked_key

#: Storages by the names of their classes; UntypedStorage holds bytes of any type.
STORAGES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16",
    "Byte": "uint8", "Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64",
    "Bool": "bool", "ComplexFloat": "complex64", "ComplexDouble": "complex128", "QInt8": "qint8",
    "QUInt8": "quint8", "QInt32": "qint32",
}  # fmt: skip


class Untyped:
    """The class of storages whose tensors name their type."""

    itemsize = 1


class Held(Buildable):
    """A storage on the machine's stack."""

    name = "a storage"

    def __init__(self, storage: Storage | None) -> None:
        self.storage = storage  # None while a pickle is only looked through


class Reference:
    """Makes the table for one file.

    Parameters
    ----------
    count : Count
    dry : bool
        Make no tensors: the pickle is only looked through.
    """

    def __init__(self, count: Count, dry: bool = False) -> None:
        self.count, self.dry = count, dry
        made: dict[str, Callable[..., Any]] = {
            "torch._utils._rebuild_tensor": self.rebuild_old,
            "torch._utils._rebuild_tensor_v2": self.rebuild,
            "torch._utils._rebuild_tensor_v3": self.rebuild_typed,
            "torch._utils._rebuild_parameter": self.rebuild_parameter,
            "torch._utils._rebuild_parameter_with_state": self.rebuild_parameter,
            "torch._utils._rebuild_device_tensor_from_numpy": self.from_numpy,
            "torch._utils._rebuild_device_tensor_from_cpu_tensor": self.from_tensor,
            "torch._tensor._rebuild_from_type_v2": self.from_type,
            "torch.Size": _size,
            "torch.device": _device,
            "torch.serialization._get_layout": _layout,
            "collections.OrderedDict": _ordered,
            "collections.Counter": _counter,
            "collections.defaultdict": _defaultdict,
            "builtins.set": _set,
            "builtins.frozenset": _frozenset,
            "builtins.bytearray": _bytearray,
            "builtins.complex": _complex,
            "builtins.list": _list,
            "builtins.tuple": _tuple,
            "builtins.dict": _dict,
            "_codecs.encode": _encode,
            "numpy.dtype": _numpy_type,
            "numpy.ndarray": _never,
            "numpy.core.multiarray.scalar": _scalar,
            "numpy._core.multiarray.scalar": _scalar,
            "numpy.core.multiarray._reconstruct": _reconstruct,
            "numpy._core.multiarray._reconstruct": _reconstruct,
            "numpy.core.numeric._frombuffer": _frombuffer,
            "numpy._core.numeric._frombuffer": _frombuffer,
        }
        self._table: dict[str, Any] = {n: Admitted(n, call) for n, call in made.items()}
        for name in ("torch.Tensor", "torch.nn.parameter.Parameter"):
            self._table[name] = Admitted(name)
        for prefix, kind in STORAGES.items():
            for module in ("torch", "torch.cuda"):
                name = f"{module}.{prefix}Storage"
                self._table[name] = Admitted(name, None, kind)
        for name in ("torch.storage.UntypedStorage", "torch.UntypedStorage"):
            self._table[name] = Admitted(name, None, Untyped)

    def find(self, module: str, name: str) -> Any:
        """What a name stands for, or None."""
        full = f"{module.replace('__builtin__', 'builtins')}.{name}"
        found = self._table.get(full)
        if found is None and module == "torch":
            if name in KINDS or name in FOREIGN:
                found = getattr(dtypes, name, None) if name in KINDS else None
                found = found if found is not None else Admitted(full, None, name)
            elif name == "strided":
                found = dtypes.strided
        return found

    # -- tensors ---------------------------------------------------------------------------------

    def make(
        self, held: Any, kind: Kind | None, offset: Any, size: Any, stride: Any, requires: Any
    ) -> Any:
        """A tensor of a storage."""
        if type(held) is not Held:
            raise Unreadable(f"a tensor of a {type(held).__name__}")
        if held.storage is None:
            return None
        kind = kind or held.storage.kind
        if kind is None:
            raise Unreadable("a tensor without a type")
        return held.storage.tensor(kind, offset, size, stride, requires is True, self.count)

    def rebuild_old(self, m: Machine, storage: Any, offset: Any, size: Any, stride: Any) -> Any:
        return self.make(storage, None, offset, size, stride, False)

    def rebuild(
        self, m: Machine, storage: Any, offset: Any, size: Any, stride: Any, requires: Any = False,
        hooks: Any = None, metadata: Any = None,
    ) -> Any:  # fmt: skip
        _plain(metadata)
        return self.make(storage, None, offset, size, stride, requires)

    def rebuild_typed(
        self, m: Machine, storage: Any, offset: Any, size: Any, stride: Any, requires: Any,
        hooks: Any, dtype: Any, metadata: Any = None,
    ) -> Any:  # fmt: skip
        _plain(metadata)
        return self.make(storage, _kind(dtype), offset, size, stride, requires)

    def rebuild_parameter(
        self, m: Machine, data: Any, requires: Any = True, hooks: Any = None, state: Any = None
    ) -> Any:
        return None if self.dry else parameter(data, requires)

    def from_type(self, m: Machine, function: Any, kind: Any, args: Any, state: Any) -> Any:
        """A tensor with attributes, which are left out; of PyTorch's own two classes only."""
        names = ("torch.Tensor", "torch.nn.parameter.Parameter")
        if type(kind) is not Admitted or kind.name not in names:
            raise Refused("has a tensor of a class of its own")
        rebuilds = (self.rebuild, self.rebuild_typed, self.rebuild_parameter)
        if type(function) is not Admitted or function.call not in rebuilds:
            raise Refused("has a tensor that is made in an unknown way")
        return function.call(m, *args)

    def from_numpy(self, m: Machine, data: Any, dtype: Any, device: Any, requires: Any) -> Any:
        if self.dry:
            return None
        if not isinstance(data, np.ndarray):
            raise Unreadable(f"a tensor of a {type(data).__name__}")
        kind = _kind(dtype)
        m.pay(data.size * kind.itemsize)
        data = data.astype(kind.values(np.empty(0, np.uint8)).dtype, copy=False)
        return from_array(data, kind, self.count)

    def from_tensor(self, m: Machine, data: Any, dtype: Any, device: Any, requires: Any) -> Any:
        return data


def _plain(metadata: Any) -> None:
    """Refuse tensors whose values are not those of their memory."""
    if metadata:
        marks = ", ".join(map(str, metadata))[:80] if type(metadata) is dict else "marks"
        raise Refused(
            f"has a tensor that is only marked as changed ({marks}): save x.resolve_conj() or "
            "x.resolve_neg()"
        )


def _kind(dtype: Any) -> Kind:
    name = dtype.value if type(dtype) is Admitted else getattr(dtype, "name", None)
    if not isinstance(name, str):
        raise Unreadable("a tensor without a type")
    return kind_of(name)


# -- values --------------------------------------------------------------------------------------


def _sized(m: Machine, value: Any, *kinds: type) -> Any:
    """A value of one of the kinds, with its copy paid for."""
    if type(value) not in kinds:
        raise Unreadable(f"a {type(value).__name__} where {kinds[0].__name__} was expected")
    m.pay(len(value))
    return value


def _size(m: Machine, sizes: Any = ()) -> dtypes.Size:
    sizes = _sized(m, sizes, tuple, list)
    if any(type(n) is not int for n in sizes):
        raise Unreadable("a torch.Size of what are no integers")
    return dtypes.Size(sizes)


def _device(m: Machine, name: Any = "cpu", index: Any = None) -> dtypes.device:
    return dtypes.CPU  # as with map_location="cpu"


def _layout(m: Machine, name: Any) -> Any:
    if name != "torch.strided":
        raise Refused(f"has a tensor of layout {name!r:.40}; make it dense first")
    return dtypes.strided


def _pairs(m: Machine, pairs: Any) -> list[tuple[Any, Any]]:
    if type(pairs) is dict:
        return list(_sized(m, pairs, dict).items())
    found = []
    for pair in _sized(m, pairs, list, tuple):
        if type(pair) not in (tuple, list) or len(pair) != 2:
            raise Unreadable("items that are no pairs")
        found.append((checked_key(pair[0]), pair[1]))
    return found


def _ordered(m: Machine, pairs: Any = ()) -> OrderedDict[Any, Any]:
    return OrderedDict(_pairs(m, pairs))


def _dict(m: Machine, pairs: Any = ()) -> dict[Any, Any]:
    return dict(_pairs(m, pairs))


def _counter(m: Machine, pairs: Any = ()) -> Counter[Any]:
    return Counter(dict(_pairs(m, pairs)))


def _defaultdict(m: Machine, factory: Any = None, pairs: Any = ()) -> dict[Any, Any]:
    return dict(_pairs(m, pairs))  # an ordinary dict: a factory is code


def _set(m: Machine, items: Any = ()) -> set[Any]:
    return set(map(checked_key, _sized(m, items, list, tuple)))


def _frozenset(m: Machine, items: Any = ()) -> frozenset[Any]:
    return frozenset(map(checked_key, _sized(m, items, list, tuple)))


def _list(m: Machine, items: Any = ()) -> list[Any]:
    return list(_sized(m, items, list, tuple))


def _tuple(m: Machine, items: Any = ()) -> tuple[Any, ...]:
    return tuple(_sized(m, items, list, tuple))


def _encode(m: Machine, text: Any = "", encoding: Any = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise Unreadable(f"bytes in the encoding {encoding!r:.40}")
    return _sized(m, text, str).encode("latin-1")  # type: ignore[no-any-return]


def _bytearray(m: Machine, data: Any = b"", encoding: Any = None) -> bytearray:
    if type(data) is str and encoding is not None:
        data = _encode(m, data, encoding)
    return bytearray(_sized(m, data, bytes))


def _complex(m: Machine, real: Any = 0.0, imag: Any = 0.0) -> complex:
    if type(real) not in (int, float) or type(imag) not in (int, float):
        raise Unreadable("a complex number of what are no numbers")
    return complex(real, imag)


def _never(m: Machine, *args: Any) -> Any:
    raise Refused("makes a NumPy array in an unknown way")


# -- NumPy's -------------------------------------------------------------------------------------


class NumpyType(Buildable):
    """A NumPy type of numbers; its state names the byte order."""

    name = "numpy.dtype"

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def build(self, machine: Machine, state: Any) -> None:
        order = state[1] if type(state) is tuple and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise Unreadable("a NumPy type with a strange state")
        self.dtype = self.dtype.newbyteorder(order)


def _numpy_type(m: Machine, text: Any, align: Any = False, copy: Any = True) -> NumpyType:
    if type(text) is bytes:
        text = text.decode("latin-1")
    if type(text) is not str or NUMBER.fullmatch(text) is None:
        raise Refused(f"has a NumPy array of type {text!r:.40}; only numbers are read")
    return NumpyType(np.dtype(text))


def _numbers(m: Machine, dtype: Any, data: Any, shape: tuple[int, ...]) -> np.ndarray:
    """An array of bytes that were paid for, in memory of its own."""
    if type(data) is str:  # a string of Python 2 that is UTF-8 by chance
        data = data.encode()
    if type(data) is bytearray:
        data = bytes(data)
    if type(dtype) is not NumpyType or type(data) is not bytes:
        raise Unreadable("a NumPy array without type or data")
    if any(type(n) is not int or n < 0 for n in shape) or len(shape) > MAX_RANK:
        raise Unreadable(f"a NumPy array of shape {shape!r:.80}")
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise Unreadable(f"a NumPy array of shape {shape!r:.80} and {len(data)} bytes")
    m.pay(len(data))
    if dtype.dtype.kind == "b":
        return (np.frombuffer(data, np.uint8) != 0).reshape(shape)
    array = np.frombuffer(data, dtype.dtype).astype(dtype.dtype.newbyteorder("="))
    return array.reshape(shape)


def _scalar(m: Machine, dtype: Any, data: Any = None) -> np.generic:
    return _numbers(m, dtype, data, ())[()]  # type: ignore[return-value]


class Unfilled(Buildable):
    """A NumPy array whose shape and bytes come as its state."""

    name = "an empty numpy.ndarray"

    def build(self, machine: Machine, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if type(shape) is not tuple:
            raise Unreadable("a NumPy array of a strange shape")
        self.result = _ordered_numbers(machine, dtype, data, shape, bool(fortran))


def _reconstruct(m: Machine, kind: Any, shape: Any, code: Any) -> Unfilled:
    return Unfilled()


def _ordered_numbers(
    m: Machine, dtype: Any, data: Any, shape: tuple[int, ...], fortran: bool
) -> np.ndarray:
    if fortran:
        return _numbers(m, dtype, data, shape[::-1]).T
    return _numbers(m, dtype, data, shape)


def _frombuffer(m: Machine, data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if type(shape) is not tuple or order not in ("C", "F"):
        raise Unreadable("a NumPy array of a strange shape")
    return _ordered_numbers(m, dtype, data, shape, order == "F")
