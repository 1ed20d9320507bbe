"""DCGAN: Radford, Metz, Chintala, "Unsupervised representation learning with deep convolutional
generative adversarial networks" (ICLR 2016).

Figure 1 is `DCGANGenerator`; section 3 lists what both networks keep to: strides in place of
pooling, batch norm but at the image, ReLU and tanh there, LeakyReLU here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from ..nn import (
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    LeakyReLU,
    Module,
    ReLU,
    Sequential,
    Tanh,
    init,
)
from ..tensor import Tensor
from ._weights import build


def _counts(name: str, size: int, kernel_size: int, **counts: int) -> int:
    """How often 4×4 is doubled to `size`."""
    for what, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}: {what} must be positive, got {count}")
    if kernel_size not in (4, 5):
        raise ValueError(f"{name}: kernel_size must be 4 or 5, got {kernel_size}")
    times = size.bit_length() - 3
    if times < 1 or size != 4 * 2**times:
        raise ValueError(f"{name}: size must be a power of two from 8, got {size}")
    return times


def _draw(network: Module) -> None:
    """Section 4: all weights with deviation 0.02; scales around one, as in the authors' code."""
    for module in network.modules():
        if isinstance(module, (Conv2d, ConvTranspose2d)):
            init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, BatchNorm2d):
            init.normal_(module.weight, 1.0, 0.02)  # type: ignore[arg-type]


class DCGANGenerator(Module):
    """Codes to images by transposed convolutions, each twice as large as the one before.

    Parameters
    ----------
    code : int
        Numbers of a code.
    width : int
        Channels before the image; there are twice as many at half the size, and so on.
    channels, size : int
        Of the image, which is square: 64, or another power of two from 8.
    kernel_size : 5 or 4
        5 as in figure 1; 4 divides by the stride, and covers all pixels alike.

    Raises
    ------
    ValueError
        For another size or kernel, or a count that is not positive.
    """

    def __init__(
        self,
        code: int = 100,
        width: int = 128,
        channels: int = 3,
        size: int = 64,
        kernel_size: int = 5,
    ) -> None:
        super().__init__()
        times = _counts(
            "DCGANGenerator", size, kernel_size, code=code, width=width, channels=channels
        )
        widths = [width * 2**i for i in reversed(range(times))]
        even: Any = {"stride": 2, "padding": kernel_size // 2 - (kernel_size == 4)}
        even["output_padding"] = kernel_size - 4
        layers: list[Module] = [  # "project and reshape": to 4 × 4
            ConvTranspose2d(code, widths[0], 4, bias=False),
            BatchNorm2d(widths[0]),
            ReLU(inplace=True),
        ]
        for before, after in pairwise(widths):
            layers += [
                ConvTranspose2d(before, after, kernel_size, bias=False, **even),
                BatchNorm2d(after),
                ReLU(inplace=True),
            ]
        layers += [ConvTranspose2d(width, channels, kernel_size, bias=False, **even), Tanh()]
        self.main = Sequential(*layers)
        self.code = code
        _draw(self)

    def forward(self, z: Tensor) -> Tensor:
        """Images (N, channels, size, size) in [−1, 1] of codes (N, code) or (N, code, 1, 1).

        Raises
        ------
        ValueError
            For another shape.
        """
        if tuple(z.shape[1:]) not in ((self.code,), (self.code, 1, 1)):
            raise ValueError(
                f"DCGANGenerator: codes must be (N, {self.code}) or (N, {self.code}, 1, 1), "
                f"got shape {tuple(z.shape)}"
            )
        return self.main(z.reshape(-1, self.code, 1, 1))


class DCGANDiscriminator(Module):
    """Images to logits of being real, by convolutions with stride 2.

    Parameters
    ----------
    width : int
        Channels of the first convolution; each one has twice those of the one before.
    channels, size : int
        Of the image: as of :class:`DCGANGenerator`.
    kernel_size : 5 or 4

    Raises
    ------
    ValueError
        For another size or kernel, or a count that is not positive.
    """

    def __init__(
        self, width: int = 128, channels: int = 3, size: int = 64, kernel_size: int = 5
    ) -> None:
        super().__init__()
        times = _counts("DCGANDiscriminator", size, kernel_size, width=width, channels=channels)
        widths = [width * 2**i for i in range(times)]
        strided: Any = {"stride": 2, "padding": kernel_size // 2 - (kernel_size == 4)}
        layers: list[Module] = [
            Conv2d(channels, width, kernel_size, bias=False, **strided),
            LeakyReLU(0.2, inplace=True),
        ]
        for before, after in pairwise(widths):
            layers += [
                Conv2d(before, after, kernel_size, bias=False, **strided),
                BatchNorm2d(after),
                LeakyReLU(0.2, inplace=True),
            ]
        layers.append(Conv2d(widths[-1], 1, 4, bias=False))
        self.main = Sequential(*layers)
        self.shape = (channels, size, size)
        _draw(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N,) of images (N, channels, size, size): for `binary_cross_entropy_with_logits`.

        Raises
        ------
        ValueError
            For another shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"DCGANDiscriminator: images must be (N, {', '.join(map(str, self.shape))}), "
                f"got shape {tuple(x.shape)}"
            )
        return self.main(x).flatten()


def dcgan_generator(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> DCGANGenerator:
    """The generator of figure 1: 18 855 040 parameters; makes 64×64.

    Options are those of :class:`DCGANGenerator`.
    """
    return build("dcgan_generator", DCGANGenerator, weights, options)


def dcgan_discriminator(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> DCGANDiscriminator:
    """The discriminator beside it: 17 232 768 parameters; 64×64.

    Options are those of :class:`DCGANDiscriminator`.
    """
    return build("dcgan_discriminator", DCGANDiscriminator, weights, options)
