"""Matrix products and sums of products with many terms.

A BLAS adds float32 products in float32, however many there are: the product of two matrices with an
inner dimension of 5 million is off by 2e-5, and of equal terms by 1e-4.  Here a long sum is cut:
each part is a BLAS's, and the parts are added in float64, which leaves 1e-7 (of equal terms, whose
roundings all go one way, a few times 1e-6, as of any product of 1024 terms).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv.ops import reduce
from fastconv.ops.layout import Array

#: Products that a BLAS adds up by itself.
LONG = 1024
#: The parts of a longer sum, where the result is so small that reading the operands takes longer.
PART, FEW_CELLS = 128, 256
#: Elements of the parts' results that are held at once.
HELD = 1 << 20


def matmul(a: Array, b: Array) -> Any:
    """``a @ b``, of any ranks above zero."""
    length = a.shape[-1]
    if length <= LONG or a.dtype.char != "f":
        return a @ b
    if a.ndim == 1 == b.ndim:
        return a @ b if length <= reduce.SMALL else reduce.sum_of_products(a, b)
    rows = a[None] if a.ndim == 1 else a
    columns = b[:, None] if b.ndim == 1 else b
    height, width = rows.shape[-2], columns.shape[-1]
    part = PART if 1 in (height, width) or height * width <= FEW_CELLS else LONG
    if rows.ndim == 2 == columns.ndim:
        y = _cut(rows, columns, part)
    else:
        y = _sliced(rows, columns, range(0, length, part), part)
    if b.ndim == 1:
        y = y[..., 0]
    return (y[..., 0, :] if b.ndim > 1 else y[..., 0]) if a.ndim == 1 else y


def _sliced(a: Array, b: Array, starts: range, part: int, wide: Array | None = None) -> Array:
    """The products of slices, one after the other; added to `wide`."""
    for k in starts:
        found = a[..., k : k + part] @ b[..., k : k + part, :]
        if wide is None:
            wide = found.astype(np.float64)
        else:
            wide += found
    assert wide is not None
    return wide.astype(a.dtype)


def _cut(a: Array, b: Array, part: int) -> Array:
    """The product of two matrices, many slices in one call."""
    (rows, length), columns = a.shape, b.shape[1]
    cells = rows * columns
    at_once = HELD // max(1, cells)
    if at_once < 2:
        return _sliced(a, b, range(0, length, part), part)
    wide = np.zeros((rows, columns), np.float64)
    parts = length // part
    for k in range(0, parts, at_once):
        n = min(at_once, parts - k)
        first, end = k * part, (k + n) * part
        found = a[:, first:end].reshape(rows, n, part).transpose(1, 0, 2) @ b[first:end].reshape(
            n, part, columns
        )
        wide += reduce.total(found, (0,))
    return _sliced(a, b, range(parts * part, length, part), part, wide)


def einsum(inputs: tuple[str, ...], output: str, *arrays: Array) -> Any:
    """The sum of products named by subscripts, none of which a name has twice."""
    sizes: dict[str, int] = {}
    for name, a in zip(inputs, arrays, strict=True):
        sizes.update(zip(name, a.shape, strict=True))
    count = 1
    for c, n in sizes.items():
        count *= 1 if c in output else n
    if count <= reduce.FEW or arrays[0].dtype.char != "f":
        equation = f"{','.join(inputs)}->{output}"
        return np.einsum(equation, *arrays, optimize=len(arrays) > 1)
    held = list(zip(inputs, arrays, strict=True))
    if len(held) > 2:
        path = np.einsum_path(f"{','.join(inputs)}->{output}", *arrays, optimize="greedy")[0][1:]
    else:
        path = [tuple(range(len(held)))]
    for places in path:
        chosen = [held.pop(i) for i in sorted(places, reverse=True)]  # type: ignore[arg-type]
        while len(chosen) > 1:
            left, right = chosen.pop(), chosen.pop()
            known = set(output).union(*[name for name, _ in held + chosen])
            chosen.append(_pair(left, right, known))
        held.append(chosen[0])
    name, a = _summed(*held[0], set(output))
    return a.transpose([name.index(c) for c in output])


def _kept(name: str, known: Any) -> str:
    return "".join([c for c in name if c in known])


def _summed(name: str, a: Array, known: set[str]) -> tuple[str, Array]:
    """The axes that nothing else has, summed."""
    gone = tuple([i for i, c in enumerate(name) if c not in known])
    return (_kept(name, known), np.asarray(reduce.total(a, gone))) if gone else (name, a)


def _pair(left: tuple[str, Array], right: tuple[str, Array], known: set[str]) -> tuple[str, Array]:
    """Two operands as one, with the axes in `known`."""
    m, a = _summed(*left, known | set(right[0]))
    n, b = _summed(*right, known | set(left[0]))
    batch = [c for c in m if c in n and c in known]
    along = [c for c in m if c in n and c not in known]
    rows = [c for c in m if c not in n]
    columns = [c for c in n if c not in m]
    if not rows and not columns:
        b = b.transpose([n.index(c) for c in m])
        axes = tuple([m.index(c) for c in along])
        return "".join(batch), reduce.sum_of_products(a, b, axes) if along else a * b
    sizes = {**dict(zip(m, a.shape, strict=True)), **dict(zip(n, b.shape, strict=True))}
    length, height, width = (math.prod([sizes[c] for c in part]) for part in (along, rows, columns))
    apart = [sizes[c] for c in batch]
    one = a.transpose([m.index(c) for c in batch + rows + along]).reshape(*apart, height, length)
    two = b.transpose([n.index(c) for c in batch + along + columns]).reshape(*apart, length, width)
    found = batch + rows + columns
    return "".join(found), matmul(one, two).reshape([sizes[c] for c in found])
