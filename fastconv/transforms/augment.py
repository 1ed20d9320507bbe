"""Erased boxes, and mixtures of the images of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd import TensorBase
from ..data.sample import draws
from ..tensor import Tensor, wrap
from .geometry import between
from .picture import Array, Picture
from .pixels import filters
from .transform import PixelTransform, Transform, chance, flatten, rebuilt

Box = tuple[int, int, int, int]


class RandomErasing(PixelTransform):
    """Overwrite a box of random size, shape and place, with probability `p`. Masks stay.

    Parameters
    ----------
    p : float
    scale : (float, float)
        Range of the box's share of the area.
    ratio : (float, float)
        Range of height over width, drawn evenly on a logarithmic scale.
    value : number, sequence, or "random"
        One value, one for each channel, or standard normal noise.
    inplace : bool
        Write into the memory of the image.

    Raises
    ------
    ValueError
        For ranges out of order, or a value that does not fit the channels.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0.0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        self.p = chance("RandomErasing", p)
        self.scale = between("RandomErasing", "scale", scale, 0, 1)
        self.ratio = between("RandomErasing", "ratio", ratio, 0)
        if self.ratio[0] <= 0:
            raise ValueError(f"RandomErasing: ratio must be positive, got {ratio!r}")
        if isinstance(value, str):
            if value != "random":
                raise ValueError(
                    f"RandomErasing: value as a string must be 'random', got {value!r}"
                )
        elif not isinstance(value, (int, float, np.number, Sequence, np.ndarray)):
            raise TypeError(
                f"RandomErasing: value must be a number, a sequence or 'random', got {value!r}"
            )
        self.value, self.inplace = value, inplace

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """A box of each image, or None, and what goes into it."""
        channels = picture.pixels.shape[1]
        value: Any = self.value
        if not isinstance(value, str):
            value = np.asarray(value, np.float64).reshape(-1, 1, 1)
            if len(value) not in (1, channels):
                raise ValueError(
                    f"RandomErasing: value must be one number or one for each of {channels} "
                    f"channels, got {self.value!r}"
                )
        boxes: list[Box | None] = []
        values: list[Any] = []
        for _ in range(picture.count):
            box = self._box(rng, *picture.size) if rng.random() < self.p else None
            noise = isinstance(value, str) and box is not None
            boxes.append(box)
            values.append(rng.standard_normal((channels, *box[2:])) if noise and box else value)
        return boxes, values

    def _box(self, rng: np.random.Generator, height: int, width: int) -> Box | None:
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(low, high))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if h < height and w < width:
                top = int(rng.integers(0, height - h + 1))
                return top, int(rng.integers(0, width - w + 1)), h, w
        return None

    def image(self, picture: Picture, drawn: Any) -> Array:
        """The pixels with the boxes in them."""
        boxes, values = drawn
        if not any(boxes):
            return picture.pixels
        if picture.pixels.dtype.kind != "f":
            values = [v if isinstance(v, str) else np.rint(v) for v in values]
        return filters.erased(picture.pixels, boxes, values, self.inplace and not picture.pil)


