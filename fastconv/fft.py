"""Fourier transforms under PyTorch's names, through NumPy, with gradients.

There are no complex tensors. A complex result is a :class:`Complex`: a pair of real tensors with
`real`, `imag`, `abs()`, `angle()`, arithmetic, indexing and changes of shape. Give it to these
functions again, or take a real part of it; functions of other modules do not know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import dtypes
from .absent import missing
from .autograd import TensorBase, wrap
from .functions._named import named
from .functions._promote import check_tensor, to_float
from .functions.elementwise import atan2, mul
from .functions.fourier import Transform
from .functions.index import narrow
from .functions.join import stack
from .functions.pad import Pad
from .functions.reduce import norm as _norm
from .functions.shape import axes as _axes
from .functions.shape import axis, roll
from .spec.arguments import as_int

__all__ = [
    "Complex", "angle", "complex", "conj", "fft", "fft2", "fftfreq", "fftn", "fftshift", "ifft",
    "ifft2", "ifftn", "ifftshift", "imag", "irfft", "irfft2", "irfftn", "polar", "real", "rfft",
    "rfft2", "rfftfreq", "rfftn", "view_as_complex", "view_as_real",
]  # fmt: skip


class Complex:
    """A complex result: two real tensors of one shape and type.

    Attributes
    ----------
    real, imag : Tensor
        Both with gradients.
    """

    __slots__ = ("imag", "real")

    def __init__(self, real: Any, imag: Any) -> None:
        check_tensor(real, "real", "complex")
        check_tensor(imag, "imag", "complex")
        if real._array.shape != imag._array.shape or real._array.dtype != imag._array.dtype:
            raise ValueError(
                "complex: real and imag must have one shape and dtype, got "
                f"{real._array.shape} {real._array.dtype} and "
                f"{imag._array.shape} {imag._array.dtype}"
            )
        self.real, self.imag = real, imag

    @property
    def shape(self) -> dtypes.Size:
        """The sizes of the axes."""
        return self.real.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.real.ndim  # type: ignore[no-any-return]

    @property
    def dtype(self) -> dtypes.ForeignDtype:
        """complex64 or complex128, as a name."""
        wide = self.real.dtype == dtypes.float64
        return dtypes.complex128 if wide else dtypes.complex64

    @property
    def device(self) -> dtypes.device:
        """The CPU."""
        return dtypes.CPU

    @property
    def requires_grad(self) -> bool:
        """Whether a part does."""
        return bool(self.real.requires_grad or self.imag.requires_grad)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        return self.real.size(dim)

    def dim(self) -> int:
        """The number of axes."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.real.numel()  # type: ignore[no-any-return]

    def is_complex(self) -> bool:
        """True."""
        return True

    def abs(self) -> Any:
        """The sizes; the gradient at 0 is 0."""
        return _norm(stack([self.real, self.imag]), 2, 0)

    def angle(self) -> Any:
        """The angles, in (-π, π]."""
        return atan2(self.imag, self.real)

    def conj(self) -> Complex:
        """The conjugate."""
        return Complex(self.real, -self.imag)

    def numpy(self) -> np.ndarray:
        """A complex array."""
        return np.asarray(self.real.numpy() + 1j * self.imag.numpy(), self.dtype.name)

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.detach().numpy().tolist()

    def item(self) -> builtin_complex:
        """The only element."""
        return builtin_complex(self.real.item(), self.imag.item())

    def _each(self, function: Callable[[Any], Any]) -> Complex:
        return Complex(function(self.real), function(self.imag))

    def detach(self) -> Complex:
        """Without a graph."""
        return self._each(lambda t: t.detach())

    def clone(self) -> Complex:
        """A copy."""
        return self._each(lambda t: t.clone())

    def contiguous(self) -> Complex:
        """With the elements in order."""
        return self._each(lambda t: t.contiguous())

    def cpu(self) -> Complex:
        """Itself."""
        return self

    def reshape(self, *shape: Any) -> Complex:
        """In another shape."""
        return self._each(lambda t: t.reshape(*shape))

    view = reshape

    def flatten(self, *dims: int) -> Complex:
        """With axes joined."""
        return self._each(lambda t: t.flatten(*dims))

    def permute(self, *dims: Any) -> Complex:
        """The axes in another order."""
        return self._each(lambda t: t.permute(*dims))

    def transpose(self, dim0: int, dim1: int) -> Complex:
        """Two axes swapped."""
        return self._each(lambda t: t.transpose(dim0, dim1))

    def squeeze(self, *dim: int) -> Complex:
        """Without axes of size 1."""
        return self._each(lambda t: t.squeeze(*dim))

    def unsqueeze(self, dim: int) -> Complex:
        """With a new axis of size 1."""
        return self._each(lambda t: t.unsqueeze(dim))

    def roll(self, shifts: Any, dims: Any = None) -> Complex:
        """Shifted around."""
        return self._each(lambda t: t.roll(shifts, dims))

    def sum(self, *args: Any, **kwargs: Any) -> Complex:
        """Sums."""
        return self._each(lambda t: t.sum(*args, **kwargs))

    def mean(self, *args: Any, **kwargs: Any) -> Complex:
        """Means."""
        return self._each(lambda t: t.mean(*args, **kwargs))

    def __getitem__(self, index: Any) -> Complex:
        return self._each(lambda t: t[index])

    def __len__(self) -> int:
        return len(self.real)

    def __iter__(self) -> Iterator[Complex]:
        return (self[i] for i in range(len(self)))

    def __neg__(self) -> Complex:
        return Complex(-self.real, -self.imag)

    def __abs__(self) -> Any:
        return self.abs()

    def __add__(self, other: Any) -> Complex:
        re, im = _parts(other)
        imag = self.imag if im is None else self.imag + im
        return _pair(self.real + re, imag)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Complex:
        return self + (-other)

    def __rsub__(self, other: Any) -> Complex:
        return -self + other

    def __mul__(self, other: Any) -> Complex:
        re, im = _parts(other)
        if im is None:
            return Complex(self.real * re, self.imag * re)
        return _pair(self.real * re - self.imag * im, self.real * im + self.imag * re)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Complex:
        re, im = _parts(other)
        if im is None:
            return Complex(self.real / re, self.imag / re)
        size = re * re + im * im
        return _pair(
            (self.real * re + self.imag * im) / size, (self.imag * re - self.real * im) / size
        )

    def __rtruediv__(self, other: Any) -> Complex:
        size = self.real * self.real + self.imag * self.imag
        return Complex(self.real / size, -self.imag / size) * other

    def __repr__(self) -> str:
        return f"Complex(real={self.real!r}, imag={self.imag!r})"


