"""What part of an image a unit of a layer can see: computed, and measured by gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..nn import Module, modules
from ..tensor import Tensor, wrap
from ._draw import Figure, figure, put, to_range
from ._model import Array, as_batch, check_model, find_layer, looking, reached, run, slope, watched
from ._trace import Step, trace

__all__ = ["ReceptiveField", "field_box", "measured_field", "receptive_field",
           "show_receptive_field"]  # fmt: skip

Box = tuple[int, int, int, int]
#: Modules whose every unit sees the whole map that comes in.
WHOLE = (
    "Linear", "LayerNorm", "GroupNorm", "InstanceNorm2d", "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d", "MultiheadAttention", "Flatten",
)  # fmt: skip


class ReceptiveField(NamedTuple):
    """The receptive field of a layer.

    Attributes
    ----------
    size : (int, int)
        Height and width in pixels.
    stride : (int, int)
        From one unit's field to the next's.
    first : (int, int)
        Where the field of unit (0, 0) begins: negative where it reaches into the padding.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    first: tuple[int, int]

    def box(self, row: int, column: int) -> Box:
        """Top, left, bottom and right of a unit's field; the latter two are outside of it."""
        top = self.first[0] + row * self.stride[0]
        left = self.first[1] + column * self.stride[1]
        return top, left, top + self.size[0], left + self.size[1]


class _Axis(NamedTuple):
    """Unit i sees pixels low + i·jump to high + i·jump."""

    low: int
    high: int
    jump: int


def receptive_field(model: Module, layer: str, shape: Sequence[int]) -> ReceptiveField:
    """The receptive field of a layer, from kernels, strides, paddings and dilations.

    Parameters
    ----------
    model : Module
        Its modules are followed through branches too; where branches meet, the field is the union.
    layer : str
        Name of a module without modules inside. If it is called more than once, the last call.
    shape : sequence of int
        Of the input: (1, C, H, W).

    Returns
    -------
    ReceptiveField
        Behind a linear layer, global pooling or a normalisation over pixels it is the whole image,
        with a stride of 0.

    Raises
    ------
    ValueError
        For a layer that is not there, a transposed convolution or upsampling on the way, and a
        module that changes the size in a way that is not known: :func:`measured_field` measures
        those.

    References
    ----------
    Araujo, Norris, Sim, "Computing receptive fields of convolutional neural networks" (2019).
    """
    what = "receptive_field"
    find_layer(model, layer, what)
    steps = trace(model, shape, what)
    if len(steps[0].output) != 4:
        raise ValueError(f"{what}: shape must be (N, C, H, W), got {tuple(shape)}")
    calls = [i for i, step in enumerate(steps) if step.name == layer and step.module is not None]
    if not calls:
        raise ValueError(
            f"{what}: layer {layer!r} has modules inside, or was not called: name the last inside"
        )
    fields: dict[int, tuple[_Axis, _Axis] | None] = {0: (_Axis(0, 0, 1), _Axis(0, 0, 1))}
    wanted = _ancestors(steps, calls[-1])
    for i in wanted:
        if i:
            fields[i] = _after(steps[i], [fields[k] for k in steps[i].sources], what)
    found = fields[calls[-1]]
    if found is None:
        height, width = steps[0].output[2:]
        return ReceptiveField((height, width), (0, 0), (0, 0))
    y, x = found
    return ReceptiveField(
        (y.high - y.low + 1, x.high - x.low + 1), (y.jump, x.jump), (y.low, x.low)
    )


def _ancestors(steps: list[Step], last: int) -> list[int]:
    """The steps that lead to one, in their order."""
    found, open_ = {last}, [last]
    while open_:
        for k in steps[open_.pop()].sources:
            if k not in found:
                found.add(k)
                open_.append(k)
    return sorted(found)


