"""Class activation maps: where in an image a layer's channels speak for a class.

Values are pytorch-grad-cam's. Each map is made positive, brought to the range from 0 to 1, enlarged
to the size of the images (bilinear), and brought to that range again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import grad, no_grad
from ..nn import Module
from ..nn import functional as F
from ..tensor import Tensor, wrap
from ._model import (
    Array,
    as_batch,
    check_count,
    check_model,
    chosen_scores,
    find_layer,
    looking,
    reached,
    run,
    targets,
    unbatch,
    watched,
)

__all__ = ["ablation_cam", "grad_cam", "grad_cam_plus_plus", "hires_cam", "score_cam"]

EPS = 1e-7
#: What a method adds to activations and gradients: weighted activations (N, H, W).
Weigh = Callable[[Array, Array], Array]


def grad_cam(
    model: Module, images: Any, layer: str, target: Any = None, raw: bool = False
) -> Array:
    """Channels weighted by their mean gradient.

    Parameters
    ----------
    model : Module
        Gives class scores (N, classes). It is run in evaluation mode, and is as before afterwards.
    images : Tensor or ndarray, (N, C, H, W) or (C, H, W), float32 or float64
    layer : str
        Name of the module whose result (N, channels, h, w) is explained: the last convolution or
        its ReLU as a rule.
    target : None, int or sequence of int
        The class; one for all images or one for each. None: the one with the largest score.
    raw : bool
        The weighted sum as it is, signed and of the layer's size.

    Returns
    -------
    ndarray
        (N, H, W) from 0 to 1, or (H, W) of one image; with `raw` (N, h, w) or (h, w).

    Raises
    ------
    ValueError
        For a layer that is not there (the nearest names are listed) or gives no maps, images of
        another shape, a network without class scores, a class that is not there.
    TypeError
        For a model that is no Module, and images and classes of another type.

    References
    ----------
    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization" (ICCV 2017), section 3.
    """

    def weigh(a: Array, g: Array) -> Array:
        return _sum(g.mean((2, 3)), a)

    return _by_gradient(model, images, layer, target, raw, weigh, "grad_cam")


def hires_cam(
    model: Module, images: Any, layer: str, target: Any = None, raw: bool = False
) -> Array:
    """Activations times gradients, element by element.

    Parameters, returns, raises : as for :func:`grad_cam`.

    References
    ----------
    Draelos, Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional
    neural networks" (2020).
    """

    def weigh(a: Array, g: Array) -> Array:
        return (a * g).sum(1)  # type: ignore[no-any-return]

    return _by_gradient(model, images, layer, target, raw, weigh, "hires_cam")


def grad_cam_plus_plus(
    model: Module, images: Any, layer: str, target: Any = None, raw: bool = False
) -> Array:
    """Channels weighted by their positive gradients, which count more where fewer are.

    Parameters, returns, raises : as for :func:`grad_cam`.

    References
    ----------
    Chattopadhay, Sarkar, Howlader, Balasubramanian, "Grad-CAM++: improved visual explanations for
    deep convolutional networks" (WACV 2018), equation 19.
    """

    def weigh(a: Array, g: Array) -> Array:
        two = g**2
        below = 2 * two + a.sum((2, 3), keepdims=True) * g**3 + 1e-6
        share = np.where(g != 0, two / below, 0)
        return _sum((np.maximum(g, 0) * share).sum((2, 3)), a)

    return _by_gradient(model, images, layer, target, raw, weigh, "grad_cam_plus_plus")


def score_cam(
    model: Module,
    images: Any,
    layer: str,
    target: Any = None,
    raw: bool = False,
    batch_size: int = 16,
) -> Array:
    """Channels weighted by the score of the image seen through each of them; no gradients.

    Parameters
    ----------
    model, images, layer, target, raw
        As for :func:`grad_cam`.
    batch_size : int
        Masked images computed at once; there are as many as the layer has channels.

    Returns, raises : as for :func:`grad_cam`.

    References
    ----------
    Wang et al., "Score-CAM: score-weighted visual explanations for convolutional neural networks"
    (CVPR workshops 2020), algorithm 1.
    """
    what = "score_cam"
    batch_size = check_count(batch_size, "batch_size", what)
    x, single, maps, classes = _run(model, images, layer, target, what)
    large = F.interpolate(wrap(maps), x.shape[2:], mode="bilinear", align_corners=True).numpy()
    low = large.min((2, 3), keepdims=True)
    large = (large - low) / (large.max((2, 3), keepdims=True) - low + 1e-8)
    a = x.numpy()
    weights = np.empty(maps.shape[:2], np.float64)
    with looking(model), no_grad():
        for n, goal in enumerate(classes):
            for k in range(0, maps.shape[1], batch_size):
                seen = wrap(a[n : n + 1] * large[n, k : k + batch_size, None])
                weights[n, k : k + batch_size] = chosen_scores(model(seen), int(goal), what).numpy()
    weights = np.exp(weights - weights.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return _finish(_sum(weights, maps), x, single, raw)


def ablation_cam(
    model: Module,
    images: Any,
    layer: str,
    target: Any = None,
    raw: bool = False,
    batch_size: int = 32,
) -> Array:
    """Channels weighted by how much the score falls when they are set to zero; no gradients.

    Parameters
    ----------
    model, images, layer, target, raw
        As for :func:`grad_cam`.
    batch_size : int
        Copies computed at once; there are as many as the layer has channels.

    Returns, raises : as for :func:`grad_cam`; the weights are shares of the score, so a score of
    zero is a ValueError.

    References
    ----------
    Desai, Ramaswamy, "Ablation-CAM: visual explanations for deep convolutional network via
    gradient-free localization" (WACV 2020), equation 2.
    """
    what = "ablation_cam"
    batch_size = check_count(batch_size, "batch_size", what)
    x, single, maps, classes = _run(model, images, layer, target, what)
    weights = np.empty(maps.shape[:2], np.float64)
    changed: dict[str, Array] = {}
    module = find_layer(model, layer, what)
    handle = module.register_forward_hook(lambda *_: wrap(changed["maps"]))
    try:
        with looking(model), no_grad():
            for n, goal in enumerate(classes):
                changed["maps"] = maps[n : n + 1].copy()
                image = x[n : n + 1]
                whole = float(chosen_scores(run(model, image), int(goal), what).item())
                if whole == 0:
                    raise ValueError(f"{what}: the score of class {goal} is 0: there are no shares")
                for k in range(0, maps.shape[1], batch_size):
                    some = range(k, min(k + batch_size, maps.shape[1]))
                    changed["maps"] = np.repeat(maps[n : n + 1], len(some), 0)
                    changed["maps"][range(len(some)), some] = 0
                    copies = wrap(np.repeat(image.numpy(), len(some), 0))
                    left = chosen_scores(model(copies), int(goal), what).numpy()
                    weights[n, k : k + batch_size] = (whole - left) / whole
    finally:
        handle.remove()
    return _finish(_sum(weights, maps), x, single, raw)


def _sum(weights: Array, maps: Array) -> Array:
    """Maps (N, K, h, w) weighted by (N, K) and summed."""
    return np.einsum("nk,nkhw->nhw", weights, maps)


def _maps(result: Tensor, layer: str, what: str) -> Tensor:
    if result.ndim != 4:
        raise ValueError(
            f"{what}: layer {layer!r} must give maps (N, channels, h, w), got shape "
            f"{tuple(result.shape)}"
        )
    return result


def _run(
    model: Module, images: Any, layer: str, target: Any, what: str
) -> tuple[Tensor, bool, Array, Array]:
    """The batch, whether it was one image, the layer's maps, and the classes; no gradients."""
    check_model(model, what)
    x, single = as_batch(images, what)
    with looking(model), no_grad(), watched(model, [layer], what) as seen:
        classes = targets(run(model, x), target, what)
    maps = _maps(reached(seen, layer, what), layer, what).numpy()
    return x, single, np.ascontiguousarray(maps), classes


