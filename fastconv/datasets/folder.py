"""Data sets that are folders of files: a folder for each class, or images beside their masks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..transforms.picture import pillow
from .vision import BrokenImage, Change, VisionDataset, default_loader, pil_loader

IMG_EXTENSIONS = (
    ".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp",
)  # fmt: skip
BROKEN = ("refuse", "check", "skip")
Loader = Callable[[str], Any]


def has_file_allowed_extension(filename: str, extensions: str | Sequence[str]) -> bool:
    """Whether a file name ends in one of the extensions, in any case."""
    ends = (extensions,) if isinstance(extensions, str) else tuple(extensions)
    return filename.lower().endswith(tuple(end.lower() for end in ends))


def is_image_file(filename: str) -> bool:
    """Whether a file name ends as those of images do."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
    """The folders in a folder, in alphabetical order, and their numbers.

    Raises
    ------
    FileNotFoundError
        When there are none.
    """
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"{os.fspath(directory)}: found no folder, expected one per class")
    return classes, {name: i for i, name in enumerate(classes)}


def make_dataset(
    directory: str | os.PathLike[str],
    class_to_idx: Mapping[str, int] | None = None,
    extensions: str | Sequence[str] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """Paths and class numbers of the files in the folders of classes, in alphabetical order.

    Parameters
    ----------
    directory : path
    class_to_idx : mapping, optional
        Names of folders and numbers: `find_classes` when not given.
    extensions : str or sequence of str, optional
    is_valid_file : callable, optional
        Given a path, whether it counts: instead of `extensions`.
    allow_empty : bool
        Classes may have no files.

    Raises
    ------
    ValueError
        For both or neither of `extensions` and `is_valid_file`, or no classes.
    FileNotFoundError
        When a class has no files.
    """
    root = os.path.expanduser(os.fspath(directory))
    if class_to_idx is None:
        class_to_idx = find_classes(root)[1]
    if not class_to_idx:
        raise ValueError("make_dataset: class_to_idx must have at least one class")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("make_dataset: give either extensions or is_valid_file")

    def counts(path: str) -> bool:
        if is_valid_file is not None:
            return is_valid_file(path)
        return has_file_allowed_extension(path, extensions or ())

    found: list[tuple[str, int]] = []
    empty = []
    for name in sorted(class_to_idx):
        folder = os.path.join(root, name)
        before = len(found)
        for place, folders, files in os.walk(folder, followlinks=True):
            folders.sort()
            paths = [os.path.join(place, file) for file in sorted(files)]
            found += [(path, class_to_idx[name]) for path in paths if counts(path)]
        if len(found) == before:
            empty.append(name)
    if empty and not allow_empty:
        ends = "" if extensions is None else f"; extensions are {', '.join(_listed(extensions))}"
        raise FileNotFoundError(f"{root}: found no files of the classes {', '.join(empty)}{ends}")
    return found


def _listed(extensions: str | Sequence[str]) -> list[str]:
    return [extensions] if isinstance(extensions, str) else list(extensions)


def sound(
    what: str, broken: str, samples: Sequence[Any], load: Callable[[Any], Any], depth: int = 3
) -> tuple[list[Any], list[str]]:
    """The samples that can be loaded, and what is wrong with the others.

    With ``broken="refuse"`` nothing is looked at; with "check" broken ones are an error. `depth`:
    calls from here to the user's line, which the warning names.
    """
    if broken not in BROKEN:
        raise ValueError(f"{what}: broken must be one of {', '.join(BROKEN)}, got {broken!r}")
    if broken == "refuse":
        return list(samples), []
    kept, wrong = [], []
    for sample in samples:
        try:
            load(sample)
        except (BrokenImage, OSError, ValueError) as error:
            wrong.append(str(error))
        else:
            kept.append(sample)
    if wrong:
        text = f"{what}: {len(wrong)} of {len(samples)} samples are broken:\n  " + "\n  ".join(
            wrong
        )
        if broken == "check":
            raise BrokenImage(text)
        warnings.warn(f"{text}\nThey are left out.", stacklevel=depth)
    return kept, wrong


class DatasetFolder(VisionDataset):
    """Files in a folder for each class: sample `i` is (what the loader gives, class number).

    Parameters
    ----------
    root : path
        Its folders are the classes, in alphabetical order; files may lie deeper.
    loader : callable
        Of a path.
    extensions : str or sequence of str, optional
        Of the files that count.
    transform, target_transform : callable, optional
    is_valid_file : callable, optional
        Given a path, whether it counts: instead of `extensions`.
    allow_empty : bool
        Classes may have no files.
    broken : {"refuse", "check", "skip"}
        What to do about files that cannot be read. "refuse": an error names the file when it is
        loaded. "check": all are loaded once now, and an error names those that are broken. "skip":
        the same, but a warning names them, and they are left out.

    Attributes
    ----------
    classes : list of str
    class_to_idx : dict
    samples : list of (str, int)
    targets : list of int
    broken : list of str
        What was wrong with the files that are left out.

    Raises
    ------
    FileNotFoundError
        When there are no classes, or no files of one.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        loader: Loader,
        extensions: str | Sequence[str] | None = None,
        transform: Change | None = None,
        target_transform: Change | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
        *,
        broken: str = "refuse",
    ) -> None:
        super().__init__(root, None, transform, target_transform)
        self.loader, self.extensions = loader, extensions
        self.classes, self.class_to_idx = self.find_classes(str(self.root))
        samples = make_dataset(
            str(self.root), self.class_to_idx, extensions, is_valid_file, allow_empty
        )
        name = type(self).__name__
        depth = 3 if type(self) is DatasetFolder else 4
        self.samples, self.broken = sound(name, broken, samples, lambda s: self._load(s[0]), depth)
        self.targets = [target for _, target in self.samples]

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        """Names of the classes and their numbers; a subclass may have others."""
        return find_classes(directory)

    def _load(self, path: str) -> Any:
        return self.loader(path)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self.changed(self._load(path), target)


class ImageFolder(DatasetFolder):
    """Images in a folder for each class: ``root/dog/1.png``, ``root/cat/2.jpg`` and so on.

    Parameters
    ----------
    root : path
    transform, target_transform : callable, optional
    loader : callable
        Of a path: reads RGB images with Pillow when not given.
    is_valid_file, allow_empty, broken
        As in `DatasetFolder`.

    Attributes
    ----------
    imgs : list of (str, int)
        `samples`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Change | None = None,
        target_transform: Change | None = None,
        loader: Loader = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
        *,
        broken: str = "refuse",
    ) -> None:
        super().__init__(
            root,
            loader,
            IMG_EXTENSIONS if is_valid_file is None else None,
            transform,
            target_transform,
            is_valid_file,
            allow_empty,
            broken=broken,
        )
        self.imgs = self.samples


