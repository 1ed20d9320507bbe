"""The layers, under Keras's names, with its defaults."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import nn
from ..functions.shape import cat
from ..nn import functional as F
from .base import (
    POINTWISE,
    Layer,
    Shape,
    activation_of,
    backward_order,
    forward_order,
    initialize,
    tuple_of,
)

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def same_pads(sizes: Any, kernel: Any, stride: Any, dilation: Any) -> tuple[tuple[int, int], ...]:
    """Zeros before and after each axis so that the result has ceil(size / stride) elements."""
    pads = []
    for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


def padded(x: Any, pads: Any, value: float = 0.0) -> Any:
    """x (N, C, *) with borders, of (before, after) for each axis."""
    if not any(a or b for a, b in pads):
        return x
    return F.pad(x, [n for pair in reversed(pads) for n in pair], value=value)


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


class _Conv(_Activated):
    rank = 2

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
        _channels_last(data_format)
        if not isinstance(filters, int) or filters < 1:
            raise ValueError(f"filters must be a positive int, got {filters!r}")
        self.filters, self.groups, self.padding = filters, groups, _padding(padding)
        self.kernel_size = tuple_of(kernel_size, self.rank, "kernel_size")
        self.strides = tuple_of(strides, self.rank, "strides")
        self.dilation_rate = tuple_of(dilation_rate, self.rank, "dilation_rate")

    def build(self, shape: Shape) -> None:
        _rank(self, shape, self.rank + 2)
        channels = shape[-1]
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"{self.name}: {channels} channels and {self.filters} filters are not divisible by "
                f"groups={self.groups}"
            )
        self.make((self.filters, channels // self.groups, *self.kernel_size), self.filters)

    def call(self, x: Any) -> Any:
        x = forward_order(x)
        if self.padding == "same":
            pads = same_pads(x.shape[2:], self.kernel_size, self.strides, self.dilation_rate)
            x = padded(x, pads)
        y = CONV[self.rank](
            x, self.kernel, self.bias, self.strides, 0, self.dilation_rate, self.groups
        )
        return self.finish(y)


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


class DepthwiseConv2D(_Activated):
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
        _channels_last(data_format)
        self.kernel_size = tuple_of(kernel_size, 2, "kernel_size")
        self.strides = tuple_of(strides, 2, "strides")
        self.dilation_rate = tuple_of(dilation_rate, 2, "dilation_rate")
        self.padding, self.depth_multiplier = _padding(padding), depth_multiplier

    def build(self, shape: Shape) -> None:
        _rank(self, shape, 4)
        self.channels = shape[-1]
        filters = self.channels * self.depth_multiplier
        self.make((filters, 1, *self.kernel_size), filters)

    def call(self, x: Any) -> Any:
        x = forward_order(x)
        if self.padding == "same":
            pads = same_pads(x.shape[2:], self.kernel_size, self.strides, self.dilation_rate)
            x = padded(x, pads)
        y = F.conv2d(x, self.kernel, self.bias, self.strides, 0, self.dilation_rate, self.channels)
        return self.finish(y)

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


class Conv2DTranspose(_Activated):
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
        self.filters, self.padding = filters, _padding(padding)
        self.kernel_size = tuple_of(kernel_size, 2, "kernel_size")
        self.strides = tuple_of(strides, 2, "strides")

    def build(self, shape: Shape) -> None:
        _rank(self, shape, 4)
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


class _Pool(Layer):
    rank, empty = 2, -math.inf
    function: Any = MAX

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **other: Any,
    ) -> None:
        super().__init__(**other)
        _channels_last(data_format)
        self.pool_size = tuple_of(pool_size, self.rank, "pool_size")
        self.strides = tuple_of(pool_size if strides is None else strides, self.rank, "strides")
        self.padding = _padding(padding)

    def call(self, x: Any) -> Any:
        x = forward_order(x)
        pool = self.function[self.rank]
        if self.padding == "valid":
            return backward_order(pool(x, self.pool_size, self.strides))
        pads = same_pads(x.shape[2:], self.pool_size, self.strides, (1,) * self.rank)
        y = pool(padded(x, pads, self.empty), self.pool_size, self.strides)
        return backward_order(self.corrected(y, x, pads))

    def corrected(self, y: Any, x: Any, pads: Any) -> Any:
        """The result without what the borders did to it."""
        return y


class MaxPooling1D(_Pool):
    """Maxima of windows of (N, L, C); arguments as :class:`MaxPooling2D`."""

    rank = 1


class MaxPooling2D(_Pool):
    """Maxima of windows of (N, H, W, C).

    Parameters
    ----------
    pool_size, strides : int or (int, int)
        `strides` is `pool_size` when not given.
    padding : "valid" or "same"
    """


class MaxPooling3D(_Pool):
    """Maxima of windows of (N, D, H, W, C); arguments as :class:`MaxPooling2D`."""

    rank = 3


class _Average(_Pool):
    function, empty = AVERAGE, 0.0

    def corrected(self, y: Any, x: Any, pads: Any) -> Any:
        # borders do not count: averages of ones say how much of a window is inside
        inside = padded(x.detach()[:1, :1] * 0 + 1, pads)
        return y / self.function[self.rank](inside, self.pool_size, self.strides)


class AveragePooling1D(_Average):
    """Averages of windows of (N, L, C); arguments as :class:`MaxPooling2D`."""

    rank = 1


class AveragePooling2D(_Average):
    """Averages of windows of (N, H, W, C); arguments as :class:`MaxPooling2D`."""


class AveragePooling3D(_Average):
    """Averages of windows of (N, D, H, W, C); arguments as :class:`MaxPooling2D`."""

    rank = 3


class _Global(Layer):
    def __init__(self, keepdims: bool = False, **other: Any) -> None:
        super().__init__(**other)
        self.keepdims = keepdims


class GlobalAveragePooling1D(_Global):
    """The mean over all positions: (N, *, C) to (N, C)."""

    def call(self, x: Any) -> Any:
        return x.mean(tuple(range(1, x.ndim - 1)), keepdim=self.keepdims)


class GlobalMaxPooling1D(_Global):
    """The maximum over all positions: (N, *, C) to (N, C)."""

    def call(self, x: Any) -> Any:
        return x.amax(tuple(range(1, x.ndim - 1)), keepdim=self.keepdims)


class GlobalAveragePooling2D(GlobalAveragePooling1D):
    """The mean over all positions: (N, H, W, C) to (N, C)."""


class GlobalAveragePooling3D(GlobalAveragePooling1D):
    """The mean over all positions: (N, D, H, W, C) to (N, C)."""


class GlobalMaxPooling2D(GlobalMaxPooling1D):
    """The maximum over all positions: (N, H, W, C) to (N, C)."""


class GlobalMaxPooling3D(GlobalMaxPooling1D):
    """The maximum over all positions: (N, D, H, W, C) to (N, C)."""


class Flatten(Layer):
    """All axes but the first as one, the channels innermost."""

    def call(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1)


class Reshape(Layer):
    """All axes but the first in another shape; one may be -1."""

    def __init__(self, target_shape: Any, **other: Any) -> None:
        super().__init__(**other)
        self.target_shape = tuple(target_shape)

    def call(self, x: Any) -> Any:
        return x.reshape(x.shape[0], *self.target_shape)


class Permute(Layer):
    """Axes in another order, counted from 1."""

    def __init__(self, dims: Any, **other: Any) -> None:
        super().__init__(**other)
        self.dims = tuple(dims)

    def call(self, x: Any) -> Any:
        return x.permute(0, *self.dims)


class Dropout(Layer):
    """Zeros a share `rate` of the elements while training."""

    def __init__(self, rate: float, **other: Any) -> None:
        super().__init__(**other)
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be at least 0 and below 1, got {rate!r}")
        self.rate = rate

    def call(self, x: Any) -> Any:
        return F.dropout(x, self.rate, self.training)


class SpatialDropout2D(Dropout):
    """Zeros a share `rate` of the channels while training."""

    def call(self, x: Any) -> Any:
        return backward_order(F.dropout2d(forward_order(x), self.rate, self.training))


class GaussianNoise(Layer):
    """Adds normal noise of deviation `stddev` while training."""

    def __init__(self, stddev: float, **other: Any) -> None:
        super().__init__(**other)
        self.stddev = stddev

    def call(self, x: Any) -> Any:
        from ..creation import randn_like

        return x + randn_like(x) * self.stddev if self.training else x


class BatchNormalization(Layer):
    """Batch normalisation over the last axis.

    Parameters
    ----------
    momentum : float
        How much of the running statistics a batch keeps: Keras's 0.99 is PyTorch's 0.01.
    epsilon : float
    center, scale : bool

    Notes
    -----
    The running variance is PyTorch's, of n - 1 degrees of freedom; Keras's is of n.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **other: Any,
    ) -> None:
        super().__init__(**other)
        if axis != -1:
            raise ValueError(f"BatchNormalization: axis must be -1, the channels', got {axis}")
        self.momentum, self.epsilon, self.center, self.scale = momentum, epsilon, center, scale

    def build(self, shape: Shape) -> None:
        n = shape[-1]
        self.gamma = nn.Parameter(np.ones(n, np.float32)) if self.scale else None
        self.beta = nn.Parameter(np.zeros(n, np.float32)) if self.center else None
        self.register_buffer("moving_mean", nn.Parameter(np.zeros(n, np.float32)).detach())
        self.register_buffer("moving_variance", nn.Parameter(np.ones(n, np.float32)).detach())

    def call(self, x: Any) -> Any:
        training = self.training and self.trainable
        y = F.batch_norm(
            forward_order(x), self.moving_mean, self.moving_variance, self.gamma, self.beta,
            training, 1 - self.momentum, self.epsilon,
        )  # fmt: skip
        return backward_order(y)


