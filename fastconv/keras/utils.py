"""Small helpers that lectures use."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..random import manual_seed


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Class indices (N, …) as rows of zeros with a one: (N, …, num_classes) float32.

    Raises
    ------
    ValueError
        For indices that are negative or not below `num_classes`.
    """
    labels = np.asarray(x).astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    count = int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes
    if labels.size and (labels.min() < 0 or labels.max() >= count):
        raise ValueError(
            f"to_categorical: classes must be 0 to {count - 1}, found {labels.min()} to "
            f"{labels.max()}"
        )
    return np.eye(count, dtype=np.float32)[labels]


def set_random_seed(seed: int) -> None:
    """Seed all generators: of this package, of NumPy and of Python."""
    import random

    manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
