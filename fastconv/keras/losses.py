"""Losses by Keras's names, of (y_true, y_pred) with probabilities by default."""

from __future__ import annotations

from typing import Any

from ..nn import functional as F

EPSILON = 1e-7


class Loss:
    """A loss of targets and predictions: ``loss(y_true, y_pred)``, the mean of a batch.

    Parameters
    ----------
    from_logits : bool
        Predictions are scores before softmax or sigmoid.
    """

    name = "loss"

    def __init__(self, from_logits: bool = False, **options: Any) -> None:
        self.from_logits, self.options = from_logits, options

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        from .base import as_input

        return self.on_batch(as_input(y_pred), as_input(y_true))

    def on_batch(self, y_pred: Any, y_true: Any) -> Any:
        """The mean of a batch, in the order in which the training loop has them."""
        raise NotImplementedError


class CategoricalCrossentropy(Loss):
    """-Σ y log p over the last axis; y is one-hot, or a distribution."""

    name = "categorical_crossentropy"

    def on_batch(self, y_pred: Any, y_true: Any) -> Any:
        smooth = self.options.get("label_smoothing", 0.0)
        y_true = y_true.to(y_pred.dtype)
        if smooth:
            y_true = y_true * (1 - smooth) + smooth / y_true.shape[-1]
        if self.from_logits:
            logs = F.log_softmax(y_pred, -1)
        else:
            logs = (y_pred / y_pred.sum(-1, keepdim=True)).clamp(EPSILON, 1 - EPSILON).log()
        return -(y_true * logs).sum(-1).mean()


class SparseCategoricalCrossentropy(Loss):
    """-log p of the class; y holds class indices."""

    name = "sparse_categorical_crossentropy"

    def on_batch(self, y_pred: Any, y_true: Any) -> Any:
        labels = y_true.long()
        if labels.ndim == y_pred.ndim and labels.shape[-1] == 1:
            labels = labels.squeeze(-1)
        flat, classes = y_pred.reshape(-1, y_pred.shape[-1]), labels.reshape(-1)
        if self.from_logits:
            return F.cross_entropy(flat, classes)
        return F.nll_loss(flat.clamp(EPSILON, 1 - EPSILON).log(), classes)


class BinaryCrossentropy(Loss):
    """-(y log p + (1 - y) log(1 - p))."""

    name = "binary_crossentropy"

    def on_batch(self, y_pred: Any, y_true: Any) -> Any:
        y_true = y_true.to(y_pred.dtype).reshape(y_pred.shape)
        if self.from_logits:
            return F.binary_cross_entropy_with_logits(y_pred, y_true)
        return F.binary_cross_entropy(y_pred.clamp(EPSILON, 1 - EPSILON), y_true)


class _Elementwise(Loss):
    def on_batch(self, y_pred: Any, y_true: Any) -> Any:
        return self.of(y_pred, y_true.to(y_pred.dtype).reshape(y_pred.shape))

    def of(self, p: Any, t: Any) -> Any:
        """The mean of alike shaped predictions and targets."""
        raise NotImplementedError


class MeanSquaredError(_Elementwise):
    """The mean of (y - p)²."""

    name = "mse"

    def of(self, p: Any, t: Any) -> Any:
        return F.mse_loss(p, t)


class MeanAbsoluteError(_Elementwise):
    """The mean of |y - p|."""

    name = "mae"

    def of(self, p: Any, t: Any) -> Any:
        return F.l1_loss(p, t)


class MeanSquaredLogarithmicError(_Elementwise):
    """The mean of (log(1 + y) - log(1 + p))²."""

    name = "msle"

    def of(self, p: Any, t: Any) -> Any:
        return F.mse_loss(p.clamp(min=EPSILON).log1p(), t.clamp(min=EPSILON).log1p())


class Huber(_Elementwise):
    """Squares below `delta`, absolute values above."""

    name = "huber"

    def __init__(self, delta: float = 1.0) -> None:
        super().__init__()
        self.delta = delta

    def of(self, p: Any, t: Any) -> Any:
        return F.huber_loss(p, t, delta=self.delta)


class Poisson(_Elementwise):
    """The mean of p - y log p."""

    name = "poisson"

    def of(self, p: Any, t: Any) -> Any:
        return (p - t * (p + EPSILON).log()).mean()


class Hinge(_Elementwise):
    """The mean of max(1 - y p, 0), y being ±1 (0 is taken as -1)."""

    name = "hinge"

    def of(self, p: Any, t: Any) -> Any:
        if bool(((t == 0) | (t == 1)).all()):
            t = 2 * t - 1
        return (1 - t * p).clamp(min=0).mean()


class KLDivergence(_Elementwise):
    """Σ y log(y / p) over the last axis."""

    name = "kl_divergence"

    def of(self, p: Any, t: Any) -> Any:
        p, t = p.clamp(EPSILON, 1), t.clamp(EPSILON, 1)
        return (t * (t / p).log()).sum(-1).mean()


class _Function(Loss):
    """A user's function of (y_true, y_pred)."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function, self.name = function, getattr(function, "__name__", "loss")

    def on_batch(self, y_pred: Any, y_true: Any) -> Any:
        return self.function(y_true, y_pred).mean()


NAMES: dict[str, Any] = {
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "binary_crossentropy": BinaryCrossentropy,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "msle": MeanSquaredLogarithmicError,
    "mean_squared_logarithmic_error": MeanSquaredLogarithmicError,
    "huber": Huber,
    "huber_loss": Huber,
    "poisson": Poisson,
    "hinge": Hinge,
    "kl_divergence": KLDivergence,
    "kld": KLDivergence,
}


def get(loss: Any) -> Loss:
    """A loss by its name, as it is, or from a function of (y_true, y_pred)."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) and issubclass(loss, Loss):
        return loss()
    if isinstance(loss, str):
        if loss not in NAMES:
            raise ValueError(f"there is no loss {loss!r}; there are {', '.join(NAMES)}")
        return NAMES[loss]()  # type: ignore[no-any-return]
    if callable(loss):
        return _Function(loss)
    raise ValueError(
        f"compile needs a loss: a name or a function of (y_true, y_pred), got {loss!r}"
    )
