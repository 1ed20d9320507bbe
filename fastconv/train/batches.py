"""What a training reads from: loaders, data sets, and pairs of arrays, as batches of Tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..data import DataLoader, Dataset, TensorDataset
from ..tensor import Tensor, wrap


def as_tensor(value: Any) -> Any:
    """An array as a Tensor; float64 arrays that are no Tensors as the default type."""
    if isinstance(value, Tensor):
        return value
    from .. import get_default_dtype

    array = np.asarray(value)
    if array.dtype == np.float64:
        array = array.astype(get_default_dtype().dtype)
    return wrap(array)


def loader_of(data: Any, batch_size: int, shuffle: bool, name: str) -> Any:
    """Something that gives batches each time it is iterated.

    Parameters
    ----------
    data : DataLoader or iterable of batches, Dataset, array, or (inputs, targets)
    batch_size, shuffle
        Where `data` is not made of batches already.
    name : str
        Of the argument, for errors.

    Raises
    ------
    TypeError
        For anything else, or an iterator, which gives its batches only once.
    ValueError
        For inputs and targets of different lengths.
    """
    if isinstance(data, (Tensor, np.ndarray)):
        data = (data,)
    if isinstance(data, (tuple, list)) and data and all(hasattr(d, "__array__") for d in data):
        if len(data) > 2:
            raise TypeError(f"{name} must be (inputs, targets), got {len(data)} arrays")
        tensors = [as_tensor(d) for d in data]
        if len(data) == 2 and len(tensors[0]) != len(tensors[1]):
            raise ValueError(f"{name} has {len(tensors[0])} inputs and {len(tensors[1])} targets")
        data = TensorDataset(*tensors)
    if isinstance(data, Dataset):
        return DataLoader(data, batch_size=batch_size, shuffle=shuffle)
    if isinstance(data, Iterator) or not hasattr(data, "__iter__"):
        raise TypeError(
            f"{name} must be a DataLoader, a Dataset, arrays, or an iterable of batches that can "
            f"be iterated again, got {type(data).__name__}"
        )
    return data


def parts(batch: Any) -> tuple[Any, Any]:
    """Input and target of a batch; a batch without a target is its own: an autoencoder's."""
    if isinstance(batch, Tensor):
        return batch, batch
    if isinstance(batch, dict) or not isinstance(batch, (tuple, list)) or not batch:
        raise TypeError(f"a batch must be a Tensor or (input, target), got {type(batch).__name__}")
    if len(batch) == 1:
        return batch[0], batch[0]
    if len(batch) > 2:
        raise TypeError(f"a batch must be (input, target), got {len(batch)} parts")
    return batch[0], batch[1]


def size(x: Any) -> int:
    """Samples in an input, which may be a Tensor or a sequence of them."""
    return int(x.shape[0]) if isinstance(x, Tensor) else size(x[0])


def length(data: Any) -> int | None:
    """How many batches there are; None where that is not known."""
    try:
        return len(data)
    except TypeError:
        return None


def joined(results: list[Any], sizes: list[int | None]) -> Any:
    """A model's results on all batches, one behind another, as arrays in the nest they came in.

    Parameters
    ----------
    results : list
        Of each batch a Tensor, or a tuple, list or mapping of them, nested as they like.
    sizes : list of int
        Samples of each batch; None for a Tensor by itself.

    Raises
    ------
    TypeError
        For something else in the nest.
    ValueError
        For nests that differ between batches, or a part of one that is not (N, …).
    """
    first = results[0]
    if isinstance(first, (Tensor, np.ndarray)):
        return np.concatenate([np.asarray(r) for r in results])
    return _joined(results, sizes, "")


def _joined(results: list[Any], sizes: list[int | None], place: str) -> Any:
    first = results[0]
    if any(type(r) is not type(first) for r in results):
        raise ValueError(f"the model's result{place} is of another type for some batches")
    if isinstance(first, Mapping):
        if any(r.keys() != first.keys() for r in results):
            raise ValueError(f"the model's result{place} has other keys for some batches")
        return {k: _joined([r[k] for r in results], sizes, f"{place}[{k!r}]") for k in first}
    if isinstance(first, (tuple, list)):
        if any(len(r) != len(first) for r in results):
            raise ValueError(f"the model's result{place} has another length for some batches")
        found = [
            _joined([r[i] for r in results], sizes, f"{place}[{i}]") for i in range(len(first))
        ]
        return type(first)(*found) if hasattr(first, "_fields") else type(first)(found)
    if first is None:
        return None
    if not isinstance(first, (Tensor, np.ndarray)):
        raise TypeError(
            f"the model's result{place} must be a Tensor, or a nest of them, got "
            f"{type(first).__name__}"
        )
    for r, n in zip(results, sizes, strict=True):
        if r.shape[:1] != (n,):
            raise ValueError(
                f"the model's result{place} must have the batch's {n} samples as its first axis, "
                f"got shape {tuple(r.shape)}"
            )
    return np.concatenate([np.asarray(r) for r in results])
