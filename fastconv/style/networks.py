"""The network that style transfer looks with, and its weights from a file of the user's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..models._weights import state_dict_in
from ..models.vgg import LAYERS, WIDTHS
from ..nn import AvgPool2d, Conv2d, Linear, MaxPool2d, Module, ReLU, Sequential
from ..nn.init import undrawn
from ..nn.modules.conv import _ConvNd
from ..tensor import Tensor, wrap

#: Table 1 of the paper's VGG-19: conv1_1 to conv5_4, and the ReLU after each.
VGG19_LAYERS = tuple(
    f"{kind}{block}_{k}"
    for block, count in enumerate(LAYERS[19], 1)
    for k in range(1, count + 1)
    for kind in ("conv", "relu")
)
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTENT_LAYER = "conv4_2"


def vgg19_features(weights: Any = None, pooling: str = "max", until: str = "conv5_1") -> Sequential:
    """The convolutions of VGG-19 under the names of the paper: conv1_1, relu1_1, …, pool5.

    Parameters
    ----------
    weights : path, or dict of str to Tensor, optional
        A file of VGG-19's weights: PyTorch's (``.pth``), safetensors, or ONNX; or its
        ``state_dict``. Convolutions are taken in their order, whatever they are called; what comes
        after is left out. Drawn at random when not given.
    pooling : "max" or "average"
        The paper finds that the mean gives smoother pictures.
    until : str
        The last layer that is made.

    Returns
    -------
    Sequential

    Raises
    ------
    FileNotFoundError
        Where no file is.
    ValueError
        For another pooling or layer, and a file without VGG-19's convolutions.

    References
    ----------
    Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition" (ICLR
    2015), table 1, column E.
    """
    if pooling not in ("max", "average"):
        raise ValueError(f"vgg19_features: pooling must be 'max' or 'average', got {pooling!r}")
    if until not in VGG19_LAYERS:
        raise ValueError(
            f"vgg19_features: until must be one of {', '.join(VGG19_LAYERS)}; got {until!r}"
        )
    net = Sequential()
    before = 3
    if weights is None:
        return _fill(net, before, pooling, until)
    with undrawn():
        _fill(net, before, pooling, until)
    weights_in_order(net, weights)
    return net


def _fill(net: Sequential, before: int, pooling: str, until: str) -> Sequential:
    pool = MaxPool2d if pooling == "max" else AvgPool2d
    for block, (count, width) in enumerate(zip(LAYERS[19], WIDTHS), 1):
        for k in range(1, count + 1):
            net.add_module(f"conv{block}_{k}", Conv2d(before, width, 3, padding=1))
            if until == f"conv{block}_{k}":
                return net
            net.add_module(f"relu{block}_{k}", ReLU())
            if until == f"relu{block}_{k}":
                return net
            before = width
        net.add_module(f"pool{block}", pool(2))
    return net


def weights_in_order(model: Module, weights: Any) -> None:
    """Give a network's convolutions and linear layers the weights of a file, one after another.

    What the file calls them does not matter: the order does, and the shapes must be the same. A
    file may hold more than the network takes.

    Parameters
    ----------
    model : Module
        Its Conv and Linear modules, in the order of ``model.modules()``.
    weights : path, or dict of str to Tensor
        A PyTorch, safetensors or ONNX file (``.onnx``: in the order of its nodes), or anything
        else that :func:`fastconv.load` reads as a ``state_dict``.

    Raises
    ------
    FileNotFoundError
        Where no file is.
    ValueError
        If the file holds too few, or one has another shape.
    """
    found = _pairs(weights)
    layers = [
        (name, module) for name, module in model.named_modules()
        if isinstance(module, (_ConvNd, Linear))
    ]  # fmt: skip
    if len(found) < len(layers):
        raise ValueError(
            f"weights_in_order: the file holds {len(found)} layers with weights, and "
            f"{type(model).__name__} has {len(layers)}"
        )
    for (name, module), (source, weight, bias) in zip(layers, found):
        for part, given in (("weight", weight), ("bias", bias)):
            own = getattr(module, part)
            want = None if own is None else tuple(own.shape)
            got = None if given is None else tuple(given.shape)
            if want != got:
                raise ValueError(
                    f"weights_in_order: {name}.{part} has shape {want}, and the file's {source!r} "
                    f"{got}"
                )
    with no_grad():
        for (_, module), (_, *given) in zip(layers, found):
            for own, array in zip((module.weight, module.bias), given):
                if own is not None:
                    own.copy_(wrap(np.array(array)))


Pair = tuple[str, np.ndarray, Any]


def _pairs(weights: Any) -> list[Pair]:
    """Name, weight and bias of each layer, in order."""
    if not isinstance(weights, Mapping):
        if not isinstance(weights, (str, os.PathLike)):
            raise TypeError(
                f"weights_in_order: weights must be a path or a dict, got {type(weights).__name__}"
            )
        if not os.path.isfile(weights):
            raise FileNotFoundError(
                f"weights_in_order: there is no file {os.fspath(weights)!r}; nothing is downloaded"
            )
        if os.fspath(weights).lower().endswith(".onnx"):
            return _onnx_pairs(weights)
        from ..serialization import load

        weights = load(weights)
    state = state_dict_in(weights)
    if state is None:
        raise ValueError(f"weights_in_order: there is no state_dict in a {type(weights).__name__}")
    arrays = {k: v.detach().numpy() for k, v in state.items() if isinstance(v, Tensor)}
    return [
        (name, a, arrays.get(name.removesuffix("weight") + "bias"))
        for name, a in _sorted(arrays)
        if name.endswith("weight") and a.ndim >= 2
    ]


def _sorted(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Numbers in names by their value: safetensors sorts names as text, 10 before 2."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = name.replace("_", ".").split(".")
        return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts]

    numbered = all(any(p.isdigit() for p in name.split(".")) for name in arrays)
    items = list(arrays.items())
    if not numbered:
        return items
    tops = list(dict.fromkeys(name.split(".")[0] for name in arrays))
    if set(tops) == {"classifier", "features"}:
        tops = ["features", "classifier"]
    return sorted(items, key=lambda item: (tops.index(item[0].split(".")[0]), key(item[0])))


def _onnx_pairs(path: Any) -> list[Pair]:
    from .. import onnx

    net = onnx.load(path)
    state = net.state_dict()
    found: list[Pair] = []
    for node in net.graph.nodes:
        named = [net.names.get(i) for i in node.inputs[1:3]]
        if node.kind not in ("Conv", "Gemm") or not named or named[0] not in state:
            continue
        weight = state[named[0]].numpy()
        if node.kind == "Gemm" and not node.attributes.get("transB", 0):
            weight = weight.T
        bias = state[named[1]].numpy() if len(named) > 1 and named[1] in state else None
        found.append((node.name or node.outputs[0], weight, bias))
    return found
