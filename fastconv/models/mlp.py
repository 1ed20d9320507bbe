"""Fully connected layers one after the other: the network without convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from ..nn import Dropout, Flatten, Linear, Module, ReLU, Sequential
from ._weights import build


class MLP(Sequential):
    """Flatten, hidden layers with an activation after each, the class scores.

    Parameters
    ----------
    in_features : int
        Numbers per sample: 784 of a 28×28 image.
    hidden : sequence of int
        Widths of the hidden layers; none leaves a linear classifier.
    num_classes : int
    activation : callable
        Makes the activation.
    dropout : float
        After each hidden layer; 0 leaves it out.

    Raises
    ------
    ValueError
        If a width is not positive.
    """

    def __init__(
        self,
        in_features: int = 784,
        hidden: Sequence[int] = (300, 100),
        num_classes: int = 10,
        activation: Callable[[], Module] = ReLU,
        dropout: float = 0.0,
    ) -> None:
        widths = [in_features, *hidden, num_classes]
        if min(widths) < 1:
            raise ValueError(f"MLP: all widths must be positive, got {widths}")
        layers: list[Module] = [Flatten()]
        for before, after in pairwise(widths[:-1]):
            layers += [Linear(before, after), activation()]
            if dropout > 0:
                layers.append(Dropout(dropout))
        layers.append(Linear(widths[-2], num_classes))
        super().__init__(*layers)


def mlp(*, weights: Any = None, progress: bool = True, **options: Any) -> MLP:
    """784–300–100–10, as in LeCun et al. 1998 (figure 9): 266 610 parameters; 28×28."""
    return build("mlp", MLP, weights, options)
