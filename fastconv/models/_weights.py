"""How every builder makes its network: with weights drawn, or read from a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..nn import Module
from ..nn.init import undrawn
from ..nn.modules.construction import explained

M = TypeVar("M", bound=Module)


def build(
    name: str, network: Callable[..., M], weights: Any, options: Mapping[str, Any], **fixed: Any
) -> M:
    """``network(**fixed, **options)``, with the weights of a file where one is given.

    Parameters
    ----------
    name : str
        The builder's, for errors.
    network : callable
        Makes the module.
    weights : None or path
        A checkpoint that `fastconv.load` reads: a ``state_dict``, or a dictionary that holds one
        as ``state_dict`` or ``model``.
    options : mapping
        What the user has given.
    **fixed
        What makes this network of the family.

    Raises
    ------
    TypeError
        For an option that the network does not have, or that the builder sets itself.
    ValueError
        For weights that are neither None nor a path: nothing is downloaded.
    FileNotFoundError
        Where no file is.
    RuntimeError
        Where the file's keys or shapes are not the network's.
    """
    given = dict(options)
    if "pretrained" in given:  # torchvision's older name
        pretrained = given.pop("pretrained")
        weights = pretrained if pretrained else weights
    both = sorted(set(given) & set(fixed))
    if both:
        raise TypeError(f"{name}: {', '.join(both)} cannot be set: it makes this network")
    for count in ("num_classes", "in_channels"):
        value = given.get(count, 1)
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{name}: {count} must be an integer, got {value!r:.80}")
        if value < 1:
            raise ValueError(f"{name}: {count} must be positive, got {value}")
    if weights is None:
        return _made(name, network, given, fixed)
    state = read_weights(name, weights)
    with undrawn():
        made = _made(name, network, given, fixed)
    made.load_state_dict(state)
    return made


def _made(
    name: str, network: Callable[..., M], given: Mapping[str, Any], fixed: Mapping[str, Any]
) -> M:
    """The network; errors name the builder, not the class that it calls."""
    try:
        return network(**fixed, **given)
    except Exception as error:
        if isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
            option = str(error).partition("unexpected keyword argument ")[2].partition(" (")[0]
            raise TypeError(f"{name}: there is no option {option}") from None
        own = f"{getattr(network, '__name__', name)}: "
        text = str(error)
        if type(error).__module__ == "builtins" and text.startswith(own):
            raise type(error)(f"{name}: {text[len(own) :]}") from error
        better = explained(error, name, network, (), {**given})
        if better is error:
            raise
        raise better from error


def read_weights(name: str, weights: Any) -> Mapping[str, Any]:
    """The ``state_dict`` of a checkpoint file; see :func:`build`."""
    how = (
        f"nothing is downloaded. Give the path of a checkpoint file, {name}(weights='{name}.pth'), "
        f"or call model.load_state_dict(fastconv.load('{name}.pth'))"
    )
    if not isinstance(weights, (str, os.PathLike)):
        raise ValueError(f"{name}: weights must be None or a path, got {weights!r:.80}; {how}")
    if not os.path.isfile(weights):
        raise FileNotFoundError(f"{name}: weights: there is no file {os.fspath(weights)!r}; {how}")
    from ..serialization import load

    state = load(weights)
    found = state_dict_in(state)
    if found is None:
        kind = type(state).__name__
        raise ValueError(f"{name}: weights: {os.fspath(weights)!r} holds {kind}, not a state_dict")
    return found


def state_dict_in(obj: Any) -> Mapping[str, Any] | None:
    """The ``state_dict`` in what a file holds: itself, or as "state_dict" or "model"."""
    for key in ("state_dict", "model"):
        if isinstance(obj, Mapping) and isinstance(obj.get(key), Mapping):
            obj = obj[key]
    if not isinstance(obj, Mapping):
        return None
    if obj and all(str(key).startswith("module.") for key in obj):  # of DataParallel
        return {str(key)[len("module.") :]: value for key, value in obj.items()}
    return obj
