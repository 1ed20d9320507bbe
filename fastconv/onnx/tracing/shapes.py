"""Rules of shapes: views, joining, cutting, repeating, padding and picking."""

from __future__ import annotations

from typing import Any

import numpy as np

from .pointwise import first, scalar
from .record import Call, Value
from .writer import END, Writer, rule


@rule("Reshape")
def _reshape(w: Writer, call: Call, twin: Call) -> Any:
    return w.reshape(first(w, call, twin), call.made[0].shape, twin.made[0].shape)


@rule("Permute")
def _permute(w: Writer, call: Call, twin: Call) -> Any:
    return w.node("Transpose", [first(w, call, twin)], perm=[int(d) for d in call.args[1]])


@rule("Clone")
def _clone(w: Writer, call: Call, twin: Call) -> str:
    return first(w, call, twin)


@rule("Expand")
def _expand(w: Writer, call: Call, twin: Call) -> Any:
    x = first(w, call, twin)
    if call.made[0].shape == call.args[0].shape:
        return x
    return w.node("Expand", [x, w.shape(call.made[0].shape, twin.made[0].shape)])


@rule("Repeat")
def _repeat(w: Writer, call: Call, twin: Call) -> Any:
    x, counts = call.args
    counts, other = tuple(counts), tuple(twin.args[1])
    name, missing = first(w, call, twin), len(counts) - len(x.shape)
    if missing > 0:
        name = w.node("Unsqueeze", [name, w.ints(*range(missing))])
    return w.node("Tile", [name, w.shape(counts, other)])


@rule("RepeatInterleave")
def _repeat_interleave(w: Writer, call: Call, twin: Call) -> Any:
    x, counts, dim = call.args
    if x.shape[dim] != twin.args[0].shape[dim]:
        raise w.fail("repeats along the batch are not written; use dynamic_batch=False")
    times = counts.array if isinstance(counts, Value) else counts
    index = np.repeat(np.arange(x.shape[dim]), times)
    return w.node("Gather", [first(w, call, twin), w.constant(index, np.int64)], axis=int(dim))


@rule("Flip")
def _flip(w: Writer, call: Call, twin: Call) -> Any:
    dims = [int(d) for d in call.args[1]]
    count = len(dims)
    return w.node(
        "Slice",
        [first(w, call, twin), w.ints(*[-1] * count), w.ints(*[-END] * count), w.ints(*dims),
         w.ints(*[-1] * count)],
    )  # fmt: skip


@rule("Roll")
def _roll(w: Writer, call: Call, twin: Call) -> Any:
    x, shifts, dims = call.args
    if dims is None:
        raise w.fail("rolling a flattened tensor is not written; name the dims")
    shifts = shifts if isinstance(shifts, tuple) else (shifts,)
    dims = dims if isinstance(dims, tuple) else (dims,)
    name = first(w, call, twin)
    for shift, dim in zip(shifts, dims, strict=True):
        size = x.shape[dim]
        if size != twin.args[0].shape[dim]:
            raise w.fail("rolling the batch is not written; use dynamic_batch=False")
        cut = -shift % max(size, 1)
        head = w.node("Slice", [name, w.ints(cut), w.ints(END), w.ints(dim)])
        tail = w.node("Slice", [name, w.ints(0), w.ints(cut), w.ints(dim)])
        name = w.node("Concat", [head, tail], axis=int(dim))
    return name


@rule("Cat")
def _cat(w: Writer, call: Call, twin: Call) -> Any:
    dim, *parts = call.args
    names = [w.name(p, q) for p, q in zip(parts, twin.args[1:], strict=True)]
    return w.node("Concat", names, axis=int(dim))


@rule("Stack")
def _stack(w: Writer, call: Call, twin: Call) -> Any:
    dim, *parts = call.args
    names = [w.name(p, q) for p, q in zip(parts, twin.args[1:], strict=True)]
    wide = [w.node("Unsqueeze", [name, w.ints(dim)]) for name in names]
    return w.node("Concat", wide, axis=int(dim))


@rule("Steps")
def _steps(w: Writer, call: Call, twin: Call) -> Any:
    x = first(w, call, twin)
    return [
        w.node("Gather", [x, w.constant(np.asarray(k, np.int64))], axis=0)
        for k in range(len(call.made))
    ]


# -- slices ----------------------------------------------------------------------------------------


def _full(index: tuple[Any, ...], rank: int) -> list[Any]:
    """The index with its Ellipsis written out: one entry an axis, and None for new axes."""
    used = sum(1 for i in index if i is not None and i is not Ellipsis)
    out: list[Any] = []
    for i in index:
        if i is Ellipsis:
            out += [slice(None)] * (rank - used)
        else:
            out.append(i)
    out += [slice(None)] * (rank - sum(1 for i in out if i is not None))
    return out


def _bound(w: Writer, value: Any, other: Any, size: int, twin_size: int) -> int:
    """A start or stop; the size of the batch is the end."""
    if value == other:
        return int(value)
    if value == size and other == twin_size:
        return END
    raise w.fail(f"a bound of a slice, {value}, depends on the batch size")


