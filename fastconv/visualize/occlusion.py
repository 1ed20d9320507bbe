"""Which parts of an image a class score needs, by covering them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn import Module
from ..tensor import wrap
from ._model import (
    Array,
    as_batch,
    check_count,
    check_model,
    chosen_scores,
    looking,
    run,
    targets,
    unbatch,
)

__all__ = ["occlusion"]


def occlusion(
    model: Module,
    images: Any,
    target: Any = None,
    window: int | tuple[int, int] = 16,
    stride: int | tuple[int, int] = 8,
    baseline: float = 0.0,
    batch_size: int = 32,
) -> Array:
    """How much a class score falls where a window covers the image.

    Parameters
    ----------
    model, images, target
        As for :func:`saliency`.
    window, stride : int or (int, int)
        Height and width of the cover, and its steps. The cover hides all channels; at the right and
        lower edge it is cut off.
    baseline : float
        What the cover shows.
    batch_size : int
        Covered images computed at once.

    Returns
    -------
    ndarray
        (N, H, W), or (H, W) of one image: for each pixel the mean fall of the score, over all
        covers that hide it. Positive: the pixel speaks for the class. 0 where no cover reaches.

    Raises
    ------
    ValueError, TypeError
        As for :func:`saliency`, and for a window larger than the image or numbers below 1.

    References
    ----------
    Zeiler, Fergus, "Visualizing and understanding convolutional networks" (ECCV 2014), section 4.2.
    """
    what = "occlusion"
    check_model(model, what)
    high, wide = _pair(window, "window")
    down, right = _pair(stride, "stride")
    batch_size = check_count(batch_size, "batch_size", what)
    x, single = as_batch(images, what)
    a = x.numpy()
    height, width = a.shape[2:]
    if high > height or wide > width:
        raise ValueError(
            f"{what}: window {high}×{wide} is larger than the images of {height}×{width}"
        )
    places = [
        (slice(top, min(top + high, height)), slice(left, min(left + wide, width)))
        for top in _starts(height, high, down)
        for left in _starts(width, wide, right)
    ]
    fall = np.zeros((len(a), height, width), np.float64)
    covers = np.zeros((height, width), np.int64)
    for place in places:
        covers[place] += 1
    with looking(model), no_grad():
        scores = run(model, x)
        classes = targets(scores, target, what)
        whole = chosen_scores(scores, classes, what).numpy().astype(np.float64)
        for n, goal in enumerate(classes):
            for k in range(0, len(places), batch_size):
                some = places[k : k + batch_size]
                covered = np.repeat(a[n : n + 1], len(some), 0)
                for image, (rows, columns) in zip(covered, some):
                    image[:, rows, columns] = baseline
                left_over = chosen_scores(model(wrap(covered)), int(goal), what).numpy()
                for place, score in zip(some, left_over):
                    fall[n][place] += whole[n] - score
    return unbatch((fall / np.maximum(covers, 1)).astype(a.dtype), single)


def _starts(size: int, window: int, stride: int) -> list[int]:
    """Where covers begin: the last one is the first that reaches the edge."""
    return [stride * i for i in range(-(-(size - window) // stride) + 1) if stride * i < size]


def _pair(value: Any, name: str) -> tuple[int, int]:
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2:
        raise ValueError(f"occlusion: {name} must be an int or two, got {value!r:.80}")
    return check_count(both[0], name, "occlusion"), check_count(both[1], name, "occlusion")
