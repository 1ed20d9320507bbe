"""Sequences of different lengths in one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...absent import missing
from ...autograd import TensorBase
from ...functions._named import named
from ...functions.join import cat, stack
from ...functions.pad import Pad
from ...spec import as_bool, as_int
from ...tensor import Tensor, wrap
from ..packed import PackedSequence, invert_permutation

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


def _checked(sequences: Any, function: str) -> list[Any]:
    found = list(sequences)
    if not found:
        raise RuntimeError(f"{function}: expected a non-empty list of Tensors")
    for i, t in enumerate(found):
        if not isinstance(t, TensorBase):
            raise TypeError(f"{function}: sequences[{i}] must be a Tensor, got {type(t).__name__}")
    return found


@named
def pad_sequence(
    sequences: Sequence[Any],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Sequences (L, *) of different lengths, filled up to the longest, in one tensor.

    Parameters
    ----------
    sequences : sequence of Tensor
        Of one shape behind the first axis.
    batch_first : bool
        Whether the result is (B, L, *) rather than (L, B, *).
    padding_value : float
    padding_side : str
        'right' or 'left': where it is filled up.

    Raises
    ------
    ValueError
        For another side, or shapes that differ.
    """
    found = _checked(sequences, "pad_sequence")
    if padding_side not in ("right", "left"):
        raise ValueError(
            f"pad_sequence: padding_side must be 'right' or 'left', got {padding_side!r}"
        )
    rest = found[0]._array.shape[1:]
    for i, t in enumerate(found):
        if not t._array.ndim or t._array.shape[1:] != rest:
            raise ValueError(
                f"pad_sequence: sequences must be alike behind the first axis: sequence {i} has "
                f"shape {t._array.shape}, the first {found[0]._array.shape}"
            )
    longest = max(t._array.shape[0] for t in found)
    rows = []
    for t in found:
        more = longest - t._array.shape[0]
        if more:
            sides = (0, more) if padding_side == "right" else (more, 0)
            t = Pad.apply(t, ((0, *sides),), "constant", padding_value)
        rows.append(t)
    return stack(rows, 0 if batch_first else 1)


@named
def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """Undo :func:`pad_sequence`: a list of the sequences at their lengths."""
    padded = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [padded[i, : int(n)] for i, n in enumerate(lengths)]


@named
def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Sequences without the steps that fill them up, for the recurrent layers.

    Parameters
    ----------
    input : Tensor
        (T, N, *), with `batch_first` (N, T, *).
    lengths : Tensor of integers, or sequence of int
        (N,): the steps of each sequence, 1 to T.
    batch_first : bool
    enforce_sorted : bool
        Refuse sequences that are not sorted, longest first; where False they are sorted here, and
        what comes of them is put back into their order.

    Raises
    ------
    RuntimeError, ValueError, TypeError
        For unsorted lengths, lengths out of range, and what is no Tensor.
    """
    name = "pack_padded_sequence"
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: input must be a Tensor, got {type(input).__name__}")
    batch_first = as_bool(name, "batch_first", batch_first)
    enforce_sorted = as_bool(name, "enforce_sorted", enforce_sorted)
    counts = np.asarray(lengths._array if isinstance(lengths, Tensor) else lengths)
    if input.ndim < 2:
        raise ValueError(f"{name}: input must be (T, N, *), got shape {tuple(input.shape)}")
    steps, batch = input.shape[1::-1] if batch_first else input.shape[:2]
    if counts.dtype.kind not in "iu" or counts.shape != (batch,):
        raise ValueError(
            f"{name}: lengths must be {batch} integers, one for each sequence of input "
            f"{tuple(input.shape)}, got {counts.dtype} of shape {counts.shape}"
        )
    if not batch or counts.min() < 1 or counts.max() > steps:
        raise ValueError(f"{name}: lengths must be 1 to {steps}, got {counts.tolist()}")
    order = None
    if not enforce_sorted:
        order = np.argsort(-counts.astype(np.int64), kind="stable")
        counts = counts[order]
    elif (counts[1:] > counts[:-1]).any():
        raise RuntimeError(
            f"{name}: lengths must be sorted, longest first, got {counts.tolist()}; with "
            "enforce_sorted=False they are sorted here"
        )
    there = np.arange(counts[0])[:, None] < counts
    step, row = np.nonzero(there)
    row = row if order is None else order[row]
    data = input[(wrap(row), wrap(step)) if batch_first else (wrap(step), wrap(row))]
    return PackedSequence(data, wrap(there.sum(1)), None if order is None else wrap(order))


@named
def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undo :func:`pack_padded_sequence`.

    Parameters
    ----------
    sequence : PackedSequence
    batch_first : bool
    padding_value : float
    total_length : int, optional
        The steps of the result, at least those of the longest sequence.

    Returns
    -------
    Tensor, Tensor
        (T, N, *), or (N, T, *); and the lengths (N,), int64.

    Raises
    ------
    ValueError
        For a `total_length` below the longest sequence's.
    """
    name = "pad_packed_sequence"
    batch_first = as_bool(name, "batch_first", batch_first)
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"{name}: sequence must be a PackedSequence, got {type(sequence).__name__}")
    sizes, data = sequence.batch_sizes._array, sequence.data
    steps = len(sizes) if total_length is None else as_int(name, "total_length", total_length)
    if steps < len(sizes):
        raise ValueError(
            f"{name}: total_length must be at least the {len(sizes)} steps of the longest "
            f"sequence, got {total_length}"
        )
    there = np.arange(sizes[0]) < sizes[:, None]
    rows = np.full((steps, sizes[0]), data.shape[0])
    rows[: len(sizes)][there] = np.arange(data.shape[0])
    lengths = there.sum(0)
    if sequence.unsorted_indices is not None:
        back = sequence.unsorted_indices._array
        rows, lengths = rows[:, back], lengths[back]
    filler = wrap(np.full((1, *data.shape[1:]), padding_value, data._array.dtype))
    found = cat([data, filler])[wrap(np.ascontiguousarray(rows.T if batch_first else rows))]
    return found, wrap(lengths)


@named
def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (L, *) of different lengths, packed: see :func:`pack_padded_sequence`."""
    found = _checked(sequences, "pack_sequence")
    lengths = [t._array.shape[0] for t in found]
    return pack_padded_sequence(pad_sequence(found), lengths, enforce_sorted=enforce_sorted)


@named
def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """Undo :func:`pack_sequence`: a list of the sequences at their lengths."""
    if not isinstance(packed_sequences, PackedSequence):
        raise TypeError(
            "unpack_sequence: packed_sequences must be a PackedSequence, got "
            f"{type(packed_sequences).__name__}"
        )
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
