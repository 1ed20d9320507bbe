"""Rules of layers: convolutions, products, normalisations, poolings, resampling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ops.resample import axis as resampling
from ...spec import ConvSpec, PoolSpec
from .pointwise import first, scalar
from .record import Call, Value
from .writer import Writer, rule


def _batched(w: Writer, x: Value, twin: Value, rank: int) -> tuple[str, bool]:
    """The input with its batch axis, and whether it came without."""
    name = w.name(x, twin)
    if len(x.shape) == rank + 2:
        return name, False
    return w.node("Unsqueeze", [name, w.ints(0)]), True


def _bare(w: Writer, y: str, single: bool) -> str:
    return w.node("Squeeze", [y, w.ints(0)]) if single else y


# -- convolutions and products ---------------------------------------------------------------------


@rule("Convolution")
def _convolution(w: Writer, call: Call, twin: Call) -> Any:
    x, weight, bias, spec = call.args[:4]
    nd = spec.ndim
    name, single = _batched(w, x, twin.args[0], nd)
    before, after = spec.pad[-nd:], []
    for n, m, k, s, d, b in _axes(spec):
        even = (n + 2 * b - d * (k - 1) - 1) // s + 1 == m
        after.append(b if even else max(0, (m - 1) * s + d * (k - 1) + 1 - n - b))
    y = w.node(
        "Conv", [name, w.name(weight), w.name(bias)], kernel_shape=list(spec.kernel[-nd:]),
        strides=list(spec.stride[-nd:]), dilations=list(spec.dilation[-nd:]),
        pads=[*before, *after], group=spec.groups,
    )  # fmt: skip
    return _bare(w, y, single)


def _axes(spec: ConvSpec) -> list[tuple[int, ...]]:
    """(input, output, kernel, stride, dilation, padding before) of each spatial axis."""
    nd = spec.ndim
    rows = (spec.in_size, spec.out_size, spec.kernel, spec.stride, spec.dilation, spec.pad)
    return list(zip(*[row[-nd:] for row in rows], strict=True))


@rule("ConvTranspose")
def _conv_transpose(w: Writer, call: Call, twin: Call) -> Any:
    x, weight, bias, spec = call.args[:4]
    nd = spec.ndim
    name, single = _batched(w, x, twin.args[0], nd)
    after, extra = [], []
    for n, m, k, s, d, b in _axes(spec):  # the result is the convolution's input
        more = n - ((m - 1) * s + d * (k - 1) + 1 - 2 * b)
        after.append(b + max(0, -more))
        extra.append(max(0, more))
    y = w.node(
        "ConvTranspose", [name, w.name(weight), w.name(bias)], kernel_shape=list(spec.kernel[-nd:]),
        strides=list(spec.stride[-nd:]), dilations=list(spec.dilation[-nd:]),
        pads=[*spec.pad[-nd:], *after], output_padding=extra, group=spec.groups,
    )  # fmt: skip
    return _bare(w, y, single)


@rule("LinearOp")
def _linear(w: Writer, call: Call, twin: Call) -> Any:
    x, weight, bias = call.args[:3]
    name, matrix, row = first(w, call, twin), w.name(weight), w.name(bias)
    if len(x.shape) == 2:
        return w.node("Gemm", [name, matrix, row], transB=1)
    y = w.node("MatMul", [name, w.node("Transpose", [matrix], perm=[1, 0])])
    return w.node("Add", [y, row]) if row else y


@rule("MatMul")
def _matmul(w: Writer, call: Call, twin: Call) -> Any:
    return w.node("MatMul", [first(w, call, twin), w.name(call.args[1], twin.args[1])])


@rule("Einsum")
def _einsum(w: Writer, call: Call, twin: Call) -> Any:
    names, output, *arrays = call.args
    inputs = [w.name(a, b) for a, b in zip(arrays, twin.args[2:], strict=True)]
    return w.node("Einsum", inputs, equation=f"{','.join(names)}->{output}")


# -- normalisations --------------------------------------------------------------------------------


def _affine(w: Writer, weight: Any, bias: Any, channels: int, dtype: Any) -> tuple[str, str]:
    """Scale and shift, ones and zeros where there are none."""
    scale = w.name(weight) if weight is not None else w.constant(np.ones(channels, dtype))
    shift = w.name(bias) if bias is not None else w.constant(np.zeros(channels, dtype))
    return scale, shift


@rule("BatchNorm")
def _batch_norm(w: Writer, call: Call, twin: Call) -> Any:
    x, weight, bias, _, constant, eps = call.args[:6]
    if constant is None:
        raise w.fail("it normalises with the batch's own statistics; call model.eval(), and keep "
                     "track_running_stats=True")  # fmt: skip
    scale, shift = _affine(w, weight, bias, x.shape[1], x.dtype)
    mean, var = (w.name(v) for v in constant)
    return w.node(
        "BatchNormalization", [first(w, call, twin), scale, shift, mean, var], epsilon=float(eps)
    )


@rule("GroupNorm")
def _group_norm(w: Writer, call: Call, twin: Call) -> Any:
    x, weight, bias, spec, _, eps = call.args[:6]
    name, channels = first(w, call, twin), x.shape[1]
    groups, rest = channels // spec.pool, len(x.shape) - 2
    if spec.pool == 1 and rest:
        scale, shift = _affine(w, weight, bias, channels, x.dtype)
        return w.node("InstanceNormalization", [name, scale, shift], epsilon=float(eps))
    flat = w.node("Reshape", [name, w.ints(0, groups, -1)])
    scale, shift = _affine(w, None, None, groups, x.dtype)
    y = w.node("InstanceNormalization", [flat, scale, shift], epsilon=float(eps))
    y = w.node("Reshape", [y, w.ints(0, *x.shape[1:])])
    wide = w.ints(-1, *[1] * rest)
    for kind, v in (("Mul", weight), ("Add", bias)):
        if v is not None:
            line = w.node("Reshape", [w.name(v), wide]) if rest else w.name(v)
            y = w.node(kind, [y, line])
    return y


@rule("LayerNorm")
def _layer_norm(w: Writer, call: Call, twin: Call) -> Any:
    x, weight, bias, last, eps = call.args
    scale = w.name(weight) if weight is not None else w.constant(np.ones(last, x.dtype))
    return w.node(
        "LayerNormalization", [first(w, call, twin), scale, w.name(bias)], axis=-len(last),
        epsilon=float(eps),
    )  # fmt: skip


@rule("LocalResponse")
def _local_response(w: Writer, call: Call, twin: Call) -> Any:
    _, size, alpha, beta, k = call.args
    if size % 2 == 0:
        raise w.fail(f"size {size} is even: ONNX centres such a window otherwise")
    return w.node(
        "LRN", [first(w, call, twin)], size=int(size), alpha=float(alpha), beta=float(beta),
        bias=float(k),
    )  # fmt: skip


# -- poolings --------------------------------------------------------------------------------------


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


def _windows(w: Writer, spec: PoolSpec) -> dict[str, Any] | None:
    """The attributes of a pooling; None where its windows differ in size."""
    nd = spec.ndim
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
    how = _windows(w, spec)
    if how is None:
        raise w.fail("its windows differ in size, as those of adaptive pooling may")
    name, single = _batched(w, x, twin.args[0], spec.ndim)
    y = w.node("MaxPool", [name], **how)
    return [_bare(w, y, single)]


@rule("AvgPool")
def _avg_pool(w: Writer, call: Call, twin: Call) -> Any:
    x, spec = call.args[:2]
    nd = spec.ndim
    name, single = _batched(w, x, twin.args[0], nd)
    tables = spec.windows[-nd:]
    if spec.divisor_override is None:
        if all(
            t.shape[1] == 1 and t[1, 0] == t[3, 0] == n for t, n in zip(tables, spec.in_size[-nd:])
        ):
            return _bare(w, w.node("GlobalAveragePool", [name]), single)
        how = _windows(w, spec)
        if how is not None and all((t[2] == 1).all() for t in tables):
            del how["dilations"]
            if all((t[1] == t[3]).all() for t in tables):
                return _bare(w, w.node("AveragePool", [name], count_include_pad=0, **how), single)
            if all(_whole(t, n, p) for t, n, p in zip(tables, spec.in_size[-nd:], _pads(how))):
                return _bare(w, w.node("AveragePool", [name], count_include_pad=1, **how), single)
    y = name  # any other: a product with the shares along each axis
    for k, (table, n) in enumerate(zip(tables, spec.in_size[-nd:], strict=True)):
        y = _product(w, y, _shares(table, n, spec.divisor_override is None), 2 + k, nd + 2, x.dtype)
    if spec.divisor_override is not None:
        y = w.node("Div", [y, scalar(w, call, spec.divisor_override)])
    return _bare(w, y, single)


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


def _product(w: Writer, x: str, matrix: np.ndarray, axis: int, rank: int, dtype: Any) -> str:
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
    how = _windows(w, spec)
    if how is None or p != int(p) or int(p) % 2 or math.prod(how["kernel_shape"]) != count:
        raise w.fail(f"a power of {p} over windows of {count} elements is no LpPool")
    if any(how["pads"]) or any(d != 1 for d in how.pop("dilations")):
        raise w.fail("an LpPool with padding or dilation is not written")
    name, single = _batched(w, x, twin.args[0], spec.ndim)
    return _bare(w, w.node("LpPool", [name], p=int(p), **how), single)


# -- resampling ------------------------------------------------------------------------------------


@rule("Resample")
def _resample(w: Writer, call: Call, twin: Call) -> Any:
    x, scalings = call.args
    name = first(w, call, twin)
    used = [s for s in scalings if s is not None]
    if not used:
        return name
    modes, aligned = {s.mode for s in used}, {s.align for s in used}
    how = _resize_mode(modes.pop() if len(modes) == 1 else "", aligned == {True})
    scales = [1.0, 1.0, *[1.0 if s is None else (s.scale or s.out / s.size) for s in scalings]]
    cut = [math.floor(n * np.float32(f)) for n, f in zip(x.shape, scales, strict=True)]
    exact = cut == list(call.made[0].shape)  # what a reader makes of scales in float32
    if how is None or len(aligned) > 1 or not exact:
        y = name  # a product with the matrix of each axis
        for k, s in enumerate(scalings):
            if s is not None:
                y = _product(w, y, _matrix(s), 2 + k, len(x.shape), x.dtype)
        return y
    return w.node("Resize", [name, "", w.constant(np.asarray(scales, np.float32))], **how)


def _resize_mode(mode: str, align: bool) -> dict[str, Any] | None:
    """The attributes of Resize for a mode of ours."""
    place = "align_corners" if align else "half_pixel"
    if mode == "nearest":
        return {"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor"}  # fmt: skip
    if mode == "nearest-exact":
        return {"mode": "nearest", "coordinate_transformation_mode": "half_pixel",
                "nearest_mode": "round_prefer_ceil"}  # fmt: skip
    if mode == "linear":
        return {"mode": "linear", "coordinate_transformation_mode": place}
    if mode == "cubic":
        return {"mode": "cubic", "coordinate_transformation_mode": place, "cubic_coeff_a": -0.75}
    return None


def _matrix(scaling: Any) -> np.ndarray:
    found = resampling(scaling, "d")
    matrix = np.zeros((found.out, found.size))
    rows = np.repeat(np.arange(found.out), np.diff(found.starts))
    np.add.at(matrix, (rows, found.sources), found.weight)
    return matrix
