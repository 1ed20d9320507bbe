"""CapsNet: Sabour, Frosst, Hinton, "Dynamic routing between capsules" (NeurIPS 2017).

Figure 1 is the encoder, figure 2 the decoder, procedure 1 the routing (`nn.Capsules`), equation (4)
the margin loss (`nn.CapsuleMarginLoss`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..nn import (
    Capsules,
    Conv2d,
    Linear,
    Module,
    PrimaryCapsules,
    ReLU,
    Sequential,
    Sigmoid,
    Unflatten,
)
from ..nn import functional as F
from ..tensor import Tensor
from ._weights import build


class CapsNetOutputs(NamedTuple):
    """Lengths of the classes' capsules (N, num_classes), and the images made again."""

    lengths: Tensor
    images: Tensor | None


class CapsNet(Module):
    """A 9×9 convolution, capsules of it, capsules of the classes, and images made from those.

    Parameters
    ----------
    num_classes : int
    shape : sequence of int
        Of one image: channels, height and width.
    width : int
        Channels of the first convolution.
    capsules, capsule_dim : int
        Capsules at each place, and their length.
    class_dim : int
        Length of a class's capsule.
    routing_iterations : int
    hidden : sequence of int
        Widths of the decoder; none leaves it out.

    Raises
    ------
    ValueError
        For images of less than 17×17, or a count that is not positive.
    """

    def __init__(
        self,
        num_classes: int = 10,
        shape: Sequence[int] = (1, 28, 28),
        width: int = 256,
        capsules: int = 32,
        capsule_dim: int = 8,
        class_dim: int = 16,
        routing_iterations: int = 3,
        hidden: Sequence[int] = (512, 1024),
    ) -> None:
        super().__init__()
        if len(shape) != 3 or shape[0] < 1 or min(shape[1:]) < 17:
            raise ValueError(
                "CapsNet: shape must be (channels, height, width) with at least 17×17, "
                f"got {tuple(shape)}"
            )
        counts = (num_classes, width, capsules, capsule_dim, class_dim, *hidden)
        if min(counts) < 1:
            raise ValueError(f"CapsNet: all widths must be positive, got {counts}")
        places = math.prod((size - 8 - 9) // 2 + 1 for size in shape[1:])
        self.num_classes = num_classes
        self.conv = Sequential(Conv2d(shape[0], width, 9), ReLU())  # 20 × 20 of 28 × 28
        self.primary = PrimaryCapsules(width, capsules, capsule_dim, 9, 2)  # 6 × 6
        self.classes = Capsules(
            capsules * places, capsule_dim, num_classes, class_dim, routing_iterations
        )
        self.decoder: Sequential | None = None
        if hidden:
            layers: list[Module] = []
            before = num_classes * class_dim
            for after in hidden:
                layers += [Linear(before, after), ReLU()]
                before = after
            layers += [Linear(before, math.prod(shape)), Sigmoid(), Unflatten(1, tuple(shape))]
            self.decoder = Sequential(*layers)

    def forward(self, x: Tensor, target: Tensor | None = None) -> CapsNetOutputs:
        """Lengths, and images made from the capsule of the class.

        Parameters
        ----------
        x : Tensor
            (N, channels, height, width), values in [0, 1].
        target : Tensor, optional
            The classes (N,); the longest capsule's where it is not given.
        """
        capsules = self.classes(self.primary(self.conv(x)))  # (N, num_classes, class_dim)
        lengths = (capsules**2).sum(2).add(1e-12).sqrt()
        if self.decoder is None:
            return CapsNetOutputs(lengths, None)
        which = lengths.argmax(1) if target is None else target
        chosen = F.one_hot(which, self.num_classes).to(capsules.dtype)
        masked = (capsules * chosen.unsqueeze(2)).flatten(1)
        return CapsNetOutputs(lengths, self.decoder(masked))


def capsnet_loss(
    out: CapsNetOutputs, images: Tensor, target: Tensor, image_weight: float = 0.0005
) -> Tensor:
    """The margin loss of the lengths, and a share of the squared error of the images.

    Parameters
    ----------
    out : CapsNetOutputs
    images : Tensor
        As they came in.
    target : Tensor
        The classes (N,).
    image_weight : float
        Of the sum of squared differences of an image.

    Returns
    -------
    Tensor
        A mean over the batch.
    """
    loss: Tensor = F.capsule_margin_loss(out.lengths, target)
    if out.images is not None:
        loss = loss + image_weight * ((out.images - images) ** 2).flatten(1).sum(1).mean()
    return loss


def capsnet(*, weights: Any = None, progress: bool = True, **options: Any) -> CapsNet:
    """CapsNet for MNIST: 8 215 568 parameters, 6 804 224 without the decoder; 28×28.

    Options are those of :class:`CapsNet`.
    """
    return build("capsnet", CapsNet, weights, options)