builtin_complex = complex


def _parts(value: Any) -> tuple[Any, Any]:
    """Real and imaginary part of a Complex, Tensor or number; None for no imaginary part."""
    if isinstance(value, (Complex, builtin_complex)):
        return value.real, value.imag
    return value, None


def _pair(real: Any, imag: Any) -> Complex:
    """Both broadcast to one shape."""
    from .functions.shape import broadcast_tensors

    if real.shape != imag.shape:
        real, imag = broadcast_tensors(real, imag)
    return Complex(real, imag)


@named
def complex(real: Any, imag: Any) -> Complex:
    """A pair of real tensors as a complex one."""
    return Complex(real, imag)


@named
def polar(abs: Any, angle: Any) -> Complex:
    """From sizes and angles."""
    return Complex(abs * angle.cos(), abs * angle.sin())


@named
def real(input: Any) -> Any:
    """The real part; a Tensor itself."""
    return input.real if isinstance(input, Complex) else input


@named
def imag(input: Any) -> Any:
    """The imaginary part of a Complex."""
    if not isinstance(input, Complex):
        raise RuntimeError("imag is not defined for real tensors")
    return input.imag


@named
def conj(input: Any) -> Any:
    """The conjugate; a Tensor itself."""
    return input.conj() if isinstance(input, Complex) else input


@named
def angle(input: Any) -> Any:
    """The angle; of a real tensor 0, or π where it is negative."""
    if isinstance(input, Complex):
        return input.angle()
    x = to_float(input)
    return atan2(mul(x, 0.0), x)


@named
def view_as_real(input: Complex) -> Any:
    """Real and imaginary parts in a new last axis: a copy."""
    if not isinstance(input, Complex):
        raise RuntimeError("view_as_real is only defined for what fft and complex return")
    return stack([input.real, input.imag], -1)


