"""Loss layers of masks, unbalanced classes, intervals and style: see `functional`."""

from __future__ import annotations

from collections.abc import Sequence

from ...tensor import Tensor
from .. import functional as F
from .loss import _Loss


class SigmoidFocalLoss(_Loss):
    """Binary cross-entropy times (1 - p_t)^gamma: see `functional.sigmoid_focal_loss`."""

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return F.sigmoid_focal_loss(inputs, targets, self.alpha, self.gamma, self.reduction)


class FocalLoss(_Loss):
    """Cross-entropy of classes times (1 - p_t)^gamma: see `functional.focal_loss`."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        gamma: float = 2.0,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.gamma = gamma
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.focal_loss(
            input, target, self.weight, self.gamma, self.ignore_index, self.reduction
        )


class QuantileLoss(_Loss):
    """The pinball loss: see `functional.quantile_loss`."""

    def __init__(self, quantile: float | Sequence[float] = 0.5, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.quantile = quantile

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.quantile_loss(input, target, self.quantile, self.reduction)


class _Overlap(_Loss):
    """What the losses of masks share."""

    def __init__(
        self, smooth: float = 1.0, from_logits: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.smooth = smooth
        self.from_logits = from_logits


class DiceLoss(_Overlap):
    """1 - Dice's coefficient of masks: see `functional.dice_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.dice_loss(input, target, self.smooth, self.from_logits, self.reduction)


class JaccardLoss(_Overlap):
    """1 - intersection over union of masks: see `functional.jaccard_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.jaccard_loss(input, target, self.smooth, self.from_logits, self.reduction)


class GaussianNLLLoss(_Loss):
    """Negative log-likelihood of a normal distribution: see `functional.gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class ContentLoss(_Loss):
    """The squared difference of feature maps: see `functional.content_loss`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.content_loss(input, target, self.reduction)


class StyleLoss(_Loss):
    """The squared difference of Gram matrices: see `functional.style_loss`."""

    def __init__(self, normalize: bool = True, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.normalize = normalize

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.style_loss(input, target, self.normalize, self.reduction)