def _by_gradient(
    model: Module, images: Any, layer: str, target: Any, raw: bool, weigh: Weigh, what: str
) -> Array:
    check_model(model, what)
    x, single = as_batch(images, what)
    with looking(model), watched(model, [layer], what) as seen:
        # with a gradient to the images, whatever the layer is: parameters have none here
        score = chosen_scores(run(model, x.requires_grad_(True)), target, what)
        maps = _maps(reached(seen, layer, what), layer, what)
        (slope,) = grad(score.sum(), [maps], allow_unused=True)
    if slope is None:
        raise ValueError(f"{what}: the class scores do not depend on layer {layer!r}")
    found = weigh(maps.detach().numpy().astype(np.float64), slope.numpy().astype(np.float64))
    return _finish(found, x.detach(), single, raw)


def _finish(found: Array, x: Tensor, single: bool, raw: bool) -> Array:
    dtype = x.numpy().dtype
    if raw:
        return unbatch(found.astype(dtype), single)
    small = wrap(_scaled(np.maximum(found, 0)).astype(dtype))[:, None]
    large = F.interpolate(small, x.shape[2:], mode="bilinear", align_corners=False)
    return unbatch(_scaled(large.numpy()[:, 0]), single)


def _scaled(maps: Array) -> Array:
    """Each from 0 to 1."""
    maps = maps - maps.min((1, 2), keepdims=True)
    return maps / (EPS + maps.max((1, 2), keepdims=True))  # type: ignore[no-any-return]
