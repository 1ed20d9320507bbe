"""Poolings and max unpooling; a pooling is a table of windows (spec/pool.py)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fastconv as T

from ...caches import cached, count
from ...functions.pool import LPPool, MaxPool, MaxUnpool, avg_pool, max_pool
from ...spec.arguments import three
from ...spec.pool import PoolSpec
from ..errors import OnnxError
from ..registry import Node, operator
from ..values import arr, ints, is_tensor, room, ten
from .geometry import Ints, paddings, per_axis


def _table(size: int, out: int, k: int, s: int, d: int, a: int, b: int, pad: bool) -> np.ndarray:
    """Rows start, count, step, size of the windows on one axis (see PoolSpec)."""
    first = np.arange(out, dtype=np.int64) * s - a
    skip = np.maximum(0, -(first // d))  # taps in the padding before the input
    start = first + skip * d
    last = np.minimum(first + d * (k - 1), size - 1)
    count = np.maximum(0, (last - start) // d + 1)
    divisor = np.minimum(k, (size + b - 1 - first) // d + 1) if pad else count
    return np.stack([np.minimum(start, size - 1), count, np.full(out, d), divisor]).astype(np.int64)


@cached(1024)
def _spec(
    x: Ints, kernel: Ints, stride: Ints, dilation: Ints, before: Ints, after: Ints, ceil: bool,
    pad: bool, same: bool,
) -> PoolSpec:  # fmt: skip
    rank = len(x) - 2
    if rank not in (1, 2, 3) or 0 in x[1:]:
        raise OnnxError(f"a pooling has 1 to 3 spatial axes, and no empty one but the batch: {x}")
    outs, tables = [], []
    for m, k, s, d, a, b in zip(x[2:], kernel, stride, dilation, before, after, strict=True):
        span = m + a + b - d * (k - 1) - 1
        if same:  # as many as strides fit
            out = -(-m // s)
        else:
            out = (-(-span // s) if ceil else span // s) + 1
            if ceil and (out - 1) * s >= m + a:  # would begin in the padding after
                out -= 1
        if out < 1:
            raise OnnxError(f"kernel {kernel} is larger than the padded input {x}")
        outs.append(out)
        room((*x[:2], *outs), math.prod(x))
        table = _table(m, out, k, s, d, a, b, pad)
        table.flags.writeable = False
        count(table)
        tables.append(table)
    unit = np.array([[0], [1], [1], [1]], np.int64)
    tables = [unit] * (3 - rank) + tables
    return PoolSpec(rank, x[0], x[1], three(x[2:], 1), three(tuple(outs), 1),
                    (tables[0], tables[1], tables[2]))  # fmt: skip


def _pool_spec(n: Node, shape: Ints) -> PoolSpec:
    found: PoolSpec = n.memo.get(shape) or n.kept(shape, lambda: _make(n, shape))
    return found


def _make(n: Node, shape: Ints) -> PoolSpec:
    rank = len(shape) - 2
    kernel = per_axis(n, "kernel_shape", rank)
    stride, dilation = per_axis(n, "strides", rank), per_axis(n, "dilations", rank)
    before, after = paddings(n, shape[2:], kernel, stride, dilation)
    same = n.get("auto_pad", "NOTSET").startswith("SAME")
    pad = bool(n.get("count_include_pad", 0))
    ceil = bool(n.get("ceil_mode", 0))
    return _spec(shape, kernel, stride, dilation, before, after, ceil, pad, same)


@operator("MaxPool")
def _max_pool(n: Node, x: Any) -> Any:
    shape = tuple(x.shape)
    spec = _pool_spec(n, shape)
    exact = None
    if not is_tensor(x):  # small integers, which float64 holds
        exact = x.dtype
        x = T.from_numpy(x.astype(np.float64))
    if not n.wants(1):
        y = max_pool(x, spec, False)
        return y if exact is None else arr(y).astype(exact)
    y, indices = MaxPool.apply(x, spec)
    flat = arr(indices)
    if n.get("storage_order", 0):  # column by column
        where = np.unravel_index(flat, shape[2:])
        flat = np.ravel_multi_index(where, shape[2:], order="F")
    planes = np.arange(math.prod(shape[:2])).reshape(*shape[:2], *(1,) * (len(shape) - 2))
    flat = (flat + planes * math.prod(shape[2:])).astype(np.int64)
    return (y if exact is None else arr(y).astype(exact)), flat


@operator("AveragePool")
def _average_pool(n: Node, x: Any) -> Any:
    return avg_pool(ten(x), _pool_spec(n, tuple(x.shape)))


@operator("LpPool", since=2)
def _lp_pool(n: Node, x: Any) -> Any:
    spec = _pool_spec(n, tuple(x.shape))
    p = n.get("p", 2)
    if p == 1 or p % 2:
        x = ten(x).abs()
    return _powers(ten(x), spec, p)


def _powers(x: Any, spec: PoolSpec, p: int) -> Any:
    """(sum of |x|^p)^(1/p): the average times the number of elements in its window."""
    tables = spec.windows[3 - spec.ndim :]
    counts: Any = np.ones((), np.int64)
    for table in tables:
        counts = np.multiply.outer(counts, table[1])
    whole = int(counts.max())
    if (counts == whole).all() and all((table[1] == table[3]).all() for table in tables):
        return LPPool.apply(x, spec, float(p), whole)
    plain = [_by_count(table) for table in spec.windows]
    averages = PoolSpec(spec.ndim, spec.batch, spec.channels, spec.in_size, spec.out_size,
                        (plain[0], plain[1], plain[2]))  # fmt: skip
    return (avg_pool(x**p, averages) * T.from_numpy(counts.astype(arr(x).dtype))) ** (1 / p)


def _by_count(table: np.ndarray) -> np.ndarray:
    """The windows with the number of their elements as the divisor."""
    made = table.copy()
    made[3] = np.maximum(made[1], 1)
    made.flags.writeable = False
    return made


def _spatial(x: Any) -> tuple[int, ...]:
    if len(x.shape) < 3:
        raise OnnxError(f"input must be (N, C, *spatial), got shape {tuple(x.shape)}")
    return tuple(range(2, len(x.shape)))


@operator("GlobalAveragePool")
def _global_average(n: Node, x: Any) -> Any:
    return ten(x).mean(_spatial(x), keepdim=True)


@operator("GlobalMaxPool")
def _global_max(n: Node, x: Any) -> Any:
    return T.amax(ten(x), _spatial(x), keepdim=True)


@operator("GlobalLpPool", since=1)
def _global_lp(n: Node, x: Any) -> Any:
    p = n.get("p", 2)
    return (ten(x).abs() ** p).sum(_spatial(x), keepdim=True) ** (1 / p)


@operator("MaxUnpool", since=9)
def _max_unpool(n: Node, x: Any, indices: Any, shape: Any = None) -> Any:
    x = ten(x)
    xs = tuple(x.shape)
    rank = len(xs) - 2
    kernel = per_axis(n, "kernel_shape", rank)
    stride = per_axis(n, "strides", rank)
    pads = n.get("pads") or (0,) * (2 * rank)
    inferred = tuple(
        (m - 1) * s - a - b + k
        for m, s, k, a, b in zip(xs[2:], stride, kernel, pads[:rank], pads[rank:], strict=True)
    )
    wanted = inferred if shape is None else ints(shape)[-rank:]
    at = arr(indices)
    if at.shape != xs:
        raise OnnxError(f"indices of shape {at.shape} do not fit the input {xs}")
    planes = np.arange(math.prod(xs[:2])).reshape(*xs[:2], *(1,) * rank)
    local = at - planes * math.prod(inferred)  # in each plane of the pooled input
    if local.size and (local.min() < 0 or local.max() >= math.prod(inferred)):
        raise OnnxError("an index points outside the output")
    if wanted != inferred:  # the places stay, the sides grow
        if any(w < m for w, m in zip(wanted, inferred, strict=True)):
            raise OnnxError(f"output_shape {wanted} is smaller than {inferred}")
        local = np.ravel_multi_index(np.unravel_index(local, inferred), wanted)
    return MaxUnpool.apply(x, T.from_numpy(local.astype(np.int64)), wanted)
