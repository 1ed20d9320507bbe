"""An explanation beside the image, and over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._draw import Figure, as_picture, figure, put, signed, to_range

__all__ = ["overlay", "show_attributions", "show_heatmaps"]

#: Colours of a heat map from 0 to 1: dark blue, blue, cyan, yellow, red, dark red.
STOPS = np.array([0.0, 0.125, 0.375, 0.625, 0.875, 1.0])
COLOURS = np.array(
    [[0, 0, 0.5], [0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0], [0.5, 0, 0]], np.float64
)


def overlay(image: Any, heat: Any, share: float = 0.5) -> np.ndarray:
    """A heat map in colours over an image.

    Parameters
    ----------
    image : array_like, (H, W), (1, H, W) or (3, H, W)
        From 0 to 1, or bytes; anything else is stretched to that range.
    heat : array_like, (H, W)
        From 0 to 1: what :func:`grad_cam` and its kin give.
    share : float
        Of the colours, where the heat is 1; less heat shows more of the image.

    Returns
    -------
    ndarray
        (H, W, 3) float32 from 0 to 1.

    Raises
    ------
    ValueError
        For shapes that do not fit, heat outside of 0 to 1, a share outside of 0 to 1.
    """
    picture, heat = to_range(image), np.asarray(heat, np.float64)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, 2)
    if heat.shape != picture.shape[:2]:
        raise ValueError(
            f"overlay: heat of shape {heat.shape} does not fit an image of {picture.shape[:2]}"
        )
    if not 0 <= share <= 1:
        raise ValueError(f"overlay: share must be from 0 to 1, got {share}")
    if heat.size and not (heat.min() >= 0 and heat.max() <= 1):
        raise ValueError(
            f"overlay: heat must be from 0 to 1, got {heat.min():.4g} to {heat.max():.4g}"
        )
    colours = np.stack([np.interp(heat, STOPS, COLOURS[:, c]) for c in range(3)], -1)
    part = share * np.sqrt(heat)[..., None]
    return (picture * (1 - part) + colours * part).astype(np.float32)


def show_heatmaps(image: Any, maps: Mapping[str, Any], share: float = 0.6) -> Figure:
    """An image, and beside it each heat map over it.

    Parameters
    ----------
    image : array_like, (H, W), (1, H, W) or (3, H, W)
    maps : dict of str to ndarray, (H, W) from 0 to 1
        By the name that stands above.
    share : float
        As for :func:`overlay`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    pictures = {"image": to_range(image), **{n: overlay(image, m, share) for n, m in maps.items()}}
    fig = figure(2.3 * len(pictures), 2.6)
    for ax, (name, picture) in zip(fig.subplots(1, len(pictures), squeeze=False)[0],
                                   pictures.items()):  # fmt: skip
        put(ax, picture, name, cmap="gray", vmin=0, vmax=1)
    return fig


def show_attributions(image: Any, maps: Mapping[str, Any]) -> Figure:
    """An image, and beside it what each pixel contributes.

    Parameters
    ----------
    image : array_like, (H, W), (1, H, W) or (3, H, W)
    maps : dict of str to ndarray, (H, W) or (C, H, W)
        By name; channels are summed. Values of both signs are red and blue around white, positive
        ones bright on black.

    Returns
    -------
    matplotlib.figure.Figure
    """
    fig = figure(2.3 * (len(maps) + 1), 2.6)
    axes = fig.subplots(1, len(maps) + 1, squeeze=False)[0]
    put(axes[0], to_range(as_picture(image)), "image", cmap="gray", vmin=0, vmax=1)
    for ax, (name, values) in zip(axes[1:], maps.items()):
        a, how = signed(values)
        put(ax, a, name, **how)
    return fig
