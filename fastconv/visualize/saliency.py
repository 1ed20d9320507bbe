"""Which pixels a class score depends on, by gradients.

Values are those of captum's attributions of the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd.function import Function
from ..nn import Module, ReLU
from ..tensor import Tensor, wrap
from ._model import (
    Array,
    as_batch,
    check_count,
    check_model,
    input_gradient,
    looking,
    run,
    targets,
    unbatch,
)

__all__ = [
    "deconvnet",
    "guided_backprop",
    "input_x_gradient",
    "integrated_gradients",
    "saliency",
    "smoothgrad",
]


def saliency(model: Module, images: Any, target: Any = None, absolute: bool = True) -> Array:
    """The gradient of a class score with respect to the pixels.

    Parameters
    ----------
    model : Module
        Gives class scores (N, classes). It is run in evaluation mode, and is as before afterwards.
    images : Tensor or ndarray, (N, C, H, W) or (C, H, W), float32 or float64
        As the network takes them.
    target : None, int or sequence of int
        The class; one for all images or one for each. None: the one with the largest score.
    absolute : bool
        Without the signs.

    Returns
    -------
    ndarray
        The shape of `images`.

    Raises
    ------
    ValueError
        For images of another shape, a network without class scores, a class that is not there.
    TypeError
        For a model that is no Module, and images and classes of another type.

    References
    ----------
    Simonyan, Vedaldi, Zisserman, "Deep inside convolutional networks: visualising image
    classification models and saliency maps" (2013), section 3.
    """
    check_model(model, "saliency")
    x, single = as_batch(images, "saliency")
    with looking(model):
        found = input_gradient(model, x, target, "saliency")
    return unbatch(np.abs(found) if absolute else found, single)


def input_x_gradient(model: Module, images: Any, target: Any = None) -> Array:
    """The gradient times the pixel.

    Parameters, errors : as for :func:`saliency`.

    Returns
    -------
    ndarray
        The shape of `images`. For a network without biases whose layers are linear or ReLU, it sums
        up to the score.

    References
    ----------
    Shrikumar, Greenside, Kundaje, "Learning important features through propagating activation
    differences" (ICML 2017), section 2.
    """
    check_model(model, "input_x_gradient")
    x, single = as_batch(images, "input_x_gradient")
    with looking(model):
        found = input_gradient(model, x, target, "input_x_gradient")
    return unbatch(found * x.numpy(), single)


def smoothgrad(
    model: Module,
    images: Any,
    target: Any = None,
    samples: int = 25,
    noise: float = 0.15,
    absolute: bool = True,
    seed: int = 0,
) -> Array:
    """The mean of saliency maps of noisy copies.

    Parameters
    ----------
    model, images, target, absolute
        As for :func:`saliency`. Without `target` it is the best class of the image without noise.
    samples : int
        Noisy copies of each image.
    noise : float
        The standard deviation of the noise, as a share of the image's largest minus its smallest
        value.
    seed : int

    Returns
    -------
    ndarray
        The shape of `images`.

    Raises
    ------
    ValueError, TypeError
        As for :func:`saliency`, and for `samples` below 1 or negative noise.

    References
    ----------
    Smilkov, Thorat, Kim, Viégas, Wattenberg, "SmoothGrad: removing noise by adding noise" (2017).
    """
    what = "smoothgrad"
    check_model(model, what)
    samples = check_count(samples, "samples", what)
    if not noise >= 0:
        raise ValueError(f"{what}: noise must not be negative, got {noise}")
    x, single = as_batch(images, what)
    a = x.numpy()
    deviation = noise * (a.max((1, 2, 3)) - a.min((1, 2, 3)))
    draw = np.random.default_rng(seed)
    total = np.zeros(a.shape, np.float64)
    with looking(model):
        classes = targets(run(model, x), target, what)
        for _ in range(samples):
            noisy = a + deviation[:, None, None, None] * draw.standard_normal(a.shape)
            found = input_gradient(model, wrap(noisy.astype(a.dtype)), classes, what)
            total += np.abs(found) if absolute else found
    return unbatch((total / samples).astype(a.dtype), single)


def integrated_gradients(
    model: Module,
    images: Any,
    target: Any = None,
    baseline: Any = 0.0,
    steps: int = 50,
    batch_size: int = 16,
) -> Array:
    """The gradient along the straight way from a baseline, times the difference from it.

    Parameters
    ----------
    model, images, target
        As for :func:`saliency`.
    baseline : float, or ndarray that broadcasts to the images
        Where the way begins: what stands for no image.
    steps : int
        Points of the Gauss–Legendre rule that takes the mean of the gradient.
    batch_size : int
        Points computed at once.

    Returns
    -------
    ndarray
        The shape of `images`. They sum up to the score of the image minus that of the baseline
        (completeness), as closely as `steps` points integrate.

    Raises
    ------
    ValueError, TypeError
        As for :func:`saliency`, for a baseline that does not fit, and numbers below 1.

    References
    ----------
    Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks" (ICML 2017), section 3.
    """
    what = "integrated_gradients"
    check_model(model, what)
    steps = check_count(steps, "steps", what)
    batch_size = check_count(batch_size, "batch_size", what)
    x, single = as_batch(images, what)
    a = x.numpy()
    try:
        start = np.broadcast_to(np.asarray(baseline, a.dtype), a.shape)
    except ValueError:
        raise ValueError(
            f"{what}: baseline of shape {np.shape(baseline)} does not broadcast to images of "
            f"shape {a.shape}"
        ) from None
    points, weights = np.polynomial.legendre.leggauss(steps)
    points, weights = (points + 1) / 2, weights / 2
    mean = np.zeros(a.shape, np.float64)
    with looking(model):
        classes = targets(run(model, x), target, what)
        for n, goal in enumerate(classes):
            for k in range(0, steps, batch_size):
                share = points[k : k + batch_size, None, None, None]
                way = (start[n] + share * (a[n] - start[n])).astype(a.dtype)
                found = input_gradient(model, wrap(way), int(goal), what)
                mean[n] += np.tensordot(weights[k : k + batch_size], found, 1)
    return unbatch(((a - start) * mean).astype(a.dtype), single)


class _Guided(Function):
    """ReLU whose gradient passes where it is positive and the input was."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return wrap(np.where(x.numpy() > 0, np.maximum(g.numpy(), 0), 0))


