"""Sequences of different lengths in one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...absent import missing
from ...autograd import TensorBase
from ...functions._named import named
from ...functions.pad import Pad
from ...functions.shape import stack

__all__ = ["pad_sequence", "unpad_sequence"]


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


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
