"""What style transfer makes small: Gatys, Ecker, Bethge (CVPR 2016), section 2."""

from __future__ import annotations

from typing import Any

from ..functions.linalg import bmm
from ..tensor import Tensor


def gram_matrix(maps: Tensor) -> Tensor:
    """The products of a layer's channels with each other, summed over the pixels.

    Parameters
    ----------
    maps : Tensor, (N, C, H, W), float32 or float64

    Returns
    -------
    Tensor, (N, C, C)
        Equation 3: what is left of the maps without where things are.

    Raises
    ------
    ValueError
        For another number of axes.
    """
    if maps.ndim != 4:
        raise ValueError(f"gram_matrix: maps must be (N, C, H, W), got {tuple(maps.shape)}")
    flat = maps.flatten(2)
    return bmm(flat, flat.transpose(1, 2))  # type: ignore[no-any-return]


def content_loss(maps: Tensor, content: Tensor) -> Tensor:
    """Half the sum of squared differences (equation 1).

    Parameters
    ----------
    maps, content : Tensor, (N, C, H, W)
    """
    return 0.5 * ((maps - content) ** 2).sum()  # type: ignore[no-any-return]


def style_loss(maps: Tensor, gram: Tensor) -> Tensor:
    """Squared differences of Gram matrices over 4·C²·(H·W)² (equation 4).

    Parameters
    ----------
    maps : Tensor, (1, C, H, W)
    gram : Tensor, (1, C, C)
        The style's Gram matrix, divided by the number of its pixels: the two pictures may differ in
        size. With pictures of one size this is the paper's.
    """
    channels, pixels = maps.shape[1], maps.shape[2] * maps.shape[3]
    return ((gram_matrix(maps) / pixels - gram) ** 2).sum() / (4 * channels**2)  # type: ignore[no-any-return]


def total_variation(picture: Tensor) -> Any:
    """The mean absolute difference of neighbouring pixels, (N, C, H, W)."""
    down = (picture[:, :, 1:] - picture[:, :, :-1]).abs().mean()
    return down + (picture[:, :, :, 1:] - picture[:, :, :, :-1]).abs().mean()
