"""The filters of a convolution layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..nn import Conv2d, Module
from ._draw import Figure, grid
from ._model import Array, check_model, find_layer

__all__ = ["filters", "first_convolution", "show_filters"]


def first_convolution(model: Module) -> str:
    """The name of the first Conv2d of a network, in the order of its modules.

    Raises
    ------
    ValueError
        If there is none.
    """
    check_model(model, "first_convolution")
    for name, module in model.named_modules():
        if isinstance(module, Conv2d):
            return name
    raise ValueError(f"first_convolution: {type(model).__name__} has no Conv2d")


def filters(model: Module, layer: str | None = None, scaled: bool = True) -> Array:
    """The filters of a Conv2d.

    Parameters
    ----------
    model : Module
    layer : str, optional
        Its name; the first convolution's when not given.
    scaled : bool
        Each filter from 0 to 1, with 0.5 for a weight of zero; all channels of a filter have one
        scale, so colours are right.

    Returns
    -------
    ndarray
        (K, C, kh, kw): with three channels each is a picture in colour.

    Raises
    ------
    ValueError
        For a layer that is not there (the nearest names are listed), or is no Conv2d.
    """
    name = first_convolution(model) if layer is None else layer
    module = find_layer(model, name, "filters")
    if not isinstance(module, Conv2d):
        raise ValueError(f"filters: layer {name!r} must be a Conv2d, got {type(module).__name__}")
    weight = np.array(module.weight.detach().numpy())
    if not scaled:
        return np.ascontiguousarray(weight)
    most = np.abs(weight).max((1, 2, 3), keepdims=True)
    most[most == 0] = 1
    return np.ascontiguousarray(0.5 + 0.5 * weight / most)


def show_filters(bank: Any, count: int = 64, columns: int = 8, title: str = "") -> Figure:
    """Filters as pictures: in colour with three channels, else the first channel in grey.

    Parameters
    ----------
    bank : ndarray, (K, C, kh, kw) from 0 to 1, or (K, kh, kw) of any values
        From :func:`filters`, or a bank of :mod:`fastconv.visualize.handmade`, each of which is
        scaled by itself with mid grey for zero.
    count, columns : int
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    bank = np.asarray(bank)
    if bank.ndim not in (3, 4) or not len(bank):
        raise ValueError(
            f"show_filters: bank must be (K, C, kh, kw) or (K, kh, kw), got {bank.shape}"
        )
    if bank.ndim == 3:
        most = np.abs(bank).max((1, 2), keepdims=True)
        bank = (0.5 + 0.5 * bank / np.where(most == 0, 1, most))[:, None]
    shown = bank[:count] if bank.shape[1] == 3 else bank[:count, 0]
    names = [str(k) for k in range(len(shown))]
    return grid(list(shown), names, columns, title=title, size=0.8, cmap="gray", vmin=0, vmax=1)
