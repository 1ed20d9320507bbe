"""Weights of Keras's own files for a network that is built here.

Keras finds a layer's weights by its place in the network, not by its name: Keras 2 keeps the layers
in order, Keras 3 numbers those of one class. That order is Keras's: by the longest way to an
output, then as met on the way back from the outputs.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ..serialization.keras_h5 import Entry
from .base import Layer
from .functional import KerasTensor
from .models import Model, Sequential

#: Where Keras 3 keeps a network's layers, and where 2.12 to 2.15 did in ``.keras`` files.
CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
Found = list[tuple[Layer, list[np.ndarray]]]


def load_weights(model: Model, kind: str, data: Any) -> None:
    """Set a network's weights, after a look at all their shapes.

    Parameters
    ----------
    model : Model
        Built.
    kind, data
        As `serialization.keras_h5.layers` returns them.

    Raises
    ------
    ValueError
        When the file's layers are not the network's, naming both; nothing is changed then.
    """
    found: Found = []
    if kind == "tree":
        _match_tree(model, data, found, "")
    else:
        _match_list(model, data, found)
    for layer, arrays in found:
        want, have = [w.shape for w in layer.get_weights()], [a.shape for a in arrays]
        if want != have:
            raise ValueError(
                f"load_weights: {layer.name} ({type(layer).__name__}) has weights of shapes "
                f"{want}, the file has {have}"
            )
    for layer, arrays in found:
        layer.set_weights(arrays)


def keras_name(layer: Layer) -> str:
    """The name that Keras 3 makes from a layer's class."""
    name = type(layer).__name__
    if isinstance(layer, Model):
        name = "Sequential" if isinstance(layer, Sequential) else "Functional"
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def keras_order(model: Model) -> list[Layer]:
    """A network's layers in Keras's order."""
    if isinstance(model, Sequential):
        return model.layers
    met: dict[Layer, int] = {}
    finished: dict[KerasTensor, None] = {}
    todo = [(t, False) for t in reversed(model.outputs)]
    while todo:
        t, done = todo.pop()
        if done:
            finished[t] = None
        elif t not in finished:
            if t.layer is not None:
                met.setdefault(t.layer, len(met))
            todo.append((t, True))
            todo += [(s, False) for s in reversed(t.sources)]
    depths: dict[KerasTensor, int] = {}
    of_layer: dict[Layer, int] = {}
    for t in reversed(finished):
        depth = max(depths.get(t, 0), of_layer.get(t.layer, 0) if t.layer is not None else 0)
        depths[t] = depth
        if t.layer is not None:
            of_layer[t.layer] = depth
        for source in t.sources:
            depths[source] = max(depth + 1, depths.get(source, 0))
    return sorted(of_layer, key=lambda layer: (-of_layer[layer], met[layer]))


def _match_tree(model: Model, tree: dict[str, Any], found: Found, where: str) -> None:
    """The layers of Keras 3: groups named by class and number, each with ``vars``."""
    layers = next((tree[c] for c in CONTAINERS if isinstance(tree.get(c), dict)), None)
    if layers is None:
        raise ValueError(f"load_weights: {where or 'the file'} has no layers, but {sorted(tree)}")
    numbers: dict[str, int] = {}
    unused = {name for name, group in layers.items() if _has_arrays(group)}
    for layer in keras_order(model):
        name = keras_name(layer)
        number = numbers[name] = numbers.get(name, -1) + 1
        name = f"{name}_{number}" if number else name
        if not layer.get_weights():
            continue
        group = layers.get(name)
        if not isinstance(group, dict):
            raise ValueError(
                f"load_weights: the file has no {where}{name} for {layer.name}; it has "
                f"{', '.join(sorted(unused)) or 'nothing else'}"
            )
        unused.discard(name)
        if isinstance(layer, Model):
            _match_tree(layer, group, found, f"{where}{name}/")
        else:
            arrays = group.get("vars", {})
            order = sorted((n for n in arrays if n.isdigit()), key=int)
            found.append((layer, [np.asarray(arrays[n]) for n in order]))
    if unused:
        raise ValueError(
            f"load_weights: {model.name} has no layers for {', '.join(sorted(unused))} of the file"
        )


