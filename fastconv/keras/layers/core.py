"""Shapes, dropout, normalisation, activations, and the input."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import nn
from ...nn import functional as F
from ..base import Layer, Shape, activation_of, backward_order, forward_order, tuple_of
from .geometry import check_channels_last, padded


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
        from ...creation import randn_like

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
        check_channels_last(data_format)
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


class InputLayer(Layer):
    """Names the shape of the input, without the batch."""

    def __init__(self, shape: Any = None, input_shape: Any = None, **other: Any) -> None:
        super().__init__(input_shape=shape if shape is not None else input_shape, **other)

    def call(self, x: Any) -> Any:
        return x