class _Mix(Transform):
    """What MixUp and CutMix share: a batch and its labels, mixed with the next sample's."""

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        num_classes: int | None = None,
        labels_getter: str | Callable[[Any], Any] | None = "default",
    ) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"{type(self).__name__}: alpha must be positive, got {alpha}")
        self.alpha, self.num_classes = float(alpha), num_classes
        self._labels_getter = labels_getter

    def _labels(self, tree: Any, images: Any) -> Any:
        what = type(self).__name__
        if callable(self._labels_getter):
            return self._labels_getter(tree)
        leaves = flatten(tree)
        for name, leaf in leaves:
            if name.lower() in ("label", "labels", "target", "targets"):
                return leaf
        if not isinstance(tree, Mapping):
            for _, leaf in leaves:
                if leaf is not images and isinstance(leaf, (TensorBase, np.ndarray)):
                    return leaf
        raise ValueError(f"{what}: found no labels beside the images: give labels_getter")

    def _one_hot(self, labels: Any) -> Array:
        what = type(self).__name__
        a = labels._array if isinstance(labels, TensorBase) else np.asarray(labels)
        if a.ndim == 2:
            return a.astype(np.float32) if a.dtype.kind != "f" else a
        if a.ndim != 1 or a.dtype.kind not in "iu":
            raise ValueError(
                f"{what}: labels must be class indices (N,) or scores (N, classes), got shape "
                f"{a.shape} {a.dtype}"
            )
        if self.num_classes is None:
            raise ValueError(f"{what}: num_classes is needed to make scores of class indices")
        if a.size and not 0 <= a.min() <= a.max() < self.num_classes:
            raise ValueError(
                f"{what}: labels must be from 0 to {self.num_classes - 1}, "
                f"got {a.min()} to {a.max()}"
            )
        return np.eye(self.num_classes, dtype=np.float32)[a]

    def forward(self, *inputs: Any) -> Any:
        """The inputs with images mixed, and scores (N, num_classes) in place of labels."""
        what = type(self).__name__
        tree = inputs if len(inputs) > 1 else inputs[0]
        leaves = [leaf for _, leaf in flatten(tree)]
        images = next(
            (x for x in leaves if isinstance(x, (Tensor, np.ndarray)) and x.ndim >= 4), None
        )
        if images is None:
            raise ValueError(f"{what}: expected a batch of images (N, C, H, W): use it after the "
                             "DataLoader, or in its collate_fn")  # fmt: skip
        a = images._array if isinstance(images, TensorBase) else images
        if a.dtype.kind != "f":
            raise TypeError(f"{what}: images must be floating-point, got {a.dtype}")
        labels = self._labels(tree, images)
        scores = self._one_hot(labels)
        if len(scores) != len(a):
            raise ValueError(f"{what}: {len(a)} images, but {len(scores)} labels")
        share = float(draws().beta(self.alpha, self.alpha))
        mixed, share = self.mix(a, share)
        kind = scores.dtype.type
        scores = np.roll(scores, 1, 0) * kind(1 - share) + scores * kind(share)
        new = {id(images): mixed, id(labels): scores}
        out = [
            x if id(x) not in new else wrap(new[id(x)]) if isinstance(x, TensorBase) else new[id(x)]
            for x in leaves
        ]
        return rebuilt(tree, iter(out))

    def mix(self, a: Array, share: float) -> tuple[Array, float]:
        """The images mixed, and the share of each one's own."""
        raise NotImplementedError


class MixUp(_Mix):
    """Each image of a batch mixed with the one before it, and their labels alike.

    ``lam * x + (1 - lam) * roll(x, 1)``, lam drawn once from Beta(alpha, alpha) (Zhang et al.
    2018).

    Parameters
    ----------
    alpha : float
    num_classes : int, optional
        Needed where labels are class indices: they become scores (N, num_classes).
    labels_getter : callable, optional
        Finds the labels in the input; by default they are named "labels", or beside the images.
    """

    def mix(self, a: Array, share: float) -> tuple[Array, float]:
        """Sums of images."""
        kind = a.dtype.type
        return a * kind(share) + np.roll(a, 1, 0) * kind(1 - share), share


class CutMix(_Mix):
    """In each image of a batch a box of the one before it, and their labels by area.

    The box is the same in all, of a share ``1 - lam`` of the area, lam drawn from
    Beta(alpha, alpha), about a place drawn evenly, and cut at the edges (Yun et al. 2019).

    Parameters
    ----------
    alpha, num_classes, labels_getter
        As in `MixUp`.
    """

    def mix(self, a: Array, share: float) -> tuple[Array, float]:
        """Boxes of other images."""
        rng = draws()
        height, width = a.shape[-2:]
        x, y = int(rng.integers(width)), int(rng.integers(height))
        half = 0.5 * math.sqrt(1.0 - share)
        across, down = int(half * width), int(half * height)
        left, top = max(x - across, 0), max(y - down, 0)
        right, bottom = min(x + across, width), min(y + down, height)
        out = a.copy("K")
        out[..., top:bottom, left:right] = np.roll(a, 1, 0)[..., top:bottom, left:right]
        return out, 1.0 - (right - left) * (bottom - top) / (width * height)


Mixup, Cutmix = MixUp, CutMix