def _has_arrays(group: Any) -> bool:
    return not isinstance(group, dict) or any(map(_has_arrays, group.values()))


def _match_list(model: Model, entries: list[Entry], found: Found) -> None:
    """The layers of Keras 2, one after the other; those without weights do not count."""
    own = [layer for layer in keras_order(model) if layer.get_weights()]
    given = [entry for entry in entries if entry.arrays]
    if len(own) != len(given):
        raise ValueError(
            f"load_weights: the network has {len(own)} layers with weights "
            f"({', '.join(layer.name for layer in own)}), the file {len(given)} "
            f"({', '.join(entry.name for entry in given)})"
        )
    for layer, entry in zip(own, given, strict=True):
        if isinstance(layer, Model):
            _split(layer, entry, found)
        else:
            found.append((layer, entry.arrays))


def _split(model: Model, entry: Entry, found: Found) -> None:
    """The weights of a network inside another.

    Keras 2 writes all that were trained, then all that were not; so those of a frozen layer stand
    behind the others. Which layer a weight is of, its name says. The order of the layers is that of
    the model's description in the file, else what names and shapes leave no doubt about.
    """
    leaves = [layer for layer in _leaves(model) if layer.get_weights()]
    groups: dict[str, list[np.ndarray]] = {}
    for name, array in zip(entry.names, entry.arrays, strict=True):
        groups.setdefault(name.rpartition("/")[0], []).append(array)
    if len(groups) != len(leaves):
        raise ValueError(
            f"load_weights: {model.name} has {len(leaves)} layers with weights "
            f"({', '.join(layer.name for layer in leaves)}), {entry.name} of the file "
            f"{len(groups)} ({', '.join(groups)})"
        )
    places = _by_names(groups, entry.inside) if entry.inside is not None else None
    if places is None:
        chosen = [layer.name for layer in leaves if not _numbered(layer)]
        if len(chosen) == len(leaves):  # names that were given, not made from classes
            places = _by_names(groups, chosen)
    if places is None:
        places = _by_shapes(model, leaves, groups, entry)
    found += [(layer, groups[name]) for layer, name in zip(leaves, places, strict=True)]


def _numbered(layer: Layer) -> bool:
    """Whether a layer's name may be made from its class and a number."""
    kind = keras_name(layer)
    return re.fullmatch(rf"{kind}(_\d+)?", layer.name) is not None


def _by_names(groups: dict[str, Any], order: list[str]) -> list[str] | None:
    """The groups in the order of layers; None where they are not just those."""
    at: dict[str, str] = {}
    for name in groups:
        layer = next((part for part in reversed(name.split("/")) if part in order), None)
        if layer is None or layer in at:
            return None
        at[layer] = name
    return [at[layer] for layer in order if layer in at]


def _by_shapes(
    model: Model, leaves: list[Layer], groups: dict[str, list[np.ndarray]], entry: Entry
) -> list[str]:
    """The groups that have the shapes of the layers, where no two are alike."""
    shapes = {name: tuple(a.shape for a in arrays) for name, arrays in groups.items()}
    places = []
    for layer in leaves:
        want = tuple(w.shape for w in layer.get_weights())
        fitting = [name for name, have in shapes.items() if have == want]
        if len(fitting) > 1:
            raise ValueError(
                f"load_weights: {', '.join(fitting)} of {entry.name} in the file have equal "
                f"shapes, and their order does not say which of them {layer.name} of {model.name} "
                "is, as some may be frozen. Give the layers inside the file's names (name=…), "
                "or "
                "write the file with Keras's model.save, which describes the network"
            )
        if not fitting:
            raise ValueError(
                f"load_weights: {layer.name} ({type(layer).__name__}) has weights of shapes "
                f"{list(want)}, {entry.name} of the file has {list(shapes.values())}"
            )
        places.append(fitting[0])
    return places


def _leaves(model: Model) -> list[Layer]:
    found: list[Layer] = []
    for layer in keras_order(model):
        found += _leaves(layer) if isinstance(layer, Model) else [layer]
    return found
