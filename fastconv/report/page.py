"""The HTML page of a training run, rendered from a plain dictionary."""

from __future__ import annotations

import functools
import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.files import write_text
from fastconv.report import figures
from fastconv.report.style import picture
from fastconv.text import grouped

__all__ = ["render", "write"]

#: Mistakes that are drawn; the text says how many there were.
MAX_MISTAKES = 24

STYLE = """
:root { color-scheme: light dark; --page: #f3f5f7; --card: #ffffff; --ink: #1c2126;
  --muted: #5d6873; --line: #e3e7eb; }
@media (prefers-color-scheme: dark) {
  :root { --page: #121519; --card: #1a1e23; --ink: #e4e8ec; --muted: #9aa5b0; --line: #2f363e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.08rem; margin: 0 0 .2rem; }
p { margin: 0 0 .8rem; } .note, header p { color: var(--muted); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 1.2rem 1.4rem; margin-top: 1.1rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(21rem, 1fr)); gap: 0 1.1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem;
  margin-top: 1.4rem; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.25; }
.tile span { color: var(--muted); }
img { display: block; max-width: 100%; height: auto; margin: .4rem auto 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--muted); font-weight: 600; }
td, th { padding: .35rem .6rem; border-top: 1px solid var(--line); vertical-align: top; }
tr:first-child > * { border-top: 0; } .number { text-align: right; }
code { font: .92em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
"""


def write(results: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Render ``results`` and write the page to ``path`` in one step.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If the file cannot be written.
    ModuleNotFoundError
        If matplotlib is missing.
    """
    return write_text(path, render(results))


def render(results: Mapping[str, Any]) -> str:
    """Render a training run as one HTML page that needs no other file.

    Parameters
    ----------
    results : mapping
        ``title``, ``summary`` (text), ``tiles`` (list of (value, caption)); and, each optional, in
        the order of the page: ``history`` (as ``cli.report`` gives it),
        ``confusion`` (K×K counts) with ``classes``, ``filters`` (K, C, kH, kW),
        ``mistakes`` (see :func:`fastconv.report.figures.mistakes`), ``speed`` (rows with
        ``backend``, ``seconds``, ``steps``) with ``speed_note``, ``machine`` (mapping of texts) and
        ``command``.

    Returns
    -------
    str
        Sections without data are left out.

    Raises
    ------
    ModuleNotFoundError
        If matplotlib is missing.
    """
    title = html.escape(str(results["title"]))
    parts = [
        f"<header><h1>{title}</h1><p>{html.escape(str(results['summary']))}</p></header>",
        _tiles(results.get("tiles", ())),
        _curves(results),
        _pair(_confusion(results), _filters(results)),
        _mistakes(results),
        _speed(results),
        _machine(results),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _section(title: str, note: str, body: str) -> str:
    return (
        f"<section><h2>{html.escape(title)}</h2>"
        f'<p class="note">{html.escape(note)}</p>{body}</section>'
    )


def _pair(*sections: str) -> str:
    present = [section for section in sections if section]
    return f'<div class="pair">{"".join(present)}</div>' if len(present) > 1 else "".join(present)


def _tiles(tiles: Sequence[tuple[str, str]]) -> str:
    cells = "".join(
        f'<div class="tile"><b>{html.escape(value)}</b><span>{html.escape(caption)}</span></div>'
        for value, caption in tiles
    )
    return f'<div class="tiles">{cells}</div>' if cells else ""


def _curves(results: Mapping[str, Any]) -> str:
    history = results.get("history")
    if not history:
        return ""
    images = "".join(
        picture(
            functools.partial(figures.curve, history, what),
            f"The {what} on training and validation images over the epochs",
        )
        for what in ("loss", "accuracy")
    )
    note = (
        "Training values are means over the epoch while the model changes; validation is measured "
        "at its end. The circle marks the epoch that was kept."
    )
    return _section("Training", note, f'<div class="pair">{images}</div>')


def _confusion(results: Mapping[str, Any]) -> str:
    matrix = results.get("confusion")
    if matrix is None:
        return ""
    classes = results["classes"]
    counts = np.asarray(matrix)
    image = picture(
        lambda theme: figures.confusion(matrix, classes, theme),
        f"Confusion matrix of {counts.sum()} test images",
    )
    note = f"{int(counts.trace())} of {int(counts.sum())} test images are on the diagonal."
    return _section("Confusion matrix", note, image)


def _filters(results: Mapping[str, Any]) -> str:
    weights = results.get("filters")
    if weights is None:
        return ""
    shape = np.shape(weights)
    image = picture(
        lambda theme: figures.filters(np.asarray(weights), theme), "Filters of the first layer"
    )
    note = (
        f"{shape[0]} filters of {shape[2]}×{shape[3]} weights, as learnt: "
        "light is positive, dark negative, one scale for all."
    )
    return _section("First layer", note, image)


def _mistakes(results: Mapping[str, Any]) -> str:
    rows = results.get("mistakes")
    if rows is None:
        return ""
    if not rows:
        return _section("Mistakes", "Every test image was read correctly.", "")
    shown = sorted(rows, key=lambda row: -row["probability"])[:MAX_MISTAKES]
    image = picture(
        lambda theme: figures.mistakes(shown, theme), "Test images that were classified wrong"
    )
    few = f", the surest {len(shown)} shown" if len(shown) < len(rows) else ""
    note = f"{len(rows)} test image{'s' * (len(rows) != 1)} read wrong{few}; surest mistakes first."
    return _section("Mistakes", note, image)


def _speed(results: Mapping[str, Any]) -> str:
    rows = sorted(results.get("speed") or (), key=lambda row: -row["seconds"])
    if not rows:
        return ""
    image = picture(
        lambda theme: figures.speed(rows, theme), "Seconds per training step by backend"
    )
    slowest = rows[0]["seconds"]
    lines = "".join(
        f"<tr><td>{html.escape(row['backend'])}</td>"
        f'<td class="number">{figures.seconds_text(row["seconds"])}</td>'
        f'<td class="number">{grouped(slowest / row["seconds"], 1)}×</td>'
        f'<td class="number">{grouped(row["steps"])}</td></tr>'
        for row in rows
    )
    table = (
        '<div class="scroll"><table><tr><th>backend</th><th class="number">one step</th>'
        f'<th class="number">against {html.escape(rows[0]["backend"])}</th>'
        f'<th class="number">steps timed</th></tr>{lines}</table></div>'
    )
    return _section("Speed", str(results.get("speed_note", "")), image + table)


def _machine(results: Mapping[str, Any]) -> str:
    rows = dict(results.get("machine") or {})
    if results.get("command"):
        rows["command"] = results["command"]
    if not rows:
        return ""
    lines = "".join(
        f"<tr><th>{html.escape(str(name))}</th><td><code>{html.escape(str(value))}</code></td></tr>"
        for name, value in rows.items()
    )
    return _section("How it was made", "", f'<div class="scroll"><table>{lines}</table></div>')
