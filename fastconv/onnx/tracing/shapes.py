"""Rules of shapes: views, joining, cutting, repeating, and padding."""

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
    if call.made[0].shape == call.args[0].shape and twin.made[0].shape == twin.args[0].shape:
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
        if isinstance(counts, Value) and counts.array.size > 1:
            raise w.fail(f"repeats along an axis that varies are not written; {w.remedy()}")
        each = int(counts.array.reshape(-1)[0]) if isinstance(counts, Value) else int(counts)
        wide = w.node("Unsqueeze", [first(w, call, twin), w.ints(dim + 1)])
        tiles = [1] * (len(x.shape) + 1)
        tiles[dim + 1] = each
        return w.reshape(
            w.node("Tile", [wide, w.ints(*tiles)]), call.made[0].shape, twin.made[0].shape
        )
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
        size, other = x.shape[dim], twin.args[0].shape[dim]
        cut = -shift % max(size, 1)
        if size != other:
            if abs(shift) >= min(size, other):
                raise w.fail(f"a shift of {shift} past an axis that varies; {w.remedy()}")
            cut = -shift  # a negative one counts from the end
        head = w.node("Slice", [name, w.ints(cut), w.ints(END), w.ints(dim)])
        tail = w.node("Slice", [name, w.ints(0), w.ints(cut), w.ints(dim)])
        if cut == 0:
            continue
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


def _bound(w: Writer, value: Any, other: Any, size: int, twin_size: int) -> tuple[int, int]:
    """A start or stop in both runs; the size of the batch is the end."""
    batch = all(a.step for a in w.axes)  # another axis may only happen to be as long in both runs
    if value != other and (value, other) == (size, twin_size) and batch:
        return END, END
    return int(value), int(other)


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
            stop = (END, END) if i.stop is None else _bound(w, i.stop, j.stop, size, other)
            step = 1 if i.step is None else int(i.step)
            whole = stop == (END, END) or (size == other and stop[0] >= size)
            if (start, step) != ((0, 0), 1) or not whole:
                starts.append(start)
                ends.append(stop)
                axes.append(axis)
                steps.append(step)
            at += 1
        else:
            if int(i) != int(j):
                raise w.fail(f"an index is {i}, and {j} where {w.grown()}; {w.remedy()}")
            k = int(i)
            starts.append((k, k))
            ends.append((k + 1, k + 1) if k != -1 else (END, END))
            axes.append(axis)
            steps.append(1)
            gone.append(axis)
        axis += 1
    if axes:
        same = all(s == 1 for s in steps)
        name = w.node(
            "Slice",
            [
                name,
                w.shape(*zip(*starts)),
                w.shape(*zip(*ends)),
                w.ints(*axes),
                "" if same else w.ints(*steps),
            ],
        )
    if gone:
        name = w.node("Squeeze", [name, w.ints(*gone)])
    return w.node("Unsqueeze", [name, w.ints(*new)]) if new else name


@rule("Crop")
def _crop(w: Writer, call: Call, twin: Call) -> Any:
    (x, shape), (y, other) = call.args, twin.args
    rows = list(zip(x.shape, shape, y.shape, other, strict=True))
    axes = [k for k, (n, m, u, v) in enumerate(rows) if (n, u) != (m, v)]
    ends = w.shape([shape[k] for k in axes], [other[k] for k in axes])
    return w.node("Slice", [first(w, call, twin), w.ints(*[0] * len(axes)), ends, w.ints(*axes)])


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
    if tuple(map(tuple, pads)) != tuple(map(tuple, twin.args[1])):
        raise w.fail(f"its padding is {pads}, and {twin.args[1]} where {w.grown()}; {w.remedy()}")
    if mode == "circular":
        for axis, before, after in pads:
            if x.shape[axis] != twin.args[0].shape[axis]:
                parts = [name]
                if before:
                    parts = [w.node("Slice", [name, w.ints(-before), w.ints(END), w.ints(axis)]),
                             name]  # fmt: skip
                if after:
                    parts.append(w.node("Slice", [name, w.ints(0), w.ints(after), w.ints(axis)]))
                name = w.node("Concat", parts, axis=int(axis))
                continue
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
