"""Kinds and types of images: Pillow, Tensor, value types; normalising, erasing, sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...autograd import TensorBase
from ...tensor import Tensor, wrap
from ..picture import Array, Picture, is_picture, is_pil, to_pil
from ..pixels import filters
from ..pixels.values import converted

FLOAT32 = np.dtype(np.float32)


def tensor_of(picture: Picture, scale: bool) -> Tensor:
    """The picture as a Tensor (C, H, W), or a batch as (N, C, H, W), in plain memory.

    With `scale`, uint8 becomes float32 from 0 to 1.
    """
    a = picture.pixels
    if scale and a.dtype == np.uint8:
        a = np.divide(a, 255, dtype=FLOAT32, order="C")
    else:
        a = np.array(a, order="C")
    return wrap(a if picture.batch else a[0])  # type: ignore[no-any-return]


def mask_tensor(picture: Picture) -> Any:
    """A mask as a Tensor (H, W), or (N, H, W), of its values: int64, or what they are."""
    a = picture.pixels
    if picture.mode == "1":
        a = (a != 0).astype(np.int64)
    elif a.dtype.kind in "iu":
        a = a.astype(np.int64)
    a = np.array(a, order="C")
    if a.shape[1] == 1:
        a = a[:, 0]
    return wrap(a if picture.batch else a[0])


def _source(what: str, inpt: Any) -> Picture:
    if not (is_pil(inpt) or isinstance(inpt, np.ndarray)):
        raise TypeError(f"{what}: expected a Pillow image or an array, got {type(inpt).__name__}")
    return Picture(inpt, what)


def to_tensor(inpt: Any) -> Tensor:
    """A Pillow image or array as a Tensor (C, H, W); uint8 becomes float32 from 0 to 1.

    Raises
    ------
    TypeError
        For anything else.
    """
    return tensor_of(_source("to_tensor", inpt), True)


def pil_to_tensor(inpt: Any) -> Tensor:
    """A Pillow image as a Tensor (C, H, W) of the type it has.

    Raises
    ------
    TypeError
        For anything but a Pillow image.
    """
    if not is_pil(inpt):
        raise TypeError(f"pil_to_tensor: expected a Pillow image, got {type(inpt).__name__}")
    return tensor_of(Picture(inpt, "pil_to_tensor"), False)


def to_image(inpt: Any) -> Tensor:
    """A Pillow image or an array as a Tensor (C, H, W) of the type it has; a Tensor stays."""
    if isinstance(inpt, TensorBase):
        return inpt  # type: ignore[return-value]
    return tensor_of(_source("to_image", inpt), False)


def to_pil_image(inpt: Any, mode: str | None = None) -> Any:
    """A Tensor (C, H, W) or an array (H, W, C), or (H, W), as a Pillow image.

    Values of floating point are taken for 0 to 1 and become uint8, ``trunc(255 x)``; others stay.

    Parameters
    ----------
    inpt : Tensor or ndarray
    mode : str, optional
        Pillow's mode: by type and channels when not given ("L", "LA", "RGB", "RGBA", "I", "I;16").

    Raises
    ------
    TypeError, ValueError
        For another type, number of axes or channels, or a mode that does not fit.
    """
    if is_pil(inpt) or not is_picture(inpt):
        raise TypeError(f"to_pil_image: expected a Tensor or an array, got {type(inpt).__name__}")
    picture = Picture(inpt, "to_pil_image")
    if picture.batch:
        raise ValueError(f"to_pil_image: expected one image, got a batch {picture.pixels.shape}")
    a = picture.pixels[0].transpose(1, 2, 0)
    channels = a.shape[2]
    if channels > 4 or channels == 0:
        raise ValueError(f"to_pil_image: expected 1 to 4 channels, got {channels}")
    if a.dtype.kind == "f" and mode != "F":
        a = (a * 255).astype(np.uint8)
    kinds = {"uint8": "L", "int16": "I;16", "uint16": "I;16", "int32": "I", "float32": "F"}
    if channels == 1:
        usual = kinds.get(str(a.dtype))
        if a.dtype == np.bool_:
            a, usual = a.astype(np.uint8) * 255, "1"
        allowed: tuple[Any, ...] = (usual,)
    else:
        if a.dtype != np.uint8:
            raise TypeError(
                f"to_pil_image: images of {channels} channels must be uint8 or floating-point, "
                f"got {a.dtype}"
            )
        allowed = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}[channels]
        usual = allowed[0]
    if usual is None:
        raise TypeError(f"to_pil_image: Pillow has no mode for values of {a.dtype}")
    if mode is not None and mode not in allowed:
        raise ValueError(
            f"to_pil_image: mode must be one of {allowed} for {channels} channels of {a.dtype}, "
            f"got {mode!r}"
        )
    return to_pil(a, mode or usual)


def to_dtype(inpt: Any, dtype: Any = dtypes.float32, scale: bool = False) -> Any:
    """Values in another type; with `scale`, white stays white (see `ConvertImageDtype`)."""
    picture = Picture(inpt, "to_dtype")
    if picture.pil:
        raise TypeError("to_dtype: Pillow images are uint8: make a Tensor of it first (to_image)")
    return picture.result(converted(picture.pixels, dtypes.to_numpy_dtype(dtype), scale))


def convert_image_dtype(inpt: Any, dtype: Any = dtypes.float32) -> Any:
    """Values in another type, white as white: `to_dtype` with ``scale=True``."""
    return to_dtype(inpt, dtype, True)


def channel_values(what: str, name: str, values: Any, a: Array) -> Array:
    """One value for each channel, or one for all, as an array that broadcasts over (N, C, H, W)."""
    found = np.asarray(values._array if isinstance(values, TensorBase) else values, a.dtype)
    if found.ndim > 1 or found.size not in (1, a.shape[1]):
        raise ValueError(
            f"{what}: {name} must be one value or one for each of {a.shape[1]} channels, "
            f"got shape {found.shape}"
        )
    return found.reshape(-1, 1, 1)


def normalized(picture: Picture, mean: Any, std: Any, inplace: bool = False) -> Array:
    """``(pixels - mean) / std``."""
    a = picture.pixels
    if picture.pil or a.dtype.kind != "f":
        kind = "a Pillow image" if picture.pil else f"values of {a.dtype}"
        raise TypeError(
            f"normalize: expected floating-point values, got {kind}: use ToTensor first"
        )
    centre = channel_values("normalize", "mean", mean, a)
    spread = channel_values("normalize", "std", std, a)
    if (spread == 0).any():
        raise ValueError(f"normalize: std must not be zero as {a.dtype}, got {std!r}")
    if inplace:
        np.subtract(a, centre, out=a)
        return np.divide(a, spread, out=a)
    out = a - centre
    out /= spread
    return out


def normalize(inpt: Any, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Any:
    """``(image - mean) / std``, a value for each channel.

    Raises
    ------
    TypeError
        Unless the values are floating-point.
    ValueError
        When a std is zero, or the numbers do not fit the channels.
    """
    picture = Picture(inpt, "normalize")
    return picture.result(normalized(picture, mean, std, inplace))


def erase(inpt: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """The box of height `h` and width `w` at row `i`, column `j` overwritten with `v`.

    `v` is a number, or a Tensor or array that broadcasts to (C, h, w).
    """
    picture = Picture(inpt, "erase")
    value = v._array if isinstance(v, TensorBase) else v
    boxes, values = [(i, j, h, w)] * picture.count, [value] * picture.count
    return picture.result(
        filters.erased(picture.pixels, boxes, values, inplace and not picture.pil)
    )


def get_dimensions(inpt: Any) -> list[int]:
    """Channels, height and width."""
    return list(Picture(inpt, "get_dimensions").pixels.shape[1:])


def get_size(inpt: Any) -> list[int]:
    """Height and width."""
    return list(Picture(inpt, "get_size").size)


def get_image_size(inpt: Any) -> list[int]:
    """Width and height, as the first torchvision had it."""
    return list(Picture(inpt, "get_image_size").size)[::-1]


def get_num_channels(inpt: Any) -> int:
    """Channels."""
    return int(Picture(inpt, "get_num_channels").pixels.shape[1])
