"""Shapes: what joins, cuts, reorders and repeats elements, and what makes constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fastconv as T
import fastconv.nn.functional as F

from ..errors import OnnxError
from ..registry import Node, operator
from ..values import Array, along_axis, arr, axes, axis, ints, is_tensor, number, room, value
from .elementwise import cast_to

# -- constants -------------------------------------------------------------------------------------


@operator("Constant")
def _constant(n: Node) -> Any:
    for key, kind in (
        ("value_float", np.float32), ("value_floats", np.float32),
        ("value_int", np.int64), ("value_ints", np.int64),
        ("value_string", object), ("value_strings", object),
    ):  # fmt: skip
        if key in n.attributes:
            return np.array(n.attributes[key], kind)
    if "value" not in n.attributes:
        raise OnnxError("a constant without a value (sparse ones are not read)")
    return n.attributes["value"]


@operator("ConstantOfShape", since=9)
def _constant_of_shape(n: Node, shape: Any) -> Any:
    fill = n.get("value")
    a = np.zeros(1, np.float32) if fill is None else arr(fill)
    return np.full(room(ints(shape)), a.reshape(-1)[0], a.dtype)


@operator("Range", since=11)
def _range(n: Node, start: Any, limit: Any, delta: Any) -> Any:
    a, b, d = arr(start), arr(limit), arr(delta)
    if number(d) == 0:
        raise OnnxError("delta must not be 0")
    count = max(0, math.ceil((number(b) - number(a)) / number(d)))
    room((count,))
    return (number(a) + np.arange(count) * number(d)).astype(a.dtype)


@operator("EyeLike", since=9)
def _eye_like(n: Node, x: Any) -> Any:
    a = arr(x)
    if a.ndim != 2:
        raise OnnxError(f"a matrix is needed, got shape {a.shape}")
    rows, columns = room(a.shape)
    made = np.eye(rows, columns, k=n.get("k", 0))
    kind = n.get("dtype")
    return made.astype(a.dtype) if kind is None else cast_to(made, kind)


@operator("Shape")
def _shape(n: Node, x: Any) -> Array:
    dims = np.array(x.shape if is_tensor(x) else arr(x).shape, np.int64)
    return dims[slice(n.get("start"), n.get("end"))]


operator("Size")(lambda n, x: np.asarray(arr(x).size, np.int64))

# -- the same elements -----------------------------------------------------------------------------


def _reshape(n: Node, x: Any, wanted: tuple[int, ...]) -> Any:
    have = tuple(x.shape)
    shape = list(wanted)
    if not n.get("allowzero", 0):
        for k, size in enumerate(shape):
            if size == 0:
                if k >= len(have):
                    raise OnnxError(f"shape {wanted} keeps axis {k} of {have}, which has none")
                shape[k] = have[k]
    if shape.count(-1) > 1 or min(shape, default=0) < -1:
        raise OnnxError(f"shape {wanted} is not one")
    if -1 in shape:
        rest = -math.prod(shape)
        if rest == 0 or math.prod(have) % rest:
            raise OnnxError(f"{have} does not fit into shape {wanted}")
        shape[shape.index(-1)] = math.prod(have) // rest
    if math.prod(shape) != math.prod(have):
        raise OnnxError(f"{have} does not fit into shape {wanted}")
    return x.reshape(*shape) if shape else x.reshape(())


@operator("Reshape", since=5)
def _reshape5(n: Node, x: Any, shape: Any) -> Any:
    return _reshape(n, x, ints(shape))


@operator("Reshape", since=1)
def _reshape1(n: Node, x: Any) -> Any:
    return _reshape(n, x, tuple(n.get("shape", [])))


@operator("Flatten")
def _flatten(n: Node, x: Any) -> Any:
    shape = tuple(x.shape)
    k = n.get("axis", 1)
    k = k + len(shape) if k < 0 else k
    if not 0 <= k <= len(shape):
        raise OnnxError(f"axis {k} is out of range for {len(shape)} axes")
    return x.reshape(math.prod(shape[:k]), math.prod(shape[k:]))


def _squeeze(x: Any, given: Any) -> Any:
    shape = tuple(x.shape)
    drop = [k for k, m in enumerate(shape) if m == 1] if given is None else axes(given, len(shape))
    if any(shape[k] != 1 for k in drop):
        raise OnnxError(f"axes {tuple(drop)} of shape {shape} are not all of size 1")
    return x.reshape(tuple([m for k, m in enumerate(shape) if k not in drop]))


def _unsqueeze(x: Any, given: Any) -> Any:
    shape = list(x.shape)
    rank = len(shape) + len(given)
    for k in sorted(axes(given, rank)):
        shape.insert(k, 1)
    return x.reshape(tuple(shape))


operator("Squeeze", since=13)(
    lambda n, x, given=None: _squeeze(x, None if given is None else ints(given))
)
operator("Squeeze", since=1)(lambda n, x: _squeeze(x, n.get("axes")))
operator("Unsqueeze", since=13)(lambda n, x, given: _unsqueeze(x, ints(given)))
operator("Unsqueeze", since=1)(lambda n, x: _unsqueeze(x, n.get("axes", [])))


@operator("Transpose")
def _transpose(n: Node, x: Any) -> Any:
    rank = len(x.shape)
    order = n.get("perm", list(range(rank))[::-1])
    if sorted(order) != list(range(rank)):
        raise OnnxError(f"perm {order} does not order the {rank} axes of {tuple(x.shape)}")
    return x.permute(*order) if is_tensor(x) else x.transpose(order)


@operator("DepthToSpace")
def _depth_to_space(n: Node, x: Any) -> Any:
    b, (count, c, h, w) = n.get("blocksize", 0), x.shape
    if b < 1 or c % (b * b):
        raise OnnxError(f"blocksize {b} does not divide the channels of {tuple(x.shape)}")
    if n.get("mode", "DCR") == "CRD":
        y, order = x.reshape(count, c // b**2, b, b, h, w), (0, 1, 4, 2, 5, 3)
    else:
        y, order = x.reshape(count, b, b, c // b**2, h, w), (0, 3, 4, 1, 5, 2)
    y = y.permute(*order) if is_tensor(y) else y.transpose(order)
    return y.reshape(count, c // b**2, h * b, w * b)


@operator("SpaceToDepth")
def _space_to_depth(n: Node, x: Any) -> Any:
    b, (count, c, h, w) = n.get("blocksize", 0), x.shape
    if b < 1 or h % b or w % b:
        raise OnnxError(f"blocksize {b} does not divide the sides of {tuple(x.shape)}")
    y = x.reshape(count, c, h // b, b, w // b, b)
    order = (0, 1, 3, 5, 2, 4) if n.get("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    y = y.permute(*order) if is_tensor(y) else y.transpose(order)
    return y.reshape(count, c * b * b, h // b, w // b)


# -- joining and cutting ---------------------------------------------------------------------------


@operator("Concat", since=4)
def _concat(n: Node, *xs: Any) -> Any:
    rank = len(xs[0].shape)
    k = axis(n.get("axis", 1), rank)
    if is_tensor(xs[0]):
        if len({len(x.shape) for x in xs}) > 1:
            raise OnnxError(f"operands of {sorted({len(x.shape) for x in xs})} axes")
        return T.cat(list(xs), k)
    return np.concatenate(xs, k)


operator("Concat", since=1)(_concat)


def _split(n: Node, x: Any, sizes: Any, k: int) -> Any:
    total = x.shape[k]
    if sizes is None:
        count = n.get("num_outputs", len(n.outputs))
        if count < 1:
            raise OnnxError(f"num_outputs must be at least 1, got {count}")
        each = -(-total // count)
        sizes = [min(each, max(0, total - each * i)) for i in range(count)]
    if sum(sizes) != total or min(sizes, default=0) < 0:
        raise OnnxError(f"parts {tuple(sizes)} do not add up to the {total} of axis {k}")
    parts, first = [], 0
    for size in sizes:
        index = along_axis(k, slice(first, first + size))
        parts.append(x[index])
        first += size
    return tuple(parts)


@operator("Split", since=13)
def _split13(n: Node, x: Any, sizes: Any = None) -> Any:
    k = axis(n.get("axis", 0), len(x.shape))
    return _split(n, x, None if sizes is None else ints(sizes), k)


@operator("Split", since=1)
def _split1(n: Node, x: Any, sizes: Any = None) -> Any:
    k = axis(n.get("axis", 0), len(x.shape))
    return _split(n, x, ints(sizes) if sizes is not None else n.get("split"), k)


def _slice(x: Any, starts: Any, ends: Any, given: Any, steps: Any) -> Any:
    rank = len(x.shape)
    where = axes(given if given is not None else range(len(starts)), rank)
    steps = steps or (1,) * len(starts)
    if not len(starts) == len(ends) == len(where) == len(steps):
        raise OnnxError(f"starts {starts}, ends {ends}, axes {where} and steps {steps} differ in "
                        "length")  # fmt: skip
    index: list[Any] = [slice(None)] * rank
    flips = []
    for k, a, b, s in zip(where, starts, ends, steps, strict=True):
        size = x.shape[k]
        if s == 0:
            raise OnnxError("a step must not be 0")
        a = a + size if a < 0 else a
        b = b + size if b < 0 else b
        if s > 0:
            a, b = min(max(a, 0), size), min(max(b, 0), size)
            index[k] = slice(a, max(a, b), s)
        else:  # the same elements from the other end, turned round
            a, b = min(max(a, -1), size - 1), min(max(b, -1), size - 1)
            count = max(0, -((b - a) // -s)) if a > b else 0
            last = a + (count - 1) * s
            index[k] = slice(last, a + 1, -s) if count else slice(0, 0)
            flips.append(k)
    y = x[tuple(index)] if rank else x
    if not flips:
        return y
    return T.flip(y, flips) if is_tensor(y) else np.flip(y, tuple(flips))


@operator("Slice", since=10)
def _slice10(n: Node, x: Any, starts: Any, ends: Any, where: Any = None, steps: Any = None) -> Any:
    return _slice(
        x, ints(starts), ints(ends), None if where is None else ints(where),
        None if steps is None else ints(steps),
    )  # fmt: skip


@operator("Slice", since=1)
def _slice1(n: Node, x: Any) -> Any:
    return _slice(x, n.get("starts", []), n.get("ends", []), n.get("axes"), None)


# -- repeating and padding -------------------------------------------------------------------------


@operator("Expand", since=8)
def _expand(n: Node, x: Any, shape: Any) -> Any:
    wanted = np.broadcast_shapes(tuple(x.shape), room(ints(shape)))
    room(wanted)
    return x.expand(*wanted) if is_tensor(x) else np.broadcast_to(x, wanted)


@operator("Tile", since=6)
def _tile(n: Node, x: Any, repeats: Any) -> Any:
    counts = ints(repeats)
    if len(counts) != len(x.shape):
        raise OnnxError(f"repeats {counts} must have one number for each axis of {tuple(x.shape)}")
    room([a * b for a, b in zip(x.shape, counts, strict=True)])
    if not counts:
        return x
    return x.repeat(*counts) if is_tensor(x) else np.tile(x, counts)


#: Modes of Pad, and what NumPy and fastconv call them.
PADDING = {
    "constant": ("constant", "constant"), "reflect": ("reflect", "reflect"),
    "edge": ("edge", "replicate"), "wrap": ("wrap", "circular"),
}  # fmt: skip


def _pad(x: Any, pads: Any, mode: str, fill: Any, where: tuple[int, ...]) -> Any:
    if mode not in PADDING:
        raise OnnxError(f"mode {mode!r} is none of {', '.join(PADDING)}")
    if len(pads) != 2 * len(where):
        raise OnnxError(f"pads {tuple(pads)} must have two numbers for each of {len(where)} axes")
    rank, count = len(x.shape), len(where)
    both = [(0, 0)] * rank
    for k, before, after in zip(where, pads[:count], pads[count:], strict=True):
        both[k] = before, after
    sizes = room([m + a + b for m, (a, b) in zip(x.shape, both, strict=True)])
    if not rank:
        return x
    if mode != "constant" or not is_tensor(x) or 0 in sizes:
        return _pad_array(x, both, PADDING[mode][0], fill)
    flat = [v for pair in reversed(both) for v in pair]
    return F.pad(x, flat, "constant", fill)


def _pad_array(x: Any, both: Any, mode: str, fill: Any) -> Any:
    """By an index along each axis: crops first, then repeats."""
    y = x
    for k, (before, after) in enumerate(both):
        if before == after == 0:
            continue
        size = y.shape[k]
        index = np.arange(-before, size + after)
        inside = (index >= 0) & (index < size)
        if mode == "edge":
            index = index.clip(0, size - 1)
        elif mode == "wrap":
            index = index % max(size, 1)
        elif mode == "reflect":
            period = max(2 * (size - 1), 1)
            index = np.abs(index) % period
            index = np.where(index >= size, period - index, index)
        else:
            index = index.clip(0, max(size - 1, 0))
        key = along_axis(k, index)
        y = y[key] if not is_tensor(y) else T.index_select(y, k, T.from_numpy(index))
        if mode == "constant" and not inside.all():
            mask = inside.reshape(-1, *(1,) * (len(y.shape) - k - 1))
            if is_tensor(y):
                y = T.where(T.from_numpy(mask), y, T.full((), fill, dtype=y.dtype))
            else:
                y = np.where(mask, y, np.asarray(fill, y.dtype))
    return y


@operator("Pad", since=11)
def _pad11(n: Node, x: Any, pads: Any, fill: Any = None, where: Any = None) -> Any:
    rank = len(x.shape)
    return _pad(
        x, ints(pads), n.get("mode", "constant"), 0 if fill is None else number(fill),
        axes(None if where is None else ints(where), rank),
    )  # fmt: skip


@operator("Pad", since=1)
def _pad1(n: Node, x: Any) -> Any:
    pads = n.get("pads", n.get("paddings", []))
    return _pad(x, pads, n.get("mode", "constant"), n.get("value", 0.0), axes(None, len(x.shape)))


@operator("CenterCropPad", since=18)
def _center_crop_pad(n: Node, x: Any, shape: Any) -> Any:
    where = axes(n.get("axes"), len(x.shape))
    pads = [[0, 0] for _ in x.shape]
    for k, wanted in zip(where, ints(shape), strict=True):
        more = wanted - x.shape[k]
        before = more // 2 if more > 0 else -(-more // 2)
        pads[k] = [before, more - before]
    flat = [p[0] for p in pads] + [p[1] for p in pads]
    return _pad(x, flat, "constant", 0, axes(None, len(x.shape)))


@operator("Trilu", since=14)
def _trilu(n: Node, x: Any, k: Any = None) -> Any:
    diagonal = 0 if k is None else int(number(k))
    if is_tensor(x):
        return T.triu(x, diagonal) if n.get("upper", 1) else T.tril(x, diagonal)
    return (np.triu if n.get("upper", 1) else np.tril)(x, diagonal)


@operator("ReverseSequence", since=10)
def _reverse_sequence(n: Node, x: Any, lengths: Any) -> Any:
    time, batch = n.get("time_axis", 0), n.get("batch_axis", 1)
    if {time, batch} != {0, 1}:
        raise OnnxError(f"time_axis {time} and batch_axis {batch} must be 0 and 1")
    sizes = arr(lengths)
    steps = x.shape[time]
    if sizes.shape != (x.shape[batch],) or (sizes < 0).any() or (sizes > steps).any():
        raise OnnxError(f"sequence_lens {sizes.tolist()} do not fit shape {tuple(x.shape)}")
    place = np.arange(steps)[:, None]
    place = np.where(place < sizes, sizes - 1 - place, place)  # (time, batch)
    columns = np.arange(len(sizes))[None]
    key = (place, columns) if time == 0 else (columns.T, place.T)
    return x[tuple(T.from_numpy(k) for k in key)] if is_tensor(x) else x[key]


@operator("NonZero", since=9)
def _nonzero(n: Node, x: Any) -> Array:
    found = np.nonzero(np.atleast_1d(arr(x)))
    return np.stack(found).astype(np.int64)


@operator("OneHot", since=9)
def _one_hot(n: Node, index: Any, depth: Any, values: Any) -> Any:
    i, size, pair = arr(index).astype(np.int64), int(number(depth)), arr(values)
    k = axis(n.get("axis", -1), i.ndim + 1)
    room((*i.shape, size))
    if pair.shape != (2,):
        raise OnnxError(f"values must be (off, on), got shape {pair.shape}")
    hot = np.expand_dims(np.where((i >= -size) & (i < size), i % max(size, 1), -1), k)
    marks = np.arange(size).reshape(-1, *(1,) * (i.ndim - k))
    return value(np.where(hot == marks, pair[1], pair[0]))
