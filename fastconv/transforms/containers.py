"""Transforms made of transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..data.sample import draws
from ..tensor import Tensor, wrap
from .transform import Crops, Sample, Transform, chance, flatten, rebuilt

Change = Callable[..., Any]


def _steps(transform: Any) -> bool:
    """Whether a transform can change a sample that others have begun, and go on to the next.

    Not where a subclass has a call of its own, or somebody wants to see each (hooks).
    """
    kind: Any = type(transform)
    if not _has_steps(kind):
        return False
    return not (transform._forward_hooks or transform._forward_pre_hooks)


@cache
def _has_steps(kind: Any) -> bool:
    forward = next((c for c in kind.__mro__ if "forward" in vars(c)), object)
    return issubclass(kind, Transform) and kind.steps and "step" in vars(forward)


def _checked(what: str, transforms: Any) -> list[Change]:
    found = list(transforms) if isinstance(transforms, Iterable) else []
    if not found or not all(callable(t) for t in found):
        raise TypeError(f"{what}: expected a sequence of callables, got {transforms!r}")
    return found


def _images(tree: Any) -> int | None:
    """The number of images of a batch, None where there is a single one."""
    for _, leaf in flatten(tree):
        if isinstance(leaf, (Tensor, np.ndarray)) and leaf.ndim >= 4:
            return int(leaf.shape[0])
    return None


def _part(leaf: Any, at: np.ndarray, count: int) -> Any:
    if not isinstance(leaf, (Tensor, np.ndarray)) or leaf.ndim == 0 or len(leaf) != count:
        return leaf
    return wrap(leaf._array[at]) if isinstance(leaf, Tensor) else leaf[at]


def _joined(whole: Any, part: Any, at: np.ndarray, count: int, what: str) -> Any:
    if not isinstance(whole, (Tensor, np.ndarray)) or whole.ndim == 0 or len(whole) != count:
        return whole
    a, b = (x._array if isinstance(x, Tensor) else x for x in (whole, part))
    if not isinstance(b, np.ndarray) or b.shape[1:] != a.shape[1:] or b.dtype != a.dtype:
        raise ValueError(
            f"{what}: a transform of some images of a batch must leave shape and type as they are: "
            f"{a.shape[1:]} {a.dtype} became {getattr(b, 'shape', '?')[1:]} {b.dtype}"
        )
    out = a.copy("K")
    out[at] = b
    return wrap(out) if isinstance(whole, Tensor) else out


def apply_to(what: str, change: Change, inputs: tuple[Any, ...], which: np.ndarray) -> Any:
    """`change` of the images that are chosen; `which` has one item where there is no batch.

    Returns the inputs as a tuple.
    """
    if not which.any():
        return inputs
    if which.all():
        out = change(*inputs)
        return out if len(inputs) > 1 else (out,)
    at, count = np.flatnonzero(which), len(which)
    leaves = [leaf for _, leaf in flatten(inputs)]
    some = rebuilt(inputs, iter([_part(leaf, at, count) for leaf in leaves]))
    out = change(*some)
    changed = [leaf for _, leaf in flatten(out if len(inputs) > 1 else (out,))]
    joined = [_joined(a, b, at, count, what) for a, b in zip(leaves, changed, strict=True)]
    return rebuilt(inputs, iter(joined))


class Compose(Transform):
    """Transforms one after the other.

    Parameters
    ----------
    transforms : sequence of callable
        Called with what the one before has returned.

    Examples
    --------
    >>> from fastconv import transforms
    >>> augment = transforms.Compose([
    ...     transforms.RandomCrop(32, padding=4),
    ...     transforms.RandomHorizontalFlip(),
    ...     transforms.ToTensor(),
    ... ])
    >>> image = augment(image)
    >>> image, mask = augment(image, mask)
    """

    takes_crops = True

    def __init__(self, transforms: Sequence[Change]) -> None:
        super().__init__()
        self.transforms = _checked(type(self).__name__, transforms)

    def forward(self, *inputs: Any) -> Any:
        """The inputs after all transforms."""
        several = len(inputs) > 1
        sample: Sample | None = None  # what is between two steps
        for transform in self.transforms:
            if _steps(transform) and not any(isinstance(x, Crops) for x in inputs):
                if sample is None:
                    sample = Sample(inputs if several else inputs[0], type(transform).__name__)
                transform.step(sample)  # type: ignore[attr-defined]
                continue
            if sample is not None:
                inputs, sample = (sample.rebuild() if several else (sample.rebuild(),)), None
            outputs = transform(*inputs)
            inputs = outputs if several else (outputs,)
        if sample is not None:
            return sample.rebuild()
        return inputs if several else inputs[0]

    def extra_repr(self) -> str:
        """The transforms, a line each."""
        return "\n".join(str(t) for t in self.transforms)


class RandomApply(Compose):
    """All transforms, or none, with probability `p`: of a batch for each image.

    Parameters
    ----------
    transforms : sequence of callable
    p : float
    """

    def __init__(self, transforms: Sequence[Change], p: float = 0.5) -> None:
        super().__init__(transforms)
        self.p = chance("RandomApply", p)

    def forward(self, *inputs: Any) -> Any:
        """The inputs after all transforms, or as they are."""
        which = draws().random(_images(inputs) or 1) < self.p
        inputs = apply_to("RandomApply", super().forward, inputs, which)
        return inputs if len(inputs) > 1 else inputs[0]


class RandomChoice(Compose):
    """One of the transforms, chosen at random: of a batch for each image.

    Parameters
    ----------
    transforms : sequence of callable
    p : sequence of float, optional
        Their probabilities, in proportion: equal when not given.
    """

    def __init__(self, transforms: Sequence[Change], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        shares = [1.0] * len(self.transforms) if p is None else [float(v) for v in p]
        if len(shares) != len(self.transforms) or min(shares) < 0 or sum(shares) <= 0:
            raise ValueError(
                f"RandomChoice: p must have a share for each of {len(self.transforms)} transforms, "
                f"none of them negative, got {p!r}"
            )
        self.p = [v / sum(shares) for v in shares]

    def forward(self, *inputs: Any) -> Any:
        """The inputs after one of the transforms."""
        which = draws().choice(len(self.transforms), _images(inputs) or 1, p=self.p)
        for k, transform in enumerate(self.transforms):
            inputs = apply_to("RandomChoice", transform, inputs, which == k)
        return inputs if len(inputs) > 1 else inputs[0]


class RandomOrder(Compose):
    """All transforms in random order: of a batch an order for each image.

    Parameters
    ----------
    transforms : sequence of callable
    """

    def forward(self, *inputs: Any) -> Any:
        """The inputs after all transforms."""
        count = len(self.transforms)
        order = np.tile(np.arange(count), (_images(inputs) or 1, 1))
        order = draws().permuted(order, axis=1)
        for turn in range(count):
            for k, transform in enumerate(self.transforms):
                inputs = apply_to("RandomOrder", transform, inputs, order[:, turn] == k)
        return inputs if len(inputs) > 1 else inputs[0]
