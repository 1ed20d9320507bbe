"""Keras itself, of its NumPy backend, with this engine's convolutions and pooling.

    from fastconv.keras import backend

    backend.install()  # before keras is imported
    import keras

Keras's NumPy backend computes with NumPy alone but for convolutions and pooling, for which it
imports JAX. `install` chooses that backend, puts functions of :mod:`fastconv.ops` in their place,
and JAX is not needed any more. Networks of Keras's then predict; its NumPy backend has no gradients
and does not train (:mod:`fastconv.keras` does). Two transforms, ``fft`` and ``fft2``, are NumPy's.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import types
from typing import Any

import numpy as np

from .. import ops
from .layers.geometry import same_pads

__all__ = ["install"]


def install() -> None:
    """Let ``import keras`` find its NumPy backend, computed here.

    Raises
    ------
    ModuleNotFoundError
        If Keras is not installed.
    RuntimeError
        If it was imported with another backend, or is of a version whose backend is built in
        another way.
    """
    if importlib.util.find_spec("keras") is None:
        raise ModuleNotFoundError("keras.backend: Keras is not installed: pip install keras")
    if "keras" in sys.modules:
        used = sys.modules["keras"].backend.backend()
        if used != "numpy":
            raise RuntimeError(
                f"keras.backend: Keras was imported with its backend {used!r}; call install() "
                "before anything imports keras"
            )
    else:
        os.environ["KERAS_BACKEND"] = "numpy"
        _import()
    from keras.src.backend.numpy import nn

    wanted = {"conv": conv, "depthwise_conv": depthwise_conv, "conv_transpose": conv_transpose,
              "max_pool": max_pool, "average_pool": average_pool}  # fmt: skip
    missing = [name for name in (*wanted, "separable_conv") if not hasattr(nn, name)]
    if missing:
        raise RuntimeError(f"keras.backend: this Keras has no backend.numpy.nn.{missing[0]}")
    for name, function in wanted.items():
        setattr(nn, name, function)  # separable_conv calls the first two


def _import() -> None:
    """Import Keras; where JAX is missing, what its backend imports of it is stood in for."""
    finder = _Finder()
    if importlib.util.find_spec("jax") is None:
        sys.meta_path.insert(0, finder)
    try:
        import keras  # noqa: F401
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


class _Finder:
    """Finds the two modules of Keras's backend that import JAX, and shows them stand-ins.

    Nobody else sees those, so that what looks for JAX goes on finding none.
    """

    names = ("keras.src.backend.numpy.nn", "keras.src.backend.numpy.math")

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The module as Python finds it, with another way of running it."""
        if name not in self.names:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def among_stubs(module: types.ModuleType) -> None:
                stubs = _stubs()
                sys.modules.update(stubs)
                try:
                    run(module)
                finally:
                    for stub in stubs:
                        del sys.modules[stub]

            spec.loader.exec_module = among_stubs  # type: ignore[method-assign]
        return spec


def _stubs() -> dict[str, types.ModuleType]:
    """Modules with the names that Keras's NumPy backend imports."""
    names = ("jax", "jax.lax", "keras.src.backend.jax", "keras.src.backend.jax.math")
    found = {name: types.ModuleType(name) for name in names}
    found["jax"].lax = found["jax.lax"]  # type: ignore[attr-defined]
    math: Any = found["keras.src.backend.jax.math"]
    math.fft, math.fft2 = _fft, _fft2
    return found


def _fft(x: Any) -> tuple[np.ndarray, np.ndarray]:
    found = np.fft.fft(np.asarray(x[0]) + 1j * np.asarray(x[1]))
    return found.real.astype(x[0].dtype), found.imag.astype(x[0].dtype)


def _fft2(x: Any) -> tuple[np.ndarray, np.ndarray]:
    found = np.fft.fft2(np.asarray(x[0]) + 1j * np.asarray(x[1]))
    return found.real.astype(x[0].dtype), found.imag.astype(x[0].dtype)


# -- arrays of Keras's as the engine takes them --------------------------------------------------


def _format(data_format: Any) -> str:
    from keras.src import backend

    return str(backend.standardize_data_format(data_format))


def _inward(x: Any, data_format: str) -> np.ndarray:
    """x as (N, C, *): a view; in a type that kernels have."""
    x = np.asarray(x)
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32)
    return x if data_format == "channels_first" else np.moveaxis(x, -1, 1)


def _outward(y: np.ndarray, data_format: str, dtype: Any) -> np.ndarray:
    """(N, C, *) in Keras's order and type."""
    y = y if data_format == "channels_first" else np.moveaxis(y, 1, -1)
    kept = dtype if np.dtype(dtype).kind == "f" or np.dtype(dtype).name == "bfloat16" else y.dtype
    return np.ascontiguousarray(y, kept)


