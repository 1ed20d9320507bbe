"""Features of many images as points of a plane, through scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ._draw import Figure, figure
from ._model import Array, check_count

__all__ = ["PCA", "pca", "show_embedding", "tsne"]


class PCA(NamedTuple):
    """Points (N, k), and the share (k,) of the variance that each axis explains."""

    points: Array
    explained: Array


def _sklearn(what: str) -> tuple[Any, Any]:
    try:
        from sklearn import decomposition, manifold
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{what} needs scikit-learn: pip install 'fastconv[vision]'", name="sklearn"
        ) from error
    return decomposition, manifold


def _rows(features: Any, what: str, least: int) -> Array:
    a = np.asarray(features, np.float64)
    if a.ndim != 2 or len(a) < least:
        raise ValueError(
            f"{what}: features must be (N, D) with N of at least {least}, got shape {a.shape}"
        )
    return a


def pca(features: Any, axes: int = 2) -> PCA:
    """Features along the axes of their largest variance.

    Parameters
    ----------
    features : array_like, (N, D)
        From :func:`fastconv.visualize.features`.
    axes : int
        At most N and D.

    Returns
    -------
    PCA

    Raises
    ------
    ValueError
        For other shapes, or too many axes.
    ModuleNotFoundError
        Without scikit-learn.

    References
    ----------
    Pearson, "On lines and planes of closest fit to systems of points in space" (1901).
    """
    a = _rows(features, "pca", 2)
    axes = check_count(axes, "axes", "pca")
    if axes > min(a.shape):
        raise ValueError(f"pca: axes must be at most {min(a.shape)}, got {axes}")
    made = _sklearn("pca")[0].PCA(axes, svd_solver="full")
    return PCA(made.fit_transform(a), made.explained_variance_ratio_)


def tsne(features: Any, perplexity: float = 30.0, seed: int = 0, **options: Any) -> Array:
    """Features as points of a plane in which near ones stay near.

    Parameters
    ----------
    features : array_like, (N, D)
    perplexity : float
        Roughly how many neighbours a point has; less than N.
    seed : int
    **options
        Further ones of scikit-learn's ``TSNE``.

    Returns
    -------
    ndarray, (N, 2)

    Raises
    ------
    ValueError
        For another shape, or a perplexity that is not below N.
    ModuleNotFoundError
        Without scikit-learn.

    References
    ----------
    van der Maaten, Hinton, "Visualizing data using t-SNE" (2008).
    """
    a = _rows(features, "tsne", 3)
    if not 0 < perplexity < len(a):
        raise ValueError(f"tsne: perplexity must be above 0 and below {len(a)}, got {perplexity}")
    made = _sklearn("tsne")[1].TSNE(2, perplexity=perplexity, random_state=seed, **options)
    return made.fit_transform(a)  # type: ignore[no-any-return]


def show_embedding(
    points: Any, labels: Any, classes: Sequence[str] | None = None, title: str = ""
) -> Figure:
    """Points in the colour of their class, with a legend beside.

    Parameters
    ----------
    points : array_like, (N, 2)
    labels : array_like, (N,) int
    classes : sequence of str, optional
        Names of the labels.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        For shapes that do not fit.
    """
    points, labels = np.asarray(points), np.asarray(labels)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(
            "show_embedding: points must be (N, 2) and labels (N,), got "
            f"{points.shape} and {labels.shape}"
        )
    from matplotlib import colormaps

    fig = figure(5.6, 4.4)
    ax = fig.subplots()
    kinds = np.unique(labels)
    colours = colormaps["tab10" if len(kinds) <= 10 else "tab20"]
    for k, label in enumerate(kinds):
        some = points[labels == label]
        name = str(label) if classes is None else classes[int(label)]
        ax.scatter(some[:, 0], some[:, 1], s=9, color=colours(k % colours.N), label=name, lw=0)
    ax.set(title=title, xticks=[], yticks=[])
    fig.legend(loc="outside right center", frameon=False, markerscale=2)
    return fig
