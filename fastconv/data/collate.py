"""Collation: a list of samples becomes one batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from ..autograd import expose
from ..functions import join
from ..tensor import Tensor, wrap


def default_convert(data: Any) -> Any:
    """Arrays inside `data` become Tensors; the rest stays as it is, tuples become lists."""
    if isinstance(data, np.ndarray) and data.dtype.kind in "biuf":
        return expose(wrap(data))
    if isinstance(data, Mapping):
        return like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return like_sequence(data, [default_convert(value) for value in data])
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack samples along a new first dimension, inside the structure that they share.

    Parameters
    ----------
    batch : sequence
        Samples of one structure: Tensors and arrays are stacked, float becomes a float64 Tensor,
        int and bool an int64 and a bool Tensor, str and bytes stay a list, and mappings,
        sequences and named tuples are collated item by item. Classes of mappings, named tuples and
        sequences stay, with what else the first sample keeps; plain tuples become lists, and so
        does what cannot be made again.

    Raises
    ------
    ValueError
        When the samples differ in shape or length.
    TypeError
        When a sample is of a type that cannot be collated.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        check_shapes([item.shape for item in batch])
        return join.stack(list(batch))
    if isinstance(first, np.ndarray) and first.dtype.kind in "biuf":
        check_shapes([item.shape for item in batch])
        return wrap(np.stack(batch))
    if isinstance(first, (bool, np.bool_)):
        return wrap(np.array(batch, dtype=np.bool_))
    if isinstance(first, float):
        return wrap(np.array(batch, dtype=np.float64))
    if isinstance(first, int):
        return wrap(np.array(batch, dtype=np.int64))
    if isinstance(first, np.number):
        return wrap(np.array(batch))
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        keys = {key: default_collate([item[key] for item in batch]) for key in first}
        return like_mapping(first, keys)
    if isinstance(first, Sequence):
        if any(len(item) != len(first) for item in batch):
            raise ValueError(
                "default_collate: each sample of the batch should be of equal length, got lengths "
                f"{sorted({len(item) for item in batch})}"
            )
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return like_sequence(first, columns)
    raise TypeError(
        "default_collate: a batch must contain tensors, arrays, numbers, strings, mappings or "
        f"sequences; found {type(first).__name__}: give the DataLoader a collate_fn"
    )


def like_mapping(first: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """The items in the class of `first`: a dict where that cannot be made."""
    if type(first) is dict:
        return items
    try:
        if isinstance(first, MutableMapping):
            clone = copy.copy(first)
            clone.update(items)
            return clone
        return type(first)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def like_sequence(first: Sequence[Any], items: list[Any]) -> Any:
    """The items in the class of `first`: a list for tuples, and where that cannot be made."""
    if isinstance(first, tuple):
        return type(first)(*items) if hasattr(first, "_fields") else items
    if type(first) is list:
        return items
    try:
        if isinstance(first, MutableSequence):
            clone = copy.copy(first)
            for i, item in enumerate(items):
                clone[i] = item
            return clone
        return type(first)(items)  # type: ignore[call-arg]
    except (TypeError, ValueError, RuntimeError):  # range, array.array
        return items


def check_shapes(shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise ValueError unless all samples have one shape."""
    if len({tuple(shape) for shape in shapes}) > 1:
        distinct = sorted({tuple(shape) for shape in shapes})
        raise ValueError(f"default_collate: cannot stack samples of different shapes {distinct}")