def _each(value: Any, rank: int) -> tuple[int, ...]:
    """A number for every axis."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _weight(kernel: Any, dtype: Any) -> np.ndarray:
    """(*kernel, in, out) as (out, in, *kernel)."""
    kernel = np.asarray(kernel).astype(dtype, copy=False)
    return np.ascontiguousarray(kernel.transpose(-1, -2, *range(kernel.ndim - 2)))


def _bordered(x: np.ndarray, pads: Any, value: float = 0.0) -> np.ndarray:
    """x (N, C, *) with (before, after) on each axis; negative ones are cut off.

    The result's memory is channels-last, as the kernels have it.
    """
    for axis, (before, after) in enumerate(pads, 2):
        stop = x.shape[axis] + min(after, 0)
        x = x[(slice(None),) * axis + (slice(max(-before, 0), stop),)]
    wide = [(0, 0), *[(max(a, 0), max(b, 0)) for a, b in pads], (0, 0)]
    if not any(a or b for a, b in wide):
        return x
    return np.moveaxis(np.pad(np.moveaxis(x, 1, -1), wide, constant_values=value), -1, 1)


def _padding(x: np.ndarray, kernel: Any, strides: Any, dilation: Any, padding: Any) -> Any:
    """Borders of each axis for 'same' or 'valid'."""
    name = str(padding).lower()
    if name not in ("same", "valid"):
        raise ValueError(f"padding must be 'same' or 'valid', got {padding!r}")
    if name == "valid":
        return [(0, 0)] * (x.ndim - 2)
    return same_pads(x.shape[2:], kernel, strides, dilation)


# -- what is put into keras.src.backend.numpy.nn -------------------------------------------------


def conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid",
    data_format: Any = None, dilation_rate: Any = 1,
) -> np.ndarray:  # fmt: skip
    """Convolve; groups are what the channels have more than the kernel."""
    form = _format(data_format)
    x = _inward(inputs, form)
    weight = _weight(kernel, x.dtype)
    if x.shape[1] % weight.shape[1]:
        raise ValueError(
            f"conv: {x.shape[1]} channels are no multiple of the {weight.shape[1]} of the kernel"
        )
    y = _convolve(x, weight, strides, padding, dilation_rate, x.shape[1] // weight.shape[1])
    return _outward(y, form, inputs.dtype)


def depthwise_conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid",
    data_format: Any = None, dilation_rate: Any = 1,
) -> np.ndarray:  # fmt: skip
    """Convolve each channel with kernels (\\*kernel, channels, multiplier) of its own."""
    form = _format(data_format)
    x = _inward(inputs, form)
    kernel = np.asarray(kernel)
    flat = kernel.reshape(*kernel.shape[:-2], 1, kernel.shape[-2] * kernel.shape[-1])
    y = _convolve(x, _weight(flat, x.dtype), strides, padding, dilation_rate, x.shape[1])
    return _outward(y, form, inputs.dtype)


def _convolve(
    x: np.ndarray, weight: np.ndarray, strides: Any, padding: Any, dilation: Any, groups: int
) -> np.ndarray:
    rank = x.ndim - 2
    strides, dilation = _each(strides, rank), _each(dilation, rank)
    pads = _padding(x, weight.shape[2:], strides, dilation, padding)
    if all(a == b for a, b in pads):
        return ops.conv_forward(x, weight, None, strides, [a for a, _ in pads], dilation, groups)
    return ops.conv_forward(_bordered(x, pads), weight, None, strides, 0, dilation, groups)


def conv_transpose(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", output_padding: Any = None,
    data_format: Any = None, dilation_rate: Any = 1,
) -> np.ndarray:  # fmt: skip
    """Transposed convolution with kernels (\\*kernel, out, in)."""
    from keras.src.backend.common import backend_utils

    form = _format(data_format)
    x = _inward(inputs, form)
    weight = _weight(kernel, x.dtype)  # (in, out, *kernel)
    rank = x.ndim - 2
    strides, dilation = _each(strides, rank), _each(dilation_rate, rank)
    wanted = backend_utils.compute_conv_transpose_padding_args_for_jax(
        inputs.shape, kernel.shape, strides, padding, output_padding, dilation
    )
    y = ops.conv_transpose_forward(x, weight, stride=strides, dilation=dilation)
    reach = [(k - 1) * d for k, d in zip(weight.shape[2:], dilation, strict=True)]
    pads = [(a - r, b - r) for (a, b), r in zip(wanted, reach, strict=True)]
    return _outward(_bordered(y, pads), form, inputs.dtype)


def max_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid",
    data_format: Any = None,
) -> np.ndarray:  # fmt: skip
    """Maxima of windows; borders are -inf."""
    form = _format(data_format)
    x = _inward(inputs, form)
    size = _each(pool_size, x.ndim - 2)
    steps = size if strides is None else _each(strides, x.ndim - 2)
    pads = _padding(x, size, steps, (1,) * len(size), padding)
    y, _ = ops.max_pool_forward(_bordered(x, pads, -np.inf), size, steps)
    return _outward(y, form, inputs.dtype)


def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid",
    data_format: Any = None,
) -> np.ndarray:  # fmt: skip
    """Means of windows; borders do not count."""
    form = _format(data_format)
    x = _inward(inputs, form)
    size = _each(pool_size, x.ndim - 2)
    steps = size if strides is None else _each(strides, x.ndim - 2)
    pads = _padding(x, size, steps, (1,) * len(size), padding)
    y = ops.avg_pool_forward(_bordered(x, pads), size, steps)
    if any(a or b for a, b in pads):  # how much of each window is inside
        ones = np.ones((1, 1, *x.shape[2:]), x.dtype)
        y = y / ops.avg_pool_forward(_bordered(ones, pads), size, steps)
    return _outward(y, form, inputs.dtype)
