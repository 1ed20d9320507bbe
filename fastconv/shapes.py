"""Convolutions of well-known networks, by name: what the benchmarks and the tests share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from fastconv.spec import ConvSpec, conv_spec, conv_transpose_spec

__all__ = ["LARGE", "NETWORKS", "Shape", "matching", "select"]

Size = int | tuple[int, ...]


class Shape(NamedTuple):
    """A convolution layer; `size` and `kernel` have the layer's own spatial rank."""

    name: str
    family: str
    batch: int
    in_channels: int
    out_channels: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: Size = 1
    padding: Size | str = 0
    dilation: Size = 1
    groups: int = 1
    transposed: bool = False
    output_padding: Size = 0
    tags: frozenset[str] = frozenset({"small"})

    @property
    def ndim(self) -> int:
        """Spatial rank."""
        return len(self.size)

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the layer's input."""
        return (self.batch, self.in_channels, *self.size)

    @property
    def w_shape(self) -> tuple[int, ...]:
        """Shape of the layer's weight, as PyTorch has it for this kind of layer."""
        if self.transposed:
            return (self.in_channels, self.out_channels // self.groups, *self.kernel)
        return (self.out_channels, self.in_channels // self.groups, *self.kernel)

    def spec(self) -> ConvSpec:
        """Its geometry; for a transposed convolution that of its adjoint."""
        if self.transposed:
            return conv_transpose_spec(
                self.x_shape, self.w_shape, self.stride, self.padding, self.output_padding,
                self.groups, self.dilation, self.ndim, self.name,
            )  # fmt: skip
        return conv_spec(
            self.x_shape, self.w_shape, self.stride, self.padding, self.dilation, self.groups,
            self.ndim, self.name,
        )  # fmt: skip


NETWORK = frozenset({"network"})


def _network(
    name: str, family: str, n: int, c: int, k: int, size: Any, kernel: Any, **rest: Any
) -> Shape:
    return Shape(name, family, n, c, k, size, kernel, tags=NETWORK, **rest)


def _depthwise(name: str, family: str, c: int, size: Any, kernel: Any, **rest: Any) -> Shape:
    return _network(name, family, 1, c, c, size, kernel, groups=c, **rest)


NETWORKS: tuple[Shape, ...] = (
    _network("lenet conv1", "lenet", 4, 1, 6, (28, 28), (5, 5), padding=2),
    _network("lenet conv2", "lenet", 4, 6, 16, (14, 14), (5, 5)),
    _network("lenet conv3 to 1x1", "lenet", 8, 16, 120, (5, 5), (5, 5)),
    _network("alexnet conv1", "alexnet", 1, 3, 64, (224, 224), (11, 11), stride=4, padding=2),
    _network("alexnet conv2", "alexnet", 1, 64, 192, (27, 27), (5, 5), padding=2),
    _network("vgg conv 3->64 at 112", "vgg", 1, 3, 64, (112, 112), (3, 3), padding=1),
    _network("vgg conv 64->64 at 112", "vgg", 1, 64, 64, (112, 112), (3, 3), padding=1),
    _network("vgg conv 512->512 at 14", "vgg", 1, 512, 512, (14, 14), (3, 3), padding=1),
    _network("256->256 at 56 3x3", "vgg", 1, 256, 256, (56, 56), (3, 3), padding=1),
    _network("512->128 at 28 1x1", "resnet", 1, 512, 128, (28, 28), (1, 1)),
    _network("resnet stem 7x7", "resnet", 1, 3, 64, (224, 224), (7, 7), stride=2, padding=3),
    _network("resnet 64->64 at 56", "resnet", 1, 64, 64, (56, 56), (3, 3), padding=1),
    _network("resnet 64->128 stride 2", "resnet", 1, 64, 128, (56, 56), (3, 3), stride=2,
          padding=1),
    _network("resnet shortcut 1x1 stride 2", "resnet", 1, 256, 512, (28, 28), (1, 1), stride=2),
    _network("resnet 512->512 at 7", "resnet", 2, 512, 512, (7, 7), (3, 3), padding=1),
    _network("resnet50 64->256 1x1 at 56", "resnet", 1, 64, 256, (56, 56), (1, 1)),
    _network("resnet50 2048->512 1x1 at 7", "resnet", 1, 2048, 512, (7, 7), (1, 1)),
    _network("resnext grouped 3x3", "resnext", 1, 128, 128, (28, 28), (3, 3), padding=1, groups=32),
    _network("resnext grouped stride 2", "resnext", 1, 256, 256, (28, 28), (3, 3), stride=2,
          padding=1, groups=32),
    _depthwise("mobilenet depthwise at 112", "mobilenet", 32, (112, 112), (3, 3), padding=1),
    _depthwise("mobilenet depthwise stride 2", "mobilenet", 96, (56, 56), (3, 3), stride=2,
          padding=1),
    _depthwise("mobilenet depthwise at 7", "mobilenet", 960, (7, 7), (3, 3), padding=1),
    _network("mobilenet 16->96 1x1", "mobilenet", 1, 16, 96, (56, 56), (1, 1)),
    _network("mobilenet 144->24 1x1", "mobilenet", 1, 144, 24, (56, 56), (1, 1)),
    _depthwise("efficientnet depthwise 5x5", "efficientnet", 240, (28, 28), (5, 5), padding=2),
    _depthwise("efficientnet depthwise 5x5 stride 2", "efficientnet", 144, (28, 28), (5, 5),
          stride=2, padding=2),
    _network("inception 1x7", "inception", 1, 128, 192, (17, 17), (1, 7), padding=(0, 3)),
    _network("inception 7x1", "inception", 1, 128, 192, (17, 17), (7, 1), padding=(3, 0)),
    _network("unet 64->32 at 64", "unet", 1, 64, 32, (64, 64), (3, 3), padding=1),
    _network("unet head 1x1 to 1", "unet", 1, 32, 1, (64, 64), (1, 1)),
    _network("unet up 2x2", "unet", 1, 64, 32, (32, 32), (2, 2), stride=2, transposed=True),
    _network("dcgan first 1x1 to 4x4", "dcgan", 4, 100, 256, (1, 1), (4, 4), transposed=True),
    _network("dcgan up 4x4", "dcgan", 2, 128, 64, (16, 16), (4, 4), stride=2, padding=1,
          transposed=True),
    _network("dcgan to rgb", "dcgan", 2, 64, 3, (32, 32), (4, 4), stride=2, padding=1,
          transposed=True),
    _network("dcgan discriminator 4x4", "dcgan", 2, 64, 128, (32, 32), (4, 4), stride=2, padding=1),
    _network("c3d 3x3x3", "c3d", 1, 32, 64, (8, 28, 28), (3, 3, 3), padding=1),
    _network("c3d first", "c3d", 1, 3, 64, (8, 28, 28), (3, 3, 3), padding=1),
    _network("wavenet dilation 64", "wavenet", 2, 64, 64, (1024,), (3,), padding=64, dilation=64),
    _network("wavenet causal kernel 2", "wavenet", 2, 32, 64, (1024,), (2,), dilation=512),
    _network("audio stem kernel 10 stride 5", "wav2vec", 1, 1, 64, (4000,), (10,), stride=5),
    _network("vit patches 16x16", "vit", 1, 3, 192, (112, 112), (16, 16), stride=16),
    _network("convnext depthwise 7x7", "convnext", 1, 96, 96, (28, 28), (7, 7), padding=3,
          groups=96),
)  # fmt: skip

#: Three large layers, dense in three ways: what the kernels' share of the peak is judged on.
LARGE: tuple[Shape, ...] = tuple(
    shape
    for shape in NETWORKS
    if shape.name in ("vgg conv 64->64 at 112", "256->256 at 56 3x3", "512->128 at 28 1x1")
)


def select(words: str | None) -> list[Shape]:
    """The shapes that a comma-separated list of alternatives names.

    Parameters
    ----------
    words : str or None
        None gives :data:`LARGE`, ``'all'`` gives all of :data:`NETWORKS`. An alternative such as
        ``'depthwise 112'`` fits a shape when each of its words begins a word of the shape's name,
        without regard to case.

    Returns
    -------
    list of Shape
        Empty if nothing fits.
    """
    if words is None:
        return list(LARGE)
    if words.strip().lower() == "all":
        return list(NETWORKS)
    return matching(NETWORKS, words)


def matching(shapes: Iterable[Shape], words: str) -> list[Shape]:
    """Those of `shapes` that fit one of the comma-separated alternatives of :func:`select`."""
    alternatives = [part.lower().split() for part in words.split(",") if part.strip()]
    return [
        shape
        for shape in shapes
        if any(_fits(shape.name.lower().split(), asked) for asked in alternatives)
    ]


def _fits(name: list[str], asked: list[str]) -> bool:
    return all(any(word.startswith(beginning) for word in name) for beginning in asked)
