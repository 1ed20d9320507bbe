"""How figures look, in the light and the dark scheme, and how they are embedded."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Theme(NamedTuple):
    """Colours of one scheme; ``series`` are told apart by lightness too, not by hue alone."""

    name: str
    surface: str
    ink: str
    muted: str
    grid: str
    series: tuple[str, str, str, str]
    ramp: tuple[str, str]  # least to most


LIGHT = Theme(
    name="light",
    surface="#ffffff",
    ink="#1c2126",
    muted="#5d6873",
    grid="#e3e7eb",
    series=("#1f6fb2", "#c9651a", "#7a8793", "#2d8a63"),
    ramp=("#ffffff", "#12497a"),
)
DARK = Theme(
    name="dark",
    surface="#1a1e23",
    ink="#e4e8ec",
    muted="#9aa5b0",
    grid="#2f363e",
    series=("#62aae6", "#ef9a55", "#7d8995", "#63c39a"),
    ramp=("#1a1e23", "#8cc6f5"),
)


def rc(theme: Theme) -> dict[str, Any]:
    """The matplotlib settings of a theme."""
    return {
        "figure.facecolor": theme.surface,
        "axes.facecolor": theme.surface,
        "savefig.facecolor": theme.surface,
        "text.color": theme.ink,
        "axes.labelcolor": theme.muted,
        "axes.edgecolor": theme.grid,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": False,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "axes.labelsize": 9.5,
        "legend.frameon": False,
        "legend.fontsize": 9.5,
        "legend.labelcolor": theme.ink,
        "font.size": 9.5,
        "font.family": "DejaVu Sans",
        "image.cmap": "gray",
        "svg.fonttype": "path",
        "svg.hashsalt": "fastconv",  # the same figure gives the same bytes
    }


def image_uri(figure: Figure, kind: str = "svg") -> str:
    """Render a figure as a ``data:`` URI, without a date so that it can be reproduced."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=160, metadata=metadata, bbox_inches="tight")
    mime = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def picture(draw: Callable[[Theme], Figure], description: str) -> str:
    """Draw a figure in both schemes; return a ``<picture>`` that follows the reader's choice."""
    import matplotlib

    uris = {}
    for theme in (LIGHT, DARK):
        with matplotlib.rc_context(rc(theme)):
            uris[theme.name] = image_uri(draw(theme))
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{uris["dark"]}">'
        f'<img src="{uris["light"]}" alt="{html.escape(description, quote=True)}"></picture>'
    )
