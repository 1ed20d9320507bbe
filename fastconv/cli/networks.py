"""Networks by name, for the command: made for images and classes, begun from a file, frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import models
from fastconv.cli.arguments import CommandError, UsageError
from fastconv.cli.checkpoint import Checkpoint, weights_in
from fastconv.nn.init import undrawn

__all__ = ["Built", "begin_from", "build", "freeze_all_but", "head_of", "takes"]

#: What `train` asks these for: they have classifiers of their own in between, for training alone.
OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False},
    "inception_v3": {"aux_logits": False},
}
#: How the names of such weights begin, in files of others.
AUXILIARY = ("aux", "AuxLogits.")


class Built(NamedTuple):
    """A network, and what it was made of."""

    model: Any
    name: str
    options: dict[str, Any]


def takes(name: str) -> str:
    """The images that a network is made for, as text."""
    channels, *size = models.input_size(name)
    return f"{'×'.join(map(str, size))} images with {channels} channel{'s' * (channels > 1)}"


def build(name: str, classes: int, channels: int, size: int) -> Built:
    """A network for images (channels, size, size), which it is tried on.

    Raises
    ------
    UsageError
        If it is no classifier, or does not take such images.
    """
    key = name.lower().replace("-", "_")
    options: dict[str, Any] = {"num_classes": classes, **OPTIONS.get(key, {})}
    made_for = models.input_size(key)
    if made_for[0] != channels:
        options["in_channels"] = channels
    tries = [options]
    if made_for[-1] != size:
        tries.append({**options, "image_size": size})
    wrong = ""
    for given in tries:
        try:
            model = models.get(key, **given)
            shape = _tried(model, (channels, size, size))
        except (TypeError, ValueError, RuntimeError) as error:
            wrong = wrong or str(error)
            continue
        if shape == (1, classes):
            return Built(model, key, given)
        wrong = f"its output is {shape}, a classifier's is (1, {classes})"
    raise UsageError(f"{name} is for {takes(key)}: {wrong}")


def _tried(model: Any, shape: tuple[int, ...]) -> Any:
    """The shape of what a network makes of one image."""
    model.eval()
    with fastconv.no_grad():
        output = model(fastconv.from_numpy(np.zeros((1, *shape), np.float32)))
    model.train()
    return tuple(output.shape) if isinstance(output, fastconv.Tensor) else type(output).__name__


def head_of(built: Built) -> list[str]:
    """Names of the weights whose shapes depend on the number of classes.

    Raises
    ------
    UsageError
        If there are none.
    """
    more = {**built.options, "num_classes": built.options["num_classes"] + 1}
    with undrawn():
        wider = models.get(built.name, **more)
    other = {name: value.shape for name, value in _state(wider).items()}
    names = [name for name, value in _state(built.model).items() if value.shape != other[name]]
    if not names:
        raise UsageError(f"{built.name} has no layer that depends on the number of classes")
    return names


def _state(model: Any) -> dict[str, Any]:
    return model.state_dict()  # type: ignore[no-any-return]


def begin_from(
    built: Built, obj: Any, path: Path, known: Checkpoint | None, classes: list[str]
) -> list[str]:
    """Put a file's weights into a network; its head is left as it is for other classes.

    Parameters
    ----------
    built : Built
    obj : object
        What the file holds.
    path : Path
        For errors.
    known : Checkpoint, optional
        What the file says of itself.
    classes : list of str

    Returns
    -------
    list of str
        What was done, a line each.

    Raises
    ------
    CommandError
        If the file is of another network.
    """
    if known is not None and known.model != built.name:
        raise CommandError(f"{path} is of {known.model}, not of {built.name}")
    given, own = weights_in(obj, path), _state(built.model)
    said = []
    if built.name in OPTIONS:
        left = [name for name in given if name.startswith(AUXILIARY) and name not in own]
        given = {name: value for name, value in given.items() if name not in left}
        said += [f"left out of {path}: its auxiliary classifiers"] if left else []
    counts = {name: own[name] for name in own if name.endswith("num_batches_tracked")}
    given = {**counts, **given}  # which files of long ago do not have
    missing = [name for name in own if name not in given]
    extra = [name for name in given if name not in own]
    if missing or extra:
        raise CommandError(
            f"{path} is not of {built.name}: "
            + "; ".join(
                f"{what} {len(names)} weights, {', '.join(names[:3])}{' …' * (len(names) > 3)}"
                for what, names in (("it lacks", missing), ("it has other", extra))
                if names
            )
        )
    unlike = [name for name in own if tuple(given[name].shape) != tuple(own[name].shape)]
    other = known is not None and known.classes != classes
    if unlike or other:
        head = head_of(built)
        for name in unlike:
            if name not in head:
                raise CommandError(
                    f"{path} is not of {built.name}: {name} has the shape "
                    f"{tuple(given[name].shape)}, not {tuple(own[name].shape)}"
                )
        if known is None:
            before = f"{given[head[0]].shape[0]} classes"
        else:
            few = len(known.classes) <= 10
            names = f" ({', '.join(known.classes)})" if few else ""
            before = f"{len(known.classes)} classes{names}"
        said.append(
            f"head replaced: {path} has {before}, here are {len(classes)}; {', '.join(head)} "
            "begin anew"
        )
        given = {**given, **{name: own[name] for name in head}}
    built.model.load_state_dict(given)
    return [f"begun from {path}", *said]


def freeze_all_but(model: Any, names: list[str]) -> None:
    """Let only the named weights learn: normalisations use their running statistics as well.

    Raises
    ------
    UsageError
        If none of them learns.
    """
    if not any(name in names for name, _ in model.named_parameters()):
        raise UsageError(f"argument --freeze: {', '.join(names)} is all there is to the head, and "
                         "does not learn: leave --freeze out")  # fmt: skip
    models.freeze(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name in names
