"""Rules of picking: by indices, by masks, by order."""

from __future__ import annotations

from typing import Any

import numpy as np

from .pointwise import first
from .record import Call, Value
from .writer import END, Writer, rule

#: Operations whose results may have as many elements as the values say.
COUNTING = ("NonZero", "Take")


def _integer(w: Writer, index: Value, twin: Value, size: int) -> str:
    """The name of an index array, which must hold integers."""
    if index.dtype.kind not in "iu":
        raise w.fail(f"an index of type {index.dtype} is not written here")
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
    if len(where) == 1 and plain and entries[where[0]].dtype.kind == "b":
        return _masked(w, call, twin, where[0], entries[where[0]], other[where[0]])
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


def _masked(w: Writer, call: Call, twin: Call, axis: int, mask: Value, other: Value) -> Any:
    """What a mask picks of some axes, from `axis` on: as many elements as it holds."""
    if axis and len(mask.shape) > 1:
        raise w.fail(f"a mask of {len(mask.shape)} axes behind others is not written")
    places = w.node("NonZero", [w.name(mask, other)])
    if axis:
        index = w.node("Squeeze", [places, w.ints(0)])
        return w.node("Gather", [first(w, call, twin), index], axis=axis)
    rows = w.node("Transpose", [places], perm=[1, 0])
    return w.node("GatherND", [first(w, call, twin), rows])


@rule("Put")
def _put(w: Writer, call: Call, twin: Call) -> Any:
    """``a[mask] = number``."""
    a, value, index = call.args
    entries = [i for i in index if i is not Ellipsis]
    mask = entries[0] if len(entries) == 1 else None
    if not isinstance(mask, Value) or mask.dtype.kind != "b":
        raise w.fail("of assignments to indexed elements only a[mask] = number is written; "
                     "where() and cat() make the same")  # fmt: skip
    if isinstance(value, Value) and value.array.size > 1:
        raise w.fail("a[mask] = values of several elements is not written; use where()")
    name = w.name(mask, twin.args[2][index.index(mask)])
    rest = range(len(mask.shape), len(a.shape))
    if rest:
        name = w.node("Unsqueeze", [name, w.ints(*rest)])
    given = w.name(value, twin.args[1], a)
    return w.node("Where", [name, given, first(w, call, twin)])


# -- order -----------------------------------------------------------------------------------------


def _top(
    w: Writer, call: Call, twin: Call, count: Any, largest: bool
) -> tuple[dict[str, Any], list[str]]:
    """The arguments of a call, and the first so many elements along its dim, with places."""
    given, other = call.args[0], twin.args[0]
    x, y = given["input"], other["input"]
    if not x.shape:
        raise w.fail("a tensor without axes is not written")
    axis = given["dim"] % len(x.shape)
    k = w.extent(x.shape[axis], y.shape[axis]) if count is None else w.extent(*count)
    pair = w.node("TopK", [w.name(x, y), k], 2, axis=axis, largest=int(largest), sorted=1)
    return given, pair


@rule("Sort", "ArgSort")
def _sort(w: Writer, call: Call, twin: Call) -> Any:
    _, pair = _top(w, call, twin, None, bool(call.args[0]["descending"]))
    return pair if call.kind == "Sort" else pair[1]


@rule("TopK")
def _topk(w: Writer, call: Call, twin: Call) -> Any:
    count = int(call.args[0]["k"]), int(twin.args[0]["k"])
    return _top(w, call, twin, count, bool(call.args[0]["largest"]))[1]


@rule("KthValue")
def _kth_value(w: Writer, call: Call, twin: Call) -> Any:
    count = int(call.args[0]["k"]), int(twin.args[0]["k"])
    given, pair = _top(w, call, twin, count, False)
    axis = w.ints(given["dim"] % len(given["input"].shape))
    last = [w.node("Slice", [name, w.ints(-1), w.ints(END), axis]) for name in pair]
    return last if given["keepdim"] else [w.node("Squeeze", [name, axis]) for name in last]


@rule("Along")
def _along(w: Writer, call: Call, twin: Call) -> Any:
    """``max`` and ``min`` along an axis: values and places."""
    given, other = call.args[0], twin.args[0]
    x, kind = given["input"], "Max" if given["name"] == "max" else "Min"
    if not x.shape:
        raise w.fail("a tensor without axes is not written")
    axis, keep = given["dim"] % len(x.shape), bool(given["keepdim"])
    name = w.name(x, other["input"])
    places = w.node(f"Arg{kind}", [name], axis=axis, keepdims=int(keep))
    return [w.reduce(f"Reduce{kind}", name, (axis,), keep), places]


@rule("NonZero")
def _non_zero(w: Writer, call: Call, twin: Call) -> Any:
    given, other = call.args[0], twin.args[0]
    places = w.node("NonZero", [w.name(given["input"], other["input"])])
    if not given["as_tuple"]:
        return w.node("Transpose", [places], perm=[1, 0])
    return [w.node("Gather", [places, w.integer(k)], axis=0) for k in range(len(call.made))]
