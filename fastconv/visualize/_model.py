"""What every look into a network shares: its layers by name, images as batches, class scores."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd import enable_grad, grad
from ..nn import Module
from ..tensor import Tensor, wrap

Array = np.ndarray


def find_layer(model: Module, layer: str, what: str) -> Module:
    """The module of a dotted name.

    Raises
    ------
    TypeError
        If `model` is no Module or `layer` no str.
    ValueError
        For a name that is no module's; the nearest names are listed.
    """
    check_model(model, what)
    if not isinstance(layer, str):
        raise TypeError(f"{what}: layer must be the name of a module, got {type(layer).__name__}")
    modules = dict(model.named_modules())
    if layer in modules:
        return modules[layer]
    names = [name for name in modules if name]
    near = difflib.get_close_matches(layer, names, 4, 0.4) or names[:4]
    listed = ", ".join(map(repr, near)) or "none: it has no modules inside"
    raise ValueError(
        f"{what}: layer {layer!r} is no module of {type(model).__name__}; the nearest are {listed}"
    )


def check_model(model: Any, what: str) -> None:
    """TypeError for what is no Module."""
    if not isinstance(model, Module):
        raise TypeError(f"{what}: model must be a Module, got {type(model).__name__}")


def as_batch(images: Any, what: str, name: str = "images") -> tuple[Tensor, bool]:
    """Images (N, C, H, W), and whether one (C, H, W) came in.

    Raises
    ------
    TypeError
        If they are not floating-point numbers.
    ValueError
        For another number of axes, or no image.
    """
    a = images.detach().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if a.dtype not in (np.float32, np.float64):
        raise TypeError(f"{what}: {name} must be float32 or float64, got {a.dtype}")
    if a.ndim not in (3, 4) or 0 in a.shape:
        raise ValueError(f"{what}: {name} must be (N, C, H, W) or (C, H, W), got shape {a.shape}")
    return wrap(np.array(a if a.ndim == 4 else a[None])), a.ndim == 3


def unbatch(a: Array, single: bool) -> Array:
    """Without the axis of images, where one came in."""
    return a[0] if single else a


@contextmanager
def looking(model: Module) -> Iterator[None]:
    """Evaluation mode, no gradients of parameters, gradients on; all as before afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    frozen = [p for p in model.parameters() if p.requires_grad]
    try:
        model.eval()
        for p in frozen:
            p.requires_grad_(False)
        with enable_grad():
            yield
    finally:
        for p in frozen:
            p.requires_grad_(True)
        for module, training in modes:
            module.training = training


@contextmanager
def watched(model: Module, layers: Sequence[str], what: str) -> Iterator[dict[str, Tensor]]:
    """Results of layers as they were made, by name; the network goes on with copies.

    A ReLU that writes over its input therefore leaves them alone, and the gradient with respect to
    them is that of all uses. Of a layer that is called more than once the last call counts.
    """
    seen: dict[str, Tensor] = {}
    handles = []
    modules = {name: find_layer(model, name, what) for name in layers}

    def watch(name: str, module: Module) -> None:
        def keep(module: Module, args: Any, result: Any) -> Any:
            if not isinstance(result, Tensor):
                raise TypeError(
                    f"{what}: layer {name!r} gives {type(result).__name__}, not one Tensor"
                )
            seen[name] = result
            return result.clone()

        handles.append(module.register_forward_hook(keep))

    try:
        for name, module in modules.items():
            watch(name, module)
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def reached(seen: dict[str, Tensor], layer: str, what: str) -> Tensor:
    """The result of a watched layer; ValueError if the network never called it."""
    if layer not in seen:
        raise ValueError(f"{what}: layer {layer!r} was not called by the network")
    return seen[layer]


def targets(scores: Any, target: Any, what: str) -> Array:
    """A class for each row of scores (N, classes).

    Parameters
    ----------
    target : None, int or sequence of int
        None: the class with the largest score; one for all images, or one for each.

    Raises
    ------
    ValueError
        For scores of another shape, a class that is not there, another number of classes.
    TypeError
        For what is no integer.
    """
    if not isinstance(scores, Tensor) or scores.ndim != 2:
        got = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores)
        raise ValueError(f"{what}: the network must give class scores (N, classes), got {got}")
    count, classes = scores.shape
    if target is None:
        return scores.detach().numpy().argmax(1)
    given = target.numpy() if isinstance(target, Tensor) else np.asarray(target)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{what}: target must be None or classes, got {target!r:.80}")
    if given.ndim > 1 or (given.ndim == 1 and len(given) != count):
        raise ValueError(
            f"{what}: target must be one class, or one for each of {count} images, got shape "
            f"{given.shape}"
        )
    if given.size and (given.min() < 0 or given.max() >= classes):
        raise ValueError(
            f"{what}: target must be a class from 0 to {classes - 1}, got {target!r:.80}"
        )
    return np.broadcast_to(given, (count,)).astype(np.int64)


def chosen_scores(scores: Any, target: Any, what: str) -> Tensor:
    """The scores (N,) of the classes asked for; see :func:`targets`."""
    classes = targets(scores, target, what)
    rows = wrap(np.arange(len(classes)))
    return scores[rows, wrap(classes)]  # type: ignore[no-any-return]


def run(model: Module, x: Tensor) -> Any:
    """What the network gives for a copy: it may write over what comes in."""
    return model(x.clone())


def input_gradient(model: Module, x: Tensor, target: Any, what: str) -> Array:
    """The gradient of the chosen scores with respect to the images (N, C, H, W)."""
    x = x.detach().requires_grad_(True)
    return slope(chosen_scores(run(model, x), target, what).sum(), x)


def slope(value: Tensor, x: Tensor) -> Array:
    """The gradient of a number with respect to `x`; zeros where it does not depend on it."""
    (found,) = grad(value, [x], allow_unused=True)
    a = np.zeros(tuple(x.shape), x.detach().numpy().dtype) if found is None else found.numpy()
    return np.ascontiguousarray(a)


def check_count(value: Any, name: str, what: str, least: int = 1) -> int:
    """An integer of at least `least`; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what}: {name} must be an integer, got {value!r:.80}")
    if value < least:
        raise ValueError(f"{what}: {name} must be at least {least}, got {value}")
    return int(value)
