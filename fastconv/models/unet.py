"""U-Net in two and three dimensions.

Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation"
(MICCAI 2015), figure 1. Çiçek et al., "3D U-Net" (MICCAI 2016), figure 2. In both figures a map on
the way down goes over to the way up at its own size.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from .. import nn
from ..functions.join import cat
from ..nn import Module, ModuleList, Sequential, init
from ..nn import functional as F
from ..tensor import Tensor
from ._blocks import initialise
from ._weights import build

LINEAR = {2: "bilinear", 3: "trilinear"}


class UNet(Module):
    """Down by convolutions and pooling, up again, with what was seen on the way beside.

    Parameters
    ----------
    in_channels, num_classes : int
    width : int
        Channels of the first stage; each stage further down has twice as many.
    depth : int
        How often the image is halved: 4 in the paper.
    dims : 2 or 3
        Images (N, C, H, W) or volumes (N, C, D, H, W).
    norm : bool
        Batch norm after each 3×3 convolution, which then has no bias.
    up : "transpose" or "linear"
        The way up: a transposed convolution with stride 2, or linear interpolation, which leaves
        the channels to the next convolution.
    padding : bool
        Keep sizes. Without, as in the paper of 2015, each 3×3 convolution takes two pixels, and
        what comes from beside is cropped: 572² becomes 388².
    early : bool
        Widen in the second convolution of a stage on the way down, and keep the channels in the
        transposed convolution, which has no bias: the plan of the 3D U-Net.

    Raises
    ------
    ValueError
        For another `dims` or `up`, or a count that is not positive.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        width: int = 64,
        depth: int = 4,
        dims: int = 2,
        norm: bool = True,
        up: str = "transpose",
        padding: bool = True,
        early: bool = False,
    ) -> None:
        super().__init__()
        if dims not in LINEAR:
            raise ValueError(f"UNet: dims must be 2 or 3, got {dims!r}")
        if up not in ("transpose", "linear"):
            raise ValueError(f"UNet: up must be 'transpose' or 'linear', got {up!r}")
        counts = {"in_channels": in_channels, "num_classes": num_classes, "width": width}
        for name, count in {**counts, "depth": depth}.items():
            if count < 1:
                raise ValueError(f"UNet: {name} must be positive, got {count}")
        self.dims, self.depth, self.padding = dims, depth, padding
        self._norm = norm
        conv = getattr(nn, f"Conv{dims}d")
        transposed = getattr(nn, f"ConvTranspose{dims}d")
        widths = [width * 2**i * (2 if early else 1) for i in range(depth + 1)]
        firsts = [n // 2 for n in widths] if early else widths
        self.down = ModuleList(
            [
                self._stage(inputs, first, outputs)
                for inputs, first, outputs in zip([in_channels, *widths], firsts, widths)
            ]
        )
        ways = list(pairwise(widths))[::-1]  # (beside, from below)
        below = [deep if up == "linear" or early else beside for beside, deep in ways]
        self.up = ModuleList(
            [
                self._stage(beside + channels, beside, beside)
                for (beside, _), channels in zip(ways, below)
            ]
        )
        self.last = conv(width * (2 if early else 1), num_classes, 1)
        self.enlarge = ModuleList(
            [
                transposed(deep, channels, 2, stride=2, bias=not early)
                if up == "transpose"
                else nn.Upsample(scale_factor=2, mode=LINEAR[dims])
                for (_, deep), channels in zip(ways, below)
            ]
        )

    def _stage(self, inputs: int, first: int, outputs: int) -> Sequential:
        """Two 3×3 convolutions, each with ReLU."""
        conv = getattr(nn, f"Conv{self.dims}d")
        layers: list[Module] = []
        for i, o in ((inputs, first), (first, outputs)):
            layers.append(conv(i, o, 3, padding=int(self.padding), bias=not self._norm))
            if self._norm:
                layers.append(getattr(nn, f"BatchNorm{self.dims}d")(o))
            layers.append(nn.ReLU())
        return Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes, …) of each pixel.

        Raises
        ------
        ValueError
            If a size cannot be halved `depth` times: with `padding` it must be a multiple of
            2 ** depth, without, each map on the way down must have an even size.
        """
        pool = F.max_pool2d if self.dims == 2 else F.max_pool3d
        shape, beside = tuple(x.shape), []
        for i, stage in enumerate(self.down):
            if i > 0:
                sizes = tuple(x.shape[2:])
                if any(size % 2 or size < 2 for size in sizes):
                    raise ValueError(
                        f"UNet: input of shape {shape} cannot be halved {self.depth} times: "
                        f"its map has {sizes} after {i - 1} of them"
                    )
                beside.append(x)
                x = pool(x, 2)
            x = stage(x)
        for enlarge, stage in zip(self.enlarge, self.up, strict=True):
            x = enlarge(x)
            x = stage(cat([x, _cropped(beside.pop(), x)], 1))
        return self.last(x)


def _cropped(x: Tensor, to: Tensor) -> Tensor:
    """The middle of a map, of the size of another."""
    for axis in range(2, x.ndim):
        spare = x.shape[axis] - to.shape[axis]
        if spare:
            x = x.narrow(axis, spare // 2, to.shape[axis])
    return x


def _original(**options: Any) -> UNet:
    """Section 3: weights with deviation sqrt(2 / N), N the number of nodes that come in."""
    network = UNet(**options)
    initialise(network, init.kaiming_normal_)
    return network


def unet(*, weights: Any = None, progress: bool = True, **options: Any) -> UNet:
    """U-Net with batch norm and sizes kept: 31 036 546 parameters, 512×512.

    Options are those of :class:`UNet`.
    """
    return build("unet", UNet, weights, options)


def unet_original(*, weights: Any = None, progress: bool = True, **options: Any) -> UNet:
    """U-Net as in figure 1, without padding and batch norm: 31 030 658 parameters, 572×572."""
    return build("unet_original", _original, weights, options, norm=False, padding=False)


def unet3d(*, weights: Any = None, progress: bool = True, **options: Any) -> UNet:
    """3D U-Net, sizes kept: 19 072 291 parameters; volumes of 64×64×64, say.

    The paper counts 19 069 955, without those of batch norm: with ``norm=False``.
    """
    plan = {"in_channels": 3, "num_classes": 3, "width": 32, "depth": 3}
    return build("unet3d", UNet, weights, {**plan, **options}, dims=3, early=True)
