"""Autoencoders: images through a few numbers and back.

Hinton, Salakhutdinov, "Reducing the dimensionality of data with neural networks" (Science 2006),
figure 1: 784–1000–500–250–30 and back. Vincent et al., "Extracting and composing robust features
with denoising autoencoders" (ICML 2008): give it a noisy image and compare with the clean one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from ..nn import (
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    Module,
    ReLU,
    Sequential,
    Sigmoid,
    Unflatten,
    Upsample,
)
from ..tensor import Tensor
from ._weights import build


class _Autoencoder(Module):
    """``decoder(encoder(x))``."""

    encoder: Sequential
    decoder: Sequential

    def forward(self, x: Tensor) -> Tensor:
        """Images of the shape given."""
        return self.decoder(self.encoder(x))


class Autoencoder(_Autoencoder):
    """Fully connected layers to a code, and in the opposite order back.

    Parameters
    ----------
    shape : sequence of int
        Of one image: channels, height and width.
    widths : sequence of int
        Of the hidden layers of the encoder; the last one is the code, which is linear.
    activation : callable
        Makes the activation of the others.

    Raises
    ------
    ValueError
        If a size or width is not positive, or there is none.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        widths: Sequence[int] = (1000, 500, 250, 30),
        activation: Callable[[], Module] = Sigmoid,
    ) -> None:
        super().__init__()
        positive("Autoencoder", shape=shape, widths=widths)
        sizes = [math.prod(shape), *widths]
        self.encoder = Sequential(Flatten(), *_linear(sizes, activation))
        self.decoder = Sequential(
            *_linear(sizes[::-1], activation), Sigmoid(), Unflatten(1, tuple(shape))
        )


class ConvAutoencoder(_Autoencoder):
    """Convolutions with stride 2 to a code, and upsampling with convolutions back.

    Parameters
    ----------
    shape : sequence of int
        Of one image: channels, height and width; these divisible by 2 ** len(widths).
    widths : sequence of int
        Channels of the convolutions of the encoder.
    code : int
        Numbers of the code.
    norm : bool
        Batch norm before each ReLU.

    Raises
    ------
    ValueError
        If a size or width is not positive, or the image cannot be halved so often.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        widths: Sequence[int] = (16, 32),
        code: int = 32,
        norm: bool = True,
    ) -> None:
        super().__init__()
        positive("ConvAutoencoder", shape=shape, widths=widths, code=(code,))
        small = halved("ConvAutoencoder", shape, len(widths))
        volume = math.prod(small)
        channels = [shape[0], *widths]
        down: list[Module] = []
        for before, after in pairwise(channels):
            down += _convolution(before, after, 2, norm)
        self.encoder = Sequential(*down, Flatten(), Linear(widths[-1] * volume, code))
        up: list[Module] = [
            Linear(code, widths[-1] * volume),
            ReLU(),
            Unflatten(1, (widths[-1], *small)),
        ]
        for before, after in pairwise(channels[:0:-1]):
            up += [Upsample(scale_factor=2), *_convolution(before, after, 1, norm)]
        up += [Upsample(scale_factor=2), Conv2d(channels[1], shape[0], 3, padding=1), Sigmoid()]
        self.decoder = Sequential(*up)


def _linear(sizes: Sequence[int], activation: Callable[[], Module]) -> list[Module]:
    """Linear layers with an activation between two."""
    layers: list[Module] = []
    for before, after in pairwise(sizes):
        layers += [Linear(before, after), activation()]
    return layers[:-1]


def _convolution(before: int, after: int, stride: int, norm: bool) -> list[Module]:
    layers: list[Module] = [Conv2d(before, after, 3, stride, 1)]
    return [*layers, *([BatchNorm2d(after)] if norm else []), ReLU()]


def halved(name: str, shape: Sequence[int], times: int) -> tuple[int, int]:
    """Height and width of an image that is halved so often; an error where they are odd."""
    if len(shape) != 3 or shape[1] % 2**times or shape[2] % 2**times:
        raise ValueError(
            f"{name}: shape must be (channels, height, width), both sizes divisible by "
            f"{2**times}, got {tuple(shape)}"
        )
    return shape[1] // 2**times, shape[2] // 2**times


def positive(name: str, **sizes: Sequence[int]) -> None:
    """An error where a size is not, or where there is none."""
    for what, values in sizes.items():
        if not values or min(values) < 1:
            raise ValueError(f"{name}: {what} must be positive, got {tuple(values)}")


def autoencoder(*, weights: Any = None, progress: bool = True, **options: Any) -> Autoencoder:
    """784–1000–500–250–30 and back: 2 837 314 parameters; 28×28.

    Options are those of :class:`Autoencoder`.
    """
    return build("autoencoder", Autoencoder, weights, options)


def conv_autoencoder(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> ConvAutoencoder:
    """Two convolutions, a code of 32 numbers, and back: 111 649 parameters; 28×28.

    Options are those of :class:`ConvAutoencoder`.
    """
    return build("conv_autoencoder", ConvAutoencoder, weights, options)
