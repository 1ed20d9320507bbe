"""Convolutions, and the fully connected layer: what has a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import nn
from ...nn import functional as F
from ..base import (
    POINTWISE,
    Layer,
    Shape,
    activation_of,
    backward_order,
    forward_order,
    initialize,
    tuple_of,
)
from .geometry import check_channels_last, check_padding, check_rank, padded, same_pads

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class _Activated(Layer):
    """A layer with an activation at its end, and its parameters' initial values."""

    def __init__(
        self,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        bias_initializer: Any,
        **other: Any,
    ) -> None:
        super().__init__(**other)
        self.activation_name, self.activation = activation, activation_of(activation)
        self.use_bias = use_bias
        self.initializers = kernel_initializer, bias_initializer
        self.kernel: Any
        self.bias: Any

    def make(self, kernel: Shape, bias: int, fans: tuple[int, int] | None = None) -> None:
        """The kernel and, where there is one, the bias."""
        self.kernel = nn.Parameter(np.empty(kernel, np.float32))
        initialize(self.kernel, self.initializers[0])
        if self.use_bias:
            self.bias = nn.Parameter(np.zeros(bias, np.float32))
            initialize(self.bias, self.initializers[1])
        else:
            self.bias = None

    def finish(self, y: Any) -> Any:
        """y (N, C, *) through the activation, with the axes put back."""
        if self.activation_name is None or self.activation_name in POINTWISE:
            return backward_order(self.activation(y))
        return self.activation(backward_order(y))

    def to_keras(self, t: Any) -> Any:
        a = np.array(t.detach())
        return np.ascontiguousarray(a.transpose(*range(2, a.ndim), 1, 0)) if a.ndim > 2 else a

    def from_keras(self, t: Any, w: Any) -> Any:
        return np.ascontiguousarray(w.transpose(-1, -2, *range(w.ndim - 2))) if w.ndim > 2 else w


class _Windowed(_Activated):
    """A layer whose kernel moves over an image."""

    rank = 2

    def place(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        dilation_rate: Any = 1,
        data_format: str | None = None,
    ) -> None:
        """Check and keep where the kernel goes."""
        check_channels_last(data_format)
        self.padding = check_padding(padding)
        self.kernel_size = tuple_of(kernel_size, self.rank, "kernel_size")
        self.strides = tuple_of(strides, self.rank, "strides")
        self.dilation_rate = tuple_of(dilation_rate, self.rank, "dilation_rate")

    def convolved(self, x: Any, groups: int) -> Any:
        """x (N, *, C) padded, convolved and finished."""
        x = forward_order(x)
        if self.padding == "same":
            pads = same_pads(x.shape[2:], self.kernel_size, self.strides, self.dilation_rate)
            x = padded(x, pads)
        y = CONV[self.rank](x, self.kernel, self.bias, self.strides, 0, self.dilation_rate, groups)
        return self.finish(y)


