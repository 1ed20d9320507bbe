"""How tensors print."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_options: dict[str, Any] = {
    "precision": 4,
    "threshold": 1000,
    "edgeitems": 3,
    "linewidth": 80,
    "sci_mode": None,
}
_INDENT = len("tensor(")


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print.

    Parameters
    ----------
    precision : int
        Digits after the point (4).
    threshold : int
        From how many elements on only the edges are shown (1000).
    edgeitems : int
        How many at each edge (3).
    linewidth : int
        Characters per line (80).
    profile : {"default", "short", "full"}
        Values for all of these.
    sci_mode : bool
        Always or never use scientific notation; by default as needed.
    """
    if profile is not None:
        if profile not in ("default", "short", "full"):
            raise ValueError(f"profile must be 'default', 'short' or 'full', got {profile!r}")
        short = profile == "short"
        _options.update(
            precision=2 if short else 4,
            threshold=math.inf if profile == "full" else 1000,
            edgeitems=2 if short else 3,
            linewidth=80,
        )
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    _options.update({k: v for k, v in given.items() if v is not None})
    _options["sci_mode"] = sci_mode


class _Format:
    """One way of writing all elements of an array, of equal width."""

    def __init__(self, shown: np.ndarray) -> None:
        self.kind = shown.dtype.kind
        self.style = ""
        if self.kind == "f":
            self._choose(shown.astype(np.float64, copy=False).ravel())
            shown = shown[np.isfinite(shown)]
        self.width = max([len(self._text(v)) for v in shown.ravel().tolist()], default=0)

    def _choose(self, values: np.ndarray) -> None:
        finite = np.abs(values[np.isfinite(values) & (values != 0)])
        precision, sci = _options["precision"], _options["sci_mode"]
        whole = bool(np.all(finite == np.ceil(finite)))
        if finite.size and sci is None:
            low, high = float(finite.min()), float(finite.max())
            sci = high / low > 1000 or high > 1e8 or (not whole and low < 1e-4)
            if whole:
                sci = (high / low > 1000 and high > 1e8) or high > 1e8
        if sci:
            self.style = f".{precision}e"
        elif whole:
            self.style = ".0f"
        else:
            self.style = f".{precision}f"

    def _text(self, v: Any) -> str:
        if self.kind != "f":
            return str(v)
        text = format(v, self.style)
        return text + "." if self.style == ".0f" and math.isfinite(v) else text

    def __call__(self, v: Any) -> str:
        return self._text(v).rjust(self.width)


def _summary(a: np.ndarray, edge: int) -> np.ndarray:
    """The corners of a large array, which decide the format."""
    for d, n in enumerate(a.shape):
        if n > 2 * edge:
            a = np.take(a, [*range(edge), *range(n - edge, n)], d)
    return a


def _rows(a: np.ndarray, indent: int, fmt: _Format, short: bool) -> str:
    edge = _options["edgeitems"]
    if not a.ndim:
        return fmt(a.item())
    n = a.shape[0]
    cut = short and n > 2 * edge
    if a.ndim == 1:
        per_line = max(1, (_options["linewidth"] - indent) // max(1, fmt.width + 2))
        if cut:
            texts = (
                [fmt(v) for v in a[:edge].tolist()]
                + [" ..."]
                + [fmt(v) for v in a[n - edge :].tolist()]
            )
        else:
            texts = [fmt(v) for v in a.tolist()]
        lines = [", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    if cut:
        parts = [_rows(s, indent + 1, fmt, short) for s in a[:edge]]
        parts += ["..."] + [_rows(s, indent + 1, fmt, short) for s in a[n - edge :]]
    else:
        parts = [_rows(s, indent + 1, fmt, short) for s in a]
    return "[" + ("," + "\n" * (a.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def format_tensor(t: Any) -> str:
    """The text of ``repr(t)``."""
    from . import dtypes

    a = t._array
    suffixes = []
    default = (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool)
    if not a.size:
        body = "[]"
        if a.ndim != 1:
            suffixes.append(f"size={tuple(a.shape)}")
        if t.dtype is not dtypes.get_default_dtype():
            suffixes.append(f"dtype={t.dtype}")
    else:
        short = a.size > _options["threshold"]
        shown = _summary(a, _options["edgeitems"]) if short else a
        body = _rows(a, _INDENT, _Format(shown), short)
        if t.dtype not in default:
            suffixes.append(f"dtype={t.dtype}")
    node = t.grad_fn
    if node is not None and t.requires_grad:
        suffixes.append(f"grad_fn=<{node.name()}>")
    elif t.requires_grad:
        suffixes.append("requires_grad=True")
    text = f"tensor({body}"
    line = len(text) - text.rfind("\n") - 1
    for s in suffixes:
        if line + len(s) + 3 > _options["linewidth"]:
            text += ",\n" + " " * _INDENT + s
            line = _INDENT + len(s)
        else:
            text += ", " + s
            line += len(s) + 2
    return text + ")"
