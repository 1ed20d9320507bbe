"""Activations of layers by name, and the weights of attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn import Module, MultiheadAttention
from ..tensor import Tensor, wrap
from ._draw import Figure, grid
from ._model import Array, as_batch, check_model, looking, reached, run, unbatch, watched

__all__ = [
    "activations", "attention_rollout", "attention_weights", "features", "show_activations",
    "spatial_attention",
]  # fmt: skip


def activations(model: Module, images: Any, layers: str | Sequence[str]) -> Any:
    """What layers give for images.

    Parameters
    ----------
    model : Module
        Run in evaluation mode; as before afterwards.
    images : Tensor or ndarray, (N, C, H, W) or (C, H, W), float32 or float64
    layers : str or sequence of str
        Names as ``model.named_modules()`` has them.

    Returns
    -------
    ndarray, or dict of str to ndarray
        (N, channels, h, w) for a convolution; without N for one image. A dict for several names.

    Raises
    ------
    ValueError
        For a layer that is not there (the nearest names are listed), or is not called.
    TypeError
        For a layer that gives anything but one Tensor.
    """
    what = "activations"
    check_model(model, what)
    x, single = as_batch(images, what)
    names = [layers] if isinstance(layers, str) else list(layers)
    with looking(model), no_grad(), watched(model, names, what) as seen:
        run(model, x)
    found = {n: unbatch(np.array(reached(seen, n, what).numpy()), single) for n in names}
    return found[layers] if isinstance(layers, str) else found


def features(model: Module, images: Any, layer: str, batch_size: int = 64) -> Array:
    """What a layer gives, a row (N, D) for each image: maps are averaged over their pixels.

    Parameters, raises : as for :func:`activations`; `batch_size` images at once.
    """
    x, _ = as_batch(images, "features")
    rows = []
    for k in range(0, len(x), batch_size):
        found = activations(model, x[k : k + batch_size], layer)
        rows.append(found.mean((2, 3)) if found.ndim == 4 else found.reshape(len(found), -1))
    return np.concatenate(rows)


def spatial_attention(model: Module, images: Any, layer: str, power: float = 2.0) -> Array:
    """Where a layer is active: the mean of \\|activation\\| to a power over the channels.

    Parameters
    ----------
    model, images : as for :func:`activations`
    layer : str
        One that gives maps (N, channels, h, w).
    power : float

    Returns
    -------
    ndarray
        (N, h, w), or (h, w) of one image.

    Raises
    ------
    ValueError
        For a layer that is not there or gives no maps.

    References
    ----------
    Zagoruyko, Komodakis, "Paying more attention to attention" (ICLR 2017), section 3.1.
    """
    x, single = as_batch(images, "spatial_attention")
    found = activations(model, x, layer)
    if found.ndim != 4:
        raise ValueError(
            f"spatial_attention: layer {layer!r} must give maps (N, channels, h, w), got shape "
            f"{found.shape}"
        )
    return unbatch((np.abs(found) ** power).mean(1), single)


def attention_weights(model: Module, *inputs: Any) -> dict[str, Array]:
    """The weights of every MultiheadAttention of a network, for one call.

    Parameters
    ----------
    model : Module
    *inputs : Tensor or ndarray
        What the network takes.

    Returns
    -------
    dict of str to ndarray
        By name of the module, in the order of the calls: (N, heads, queries, keys), rows sum up to
        1. Of a module that is called more than once the last call counts.

    Raises
    ------
    ValueError
        If the network has no MultiheadAttention, or calls none.

    References
    ----------
    Vaswani et al., "Attention is all you need" (2017), section 3.2.
    """
    what = "attention_weights"
    check_model(model, what)
    modules = {n: m for n, m in model.named_modules() if isinstance(m, MultiheadAttention)}
    if not modules:
        raise ValueError(f"{what}: {type(model).__name__} has no MultiheadAttention")
    found: dict[str, Array] = {}
    handles = []

    def watch(name: str, module: Module) -> None:
        asked: list[tuple[bool, bool]] = []

        def before(module: Module, args: Any, kwargs: Any) -> Any:
            # query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights
            names = ("key_padding_mask", "need_weights", "attn_mask", "average_attn_weights")
            kwargs = {**kwargs, **dict(zip(names, args[3:])), **dict(zip(["is_causal"], args[7:]))}
            asked.append((kwargs.get("need_weights", True), kwargs.get(names[3], True)))
            return args[:3], {**kwargs, "need_weights": True, names[3]: False}

        def after(module: Module, args: Any, kwargs: Any, result: Any) -> Any:
            out, weights = result
            found.pop(name, None)
            found[name] = np.array(weights.detach().numpy())
            wanted, averaged = asked.pop()
            return out, (weights.mean(-3) if averaged else weights) if wanted else None

        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(module.register_forward_hook(after, with_kwargs=True))

    given = [x if isinstance(x, Tensor) else wrap(np.asarray(x)) for x in inputs]
    try:
        for name, module in modules.items():
            watch(name, module)
        with looking(model), no_grad():
            model(*given)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise ValueError(f"{what}: none of {', '.join(modules)} was called by the network")
    return found


def attention_rollout(weights: Sequence[Array]) -> Array:
    """How much of each input token reaches each output token, through all layers.

    Parameters
    ----------
    weights : sequence of ndarray, (N, heads, tokens, tokens)
        From the first layer to the last: ``attention_weights(...).values()``.

    Returns
    -------
    ndarray
        (N, tokens, tokens), rows sum up to 1.

    Raises
    ------
    ValueError
        For other shapes, or none.

    References
    ----------
    Abnar, Zuidema, "Quantifying attention flow in transformers" (ACL 2020), section 3: half of each
    token comes by the residual.
    """
    layers = [np.asarray(w, np.float64) for w in weights]
    shapes = {w.shape[:1] + w.shape[2:] for w in layers}
    if len(shapes) != 1 or any(w.ndim != 4 or w.shape[2] != w.shape[3] for w in layers):
        raise ValueError(
            "attention_rollout: weights must be arrays (N, heads, tokens, tokens) of the same "
            f"tokens, got shapes {[w.shape for w in layers]}"
        )
    tokens = layers[0].shape[2]
    flow = np.eye(tokens)[None]
    for w in layers:
        flow = (0.5 * w.mean(1) + 0.5 * np.eye(tokens)) @ flow
    return flow


def show_activations(maps: Any, count: int = 32, columns: int = 8, title: str = "") -> Figure:
    """The first maps of one image, each with its own grey scale.

    Parameters
    ----------
    maps : ndarray, (channels, h, w)
        From :func:`activations`.
    count, columns : int
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        For another number of axes.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise ValueError(f"show_activations: maps must be (channels, h, w), got {maps.shape}")
    count = min(count, len(maps))
    names = [str(k) for k in range(count)]
    return grid(list(maps[:count]), names, columns, cmap="viridis", title=title)