@named
def view_as_complex(input: Any) -> Complex:
    """From a last axis of two, real and imaginary part."""
    if input.shape[-1:] != (2,):
        raise RuntimeError(
            f"view_as_complex: the last axis must have size 2, got shape {tuple(input.shape)}"
        )
    return Complex(input.select(-1, 0), input.select(-1, 1))


# transforms


def _both(input: Any, function: str) -> tuple[Any, Any]:
    if isinstance(input, Complex):
        return input.real, input.imag
    if not isinstance(input, TensorBase):
        raise TypeError(
            f"fft.{function}: input must be a Tensor or Complex, got {type(input).__name__}"
        )
    x = to_float(input)
    if x._array.dtype == np.float16:
        raise TypeError(f"fft.{function}: input must be float32 or float64, got float16")
    return x, wrap(np.zeros_like(x._array))


def _fitted(t: Any, d: int, n: int, function: str) -> Any:
    """Cut, or filled up with zeros, to `n` elements along an axis."""
    if n < 1:
        raise RuntimeError(f"fft.{function}: sizes must be positive, got {n}")
    have = t._array.shape[d]
    if n < have:
        return narrow(t, d, 0, n)
    if n > have:
        return Pad.apply(t, ((d, 0, n - have),), "constant", 0)
    return t


def _check_norm(norm: str | None, function: str) -> str:
    if norm not in (None, "forward", "backward", "ortho"):
        raise RuntimeError(
            f"fft.{function}: norm must be 'forward', 'backward' or 'ortho', got {norm!r}"
        )
    return norm or "backward"


def _several(
    shape: tuple[int, ...], s: Any, dim: Any, function: str
) -> tuple[tuple[int, ...], list[int]]:
    """The axes of a transform, and their sizes; -1 keeps what there is."""
    if s is not None and isinstance(s, int):
        s = (s,)
    if dim is None:
        count = len(shape) if s is None else len(s)
        dims = tuple(range(len(shape) - count, len(shape)))
    else:
        dims = tuple(
            axis(d, len(shape), f"fft.{function}") for d in ([dim] if isinstance(dim, int) else dim)
        )
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"fft.{function}: dim must name each axis once, got {dim}")
    sizes = [shape[d] for d in dims]
    if s is not None:
        if len(s) != len(dims):
            raise RuntimeError(f"fft.{function}: s and dim must have one length, got {s} and {dim}")
        sizes = [have if n == -1 else n for n, have in zip(s, sizes, strict=True)]
    return dims, sizes


def _transform(
    input: Any, s: Any, dim: Any, norm: str | None, inverse: bool, function: str
) -> Complex:
    kind = _check_norm(norm, function)
    re, im = _both(input, function)
    dims, sizes = _several(re._array.shape, s, dim, function)
    for d, n in zip(dims, sizes, strict=True):
        re, im = _fitted(re, d, n, function), _fitted(im, d, n, function)
    return Complex(*Transform.apply(re, im, dims, inverse, kind))


@named
def fft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Complex:
    """The transform along an axis.

    Parameters
    ----------
    input : Tensor or Complex
    n : int, optional
        Elements to transform: cut, or filled up with zeros.
    dim : int
    norm : str, optional
        "backward" (the default), "ortho" or "forward": which direction divides by the count.

    Returns
    -------
    Complex
    """
    return _transform(input, None if n is None else (n,), (dim,), norm, False, "fft")


@named
def ifft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Complex:
    """The inverse transform along an axis: see :func:`fft`."""
    return _transform(input, None if n is None else (n,), (dim,), norm, True, "ifft")


@named
def fft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Complex:
    """The transform over two axes: see :func:`fft`."""
    return _transform(input, s, dim, norm, False, "fft2")


@named
def ifft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Complex:
    """The inverse transform over two axes: see :func:`fft`."""
    return _transform(input, s, dim, norm, True, "ifft2")


@named
def fftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Complex:
    """The transform over several axes, all by default: see :func:`fft`."""
    return _transform(input, s, dim, norm, False, "fftn")


@named
def ifftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Complex:
    """The inverse transform over several axes, all by default: see :func:`fft`."""
    return _transform(input, s, dim, norm, True, "ifftn")


