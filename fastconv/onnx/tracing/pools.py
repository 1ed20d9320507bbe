"""Rules of windows: poolings, max_unpool, unfold and fold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...spec import PoolSpec
from .layers import bare, batched
from .pointwise import first, scalar
from .record import Call
from .writer import Writer, rule


def _window(table: np.ndarray, size: int) -> tuple[int, int, int, int, int] | None:
    """(kernel, stride, dilation, padding before and after) that give a table of windows."""
    start, count, step, _ = table
    outs, dilation, most = len(start), int(step[0]), int(count.max())
    steps = {int(d) for d in np.diff(start)} | {most, 1}
    for kernel in (most, most + 1, most + 2):
        for stride in sorted(steps - {0}, reverse=True):
            for pad in range(min(kernel * dilation, size + 1)):
                taps = np.arange(outs)[:, None] * stride - pad + dilation * np.arange(kernel)
                inside = (taps >= 0) & (taps < size)
                low = np.where(inside.any(1), taps[np.arange(outs), inside.argmax(1)], start)
                if (inside.sum(1) == count).all() and (low == start).all():
                    end = (outs - 1) * stride + dilation * (kernel - 1) + 1
                    return kernel, stride, dilation, pad, max(0, end - size - pad)
    return None


def _windows(w: Writer, spec: PoolSpec, twin: PoolSpec) -> dict[str, Any] | None:
    """The attributes of a pooling; None where its windows differ in size."""
    nd = spec.ndim
    if spec.in_size != twin.in_size:  # the arguments of the call hold for all sizes
        if spec.window is None or twin.window != spec.window:
            raise w.fail(f"its windows depend on the size of its input, where {w.grown()}, as "
                         "those of adaptive pooling do")  # fmt: skip
        kernel_size, step, pad, wide, ceil = spec.window[:5]
        return {"kernel_shape": list(kernel_size), "strides": list(step), "dilations": list(wide),
                "pads": [*pad, *pad], "ceil_mode": int(ceil)}  # fmt: skip
    found = [
        _window(table, n) for table, n in zip(spec.windows[-nd:], spec.in_size[-nd:], strict=True)
    ]
    if any(f is None for f in found):
        return None
    kernel, stride, dilation, before, after = zip(*found, strict=True)  # type: ignore[arg-type]
    return {"kernel_shape": list(kernel), "strides": list(stride), "dilations": list(dilation),
            "pads": [*before, *after]}  # fmt: skip


@rule("MaxPool", "MaxPoolOnly")
def _max_pool(w: Writer, call: Call, twin: Call) -> Any:
    x, spec = call.args[:2]
    nd = spec.ndim
    how = _windows(w, spec, twin.args[1])
    if how is None:
        raise w.fail("its windows differ in size, as those of adaptive pooling may")
    name, single = batched(w, x, twin.args[0], nd)
    if len(call.made) < 2 or call.made[1].key not in w.used:
        return [bare(w, w.node("MaxPool", [name], **how), single)]
    y, places = w.node("MaxPool", [name], 2, **how)
    # ONNX counts through batch and channels, PyTorch within a plane
    plane = w.product(x.shape[-nd:], twin.args[0].shape[-nd:])
    return [bare(w, y, single), bare(w, w.node("Mod", [places, plane]), single)]


@rule("MaxUnpool")
def _max_unpool(w: Writer, call: Call, twin: Call) -> Any:
    """Placed by ScatterElements: MaxUnpool has no sizes but those that its kernel makes."""
    x, _, size = call.args
    lead = len(x.shape) - len(size)
    rows = w.ints(*[0] * lead, -1)
    values, places = (
        w.node("Reshape", [w.name(a, b), rows]) for a, b in zip(call.args[:2], twin.args)
    )
    shape, other = call.made[0].shape, twin.made[0].shape
    plane = w.product(shape[lead:], other[lead:])
    flat = w.node("Concat", [w.shape(shape[:lead], other[:lead]), plane], axis=0)
    zero = w.onnx.numpy_helper.from_array(np.zeros(1, x.dtype))
    empty = w.node("ConstantOfShape", [flat], value=zero)
    y = w.node("ScatterElements", [empty, places, values], axis=lead)
    return w.reshape(y, shape, other)


@rule("AvgPool")
def _avg_pool(w: Writer, call: Call, twin: Call) -> Any:
    x, spec = call.args[:2]
    nd = spec.ndim
    name, single = batched(w, x, twin.args[0], nd)
    tables = spec.windows[-nd:]
    if spec.divisor_override is None:
        if _global(spec) and _global(twin.args[1]):
            return bare(w, w.node("GlobalAveragePool", [name]), single)
        how = _windows(w, spec, twin.args[1])
        if how is not None and "ceil_mode" in how:  # as the call was, of any size
            del how["dilations"]
            if how["ceil_mode"] and any(how["pads"]):
                raise w.fail(f"padding together with ceil_mode is not written where {w.grown()}")
            include = int(spec.window[5])
            y = w.node("AveragePool", [name], count_include_pad=include, **how)
            return bare(w, y, single)
        if how is not None and all((t[2] == 1).all() for t in tables):
            del how["dilations"]
            if all((t[1] == t[3]).all() for t in tables):
                return bare(w, w.node("AveragePool", [name], count_include_pad=0, **how), single)
            if all(_whole(t, n, p) for t, n, p in zip(tables, spec.in_size[-nd:], _pads(how))):
                return bare(w, w.node("AveragePool", [name], count_include_pad=1, **how), single)
    if spec.in_size != twin.args[1].in_size:
        raise w.fail(f"divisor_override is not written where {w.grown()}")
    y = name  # any other: a product with the shares along each axis
    for k, (table, n) in enumerate(zip(tables, spec.in_size[-nd:], strict=True)):
        y = product(w, y, _shares(table, n, spec.divisor_override is None), 2 + k, nd + 2, x.dtype)
    if spec.divisor_override is not None:
        y = w.node("Div", [y, scalar(w, call, spec.divisor_override)])
    return bare(w, y, single)


def _global(spec: PoolSpec) -> bool:
    """Whether all of an image is one window."""
    rows = zip(spec.windows[-spec.ndim :], spec.in_size[-spec.ndim :], strict=True)
    return all(t.shape[1] == 1 and t[1, 0] == t[3, 0] == n for t, n in rows)


def _pads(how: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    """(kernel, stride, before, after) of each axis."""
    half = len(how["pads"]) // 2
    return list(
        zip(
            how["kernel_shape"], how["strides"], how["pads"][:half], how["pads"][half:], strict=True
        )
    )


def _whole(table: np.ndarray, size: int, pads: tuple[int, int, int, int]) -> bool:
    """Whether the divisors are those of ONNX's count_include_pad."""
    kernel, stride, before, after = pads
    begin = np.arange(table.shape[1]) * stride - before
    return bool((np.minimum(begin + kernel, size + after) - begin == table[3]).all())


