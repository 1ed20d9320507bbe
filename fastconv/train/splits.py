"""Splits of a data set, and the schedule that the command uses."""

from __future__ import annotations

import numpy as np


def stratified_split(
    labels: np.ndarray, fraction: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split the indices of ``labels`` in two so that each class keeps its share.

    Parameters
    ----------
    labels : ndarray, shape (N,)
        Class of each sample.
    fraction : float
        Share of every class that is held out, between 0 and 1.
    seed : int
        Seed of the draw.

    Returns
    -------
    rest, held_out : ndarray of int64
        Sorted, disjoint, and together ``arange(N)``.

    Raises
    ------
    ValueError
        If ``labels`` is not one-dimensional or ``fraction`` is not in (0, 1).
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"labels must be one-dimensional, got shape {labels.shape}")
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction}")
    rng = np.random.default_rng(seed)
    held = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held.append(members[: round(len(members) * fraction)])
    held_out = np.sort(np.concatenate(held)) if held else np.zeros(0, np.int64)
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out