class LayerNormalization(Layer):
    """Normalisation over the last axis."""

    def __init__(
        self, epsilon: float = 1e-3, center: bool = True, scale: bool = True, **other: Any
    ) -> None:
        super().__init__(**other)
        self.epsilon, self.center, self.scale = epsilon, center, scale

    def build(self, shape: Shape) -> None:
        n = shape[-1]
        self.gamma = nn.Parameter(np.ones(n, np.float32)) if self.scale else None
        self.beta = nn.Parameter(np.zeros(n, np.float32)) if self.center else None

    def call(self, x: Any) -> Any:
        return F.layer_norm(x, (x.shape[-1],), self.gamma, self.beta, self.epsilon)


class Activation(Layer):
    """A function of each element, or "softmax" over the last axis."""

    def __init__(self, activation: Any, **other: Any) -> None:
        super().__init__(**other)
        self.activation_name, self.activation = activation, activation_of(activation)

    def call(self, x: Any) -> Any:
        return self.activation(x)


class ReLU(Layer):
    """max(x, 0), at most `max_value`, with `negative_slope` below zero."""

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, **other: Any
    ) -> None:
        super().__init__(**other)
        self.max_value, self.negative_slope = max_value, negative_slope

    def call(self, x: Any) -> Any:
        y = F.leaky_relu(x, self.negative_slope) if self.negative_slope else F.relu(x)
        return y if self.max_value is None else y.clamp(max=self.max_value)