class _Conv(_Windowed):
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **other: Any,
    ) -> None:
        super().__init__(activation, use_bias, kernel_initializer, bias_initializer, **other)
        self.place(kernel_size, strides, padding, dilation_rate, data_format)
        if not isinstance(filters, int) or filters < 1:
            raise ValueError(f"filters must be a positive int, got {filters!r}")
        self.filters, self.groups = filters, groups

    def build(self, shape: Shape) -> None:
        check_rank(self, shape, self.rank + 2)
        channels = shape[-1]
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"{self.name}: {channels} channels and {self.filters} filters are not divisible by "
                f"groups={self.groups}"
            )
        self.make((self.filters, channels // self.groups, *self.kernel_size), self.filters)

    def call(self, x: Any) -> Any:
        return self.convolved(x, self.groups)


class Conv1D(_Conv):
    """Convolution over (N, L, C); arguments as :class:`Conv2D`."""

    rank = 1


class Conv2D(_Conv):
    """Convolution over (N, H, W, C).

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int or (int, int)
    padding : "valid" or "same"
        "same" gives ceil(size / stride), with the odd zero at the end.
    groups : int
    activation : str or callable, optional
    use_bias : bool
    kernel_initializer, bias_initializer : str or callable
    """

    rank = 2


class Conv3D(_Conv):
    """Convolution over (N, D, H, W, C); arguments as :class:`Conv2D`."""

    rank = 3


class DepthwiseConv2D(_Windowed):
    """A filter of its own for each channel of (N, H, W, C), `depth_multiplier` of them."""

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **other: Any,
    ) -> None:
        super().__init__(activation, use_bias, depthwise_initializer, bias_initializer, **other)
        self.place(kernel_size, strides, padding, dilation_rate, data_format)
        self.depth_multiplier = depth_multiplier

    def build(self, shape: Shape) -> None:
        check_rank(self, shape, 4)
        self.channels = shape[-1]
        filters = self.channels * self.depth_multiplier
        self.make((filters, 1, *self.kernel_size), filters)

    def call(self, x: Any) -> Any:
        return self.convolved(x, self.channels)

    def to_keras(self, t: Any) -> Any:
        a = np.array(t.detach())
        if a.ndim < 4:
            return a
        a = a.reshape(self.channels, self.depth_multiplier, *a.shape[2:])
        return np.ascontiguousarray(a.transpose(2, 3, 0, 1))

    def from_keras(self, t: Any, w: Any) -> Any:
        if w.ndim < 4:
            return w
        return np.ascontiguousarray(w.transpose(2, 3, 0, 1)).reshape(t.shape)


class SeparableConv2D(Layer):
    """A depthwise convolution, then a 1×1 convolution; arguments as :class:`Conv2D`."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        **other: Any,
    ) -> None:
        super().__init__(**other)
        self.depthwise = DepthwiseConv2D(
            kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate,
            use_bias=False,
        )  # fmt: skip
        self.pointwise = Conv2D(filters, 1, activation=activation, use_bias=use_bias)

    def build(self, shape: Shape) -> None:
        self.pointwise.prepare(self.depthwise.prepare(shape))

    def call(self, x: Any) -> Any:
        return self.pointwise(self.depthwise(x))

    def get_weights(self) -> Any:
        return [*self.depthwise.get_weights(), *self.pointwise.get_weights()]

    def set_weights(self, weights: Any) -> None:
        self.depthwise.set_weights(weights[:1])
        self.pointwise.set_weights(weights[1:])


class Conv2DTranspose(_Windowed):
    """Transposed convolution over (N, H, W, C): `strides` times as large.

    Parameters as :class:`Conv2D`; "same" gives size × stride, "valid" what the kernel reaches.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **other: Any,
    ) -> None:
        super().__init__(activation, use_bias, kernel_initializer, bias_initializer, **other)
        self.place(kernel_size, strides, padding)
        self.filters = filters

    def build(self, shape: Shape) -> None:
        check_rank(self, shape, 4)
        self.make((shape[-1], self.filters, *self.kernel_size), self.filters)

    def call(self, x: Any) -> Any:
        y = F.conv_transpose2d(forward_order(x), self.kernel, self.bias, self.strides)
        pairs = list(zip(x.shape[1:3], self.strides, self.kernel_size, strict=True))
        wanted = [n * s if self.padding == "same" else n * s + max(k - s, 0) for n, s, k in pairs]
        pads = []
        for have, want in zip(y.shape[2:], wanted, strict=True):
            less = have - want
            pads.append((-(less // 2), -(less - less // 2)) if less > 0 else (0, -less))
        return self.finish(padded(y, pads))


class Dense(_Activated):
    """A fully connected layer over the last axis.

    Parameters
    ----------
    units : int
    activation : str or callable, optional
    use_bias : bool
    kernel_initializer, bias_initializer : str or callable
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **other: Any,
    ) -> None:
        super().__init__(activation, use_bias, kernel_initializer, bias_initializer, **other)
        if not isinstance(units, int) or units < 1:
            raise ValueError(f"units must be a positive int, got {units!r}")
        self.units = units

    def build(self, shape: Shape) -> None:
        self.make((self.units, shape[-1]), self.units)

    def call(self, x: Any) -> Any:
        return self.activation(F.linear(x, self.kernel, self.bias))

    def to_keras(self, t: Any) -> Any:
        return np.array(t.detach()).T.copy()

    def from_keras(self, t: Any, w: Any) -> Any:
        return np.ascontiguousarray(w.T)
