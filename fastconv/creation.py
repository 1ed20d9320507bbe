"""Functions that make new tensors."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dtypes, memory
from .autograd import TensorBase, expose, wrap
from .dtypes import to_numpy_dtype
from .functions import _promote
from .functions._named import named
from .functions.formats import format_order
from .functions.shape import sizes
from .random import Generator, rng
from .spec.arguments import as_int

if TYPE_CHECKING:
    from .tensor import Tensor

_int = int


def finish(array: np.ndarray, requires_grad: bool) -> Tensor:
    """A tensor over a new array."""
    t = wrap(array)
    if requires_grad:
        t.requires_grad = True
    return t


def _kind(dtype: Any) -> np.dtype:
    return (
        (dtypes.get_default_dtype() if dtype is None else dtype).dtype
        if (dtype is None or type(dtype) is dtypes.dtype)
        else to_numpy_dtype(dtype)
    )


def _check(device: Any) -> None:
    if device is not None:
        dtypes.device(device)


def _shape(size: tuple[Any, ...], given: Any, function: str) -> tuple[int, ...]:
    shape = sizes(size if given is None else (given,), function)
    for n in shape:
        if n < 0:
            raise ValueError(f"{function}: sizes must not be negative, got {tuple(shape)}")
    return shape


def _data(data: Any) -> tuple[np.ndarray, np.dtype]:
    """The array of numbers, nested sequences, arrays or Tensors, and the type they ask for."""
    if isinstance(data, TensorBase):
        return data._array, data._array.dtype
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        return array, array.dtype
    own = False  # whether the numbers bring a type of their own
    if isinstance(data, (list, tuple)):
        if _holds_tensors(data):
            kinds = list(_kinds(data))
            kinds = [k for k in kinds if k.kind == "f"] or kinds  # floats go before integers
            kind = functools.reduce(np.promote_types, kinds)
            try:
                return np.array(_unwrapped(data)).astype(kind), kind
            except ValueError as e:
                raise _irregular(e) from None
        own = _holds_arrays(data)
    try:
        array = np.array(data)
    except ValueError as e:
        raise _irregular(e) from None
    if array.dtype == np.float64 and not own:
        return array, dtypes.get_default_dtype().dtype
    return array, array.dtype


def _irregular(error: ValueError) -> ValueError:
    return ValueError(f"the nested sequences do not form a regular array: {error}")


def _kinds(data: Any) -> Iterator[np.dtype]:
    """The types of what nested sequences hold: Python floats are of the default one."""
    for x in data:
        if isinstance(x, TensorBase):
            yield x._array.dtype
        elif isinstance(x, (list, tuple)):
            yield from _kinds(x)
        elif isinstance(x, (np.ndarray, np.generic)):
            yield x.dtype
        else:
            kind = np.asarray(x).dtype
            yield dtypes.get_default_dtype().dtype if kind.kind == "f" else kind


def _holds_tensors(data: Any) -> bool:
    return any(
        isinstance(x, TensorBase) or (isinstance(x, (list, tuple)) and _holds_tensors(x))
        for x in data
    )


def _holds_arrays(data: Any) -> bool:
    first = data[0] if len(data) else None
    if isinstance(first, (list, tuple)):
        return _holds_arrays(first)
    return isinstance(first, (np.ndarray, np.generic))


def _unwrapped(data: Any) -> Any:
    """Nested sequences with numbers in place of tensors; one element is one number."""
    if isinstance(data, TensorBase):
        return data._array.item() if data._array.size == 1 else data._array.tolist()
    return [_unwrapped(x) for x in data] if isinstance(data, (list, tuple)) else data


@named
def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor with a copy of `data`.

    Parameters
    ----------
    data : number, nested sequence, ndarray or Tensor
        Python floats become the default type, Python ints int64; arrays keep their type.
    dtype : dtype, optional
    device : optional
        Only the CPU exists.
    requires_grad : bool
    pin_memory : bool
        Accepted for PyTorch's sake: there is no device to pin memory for.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
        For data of a type that tensors cannot hold.
    ValueError
        For sequences of unequal lengths.
    """
    _check(device)
    array, kind = _data(data)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: data of NumPy dtype {array.dtype} cannot become a tensor")
    kind = dtypes.from_numpy_dtype(kind).dtype if dtype is None else _kind(dtype)
    with np.errstate(all="ignore"):
        return finish(np.array(array, kind, copy=True, order="C"), requires_grad)


