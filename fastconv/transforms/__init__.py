"""Transforms of images: torchvision's ``transforms.v2`` on Pillow images, arrays and Tensors.

Names, arguments, defaults and values are torchvision's. ``t(image, mask)`` changes both alike, a
mask to the nearest pixel. Of a batch (N, C, H, W) every image gets random settings of its own.
Random numbers come from the package's generator, or, while a DataLoader makes a sample, from one
that belongs to the sample: they are the same for any number of workers.
"""

from . import functional
from .augment import CutMix, Cutmix, MixUp, Mixup, RandomErasing
from .auto import RandAugment, TrivialAugmentWide
from .color import (
    ColorJitter,
    GaussianBlur,
    GaussianNoise,
    Grayscale,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomGrayscale,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
)
from .containers import Compose, RandomApply, RandomChoice, RandomOrder
from .convert import (
    ConvertImageDtype,
    Identity,
    Lambda,
    Normalize,
    PILToTensor,
    ToDtype,
    ToImage,
    ToPILImage,
    ToPureTensor,
    ToTensor,
)
from .geometry import (
    CenterCrop,
    FiveCrop,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
    TenCrop,
)
from .interpolation import InterpolationMode
from .transform import Transform
from .warp import RandomAffine, RandomPerspective, RandomRotation

_SUBMODULES = {"augment", "auto", "color", "containers", "convert", "geometry", "interpolation",
               "picture", "pixels", "transform", "warp"}  # fmt: skip
__all__ = [name for name in dir() if not name.startswith("_") and name not in _SUBMODULES]


def __getattr__(name: str) -> object:
    if name == "v2":
        import importlib

        return importlib.import_module(f"{__name__}.v2")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