class LeakyReLU(Layer):
    """x where positive, `negative_slope` · x elsewhere."""

    def __init__(
        self, negative_slope: float = 0.3, alpha: float | None = None, **other: Any
    ) -> None:
        super().__init__(**other)
        self.negative_slope = negative_slope if alpha is None else alpha

    def call(self, x: Any) -> Any:
        return F.leaky_relu(x, self.negative_slope)


class ELU(Layer):
    """x where positive, `alpha` · (exp(x) - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0, **other: Any) -> None:
        super().__init__(**other)
        self.alpha = alpha

    def call(self, x: Any) -> Any:
        return F.elu(x, self.alpha)


class Softmax(Layer):
    """Softmax over an axis."""

    def __init__(self, axis: int = -1, **other: Any) -> None:
        super().__init__(**other)
        self.axis = axis

    def call(self, x: Any) -> Any:
        return F.softmax(x, self.axis)


class UpSampling2D(Layer):
    """Every pixel of (N, H, W, C) repeated, or bilinear."""

    def __init__(
        self, size: Any = 2, data_format: str | None = None, interpolation: str = "nearest",
        **other: Any,
    ) -> None:  # fmt: skip
        super().__init__(**other)
        _channels_last(data_format)
        if interpolation not in ("nearest", "bilinear", "bicubic"):
            raise ValueError(
                f"interpolation must be 'nearest', 'bilinear' or 'bicubic', got {interpolation!r}"
            )
        self.size, self.interpolation = tuple_of(size, 2, "size"), interpolation

    def call(self, x: Any) -> Any:
        size = [n * s for n, s in zip(x.shape[1:3], self.size, strict=True)]
        return backward_order(F.interpolate(forward_order(x), size, mode=self.interpolation))


class ZeroPadding2D(Layer):
    """Zeros around (N, H, W, C): an int, (rows, columns), or ((top, bottom), (left, right))."""

    def __init__(self, padding: Any = 1, **other: Any) -> None:
        super().__init__(**other)
        pair = (padding, padding) if isinstance(padding, int) else tuple(padding)
        self.padding = tuple((p, p) if isinstance(p, int) else tuple(p) for p in pair)

    def call(self, x: Any) -> Any:
        return backward_order(padded(forward_order(x), self.padding))


class Cropping2D(ZeroPadding2D):
    """Borders of (N, H, W, C) cut off; `cropping` as for :class:`ZeroPadding2D`."""

    def __init__(self, cropping: Any = 1, **other: Any) -> None:
        super().__init__(cropping, **other)
        self.padding = tuple((-a, -b) for a, b in self.padding)


class Rescaling(Layer):
    """x · scale + offset."""

    def __init__(self, scale: float, offset: float = 0.0, **other: Any) -> None:
        super().__init__(**other)
        self.scale, self.offset = scale, offset

    def call(self, x: Any) -> Any:
        return x * self.scale + self.offset


class Lambda(Layer):
    """A function of Tensors as a layer."""

    def __init__(self, function: Any, **other: Any) -> None:
        super().__init__(**other)
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


class _Merge(Layer):
    def call(self, x: Any) -> Any:
        if not isinstance(x, (list, tuple)) or len(x) < 2:
            raise ValueError(f"{self.name} takes a list of at least two inputs")
        result = x[0]
        for other in x[1:]:
            result = self.pair(result, other)
        return result

    def pair(self, a: Any, b: Any) -> Any:
        """Two inputs as one."""
        raise NotImplementedError


class Add(_Merge):
    """The sum of several inputs."""

    def pair(self, a: Any, b: Any) -> Any:
        return a + b


class Subtract(_Merge):
    """The first input less the second."""

    def pair(self, a: Any, b: Any) -> Any:
        return a - b


class Multiply(_Merge):
    """The product of several inputs."""

    def pair(self, a: Any, b: Any) -> Any:
        return a * b


class Maximum(_Merge):
    """The largest of several inputs."""

    def pair(self, a: Any, b: Any) -> Any:
        return a.maximum(b)


class Minimum(_Merge):
    """The smallest of several inputs."""

    def pair(self, a: Any, b: Any) -> Any:
        return a.minimum(b)


class Average(Add):
    """The mean of several inputs."""

    def call(self, x: Any) -> Any:
        return super().call(x) / len(x)


class Concatenate(Layer):
    """Several inputs joined along an axis."""

    def __init__(self, axis: int = -1, **other: Any) -> None:
        super().__init__(**other)
        self.axis = axis

    def call(self, x: Any) -> Any:
        return cat(list(x), self.axis)


class InputLayer(Layer):
    """Names the shape of the input, without the batch."""

    def __init__(self, shape: Any = None, input_shape: Any = None, **other: Any) -> None:
        super().__init__(input_shape=shape if shape is not None else input_shape, **other)

    def call(self, x: Any) -> Any:
        return x


def _padding(padding: Any) -> str:
    if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
        raise ValueError(f"padding must be 'valid' or 'same', got {padding!r}")
    return padding.lower()


def _channels_last(data_format: Any) -> None:
    if data_format not in (None, "channels_last"):
        raise ValueError(f"data_format must be 'channels_last', got {data_format!r}")


def _rank(layer: Layer, shape: Shape, rank: int) -> None:
    if len(shape) != rank:
        raise ValueError(
            f"{layer.name} takes inputs of {rank} axes, the batch included, got shape {shape}"
        )