def _half(input: Any, s: Any, dim: Any, norm: str | None, function: str) -> Complex:
    """The first half of the last axis, which holds all of a real signal's transform."""
    if isinstance(input, Complex):
        raise RuntimeError(f"fft.{function}: input must be real, got a Complex")
    z = _transform(input, s, dim, norm, False, function)
    last = _several(z.shape, None, dim, function)[0][-1] if dim is not None else z.ndim - 1
    return z._each(lambda t: narrow(t, last, 0, t._array.shape[last] // 2 + 1))


@named
def rfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Complex:
    """The first half of the transform of a real signal, n // 2 + 1 elements: see :func:`fft`."""
    return _half(input, None if n is None else (n,), (dim,), norm, "rfft")


@named
def rfft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Complex:
    """The transform of real images, half of the last axis: see :func:`fft`."""
    return _half(input, s, dim, norm, "rfft2")


@named
def rfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Complex:
    """The transform of real arrays, half of the last axis: see :func:`fft`."""
    return _half(input, s, dim, norm, "rfftn")


def _whole(input: Any, s: Any, dim: Any, norm: str | None, function: str) -> Any:
    """The real signal of half a transform: the elements that have a conjugate count twice."""
    kind = _check_norm(norm, function)
    re, im = _both(input, function)
    dims, sizes = _several(re._array.shape, s, dim, function)
    last = dims[-1]
    if s is None or (not isinstance(s, int) and s[-1] == -1):
        sizes[-1] = 2 * (re._array.shape[last] - 1)
    n = sizes[-1]
    z = Complex(re, im)
    if len(dims) > 1:
        z = _transform(z, sizes[:-1], dims[:-1], kind, True, function)
    half = n // 2 + 1
    twice = np.full(half, 2, re._array.dtype)
    twice[0] = 1
    if n % 2 == 0:
        twice[-1] = 1
    weight = wrap(twice.reshape([half if d == last else 1 for d in range(re._array.ndim)]))

    def ready(t: Any) -> Any:
        return _fitted(_fitted(t, last, half, function) * weight, last, n, function)

    return Transform.apply(ready(z.real), ready(z.imag), (last,), True, kind)[0]


@named
def irfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The real signal whose :func:`rfft` this is, of `n` elements: 2 (m - 1) by default."""
    return _whole(input, None if n is None else (n,), (dim,), norm, "irfft")


@named
def irfft2(input: Any, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Any:
    """The real images whose :func:`rfft2` this is."""
    return _whole(input, s, dim, norm, "irfft2")


@named
def irfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The real array whose :func:`rfftn` this is."""
    return _whole(input, s, dim, norm, "irfftn")


def _shifted(input: Any, dim: Any, sign: int, function: str) -> Any:
    shape = input.shape
    dims = tuple(range(len(shape))) if dim is None else _axes(dim, len(shape), f"fft.{function}")
    shifts = [sign * (shape[d] // 2) for d in dims]
    if isinstance(input, Complex):
        return input.roll(shifts, dims)
    return roll(input, shifts, dims)


@named
def fftshift(input: Any, dim: Any = None) -> Any:
    """The frequency 0 moved to the middle; of a Tensor or Complex."""
    return _shifted(input, dim, 1, "fftshift")


@named
def ifftshift(input: Any, dim: Any = None) -> Any:
    """Undo :func:`fftshift`."""
    return _shifted(input, dim, -1, "ifftshift")


def _frequencies(make: Any, n: Any, d: Any, dtype: Any, requires_grad: bool) -> Any:
    name = f"fft.{make.__name__}"
    n = as_int(name, "n", n)
    if isinstance(d, (int, np.number)) or (isinstance(d, TensorBase) and not d._array.ndim):
        d = float(d)  # type: ignore[arg-type]
    if n < 1 or not isinstance(d, float) or d == 0:
        raise ValueError(f"{name}: n must be positive and d a number other than 0, got {n}, {d!r}")
    values = make(n, d)
    kind = dtypes.to_numpy_dtype(dtypes.get_default_dtype() if dtype is None else dtype)
    found: Any = wrap(values.astype(kind))
    found.requires_grad = requires_grad
    return found


@named
def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """The frequencies of :func:`fft`'s elements."""
    return _frequencies(np.fft.fftfreq, n, d, dtype, requires_grad)


@named
def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """The frequencies of :func:`rfft`'s elements."""
    return _frequencies(np.fft.rfftfreq, n, d, dtype, requires_grad)


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