@named
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory where its type allows."""
    _check(device)
    if isinstance(data, TensorBase):
        t: Any = data
        return t if dtype is None else t.to(dtype)
    array, kind = _data(data)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"as_tensor: data of NumPy dtype {array.dtype} cannot become a tensor")
    kind = dtypes.from_numpy_dtype(kind).dtype if dtype is None else _kind(dtype)
    values = array.astype(kind, copy=False)
    given = isinstance(data, np.ndarray) and np.may_share_memory(values, data)
    return expose(wrap(values)) if given else wrap(values)  # type: ignore[no-any-return]


asarray = named(as_tensor, "asarray")


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the memory of `array`.

    Raises
    ------
    TypeError
        If it is not an array, or of a type that tensors cannot hold.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(array).__name__}")
    dtypes.from_numpy_dtype(array.dtype)
    return expose(wrap(array if type(array) is np.ndarray else array.view(np.ndarray)))  # type: ignore[no-any-return]


@named
def from_dlpack(x: Any) -> Tensor:
    """A tensor that shares the memory of any object with ``__dlpack__``.

    Raises
    ------
    TypeError
        If it has no such method, or elements that tensors cannot hold.
    BufferError, RuntimeError
        If its owner does not hand the memory out.
    """
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"from_dlpack: x has no __dlpack__, it is {type(x).__name__}")
    try:
        array = np.from_dlpack(x)
    except RuntimeError as error:
        if "dtype" not in str(error):
            raise
        kind = getattr(x, "dtype", "an unknown type")
        raise TypeError(f"from_dlpack: a tensor cannot hold {kind}; convert x first") from None
    return from_numpy(array)


@named
def zeros(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **given: Any
) -> Tensor:
    """Zeros of the given shape (integers, or one sequence)."""
    _check(device)
    return finish(
        np.zeros(_shape(size, given.pop("size", None), "zeros"), _kind(dtype)), requires_grad
    )


@named
def ones(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **given: Any
) -> Tensor:
    """Ones of the given shape (integers, or one sequence)."""
    _check(device)
    return finish(
        np.ones(_shape(size, given.pop("size", None), "ones"), _kind(dtype)), requires_grad
    )


@named
def empty(
    *size: Any,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
    **given: Any,
) -> Tensor:
    """Memory of the given shape, with whatever is in it."""
    _check(device)
    return finish(
        _empty(_shape(size, given.pop("size", None), "empty"), _kind(dtype), memory_format),
        requires_grad,
    )


def _empty(shape: tuple[int, ...], kind: np.dtype, memory_format: Any) -> np.ndarray:
    probe = np.broadcast_to(np.zeros((), kind), shape)
    if memory_format is not None and format_order(probe, memory_format, "empty") == "L":
        rank = len(shape)
        return np.empty((shape[0], *shape[2:], shape[1]), kind).transpose(
            0, rank - 1, *range(1, rank - 1)
        )
    return memory.empty(shape, kind) if kind.kind == "f" else np.empty(shape, kind)


@named
def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    layout: Any = None,
) -> Tensor:
    """One value in every element; of its type unless `dtype` is given."""
    _check(device)
    if isinstance(fill_value, TensorBase):
        dtype = dtype or dtypes.from_numpy_dtype(fill_value._array.dtype)
        fill_value = fill_value._array
    if dtype is None:
        dtype = (
            dtypes.bool
            if isinstance(fill_value, bool)
            else dtypes.int64
            if isinstance(fill_value, _int)
            else None
        )
    kind, shape = _kind(dtype), _shape((size,), None, "full")
    if not isinstance(fill_value, np.ndarray):
        fill_value = _promote.fitting(fill_value, kind, "full", around=False)
    return finish(np.full(shape, fill_value, kind), requires_grad)


@named
def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **given: Any,
) -> Tensor:
    """Uniform random numbers in [0, 1)."""
    _check(device)
    return finish(
        uniform(_shape(size, given.pop("size", None), "rand"), _kind(dtype), generator),
        requires_grad,
    )


@named
def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **given: Any,
) -> Tensor:
    """Normal random numbers of mean 0 and variance 1."""
    _check(device)
    return finish(
        normal_array(_shape(size, given.pop("size", None), "randn"), _kind(dtype), generator),
        requires_grad,
    )


def uniform(shape: Sequence[int], kind: np.dtype, generator: Generator | None = None) -> np.ndarray:
    """Uniform random numbers in [0, 1) as an array."""
    if kind.kind != "f":
        raise TypeError(f"random numbers in [0, 1) need a floating-point dtype, got {kind}")
    if kind.itemsize == 2:
        return rng(generator).random(shape, np.float32).astype(kind)
    return rng(generator).random(shape, kind)


def normal_array(
    shape: Sequence[int], kind: np.dtype, generator: Generator | None = None
) -> np.ndarray:
    """Standard normal random numbers as an array."""
    if kind.kind != "f":
        raise TypeError(f"normal random numbers need a floating-point dtype, got {kind}")
    if kind.itemsize == 2:
        return rng(generator).standard_normal(shape, np.float32).astype(kind)
    return rng(generator).standard_normal(shape, kind)


@named
def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None
) -> Tensor:
    """Normal random numbers of the given means and standard deviations (numbers or Tensors)."""
    m = mean._array if isinstance(mean, TensorBase) else mean
    s = std._array if isinstance(std, TensorBase) else std
    shape = np.broadcast_shapes(np.shape(m), np.shape(s)) if size is None else tuple(size)
    kind = next(
        (x.dtype for x in (m, s) if isinstance(x, np.ndarray)), dtypes.get_default_dtype().dtype
    )
    return wrap((normal_array(shape, kind, generator) * s + m).astype(kind, copy=False))


@named
def randint(
    low: Any,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Random integers in [low, high): ``randint(high, size)`` or ``randint(low, high, size)``."""
    _check(device)
    if size is None:
        if high is None or isinstance(high, _int):
            raise TypeError("randint: size is missing")
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    low, high = as_int("randint", "low", low), as_int("randint", "high", high)
    if low >= high:
        raise ValueError(f"randint: low = {low} must be less than high = {high}")
    values = rng(generator).integers(low, high, _shape((size,), None, "randint"))
    return finish(values.astype(_kind(dtypes.int64 if dtype is None else dtype)), requires_grad)


