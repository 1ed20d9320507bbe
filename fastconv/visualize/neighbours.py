"""Nearest neighbours, by pixels and by what a network makes of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..nn import Module
from ._draw import Figure, figure, put
from ._model import Array, as_batch, check_count
from .maps import features

__all__ = ["Neighbours", "nearest", "neighbours", "show_neighbours"]


class Neighbours(NamedTuple):
    """Indices (M, k) of the images nearest to each of M, the nearest first."""

    pixels: Array
    features: Array


def nearest(queries: Any, among: Any, k: int = 5) -> tuple[Array, Array]:
    """The nearest rows, by the Euclidean distance.

    Parameters
    ----------
    queries : array_like, (M, D)
    among : array_like, (N, D)
    k : int
        At most N.

    Returns
    -------
    indices : ndarray, (M, k) int64
        Nearest first; of equal distances the lower index.
    distances : ndarray, (M, k) float64

    Raises
    ------
    ValueError
        For other shapes, or fewer than `k` rows.
    """
    q, a = np.asarray(queries, np.float64), np.asarray(among, np.float64)
    if q.ndim != 2 or a.ndim != 2 or q.shape[1] != a.shape[1]:
        raise ValueError(
            f"nearest: queries (M, D) and among (N, D) must have one D, got {q.shape} and {a.shape}"
        )
    k = check_count(k, "k", "nearest")
    if k > len(a):
        raise ValueError(f"nearest: k must be at most {len(a)}, the rows there are; got {k}")
    middle = a.mean(0)  # differences of large numbers lose digits
    q, a = q - middle, a - middle
    square = (q**2).sum(1)[:, None] - 2 * q @ a.T + (a**2).sum(1)
    found = np.argsort(square, axis=1, kind="stable")[:, :k]
    exact = np.sqrt(((q[:, None] - a[found]) ** 2).sum(2))
    order = np.argsort(exact, axis=1, kind="stable")
    return np.take_along_axis(found, order, 1), np.take_along_axis(exact, order, 1)


def neighbours(model: Module, layer: str, queries: Any, images: Any, k: int = 5) -> Neighbours:
    """The images nearest to some, in pixels and in the features of a layer.

    Parameters
    ----------
    model : Module
    layer : str
        Its maps are averaged over their pixels (:func:`features`).
    queries : Tensor or ndarray, (M, C, H, W)
    images : Tensor or ndarray, (N, C, H, W)
    k : int

    Returns
    -------
    Neighbours

    Raises
    ------
    ValueError
        For a layer that is not there, and shapes that do not fit.

    References
    ----------
    Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks"
    (2012), section 6.1.
    """
    q, _ = as_batch(queries, "neighbours", "queries")
    a, _ = as_batch(images, "neighbours")
    flat = nearest(q.numpy().reshape(len(q), -1), a.numpy().reshape(len(a), -1), k)[0]
    return Neighbours(flat, nearest(features(model, q, layer), features(model, a, layer), k)[0])


def show_neighbours(queries: Any, images: Any, found: Neighbours, names: Any = None) -> Figure:
    """Each query, its neighbours in pixels, and beside them those in features.

    Parameters
    ----------
    queries, images : array_like, (M, C, H, W) and (N, C, H, W) from 0 to 1
    found : Neighbours
    names : sequence of str, optional
        Of the `images`, to stand above them.

    Returns
    -------
    matplotlib.figure.Figure
    """
    count, k = found.pixels.shape
    fig = figure(0.9 * (2 * k + 1.6) + 0.2, 1.05 * count + 0.6)
    axes = fig.subplots(
        count, 2 * k + 2, squeeze=False,
        gridspec_kw={"width_ratios": [1, *[1] * k, 0.3, *[1] * k]},
    )  # fmt: skip
    for ax in axes.ravel():
        ax.set_axis_off()
    for row in range(count):
        put(axes[row, 0], queries[row], cmap="gray", vmin=0, vmax=1)
        for first, indices in ((1, found.pixels[row]), (k + 2, found.features[row])):
            for column, i in enumerate(indices):
                name = "" if names is None else str(names[i])
                put(axes[row, first + column], images[i], name, cmap="gray", vmin=0, vmax=1)
    fig.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.3 / fig.get_figheight()))
    label = {"fontsize": 9, "ha": "left", "va": "bottom"}
    for column, text in ((0, "image"), (1, "nearest in pixels"), (k + 2, "nearest in features")):
        ax = axes[0, column]
        ax.text(0, 1.3, text, transform=ax.transAxes, **label).set_in_layout(False)
    return fig