@rule("Slice")
def _slice(w: Writer, call: Call, twin: Call) -> Any:
    x, name = call.args[0], first(w, call, twin)
    sizes, others = x.shape, twin.args[0].shape
    index, again = _full(call.args[1], len(sizes)), _full(twin.args[1], len(sizes))
    starts, ends, axes, steps, gone, new = [], [], [], [], [], []
    axis = at = 0
    for i, j in zip(index, again, strict=True):
        if i is None:
            new.append(at)
            at += 1
            continue
        size, other = sizes[axis], others[axis]
        if isinstance(i, slice):
            start = _bound(w, i.start or 0, j.start or 0, size, other)
            stop = END if i.stop is None else _bound(w, i.stop, j.stop, size, other)
            step = 1 if i.step is None else int(i.step)
            if (start, step) != (0, 1) or (stop != END and stop != size) or size != other != stop:
                starts.append(start)
                ends.append(stop)
                axes.append(axis)
                steps.append(step)
            at += 1
        else:
            if int(i) != int(j):
                raise w.fail(f"an index, {i}, depends on the batch size")
            k = int(i)
            starts.append(k)
            ends.append(k + 1 if k != -1 else END)
            axes.append(axis)
            steps.append(1)
            gone.append(axis)
        axis += 1
    if axes:
        same = all(s == 1 for s in steps)
        name = w.node(
            "Slice",
            [name, w.ints(*starts), w.ints(*ends), w.ints(*axes), "" if same else w.ints(*steps)],
        )
    if gone:
        name = w.node("Squeeze", [name, w.ints(*gone)])
    return w.node("Unsqueeze", [name, w.ints(*new)]) if new else name


@rule("Crop")
def _crop(w: Writer, call: Call, twin: Call) -> Any:
    x, shape = call.args
    axes = [k for k, (n, m) in enumerate(zip(x.shape, shape)) if n != m]
    zeros = [0] * len(axes)
    return w.node(
        "Slice",
        [first(w, call, twin), w.ints(*zeros), w.ints(*[shape[k] for k in axes]), w.ints(*axes)],
    )


@rule("Triangle")
def _triangle(w: Writer, call: Call, twin: Call) -> Any:
    _, keep, diagonal = call.args
    upper = int(keep is np.triu)
    k = w.constant(np.asarray(diagonal, np.int64))
    return w.node("Trilu", [first(w, call, twin), k], upper=upper)


# -- padding ---------------------------------------------------------------------------------------


@rule("Pad")
def _pad(w: Writer, call: Call, twin: Call) -> Any:
    x, pads, mode, value = call.args
    name, rank = first(w, call, twin), len(x.shape)
    if mode == "circular":
        for axis, before, after in pads:
            index = np.arange(-before, x.shape[axis] + after) % x.shape[axis]
            name = w.node("Gather", [name, w.constant(index, np.int64)], axis=int(axis))
        return name
    both = [[0, 0] for _ in range(rank)]
    for axis, before, after in pads:
        both[axis] = [int(before), int(after)]
    flat = [b for b, _ in both] + [a for _, a in both]
    kind = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}[mode]
    fill = scalar(w, call, value) if mode == "constant" else ""
    return w.node("Pad", [name, w.ints(*flat), fill], mode=kind)


# -- picking ---------------------------------------------------------------------------------------


def _integer(w: Writer, index: Value, twin: Value, size: int) -> str:
    """The name of an index array, which must hold integers."""
    if index.dtype.kind not in "iu":
        raise w.fail(f"an index of type {index.dtype}: masks pick as many elements as they hold, "
                     "which a graph cannot know")  # fmt: skip
    if index.origin == "constant" and index.dtype != np.int64:
        return w.constant(index.array, np.int64)
    return w.name(index, twin)


@rule("Take")
def _take(w: Writer, call: Call, twin: Call) -> Any:
    x, index = call.args[:2]
    entries = [i for i in index if i is not Ellipsis]
    where = [k for k, i in enumerate(entries) if isinstance(i, Value)]
    plain = all(
        isinstance(i, Value) or (isinstance(i, slice) and i == slice(None)) for i in entries
    )
    other = [i for i in twin.args[1] if i is not Ellipsis]
    if not plain or not where:
        raise w.fail("an index of arrays together with numbers or slices is not written")
    names = [_integer(w, entries[k], other[k], x.shape[k]) for k in where]
    if len(where) == 1:
        return w.node("Gather", [first(w, call, twin), names[0]], axis=where[0])
    if where != list(range(len(where))) or len({entries[k].shape for k in where}) > 1:
        raise w.fail("several index arrays are written only for the leading axes, of one shape")
    rank = len(entries[0].shape)
    columns = [w.node("Unsqueeze", [name, w.ints(rank)]) for name in names]
    return w.node("GatherND", [first(w, call, twin), w.node("Concat", columns, axis=rank)])


@rule("Gather")
def _gather(w: Writer, call: Call, twin: Call) -> Any:
    """Along one axis: of the index grid, the entry that is no counting grid (see `grid`)."""
    _, index = call.args[:2]
    shape = np.broadcast_shapes(*[i.shape for i in index])
    axis = next(
        (
            k for k, i in enumerate(index)
            if i.origin != "constant" or i.shape != _counting(k, shape).shape
            or not (i.array == _counting(k, shape)).all()
        ),
        0,
    )  # fmt: skip
    name = _integer(w, index[axis], twin.args[1][axis], 0)
    return w.node("GatherElements", [first(w, call, twin), name], axis=axis)


def _counting(k: int, shape: tuple[int, ...]) -> np.ndarray:
    sizes = [1] * len(shape)
    sizes[k] = shape[k]
    return np.arange(shape[k]).reshape(sizes)
