"""Methods of a tensor that older scripts use: constructors, element by element, storage, hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import dtypes
from ._hooks import HookDict, PostAccumulate, RemovableHandle
from ._methods import TensorMethods, _guard
from .autograd import changed, forget, move, wrap
from .functions import compare, elementwise, extra, index, linalg, more, unary
from .functions._named import named
from .functions._promote import check_tensor
from .functions.elementwise import inplace_of
from .functions.shape import sizes


def _check_callable(function: Any, name: str) -> None:
    """Raise TypeError for what cannot be called; what it raises itself is the user's."""
    if not callable(function):
        raise TypeError(f"{name}: callable must be a function, got {function!r:.80}")


class MoreMethods(TensorMethods):
    """What :class:`fastconv.Tensor` inherits beside :class:`TensorMethods`."""

    __slots__ = ()

    diff = extra.diff
    renorm = extra.renorm
    renorm_ = inplace_of(extra.renorm, "renorm_")

    acosh, arccosh = more.acosh, more.arccosh
    asinh, arcsinh = more.asinh, more.arcsinh
    atanh, arctanh = more.atanh, more.arctanh
    hypot = more.hypot
    logaddexp = more.logaddexp
    frac = more.frac
    deg2rad = more.deg2rad
    rad2deg = more.rad2deg
    positive = more.positive
    heaviside = more.heaviside
    copysign = more.copysign
    fmax = more.fmax
    fmin = more.fmin
    erfc = unary.erfc
    tensor_split = more.tensor_split
    diag_embed = more.diag_embed
    diagflat = more.diagflat
    kron = more.kron
    vdot = more.vdot
    isposinf = more.isposinf
    isneginf = more.isneginf
    isreal = more.isreal
    kthvalue = more.kthvalue
    cummax = more.cummax
    cummin = more.cummin
    msort = more.msort
    mode = more.mode
    unique_consecutive = more.unique_consecutive
    masked_scatter = more.masked_scatter
    masked_scatter_ = inplace_of(more.masked_scatter, "masked_scatter_")
    index_put = more.index_put
    index_put_ = more.index_put_
    fix = named(unary.trunc, "fix")
    sgn = named(unary.sign, "sgn")
    ger = named(linalg.outer, "ger")
    split_with_sizes = named(index.split, "split_with_sizes")
    baddbmm_ = inplace_of(linalg.baddbmm, "baddbmm_")
    logical_and_ = inplace_of(compare.logical_and, "logical_and_")
    logical_or_ = inplace_of(compare.logical_or, "logical_or_")
    logical_xor_ = inplace_of(compare.logical_xor, "logical_xor_")
    logical_not_ = inplace_of(compare.logical_not, "logical_not_")
    bitwise_and_ = inplace_of(compare.bitwise_and, "bitwise_and_")
    bitwise_or_ = inplace_of(compare.bitwise_or, "bitwise_or_")
    bitwise_xor_ = inplace_of(compare.bitwise_xor, "bitwise_xor_")
    bitwise_not_ = inplace_of(compare.bitwise_not, "bitwise_not_")
    eq_ = inplace_of(compare.eq, "eq_")
    ne_ = inplace_of(compare.ne, "ne_")
    lt_ = inplace_of(compare.lt, "lt_")
    le_ = inplace_of(compare.le, "le_")
    gt_ = inplace_of(compare.gt, "gt_")
    ge_ = inplace_of(compare.ge, "ge_")
    fmod_ = inplace_of(elementwise.fmod, "fmod_")
    atan2_ = inplace_of(elementwise.atan2, "atan2_")
    subtract_ = named(elementwise.sub_, "subtract_")
    divide_ = named(elementwise.div_, "divide_")
    true_divide_ = named(elementwise.div_, "true_divide_")
    negative_ = inplace_of(unary.neg, "negative_")
    absolute_ = inplace_of(unary.abs, "absolute_")
    erf_ = inplace_of(unary.erf, "erf_")
    asin_ = inplace_of(unary.asin, "asin_")
    acos_ = inplace_of(unary.acos, "acos_")
    atan_ = inplace_of(unary.atan, "atan_")
    sinh_ = inplace_of(unary.sinh, "sinh_")
    cosh_ = inplace_of(unary.cosh, "cosh_")
    frac_ = inplace_of(more.frac, "frac_")

    @named
    def logit(self, eps: float | None = None) -> Any:
        """See :func:`fastconv.special.logit`."""
        from .special import logit

        return logit(self, eps)

    @named
    def xlogy(self, other: Any) -> Any:
        """See :func:`fastconv.special.xlogy`."""
        from .special import xlogy

        return xlogy(self, other)

    @named
    def sinc(self) -> Any:
        """See :func:`fastconv.special.sinc`."""
        from .special import sinc

        return sinc(self)

    @named
    def inverse(self) -> Any:
        """See :func:`fastconv.linalg.inv`."""
        from .linalg import inv

        return inv(self)

    @named
    def det(self) -> Any:
        """See :func:`fastconv.linalg.det`."""
        from .linalg import det

        return det(self)

    @named
    def logdet(self) -> Any:
        """See :func:`fastconv.linalg.logdet`."""
        from .linalg import logdet

        return logdet(self)

    @named
    def cholesky(self, upper: bool = False) -> Any:
        """See :func:`fastconv.linalg.cholesky`."""
        from .linalg import cholesky

        return cholesky(self, upper)

    @named
    def pinverse(self, rcond: float = 1e-15) -> Any:
        """See :func:`fastconv.linalg.pinv`."""
        from .linalg import pinv

        return pinv(self, rcond)

    @named
    def matrix_power(self, n: int) -> Any:
        """See :func:`fastconv.linalg.matrix_power`."""
        from .linalg import matrix_power

        return matrix_power(self, n)

    @named
    def resize_(self, *size: Any, memory_format: Any = None) -> Any:
        """Give a leaf another shape: elements stay in order, what is more is uninitialised."""
        shape, array = sizes(size, "resize_"), self._array
        if self.requires_grad or self._view is not None or self._node is not None:
            raise RuntimeError("resize_: only of a tensor without a graph that is no view")
        if shape != array.shape:
            new = np.empty(shape, array.dtype)
            count = min(new.size, array.size)
            new.reshape(-1)[:count] = array.reshape(-1)[:count]
            changed(self)
            move(self, new)
        return self

    @named
    def resize_as_(self, other: Any, memory_format: Any = None) -> Any:
        """:meth:`resize_` to the shape of `other`."""
        check_tensor(other, "other", "resize_as_")
        return self.resize_(*other._array.shape)

    @named
    def fill_diagonal_(self, fill_value: Any, wrap: bool = False) -> Any:
        """Put a number on the diagonal; returns the tensor itself."""
        _guard(self, "fill_diagonal_")
        if self.requires_grad:
            raise RuntimeError("fill_diagonal_: not of a tensor with a graph: use detach()")
        forget(self)
        np.fill_diagonal(self._array, fill_value, wrap)
        changed(self)
        return self

    @named
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
        _check_callable(callable, "apply_")
        values = [callable(v) for v in self._array.reshape(-1).tolist()]
        return self._put(values, "apply_")

    def map_(self, other: Any, callable: Callable[[Any, Any], Any]) -> Any:
        """Replace every element by ``callable(element, other's)``; returns the tensor itself."""
        check_tensor(other, "other", "map_")
        _guard(self, "map_")
        _check_callable(callable, "map_")
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

    @named
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

    @named
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

    @named
    def is_same_size(self, other: Any) -> bool:
        """Whether the shapes are equal."""
        check_tensor(other, "other", "is_same_size")
        return self._array.shape == other._array.shape

    @named
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

    @named
    def to_dense(self, dtype: Any = None) -> Any:
        """The tensor itself, or of another dtype: all are dense."""
        return self if dtype is None else self.to(dtype)  # type: ignore[attr-defined]

    def bfloat16(self) -> Any:
        """Raise TypeError: there is no such type."""
        return dtypes.to_numpy_dtype(dtypes.bfloat16)

    def char(self) -> Any:
        """As int8."""
        return self.to(dtypes.int8)  # type: ignore[attr-defined]
