"""Pictures in a folder for each class: read, looked at once, divided, prepared for a network."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastconv import transforms
from fastconv.cli.arguments import CommandError, UsageError
from fastconv.cli.classify import Part
from fastconv.data import Dataset
from fastconv.datasets import ImageFolder, pil_loader
from fastconv.train import stratified_split

__all__ = ["AUGMENTATIONS", "IMAGENET", "Pictures", "Preparation", "parts", "read"]

LAYOUT = (
    "expected a folder for each class with its pictures (cat/1.jpg, dog/1.jpg), or train/ and val/ "
    "(and test/) with such folders in them"
)
VALIDATION_NAMES = ("val", "valid", "validation")
#: Mean and standard deviation of ImageNet's pixels, from 0 to 1, as its networks are given them.
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def imagenet(channels: int) -> tuple[list[float], list[float]]:
    """ImageNet's mean and deviation, the mean over its channels for grey pictures."""
    if channels == 1:
        return [float(np.mean(IMAGENET[0]))], [float(np.mean(IMAGENET[1]))]
    return IMAGENET


#: Changes of training pictures, by name.
AUGMENTATIONS = ("crop", "flip", "color", "erase")
#: Least share of the area in a random crop.
CROPPED = 0.5
#: Share of the shorter side that is shown where training crops, as torchvision's networks have it.
SHOWN = 0.875


class Samples(NamedTuple):
    """Paths and labels, with the moments of each picture's pixels."""

    paths: list[str]
    labels: np.ndarray  # (N,) int64
    moments: np.ndarray  # (N, 2, C): means of pixels and of their squares, from 0 to 1

    def take(self, indices: np.ndarray) -> Samples:
        """Some of them."""
        return Samples([self.paths[i] for i in indices], self.labels[indices],
                       self.moments[indices])  # fmt: skip


class Pictures(NamedTuple):
    """A folder of pictures, divided."""

    train: Samples
    validation: Samples
    test: Samples | None
    classes: list[str]
    broken: list[str]  # what is wrong with those left out

    def mean_std(self) -> tuple[list[float], list[float]]:
        """Of the pixels of the training pictures, each picture counting alike, by channel."""
        mean, square = self.train.moments.mean(axis=0)
        std = np.sqrt(np.maximum(square - mean * mean, 0))
        return mean.tolist(), np.maximum(std, 1e-3).tolist()


class Preparation(NamedTuple):
    """What is done to a picture before the network sees it."""

    image_size: int
    resize: int
    mean: Sequence[float]
    std: Sequence[float]
    augment: tuple[str, ...] = ()

    def transform(self, train: bool) -> Any:
        """A picture of Pillow's as a Tensor (C, image_size, image_size)."""
        augment = self.augment if train else ()
        size = self.image_size
        steps: list[Any] = [transforms.Resize(self.resize), transforms.CenterCrop(size)]
        if "crop" in augment:
            steps = [transforms.RandomResizedCrop(size, scale=(CROPPED, 1.0))]
        if "flip" in augment:
            steps.append(transforms.RandomHorizontalFlip())
        if "color" in augment:
            steps.append(transforms.ColorJitter(0.3, 0.3, 0.3))
        steps += [transforms.ToTensor(), transforms.Normalize(self.mean, self.std)]
        if "erase" in augment:
            steps.append(transforms.RandomErasing())
        return transforms.Compose(steps)


def resize_for(image_size: int, augment: Sequence[str]) -> int:
    """The shorter side of a picture that is looked at: cropping in training makes things larger."""
    return round(image_size / SHOWN) if "crop" in augment else image_size


def upright(path: str, mode: str) -> Any:
    """A picture, turned as its camera says."""
    picture = pil_loader(path, mode)
    from PIL import ImageOps

    return ImageOps.exif_transpose(picture)


