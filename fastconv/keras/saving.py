"""Networks as plain data: classes and arguments of layers, and how they are connected."""

from __future__ import annotations

import inspect
import os
from typing import Any

from ..serialization import load
from . import layers as kinds
from .base import Layer
from .functional import Input, KerasTensor
from .models import Model, Sequential


def arguments(layer: Layer) -> dict[str, Any]:
    """What a layer was made with.

    Raises
    ------
    TypeError
        For functions, which no file holds; the error names the layer.
    """
    found: dict[str, Any] = {}
    special = {
        "activation": "activation_name",
        "kernel_initializer": None,
        "bias_initializer": None,
        "depthwise_initializer": None,
        "data_format": None,
        "alpha": None,
        "shape": None,
        "axis": "axis",
        "cropping": None,
    }
    names = [
        p.name
        for p in inspect.signature(type(layer).__init__).parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in ("self", "name", "input_shape")
    ]
    for name in names:
        attribute = special.get(name, name)
        if attribute is None or not hasattr(layer, attribute):
            continue
        value = getattr(layer, attribute)
        if callable(value):
            raise TypeError(
                f"save: {layer.name} ({type(layer).__name__}) has a function as {name}, which no "
                "file holds; save the weights alone with save_weights"
            )
        found[name] = value
    if isinstance(layer, kinds.SeparableConv2D):
        d, p = layer.depthwise, layer.pointwise
        separable: dict[str, Any] = {
            "filters": p.filters, "kernel_size": d.kernel_size, "strides": d.strides,
            "padding": d.padding, "dilation_rate": d.dilation_rate,
            "depth_multiplier": d.depth_multiplier, "activation": p.activation_name,
            "use_bias": p.use_bias,
        }  # fmt: skip
        return separable
    if isinstance(layer, kinds.Cropping2D):
        return {"cropping": tuple((-a, -b) for a, b in layer.padding)}
    return found


def description(model: Model) -> dict[str, Any]:
    """A network as plain data."""
    if not model.built:
        raise ValueError("save: the model is not built yet: give an input shape, or call fit")
    if isinstance(model, Sequential):
        return {
            "kind": "Sequential",
            "name": model.name,
            "input_shape": model.inputs[0].shape[1:],
            "layers": [_layer(x) for x in model.layers],
        }
    numbers = {t: i for i, t in enumerate(model.steps)}
    steps: list[dict[str, Any]] = []
    layers = model.layers
    for t in model.steps:
        if t.layer is None:
            steps.append({"input": t.shape[1:]})
            continue
        number = next(i for i, layer in enumerate(layers) if layer is t.layer)
        steps.append(
            {"layer": number, "from": [numbers[s] for s in t.sources], "several": t.several}
        )
    return {
        "kind": "Model",
        "name": model.name,
        "layers": [_layer(x) for x in layers],
        "steps": steps,
        "inputs": [numbers[t] for t in model.inputs],
        "outputs": [numbers[t] for t in model.outputs],
        "several": model.several,
    }


def _layer(layer: Any) -> dict[str, Any]:
    if isinstance(layer, Model):
        return description(layer)
    if getattr(kinds, type(layer).__name__, None) is not type(layer):
        raise TypeError(
            f"save: {type(layer).__name__} is not a layer of fastconv.keras; save the weights "
            "alone with save_weights"
        )
    return {"kind": type(layer).__name__, "name": layer.name, "arguments": arguments(layer)}


def made(data: dict[str, Any]) -> Any:
    """The network or layer of a description."""
    kind = data.get("kind")
    if kind == "Sequential":
        model = Sequential(name=data["name"])
        model.add(Input(data["input_shape"]))
        for layer in data["layers"]:
            model.add(made(layer))
        return model
    if kind == "Model":
        layers = [made(layer) for layer in data["layers"]]
        values: list[KerasTensor] = []
        for step in data["steps"]:
            if "input" in step:
                values.append(Input(step["input"]))
                continue
            sources = [values[i] for i in step["from"]]
            values.append(layers[step["layer"]](sources if step["several"] else sources[0]))
        outputs: Any = [values[i] for i in data["outputs"]]
        inputs: Any = [values[i] for i in data["inputs"]]
        return Model(
            inputs if len(inputs) > 1 else inputs[0],
            outputs if data["several"] else outputs[0],
            name=data["name"],
        )
    found = getattr(kinds, str(kind), None)
    if not (isinstance(found, type) and issubclass(found, Layer)) or str(kind).startswith("_"):
        raise ValueError(f"load_model: there is no layer {kind!r}")
    return found(**data["arguments"], name=data["name"])


def load_model(path: str | os.PathLike[str]) -> Any:
    """Read what ``model.save(path)`` wrote; it has to be compiled again before it is trained.

    Raises
    ------
    ValueError
        If the file is not of a model.
    """
    data = load(path)
    if not isinstance(data, dict) or "keras" not in data:
        raise ValueError(
            f"{os.fspath(path)} holds no model of fastconv.keras; of a file of Keras's own, build "
            "the network here and call load_weights"
        )
    model = made(data["keras"])
    model.set_weights(data["weights"])
    return model
