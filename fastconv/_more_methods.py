"""Methods of a tensor that older scripts use: constructors, element by element, storage, hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import dtypes
from ._hooks import HookDict, PostAccumulate, RemovableHandle
from ._methods import TensorMethods, _guard
from .autograd import changed, forget, wrap
from .functions import extra
from .functions._promote import check_tensor
from .functions.elementwise import inplace_of
from .functions.shape import sizes


class MoreMethods(TensorMethods):
    """What :class:`fastconv.Tensor` inherits beside :class:`TensorMethods`."""

    __slots__ = ()

    diff = extra.diff
    renorm = extra.renorm
    renorm_ = inplace_of(extra.renorm, "renorm_")

    def new(self, *args: Any, **device: Any) -> Any:
        """A tensor of this type: a copy of data, or uninitialised memory of the given sizes."""
        if len(args) == 1 and not isinstance(args[0], (int, np.integer, tuple)):
            return self.new_tensor(args[0], **device)
        if device.pop("device", None) not in (None, "cpu") or device:
            raise TypeError(f"new: sizes or data are expected, got {device!r:.80}")
        return wrap(np.empty(sizes(args, "new") if args else (0,), self._array.dtype))

    def storage(self) -> Any:
        """The memory behind the tensor, in elements: see :class:`fastconv.storage.Storage`."""
        from .storage import Storage

        return Storage(self)

    def untyped_storage(self) -> Any:
        """The memory behind the tensor, in bytes: see :class:`fastconv.storage.Storage`."""
        from .storage import Storage

        return Storage(self, untyped=True)

    def apply_(self, callable: Callable[[Any], Any]) -> Any:
        """Replace every element by ``callable(element)``, slowly; returns the tensor itself."""
        _guard(self, "apply_")
        values = [callable(v) for v in self._array.reshape(-1).tolist()]
        return self._put(values, "apply_")

    def map_(self, other: Any, callable: Callable[[Any, Any], Any]) -> Any:
        """Replace every element by ``callable(element, other's)``; returns the tensor itself."""
        check_tensor(other, "other", "map_")
        _guard(self, "map_")
        theirs = np.broadcast_to(other._array, self._array.shape).reshape(-1).tolist()
        pairs = zip(self._array.reshape(-1).tolist(), theirs, strict=True)
        return self._put([callable(a, b) for a, b in pairs], "map_")

    def _put(self, values: list[Any], name: str) -> Any:
        if self.requires_grad:
            raise RuntimeError(f"{name}: no gradient goes through a Python function: use detach()")
        forget(self)
        self._array[...] = np.asarray(values, self._array.dtype).reshape(self._array.shape)
        changed(self)
        return self

    def register_post_accumulate_grad_hook(self, hook: Callable[[Any], None]) -> RemovableHandle:
        """Call ``hook(tensor)`` after a backward pass has added to this leaf's ``.grad``.

        Raises
        ------
        RuntimeError
            For a tensor that requires no gradient, or is not a leaf.
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self.grad_fn is not None:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        if self._hooks is None:
            self._hooks = HookDict()
        return self._hooks.add(PostAccumulate(hook))

    def sum_to_size(self, *size: Any) -> Any:
        """Sums over the axes along which `size` would be broadcast to this shape."""
        return extra.sum_to_size(self, sizes(size, "sum_to_size"))

    @property
    def is_cpu(self) -> bool:
        """True."""
        return True

    @property
    def output_nr(self) -> int:
        """Which result of its operation this is."""
        return self._nr

    def is_pinned(self, device: Any = None) -> bool:
        """False: there is no device to pin memory for."""
        return False

    def is_nonzero(self) -> bool:
        """Whether the only element is not zero."""
        return bool(self)

    def is_same_size(self, other: Any) -> bool:
        """Whether the shapes are equal."""
        check_tensor(other, "other", "is_same_size")
        return self._array.shape == other._array.shape

    def is_set_to(self, tensor: Any) -> bool:
        """Whether `tensor` is over the same memory, in the same shape and order."""
        check_tensor(tensor, "tensor", "is_set_to")
        a, b = self._array, tensor._array
        return (
            a.shape == b.shape
            and a.strides == b.strides
            and a.__array_interface__["data"] == b.__array_interface__["data"]
        )

    def is_signed(self) -> bool:
        """Whether the elements have a sign."""
        return self._array.dtype.kind in "if"

    def is_conj(self) -> bool:
        """False: there are no complex tensors."""
        return False

    def resolve_conj(self) -> Any:
        """The tensor itself."""
        return self

    def to_dense(self, dtype: Any = None) -> Any:
        """The tensor itself, or of another dtype: all are dense."""
        return self if dtype is None else self.to(dtype)  # type: ignore[attr-defined]

    def bfloat16(self) -> Any:
        """Raise TypeError: there is no such type."""
        return dtypes.to_numpy_dtype(dtypes.bfloat16)

    def char(self) -> Any:
        """As int8."""
        return self.to(dtypes.int8)  # type: ignore[attr-defined]
