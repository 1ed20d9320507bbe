"""Convolutional networks as scikit-learn estimators.

``CNNClassifier`` and ``CNNRegressor`` go into pipelines, grids and cross-validation. They need
scikit-learn (extra ``vision``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import nn, optim
from . import train as training
from .data import DataLoader, TensorDataset
from .random import get_rng_state, manual_seed, set_rng_state
from .tensor import wrap

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "fastconv.sklearn needs scikit-learn 1.6 or newer: pip install 'fastconv[vision]'"
    ) from error


def small_network(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Two convolutions and two fully connected layers, for images (C, H, W) or lines (C, L).

    Parameters
    ----------
    shape : tuple of int
        Of one sample.
    outputs : int
    """
    channels, *space = shape
    rank = len(space)
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]
    pool = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[rank - 1]
    layers: list[Any] = []
    for width in (16, 32):
        layers += [conv(channels, width, 3, padding=1), nn.ReLU()]
        channels = width
        if min(space) >= 8 and rank > 1:  # lines are often columns of a table: no neighbours
            layers.append(pool(2))
            space = [n // 2 for n in space]
    layers += [
        nn.Flatten(),
        nn.Linear(channels * int(np.prod(space)), 64),
        nn.ReLU(),
        nn.Linear(64, outputs),
    ]
    return nn.Sequential(*layers)


class _CNN(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share."""

    def __init__(
        self,
        module: Callable[[tuple[int, ...], int], Any] | None = None,
        image_shape: tuple[int, ...] | None = None,
        epochs: int = 60,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.0,
        optimizer: str = "adam",
        standardize: bool = True,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.module = module
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.standardize = standardize
        self.random_state = random_state
        self.verbose = verbose

    def _samples(self, x: np.ndarray) -> Any:
        """Samples as the network takes them, standardised."""
        x = (x.astype(np.float32) - self.mean_) / self.scale_
        return wrap(np.ascontiguousarray(x.reshape(len(x), *self.sample_shape_)))

    def _shape_of(self, x: np.ndarray) -> tuple[int, ...]:
        if self.image_shape is None:
            return (1, *x.shape[1:])
        shape = tuple(self.image_shape)
        if len(shape) not in (2, 3, 4) or int(np.prod(shape)) != x.shape[1]:
            raise ValueError(
                f"image_shape must be (C, L), (C, H, W) or (C, D, H, W) of {x.shape[1]} features, "
                f"got {self.image_shape!r}"
            )
        return shape

    def _train(self, x: np.ndarray, target: np.ndarray, outputs: int, loss: Any) -> None:
        self.sample_shape_ = self._shape_of(x)
        self.mean_ = x.mean(0, dtype=np.float64).astype(np.float32) if self.standardize else 0
        spread = x.std(0, dtype=np.float64).astype(np.float32) if self.standardize else 1
        self.scale_ = np.where(spread > 0, spread, 1).astype(np.float32)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        before = get_rng_state()
        manual_seed(int(seed))
        try:
            make = small_network if self.module is None else self.module
            self.module_ = make(self.sample_shape_, outputs)
            kind = {"adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD}.get(self.optimizer)
            if kind is None:
                raise ValueError(
                    f"optimizer must be 'adam', 'adamw' or 'sgd', got {self.optimizer!r}"
                )
            optimizer = kind(
                self.module_.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
            )
            data = TensorDataset(self._samples(x), wrap(target))
            loader: Any = DataLoader(data, batch_size=self.batch_size, shuffle=True)
            steps = self.epochs * len(loader)
            self.history_ = training.fit(
                self.module_, loss, optimizer, loader, epochs=self.epochs,
                scheduler=training.warm_cosine(optimizer, steps), schedule_on="step",
                progress=self.verbose,
            )  # fmt: skip
        finally:
            set_rng_state(before)
        self.n_iter_ = self.epochs

    def _results(self, x: Any) -> np.ndarray:
        check_is_fitted(self)
        x = validate_data(self, x, reset=False)
        return training.predict(self.module_, self._samples(x), batch_size=256)


class CNNClassifier(ClassifierMixin, _CNN):  # type: ignore[misc]
    """A convolutional network that tells classes apart.

    Parameters
    ----------
    module : callable, optional
        ``module(sample_shape, outputs)`` gives the network, from samples to scores (N, outputs). A
        small one of two convolutions when not given.
    image_shape : tuple of int, optional
        The shape (C, H, W) that the features of a sample are. Without it, a line of one channel.
    epochs, batch_size : int
    learning_rate, weight_decay : float
        The rate rises and falls over the training (half a cosine).
    optimizer : "adam", "adamw" or "sgd"
    standardize : bool
        Bring every feature to mean 0 and deviation 1 first.
    random_state : int, RandomState or None
    verbose : bool
        A line for each epoch.

    Attributes
    ----------
    classes_ : ndarray
    module_ : Module
    history_ : train.History
    """

    def fit(self, X: Any, y: Any) -> CNNClassifier:
        """Train on samples (n, features) and their classes (n,)."""
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self._train(X, labels.astype(np.int64), len(self.classes_), "cross_entropy")
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores (n, classes); of two classes the second's less the first's, (n,)."""
        scores = self._results(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, classes)."""
        scores = self._results(X).astype(np.float64)
        odds = np.exp(scores - scores.max(1, keepdims=True))
        return odds / odds.sum(1, keepdims=True)  # type: ignore[no-any-return]

    def predict(self, X: Any) -> np.ndarray:
        """Classes (n,)."""
        scores = self._results(X)
        return self.classes_[scores.argmax(1)]  # type: ignore[no-any-return]


class CNNRegressor(RegressorMixin, _CNN):  # type: ignore[misc]
    """A convolutional network that gives numbers.

    Parameters
    ----------
    module, image_shape, epochs, batch_size, learning_rate, weight_decay, optimizer, standardize, \
random_state, verbose
        As for :class:`CNNClassifier`; targets are standardised too.

    Attributes
    ----------
    module_ : Module
    history_ : train.History
    """

    def fit(self, X: Any, y: Any) -> CNNRegressor:
        """Train on samples (n, features) and targets (n,) or (n, outputs)."""
        X, y = validate_data(self, X, y, y_numeric=True, multi_output=True)
        target = np.asarray(y, np.float64).reshape(len(y), -1)
        self.flat_ = np.ndim(y) == 1
        self.target_mean_ = target.mean(0)
        spread = target.std(0)
        self.target_scale_ = np.where(spread > 0, spread, 1)
        scaled = ((target - self.target_mean_) / self.target_scale_).astype(np.float32)
        self._train(X, scaled, target.shape[1], "mse")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Targets (n,) or (n, outputs)."""
        scaled = self._results(X)
        y = scaled * self.target_scale_ + self.target_mean_
        return y[:, 0] if self.flat_ else y  # type: ignore[no-any-return]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