def _after(
    step: Step, before: list[tuple[_Axis, _Axis] | None], what: str
) -> tuple[_Axis, _Axis] | None:
    fields = [f for f in before if f is not None]
    if not fields or len(fields) < len(before):
        return None
    merged: list[_Axis] = []
    for axes in zip(*fields):
        if len({a.jump for a in axes}) > 1:
            raise ValueError(
                f"{what}: branches of strides {sorted({a.jump for a in axes})} meet in {step.kind}"
                f" {step.name!r}: use measured_field"
            )
        merged.append(_Axis(min(a.low for a in axes), max(a.high for a in axes), axes[0].jump))
    y, x = merged
    module = step.module
    if module is None:
        return y, x
    if isinstance(module, modules.conv._ConvNd) and not step.kind.startswith("ConvTranspose"):
        kernel = _two(module.kernel_size)
        dilation, stride = _two(module.dilation), _two(module.stride)
        if module.padding == "same":
            padding = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation))
        else:
            padding = (0, 0) if module.padding == "valid" else _two(module.padding)
    elif step.kind in ("MaxPool2d", "AvgPool2d", "LPPool2d"):
        pool: Any = module
        kernel = _two(pool.kernel_size)
        stride = _two(pool.stride) if pool.stride is not None else kernel
        padding = _two(getattr(pool, "padding", 0))
        dilation = _two(getattr(pool, "dilation", 1))
    elif step.kind in WHOLE:
        return None
    elif step.inputs[2:] == step.output[2:]:
        return y, x
    else:
        raise ValueError(
            f"{what}: the field of {step.kind} {step.name!r} is not known, which makes "
            f"{step.output} of {step.inputs}: use measured_field"
        )
    made = [
        _Axis(a.low - p * a.jump, a.high + (d * (k - 1) - p) * a.jump, a.jump * s)
        for a, k, s, p, d in zip((y, x), kernel, stride, padding, dilation)
    ]
    return made[0], made[1]


def _two(value: Any) -> tuple[int, int]:
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    return int(both[0]), int(both[1])


def measured_field(
    model: Module, layer: str, images: Any, unit: tuple[int, int] | None = None
) -> Array:
    """How much each pixel changes a unit of a layer: the mean absolute gradient.

    Parameters
    ----------
    model : Module
    layer : str
        It must give maps (N, channels, h, w).
    images : Tensor or ndarray, (N, C, H, W) or (C, H, W), float32 or float64
        Over which the mean is taken.
    unit : (int, int), optional
        Row and column; the middle one by default. All its channels count.

    Returns
    -------
    ndarray, (H, W)
        0 outside of the receptive field, and within it where ReLU and max-pooling let nothing
        through for any of the images.

    Raises
    ------
    ValueError
        For a layer that is not there or gives no maps, and a unit that is not there.

    References
    ----------
    Luo, Li, Urtasun, Zemel, "Understanding the effective receptive field in deep convolutional
    neural networks" (2016).
    """
    what = "measured_field"
    check_model(model, what)
    x, _ = as_batch(images, what)
    draw = np.random.default_rng(0)
    with looking(model), watched(model, [layer], what) as seen:
        x.requires_grad_(True)
        run(model, x)
        maps: Tensor = reached(seen, layer, what)
        if maps.ndim != 4:
            raise ValueError(f"{what}: layer {layer!r} must give maps, got {tuple(maps.shape)}")
        height, width = maps.shape[2:]
        row, column = (height // 2, width // 2) if unit is None else unit
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(
                f"{what}: unit must be within {height}×{width} units of {layer!r}, got {unit}"
            )
        # signs at random, so that channels do not cancel
        signs = draw.choice([-1.0, 1.0], tuple(maps.shape[:2])).astype(maps.detach().numpy().dtype)
        found = slope((maps[:, :, row, column] * wrap(signs)).sum(), x)
    return np.abs(found).sum(1).mean(0)  # type: ignore[no-any-return]


def field_box(found: Any, share: float = 0.0) -> Box:
    """The smallest box around what exceeds a share of the largest value.

    Parameters
    ----------
    found : array_like, (H, W)
        From :func:`measured_field`.
    share : float

    Returns
    -------
    (top, left, bottom, right)
        The latter two are outside of it.

    Raises
    ------
    ValueError
        If nothing exceeds it.
    """
    a = np.asarray(found)
    above = a > share * a.max()
    if not above.any():
        raise ValueError("field_box: no pixel has any influence")
    rows, columns = np.flatnonzero(above.any(1)), np.flatnonzero(above.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def show_receptive_field(image: Any, field: Box, measured: Any = None) -> Figure:
    """The field as a box on the image, and beside it the gradients that were measured.

    Parameters
    ----------
    image : array_like, (H, W), (1, H, W) or (3, H, W)
    field : (top, left, bottom, right)
    measured : array_like, (H, W), optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.patches import Rectangle

    count = 1 if measured is None else 2
    fig = figure(3.2 * count, 3.4)
    axes = fig.subplots(1, count, squeeze=False)[0]
    put(axes[0], to_range(image), "computed", cmap="gray", vmin=0, vmax=1)
    if measured is not None:
        m = np.asarray(measured)
        top = float(np.percentile(m[m > 0], 99)) if (m > 0).any() else 1.0
        put(axes[1], np.sqrt(m), "measured: mean |gradient|, by its root", cmap="inferno",
            vmin=0, vmax=top**0.5)  # fmt: skip
    for ax in axes:
        y, x, bottom, right = field
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), right - x, bottom - y, fill=False,
                               edgecolor="#00b3ff", linewidth=1.8))  # fmt: skip
    return fig