def _shares(table: np.ndarray, size: int, divide: bool) -> np.ndarray:
    """The matrix [out][in] of an averaging axis."""
    matrix = np.zeros((table.shape[1], size))
    for o, (start, count, step, divisor) in enumerate(table.T):
        matrix[o, start + step * np.arange(count)] = 1 / divisor if divide else 1
    return matrix


def product(w: Writer, x: str, matrix: np.ndarray, axis: int, rank: int, dtype: Any) -> str:
    """x with one axis replaced by its products with a matrix [out][in]."""
    if axis == rank - 1:
        return w.node("MatMul", [x, w.constant(matrix.T, dtype)])  # type: ignore[no-any-return]
    order = [*[k for k in range(rank) if k != axis], axis]
    moved = w.node("Transpose", [x], perm=order)
    y = w.node("MatMul", [moved, w.constant(matrix.T, dtype)])
    return w.node("Transpose", [y], perm=[order.index(k) for k in range(rank)])  # type: ignore[no-any-return]


@rule("LPPool")
def _lp_pool(w: Writer, call: Call, twin: Call) -> Any:
    x, spec, p, count = call.args
    how = _windows(w, spec, twin.args[1])
    if how is None or p != int(p) or int(p) % 2 or math.prod(how["kernel_shape"]) != count:
        raise w.fail(f"a power of {p} over windows of {count} elements is no LpPool")
    if any(how["pads"]) or any(d != 1 for d in how.pop("dilations")):
        raise w.fail("an LpPool with padding or dilation is not written")
    if w.opset < 18 and how.pop("ceil_mode", 0):
        raise w.fail(f"ceil_mode is written from opset 18 on where {w.grown()}")
    name, single = batched(w, x, twin.args[0], spec.ndim)
    return bare(w, w.node("LpPool", [name], p=int(p), **how), single)