class _Deconvolved(Function):
    """ReLU whose gradient passes where it is positive, whatever the input was."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return wrap(np.maximum(g.numpy(), 0))


@contextmanager
def _other_relu(model: Module, forward: Callable[[Tensor], Tensor], what: str) -> Iterator[None]:
    """Every ReLU module of the network runs `forward`."""
    found = [module for module in model.modules() if isinstance(module, ReLU)]
    if not found:
        raise ValueError(
            f"{what}: {type(model).__name__} has no ReLU modules; F.relu inside forward cannot be "
            "exchanged"
        )
    try:
        for module in found:
            module.__dict__["forward"] = forward
        yield
    finally:
        for module in found:
            del module.__dict__["forward"]


def _modified(model: Module, images: Any, target: Any, forward: Any, what: str) -> Array:
    check_model(model, what)
    x, single = as_batch(images, what)
    with looking(model), _other_relu(model, forward, what):
        return unbatch(input_gradient(model, x, target, what), single)


def guided_backprop(model: Module, images: Any, target: Any = None) -> Array:
    """The gradient where each ReLU lets through only what is positive in both directions.

    Parameters
    ----------
    model, images, target
        As for :func:`saliency`; the network's ReLUs must be modules.

    Returns
    -------
    ndarray
        The shape of `images`.

    Raises
    ------
    ValueError, TypeError
        As for :func:`saliency`, and for a network without ReLU modules.

    References
    ----------
    Springenberg, Dosovitskiy, Brox, Riedmiller, "Striving for simplicity: the all convolutional
    net" (2014), section 3.4.
    """
    return _modified(model, images, target, _Guided.apply, "guided_backprop")


def deconvnet(model: Module, images: Any, target: Any = None) -> Array:
    """The gradient where each ReLU lets through what is positive on the way back.

    Parameters, returns, raises : as for :func:`guided_backprop`.

    References
    ----------
    Zeiler, Fergus, "Visualizing and understanding convolutional networks" (ECCV 2014), section 2.1.
    """
    return _modified(model, images, target, _Deconvolved.apply, "deconvnet")
