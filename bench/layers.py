"""Layers of real networks in families, each with the ratio to PyTorch that is aimed for.

A family is judged by the geometric mean of its layers' ratios (PyTorch's time over ours), once for
the forward pass and once for the forward and both backward passes together; no layer may be slower.
Batches go from 1 to 16. The layers are those that the networks run, not those that a kernel likes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastconv.shapes import Shape, matching

__all__ = ["FAMILIES", "LAYERS", "QUICK", "Family", "choose"]


class Family(NamedTuple):
    """What is said of a family: its name on a page and the ratios it should reach."""

    title: str
    forward: float
    training: float  # forward and both backward passes


FAMILIES: dict[str, Family] = {
    "3x3": Family("3×3, stride 1, 32 channels or more", 2.5, 2.2),
    "dilated": Family("3×3, dilation 2 to 6", 1.8, 1.6),
    "strided": Family("3×3 stride 2, 5×5, 1×7, 7×1", 1.1, 1.1),
    "1x1": Family("1×1", 1.1, 1.15),
    "stem": Family("stems, 1 or 3 channels", 1.1, 2.0),
    "depthwise": Family("depthwise", 4.0, 5.0),
    "grouped": Family("grouped, 4 to 16 channels a group", 1.5, 1.8),
    "1d": Family("1-D", 1.2, 1.3),
    "3d": Family("3-D, 3×3×3", 1.8, 1.6),
    "transposed": Family("transposed 2×2/2, 4×4/2", 1.3, 1.5),
    "other": Family("others", 1.0, 1.0),
}


def _layer(
    family: str, name: str, n: int, c: int, k: int, size: Any, kernel: Any, **rest: Any
) -> Shape:
    size = (size, size) if isinstance(size, int) else size
    kernel = (kernel,) * len(size) if isinstance(kernel, int) else kernel
    return Shape(name, family, n, c, k, size, kernel, tags=frozenset({"network"}), **rest)


def _same(family: str, name: str, n: int, c: int, k: int, size: Any, **rest: Any) -> Shape:
    """A kernel of 3 that keeps the size."""
    return _layer(family, name, n, c, k, size, 3, padding=rest.get("dilation", 1), **rest)


def _point(name: str, n: int, c: int, k: int, size: Any, **rest: Any) -> Shape:
    return _layer("1x1", name, n, c, k, size, 1, **rest)


def _depthwise(name: str, n: int, c: int, size: Any, kernel: int, **rest: Any) -> Shape:
    padding = rest.get("dilation", 1) * (kernel // 2)
    return _layer("depthwise", name, n, c, c, size, kernel, padding=padding, groups=c, **rest)


def _up(family: str, name: str, n: int, c: int, k: int, size: Any, kernel: int, **rest: Any) -> Any:
    return _layer(family, name, n, c, k, size, kernel, transposed=True, **rest)


THREE = (
    _same("3x3", "vgg16 64->64 at 224", 1, 64, 64, 224),
    _same("3x3", "vgg16 128->128 at 112", 1, 128, 128, 112),
    _same("3x3", "vgg16 256->256 at 56", 1, 256, 256, 56),
    _same("3x3", "vgg16 256->512 at 28", 1, 256, 512, 28),
    _same("3x3", "vgg16 512->512 at 14", 1, 512, 512, 14),
    _same("3x3", "vgg16 64->128 at 112, batch 4", 4, 64, 128, 112),
    _same("3x3", "resnet18 64->64 at 56, batch 4", 4, 64, 64, 56),
    _same("3x3", "resnet18 128->128 at 28, batch 4", 4, 128, 128, 28),
    _same("3x3", "resnet18 256->256 at 14, batch 4", 4, 256, 256, 14),
    _same("3x3", "resnet34 512->512 at 7, batch 4", 4, 512, 512, 7),
    _same("3x3", "resnet50 64->64 at 56", 1, 64, 64, 56),
    _same("3x3", "resnet50 256->256 at 14", 1, 256, 256, 14),
    _same("3x3", "resnet50 512->512 at 7", 1, 512, 512, 7),
    _same("3x3", "cifar resnet 32->32 at 16, batch 16", 16, 32, 32, 16),
    _same("3x3", "cifar resnet 64->64 at 8, batch 16", 16, 64, 64, 8),
    _same("3x3", "alexnet 192->384 at 13", 1, 192, 384, 13),
    _same("3x3", "alexnet 384->256 at 13, batch 16", 16, 384, 256, 13),
    _same("3x3", "googlenet 96->128 at 28, batch 4", 4, 96, 128, 28),
    _same("3x3", "inception 64->96 at 35", 1, 64, 96, 35),
    _same("3x3", "unet 32->32 at 128, batch 4", 4, 32, 32, 128),
    _same("3x3", "unet 128->64 at 64, batch 4", 4, 128, 64, 64),
    _same("3x3", "unet 256->512 at 8, batch 4", 4, 256, 512, 8),
)

DILATED = (
    _same("dilated", "deeplab 256->256 at 28, dilation 2", 1, 256, 256, 28, dilation=2),
    _same("dilated", "deeplab 512->512 at 28, dilation 4", 1, 512, 512, 28, dilation=4),
    _same("dilated", "deeplab aspp 1024->256 at 14, dilation 6", 1, 1024, 256, 14, dilation=6),
    _same("dilated", "drn 128->128 at 28, dilation 2, batch 4", 4, 128, 128, 28, dilation=2),
    _same("dilated", "context 64->64 at 64, dilation 3", 1, 64, 64, 64, dilation=3),
    _same("dilated", "context 64->64 at 65, dilation 5", 1, 64, 64, 65, dilation=5),
    _same("dilated", "context 32->32 at 96, dilation 4, batch 4", 4, 32, 32, 96, dilation=4),
)

STRIDED = (
    _layer("strided", "resnet18 64->128 at 56 3x3/2, batch 4", 4, 64, 128, 56, 3, stride=2,
           padding=1),
    _layer("strided", "resnet34 128->256 at 28 3x3/2", 1, 128, 256, 28, 3, stride=2, padding=1),
    _layer("strided", "resnet34 256->512 at 14 3x3/2, batch 4", 4, 256, 512, 14, 3, stride=2,
           padding=1),
    _layer("strided", "resnet50 128->128 at 56 3x3/2, batch 2", 2, 128, 128, 56, 3, stride=2,
           padding=1),
    _layer("strided", "inception 288->384 at 35 3x3/2", 1, 288, 384, 35, 3, stride=2),
    _layer("strided", "alexnet 64->192 at 27 5x5", 1, 64, 192, 27, 5, padding=2),
    _layer("strided", "alexnet 64->192 at 27 5x5, batch 16", 16, 64, 192, 27, 5, padding=2),
    _layer("strided", "googlenet 16->32 at 28 5x5, batch 4", 4, 16, 32, 28, 5, padding=2),
    _layer("strided", "inception 48->64 at 35 5x5", 1, 48, 64, 35, 5, padding=2),
    _layer("strided", "lenet 6->16 at 14 5x5, batch 16", 16, 6, 16, 14, 5),
    _layer("strided", "inception 128->128 at 17 1x7", 1, 128, 128, 17, (1, 7), padding=(0, 3)),
    _layer("strided", "inception 128->192 at 17 7x1", 1, 128, 192, 17, (7, 1), padding=(3, 0)),
    _layer("strided", "inception 192->192 at 17 1x7, batch 4", 4, 192, 192, 17, (1, 7),
           padding=(0, 3)),
    _layer("strided", "inception 192->192 at 17 7x1, batch 4", 4, 192, 192, 17, (7, 1),
           padding=(3, 0)),
)  # fmt: skip

POINT = (
    _point("resnet50 64->256 at 56", 1, 64, 256, 56),
    _point("resnet50 256->64 at 56, batch 2", 2, 256, 64, 56),
    _point("resnet50 512->128 at 28", 1, 512, 128, 28),
    _point("resnet50 128->512 at 28, batch 4", 4, 128, 512, 28),
    _point("resnet50 1024->256 at 14", 1, 1024, 256, 14),
    _point("resnet50 256->1024 at 14, batch 4", 4, 256, 1024, 14),
    _point("resnet50 2048->512 at 7", 1, 2048, 512, 7),
    _point("resnet50 512->2048 at 7, batch 2", 2, 512, 2048, 7),
    _point("resnet50 256->512 at 56 stride 2, batch 2", 2, 256, 512, 56, stride=2),
    _point("resnet18 64->128 at 56 stride 2, batch 4", 4, 64, 128, 56, stride=2),
    _point("mobilenetv2 32->16 at 112", 1, 32, 16, 112),
    _point("mobilenetv2 16->96 at 112, batch 4", 4, 16, 96, 112),
    _point("mobilenetv2 144->24 at 56", 1, 144, 24, 56),
    _point("mobilenetv2 24->144 at 56, batch 4", 4, 24, 144, 56),
    _point("mobilenetv2 192->32 at 28", 1, 192, 32, 28),
    _point("mobilenetv2 64->384 at 14, batch 4", 4, 64, 384, 14),
    _point("mobilenetv2 576->96 at 14", 1, 576, 96, 14),
    _point("mobilenetv2 160->960 at 7", 1, 160, 960, 7),
    _point("mobilenetv2 960->320 at 7, batch 4", 4, 960, 320, 7),
    _point("mobilenetv2 320->1280 at 7", 1, 320, 1280, 7),
    _point("efficientnet 240->40 at 28", 1, 240, 40, 28),
    _point("efficientnet 112->672 at 14, batch 4", 4, 112, 672, 14),
    _point("googlenet 192->64 at 28, batch 4", 4, 192, 64, 28),
    _point("googlenet 480->192 at 14", 1, 480, 192, 14),
    _point("convnext 96->384 at 56", 1, 96, 384, 56),
    _point("convnext 384->96 at 56", 1, 384, 96, 56),
    _point("deeplab aspp 2048->256 at 28", 1, 2048, 256, 28),
    _point("unet head 32->2 at 128, batch 4", 4, 32, 2, 128),
)

STEM = (
    _layer("stem", "resnet 3->64 at 224 7x7/2", 1, 3, 64, 224, 7, stride=2, padding=3),
    _layer("stem", "resnet 3->64 at 224 7x7/2, batch 4", 4, 3, 64, 224, 7, stride=2, padding=3),
    _same("stem", "vgg 3->64 at 224 3x3", 1, 3, 64, 224),
    _layer("stem", "alexnet 3->64 at 224 11x11/4", 1, 3, 64, 224, 11, stride=4, padding=2),
    _layer("stem", "alexnet 3->64 at 224 11x11/4, batch 16", 16, 3, 64, 224, 11, stride=4,
           padding=2),
    _layer("stem", "mobilenetv2 3->32 at 224 3x3/2", 1, 3, 32, 224, 3, stride=2, padding=1),
    _layer("stem", "mobilenetv2 3->32 at 224 3x3/2, batch 4", 4, 3, 32, 224, 3, stride=2,
           padding=1),
    _layer("stem", "inception 3->32 at 299 3x3/2", 1, 3, 32, 299, 3, stride=2),
    _same("stem", "cifar resnet 3->16 at 32 3x3, batch 16", 16, 3, 16, 32),
    _same("stem", "unet 1->32 at 128 3x3, batch 4", 4, 1, 32, 128),
    _layer("stem", "lenet 1->6 at 28 5x5", 1, 1, 6, 28, 5, padding=2),
    _layer("stem", "lenet 1->6 at 28 5x5, batch 16", 16, 1, 6, 28, 5, padding=2),
    _layer("stem", "mnist 1->32 at 28 3x3, batch 16", 16, 1, 32, 28, 3),
    _layer("stem", "convnext 3->96 at 224 4x4/4", 1, 3, 96, 224, 4, stride=4),
    _layer("stem", "vit 3->192 at 224 16x16/16", 1, 3, 192, 224, 16, stride=16),
    _layer("stem", "dcgan 3->64 at 64 4x4/2, batch 16", 16, 3, 64, 64, 4, stride=2, padding=1),
    _same("stem", "c3d 3->64 at 16x56x56 3x3x3", 1, 3, 64, (16, 56, 56)),
)  # fmt: skip

DEPTHWISE = (
    _depthwise("mobilenetv2 32 at 112 3x3", 1, 32, 112, 3),
    _depthwise("mobilenetv2 96 at 112 3x3/2", 1, 96, 112, 3, stride=2),
    _depthwise("mobilenetv2 144 at 56 3x3, batch 4", 4, 144, 56, 3),
    _depthwise("mobilenetv2 144 at 56 3x3/2, batch 4", 4, 144, 56, 3, stride=2),
    _depthwise("mobilenetv2 192 at 28 3x3", 1, 192, 28, 3),
    _depthwise("mobilenetv2 384 at 14 3x3", 1, 384, 14, 3),
    _depthwise("mobilenetv2 576 at 14 3x3/2, batch 4", 4, 576, 14, 3, stride=2),
    _depthwise("mobilenetv2 960 at 7 3x3", 1, 960, 7, 3),
    _depthwise("mobilenetv2 960 at 7 3x3, batch 16", 16, 960, 7, 3),
    _depthwise("efficientnet 144 at 56 5x5/2", 1, 144, 56, 5, stride=2),
    _depthwise("efficientnet 240 at 28 5x5", 1, 240, 28, 5),
    _depthwise("efficientnet 672 at 14 5x5, batch 4", 4, 672, 14, 5),
    _depthwise("efficientnet 1152 at 7 5x5", 1, 1152, 7, 5),
    _depthwise("convnext 96 at 56 7x7", 1, 96, 56, 7),
    _depthwise("convnext 192 at 28 7x7, batch 4", 4, 192, 28, 7),
    _depthwise("convnext 384 at 14 7x7", 1, 384, 14, 7),
    _depthwise("convnext 768 at 7 7x7", 1, 768, 7, 7),
    _depthwise("deeplab 576 at 14 3x3 dilation 2", 1, 576, 14, 3, dilation=2),
    _depthwise("conformer 256 at 400 k31, batch 4", 4, 256, (400,), 31),
)

GROUPED = (
    _same("grouped", "resnext50 128 at 56, groups 32", 1, 128, 128, 56, groups=32),
    _same("grouped", "resnext50 256 at 28, groups 32, batch 4", 4, 256, 256, 28, groups=32),
    _same("grouped", "resnext50 512 at 14, groups 32", 1, 512, 512, 14, groups=32),
    _same("grouped", "resnext50 512 at 14, groups 32, batch 4", 4, 512, 512, 14, groups=32),
    _same("grouped", "resnext50 256 at 56 stride 2, groups 32", 1, 256, 256, 56, groups=32,
          stride=2),
    _same("grouped", "resnext50 512 at 28 stride 2, groups 32, batch 4", 4, 512, 512, 28,
          groups=32, stride=2),
    _same("grouped", "resnext101 256 at 56, groups 32", 1, 256, 256, 56, groups=32),
    _same("grouped", "resnext101 512 at 28, groups 32", 1, 512, 512, 28, groups=32),
    _same("grouped", "regnet 64 at 28, groups 4, batch 4", 4, 64, 64, 28, groups=4),
    _same("grouped", "regnet 160 at 14, groups 10", 1, 160, 160, 14, groups=10),
    _same("grouped", "regnet 400 at 7, groups 25, batch 4", 4, 400, 400, 7, groups=25),
)  # fmt: skip

ONE_D = (
    _layer("1d", "wavenet 64->128 at 2048 k2 dilation 1", 1, 64, 128, (2048,), 2),
    _layer("1d", "wavenet 64->128 at 2048 k2 dilation 256, batch 8", 8, 64, 128, (2048,), 2,
           dilation=256),
    _same("1d", "dilated stack 64->64 at 2048 k3, batch 8", 8, 64, 64, (2048,)),
    _same("1d", "dilated stack 64->64 at 2048 k3 dilation 8, batch 8", 8, 64, 64, (2048,),
          dilation=8),
    _same("1d", "dilated stack 64->64 at 2048 k3 dilation 128", 1, 64, 64, (2048,), dilation=128),
    _layer("1d", "wavenet 64->64 at 2048 k1, batch 8", 8, 64, 64, (2048,), 1),
    _layer("1d", "tcn 32->32 at 1024 k7 dilation 4, batch 4", 4, 32, 32, (1024,), 7, padding=12,
           dilation=4),
    _layer("1d", "text cnn 128->100 at 64 k5, batch 16", 16, 128, 100, (64,), 5),
    _layer("1d", "wav2vec 512->512 at 1600 k3/2", 1, 512, 512, (1600,), 3, stride=2),
    _layer("1d", "whisper 80->384 at 3000 k3", 1, 80, 384, (3000,), 3, padding=1),
    _layer("1d", "ecg resnet 64->128 at 512 k9/2, batch 4", 4, 64, 128, (512,), 9, stride=2,
           padding=4),
    _layer("1d", "encodec 64->128 at 3000 k8/4", 1, 64, 128, (3000,), 8, stride=4, padding=2),
)  # fmt: skip

THREE_D = (
    _same("3d", "c3d 64->128 at 16x28x28", 1, 64, 128, (16, 28, 28)),
    _same("3d", "c3d 256->256 at 8x14x14, batch 2", 2, 256, 256, (8, 14, 14)),
    _same("3d", "c3d 512->512 at 4x7x7", 1, 512, 512, (4, 7, 7)),
    _same("3d", "r3d 64->64 at 8x56x56", 1, 64, 64, (8, 56, 56)),
    _same("3d", "r3d 128->128 at 8x28x28", 1, 128, 128, (8, 28, 28)),
    _same("3d", "r3d 256->256 at 4x14x14, batch 4", 4, 256, 256, (4, 14, 14)),
    _same("3d", "unet3d 32->32 at 32x32x32", 1, 32, 32, (32, 32, 32)),
    _same("3d", "unet3d 64->128 at 16x16x16", 1, 64, 128, (16, 16, 16)),
)

TRANSPOSED = (
    _up("transposed", "unet 512->256 at 8 2x2/2, batch 4", 4, 512, 256, 8, 2, stride=2),
    _up("transposed", "unet 256->128 at 16 2x2/2", 1, 256, 128, 16, 2, stride=2),
    _up("transposed", "unet 128->64 at 32 2x2/2, batch 4", 4, 128, 64, 32, 2, stride=2),
    _up("transposed", "unet 64->32 at 64 2x2/2, batch 4", 4, 64, 32, 64, 2, stride=2),
    _up("transposed", "dcgan 512->256 at 4 4x4/2, batch 16", 16, 512, 256, 4, 4, stride=2,
        padding=1),
    _up("transposed", "dcgan 256->128 at 8 4x4/2, batch 16", 16, 256, 128, 8, 4, stride=2,
        padding=1),
    _up("transposed", "dcgan 128->64 at 16 4x4/2, batch 4", 4, 128, 64, 16, 4, stride=2,
        padding=1),
    _up("transposed", "dcgan 64->3 at 32 4x4/2, batch 16", 16, 64, 3, 32, 4, stride=2, padding=1),
    _up("transposed", "unet3d 128->64 at 8x8x8 2x2x2/2", 1, 128, 64, (8, 8, 8), 2, stride=2),
)  # fmt: skip

OTHER = (
    _layer("other", "dcgan 64->128 at 32 4x4/2, batch 16", 16, 64, 128, 32, 4, stride=2,
           padding=1),
    _up("other", "dcgan 100->512 1x1 to 4x4, batch 16", 16, 100, 512, 1, 4),
    _layer("other", "inception 384->384 at 8 1x3", 1, 384, 384, 8, (1, 3), padding=(0, 1)),
    _layer("other", "convnext 96->192 at 56 2x2/2", 1, 96, 192, 56, 2, stride=2),
    _layer("other", "lenet 16->120 at 5 5x5, batch 16", 16, 16, 120, 5, 5),
    _same("other", "cifar resnet 16->16 at 32 3x3, batch 16", 16, 16, 16, 32),
    _same("other", "r3d 64->128 at 8x56x56 3x3x3/2", 1, 64, 128, (8, 56, 56), stride=2),
    _same("other", "resnext50 1024 at 7, groups 32, batch 4", 4, 1024, 1024, 7, groups=32),
    _up("other", "hifigan 256->128 at 256 k16/8", 1, 256, 128, (256,), 16, stride=8, padding=4),
)  # fmt: skip

#: Every layer, in the order of :data:`FAMILIES`.
LAYERS: tuple[Shape, ...] = (
    THREE + DILATED + STRIDED + POINT + STEM + DEPTHWISE + GROUPED + ONE_D + THREE_D + TRANSPOSED
    + OTHER
)  # fmt: skip

#: How many layers of a family a quick run takes, evenly spread over it.
QUICK = 3


def choose(
    families: list[str] | None = None, words: str | None = None, quick: bool = False
) -> list[Shape]:
    """The layers that are asked for, in their order.

    Parameters
    ----------
    families : list of str, optional
        Keys of :data:`FAMILIES`; all of them if not given.
    words : str, optional
        Beginnings of words of a name; commas separate alternatives.
    quick : bool
        Take :data:`QUICK` layers of every family only.

    Returns
    -------
    list of Shape

    Raises
    ------
    ValueError
        If a family is unknown.
    """
    wanted = list(FAMILIES) if families is None else families
    unknown = [name for name in wanted if name not in FAMILIES]
    if unknown:
        raise ValueError(f"families must be some of {', '.join(FAMILIES)}, got {unknown[0]!r}")
    found = []
    for family in FAMILIES:
        if family in wanted:
            layers = [layer for layer in LAYERS if layer.family == family]
            if words is not None:
                layers = matching(layers, words)
            if quick and len(layers) > QUICK:
                layers = [layers[i * len(layers) // QUICK] for i in range(QUICK)]
            found += layers
    return found
