"""The handwritten digits that ship inside scikit-learn."""

from __future__ import annotations

import numpy as np

from ..data import TensorDataset
from ..tensor import wrap


def digits() -> TensorDataset:
    """The 1 797 handwritten digits embedded in scikit-learn, 8×8 pixels, no download.

    Returns
    -------
    TensorDataset
        Images (1797, 1, 8, 8) float32 in [0, 1] and labels (1797,) int64.

    Raises
    ------
    ModuleNotFoundError
        When scikit-learn is not installed; the message names the extra that brings it.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "datasets.digits() reads the digits embedded in scikit-learn, which is not installed: "
            "pip install 'fastconv[vision]' (or pip install scikit-learn)",
            name="sklearn",
        ) from error
    bunch = load_digits()
    images = (bunch.images[:, None] / 16.0).astype(np.float32)
    return TensorDataset(wrap(images), wrap(bunch.target.astype(np.int64)))
