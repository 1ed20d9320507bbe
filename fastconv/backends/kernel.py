"""What a kernel is: ``prepare(spec, dtype, rank)`` returns a call on ndarrays.

All that geometry and type decide is asked once, in `prepare`. The call gets arrays, makes its
result or writes into the one it is given, and returns it:

======================  =================================================================
conv_forward            ``(x, w, bias=None, out=None, finish=None, packed=None) -> y``
conv_backward_input     ``(grad_out, w, out=None, packed=None) -> gradient of x``
conv_backward_weight    ``(grad_out, x, out=None) -> gradient of w``
conv_backward_bias      ``(grad_out, out=None) -> gradient of the bias``
max_pool_forward        ``(x, out=None, indices=None) -> y, indices``
max_pool_taps_forward   ``(x, out=None, taps=None, keep=False) -> y, taps or None``
avg_pool_forward        ``(x, out=None) -> y``
..._pool_backward       ``(grad_out, [indices or taps], out) -> gradient of x``
norm_statistics         ``(x, weight, bias, eps, mean, var, momentum, stats=None, coef=None)``
norm_apply              ``(x, coef, residual=None, relu=False, out=None, limit=inf) -> y``
norm_backward           ``(grad_out, x, y, relu, weight, stats, coef, constant, out, ...)``
======================  =================================================================

Arrays have all three spatial axes, or the user's (`rank`). Rank 2 is that of a fully connected
layer: x (rows, C), w (K, C), the result (rows, K), in the geometry of the convolution (1, C, rows)
by (K, C, 1). `finish` is (slope, limit, residual or None, coef (3, K) or None): what the result
becomes on its way out. `packed` is where packed forms of w are kept (``fastconv/packed.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastconv import backends
from fastconv.memory import empty, empty_like, is_last
from fastconv.spec import batch_norm_spec

Array = np.ndarray[Any, np.dtype[Any]]
Call = Callable[..., Any]
Prepare = Callable[[Any, Any, int], Call]
#: Slope, limit, residual, coefficients.
Finish = tuple[float, float, "Array | None", "Array | None"]


class Kernel:
    """One way to carry out an operation that has a geometry.

    Attributes
    ----------
    backend, operation, algorithm : str
    prepare : callable
        ``prepare(spec, dtype, rank)`` returns the call.
    finishes : bool
        Whether it does what `finish` says while the result is in cache; others do it afterwards.
    packs : bool
        Whether it reads packed weights.
    transforms : bool
        Whether it multiplies transformed data, and rounds more than a direct sum.
    """

    __slots__ = (
        "algorithm", "backend", "finishes", "operation", "packs", "prepare", "transforms",
    )  # fmt: skip

    def __init__(
        self, backend: str, operation: str, algorithm: str, prepare: Prepare, finishes: bool,
        packs: bool, transforms: bool,
    ) -> None:  # fmt: skip
        self.backend, self.operation, self.algorithm = backend, operation, algorithm
        self.prepare, self.finishes, self.packs = prepare, finishes, packs
        self.transforms = transforms

    def __call__(self, spec: Any, *arrays: Any, **given: Any) -> Any:
        """Prepare, and call at once."""
        return self.prepare(spec, arrays[0].dtype, arrays[0].ndim)(*arrays, **given)

    def __repr__(self) -> str:
        return f"<{self.backend} kernel {self.operation} {self.algorithm}>"


#: All kernels of the backends that are loaded, by backend, operation and algorithm.
KERNELS: dict[tuple[str, str, str], Kernel] = {}


def kernel(
    backend: str, operation: str, algorithm: str = "direct", *, finishes: bool = False,
    packs: bool = False, transforms: bool = False,
) -> Callable[[Prepare], Kernel]:  # fmt: skip
    """Register a `prepare` as a kernel: ``@kernel("c", "conv_forward", "gemm", packs=True)``."""

    def register(prepare: Prepare) -> Kernel:
        found = Kernel(backend, operation, algorithm, prepare, finishes, packs, transforms)
        KERNELS[backend, operation, algorithm] = found
        return found

    return register


def find(backend: str, operation: str, algorithm: str = "direct") -> Kernel:
    """Return a kernel, loading its backend when it is first asked for."""
    backends.load(backend)
    return KERNELS[backend, operation, algorithm]


# ---------------------------------------------------------------- plain functions as kernels


def lifted(a: Any, rank: int, weight: bool = False) -> Any:
    """An operand with three spatial axes: a view."""
    if rank == 5 or a is None:
        return a
    if rank == 2:  # rows are pixels
        return a[:, :, None, None, None] if weight else a.T[None, :, None, None, :]
    return a[:, :, None] if rank == 4 else a[:, :, None, None]


def lowered(a: Array, rank: int, weight: bool = False) -> Array:
    """The inverse of `lifted`."""
    if rank == 5:
        return a
    if rank == 2:
        return a[:, :, 0, 0, 0] if weight else a[0, :, 0, 0].T
    return a[:, :, 0] if rank == 4 else a[:, :, 0, 0]


def adapted(backend: str, operation: str, algorithm: str = "direct") -> Callable[[Call], Call]:
    """Register ``function(spec, *operands, *results)`` on 5-D arrays as a kernel.

    It stays the function that it is. The kernel makes its results, adds missing axes, and does what
    `finish` says in passes of their own.
    """
    make = _ADAPTED.get(operation, _as_it_is)

    def register(function: Call) -> Call:
        @kernel(backend, operation, algorithm)
        def prepare(spec: Any, dtype: Any, rank: int) -> Call:
            call = make(function, spec, rank, backend)

            def quietly(*arrays: Any, **given: Any) -> Any:
                with np.errstate(all="ignore"):  # as in C, what overflows is infinite
                    return call(*arrays, **given)

            return quietly

        return function

    return register


def _as_it_is(function: Call, spec: Any, rank: int, backend: str) -> Call:
    return partial(function, spec)


def _conv_forward(function: Call, spec: Any, rank: int, backend: str) -> Call:
    def call(
        x: Array, w: Array, bias: Array | None = None, out: Array | None = None,
        finish: Finish | None = None, packed: Any = None,
    ) -> Array:  # fmt: skip
        y = empty(spec.y_shape, x.dtype, True) if out is None else lifted(out, rank)
        if w.size:
            function(spec, lifted(x, rank), lifted(w, rank, True), bias, y)
        else:
            y[...] = 0 if bias is None else bias.reshape(-1, 1, 1, 1)
        return finished(backend, lowered(y, rank) if out is None else out, finish)

    return call


def _conv_backward_input(function: Call, spec: Any, rank: int, backend: str) -> Call:
    def call(g: Array, w: Array, out: Array | None = None, packed: Any = None) -> Array:
        x = empty(spec.x_shape, g.dtype, True) if out is None else lifted(out, rank)
        if x.size:
            function(spec, lifted(g, rank), lifted(w, rank, True), x)
        return lowered(x, rank) if out is None else out

    return call


def _conv_backward_weight(function: Call, spec: Any, rank: int, backend: str) -> Call:
    def call(g: Array, x: Array, out: Array | None = None) -> Array:
        w = empty(spec.w_shape, g.dtype) if out is None else lifted(out, rank, True)
        if g.size:
            function(spec, lifted(g, rank), lifted(x, rank), w)
        else:
            w[...] = 0
        return lowered(w, rank, True) if out is None else out

    return call


def _conv_backward_bias(function: Call, spec: Any, rank: int, backend: str) -> Call:
    def call(g: Array, out: Array | None = None) -> Array:
        out = empty((spec.out_channels,), g.dtype) if out is None else out
        if g.size:
            function(spec, lifted(g, rank), out)
        else:
            out[...] = 0
        return out

    return call


def _avg_pool_forward(function: Call, spec: Any, rank: int, backend: str) -> Call:
    def call(x: Array, out: Array | None = None) -> Array:
        y = empty(spec.y_shape, x.dtype, is_last(x)) if out is None else lifted(out, rank)
        if y.size:
            function(spec, lifted(x, rank), y)
        return lowered(y, rank) if out is None else out

    return call


def _max_pool_taps_forward(function: Call, spec: Any, rank: int, backend: str) -> Call:
    def call(
        x: Array, out: Array | None = None, taps: Array | None = None, keep: bool = False
    ) -> tuple[Array, Array | None]:
        y = empty(spec.y_shape, x.dtype, is_last(x)) if out is None else lifted(out, rank)
        if taps is None and keep:
            taps = empty(spec.y_shape, np.uint8, True)
        if y.size:
            function(spec, lifted(x, rank), y, taps)
        return (lowered(y, rank) if out is None else out), taps

    return call


def _norm_statistics(function: Call, spec: Any, rank: int, backend: str) -> Call:
    def call(
        x: Array, weight: Array | None, bias: Array | None, eps: float, mean: Array | None,
        var: Array | None, momentum: float, stats: Array | None = None, coef: Array | None = None,
    ) -> tuple[Array, Array]:  # fmt: skip
        if stats is None or coef is None:
            size = (3, spec.sets * spec.channels)
            stats, coef = np.empty(size), np.empty(size, x.dtype)
        function(spec, x, weight, bias, eps, mean, var, momentum, stats, coef)
        return stats, coef

    return call


def _norm_apply(function: Call, spec: Any, rank: int, backend: str) -> Call:
    def call(
        x: Array, coef: Array, residual: Array | None = None, relu: bool = False,
        out: Array | None = None, limit: float = math.inf,
    ) -> Array:  # fmt: skip
        out = empty_like(x) if out is None else out
        function(spec, x, coef, residual, relu, out, limit)
        return out

    return call


_ADAPTED: dict[str, Callable[[Call, Any, int, str], Call]] = {
    "conv_forward": _conv_forward,
    "conv_backward_input": _conv_backward_input,
    "conv_backward_weight": _conv_backward_weight,
    "conv_backward_bias": _conv_backward_bias,
    "avg_pool_forward": _avg_pool_forward,
    "max_pool_taps_forward": _max_pool_taps_forward,
    "norm_statistics": _norm_statistics,
    "norm_apply": _norm_apply,
}


def finished(backend: str, y: Array, finish: Finish | None) -> Array:
    """What `finish` makes of a result, in place, pass by pass."""
    if finish is None or not y.size:
        return y
    slope, limit, residual, coef = finish
    with np.errstate(all="ignore"):
        if coef is not None:
            rows = y if y.ndim > 2 else y[:, :, None]
            KERNELS[backend, "norm_apply", "direct"](
                batch_norm_spec(rows.shape), rows, coef, None, False, rows
            )
        if residual is not None:
            y += residual
        if slope != 1:
            below = np.multiply(y, slope, where=y < 0, out=np.zeros_like(y)) if slope else 0
            np.copyto(y, below, where=y < 0)
        if limit != math.inf:
            np.copyto(y, limit, where=y > limit)
    return y


def in_double(found: Kernel) -> Kernel:
    """Return a convolution's kernel that computes float32 in float64, and rounds once."""

    def prepare(spec: Any, dtype: Any, rank: int) -> Call:
        if np.dtype(dtype) != np.float32:
            return found.prepare(spec, dtype, rank)
        wide, forward = found.prepare(spec, np.dtype(np.float64), rank), found.operation
        count = {"conv_forward": 3, "conv_backward_bias": 1}.get(forward, 2)

        def call(
            *arrays: Any, out: Any = None, finish: Finish | None = None, packed: Any = None
        ) -> Array:
            if len(arrays) > count:
                out = arrays[count]
                finish = arrays[count + 1] if len(arrays) > count + 1 else finish
            y = wide(*[a if a is None else a.astype(np.float64) for a in arrays[:count]])
            if out is None:
                out = y.astype(dtype)
            else:
                out[...] = y
            return finished(found.backend, out, finish)

        return call

    return Kernel(found.backend, found.operation, found.algorithm, prepare, False, False, False)
