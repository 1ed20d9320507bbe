"""Blocks that several families share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..nn import BatchNorm2d, Conv2d, LayerNorm, Linear, Module, ReLU, ReLU6, Sequential, init
from ..nn import functional as F
from ..random import rng
from ..tensor import Tensor, wrap

#: Makes a module without arguments: an activation.
Maker = Callable[[], Module]

relu: Maker = partial(ReLU, inplace=True)
relu6: Maker = partial(ReLU6, inplace=True)


class ConvNormActivation(Sequential):
    """A convolution without bias, a normalisation, an activation: ``0``, ``1`` and ``2``.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, groups, dilation
        Of the convolution; its padding keeps the size where the stride is 1.
    norm : callable
        Makes the normalisation from the number of channels.
    activation : callable or None
        Makes the activation; None leaves it out.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        norm: Callable[[int], Module] = BatchNorm2d,
        activation: Maker | None = relu,
    ) -> None:
        padding = (kernel_size - 1) // 2 * dilation
        layers = [
            Conv2d(
                in_channels, out_channels, kernel_size, stride, padding, dilation, groups, False
            ),
            norm(out_channels),
        ]
        if activation is not None:
            layers.append(activation())
        super().__init__(*layers)
        self.out_channels = out_channels


class InvertedBottleneck(Module):
    """Widen by 1×1, convolve each channel, narrow by 1×1; the input is added where it fits.

    MobileNetV2's figure 4(d), in the form that MobileNetV3 and EfficientNet share; its parts are
    in ``block``.

    Parameters
    ----------
    in_channels, expanded, out_channels : int
        Channels outside, between the 1×1 convolutions, and outside again.
    kernel_size, stride, dilation : int
        Of the depthwise convolution; one with dilation has no stride.
    squeeze : callable or None
        Makes the squeeze-and-excitation after it from the number of channels.
    activation, norm : callable
    drop : float
        Probability with which a sample skips the block in training (stochastic depth).
    """

    def __init__(
        self,
        in_channels: int,
        expanded: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        squeeze: Callable[[int], Module] | None,
        activation: Maker,
        norm: Callable[[int], Module] = BatchNorm2d,
        dilation: int = 1,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        plain = partial(ConvNormActivation, norm=norm)
        layers: list[Module] = []
        if expanded != in_channels:
            layers.append(plain(in_channels, expanded, 1, activation=activation))
        step = 1 if dilation > 1 else stride
        layers.append(
            plain(expanded, expanded, kernel_size, step, expanded, dilation, activation=activation)
        )
        if squeeze is not None:
            layers.append(squeeze(expanded))
        layers.append(plain(expanded, out_channels, 1, activation=None))
        self.block = Sequential(*layers)
        self.stochastic_depth = StochasticDepth(drop)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, input: Tensor) -> Tensor:
        result = self.block(input)
        return input + self.stochastic_depth(result) if self.residual else result


class StochasticDepth(Module):
    """In training, zero for a share of the samples, and the rest scaled up (Huang et al. 2016).

    Parameters
    ----------
    p : float
        Share of the samples.
    mode : "row" or "batch"
        Draw for each sample, or once for all.

    Raises
    ------
    ValueError
        If `p` is not in [0, 1], or for another mode.
    """

    def __init__(self, p: float, mode: str = "row") -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"StochasticDepth: p must be in [0, 1], got {p}")
        if mode not in ("row", "batch"):
            raise ValueError(f"StochasticDepth: mode must be 'row' or 'batch', got {mode!r}")
        self.p, self.mode = p, mode

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return input
        shape = (input.shape[0] if self.mode == "row" else 1,) + (1,) * (input.ndim - 1)
        kept = (rng().random(shape) >= self.p).astype(input._array.dtype)
        if self.p < 1.0:
            kept /= 1.0 - self.p
        return input * wrap(kept)

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"


class LayerNorm2d(LayerNorm):
    """Normalise the channels of each pixel of (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        pixels = input.permute(0, 2, 3, 1)
        pixels = F.layer_norm(pixels, self.normalized_shape, self.weight, self.bias, self.eps)
        return pixels.permute(0, 3, 1, 2)


class Permute(Module):
    """The axes in another order.

    Parameters
    ----------
    dims : list of int
    """

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, input: Tensor) -> Tensor:
        return input.permute(*self.dims)

    def extra_repr(self) -> str:
        return f"dims={self.dims}"


def divisible(width: float, by: int = 8, least: float = 0.9) -> int:
    """The multiple of `by` nearest to `width`, and never less than a share of it.

    Parameters
    ----------
    width : float
        A number of channels that a multiplier has made.
    by : int
    least : float
        Where the nearest multiple is below this share of `width`, the next one is taken.
    """
    nearest = max(by, int(width + by / 2) // by * by)
    return nearest + by if nearest < least * width else nearest


def initialise(
    network: Module,
    conv: Callable[[Tensor], Any] | None = None,
    linear: Callable[[Tensor], Any] | None = None,
    linear_bias: bool = True,
) -> None:
    """Fill the weights of all convolutions and linear layers; their biases become zero.

    Parameters
    ----------
    network : Module
    conv, linear : callable, optional
        Fills a weight; what is None leaves layers of this kind as they were made.
    linear_bias : bool
        Whether the biases of linear layers become zero.
    """
    for module in network.modules():
        if isinstance(module, Conv2d) and conv is not None:
            conv(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, Linear):
            if linear is not None:
                linear(module.weight)
            if module.bias is not None and linear_bias:
                init.zeros_(module.bias)


#: He et al. 2015: keep the variance of the gradients through layers with ReLU.
he_backward = partial(init.kaiming_normal_, mode="fan_out", nonlinearity="relu")


def normal(std: float) -> Callable[[Tensor], Tensor]:
    """A filler that draws from a normal distribution with this deviation."""
    return partial(init.normal_, std=std)
