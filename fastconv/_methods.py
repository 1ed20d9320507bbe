"""The methods of a tensor that are functions from functions/, its operators, in-place versions."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from . import creation, dtypes
from ._grad_mode import mode
from .autograd import TensorBase
from .functions import compare, elementwise, formats, index, linalg, reduce, shape, unary
from .functions import gather as _gather
from .functions import quantile as _quantile
from .functions._named import named
from .functions._promote import check_tensor
from .functions.elementwise import inplace_of
from .functions.elementwise import operator as _op
from .random import Generator, rng
from .spec.arguments import as_int


def _guard(t: TensorBase, name: str) -> None:
    """Random values overwrite a tensor; a graph cannot go through them."""
    if mode.grad and t.requires_grad and t.is_leaf:
        raise RuntimeError(
            f"{name}: a leaf tensor that requires grad is changed in place; use no_grad()"
        )


def _iop(op: Any) -> Any:
    return lambda self, other: elementwise.inplace(op, self, other)


_masked_fill_ = inplace_of(index.masked_fill, "masked_fill_")


class TensorMethods(TensorBase):
    """What :class:`fastconv.Tensor` inherits."""

    __slots__ = ()

    # operators

    __add__ = _op(elementwise.Add)
    __radd__ = _op(elementwise.Add, True)
    __sub__ = _op(elementwise.Sub)
    __rsub__ = _op(elementwise.Sub, True)
    __mul__ = _op(elementwise.Mul)
    __rmul__ = _op(elementwise.Mul, True)
    __truediv__ = _op(elementwise.Div)
    __rtruediv__ = _op(elementwise.Div, True)
    __floordiv__ = _op(elementwise.FloorDivide)
    __rfloordiv__ = _op(elementwise.FloorDivide, True)
    __mod__ = _op(elementwise.Remainder)
    __rmod__ = _op(elementwise.Remainder, True)
    __pow__ = _op(elementwise.Pow)
    __rpow__ = _op(elementwise.Pow, True)
    __iadd__ = _iop(elementwise.Add)
    __isub__ = _iop(elementwise.Sub)
    __imul__ = _iop(elementwise.Mul)
    __itruediv__ = _iop(elementwise.Div)
    __ifloordiv__ = _iop(elementwise.FloorDivide)
    __imod__ = _iop(elementwise.Remainder)
    __ipow__ = _iop(elementwise.Pow)
    __matmul__ = linalg.operator
    __neg__ = unary.neg
    __abs__ = unary.abs
    __invert__ = compare.bitwise_not
    __and__ = __rand__ = compare.op_and
    __or__ = __ror__ = compare.op_or
    __xor__ = __rxor__ = compare.op_xor
    __lshift__ = compare.op_lshift
    __rshift__ = compare.op_rshift
    __eq__ = compare.op_eq  # type: ignore[assignment]
    __ne__ = compare.op_ne  # type: ignore[assignment]
    __lt__ = compare.op_lt
    __le__ = compare.op_le
    __gt__ = compare.op_gt
    __ge__ = compare.op_ge
    __hash__ = object.__hash__
    __getitem__ = index.getitem
    __setitem__ = index.setitem

    def __pos__(self) -> Any:
        return self

    def __rmatmul__(self, other: Any) -> Any:
        return (
            linalg.matmul(creation.as_tensor(other), self)
            if isinstance(other, np.ndarray)
            else NotImplemented
        )

    # arithmetic and functions of each element

    add = elementwise.add
    add_ = elementwise.add_
    sub = elementwise.sub
    sub_ = elementwise.sub_
    subtract = elementwise.subtract
    mul = elementwise.mul
    mul_ = elementwise.mul_
    multiply = elementwise.multiply
    multiply_ = elementwise.multiply_
    div = elementwise.div
    div_ = elementwise.div_
    divide = elementwise.divide
    true_divide = elementwise.true_divide
    pow = elementwise.pow
    pow_ = elementwise.pow_
    remainder = elementwise.remainder
    fmod = elementwise.fmod
    remainder_ = elementwise.remainder_
    floor_divide = elementwise.floor_divide
    floor_divide_ = elementwise.floor_divide_
    maximum = elementwise.maximum
    minimum = elementwise.minimum
    atan2 = elementwise.atan2
    arctan2 = elementwise.arctan2
    copy_ = elementwise.copy_
    fill_ = elementwise.fill_
    zero_ = elementwise.zero_
    addcmul = elementwise.addcmul
    addcdiv = elementwise.addcdiv
    lerp = elementwise.lerp
    neg = unary.neg
    negative = unary.negative
    exp = unary.exp
    exp2 = unary.exp2
    expm1 = unary.expm1
    log = unary.log
    log2 = unary.log2
    log10 = unary.log10
    log1p = unary.log1p
    sqrt = unary.sqrt
    rsqrt = unary.rsqrt
    square = unary.square
    reciprocal = unary.reciprocal
    sin = unary.sin
    cos = unary.cos
    tan = unary.tan
    asin = unary.asin
    arcsin = unary.arcsin
    acos = unary.acos
    arccos = unary.arccos
    atan = unary.atan
    arctan = unary.arctan
    sinh = unary.sinh
    cosh = unary.cosh
    tanh = unary.tanh
    erf = unary.erf
    sigmoid = unary.sigmoid
    relu = unary.relu
    abs = unary.abs
    absolute = unary.absolute
    sign = unary.sign
    floor = unary.floor
    ceil = unary.ceil
    trunc = unary.trunc
    round = unary.round
    clamp = unary.clamp
    clip = unary.clip
    clamp_min = unary.clamp_min
    clamp_max = unary.clamp_max
    nan_to_num = unary.nan_to_num

    @named
    def where(self, condition: Any, other: Any) -> Any:
        """This tensor where `condition` holds, `other` elsewhere."""
        return unary.where(condition, self, other)

    def masked_fill_(self, mask: Any, value: Any) -> Any:
        """In-place version of :func:`masked_fill`; returns the tensor itself."""
        return _masked_fill_(self, mask, value)

    # comparisons

    eq = compare.eq
    ne = compare.ne
    lt = compare.lt
    le = compare.le
    gt = compare.gt
    ge = compare.ge
    not_equal = compare.not_equal
    less = compare.less
    less_equal = compare.less_equal
    greater = compare.greater
    greater_equal = compare.greater_equal
    equal = compare.equal
    isclose = compare.isclose
    allclose = compare.allclose
    isnan = compare.isnan
    isinf = compare.isinf
    isfinite = compare.isfinite
    signbit = compare.signbit
    logical_and = compare.logical_and
    logical_or = compare.logical_or
    logical_xor = compare.logical_xor
    logical_not = compare.logical_not
    bitwise_and = compare.bitwise_and
    bitwise_or = compare.bitwise_or
    bitwise_xor = compare.bitwise_xor
    bitwise_not = compare.bitwise_not
    bitwise_left_shift = compare.bitwise_left_shift
    bitwise_right_shift = compare.bitwise_right_shift

    # reductions

    sum = reduce.sum
    mean = reduce.mean
    prod = reduce.prod
    nansum = reduce.nansum
    var = reduce.var
    std = reduce.std
    amax = reduce.amax
    amin = reduce.amin
    aminmax = reduce.aminmax
    argmax = reduce.argmax
    argmin = reduce.argmin
    max = reduce.max
    min = reduce.min
    median = reduce.median
    nanmean = _quantile.nanmean
    nanmedian = _quantile.nanmedian
    nanquantile = _quantile.nanquantile
    quantile = _quantile.quantile
    logsumexp = reduce.logsumexp
    norm = reduce.norm
    dist = reduce.dist
    cumsum = reduce.cumsum
    cumprod = reduce.cumprod
    any = reduce.any
    all = reduce.all
    count_nonzero = reduce.count_nonzero

    # shapes

    view = shape.view
    reshape = shape.reshape
    flatten = shape.flatten
    unflatten = shape.unflatten
    permute = shape.permute
    transpose = shape.transpose
    swapaxes = shape.swapaxes
    swapdims = shape.swapdims
    t = shape.t
    movedim = shape.movedim
    moveaxis = shape.moveaxis
    squeeze = shape.squeeze
    unsqueeze = shape.unsqueeze
    expand = shape.expand
    expand_as = shape.expand_as
    broadcast_to = shape.broadcast_to
    repeat = shape.repeat
    tile = shape.tile
    repeat_interleave = shape.repeat_interleave
    flip = shape.flip
    fliplr = shape.fliplr
    flipud = shape.flipud
    roll = shape.roll
    rot90 = shape.rot90
    contiguous = formats.contiguous
    clone = formats.clone

    @named
    def view_as(self, other: Any) -> Any:
        """The elements in the shape of `other`."""
        check_tensor(other, "other", "view_as")
        return shape.reshape(self, other._array.shape)

    @named
    def reshape_as(self, other: Any) -> Any:
        """The elements in the shape of `other`."""
        check_tensor(other, "other", "reshape_as")
        return shape.reshape(self, other._array.shape)

    @named
    def ravel(self) -> Any:
        """The elements in one axis."""
        return shape.reshape(self, -1)

    # indexing

    narrow = index.narrow
    select = index.select
    unbind = index.unbind
    split = index.split
    chunk = index.chunk
    gather = _gather.gather
    take_along_dim = _gather.take_along_dim
    index_select = _gather.index_select
    masked_select = index.masked_select
    take = index.take
    scatter = _gather.scatter
    scatter_add = _gather.scatter_add
    index_add = _gather.index_add
    index_copy = _gather.index_copy
    index_fill = _gather.index_fill
    masked_fill = index.masked_fill
    sort = _gather.sort
    argsort = _gather.argsort
    topk = _gather.topk
    nonzero = index.nonzero
    argwhere = index.argwhere
    histc = index.histc
    unfold = index.unfold
    unique = index.unique
    bincount = index.bincount

    # matrices

    matmul = linalg.matmul
    mm = linalg.mm
    bmm = linalg.bmm
    mv = linalg.mv
    dot = linalg.dot
    outer = linalg.outer
    addmm = linalg.addmm
    baddbmm = linalg.baddbmm
    diagonal = linalg.diagonal
    diag = linalg.diag
    trace = linalg.trace
    inner = linalg.inner
    tril = linalg.tril
    triu = linalg.triu

    # in place

    neg_ = inplace_of(unary.neg, "neg_")
    exp_ = inplace_of(unary.exp, "exp_")
    exp2_ = inplace_of(unary.exp2, "exp2_")
    expm1_ = inplace_of(unary.expm1, "expm1_")
    log_ = inplace_of(unary.log, "log_")
    log2_ = inplace_of(unary.log2, "log2_")
    log10_ = inplace_of(unary.log10, "log10_")
    log1p_ = inplace_of(unary.log1p, "log1p_")
    sqrt_ = inplace_of(unary.sqrt, "sqrt_")
    rsqrt_ = inplace_of(unary.rsqrt, "rsqrt_")
    square_ = inplace_of(unary.square, "square_")
    reciprocal_ = inplace_of(unary.reciprocal, "reciprocal_")
    sin_ = inplace_of(unary.sin, "sin_")
    cos_ = inplace_of(unary.cos, "cos_")
    tan_ = inplace_of(unary.tan, "tan_")
    tanh_ = inplace_of(unary.tanh, "tanh_")
    sigmoid_ = inplace_of(unary.sigmoid, "sigmoid_")
    relu_ = unary.relu_
    abs_ = inplace_of(unary.abs, "abs_")
    sign_ = inplace_of(unary.sign, "sign_")
    floor_ = inplace_of(unary.floor, "floor_")
    ceil_ = inplace_of(unary.ceil, "ceil_")
    trunc_ = inplace_of(unary.trunc, "trunc_")
    round_ = inplace_of(unary.round, "round_")
    clamp_ = inplace_of(unary.clamp, "clamp_")
    clip_ = inplace_of(unary.clip, "clip_")
    clamp_min_ = inplace_of(unary.clamp_min, "clamp_min_")
    clamp_max_ = inplace_of(unary.clamp_max, "clamp_max_")
    nan_to_num_ = inplace_of(unary.nan_to_num, "nan_to_num_")
    addcmul_ = inplace_of(elementwise.addcmul, "addcmul_")
    addcdiv_ = inplace_of(elementwise.addcdiv, "addcdiv_")
    lerp_ = inplace_of(elementwise.lerp, "lerp_")
    scatter_ = inplace_of(_gather.scatter, "scatter_")
    scatter_add_ = inplace_of(_gather.scatter_add, "scatter_add_")
    index_add_ = inplace_of(_gather.index_add, "index_add_")
    index_copy_ = inplace_of(_gather.index_copy, "index_copy_")
    index_fill_ = inplace_of(_gather.index_fill, "index_fill_")
    addmm_ = inplace_of(linalg.addmm, "addmm_")
    tril_ = inplace_of(linalg.tril, "tril_")
    triu_ = inplace_of(linalg.triu, "triu_")
    cumsum_ = inplace_of(reduce.cumsum, "cumsum_")

    def _reshaped_(self, array: Any) -> Any:
        if self._view is not None or self._node is not None:
            raise NotImplementedError(
                "in-place change of the shape of a view or of a computed tensor"
            )
        self._array = array
        return self

    @named
    def squeeze_(self, dim: Any = None) -> Any:
        """In-place version of :func:`squeeze`, for leaves; returns the tensor itself."""
        return self._reshaped_(shape.squeeze(self, dim)._array)

    @named
    def unsqueeze_(self, dim: Any) -> Any:
        """In-place version of :func:`unsqueeze`, for leaves; returns the tensor itself."""
        return self._reshaped_(shape.unsqueeze(self, dim)._array)

    @named
    def t_(self) -> Any:
        """In-place version of :func:`t`, for leaves; returns the tensor itself."""
        return self._reshaped_(shape.t(self)._array)

    # random values

    def _overwrite(self, values: Any, name: str) -> Any:
        _guard(self, name)
        return elementwise.copy_(self, creation.wrap(np.asarray(values)))

    @named
    def normal_(
        self, mean: Any = 0.0, std: Any = 1.0, *, generator: Generator | None = None
    ) -> Any:
        """Overwrite with normal random numbers."""
        for name, value in (("mean", mean), ("std", std)):
            if not isinstance(value, (int, float, np.number)):
                raise TypeError(f"normal_: {name} must be a number, got {value!r:.80}")
        return self._overwrite(
            creation.normal_array(self._array.shape, self._array.dtype, generator) * std + mean,
            "normal_",
        )

    @named
    def uniform_(
        self, a: Any = 0.0, b: Any = 1.0, *, generator: Generator | None = None, **ends: Any
    ) -> Any:
        """Overwrite with uniform random numbers in [a, b) (also given as ``from`` and ``to``)."""
        a, b = ends.pop("from", a), ends.pop("to", b)
        if a > b:
            raise ValueError(f"uniform_: from = {a} is larger than to = {b}")
        return self._overwrite(
            creation.uniform(self._array.shape, self._array.dtype, generator) * (b - a) + a,
            "uniform_",
        )

    @named
    def random_(self, a: Any = None, b: Any = None, *, generator: Generator | None = None) -> Any:
        """Overwrite with random integers in [a, b), in [0, a), or of the type's whole range."""
        if a is None:
            kind = self._array.dtype
            a, b = 0, 2 ** np.finfo(kind).nmant if kind.kind == "f" else np.iinfo(kind).max
        elif b is None:
            a, b = 0, a
        a, b = as_int("random_", "a", a), as_int("random_", "b", b)
        if not -(2**63) <= a < b <= 2**63:
            raise ValueError(f"random_: {a} must be below {b}, and both within 64 bits")
        return self._overwrite(rng(generator).integers(a, b, self._array.shape), "random_")

    @named
    def bernoulli_(self, p: Any = 0.5, *, generator: Generator | None = None) -> Any:
        """Overwrite with ones of probability `p`, zeros otherwise."""
        p = p._array if isinstance(p, TensorBase) else p
        return self._overwrite(rng(generator).random(self._array.shape) < p, "bernoulli_")

    @named
    def exponential_(self, lambd: Any = 1.0, *, generator: Generator | None = None) -> Any:
        """Overwrite with exponentially distributed random numbers of rate `lambd`."""
        if isinstance(lambd, (bool, str)) or not hasattr(lambd, "__float__"):
            raise TypeError(f"exponential_: lambd must be a number, got {lambd!r:.80}")
        if not lambd > 0:
            raise ValueError(f"exponential_: lambd must be positive, got {lambd}")
        return self._overwrite(
            rng(generator).exponential(1.0 / lambd, self._array.shape), "exponential_"
        )

    @named
    def bernoulli(self, p: Any = None, *, generator: Generator | None = None) -> Any:
        """Ones with the probabilities in this tensor (or `p`), zeros otherwise."""
        return creation.bernoulli(self, p, generator=generator)

    @named
    def multinomial(
        self, num_samples: Any, replacement: Any = False, *, generator: Any = None
    ) -> Any:
        """Positions drawn with the weights in the last axis."""
        return creation.multinomial(self, num_samples, replacement, generator=generator)

    # new tensors of the same type

    @named
    def new_tensor(
        self, data: Any, *, dtype: Any = None, requires_grad: Any = False, **device: Any
    ) -> Any:
        """A copy of `data` of this tensor's type."""
        return creation.tensor(
            data, dtype=dtype or self._array.dtype, requires_grad=requires_grad, **device
        )

    @named
    def new_zeros(
        self, *size: Any, dtype: Any = None, requires_grad: Any = False, **device: Any
    ) -> Any:
        """Zeros of this tensor's type."""
        return creation.zeros(
            *size, dtype=dtype or self._array.dtype, requires_grad=requires_grad, **device
        )

    @named
    def new_ones(
        self, *size: Any, dtype: Any = None, requires_grad: Any = False, **device: Any
    ) -> Any:
        """Ones of this tensor's type."""
        return creation.ones(
            *size, dtype=dtype or self._array.dtype, requires_grad=requires_grad, **device
        )

    @named
    def new_empty(
        self, *size: Any, dtype: Any = None, requires_grad: Any = False, **device: Any
    ) -> Any:
        """Memory of this tensor's type."""
        return creation.empty(
            *size, dtype=dtype or self._array.dtype, requires_grad=requires_grad, **device
        )

    @named
    def new_full(
        self,
        size: Any,
        fill_value: Any,
        *,
        dtype: Any = None,
        requires_grad: Any = False,
        **device: Any,
    ) -> Any:
        """One value in every element, of this tensor's type."""
        kind = dtype or self._array.dtype
        return creation.full(size, fill_value, dtype=kind, requires_grad=requires_grad, **device)

    # nn.functional

    @named
    def softmax(self, dim: Any, dtype: Any = None) -> Any:
        """See :func:`fastconv.nn.functional.softmax`."""
        from .nn import functional

        return functional.softmax(cast(Any, self), dim, dtype=dtype)

    @named
    def log_softmax(self, dim: Any, dtype: Any = None) -> Any:
        """See :func:`fastconv.nn.functional.log_softmax`."""
        from .nn import functional

        return functional.log_softmax(cast(Any, self), dim, dtype=dtype)

    # types

    def float(self) -> Any:
        """As float32."""
        return cast(Any, self).to(dtypes.float32)

    def double(self) -> Any:
        """As float64."""
        return cast(Any, self).to(dtypes.float64)

    def half(self) -> Any:
        """As float16."""
        return cast(Any, self).to(dtypes.float16)

    def long(self) -> Any:
        """As int64."""
        return cast(Any, self).to(dtypes.int64)

    def int(self) -> Any:
        """As int32."""
        return cast(Any, self).to(dtypes.int32)

    def short(self) -> Any:
        """As int16."""
        return cast(Any, self).to(dtypes.int16)

    def byte(self) -> Any:
        """As uint8."""
        return cast(Any, self).to(dtypes.uint8)

    def bool(self) -> Any:
        """As bool."""
        return cast(Any, self).to(dtypes.bool)
