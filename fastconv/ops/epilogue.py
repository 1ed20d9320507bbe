"""What a convolution's result becomes on its way out: residual and activation.

The C kernels do it while the result is in cache; for the other backends it is a pass of NumPy's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv.ops.layout import Array

#: Slope below zero and upper limit.
ACTIVATIONS = {"relu": (0.0, math.inf), "relu6": (0.0, 6.0), "leaky_relu": (0.01, math.inf)}
NONE = (1.0, math.inf)


def activation_of(name: str, activation: Any) -> tuple[float, float]:
    """Return slope and limit of an activation: None, a name, or ``("leaky_relu", slope)``.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if activation is None:
        return NONE
    if isinstance(activation, tuple) and len(activation) == 2 and activation[0] == "leaky_relu":
        slope = activation[1]
        if isinstance(slope, (int, float)) and not isinstance(slope, bool):
            return float(slope), math.inf
    elif isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]
    raise ValueError(
        f"{name}(): activation must be None, one of {sorted(ACTIVATIONS)} or "
        f"('leaky_relu', slope), got {activation!r}"
    )


def apply(y: Array, slope: float, limit: float, residual: Array | None) -> None:
    """Change y to ``min(v < 0 ? slope * v : v, limit)`` with ``v = y + residual``."""
    with np.errstate(all="ignore"):
        if residual is not None:
            y += residual
        if slope != 1:
            below = np.multiply(y, slope, where=y < 0, out=np.zeros_like(y)) if slope else 0
            np.copyto(y, below, where=y < 0)
        if limit != math.inf:
            np.copyto(y, limit, where=y > limit)
