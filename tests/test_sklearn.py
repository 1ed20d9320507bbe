"""The estimators under scikit-learn's own checks, and on images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn

pytest.importorskip("sklearn", minversion="1.6")
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastconv.sklearn import CNNClassifier, CNNRegressor


@parametrize_with_checks(
    [CNNClassifier(epochs=20, random_state=0), CNNRegressor(epochs=20, random_state=0)]
)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_digits() -> None:
    images, labels = load_digits(return_X_y=True)
    x, rest, y, true = train_test_split(images, labels, train_size=800, random_state=0)
    model = CNNClassifier(image_shape=(1, 8, 8), epochs=12, random_state=0).fit(x, y)
    assert model.score(rest, true) > 0.96
    p = model.predict_proba(rest)
    np.testing.assert_allclose(p.sum(1), 1)
    assert np.array_equal(model.classes_[p.argmax(1)], model.predict(rest))


def test_in_a_pipeline_with_a_network_of_ones_own() -> None:
    images, labels = load_digits(return_X_y=True)
    seen = []

    def network(shape: tuple[int, ...], outputs: int) -> Any:
        seen.append((shape, outputs))
        return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, outputs))

    model = CNNClassifier(network, (1, 8, 8), epochs=15, random_state=0)
    scores = cross_val_score(make_pipeline(MinMaxScaler(), model), images[:400], labels[:400], cv=2)
    assert scores.min() > 0.8 and seen == [((1, 8, 8), 10)] * 2


def test_the_global_generator_is_not_touched() -> None:
    x, y = np.random.default_rng(0).random((20, 4)), np.arange(20) % 2
    fc.manual_seed(5)
    first = fc.rand(1).item()
    fc.manual_seed(5)
    CNNClassifier(epochs=1, random_state=0).fit(x, y)
    assert fc.rand(1).item() == first


def test_errors() -> None:
    x, y = np.ones((4, 6)), np.arange(4) % 2
    with pytest.raises(ValueError, match="image_shape must be"):
        CNNClassifier(image_shape=(1, 2, 2)).fit(x, y)
    with pytest.raises(ValueError, match="optimizer must be"):
        CNNClassifier(optimizer="newton").fit(x, y)
