"""Transforms of kind and type: Tensor, Pillow, value types, normalising."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes
from .functional.convert import mask_tensor, normalized, tensor_of, to_pil_image
from .picture import Array, Picture
from .pixels.values import converted
from .transform import Crops, PixelTransform, Sample, Transform, flatten, rebuilt


class _ToTensor(Transform):
    steps = True
    scale = False

    def step(self, sample: Sample) -> None:
        """Put Tensors in place of images and masks."""
        for i, picture in sample.pictures.items():
            if not picture.tensor:
                made = mask_tensor(picture) if picture.mask else tensor_of(picture, self.scale)
                new = Picture(made, type(self).__name__, picture.mask, picture.batch)
                sample.pictures[i] = new
                if picture is sample.image:
                    sample.image = new

    def forward(self, *inputs: Any) -> Any:
        """The inputs with Tensors in place of images and masks."""
        sample = Sample(inputs if len(inputs) > 1 else inputs[0], type(self).__name__)
        self.step(sample)
        return sample.rebuild()


class ToTensor(_ToTensor):
    """Pillow images and arrays (H, W, C) to Tensors (C, H, W).

    uint8 becomes float32 from 0 to 1, other types stay. A mask becomes an int64 Tensor (H, W) of
    its values, not scaled. Tensors stay as they are.
    """

    scale = True


class ToImage(_ToTensor):
    """Pillow images and arrays (H, W, C) to Tensors (C, H, W) of the type they have."""


class PILToTensor(_ToTensor):
    """Pillow images to Tensors (C, H, W) of the type they have."""


class ToPureTensor(Transform):
    """Nothing: Tensors have no subclasses for images here."""

    def forward(self, *inputs: Any) -> Any:
        """The inputs."""
        return inputs if len(inputs) > 1 else inputs[0]


class Identity(ToPureTensor):
    """Nothing."""


class ToPILImage(Transform):
    """Tensors (C, H, W) and arrays (H, W, C) to Pillow images.

    Parameters
    ----------
    mode : str, optional
        Pillow's mode: by type and channels when not given.
    """

    def __init__(self, mode: str | None = None) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, *inputs: Any) -> Any:
        """The inputs with Pillow images in place of image and masks."""
        sample = Sample(inputs if len(inputs) > 1 else inputs[0], "ToPILImage")
        results = {}
        for i, picture in sample.pictures.items():
            if not picture.pil:
                mode = None if picture.mask else self.mode
                source = picture.source
                if picture.mask and picture.pixels.dtype.kind in "iu":
                    source = picture.pixels[0].transpose(1, 2, 0)
                    small = source.min(initial=0) >= 0 and source.max(initial=0) <= 255
                    source = source.astype("uint8" if small else "int32")
                results[i] = to_pil_image(source, mode)
        return sample.rebuild(results)


class ToDtype(PixelTransform):
    """Values of the image in another type; masks stay.

    Parameters
    ----------
    dtype : dtype
    scale : bool
        White stays white: uint8 0 to 255 becomes floating-point 0 to 1, and back.
    """

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        self.dtype, self.scale = dtypes.from_numpy_dtype(dtypes.to_numpy_dtype(dtype)), scale

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels in the type."""
        if picture.pil:
            raise TypeError("ToDtype: Pillow images are uint8: make Tensors first (ToImage)")
        return converted(picture.pixels, self.dtype.dtype, self.scale)

    def extra_repr(self) -> str:
        """The settings."""
        return f"dtype={self.dtype}, scale={self.scale}"


class ConvertImageDtype(ToDtype):
    """Values of the image in another type, white as white.

    Parameters
    ----------
    dtype : dtype
    """

    def __init__(self, dtype: Any = dtypes.float32) -> None:
        super().__init__(dtype, True)


class Normalize(PixelTransform):
    """``(image - mean) / std`` of floating-point values, a number for each channel; masks stay.

    Parameters
    ----------
    mean, std : sequence of float
    inplace : bool
        Write into the memory of the image.

    Raises
    ------
    ValueError
        When a std is zero, or the numbers do not fit the channels.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = list(mean), list(std), inplace

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels normalised."""
        return normalized(picture, self.mean, self.std, self.inplace)


class Lambda(Transform):
    """A function of one's own, of every leaf of the input that is of one of the types.

    The windows of `FiveCrop` and `TenCrop` are one leaf: the function gets the tuple.

    Parameters
    ----------
    lambd : callable
    *types : type
        All when not given.
    """

    takes_crops = True

    def __init__(self, lambd: Callable[[Any], Any], *types: type) -> None:
        super().__init__()
        if not callable(lambd):
            raise TypeError(f"Lambda: expected a callable, got {type(lambd).__name__}")
        self.lambd, self.types = lambd, types or (object,)

    def forward(self, *inputs: Any) -> Any:
        """The inputs with the function's results."""
        outputs = tuple(self._changed(tree) for tree in inputs)
        return outputs if len(inputs) > 1 else outputs[0]

    def _changed(self, tree: Any) -> Any:
        leaves = [tree] if isinstance(tree, Crops) else [leaf for _, leaf in flatten(tree)]
        new = [self.lambd(leaf) if isinstance(leaf, self.types) else leaf for leaf in leaves]
        return new[0] if isinstance(tree, Crops) else rebuilt(tree, iter(new))

    def extra_repr(self) -> str:
        """The function's name."""
        return getattr(self.lambd, "__name__", type(self.lambd).__name__)
