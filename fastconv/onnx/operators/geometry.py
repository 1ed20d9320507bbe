"""Paddings of convolutions and poolings as ONNX gives them, and the specs of convolutions."""

from __future__ import annotations

import math

from ...caches import cached
from ...spec import ConvSpec
from ...spec.arguments import three
from ..errors import OnnxError
from ..registry import Node
from ..values import room

Ints = tuple[int, ...]


def per_axis(n: Node, name: str, rank: int, default: int = 1, least: int = 1) -> Ints:
    """An attribute with one number for each spatial axis."""
    found = tuple(n.get(name) or (default,) * rank)
    if len(found) != rank or any(not isinstance(v, int) or v < least for v in found):
        raise OnnxError(f"{name} must be {rank} integers of at least {least}, got {found}")
    return found


def paddings(n: Node, size: Ints, kernel: Ints, stride: Ints, dilation: Ints) -> tuple[Ints, Ints]:
    """What is added before and after each axis, from pads and auto_pad."""
    rank, auto = len(size), n.get("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID"):
        pads = tuple(n.get("pads") or (0,) * (2 * rank)) if auto == "NOTSET" else (0,) * (2 * rank)
        if len(pads) != 2 * rank or min(pads, default=0) < 0:
            raise OnnxError(f"pads must be {2 * rank} integers of at least 0, got {pads}")
        return pads[:rank], pads[rank:]
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise OnnxError(f"auto_pad {auto!r} is not known")
    before, after = [], []
    for m, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max(0, (-(-m // s) - 1) * s + d * (k - 1) + 1 - m)
        low = total // 2
        before.append(low if auto == "SAME_UPPER" else total - low)
        after.append(total - before[-1])
    return tuple(before), tuple(after)


@cached(1024)
def conv_spec(
    x: Ints, w: Ints, stride: Ints, dilation: Ints, before: Ints, after: Ints, groups: int
) -> ConvSpec:
    """The geometry of a convolution that may be padded differently before and after."""
    rank = len(x) - 2
    shapes = f"input {x}, weight {w}"
    if rank not in (1, 2, 3) or len(w) != len(x):
        raise OnnxError(f"a convolution has 1 to 3 spatial axes: {shapes}")
    if groups < 1 or x[1] != w[1] * groups or w[0] % groups or 0 in w or 0 in x[1:]:
        raise OnnxError(f"channels do not fit, with group={groups}: {shapes}")
    out = [
        (m + a + b - d * (k - 1) - 1) // s + 1
        for m, k, s, d, a, b in zip(x[2:], w[2:], stride, dilation, before, after, strict=True)
    ]
    if min(out) < 1:
        raise OnnxError(f"the kernel is larger than the padded input: {shapes}, pads {before} and "
                        f"{after}, dilations {dilation}")  # fmt: skip
    room((x[0], w[0], *out), math.prod(x))
    return ConvSpec(
        rank, x[0], x[1], w[0], groups, three(x[2:], 1), three(tuple(out), 1), three(w[2:], 1),
        three(stride, 1), three(before, 0), three(dilation, 1),
    )  # fmt: skip


@cached(1024)
def transposed_spec(
    x: Ints, w: Ints, stride: Ints, dilation: Ints, before: Ints, out: Ints, groups: int
) -> ConvSpec:
    """The convolution whose adjoint goes from x to spatial size `out`."""
    rank = len(x) - 2
    shapes = f"input {x}, weight {w}"
    if rank not in (1, 2, 3) or len(w) != len(x):
        raise OnnxError(f"a transposed convolution has 1 to 3 spatial axes: {shapes}")
    if groups < 1 or x[1] != w[0] or x[1] % groups or 0 in w or 0 in x[1:]:
        raise OnnxError(f"channels do not fit, with group={groups}: {shapes}")
    if min(out) < 1:
        raise OnnxError(f"output size {out} is not positive: {shapes}")
    channels = w[1] * groups
    room((x[0], channels, *out), math.prod(x))
    return ConvSpec(
        rank, x[0], channels, x[1], groups, three(out, 1), three(x[2:], 1), three(w[2:], 1),
        three(stride, 1), three(before, 0), three(dilation, 1),
    )  # fmt: skip
