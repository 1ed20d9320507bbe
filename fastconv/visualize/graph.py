"""A network as a graph, with shapes, and its time per layer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..autograd import no_grad
from ..nn import Module
from ..profiler import profile, record_function
from ._draw import Figure, figure
from ._model import as_batch, check_count, check_model, looking, run
from ._trace import trace

__all__ = ["LayerTime", "dot", "layer_times", "render", "show_layer_times"]

#: Fill colours by the beginning of a class's name.
FILLS = (
    ("Conv", "#cfe2f3"), ("Linear", "#d9d2e9"), ("MaxPool", "#fce5cd"), ("AvgPool", "#fce5cd"),
    ("Adaptive", "#fce5cd"), ("BatchNorm", "#d9ead3"), ("input", "#ffffff"), ("output", "#ffffff"),
)  # fmt: skip


def dot(model: Module, shape: Sequence[int], direction: str = "TB") -> str:
    """A network in graphviz's language: modules, what leads where, and shapes.

    Parameters
    ----------
    model : Module
    shape : sequence of int
        Of the input, with the batch.
    direction : "TB" or "LR"
        From top to bottom, or from left to right.

    Returns
    -------
    str
        A ``digraph``. Boxes are modules without modules inside; circles are operations where
        results meet; edges have the shapes. :func:`render` draws it.

    Raises
    ------
    ValueError
        For a shape without sizes, or another direction.
    """
    if direction not in ("TB", "LR"):
        raise ValueError(f"dot: direction must be 'TB' or 'LR', got {direction!r}")
    steps = trace(model, shape, "dot")
    lines = [
        f"digraph {_quoted(type(model).__name__)} {{",
        f"  rankdir={direction};",
        '  node [shape=box, style="filled,rounded", fillcolor="#f3f3f3", fontname="sans-serif",'
        " fontsize=10];",
        '  edge [fontname="sans-serif", fontsize=9, color="#666666"];',
    ]
    for i, step in enumerate(steps):
        text = f"{step.name}\n{_describe(step.kind, step.module)}" if step.name else step.kind
        looks = f"label={_quoted(text)}"
        if step.module is None and step.kind not in ("input", "output"):
            looks += ', shape=ellipse, fillcolor="#ffffff"'
        for start, fill in FILLS:
            if step.kind.startswith(start):
                looks += f', fillcolor="{fill}"'
                break
        lines.append(f"  n{i} [{looks}];")
        for k in step.sources:
            size = "×".join(map(str, steps[k].output))
            lines.append(f"  n{k} -> n{i} [label={_quoted(size)}];")
    return "\n".join([*lines, "}", ""])


def _describe(kind: str, module: Any) -> str:
    kernel = getattr(module, "kernel_size", None)
    if kernel is None:
        return kind
    both = tuple(kernel) if isinstance(kernel, (tuple, list)) else (kernel, kernel)
    stride = getattr(module, "stride", None)
    one = stride[0] if isinstance(stride, (tuple, list)) else stride
    return f"{kind} {'×'.join(map(str, both))}" + (
        f", stride {one}" if one not in (None, 1) else ""
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def render(text: str, path: str | Path) -> Path:
    """Draw a graph with graphviz's ``dot``.

    Parameters
    ----------
    text : str
        From :func:`dot`.
    path : path
        Its ending says the format: ``.svg``, ``.png`` or ``.pdf``; ``.dot`` writes the text, for
        which graphviz is not needed.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        Where graphviz is not installed.
    ValueError
        For another ending, and what graphviz cannot draw.
    """
    path = Path(path)
    kind = path.suffix[1:].lower()
    if kind not in ("svg", "png", "pdf", "dot"):
        raise ValueError(f"render: path must end in .svg, .png, .pdf or .dot, got {str(path)!r}")
    if kind == "dot":
        path.write_text(text, encoding="utf-8")
        return path
    program = shutil.which("dot")
    if program is None:
        raise FileNotFoundError(
            "render: graphviz's program dot is not installed; render(text, 'net.dot') writes the "
            "text, which any graphviz draws"
        )
    done = subprocess.run([program, f"-T{kind}"], input=text.encode(), capture_output=True)
    if done.returncode:
        raise ValueError(f"render: graphviz says: {done.stderr.decode(errors='replace').strip()}")
    path.write_bytes(done.stdout)
    return path


class LayerTime(NamedTuple):
    """A module's name, its class, and the milliseconds of one pass (the least of all passes)."""

    name: str
    kind: str
    milliseconds: float


def layer_times(model: Module, images: Any, repeats: int = 5) -> list[LayerTime]:
    """How long each module without modules inside takes, forward, by :func:`fastconv.profile`.

    Parameters
    ----------
    model : Module
        Run in evaluation mode, without gradients; as before afterwards.
    images : Tensor or ndarray, (N, C, H, W) or (C, H, W), float32 or float64
    repeats : int
        Passes, after one that is not counted.

    Returns
    -------
    list of LayerTime
        In the order of the first calls; calls of one module in a pass are added up. The modules are
        called one by one, so nothing is fused across them.

    Raises
    ------
    RuntimeError
        Within another ``profile()``.
    """
    what = "layer_times"
    check_model(model, what)
    repeats = check_count(repeats, "repeats", what)
    x, _ = as_batch(images, what)
    names = {id(m): n for n, m in model.named_modules()}
    kinds: dict[str, str] = {}
    blocks: list[Any] = []

    def before(module: Module, args: Any) -> None:
        name = names[id(module)]
        kinds.setdefault(name, type(module).__name__)
        blocks.append(record_function(f"{what}:{name}").__enter__())

    def after(module: Module, args: Any, result: Any) -> None:
        if hasattr(result, "_array"):
            result._array  # noqa: B018  (what waits is written within the block)
        blocks.pop().__exit__(None, None, None)

    handles = []
    best: dict[str, float] = {}
    try:
        for module in model.modules():
            if not any(True for _ in module.children()):
                handles.append(module.register_forward_pre_hook(before))
                handles.append(module.register_forward_hook(after))
        with looking(model), no_grad():
            run(model, x)
            for _ in range(repeats):
                with profile() as p:
                    run(model, x)
                spent: dict[str, float] = {}
                for event in p.events():
                    if event.name.startswith(f"{what}:"):
                        name = event.name[len(what) + 1 :]
                        spent[name] = spent.get(name, 0.0) + event.duration / 1e6
                for name, ms in spent.items():
                    best[name] = min(ms, best.get(name, ms))
    finally:
        for handle in handles:
            handle.remove()
    return [LayerTime(name, kinds[name], best[name]) for name in kinds]


def show_layer_times(times: Sequence[LayerTime], most: int = 30) -> Figure:
    """A bar for each module, in the network's order; the longest `most`.

    Parameters
    ----------
    times : sequence of LayerTime
    most : int

    Returns
    -------
    matplotlib.figure.Figure
    """
    chosen = sorted(sorted(range(len(times)), key=lambda i: -times[i].milliseconds)[:most])
    shown = [times[i] for i in chosen]
    fig = figure(6.4, 0.22 * len(shown) + 1.0)
    ax = fig.subplots()
    places = np.arange(len(shown))
    ax.barh(places, [t.milliseconds for t in shown], color="#4c78a8")
    ax.set_yticks(places, [f"{t.name or t.kind} ({t.kind})" for t in shown], fontsize=8)
    ax.invert_yaxis()
    ax.margins(y=0.01)
    total = sum(t.milliseconds for t in times)
    ax.set_xlabel("ms")
    ax.set_title(f"{len(shown)} of {len(times)} modules, {total:.2f} ms in all", fontsize=10)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return fig
