"""Images without their noise, and larger ones: DnCNN and ESPCN.

Zhang et al., "Beyond a Gaussian denoiser" (TIP 2017), figure 1. Shi et al., "Real-time single image
and video super-resolution using an efficient sub-pixel convolutional neural network" (CVPR 2016),
figure 1 and section 3.1.
"""

from __future__ import annotations

from typing import Any

from ..nn import BatchNorm2d, Conv2d, Module, PixelShuffle, ReLU, Sequential, Tanh, init
from ..tensor import Tensor
from ._blocks import initialise
from ._weights import build


class DnCNN(Module):
    """3×3 convolutions that find the noise of an image, which is then taken away.

    Parameters
    ----------
    in_channels : int
        1 of grey images, 3 of coloured ones.
    depth : int
        Convolutions: 17 for noise of a known level, 20 for any.
    width : int
        Channels inside.

    Raises
    ------
    ValueError
        If there are less than two convolutions, or no channels.
    """

    def __init__(self, in_channels: int = 1, depth: int = 17, width: int = 64) -> None:
        super().__init__()
        if depth < 2 or min(in_channels, width) < 1:
            raise ValueError(
                "DnCNN: depth must be at least 2, in_channels and width positive, "
                f"got {depth}, {in_channels} and {width}"
            )
        layers: list[Module] = [Conv2d(in_channels, width, 3, padding=1), ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers += [
                Conv2d(width, width, 3, padding=1, bias=False),
                BatchNorm2d(width),
                ReLU(inplace=True),
            ]
        layers.append(Conv2d(width, in_channels, 3, padding=1))
        self.noise = Sequential(*layers)
        initialise(self, init.kaiming_normal_)

    def forward(self, x: Tensor) -> Tensor:
        """The image without its noise, of the shape given."""
        return x - self.noise(x)


class ESPCN(Module):
    """All convolutions at the small size; the last one has the pixels of the large one as channels.

    Parameters
    ----------
    upscale : int
        How many times the image grows.
    in_channels : int
        1 of the luminance alone, as in the paper.
    widths : tuple of two int
        Channels of the 5×5 and of the first 3×3 convolution.

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    def __init__(
        self, upscale: int = 3, in_channels: int = 1, widths: tuple[int, int] = (64, 32)
    ) -> None:
        super().__init__()
        if len(widths) != 2 or min(upscale, in_channels, *widths) < 1:
            raise ValueError(
                "ESPCN: upscale, in_channels and two widths must be positive, "
                f"got {upscale}, {in_channels} and {tuple(widths)}"
            )
        self.features = Sequential(
            Conv2d(in_channels, widths[0], 5, padding=2),
            Tanh(),
            Conv2d(widths[0], widths[1], 3, padding=1),
            Tanh(),
        )
        self.pixels = Sequential(
            Conv2d(widths[1], in_channels * upscale**2, 3, padding=1), PixelShuffle(upscale)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, upscale · H, upscale · W) of (N, in_channels, H, W)."""
        return self.pixels(self.features(x))


def dncnn(*, weights: Any = None, progress: bool = True, **options: Any) -> DnCNN:
    """DnCNN-S of 17 convolutions: 556 097 parameters; trained on patches of 40×40.

    Options are those of :class:`DnCNN`.
    """
    return build("dncnn", DnCNN, weights, options)


def espcn(*, weights: Any = None, progress: bool = True, **options: Any) -> ESPCN:
    """ESPCN, three times as large: 22 729 parameters; trained on patches of 17×17.

    Options are those of :class:`ESPCN`.
    """
    return build("espcn", ESPCN, weights, options)
