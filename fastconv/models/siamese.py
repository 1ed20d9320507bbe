"""A siamese network: are two images of one kind?

Koch, Zemel, Salakhutdinov, "Siamese neural networks for one-shot image recognition" (ICML workshop
2015), figure 4. Bromley et al. 1993 have the idea: one network with one set of weights, used twice.
"""

from __future__ import annotations

from typing import Any

from ..nn import Conv2d, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential, Sigmoid, init
from ..tensor import Tensor
from ._weights import build


class Siamese(Module):
    """Two images to the logit of being of one kind: a weighted L1 distance of what they become.

    Parameters
    ----------
    encoder : Module
        An image to `features` numbers.
    features : int

    Raises
    ------
    ValueError
        If `features` is not positive.
    """

    def __init__(self, encoder: Module, features: int) -> None:
        super().__init__()
        if features < 1:
            raise ValueError(f"Siamese: features must be positive, got {features}")
        self.encoder, self.similar = encoder, Linear(features, 1)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Logits (N,) of N pairs: for `binary_cross_entropy_with_logits`, 1 where they are alike.

        Raises
        ------
        ValueError
            If the images' shapes differ.
        """
        if one.shape != other.shape:
            raise ValueError(
                "Siamese: both images must have one shape, "
                f"got {tuple(one.shape)} and {tuple(other.shape)}"
            )
        return self.similar((self.encoder(one) - self.encoder(other)).abs()).squeeze(1)


def _omniglot(in_channels: int = 1, features: int = 4096) -> Siamese:
    if features < 1:
        raise ValueError(f"siamese: features must be positive, got {features}")
    encoder = Sequential(
        Conv2d(in_channels, 64, 10),  # 96 × 96 of 105 × 105
        ReLU(),
        MaxPool2d(2),
        Conv2d(64, 128, 7),  # 42 × 42
        ReLU(),
        MaxPool2d(2),
        Conv2d(128, 128, 4),  # 18 × 18
        ReLU(),
        MaxPool2d(2),
        Conv2d(128, 256, 4),  # 6 × 6
        ReLU(),
        Flatten(),
        Linear(256 * 6 * 6, features),
        Sigmoid(),
    )
    network = Siamese(encoder, features)
    for module in network.modules():  # section 3.2
        if isinstance(module, (Conv2d, Linear)):
            init.normal_(module.weight, 0.0, 0.01 if isinstance(module, Conv2d) else 0.2)
            init.normal_(module.bias, 0.5, 0.01)  # type: ignore[arg-type]
    return network


def siamese(*, weights: Any = None, progress: bool = True, **options: Any) -> Siamese:
    """The network for Omniglot: 38 951 745 parameters; two images of 105×105.

    Options: `in_channels`, `features`. :class:`Siamese` takes an encoder of your own.
    """
    return build("siamese", _omniglot, weights, options)
