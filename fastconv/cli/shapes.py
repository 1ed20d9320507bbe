"""Convolutions of well-known networks, by name: what ``fastconv bench`` measures."""

from __future__ import annotations

from fastconv.cli.measure import Case
from fastconv.spec import conv_spec

__all__ = ["DEFAULT", "NETWORKS", "select"]


def _case(
    name: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Case:
    spec = conv_spec(x, w, stride, padding, dilation, groups, len(x) - 2, f"conv{len(x) - 2}d")
    return Case(name, spec)


#: The three shapes that the kernels' first bar was set on.
DEFAULT = (
    _case("64→64 3×3 at 112²", (1, 64, 112, 112), (64, 64, 3, 3), padding=1),
    _case("256→256 3×3 at 56²", (1, 256, 56, 56), (256, 256, 3, 3), padding=1),
    _case("512→128 1×1 at 28²", (1, 512, 28, 28), (128, 512, 1, 1)),
)

NETWORKS = (
    *DEFAULT,
    _case("LeNet-5 conv1", (64, 1, 28, 28), (6, 1, 5, 5), padding=2),
    _case("LeNet-5 conv2", (64, 6, 14, 14), (16, 6, 5, 5)),
    _case("AlexNet conv1", (1, 3, 224, 224), (64, 3, 11, 11), 4, 2),
    _case("VGG-16 conv1_2", (1, 64, 224, 224), (64, 64, 3, 3), padding=1),
    _case("VGG-16 conv5", (1, 512, 14, 14), (512, 512, 3, 3), padding=1),
    _case("ResNet stem 7×7", (1, 3, 224, 224), (64, 3, 7, 7), 2, 3),
    _case("ResNet layer1", (1, 64, 56, 56), (64, 64, 3, 3), padding=1),
    _case("ResNet layer2 stride 2", (1, 64, 56, 56), (128, 64, 3, 3), 2, 1),
    _case("ResNet layer4", (1, 512, 7, 7), (512, 512, 3, 3), padding=1),
    _case("ResNet-50 expand 1×1", (1, 64, 56, 56), (256, 64, 1, 1)),
    _case("ResNet-50 shortcut 1×1", (1, 256, 56, 56), (512, 256, 1, 1), 2),
    _case("ResNeXt grouped 3×3", (1, 128, 56, 56), (128, 4, 3, 3), padding=1, groups=32),
    _case("MobileNet depthwise 112²", (1, 32, 112, 112), (32, 1, 3, 3), padding=1, groups=32),
    _case("MobileNet depthwise 14²", (1, 512, 14, 14), (512, 1, 3, 3), padding=1, groups=512),
    _case("EfficientNet depthwise 5×5", (1, 240, 28, 28), (240, 1, 5, 5), padding=2, groups=240),
    _case("U-Net up 3×3", (1, 64, 128, 128), (32, 64, 3, 3), padding=1),
    _case("DCGAN 4×4 stride 2", (16, 64, 32, 32), (128, 64, 4, 4), 2, 1),
    _case("dilated 1-D", (8, 64, 2048), (64, 64, 3), padding=4, dilation=4),
    _case("C3D 3×3×3", (1, 64, 8, 28, 28), (128, 64, 3, 3, 3), padding=1),
)


def select(words: str | None) -> list[Case]:
    """The shapes that a comma-separated list of alternatives names.

    Parameters
    ----------
    words : str or None
        None gives :data:`DEFAULT`, ``'all'`` gives all of :data:`NETWORKS`. An alternative such as
        ``'depthwise 14'`` fits a shape when each of its words begins a word of the shape's name,
        without regard to case.

    Returns
    -------
    list of Case
        Empty if nothing fits.
    """
    if words is None:
        return list(DEFAULT)
    if words.strip().lower() == "all":
        return list(NETWORKS)
    alternatives = [part.lower().split() for part in words.split(",") if part.strip()]
    return [
        case
        for case in NETWORKS
        if any(_fits(case.name.lower().split(), asked) for asked in alternatives)
    ]


def _fits(name: list[str], asked: list[str]) -> bool:
    return all(any(word.startswith(beginning) for word in name) for beginning in asked)
