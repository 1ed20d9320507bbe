"""Sequences, optional values, and text as far as it is easy."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv as T

from ..errors import OnnxError
from ..graph import Graph
from ..registry import Node, operator
from ..values import Array, along_axis, arr, axis, ints, is_tensor, number


def _list(v: Any) -> list[Any]:
    if not isinstance(v, list):
        raise OnnxError("a sequence is needed")
    return v


def _place(position: Any, size: int, most: int) -> int:
    k = int(number(position))
    if not -size <= k <= most:
        raise OnnxError(f"position {k} is out of range for a sequence of {size}")
    return k + size if k < 0 else k


operator("SequenceEmpty", since=11)(lambda n: [])
operator("SequenceConstruct", since=11)(lambda n, *xs: list(xs))
operator("SequenceLength", since=11)(lambda n, s: np.asarray(len(_list(s)), np.int64))


@operator("SequenceAt", since=11)
def _at(n: Node, s: Any, position: Any) -> Any:
    return _list(s)[_place(position, len(s), len(s) - 1)]


@operator("SequenceInsert", since=11)
def _insert(n: Node, s: Any, x: Any, position: Any = None) -> Any:
    k = len(_list(s)) if position is None else _place(position, len(s), len(s))
    return [*s[:k], x, *s[k:]]


@operator("SequenceErase", since=11)
def _erase(n: Node, s: Any, position: Any = None) -> Any:
    k = len(_list(s)) - 1 if position is None else _place(position, len(s), len(s) - 1)
    return [*s[:k], *s[k + 1 :]]


@operator("ConcatFromSequence", since=11)
def _concat(n: Node, s: Any) -> Any:
    parts, fresh = _list(s), bool(n.get("new_axis", 0))
    if not parts:
        raise OnnxError("the sequence is empty")
    k = axis(n.get("axis", 0), len(parts[0].shape) + fresh)
    if is_tensor(parts[0]):
        return T.stack(parts, k) if fresh else T.cat(parts, k)
    return np.stack(parts, k) if fresh else np.concatenate(parts, k)


@operator("SplitToSequence", since=11)
def _split(n: Node, x: Any, sizes: Any = None) -> Any:
    k = axis(n.get("axis", 0), len(x.shape))
    total = x.shape[k]
    if sizes is None:
        parts, keep = [1] * total, bool(n.get("keepdims", 1))
    else:
        keep = True
        if arr(sizes).ndim == 0:
            each = int(number(sizes))
            if each < 1:
                raise OnnxError(f"a part of {each} elements")
            parts = [min(each, total - i) for i in range(0, total, each)]
        else:
            parts = list(ints(sizes))
    if sum(parts) != total or min(parts, default=0) < 0:
        raise OnnxError(f"parts {parts} do not add up to {total}")
    out, first = [], 0
    for size in parts:
        where: Any = slice(first, first + size) if keep else first
        out.append(x[along_axis(k, where)])
        first += size
    return out


@operator("SequenceMap", since=17, scoped=True)
def _map(n: Node, env: dict[str, Any], first: Any, *more: Any) -> Any:
    body = n.get("body")
    if not isinstance(body, Graph):
        raise OnnxError("attribute body is no graph")
    columns = [[] for _ in body.outputs]  # type: list[list[Any]]
    for k, x in enumerate(_list(first)):
        found = body.inside(env, x, *[m[k] if isinstance(m, list) else m for m in more])
        for column, v in zip(columns, found, strict=True):
            column.append(v)
    return tuple(columns)


# -- optional --------------------------------------------------------------------------------------

operator("Optional", since=15)(lambda n, x=None: x)
operator("OptionalHasElement", since=15)(lambda n, x=None: np.asarray(x is not None))


@operator("OptionalGetElement", since=15)
def _get(n: Node, x: Any) -> Any:
    if x is None:
        raise OnnxError("the optional value is empty")
    return x


# -- text ------------------------------------------------------------------------------------------


def _texts(flat: list[Any], shape: Any) -> Array:
    out = np.empty(len(flat), object)
    out[:] = flat
    return out.reshape(shape)


@operator("StringConcat", since=20)
def _string_concat(n: Node, a: Any, b: Any) -> Any:
    x, y = np.broadcast_arrays(arr(a).astype(object), arr(b).astype(object))
    flat = [p + q for p, q in zip(x.reshape(-1), y.reshape(-1), strict=True)]
    return _texts(flat, x.shape)


@operator("StringNormalizer", since=10)
def _string_normalizer(n: Node, x: Any) -> Any:
    a = arr(x)
    sensitive = bool(n.get("is_case_sensitive", 0))
    stops = n.get("stopwords") or []
    stops = set(stops if sensitive else [s.lower() for s in stops])
    rows = a.reshape(-1, a.shape[-1]).tolist()
    if len(rows) != 1:
        raise OnnxError(f"text of shape (C,) or (1, C) is needed, got {a.shape}")
    kept = [s for s in rows[0] if (s if sensitive else s.lower()) not in stops]
    change = {"LOWER": str.lower, "UPPER": str.upper}.get(n.get("case_change_action", "NONE"))
    kept = [change(s) if change else s for s in kept] or [""]
    return _texts(kept, (len(kept),) if a.ndim == 1 else (1, len(kept)))