class Files(Dataset[Any]):
    """Picture files: sample `i` is (what the transform makes of it, label)."""

    def __init__(self, samples: Samples, mode: str, transform: Any) -> None:
        self.samples, self.mode, self.transform = samples, mode, transform

    def __len__(self) -> int:
        return len(self.samples.paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        picture = upright(self.samples.paths[index], self.mode)
        return self.transform(picture), int(self.samples.labels[index])

    def picture(self, index: int) -> np.ndarray:
        """What the network sees, grey (H, W), from 0 to 1."""
        plain = transforms.Compose(self.transform.transforms[:-1])
        pixels = plain(upright(self.samples.paths[index], self.mode))
        grey: np.ndarray = np.asarray(pixels).mean(axis=0)
        return grey


class _Folder(ImageFolder):
    """The folder of one part: with the classes of the training part, if that was read before."""

    def __init__(self, root: Path, mode: str, classes: list[str] | None) -> None:
        self.given = classes
        self.moments: dict[str, np.ndarray] = {}
        self.mode = mode
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `broken` names them
            super().__init__(
                root, loader=self._look, allow_empty=classes is not None, broken="skip"
            )

    def _look(self, path: str) -> Any:
        picture = upright(path, self.mode)
        pixels = np.asarray(picture, np.float64).reshape(picture.height * picture.width, -1) / 255
        self.moments[path] = np.stack([pixels.mean(0), (pixels * pixels).mean(0)])
        if len(self.moments) % 100 == 0 and sys.stderr.isatty():
            print(
                f"\r{len(self.moments)} pictures looked at", end="\r", file=sys.stderr, flush=True
            )
        return picture

    def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
        """Folders whose names begin with a dot are not classes."""
        found = sorted(p.name for p in Path(directory).iterdir()
                       if p.is_dir() and not p.name.startswith("."))  # fmt: skip
        if not found:
            raise CommandError(f"{directory} has no folders: {LAYOUT}")
        if self.given is None:
            if len(found) == 1:
                raise CommandError(
                    f"{directory} has only one class, {found[0]}: there is nothing to tell it "
                    f"from; {LAYOUT}"
                )
            self.given = found
        unknown = [name for name in found if name not in self.given]
        if unknown:
            raise CommandError(
                f"{directory} has folders that are not among the training classes: "
                f"{', '.join(unknown)}; the classes are {', '.join(self.given)}"
            )
        return self.given, {name: i for i, name in enumerate(self.given)}

    def found(self) -> Samples:
        """What can be read."""
        paths = [path for path, _ in self.samples]
        moments = np.array([self.moments[path] for path in paths])
        return Samples(paths, np.array(self.targets, np.int64), moments)


def read(root: Path, channels: int, share: float | None, seed: int) -> Pictures:
    """Read and divide the pictures of a folder.

    Parameters
    ----------
    root : Path
    channels : int
        1: pictures become grey; 3: red, green and blue.
    share : float, optional
        Of the training pictures that validate, where there is no folder for that.
    seed : int
        Of that draw.

    Raises
    ------
    UsageError
        If there is no such folder, or `share` does not fit.
    CommandError
        If it is laid out otherwise, or a class has no picture that can be read.
    """
    if not root.is_dir():
        raise UsageError(f"argument --data: there is no folder {root}")
    if channels not in (1, 3):
        raise UsageError(f"pictures have 1 or 3 channels, the network takes {channels}")
    mode = "L" if channels == 1 else "RGB"
    inside = {p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")}
    divided = "train" in inside and inside <= {"train", "test", *VALIDATION_NAMES}
    first = _read(root / "train" if divided else root, mode, None)
    classes, broken = first.classes, list(first.broken)
    train, test = first.found(), None
    validation_folder = next((n for n in VALIDATION_NAMES if divided and n in inside), None)
    if divided and "test" in inside:
        test, wrong = _other(root / "test", mode, classes)
        broken += wrong
    if validation_folder is not None:
        if share is not None:
            raise UsageError(
                f"argument --validation: {root / validation_folder} is there to validate with"
            )
        validation, wrong = _other(root / validation_folder, mode, classes)
        broken += wrong
    else:
        fit, held = stratified_split(train.labels, 0.2 if share is None else share, seed)
        train, validation = train.take(fit), train.take(held)
        if not len(held):
            raise UsageError(
                f"argument --validation: leaves no picture of {len(fit)} to validate with: give a "
                "larger share, or more pictures"
            )
    counts = np.bincount(train.labels, minlength=len(classes))
    empty = [name for name, count in zip(classes, counts) if not count]
    if empty:
        raise CommandError(
            f"no training pictures of {', '.join(empty)}: add some, or remove the folder"
            + (", or give a smaller --validation" if validation_folder is None else "")
        )
    return Pictures(train, validation, test, classes, broken)


def _read(folder: Path, mode: str, classes: list[str] | None) -> _Folder:
    try:
        found = _Folder(folder, mode, classes)
    except FileNotFoundError as error:
        raise CommandError(f"{error}; put pictures there or remove the folder") from None
    read = np.bincount(found.targets, minlength=len(found.classes)) if found.targets else [0]
    lost = [name for name, count in zip(found.classes, read) if not count]
    if classes is None and lost:
        raise CommandError(
            f"{folder}: no picture of {', '.join(lost)} can be read:\n  "
            + "\n  ".join(found.broken[:10])
        )
    return found


def _other(folder: Path, mode: str, classes: list[str]) -> tuple[Samples, list[str]]:
    found = _read(folder, mode, classes)
    if not found.samples:
        raise CommandError(f"{folder} has no pictures that can be read: fill it or remove it")
    return found.found(), list(found.broken)


def parts(pictures: Pictures, preparation: Preparation) -> tuple[Part, Part, Part]:
    """To train, validate and test with; what validates tests too where there is nothing else."""
    mode = "L" if len(preparation.mean) == 1 else "RGB"

    def part(samples: Samples, train: bool) -> Part:
        files = Files(samples, mode, preparation.transform(train))
        return Part(files, samples.labels, files.picture)

    validation = part(pictures.validation, False)
    test = validation if pictures.test is None else part(pictures.test, False)
    return part(pictures.train, True), validation, test
