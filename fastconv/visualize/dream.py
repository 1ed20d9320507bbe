"""Images made by gradients: what a channel answers to most, and Deep Dream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..nn import Module
from ..nn import functional as F
from ..tensor import Tensor, wrap
from ._model import (
    Array,
    as_batch,
    check_count,
    check_model,
    chosen_scores,
    looking,
    reached,
    run,
    slope,
    unbatch,
    watched,
)
from .handmade import gaussian

__all__ = ["activation_maximisation", "deep_dream"]

#: Called after a step with its number from 1 on, the objective before it, and the image now.
Callback = Callable[[int, float, Array], Any]


def activation_maximisation(
    model: Module,
    layer: str | None,
    channel: int,
    start: Any,
    steps: int = 128,
    lr: float = 0.05,
    l2: float = 0.0,
    total_variation: float = 0.0,
    blur: float = 0.0,
    blur_every: int = 4,
    jitter: int = 0,
    limits: tuple[float, float] | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> Array:
    """An image that a channel or a class answers to more than to the one before.

    Parameters
    ----------
    model : Module
        Run in evaluation mode; as before afterwards.
    layer : str or None
        Name of the layer; None: the class scores.
    channel : int
        Whose mean over all pixels is made large; the class without a layer.
    start : Tensor or ndarray, (C, H, W) or (N, C, H, W), float32 or float64
        Where to begin: noise as a rule.
    steps : int
    lr : float
        Root of the mean square of what a step changes: gradients are divided by theirs.
    l2 : float
        Times the mean square of the pixels, which is taken off the objective.
    total_variation : float
        Times the mean absolute difference of neighbouring pixels, likewise.
    blur : float
        Standard deviation of a Gaussian that smooths the image every `blur_every` steps; 0: none.
    jitter : int
        The image is shifted round by up to so many pixels before each gradient, and back.
    limits : (float, float), optional
        Smallest and largest value that a pixel may take.
    seed : int
        Of the shifts.
    callback : callable, optional
        ``callback(step, objective, image)`` after each step.

    Returns
    -------
    ndarray
        The shape of `start`, on the network's scale of pixels.

    Raises
    ------
    ValueError
        For a layer or channel that is not there, an image of another shape, negative settings.
    TypeError
        For images of another type.

    References
    ----------
    Erhan, Bengio, Courville, Vincent, "Visualizing higher-layer features of a deep network" (2009);
    Yosinski et al., "Understanding neural networks through deep visualization" (2015) for blurring
    and decay; Mahendran, Vedaldi (2015) for total variation; Mordvintsev et al. (2015) for jitter.
    """
    what = "activation_maximisation"
    check_model(model, what)
    steps = check_count(steps, "steps", what)
    blur_every = check_count(blur_every, "blur_every", what)
    jitter = check_count(jitter, "jitter", what, 0)
    settings = {"lr": lr, "l2": l2, "total_variation": total_variation, "blur": blur}
    for name, value in settings.items():
        if not value >= 0:
            raise ValueError(f"{what}: {name} must not be negative, got {value}")
    x, single = as_batch(start, what, "start")
    a = np.array(x.numpy())
    draw = np.random.default_rng(seed)
    names = [] if layer is None else [layer]

    def objective(image: Tensor, seen: dict[str, Tensor]) -> Tensor:
        result = run(model, image)
        if layer is None:
            found = chosen_scores(result, channel, what).mean()
        else:
            found = _channel(reached(seen, layer, what), channel, layer, what).mean()
        if l2:
            found = found - l2 * (image**2).mean()
        if total_variation:
            down = (image[:, :, 1:] - image[:, :, :-1]).abs().mean()
            right = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().mean()
            found = found - total_variation * (down + right)
        return found  # type: ignore[no-any-return]

    with looking(model), watched(model, names, what) as seen:
        for step in range(1, steps + 1):
            shift = tuple(draw.integers(-jitter, jitter + 1, 2)) if jitter else (0, 0)
            value, change = _slope(lambda t: objective(t, seen), np.roll(a, shift, (2, 3)))
            change = np.roll(change, (-shift[0], -shift[1]), (2, 3))
            size = np.sqrt((change.astype(np.float64) ** 2).mean((1, 2, 3), keepdims=True))
            a = (a + lr * change / np.maximum(size, 1e-12)).astype(a.dtype)
            if blur and step % blur_every == 0:
                a = _blurred(a, blur)
            if limits is not None:
                a = a.clip(*limits)
            if callback is not None:
                callback(step, value, unbatch(a, single))
    return unbatch(a, single)


def deep_dream(
    model: Module,
    image: Any,
    layers: str | Sequence[str] | dict[str, float],
    octaves: int = 4,
    octave_scale: float = 1.4,
    steps: int = 10,
    lr: float = 0.03,
    jitter: int = 16,
    limits: tuple[float, float] | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> Array:
    """An image in which layers see more of what they see in it already.

    Parameters
    ----------
    model : Module
        Run in evaluation mode; as before afterwards.
    image : Tensor or ndarray, (C, H, W) or (1, C, H, W), float32 or float64
    layers : str, sequence of str, or dict of str to float
        Layers whose mean squared activation is made large, and their weights.
    octaves : int
        Sizes, from the smallest to the image's own; what is dreamt in one is enlarged for the next.
    octave_scale : float
        One size over the one before, greater than 1.
    steps : int
        In each octave.
    lr : float
        Mean absolute value of what a step changes.
    jitter : int
        As for :func:`activation_maximisation`.
    limits : (float, float), optional
    seed : int
    callback : callable, optional
        ``callback(step, objective, image)``, numbered through all octaves.

    Returns
    -------
    ndarray
        The shape of `image`.

    Raises
    ------
    ValueError
        For a layer that is not there, an image of another shape, numbers that are too small.

    References
    ----------
    Mordvintsev, Olah, Tyka, "Inceptionism: going deeper into neural networks" (2015).
    """
    what = "deep_dream"
    check_model(model, what)
    octaves = check_count(octaves, "octaves", what)
    steps = check_count(steps, "steps", what)
    jitter = check_count(jitter, "jitter", what, 0)
    if not octave_scale > 1:
        raise ValueError(f"{what}: octave_scale must be greater than 1, got {octave_scale}")
    x, single = as_batch(image, what, "image")
    if len(x) != 1:
        raise ValueError(f"{what}: image must be one, got {len(x)}")
    listed = [layers] if isinstance(layers, str) else layers
    weights = dict(listed) if isinstance(listed, dict) else dict.fromkeys(listed, 1.0)
    if not weights:
        raise ValueError(f"{what}: layers must not be empty")
    a = x.numpy()
    height, width = a.shape[2:]
    sizes = [
        (max(1, round(height / octave_scale**k)), max(1, round(width / octave_scale**k)))
        for k in reversed(range(octaves))
    ]
    draw = np.random.default_rng(seed)
    dreamt = np.zeros((1, a.shape[1], *sizes[0]), a.dtype)
    number = 0

    def objective(t: Tensor, seen: dict[str, Tensor]) -> Tensor:
        run(model, t)
        parts = [w * (reached(seen, n, what) ** 2).mean() for n, w in weights.items()]
        return sum(parts[1:], parts[0])

    with looking(model), watched(model, list(weights), what) as seen:
        for size in sizes:
            base = _resized(a, size)
            dreamt = _resized(dreamt, size)
            for _ in range(steps):
                shift = tuple(draw.integers(-jitter, jitter + 1, 2)) if jitter else (0, 0)
                rolled = np.roll(base + dreamt, shift, (2, 3))
                value, change = _slope(lambda t: objective(t, seen), rolled)
                change = np.roll(change, (-shift[0], -shift[1]), (2, 3))
                dreamt = (dreamt + lr * change / max(float(np.abs(change).mean()), 1e-12)).astype(
                    a.dtype
                )
                if limits is not None:
                    dreamt = (base + dreamt).clip(*limits) - base
                number += 1
                if callback is not None:
                    callback(number, value, unbatch(base + dreamt, single))
    return unbatch(a + dreamt, single)


def _slope(objective: Callable[[Tensor], Tensor], a: Array) -> tuple[float, Array]:
    """The objective of an image, and its gradient."""
    x = wrap(np.ascontiguousarray(a)).requires_grad_(True)
    value = objective(x)
    return float(value.item()), slope(value, x)


def _channel(result: Tensor, channel: int, layer: str, what: str) -> Tensor:
    count = result.shape[1] if result.ndim > 1 else 0
    if isinstance(channel, bool) or not hasattr(channel, "__index__"):
        raise TypeError(f"{what}: channel must be an integer, got {channel!r:.80}")
    if not 0 <= channel < count:
        raise ValueError(
            f"{what}: channel must be from 0 to {count - 1} in layer {layer!r}, got {channel}"
        )
    return result[:, channel]  # type: ignore[no-any-return]


def _blurred(a: Array, sigma: float) -> Array:
    kernel = gaussian(sigma).astype(a.dtype)
    reach = len(kernel) // 2
    edges = [(0, 0), (0, 0), (reach, reach), (reach, reach)]
    x = wrap(np.pad(a, edges, mode="symmetric" if min(a.shape[2:]) >= reach else "edge"))
    channels = a.shape[1]
    bank = wrap(np.repeat(kernel[None, None], channels, 0))
    return np.array(F.conv2d(x, bank, groups=channels).detach().numpy())


def _resized(a: Array, size: tuple[int, int]) -> Array:
    if a.shape[2:] == size:
        return a
    found = F.interpolate(wrap(a), size, mode="bilinear", align_corners=False)
    return np.array(found.detach().numpy())
