"""Sums, products and running sums over any axes, of any length, in any order of memory.

Terms are taken and added in float64, whatever the type: a sum of float32 is that of float64,
rounded once.  An array that is dense in memory is read as it lies: neighbouring axes that are
summed, and neighbouring ones that are not, count as one, and each run of the kernels does away with
the innermost axes that are summed, as (outer, length, inner).  Between two runs lies float64.
Other arrays are copied, but for axes that repeat the same elements, whose sum is a product.
Integers, and sums of few terms, are NumPy's.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from fastconv import planner
from fastconv.memory import empty
from fastconv.ops.layout import Array, Columns

Axes = tuple[int, ...] | None
#: So few terms are added in float32, by NumPy: each partial sum is rounded once, by 6e-8 of itself
#: at most, and on average they are half of the sum, which makes 32 / 2 * 6e-8 < 1e-6.
FEW = 32
#: So few factors: each product is rounded by 6e-8 of itself at most.
FEW_FACTORS = 16
#: So many elements that lie in one run are NumPy's: it adds them pairwise, and is called sooner.
SMALL = 2048
_FLOATS = "fd"
DOUBLE = np.dtype(np.float64)
_add: Any = np.add.reduce
_multiply: Any = np.multiply.reduce


def terms(a: Array, axes: Axes) -> int:
    """How many elements make one of the result."""
    if axes is None:
        return a.size
    shape = a.shape
    if len(axes) == 1:
        return shape[axes[0]]
    return math.prod([shape[d] for d in axes])


def _numpys(a: Array, axes: Axes) -> bool:
    """Whether a sum in the array's type, by NumPy, is as good as the kernels'."""
    size = a.size
    if size > SMALL:
        return a.dtype.char not in _FLOATS
    if size <= FEW or a.dtype.char != "f":
        return True
    return a.flags.c_contiguous if axes is None else terms(a, axes) <= FEW


def total(a: Array, axes: Axes = None, keepdims: bool = False) -> Any:
    """The sum over `axes`, or all; not negative ones."""
    if _numpys(a, axes):
        return _add(a, axes, None, None, keepdims)
    if a.size <= SMALL:
        return _add(a, axes, DOUBLE, None, keepdims).astype(a.dtype)
    return _run("sums", a, axes, keepdims)


def mean(a: Array, axes: Axes = None, keepdims: bool = False) -> Any:
    """The mean over `axes`, or all."""
    count = terms(a, axes)
    if _numpys(a, axes):
        return np.true_divide(_add(a, axes, None, None, keepdims), a.dtype.type(count))
    if a.size <= SMALL:
        return (_add(a, axes, DOUBLE, None, keepdims) / count).astype(a.dtype)
    return _run("sums", a, axes, keepdims, divisor=count)


def product(a: Array, axes: Axes = None, keepdims: bool = False) -> Any:
    """The product over `axes`, or all."""
    few = a.size <= FEW_FACTORS or (a.size <= SMALL and terms(a, axes) <= FEW_FACTORS)
    if few or a.dtype.char != "f":
        return _multiply(a, axis=axes, keepdims=keepdims)
    return _run("products", a, axes, keepdims)


def squares(a: Array, axes: Axes = None, centre: Array | None = None) -> Any:
    """The sum of ``(a - centre)²``, float64, the axes kept; `centre` as the result."""
    if a.size <= SMALL:
        wide = a.astype(DOUBLE) if centre is None else a - centre
        return _add(np.square(wide, out=wide if wide.ndim else None), axis=axes, keepdims=True)
    return _run("sums_of_squares", a, axes, True, centre=centre, wide=True)


def moments(a: Array, axes: Axes, free: float) -> tuple[Array, Array]:
    """The mean, and the squares about it over `free`: float64, the axes kept."""
    count = terms(a, axes)
    if a.size <= SMALL:
        centre = _add(a, axis=axes, keepdims=True, dtype=DOUBLE) / np.float64(count)
    else:
        centre = _run("sums", a, axes, True, divisor=count, wide=True)
    centre = np.asarray(centre)
    return centre, squares(a, axes, centre) / np.float64(free)


def exponentials(a: Array, axes: Axes, centre: Array) -> Any:
    """The sum of ``exp(a - centre)``, float64, the axes kept; `centre` of the array's type."""
    if a.size <= SMALL:
        return _add(np.exp(a - centre), axis=axes, keepdims=True, dtype=DOUBLE)
    return _run("sums_of_exps", a, axes, True, centre=centre.astype(DOUBLE), wide=True)


