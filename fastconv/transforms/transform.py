"""What a transform is called with, and the class they all have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..data.sample import draws
from ..nn import Module
from .picture import Array, Picture, is_picture, is_pil

#: Names in a mapping that never stand for the image.
MASK_NAMES = ("mask", "masks", "label", "labels", "target", "targets")


def flatten(tree: Any, name: str = "") -> list[tuple[str, Any]]:
    """Leaves of nested tuples, lists and mappings, each with the name of its nearest key."""
    if isinstance(tree, Mapping):
        return [leaf for key, item in tree.items() for leaf in flatten(item, str(key))]
    if isinstance(tree, (tuple, list)):
        return [leaf for item in tree for leaf in flatten(item, name)]
    return [(name, tree)]


def rebuilt(tree: Any, leaves: Any) -> Any:
    """The same nest around other leaves, taken from an iterator."""
    if isinstance(tree, Mapping):
        items = {key: rebuilt(item, leaves) for key, item in tree.items()}
        return items if type(tree) is dict else type(tree)(items)  # type: ignore[call-arg]
    if isinstance(tree, (tuple, list)):
        parts = [rebuilt(item, leaves) for item in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return next(leaves)


class Sample:
    """The leaves of a call: the image, the masks that go with it, and what stays as it is.

    The first image (a Pillow image, an array or a Tensor of two axes or more) is the image. Every
    other one of its height and width is a mask of it. Numbers, strings, labels and all else pass.

    Raises
    ------
    TypeError
        When there is no image.
    ValueError
        When what would be a mask has another size.
    """

    def __init__(self, tree: Any, what: str) -> None:
        self.tree = tree
        self.leaves = [leaf for _, leaf in flatten(tree)]
        self.pictures: dict[int, Picture] = {}
        found = [(i, name) for i, (name, leaf) in enumerate(flatten(tree)) if is_picture(leaf)]
        first = next((i for i, name in found if name not in MASK_NAMES), None)
        if first is None:
            kinds = ", ".join(type(leaf).__name__ for leaf in self.leaves)
            raise TypeError(
                f"{what}: expected a Pillow image, an array or a Tensor of an image, got {kinds}"
            )
        self.image = Picture(self.leaves[first], what)
        self.pictures[first] = self.image
        for i, _ in found:
            if i == first:
                continue
            leaf = self.leaves[i]
            axes = 2 if is_pil(leaf) else leaf.ndim
            if self.image.batch and axes < 3:
                continue  # labels of a batch, one row for each image
            mask = Picture(leaf, what, True, self.image.batch)
            if mask.size != self.image.size or mask.count != self.image.count:
                raise ValueError(
                    f"{what}: an array beside the image is taken for its mask, and must have its "
                    f"height and width: image {_shape(self.image)}, mask {_shape(mask)}"
                )
            self.pictures[i] = mask

    def rebuild(self, results: Mapping[int, Any] | None = None) -> Any:
        """The nest with results in place of pictures: when not given, what their pixels are now."""
        if results is None:
            results = {i: picture.result(picture.pixels) for i, picture in self.pictures.items()}
        leaves = [results.get(i, leaf) for i, leaf in enumerate(self.leaves)]
        return rebuilt(self.tree, iter(leaves))


def _shape(picture: Picture) -> tuple[int, ...]:
    source = picture.source
    return (source.height, source.width) if picture.pil else tuple(source.shape)


class Crops(tuple[Any, ...]):
    """Several windows of one image. Transforms that follow change each; `Lambda` gets the tuple."""


class Transform(Module):
    """Base class of transforms: ``t(image)``, ``t(image, mask)``, ``t((image, label))`` and so on.

    The call takes any nest of tuples, lists and mappings, finds the image in it, and changes it and
    its masks alike (see `Sample`); what else there is passes. A batch (N, C, H, W) gets parameters
    for each image of its own.

    Subclasses of one's own define `transform`, and `make_params` where they draw at random: from
    ``fastconv.data.sample.draws()``, so that the same comes for any number of workers.
    """

    steps = False  # whether `step` does all that the call does
    takes_crops = False  # whether it gets `Crops` as they are, not one by one

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        """The inputs changed; of the crops of `FiveCrop` each one by itself."""
        counts = {len(x) for x in inputs if isinstance(x, Crops)}
        if not counts or self.takes_crops:
            return super().__call__(*inputs, **kwargs)
        found = [
            super(Transform, self).__call__(*(x[k] if isinstance(x, Crops) else x for x in inputs))
            for k in range(counts.pop())
        ]
        if len(inputs) == 1:
            return Crops(found)
        columns = zip(*found, strict=True)
        return tuple(
            Crops(new) if isinstance(old, Crops) else new[0]
            for old, new in zip(inputs, columns, strict=True)
        )

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """What is drawn once for a call: given to `transform` for the image and its masks."""
        return {}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The image, or a mask, changed."""
        raise NotImplementedError(f"{type(self).__name__} does not define transform")

    def forward(self, *inputs: Any) -> Any:
        """The inputs with the image and its masks changed."""
        sample = Sample(inputs if len(inputs) > 1 else inputs[0], type(self).__name__)
        params = self.make_params(sample.leaves)
        results = {i: self.transform(p.source, params) for i, p in sample.pictures.items()}
        return sample.rebuild(results)

    def step(self, sample: Sample) -> None:
        """Change the pixels of a sample's pictures: one of several steps, in a `Compose`."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """The settings."""
        shown = []
        for name, value in self.__dict__.items():
            simple = isinstance(value, (bool, int, float, str, tuple, list)) or value is None
            if not name.startswith("_") and name != "training" and simple:
                shown.append(f"{name}={value}")
        return ", ".join(shown)


class PixelTransform(Transform):
    """A transform of pixels: draws for every image, then changes image and masks by what is drawn.

    A subclass defines `image`, and `mask` where masks do not stay as they are.
    """

    steps = True

    def draw(self, rng: np.random.Generator, picture: Picture) -> Any:
        """What is drawn for the images of a picture."""
        return None

    def image(self, picture: Picture, drawn: Any) -> Any:
        """Pixels (N, C, H, W) of the image changed, or a tuple of them."""
        raise NotImplementedError

    def mask(self, picture: Picture, drawn: Any) -> Any:
        """The same of a mask."""
        return picture.pixels

    def step(self, sample: Sample) -> None:
        """Draw, and change the pixels of image and masks."""
        drawn = self.draw(draws(), sample.image)
        for picture in sample.pictures.values():
            picture.pixels = (self.mask if picture.mask else self.image)(picture, drawn)

    def forward(self, *inputs: Any) -> Any:
        """The inputs with the image and its masks changed."""
        sample = Sample(inputs if len(inputs) > 1 else inputs[0], type(self).__name__)
        self.step(sample)
        return sample.rebuild()


class GeometricTransform(PixelTransform):
    """One that does with a mask what it does with the image: values are copied, not blended."""

    def mask(self, picture: Picture, drawn: Any) -> Any:
        """The mask changed as the image is."""
        return self.image(picture, drawn)


def chance(what: str, p: Any) -> float:
    """A probability.

    Raises
    ------
    ValueError
        When it is none.
    """
    if isinstance(p, bool) or not isinstance(p, (int, float, np.number)) or not 0 <= p <= 1:
        raise ValueError(f"{what}: p must be a number from 0 to 1, got {p!r}")
    return float(p)


def chosen(a: Array, which: Array, change: Any) -> Array:
    """`change` of the images that are chosen: it gets them and their indices.

    Raises
    ------
    ValueError
        When it gives some images of a batch another shape or type.
    """
    at = np.flatnonzero(which)
    if len(at) == 0:
        return a
    if len(at) == len(a):
        return change(a, at)  # type: ignore[no-any-return]
    new = change(a[at], at)
    if new.shape[1:] != a.shape[1:] or new.dtype != a.dtype:
        raise ValueError(
            f"a transform that is not applied to every image of a batch must leave shape and type "
            f"as they are: {a.shape[1:]} {a.dtype} became {new.shape[1:]} {new.dtype}"
        )
    out = a.copy("K")
    out[at] = new
    return out
