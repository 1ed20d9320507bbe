"""Rules of layers: convolutions, products, normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...spec import ConvSpec
from .pointwise import first
from .record import Call, Value
from .writer import Writer, rule


def batched(w: Writer, x: Value, twin: Value, rank: int) -> tuple[str, bool]:
    """The input with its batch axis, and whether it came without."""
    name = w.name(x, twin)
    if len(x.shape) == rank + 2:
        return name, False
    return w.node("Unsqueeze", [name, w.ints(0)]), True


def bare(w: Writer, y: str, single: bool) -> str:
    return w.node("Squeeze", [y, w.ints(0)]) if single else y


# -- convolutions and products ---------------------------------------------------------------------


@rule("Convolution")
def _convolution(w: Writer, call: Call, twin: Call) -> Any:
    x, weight, bias, spec = call.args[:4]
    nd = spec.ndim
    name, single = batched(w, x, twin.args[0], nd)
    before, after = spec.pad[-nd:], _after(spec)
    if after != _after(twin.args[3]):
        raise w.fail(f"its padding after the image is {after}, and {_after(twin.args[3])} where "
                     f"{w.grown()}")  # fmt: skip
    y = w.node(
        "Conv", [name, w.name(weight), w.name(bias)], kernel_shape=list(spec.kernel[-nd:]),
        strides=list(spec.stride[-nd:]), dilations=list(spec.dilation[-nd:]),
        pads=[*before, *after], group=spec.groups,
    )  # fmt: skip
    return bare(w, y, single)


def _axes(spec: ConvSpec) -> list[tuple[int, ...]]:
    """(input, output, kernel, stride, dilation, padding before) of each spatial axis."""
    nd = spec.ndim
    rows = (spec.in_size, spec.out_size, spec.kernel, spec.stride, spec.dilation, spec.pad)
    return list(zip(*[row[-nd:] for row in rows], strict=True))


def _after(spec: ConvSpec) -> list[int]:
    """The padding after the image."""
    after = []
    for n, m, k, s, d, b in _axes(spec):
        even = (n + 2 * b - d * (k - 1) - 1) // s + 1 == m
        after.append(b if even else max(0, (m - 1) * s + d * (k - 1) + 1 - n - b))
    return after


def _more(spec: ConvSpec) -> list[int]:
    """By how much the result is larger than it must be; the result is the convolution's input."""
    return [n - ((m - 1) * s + d * (k - 1) + 1 - 2 * b) for n, m, k, s, d, b in _axes(spec)]


@rule("ConvTranspose")
def _conv_transpose(w: Writer, call: Call, twin: Call) -> Any:
    x, weight, bias, spec = call.args[:4]
    nd = spec.ndim
    name, single = batched(w, x, twin.args[0], nd)
    more = _more(spec)
    if more != _more(twin.args[3]):
        raise w.fail(f"its output_padding is {more}, and {_more(twin.args[3])} where {w.grown()}")
    after = [b + max(0, -n) for b, n in zip(spec.pad[-nd:], more, strict=True)]
    extra = [max(0, n) for n in more]
    y = w.node(
        "ConvTranspose", [name, w.name(weight), w.name(bias)], kernel_shape=list(spec.kernel[-nd:]),
        strides=list(spec.stride[-nd:]), dilations=list(spec.dilation[-nd:]),
        pads=[*spec.pad[-nd:], *after], output_padding=extra, group=spec.groups,
    )  # fmt: skip
    return bare(w, y, single)


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
    if x.shape[1:] == twin.args[0].shape[1:]:
        y = w.node("Reshape", [y, w.ints(0, *x.shape[1:])])
    else:
        y = w.node("Reshape", [y, w.shape(x.shape, twin.args[0].shape)])
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