def sum_of_products(a: Array, b: Array, axes: Axes = None, keepdims: bool = False) -> Any:
    """The sum of ``a * b``, two arrays of one shape and type, over `axes`, or all."""
    if a.size <= FEW or a.dtype.char not in _FLOATS:
        return _add(a * b, axis=axes, keepdims=keepdims)
    return _run("sums_of_products", a, axes, keepdims, other=b)


def add_at(out: Array, index: Any, values: Any) -> None:
    """``out[index] += values``, in place, where an element may be meant more than once.

    Sums in float64, unless `out` is so much larger that hardly any element can get many terms.
    """
    if out.dtype.char != "f" or not np.size(values) > FEW or out.size > 16 * np.size(values):
        np.add.at(out, index, values)
        return
    wide = out.astype(DOUBLE)
    np.add.at(wide, index, np.asarray(values, DOUBLE))
    out[...] = wide


def running_sum(a: Array, axis: int, back: bool = False) -> Array:
    """The sums of all elements up to each along an axis; with `back` from the end on."""
    return _running("running_sums", np.add, a, axis, back, FEW)


def running_product(a: Array, axis: int, back: bool = False) -> Array:
    """The products of all elements up to each along an axis; with `back` from the end on."""
    return _running("running_products", np.multiply, a, axis, back, FEW_FACTORS)


def _running(name: str, ufunc: Any, a: Array, axis: int, back: bool, few: int) -> Array:
    if not a.size or a.dtype.char != "f" or a.shape[axis] <= few:
        if back:
            return np.flip(ufunc.accumulate(np.flip(a, axis), axis=axis), axis)
        return ufunc.accumulate(a, axis=axis)
    columns = Columns(a, axis)
    out = empty(columns.shape, a.dtype)
    planner.kernel(name)(columns.of(a), out, back)
    return columns.result(out)


class _Plan(NamedTuple):
    """How an array of one shape, strides and set of axes is reduced."""

    simple: bool  # in one run, of the array as it lies, into the result as it lies
    cells: tuple[int, int]  # the first run's result
    whole: tuple[int | slice, ...] | None  # what to read of axes that repeat their elements
    repeats: int  # how often they do
    dense: bool
    passes: tuple[tuple[int, int, int], ...]
    plain: bool  # whether memory runs through the axes as they come
    lie: tuple[int, ...]  # all axes in the order of memory
    partial: tuple[int, ...]  # the axes of the first run's result, in the order of memory
    memory: tuple[int, ...]  # the result's shape in that order
    back: tuple[int, ...]  # and how its axes come from there
    kept: tuple[int, ...]  # its shape with the summed axes as 1
    shape: tuple[int, ...]  # its shape without them