class SegmentationFolder(VisionDataset):
    """Images and their masks: sample `i` is (image, mask), both Pillow images.

    Pairs are found by name, extensions apart: ``images/1.jpg`` and ``masks/1.png``; or with
    a prefix or suffix of their own in one folder: ``image_1.png`` and ``mask_1.png``.

    Parameters
    ----------
    root : path
    images, masks : str
        Folders below `root`, or patterns with one ``*``: ``"image_*.png"``.
    transform, target_transform : callable, optional
        Of the image alone, of the mask alone.
    transforms : callable, optional
        Of both: ``image, mask = transforms(image, mask)``, as `fastconv.transforms` have it.
    mode : str or None
        Pillow's mode of the image ("RGB", "L"), or None for that of the file.
    values : sequence of int, optional
        Values of the mask in the order of their classes: ``(0, 255)`` makes 0 and 1 of them.
        Values that are not among them are an error.
    broken : {"refuse", "check", "skip"}
        As in `DatasetFolder`; a pair of different sizes is broken too.

    Attributes
    ----------
    samples : list of (str, str)

    Raises
    ------
    FileNotFoundError
        When there are no pairs, or an image has no mask.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        images: str = "images",
        masks: str = "masks",
        transform: Change | None = None,
        target_transform: Change | None = None,
        transforms: Change | None = None,
        *,
        mode: str | None = "RGB",
        values: Sequence[int] | None = None,
        broken: str = "refuse",
    ) -> None:
        super().__init__(root, transforms, transform, target_transform)
        self.mode = mode
        self.values = None if values is None else [int(v) for v in values]
        folder = Path(str(self.root))
        left, right = _by_name(folder, images), _by_name(folder, masks)
        if not left:
            raise FileNotFoundError(f"SegmentationFolder: found no images {folder / images}")
        lonely = [str(path) for name, path in left.items() if name not in right]
        if lonely:
            raise FileNotFoundError(
                f"SegmentationFolder: no mask in {folder / masks} for {', '.join(lonely)}"
            )
        pairs = [(str(path), str(right[name])) for name, path in sorted(left.items())]
        self.samples, self.broken = sound("SegmentationFolder", broken, pairs, self._load)

    def _load(self, pair: tuple[str, str]) -> tuple[Any, Any]:
        image, mask = pil_loader(pair[0], self.mode), pil_loader(pair[1], None)
        if image.size != mask.size:
            raise BrokenImage(
                f"{pair[1]}: a mask of {mask.size[0]}×{mask.size[1]} for an image of "
                f"{image.size[0]}×{image.size[1]} ({pair[0]})"
            )
        return image, mask if self.values is None else self._classes(mask, pair[1])

    def _classes(self, mask: Any, path: str) -> Any:
        pixels = np.asarray(mask)
        if pixels.dtype == np.bool_:
            pixels = pixels.astype(np.uint8) * 255
        out = np.full(pixels.shape, 255, np.uint8)
        known = np.zeros(pixels.shape, bool)
        for number, value in enumerate(self.values or ()):
            here = pixels == value
            out[here] = number
            known |= here
        if pixels.ndim != 2 or not known.all():
            other = np.unique(pixels[~known])[:10].tolist()
            raise BrokenImage(f"{path}: values {other} are not among {self.values}")
        return pillow("SegmentationFolder").fromarray(out)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.changed(*self._load(self.samples[index]))


def _by_name(folder: Path, where: str) -> dict[str, Path]:
    """Image files by what tells them apart: the name, or what stands for the ``*``."""
    if where.count("*") > 1:
        raise ValueError(f"SegmentationFolder: a pattern has one *, got {where!r}")
    if "*" not in where:
        place = folder / where
        if not place.is_dir():
            raise FileNotFoundError(f"SegmentationFolder: there is no folder {place}")
        files = {str(p.relative_to(place).with_suffix("")): p for p in sorted(place.rglob("*"))
                 if is_image_file(p.name)}  # fmt: skip
        return files
    before, after = where.split("*")
    found = {}
    for path in sorted(folder.glob(where)):
        name = path.relative_to(folder).as_posix()
        if is_image_file(name):
            found[name[len(before) : len(name) - len(after)]] = path
    return found
