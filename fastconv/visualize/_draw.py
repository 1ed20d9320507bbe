"""How pictures are drawn: figures of their own, outside pyplot's register; matplotlib if asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:
    Figure = Any


def figure(width: float, height: float) -> Any:
    """An empty figure of so many inches.

    Raises
    ------
    ModuleNotFoundError
        Where matplotlib is missing: the extra that brings it.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"drawing needs {error.name}: pip install 'fastconv[vision]'", name=error.name
        ) from error
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def as_picture(image: Any, what: str = "image") -> np.ndarray:
    """(H, W) or (H, W, 3), whatever came: (H, W), (1, H, W), (3, H, W), (H, W, 3).

    Raises
    ------
    ValueError
        For another shape.
    """
    a = np.asarray(image.detach() if hasattr(image, "detach") else image)
    if a.ndim == 3 and a.shape[0] in (1, 3):
        a = a.transpose(1, 2, 0)
    if a.ndim == 3 and a.shape[2] == 1:
        a = a[..., 0]
    if a.ndim != 2 and not (a.ndim == 3 and a.shape[2] == 3):
        raise ValueError(f"{what}: must be (H, W), (1, H, W) or (3, H, W), got shape {a.shape}")
    return a


def to_range(image: Any) -> np.ndarray:
    """A picture from 0 to 1: bytes over 255, anything outside stretched as a whole."""
    a = as_picture(image)
    if a.dtype == np.uint8:
        return a / np.float32(255)
    low, high = float(a.min()), float(a.max())
    if low >= 0 and high <= 1:
        return a
    return (a - low) / (high - low or 1.0)


def put(ax: Any, image: Any, title: str = "", **how: Any) -> Any:
    """An image on axes, without ticks."""
    drawn = ax.imshow(as_picture(image), **{"interpolation": "nearest", **how})
    if title:
        ax.set_title(title, fontsize=8, pad=3)
    ax.set_axis_off()
    return drawn


def grid(
    images: Sequence[Any], names: Sequence[str], columns: int = 8, size: float = 1.15,
    title: str = "", **how: Any,
) -> Any:  # fmt: skip
    """Images in rows, each with its name above."""
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    heading = 0.35 if title else 0.0
    fig = figure(size * columns + 0.2, (size + 0.2) * rows + 0.2 + heading)
    axes = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, image, name in zip(axes, images, names):
        put(ax, image, name, **how)
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


def signed(values: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """One number for each pixel, and how to draw it: white is 0, red positive, blue negative.

    Channels are summed; the scale ends at the 99th percentile, so that single pixels do not bleach
    the rest.
    """
    a = np.asarray(values)
    a = a.sum(0) if a.ndim == 3 else a
    most = float(np.percentile(np.abs(a), 99)) or float(np.abs(a).max()) or 1.0
    if a.min() >= 0:
        return a, {"cmap": "inferno", "vmin": 0, "vmax": most}
    return a, {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