@functools.lru_cache(maxsize=1024)
def _planned(
    shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int, axes: Axes, repeated: bool
) -> _Plan:
    rank = len(shape)
    summed = set(range(rank)) if axes is None else {d % rank for d in axes}
    again = {d for d in summed if repeated and strides[d] == 0 and shape[d] > 1}
    live = [d for d in range(rank) if shape[d] > 1 and d not in again]
    live.sort(key=lambda d: -strides[d])
    step, dense = itemsize, True
    for d in reversed(live):
        dense = dense and strides[d] == step
        step *= shape[d]
    groups: list[tuple[bool, int]] = []  # of neighbours that are summed, or are not
    for d in live:
        gone = d in summed
        if groups and groups[-1][0] == gone:
            groups[-1] = gone, groups[-1][1] * shape[d]
        else:
            groups.append((gone, shape[d]))
    passes = []
    while any(gone for gone, _ in groups):
        last = max(i for i, (gone, _) in enumerate(groups) if gone)
        before = math.prod(n for _, n in groups[:last])
        after = math.prod(n for _, n in groups[last + 1 :])
        passes.append((before, groups[last][1], after))
        rest = groups[:last] + groups[last + 1 :]
        groups = []
        for gone, n in rest:
            if groups and groups[-1][0] == gone:
                groups[-1] = gone, groups[-1][1] * n
            else:
                groups.append((gone, n))
    if not passes:
        passes.append((1, 1, math.prod(shape[d] for d in live)))
    # the axes of the first run's result: without the innermost neighbours that are summed
    end = len(live)
    while end and live[end - 1] not in summed:
        end -= 1
    begin = end
    while begin and live[begin - 1] in summed:
        begin -= 1
    order = tuple([d for d in live if d not in summed])
    lie = (*[d for d in range(rank) if d not in live], *live)
    if live == sorted(live):
        lie = tuple(range(rank))
    kept = tuple([1 if d in summed else n for d, n in enumerate(shape)])
    plain = lie == tuple(range(rank))
    return _Plan(
        dense and plain and not again and len(passes) == 1,
        (passes[0][0], passes[0][2]),
        tuple([slice(0, 1) if d in again else slice(None) for d in range(rank)]) if again else None,
        math.prod(shape[d] for d in again),
        dense,
        tuple(passes),
        plain,
        lie,
        (*live[:begin], *live[end:]),
        tuple([shape[d] for d in order]),
        tuple(int(i) for i in np.argsort(order)),
        kept,
        tuple([n for d, n in enumerate(shape) if d not in summed]),
    )


def _plan(a: Array, axes: Axes, repeated: bool = True) -> _Plan:
    return _planned(a.shape, a.strides, a.itemsize, axes, repeated)


def _run(
    name: str,
    a: Array,
    axes: Axes,
    keepdims: bool,
    other: Array | None = None,
    centre: Array | None = None,
    divisor: float = 1.0,
    wide: bool = False,
) -> Array:
    """The kernels' result, of the array's type, or float64 where `wide`.

    centre: float64, of the result's shape with the summed axes as 1.
    """
    product = name == "products"
    p = _plan(a, axes, not product and other is None)
    if p.simple and other is None is centre and not wide:
        found = empty(p.cells, a.dtype)
        planner.kernel(name)(a.reshape(p.passes[0]), found, None, None, divisor)
        return found.reshape(p.kept if keepdims else p.shape)
    repeats = p.repeats
    if p.whole is not None:
        a = a[p.whole]
    if not p.dense or (other is not None and other.strides != a.strides):
        if other is None:
            a = np.array(a, order="K")
        else:
            a, other = np.ascontiguousarray(a), np.ascontiguousarray(other)
        p = _plan(a, axes, False)
    given: dict[str, Any] = {}
    outer, length, inner = p.passes[0]
    if other is not None:
        given["other"] = _in_order(other, p).reshape(outer, length, inner)
    if centre is not None:
        given["centre"] = _spread(centre, a.shape, p).reshape(outer, inner)
    runs = len(p.passes)
    if runs == 1 and repeats == 1:
        given["divisor"] = divisor
    kind = a.dtype if runs == 1 == repeats and not wide else DOUBLE
    out = empty((outer, inner), kind)
    planner.kernel(name)(_in_order(a, p).reshape(outer, length, inner), out, **given)
    for outer, length, inner in p.passes[1:]:
        flat, out = out.reshape(outer, length, inner), empty((outer, inner), DOUBLE)
        planner.kernel("products" if name == "products" else "sums")(flat, out)
    if runs > 1 or repeats > 1:
        out *= repeats  # exact, where a quotient of the two numbers would not be
        out /= divisor
        if not wide:
            out = out.astype(a.dtype, copy=False)
    return out.reshape(p.memory).transpose(p.back).reshape(p.kept if keepdims else p.shape)


def _in_order(a: Array, p: _Plan) -> Array:
    """The array in the order of memory, C-contiguous: a view."""
    return a if p.plain else a.transpose(p.lie)


def _spread(centre: Array, shape: tuple[int, ...], p: _Plan) -> Array:
    """One centre for each element of the first run's result."""
    full = [n if d in p.partial else 1 for d, n in enumerate(shape)]
    rest = [d for d in range(len(shape)) if d not in p.partial]
    return np.ascontiguousarray(np.broadcast_to(centre, full).transpose(*p.partial, *rest))
