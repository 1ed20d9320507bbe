"""Initial values of parameters, in place, under PyTorch's names."""

from __future__ import annotations

import functools
import inspect
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec

import numpy as np

from ..autograd import changed, forget
from ..functions._named import named, retell
from ..random import Generator, rng
from ..tensor import Tensor

GAINS = {
    "linear": 1.0,
    "identity": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


P = ParamSpec("P")


@named
def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights before a nonlinearity grow to keep the variance.

    Parameters
    ----------
    nonlinearity : str
        linear, conv1d and so on, sigmoid, tanh, relu, leaky_relu or selu.
    param : float, optional
        The slope of leaky_relu: 0.01 when not given.

    Raises
    ------
    ValueError
        For another name, or a slope that is not a number.
    """
    if not isinstance(nonlinearity, str):
        raise TypeError(f"calculate_gain(): nonlinearity must be a str, got {nonlinearity!r:.80}")
    if nonlinearity in GAINS:
        return GAINS[nonlinearity]
    if nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {slope!r} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


@named
def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs and outputs an element of a weight (out, in, *kernel) connects.

    Raises
    ------
    ValueError
        For fewer than two dimensions.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"fans(): tensor must be a Tensor, got {type(tensor).__name__}")
    shape = tensor._array.shape
    if len(shape) < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, "
            f"got shape {shape}"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


_calculate_fan_in_and_fan_out = fans


#: Arguments of the fillers that are numbers, and have to be finite.
UNBOUNDED = {("trunc_normal_", "a"), ("trunc_normal_", "b")}
NUMBERS = ("a", "b", "mean", "std", "val", "gain", "sparsity")

#: Fillers that draw nothing: they work within `undrawn` as well.
PLAIN = {"constant_", "ones_", "zeros_", "eye_", "dirac_"}


class _Undrawn(threading.local):
    depth = 0


_undrawn = _Undrawn()


@contextmanager
def undrawn() -> Iterator[None]:
    """Within it no random numbers are drawn: what would get them is left as its memory was.

    For networks whose weights are loaded next, or only counted. It holds for this thread; a filler
    that draws nothing (:func:`zeros_` and its like) works as ever. Memory that is never written
    costs nothing.
    """
    _undrawn.depth += 1
    try:
        yield
    finally:
        _undrawn.depth -= 1


def checked(filler: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Raise TypeError for what is no Tensor or number, ValueError for a number that is not finite.

    `constant_` takes any number.
    """
    signature = inspect.signature(filler)
    name = filler.__name__

    @functools.wraps(filler)
    def fill(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        try:
            return fill_checked(*args, **kwargs)
        except Exception as error:
            retell(error, name, filler, args, kwargs)

    def fill_checked(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        given = signature.bind(*args, **kwargs).arguments
        if not isinstance(given["tensor"], Tensor):
            raise TypeError(
                f"{name}(): tensor must be a Tensor, got {type(given['tensor']).__name__}"
            )
        for key, value in given.items():
            if key not in NUMBERS:
                continue
            if isinstance(value, (str, bytes, complex)) or not hasattr(value, "__float__"):
                raise TypeError(f"{name}(): {key} must be a number, got {value!r:.80}")
            try:
                finite = math.isfinite(value)  # type: ignore[arg-type]
            except (OverflowError, RuntimeError, TypeError):
                finite = False
            if not finite and key != "val" and (name, key) not in UNBOUNDED:
                raise ValueError(f"{name}(): {key} must be finite, got {value!r:.80}")
        if _undrawn.depth and name not in PLAIN:
            return given["tensor"]
        return filler(*args, **kwargs)

    return fill


def _fill(tensor: Tensor, values: Any) -> Tensor:
    forget(tensor)
    try:
        tensor._array[...] = values
    except OverflowError:
        raise ValueError(f"{values!r:.80} does not fit {tensor._array.dtype}") from None
    changed(tensor)
    return tensor


def _scaled(tensor: Tensor, values: np.ndarray, scale: float, shift: float) -> Tensor:
    values *= scale
    values += shift
    return _fill(tensor, values)


def _precision(tensor: Tensor) -> Any:
    """The type to draw numbers in."""
    return np.float32 if tensor._array.dtype == np.float32 else np.float64


@checked
def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with numbers drawn evenly from [a, b)."""
    drawn = rng(generator).random(tensor._array.shape, dtype=_precision(tensor))
    return _scaled(tensor, np.asarray(drawn), b - a, a)


@checked
def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill with numbers drawn from a normal distribution."""
    drawn = rng(generator).standard_normal(tensor._array.shape, dtype=_precision(tensor))
    return _scaled(tensor, np.asarray(drawn), std, mean)


@checked
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with numbers drawn from a normal distribution, drawing again what is outside [a, b]."""
    if not a < b:
        raise ValueError(f"trunc_normal_(): a must be below b, got {a} and {b}")
    if not std > 0:
        raise ValueError(f"trunc_normal_(): std must be positive, got {std}")
    source = rng(generator)
    low, high = (a - mean) / std, (b - mean) / std
    if low > 6 or high < -6:
        raise ValueError(f"trunc_normal_(): [{a}, {b}] is too far from mean {mean} (std {std})")
    if high < 0:
        values = -truncated(source, -high, -low, tensor._array.shape)
    else:
        values = truncated(source, low, high, tensor._array.shape)
    return _fill(tensor, values * std + mean)


@named
def truncated(
    source: np.random.Generator, low: float, high: float, shape: tuple[int, ...]
) -> np.ndarray:
    """Standard normal numbers in [low, high], where high >= 0, in a few rounds of rejection.

    Where the interval is narrow they are drawn evenly, in the tail exponentially (Robert 1995), and
    kept with the probability that is left.
    """
    nearest = max(low, 0.0)
    rate = (low + math.sqrt(low * low + 4)) / 2

    def draw(count: Any) -> tuple[np.ndarray, Any]:
        if high - low < 1 / max(low, 1.0):
            drawn = source.uniform(low, high, count)
            kept = np.exp((nearest - drawn) * (nearest + drawn) / 2)
        elif low > 0.5:
            drawn = low + source.standard_exponential(count) / rate
            kept = np.exp(-((drawn - rate) ** 2) / 2) * (drawn <= high)
        else:
            drawn = np.asarray(source.standard_normal(count))
            return drawn, (drawn < low) | (drawn > high)
        return drawn, source.random(count) > kept

    values, out = draw(shape)
    values, out = np.asarray(values), np.asarray(out)
    while out.any():
        again, still = draw(int(out.sum()))
        values[out] = again
        out[out] = still
    return values


@checked
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return _fill(tensor, val)


@checked
def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return _fill(tensor, 1)


@checked
def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return _fill(tensor, 0)


@checked
def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity."""
    if tensor._array.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _fill(tensor, np.eye(*tensor._array.shape))


@checked
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution's weight so that it hands its input channels through."""
    shape = tensor._array.shape
    if len(shape) not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if shape[0] % groups:
        raise ValueError(f"dim 0 must be divisible by groups, got {shape[0]} and {groups}")
    out = shape[0] // groups
    centre = tuple(k // 2 for k in shape[2:])
    zeros_(tensor)
    for group in range(groups):
        for i in range(min(out, shape[1])):
            place = (group * out + i, i, *centre)
            tensor._array[place] = 1
    changed(tensor)
    return tensor


@checked
def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Even in ±gain · sqrt(6 / (fan_in + fan_out)) (Glorot, Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


@checked
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with deviation gain · sqrt(2 / (fan_in + fan_out)) (Glorot, Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


@checked
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Even in ±gain · sqrt(3 / fan) (He et al. 2015).

    Parameters
    ----------
    tensor : Tensor
        A weight (out, in, *kernel).
    a : float
        The slope of the leaky_relu that follows.
    mode : "fan_in" or "fan_out"
        Keep the variance going forward, or backward.
    nonlinearity : str
        See `calculate_gain`.
    generator : Generator, optional
    """
    if 0 in tensor._array.shape:
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


@checked
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with deviation gain / sqrt(fan): see `kaiming_uniform_`."""
    if 0 in tensor._array.shape:
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


@checked
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Rows (or columns) that are orthogonal and of length `gain` (Saxe et al. 2013)."""
    shape = tensor._array.shape
    if len(shape) < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor._array.size == 0:
        return tensor
    rows, columns = shape[0], tensor._array.size // shape[0]
    drawn = rng(generator).standard_normal((rows, columns))
    q, r = np.linalg.qr(drawn.T if rows < columns else drawn)
    q *= np.sign(np.diag(r))
    return _fill(tensor, gain * (q.T if rows < columns else q).reshape(shape))


@checked
def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Normal, with this share of each column zero."""
    if tensor._array.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    normal_(tensor, 0, std, generator)
    rows, columns = tensor._array.shape
    zeros = math.ceil(sparsity * rows)
    for column in range(columns):
        tensor._array[rng(generator).permutation(rows)[:zeros], column] = 0
    changed(tensor)
    return tensor


def _older(filler: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """A filler under its name without the underscore, which warns."""
    name, new = filler.__name__[:-1], filler.__name__

    @functools.wraps(filler)
    def fill(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        import warnings

        warnings.warn(
            f"`nn.init.{name}` is now deprecated in favor of `nn.init.{new}`.",
            FutureWarning,
            stacklevel=2,
        )
        try:
            return filler(*args, **kwargs)
        except Exception as error:
            retell(error, name, filler, args, kwargs)

    fill.__name__ = fill.__qualname__ = name
    fill.__doc__ = f"`{new}` under its older name, with a warning."
    return fill


uniform = _older(uniform_)
normal = _older(normal_)
constant = _older(constant_)
eye = _older(eye_)
dirac = _older(dirac_)
xavier_uniform = _older(xavier_uniform_)
xavier_normal = _older(xavier_normal_)
kaiming_uniform = _older(kaiming_uniform_)
kaiming_normal = _older(kaiming_normal_)
orthogonal = _older(orthogonal_)
sparse = _older(sparse_)
_calculate_fan_in_and_fan_out = fans
