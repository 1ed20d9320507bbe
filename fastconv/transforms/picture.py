"""Images and masks as they come in, as pixels, and as they go out again.

Every transform works on arrays (N, C, H, W), views of what came in: a Pillow image and an array
(H, W) or (H, W, C) are one image, a Tensor (C, H, W) too, and arrays and Tensors (N, C, H, W) are
batches. What goes out is of the kind that came in.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ..autograd import TensorBase
from ..tensor import wrap

Array = np.ndarray[Any, np.dtype[Any]]

#: Pillow's modes as arrays: others are converted first.
MODES = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16")


def pillow(what: str) -> Any:
    """The module PIL.Image.

    Raises
    ------
    ModuleNotFoundError
        Where Pillow is missing: `what` needs it, and the extra that brings it.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{what} needs Pillow, which is not installed: pip install 'fastconv[vision]' "
            "(or pip install pillow)",
            name="PIL",
        ) from error
    return Image


def is_pil(x: Any) -> bool:
    """Whether `x` is a Pillow image, without importing Pillow."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(x, module.Image)


def is_picture(x: Any) -> bool:
    """Whether `x` may be an image: a Pillow image, an array or a Tensor of two axes or more."""
    if isinstance(x, np.ndarray):
        return x.ndim >= 2 and x.dtype.kind in "biuf"
    return is_pil(x) or (isinstance(x, TensorBase) and x._array.ndim >= 2)


class Picture:
    """An image, a mask or a batch of them: its pixels, and what it was.

    Attributes
    ----------
    pixels : ndarray, (N, C, H, W)
        A view of the source where it can be one; replace it, do not write into it.
    pil, tensor : bool
        What the source was; an ndarray where neither.
    batch : bool
        Whether there is an axis of images.
    mask : bool
        Whether it is a mask, of class indices or the like, and not an image.
    """

    __slots__ = ("source", "pixels", "pil", "tensor", "batch", "mask", "mode", "_first")

    def __init__(self, source: Any, what: str, mask: bool = False, batch: bool = False) -> None:
        self.source = source
        self.mask = mask
        self.pil = is_pil(source)
        self.tensor = isinstance(source, TensorBase)
        self.mode = ""
        if self.pil:
            self.batch = False
            self.pixels = self._first = self._from_pil(source)
            return
        if self.tensor:
            if source.requires_grad:
                raise ValueError(
                    f"{what}: transforms have no gradients, and the image requires one: "
                    "give image.detach()"
                )
            a = source._array
        elif isinstance(source, np.ndarray) and source.dtype.kind in "biuf":
            a = source
        else:
            raise TypeError(
                f"{what}: expected a Pillow image, an array or a Tensor, got "
                f"{type(source).__name__}"
            )
        if a.ndim < 2 or (a.ndim > 4 and not self.tensor):
            raise ValueError(
                f"{what}: expected an image (H, W), {'(C, H, W)' if self.tensor else '(H, W, C)'} "
                f"or a batch (N, C, H, W), got shape {a.shape}"
            )
        self.batch = batch if mask else a.ndim >= 4
        if a.ndim == 2:
            self.pixels = a[None, None]
        elif a.ndim > 3:
            self.pixels = a.reshape(-1, *a.shape[-3:])
        elif mask and batch:
            self.pixels = a[:, None]
        else:
            self.pixels = a[None] if self.tensor else a.transpose(2, 0, 1)[None]
        self._first = self.pixels

    def _from_pil(self, image: Any) -> Array:
        mode = image.mode
        if mode == "P" and self.mask:
            self.mode = mode
            return np.asarray(image)[None, None]
        if mode == "1":
            image = image.convert("L")
        elif mode in ("P", "PA"):
            image = image.convert("RGBA" if mode == "PA" or "transparency" in image.info else "RGB")
        elif mode not in MODES:
            raise ValueError(f"Pillow images of mode {mode!r} are not known: convert them to 'RGB'")
        self.mode = mode if mode == "1" else image.mode
        a = np.asarray(image)
        return a[None, None] if a.ndim == 2 else a.transpose(2, 0, 1)[None]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[2], self.pixels.shape[3]

    @property
    def count(self) -> int:
        """The number of images."""
        return self.pixels.shape[0]

    def result(self, pixels: Array) -> Any:
        """These pixels as the kind of thing that came in; the source itself if they are its own."""
        if pixels is self._first:
            return self.source
        if self.pil:
            return to_pil(pixels[0].transpose(1, 2, 0), self.mode, self.source)
        a = self.source._array if self.tensor else self.source
        if a.ndim == 2:
            found = pixels[0, 0] if pixels.shape[1] == 1 else pixels[0]
            if pixels.shape[1] > 1 and not self.tensor:
                found = found.transpose(1, 2, 0)
        elif a.ndim > 3:
            found = pixels.reshape(*a.shape[:-3], *pixels.shape[1:])
        elif self.mask and self.batch:
            found = pixels[:, 0]
        else:
            found = pixels[0] if self.tensor else pixels[0].transpose(1, 2, 0)
        if a.flags.c_contiguous:
            found = np.ascontiguousarray(found)
        return wrap(found) if self.tensor else found


def to_pil(a: Array, mode: str, like: Any = None) -> Any:
    """An array (H, W, C) as a Pillow image of `mode`, or of the mode for its channels."""
    image_module = pillow("to_pil_image")
    height, width, channels = a.shape
    of_mode = {"LA": 2, "RGB": 3, "YCbCr": 3, "HSV": 3, "RGBA": 4, "CMYK": 4}.get(mode, 1)
    if channels != of_mode:
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    binary = mode == "1"
    data = np.ascontiguousarray(a).tobytes()
    image = image_module.frombytes("L" if binary else mode, (width, height), data)
    if binary:
        return image.convert("1", dither=image_module.Dither.NONE)
    if mode == "P" and like is not None and like.getpalette() is not None:
        image.putpalette(like.getpalette(like.palette.mode), like.palette.mode)
    return image