@named
def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None, **_: Any
) -> Tensor:
    """The integers below `n` in random order."""
    _check(device)
    n = as_int("randperm", "n", n)
    if not 0 <= n < 2**48:
        raise ValueError(f"randperm(): n must be from 0 to 2**48, got {n}")
    return wrap(
        rng(generator)
        .permutation(n)
        .astype(_kind(dtypes.int64 if dtype is None else dtype), copy=False)
    )


@named
def bernoulli(input: Any, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """Ones with the probabilities in `input` (or `p`), zeros otherwise."""
    _promote.check_tensor(input, "input", "bernoulli")
    a = input._array
    if isinstance(p, TensorBase):
        p = np.broadcast_to(p._array, a.shape)
    elif p is not None and (isinstance(p, (str, bytes, complex)) or not hasattr(p, "__float__")):
        raise TypeError(f"bernoulli: p must be a number, got {p!r:.80}")
    return wrap((rng(generator).random(a.shape) < (a if p is None else p)).astype(a.dtype))


@named
def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Positions drawn with the weights in the last axis of `input`."""
    _promote.check_tensor(input, "input", "multinomial")
    weights = np.atleast_2d(input._array).astype(np.float64)
    if (weights < 0).any() or not np.isfinite(weights).all() or (weights.sum(1) <= 0).any():
        raise ValueError("multinomial: weights must be finite, not negative, and not all zero")
    num_samples = as_int("multinomial", "num_samples", num_samples)
    most = 2**40 if replacement else weights.shape[-1]
    if not 0 < num_samples <= most:
        raise ValueError(f"multinomial: num_samples must be from 1 to {most}, got {num_samples}")
    r = rng(generator)
    drawn = [r.choice(len(w), num_samples, replacement, w / w.sum()) for w in weights]
    out = np.asarray(drawn, np.int64)
    return wrap(out[0] if input._array.ndim == 1 else out)


@named
def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from `start` (0) up to `end`, without it, by `step`."""
    _check(device)
    if end is None:
        start, end = 0, start
    start, end, step = (
        x._array.item() if isinstance(x, TensorBase) else x for x in (start, end, step)
    )
    for name, x in (("start", start), ("end", end), ("step", step)):
        if isinstance(x, (str, bytes, complex)) or not hasattr(x, "__float__"):
            raise TypeError(f"arange: {name} must be a number, got {x!r:.80}")
        if not -math.inf < x < math.inf:
            raise ValueError(f"arange: {name} must be finite, got {x}")
    if step == 0 or (end - start) * step < 0:
        raise ValueError(f"arange: step {step} does not lead from {start} to {end}")
    if dtype is None and any(isinstance(x, (float, np.floating)) for x in (start, end, step)):
        dtype = dtypes.get_default_dtype()
    kind = _kind(dtypes.int64 if dtype is None else dtype)
    if kind.kind == "f":
        count = math.ceil((end - start) / step)
        return finish(
            (start + step * np.arange(count, dtype=np.float64)).astype(kind), requires_grad
        )
    return finish(np.arange(start, end, step).astype(kind), requires_grad)


@named
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` equally spaced numbers from `start` to `end`, both included."""
    _check(device)
    return finish(np.linspace(float(start), float(end), steps).astype(_kind(dtype)), requires_grad)


@named
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`base` to the power of equally spaced numbers."""
    return finish(
        np.logspace(float(start), float(end), steps, base=base).astype(_kind(dtype)), requires_grad
    )


@named
def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix."""
    _check(device)
    return finish(np.eye(n, m, dtype=_kind(dtype)), requires_grad)


def _like(input: Any, dtype: Any, device: Any, memory_format: Any, function: str) -> np.ndarray:
    """Memory with the shape, type and layout of `input` where nothing else is asked for."""
    if not isinstance(input, TensorBase):
        raise TypeError(f"{function}: input must be a Tensor, got {type(input).__name__}")
    _check(device)
    kind = input._array.dtype if dtype is None else to_numpy_dtype(dtype)
    if memory_format is None or memory_format is dtypes.preserve_format:
        return np.empty_like(input._array, kind, order="K", subok=False)
    return _empty(input._array.shape, kind, memory_format)


@named
def zeros_like(
    input: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Zeros of the shape, type and layout of `input`."""
    a = _like(input, dtype, device, memory_format, "zeros_like")
    a.fill(0)
    return finish(a, requires_grad)


@named
def ones_like(
    input: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Ones of the shape, type and layout of `input`."""
    a = _like(input, dtype, device, memory_format, "ones_like")
    a.fill(1)
    return finish(a, requires_grad)


@named
def empty_like(
    input: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Memory of the shape, type and layout of `input`."""
    return finish(_like(input, dtype, device, memory_format, "empty_like"), requires_grad)


@named
def full_like(
    input: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """One value in the shape, type and layout of `input`."""
    a = _like(input, dtype, device, memory_format, "full_like")
    if isinstance(fill_value, TensorBase):
        fill_value = fill_value._array.item()
    a.fill(_promote.fitting(fill_value, a.dtype, "full_like", around=False))
    return finish(a, requires_grad)


@named
def rand_like(
    input: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Uniform random numbers in [0, 1) in the shape, type and layout of `input`."""
    a = _like(input, dtype, device, memory_format, "rand_like")
    a[...] = uniform(a.shape, a.dtype)
    return finish(a, requires_grad)


@named
def randn_like(
    input: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Standard normal random numbers in the shape, type and layout of `input`."""
    a = _like(input, dtype, device, memory_format, "randn_like")
    a[...] = normal_array(a.shape, a.dtype)
    return finish(a, requires_grad)


@named
def randint_like(input: Any, low: Any, high: Any = None, *, dtype: Any = None) -> Tensor:
    """Random integers in [low, high) in the shape and type of `input`."""
    a = _like(input, dtype, None, None, "randint_like")
    low, high = (0, low) if high is None else (low, high)
    low, high = as_int("randint_like", "low", low), as_int("randint_like", "high", high)
    if not -(2**63) <= low < high <= 2**63:
        raise ValueError(f"randint_like: low {low} must be below high {high}, within 64 bits")
    a[...] = rng().integers(low, high, a.shape)
    return wrap(a)