# -- windows as columns ----------------------------------------------------------------------------


@rule("Columns")
def _columns(w: Writer, call: Call, twin: Call) -> Any:
    """``unfold``: lines of the kernel's taps are picked along each axis."""
    at = call.args[1]
    other, name = twin.args[1], first(w, call, twin)
    if any(at.padding):
        (h, v) = at.padding
        name = w.node("Pad", [name, w.ints(0, 0, h, v, 0, 0, h, v), scalar(w, call, 0)])
    picked, place = name, 2
    for k in range(2):
        taps, step, count = at.kernel[k], at.stride[k], at.places[k]
        offsets = (np.arange(taps) * at.dilation[k])[:, None]
        if at.places == other.places and at.picture == other.picture:
            index = w.constant(offsets + np.arange(count) * step, np.int64)
        else:
            room = w.node("Add", [w.cut(name, 2 + k), w.ints(-at.dilation[k] * (taps - 1))])
            ends = [w.integer(0), w.node("Squeeze", [room, w.ints(0)]), w.integer(step)]
            index = w.node("Add", [w.constant(offsets, np.int64), w.node("Range", ends)])
        picked = w.node("Gather", [picked, index], axis=place)
        place += 2
    # (N, C, kH, oH, kW, oW)
    turned = w.node("Transpose", [picked], perm=[0, 1, 2, 4, 3, 5])
    return w.node("Reshape", [turned, w.ints(0, call.made[0].shape[1], -1)])


@rule("Picture")
def _picture(w: Writer, call: Call, twin: Call) -> Any:
    """``fold``: Col2Im, and before opset 18 a transposed convolution with ones."""
    x, at = call.args
    other, name = twin.args[1], first(w, call, twin)
    (h, v) = at.padding
    if w.opset >= 18:
        return w.node(
            "Col2Im", [name, w.shape(at.picture, other.picture), w.ints(*at.kernel)],
            dilations=list(at.dilation), pads=[h, v, h, v], strides=list(at.stride),
        )  # fmt: skip
    if at.picture != other.picture:
        raise w.fail(f"fold is written from opset 18 on where {w.grown()}")
    taps, channels = math.prod(at.kernel), call.made[0].shape[1]
    shape = (x.shape[0], x.shape[1], *at.places)
    maps = w.reshape(name, shape, (twin.args[0].shape[0], *shape[1:]))
    ones = np.tile(np.eye(taps, dtype=x.dtype), (channels, 1)).reshape(-1, 1, *at.kernel)
    pads, extra = [], []
    for n, k, d, p, s, m in zip(*at, strict=True):
        more = n - ((m - 1) * s + d * (k - 1) + 1 - 2 * p)
        pads.append(p + max(0, -more))
        extra.append(max(0, more))
    return w.node(
        "ConvTranspose", [maps, w.constant(ones)], kernel_shape=list(at.kernel),
        strides=list(at.stride), dilations=list(at.dilation), pads=[h, v, *pads],
        output_padding=extra, group=channels,
    )  # fmt: skip


@rule("Unfold")
def _unfold(w: Writer, call: Call, twin: Call) -> Any:
    """Windows along one axis, in a new last one."""
    x, axis, size, step = call.args
    n, rank = x.shape[axis], len(x.shape)
    if n != twin.args[0].shape[axis]:
        raise w.fail(f"windows along an axis that varies are not written, where {w.grown()}")
    index = np.arange(0, n - size + 1, step)[:, None] + np.arange(size)
    picked = w.node("Gather", [first(w, call, twin), w.constant(index, np.int64)], axis=int(axis))
    order = [*[k for k in range(rank + 1) if k != axis + 1], axis + 1]
    return w.node("Transpose", [picked], perm=order)
