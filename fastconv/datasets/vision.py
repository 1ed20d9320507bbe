"""What data sets of images have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ..data import Dataset
from ..transforms.picture import pillow

Change = Callable[..., Any]


class VisionDataset(Dataset[Any]):
    """Base class: a root and transforms of the image, of the target, or of both.

    Parameters
    ----------
    root : path, optional
    transforms : callable, optional
        ``image, target = transforms(image, target)``; excludes the other two.
    transform, target_transform : callable, optional
        Of the image alone, of the target alone.

    Raises
    ------
    ValueError
        For `transforms` beside one of the others.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transforms: Change | None = None,
        transform: Change | None = None,
        target_transform: Change | None = None,
    ) -> None:
        name = type(self).__name__
        if transforms is not None and (transform is not None or target_transform is not None):
            raise ValueError(f"{name}: transforms excludes transform and target_transform")
        given = {
            "transforms": transforms,
            "transform": transform,
            "target_transform": target_transform,
        }
        for argument, value in given.items():
            if value is not None and not callable(value):
                raise TypeError(f"{name}: {argument} must be callable, got {value!r:.80}")
        self.root = None if root is None else os.path.expanduser(os.fspath(root))
        self.transforms = transforms
        self.transform, self.target_transform = transform, target_transform

    def changed(self, image: Any, target: Any) -> tuple[Any, Any]:
        """A sample after its transforms."""
        if self.transforms is not None:
            return self.transforms(image, target)  # type: ignore[no-any-return]
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__")

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}"]
        if self.root is not None:
            lines.append(f"    Root location: {self.root}")
        for name in ("transforms", "transform", "target_transform"):
            value = getattr(self, name)
            if value is not None:
                lines.append(f"    {name}: {value!r}".replace("\n", "\n    "))
        return "\n".join(lines)


class BrokenImage(ValueError):
    """A file that cannot be read as an image; the message names it."""


def pil_loader(path: str | os.PathLike[str], mode: str | None = "RGB") -> Any:
    """Read an image file with Pillow. An orientation in its Exif is not applied.

    Parameters
    ----------
    path : path
    mode : str, optional
        Pillow's mode to convert to: RGB, or None for that of the file.

    Returns
    -------
    PIL.Image.Image

    Raises
    ------
    BrokenImage
        When the file is damaged, cut short, or no image.
    """
    module = pillow("reading image files")
    try:
        with open(path, "rb") as stream, module.open(stream) as image:
            if mode is not None:
                return image.convert(mode)
            image.load()
            return image.copy()
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, module.DecompressionBombError) as error:
        raise BrokenImage(f"{os.fspath(path)}: cannot be read as an image: {error}") from error


default_loader = pil_loader


class ArrayDataset(VisionDataset):
    """Samples of arrays in memory: an image, and a target where there are targets.

    Parameters
    ----------
    images : ndarray or Tensor
        (N, H, W) or (N, H, W, C) as an array, (N, C, H, W) as a Tensor: transforms take one row.
    targets : sequence, ndarray or Tensor, optional
        Labels (N,), or masks (N, H, W).
    transform, target_transform, transforms : callable, optional
        As in `VisionDataset`; `transforms` changes images and masks alike.

    Raises
    ------
    ValueError
        When there are not as many targets as images.
    """

    def __init__(
        self,
        images: Any,
        targets: Any = None,
        transform: Change | None = None,
        target_transform: Change | None = None,
        transforms: Change | None = None,
    ) -> None:
        super().__init__(None, transforms, transform, target_transform)
        if targets is not None and len(targets) != len(images):
            raise ValueError(f"ArrayDataset: {len(images)} images, but {len(targets)} targets")
        self.images, self.targets = images, targets

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        image = self.images[index]
        if self.targets is None:
            return image if self.transform is None else self.transform(image)
        target = self.targets[index]
        if isinstance(target, np.integer):
            target = int(target)
        return self.changed(image, target)


class FakeData(VisionDataset):
    """Random images and labels, always the same ones, to try a program with.

    Parameters
    ----------
    size : int
        Samples.
    image_size : (int, int, int)
        Channels, height, width.
    num_classes : int
    transform, target_transform : callable, optional
    random_offset : int
        Added to the index that seeds a sample.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Change | None = None,
        target_transform: Change | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(None, None, transform, target_transform)
        if len(image_size) != 3 or min(image_size) < 1:
            raise ValueError(
                f"FakeData: image_size must be (channels, height, width), got {image_size!r}"
            )
        self.size, self.num_classes = size, num_classes
        self.image_size, self.random_offset = tuple(image_size), random_offset

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not -self.size <= index < self.size:
            raise IndexError(f"FakeData: index {index} is out of range for {self.size} samples")
        from ..transforms.functional import to_pil_image

        rng = np.random.default_rng(index % self.size + self.random_offset)
        channels, height, width = self.image_size
        pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
        return self.changed(to_pil_image(pixels), int(rng.integers(self.num_classes)))
