"""The Tensor: an ndarray with a gradient and the methods of PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import absent, autograd, dtypes, tensor_types
from ._changes import owns
from ._deepcopy import deep_copied
from ._hooks import HookDict, RemovableHandle, Retain, add_to_node, retained
from ._more_methods import MoreMethods
from .autograd import TensorBase, expose, memory, move, wrap
from .dtypes import Size
from .functions import formats, index, shape
from .functions._named import named, retell
from .functions._promote import Cast, check_tensor


class Tensor(MoreMethods):
    """A multi-dimensional array that remembers how it was computed.

    ``Tensor(2, 3)`` is uninitialised memory of the default type, ``Tensor(data)`` a copy of `data`
    in that type; :func:`fastconv.tensor` and its kin are the usual way to make one.

    Attributes
    ----------
    array : numpy.ndarray
        The values, shared with views of the tensor.
    grad : Tensor or None
        The gradient that ``backward`` has added up.
    """

    __slots__ = ("__dict__",)  # for attributes of one's own
    __array_priority__ = 1000
    _copies_grad = True  # whether a deep copy has a copy of the gradient

    def __new__(cls, *args: Any, **kwargs: Any) -> Tensor:
        kind = dtypes.get_default_dtype().dtype
        try:
            if len(args) == 1 and not isinstance(args[0], (int, np.integer, Size)):
                data = args[0]._array if isinstance(args[0], TensorBase) else args[0]
                return wrap(np.array(data, kind), cls)
            return wrap(np.empty(shape.sizes(args, "Tensor") if args else (0,), kind), cls)
        except Exception as error:
            retell(error, "Tensor", lambda *given: None, args, {})

    # attributes

    @property
    def shape(self) -> Size:
        """The sizes of the axes."""
        return Size(self._array.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    @property
    def dtype(self) -> dtypes.dtype:
        """The type of the elements."""
        return dtypes.from_numpy_dtype(self._array.dtype)

    @property
    def device(self) -> dtypes.device:
        """The CPU."""
        return dtypes.CPU

    @property
    def data(self) -> Tensor:
        """The same memory without a graph; changes through it are not noticed by the graph."""
        t: Tensor = wrap(self._array)
        t._version_box[1] = memory(self)
        return t

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, TensorBase):
            raise TypeError(f"data must be a Tensor, got {type(value).__name__}")
        move(self, value._array, memory(value))

    @property
    def T(self) -> Tensor:
        """The axes in reverse order: a view."""
        return shape.Permute.apply(self, tuple(range(self._array.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        """The last two axes swapped: a view."""
        return shape.transpose(self, -2, -1)

    H = T
    is_cuda = False
    is_sparse = False
    is_quantized = False
    is_mps = False
    is_meta = False
    layout = dtypes.strided

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._array.nbytes

    @property
    def retains_grad(self) -> bool:
        """Whether :meth:`retain_grad` has been called on this intermediate result."""
        return self.grad_fn is not None and retained(self) is not None

    @property
    def _base(self) -> Any:
        return None if self._view is None else self._view[0]

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        if dim is None:
            return Size(self._array.shape)
        return self._array.shape[shape.axis(dim, self._array.ndim, "size")]

    def dim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    def stride(self, dim: int | None = None) -> Any:
        """Distances between neighbours along each axis, in elements; or along one."""
        steps = tuple([s // self._array.itemsize for s in self._array.strides])
        return steps if dim is None else steps[shape.axis(dim, self._array.ndim, "stride")]

    def storage_offset(self) -> int:
        """The distance from the start of the memory that the tensor is a view of, in elements."""
        base = self._array.base
        if type(base) is not np.ndarray:
            return 0
        a, b = self._array.__array_interface__["data"][0], base.__array_interface__["data"][0]
        return (a - b) // self._array.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        expose(self)
        return self._array.__array_interface__["data"][0]

    def element_size(self) -> int:
        """Bytes per element."""
        return self._array.itemsize

    def is_contiguous(self, memory_format: Any = dtypes.contiguous_format) -> bool:
        """Whether the elements lie in memory in that order, without gaps."""
        return formats.has_order(
            self._array, formats.format_order(self._array, memory_format, "is_contiguous")
        )

    def is_floating_point(self) -> bool:
        """Whether the elements are floating point."""
        return self._array.dtype.kind == "f"

    def is_complex(self) -> bool:
        """False: there are no complex tensors."""
        return False

    def is_inference(self) -> bool:
        """False: tensors made in inference mode are ordinary ones."""
        return False

    def get_device(self) -> int:
        """-1, the CPU."""
        return -1

    nelement = named(numel, "nelement")
    ndimension = named(dim, "ndimension")

    # out of the tensor

    def item(self) -> Any:
        """The only element as a Python number.

        Raises
        ------
        RuntimeError
            If there are several.
        """
        if self._array.size != 1:
            raise RuntimeError(
                f"a tensor of shape {self._array.shape} cannot be converted to a number"
            )
        return self._array.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._array.tolist()

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The array itself.

        Raises
        ------
        RuntimeError
            If the tensor requires a gradient and `force` is false: use ``detach().numpy()``.
        """
        self._values(force)
        expose(self)
        return self._array

    def _values(self, force: bool = False) -> np.ndarray:
        """The array for reading only, if it may be read."""
        if self.requires_grad and not force:
            raise RuntimeError(
                "numpy() of a tensor that requires grad: use tensor.detach().numpy()"
            )
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if dtype is not None and self._array.dtype != dtype:
            if copy is False:
                raise ValueError(f"a view of dtype {self._array.dtype} as {dtype} needs a copy")
            return self._values().astype(dtype)
        return self._values().copy() if copy else self.numpy()

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self.requires_grad:
            raise RuntimeError("a tensor that requires grad cannot be exported: use detach()")
        kwargs.pop("stream", None)
        expose(self)
        if min(self._array.strides, default=0) < 0:  # PyTorch ends the process when it sees one
            raise BufferError(
                f"a tensor of strides {self.stride()} cannot be exported: use contiguous()"
            )
        return self._array.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        from ._printing import format_tensor

        return format_tensor(self)

    def __format__(self, spec: str) -> str:
        return (
            format(self.item(), spec)
            if spec and not self._array.ndim
            else object.__format__(self, spec)
        )

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise RuntimeError(f"the truth of a tensor of shape {self._array.shape} is ambiguous")
        return bool(self._array)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._array.size != 1 or self._array.dtype.kind == "f":
            raise TypeError("only integer tensors of one element can be used as an index")
        return int(self._array.item())

    def __len__(self) -> int:
        if not self._array.ndim:
            raise TypeError("len() of a tensor without axes")
        return self._array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self._array.ndim:
            raise TypeError("iteration over a tensor without axes")
        return iter(index.unbind(self))

    def __contains__(self, value: Any) -> bool:
        given = value._array if isinstance(value, TensorBase) else value
        try:
            return bool(np.any(self._array == given))
        except OverflowError:  # an integer that no element can be
            return False

    def __reversed__(self) -> Tensor:
        return shape.flip(self, 0) if self._array.ndim else self

    def __hash__(self) -> int:
        return id(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._node is not None and self.requires_grad:
            raise RuntimeError("only leaf tensors can be pickled: use detach()")
        if protocol >= 5:  # buffers may be handed over as they are
            expose(self)
        return (
            _rebuild,
            (type(self), self._array, self._requires, getattr(self, "__dict__", None)),
        )

    def __copy__(self) -> Tensor:
        new: Tensor = _rebuild(*self.__reduce_ex__(4)[1])
        new._version_box[1] = memory(self)
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) in memo:
            return memo[id(self)]
        if self.grad_fn is not None:
            raise RuntimeError(
                "only tensors made by the user (leaves) can be deep-copied: use detach()"
            )
        new: Tensor = deep_copied(self, memo)
        if self._grad is not None and self._copies_grad:
            new._grad = self._grad.__deepcopy__(memo)
        if getattr(self, "__dict__", None):
            from copy import deepcopy

            new.__dict__.update(deepcopy(self.__dict__, memo))
        return new

    # the graph

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add gradients to the ``.grad`` of the leaves; see :func:`fastconv.autograd.backward`."""
        autograd.backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """The same memory without a graph; in-place changes are still noticed."""
        t = wrap(self._array)
        t._version_box = self._version_box
        return t

    def detach_(self) -> Tensor:
        """Take this tensor out of the graph."""
        if self._view is not None:
            raise RuntimeError("detach_() of a view: use detach()")
        self._node, self._nr, self._requires = None, 0, False
        return self

    @named
    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set :attr:`requires_grad`; returns the tensor itself."""
        self.requires_grad = requires_grad
        return self

    def retain_grad(self) -> None:
        """Let a backward pass put the gradient of this intermediate result into its ``.grad``.

        That is the gradient of its present value: after a change in place, of the new one. Other
        hooks stay with the value that the tensor had when they were registered.
        """
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on a tensor that has requires_grad=False")
        autograd.keep_apart(self)
        if self._node is not None and retained(self) is None:
            add_to_node(self._node, self._nr, Retain(self))

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook` with this tensor's gradient when it is computed; it may return another.

        Returns
        -------
        RemovableHandle
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        autograd.keep_apart(self)
        if self._node is not None:
            return add_to_node(self._node, self._nr, hook)
        if self._hooks is None:
            self._hooks = HookDict()
        return self._hooks.add(hook)

    # types and devices

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """The tensor with another dtype or memory format; itself if nothing changes.

        Takes a dtype, a device (only the CPU exists), another Tensor (for its dtype), or several
        of these, and ``memory_format=``, ``copy=`` and ``non_blocking=``.

        Raises
        ------
        RuntimeError
            For any device but the CPU.
        """
        try:
            kind = kwargs.pop("dtype", None)
            device = kwargs.pop("device", None)
            fmt = kwargs.pop("memory_format", None)
            copy = kwargs.pop("copy", False)
            kwargs.pop("non_blocking", None)
            if kwargs:
                raise TypeError(f"to() got an unexpected argument {next(iter(kwargs))!r}")
            flags = []
            for a in args:
                if isinstance(a, TensorBase):
                    kind = a._array.dtype
                elif isinstance(a, (str, dtypes.device)):
                    device = a
                elif isinstance(a, bool) or a is None:
                    flags.append(a)
                else:
                    kind = a
            if len(flags) > 1:  # (…, non_blocking, copy)
                copy = flags[1]
            if device is not None:
                dtypes.device(device)
            out = self
            if kind is not None:
                wanted = dtypes.to_numpy_dtype(kind)
                if wanted != self._array.dtype:
                    out = Cast.apply(self, wanted)
            if fmt is not None:
                order = formats.format_order(out._array, fmt, "to")
                if not formats.has_order(out._array, order):
                    out = formats.Clone.apply(out, order)
            return formats.Clone.apply(self, "K") if copy and out is self else out
        except Exception as error:
            retell(error, "to", Tensor.to, (self, *args), {**kwargs})

    @named
    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The type's name, such as ``fastconv.FloatTensor``; or the tensor with another dtype."""
        if dtype is None:
            return f"fastconv.{_LEGACY[self._array.dtype.name]}Tensor"
        return self.to(dtypes.to_numpy_dtype(tensor_types.wanted(dtype, "type")))

    def type_as(self, other: Tensor) -> Tensor:
        """The tensor with the dtype of `other`."""
        check_tensor(other, "other", "type_as")
        return self.to(other._array.dtype)

    def cpu(self, memory_format: Any = None) -> Tensor:
        """The tensor itself: it is on the CPU."""
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Tensor:
        """Raises RuntimeError: there is no GPU."""
        dtypes.device("cuda")
        return self

    def pin_memory(self) -> Tensor:
        """The tensor itself: there is no GPU to pin memory for."""
        return self

    def share_memory_(self) -> Tensor:
        """The tensor itself."""
        return self


_LEGACY = {
    "float16": "Half",
    "float32": "Float",
    "float64": "Double",
    "uint8": "Byte",
    "int8": "Char",
    "int16": "Short",
    "int32": "Int",
    "int64": "Long",
    "bool": "Bool",
}


def _rebuild(cls: Any, array: np.ndarray, requires: bool, extra: Any) -> Any:
    t = wrap(array, cls)
    if not owns(array):
        expose(t)
    t._requires = requires
    if extra:
        t.__dict__.update(extra)
    return t


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, TensorBase)


autograd._tensor_class[0] = Tensor
absent.refuse(Tensor, "Tensor")
from . import _pending as _pending  # noqa: E402  (tensors that are written late, a subclass)
