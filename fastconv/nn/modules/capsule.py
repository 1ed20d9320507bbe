"""Capsule layers with dynamic routing (Sabour, Frosst and Hinton 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...spec import as_int
from ...tensor import Tensor, wrap
from .. import functional as F
from .. import init
from ..parameter import Parameter
from .conv import Conv2d
from .loss import _Loss
from .module import Module, check_device, empty


class PrimaryCapsules(Module):
    """Capsules out of pictures: a convolution whose channels are grouped to squashed vectors.

    Parameters
    ----------
    in_channels : int
    capsules : int
        Capsules at each place.
    capsule_dim : int
        Their length.
    kernel_size, stride, padding : int or tuple of 2 ints
    device : "cpu", optional
    dtype : dtype, optional

    Notes
    -----
    (N, in_channels, H, W) becomes (N, capsules · H' · W', capsule_dim).
    """

    def __init__(
        self,
        in_channels: int,
        capsules: int = 32,
        capsule_dim: int = 8,
        kernel_size: Any = 9,
        stride: Any = 2,
        padding: Any = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.capsules = as_int("PrimaryCapsules", "capsules", capsules)
        self.capsule_dim = as_int("PrimaryCapsules", "capsule_dim", capsule_dim)
        self.conv = Conv2d(
            in_channels,
            capsules * capsule_dim,
            kernel_size,
            stride,
            padding,
            device=device,
            dtype=dtype,
        )

    def forward(self, input: Tensor) -> Tensor:
        maps = self.conv(input)
        n, _, h, w = maps.shape
        parts = maps.reshape(n, self.capsules, self.capsule_dim, h * w).transpose(2, 3)
        return F.squash(parts.reshape(n, self.capsules * h * w, self.capsule_dim))

    def extra_repr(self) -> str:
        return f"capsules={self.capsules}, capsule_dim={self.capsule_dim}"


class Capsules(Module):
    """Capsules out of capsules: each input predicts each output, and routing finds who agrees.

    Parameters
    ----------
    in_capsules, in_dim : int
        How many come in, and their length.
    out_capsules, out_dim : int
    routing_iterations : int
        At least 1. The gradient goes through all of them.
    device : "cpu", optional
    dtype : dtype, optional

    Attributes
    ----------
    weight : Parameter
        (in_capsules, out_capsules, out_dim, in_dim).

    Notes
    -----
    (N, in_capsules, in_dim) becomes (N, out_capsules, out_dim).
    """

    def __init__(
        self,
        in_capsules: int,
        in_dim: int,
        out_capsules: int,
        out_dim: int,
        routing_iterations: int = 3,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_device(device)
        self.in_capsules = as_int("Capsules", "in_capsules", in_capsules)
        self.in_dim = as_int("Capsules", "in_dim", in_dim)
        self.out_capsules = as_int("Capsules", "out_capsules", out_capsules)
        self.out_dim = as_int("Capsules", "out_dim", out_dim)
        self.routing_iterations = as_int("Capsules", "routing_iterations", routing_iterations)
        if self.routing_iterations < 1:
            raise ValueError(
                f"Capsules: routing_iterations must be positive, got {routing_iterations}"
            )
        self.weight = Parameter(empty((in_capsules, out_capsules, out_dim, in_dim), dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight from a normal distribution of deviation 0.1."""
        init.normal_(self.weight, std=0.1)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 3 or tuple(input.shape[1:]) != (self.in_capsules, self.in_dim):
            raise ValueError(
                f"Capsules: input must be (N, {self.in_capsules}, {self.in_dim}), "
                f"got shape {tuple(input.shape)}"
            )
        batch = input.shape[0]
        # one product for each input capsule: (I, N, in) (I, in, J · out)
        weight = self.weight.reshape(self.in_capsules, -1, self.in_dim).transpose(1, 2)
        votes = input.transpose(0, 1).matmul(weight)
        votes = votes.reshape(self.in_capsules, batch, self.out_capsules, self.out_dim)
        votes = votes.permute(1, 2, 0, 3)  # (N, J, I, out)
        kind = input._array.dtype
        logits = wrap(np.zeros((batch, self.out_capsules, self.in_capsules, 1), kind))
        for i in range(self.routing_iterations):
            share = F.softmax(logits, 1)
            out = F.squash((share * votes).sum(2))
            if i + 1 < self.routing_iterations:
                logits = logits + (votes * out.unsqueeze(2)).sum(3, keepdim=True)
        return out

    def extra_repr(self) -> str:
        return (
            f"{self.in_capsules}, {self.in_dim}, {self.out_capsules}, {self.out_dim}, "
            f"routing_iterations={self.routing_iterations}"
        )


class CapsuleMarginLoss(_Loss):
    """The margin loss of capsules' lengths: see `functional.capsule_margin_loss`."""

    def __init__(
        self,
        upper: float = 0.9,
        lower: float = 0.1,
        down_weight: float = 0.5,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.upper = upper
        self.lower = lower
        self.down_weight = down_weight

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.capsule_margin_loss(
            input, target, self.upper, self.lower, self.down_weight, self.reduction
        )
