"""Variational autoencoders: Kingma, Welling, "Auto-encoding variational Bayes" (ICLR 2014).

Section 2.4 is `VAE.draw` (the reparameterisation), equation (10) and appendix B `vae_loss`,
appendix C the fully connected networks with Bernoulli pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..creation import randn_like
from ..nn import (
    Conv2d,
    Flatten,
    Linear,
    Module,
    ReLU,
    Sequential,
    Tanh,
    Unflatten,
    Upsample,
)
from ..nn import functional as F
from ..tensor import Tensor
from ._weights import build
from .autoencoder import halved, positive


class VAE(Module):
    """An image gives a distribution of codes; a code drawn from it gives an image.

    Parameters
    ----------
    encoder : Module
        Images to (N, 2 · code): the means, then the logarithms of the variances.
    decoder : Module
        Codes (N, code) to logits of images.
    """

    def __init__(self, encoder: Module, decoder: Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, both (N, code)."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return mean, log_variance

    @staticmethod
    def draw(mean: Tensor, log_variance: Tensor) -> Tensor:
        """A code: mean + deviation · noise, so that mean and deviation get gradients."""
        return mean + randn_like(mean) * (0.5 * log_variance).exp()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the images for a code drawn, and the mean and log variance it is drawn from."""
        mean, log_variance = self.encode(x)
        return self.decoder(self.draw(mean, log_variance)), mean, log_variance


def vae_loss(
    out: tuple[Tensor, Tensor, Tensor], target: Tensor, divergence_weight: float = 1.0
) -> Tensor:
    """The negative evidence lower bound, in nats, a mean over the images of a batch.

    Parameters
    ----------
    out : tuple of three Tensors
        What a :class:`VAE` returns.
    target : Tensor
        The images, values in [0, 1].
    divergence_weight : float
        Of the divergence from the standard normal distribution: the β of β-VAE.

    Raises
    ------
    ValueError
        If the images' shapes differ.
    """
    logits, mean, log_variance = out
    if logits.shape != target.shape:
        raise ValueError(
            f"vae_loss: target must have the shape of the images made, {tuple(logits.shape)}, "
            f"got {tuple(target.shape)}"
        )
    likelihood = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
    return (likelihood + divergence_weight * divergence) / len(target)


def _connected(shape: Sequence[int] = (1, 28, 28), hidden: int = 500, code: int = 20) -> VAE:
    positive("vae", shape=shape, hidden=(hidden,), code=(code,))
    size = math.prod(shape)
    return VAE(
        Sequential(Flatten(), Linear(size, hidden), Tanh(), Linear(hidden, 2 * code)),
        Sequential(Linear(code, hidden), Tanh(), Linear(hidden, size), Unflatten(1, tuple(shape))),
    )


def _convolutional(
    shape: Sequence[int] = (1, 28, 28), width: int = 16, hidden: int = 128, code: int = 2
) -> VAE:
    positive("conv_vae", shape=shape, width=(width,), hidden=(hidden,), code=(code,))
    small = halved("conv_vae", shape, 2)
    volume = 2 * width * math.prod(small)
    encoder = Sequential(
        Conv2d(shape[0], width, 3, stride=2, padding=1),
        ReLU(),
        Conv2d(width, 2 * width, 3, stride=2, padding=1),
        ReLU(),
        Flatten(),
        Linear(volume, hidden),
        ReLU(),
        Linear(hidden, 2 * code),
    )
    decoder = Sequential(
        Linear(code, hidden),
        ReLU(),
        Linear(hidden, volume),
        ReLU(),
        Unflatten(1, (2 * width, *small)),
        Upsample(scale_factor=2),
        Conv2d(2 * width, width, 3, padding=1),
        ReLU(),
        Upsample(scale_factor=2),
        Conv2d(width, shape[0], 3, padding=1),
    )
    return VAE(encoder, decoder)


def vae(*, weights: Any = None, progress: bool = True, **options: Any) -> VAE:
    """784–500–20 and back, fully connected with tanh: 815 824 parameters; 28×28.

    Options: `shape` of an image, `hidden`, `code`.
    """
    return build("vae", _connected, weights, options)


def conv_vae(*, weights: Any = None, progress: bool = True, **options: Any) -> VAE:
    """Two convolutions, a code of two numbers, and back: 413 573 parameters; 28×28.

    Options: `shape` of an image, `width`, `hidden`, `code`.
    """
    return build("conv_vae", _convolutional, weights, options)
