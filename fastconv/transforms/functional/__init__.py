"""The transforms as functions, with torchvision's names: every setting is an argument.

They take and return what the transforms do: a Pillow image, an array (H, W) or (H, W, C), a Tensor
(C, H, W), or a batch (N, C, H, W) as an array or Tensor. Nothing is drawn at random but the values
of `gaussian_noise`.
"""

from .color import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    equalize,
    gaussian_blur,
    gaussian_noise,
    grayscale_to_rgb,
    invert,
    posterize,
    rgb_to_grayscale,
    solarize,
    to_grayscale,
)
from .convert import (
    convert_image_dtype,
    erase,
    get_dimensions,
    get_image_size,
    get_num_channels,
    get_size,
    normalize,
    pil_to_tensor,
    to_dtype,
    to_image,
    to_pil_image,
    to_tensor,
)
from .geometry import (
    affine,
    center_crop,
    crop,
    five_crop,
    hflip,
    horizontal_flip,
    pad,
    perspective,
    resize,
    resized_crop,
    rotate,
    ten_crop,
    vertical_flip,
    vflip,
)

__all__ = [name for name in dir() if not name.startswith("_")]
