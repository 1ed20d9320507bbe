"""Keras's verbs: the lectures' snippets with the import changed, shapes, weights, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import keras
from fastconv.keras import Input, Model, Sequential, layers
from fastconv.keras.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPooling2D,
)
from fastconv.keras.utils import to_categorical

RNG = np.random.default_rng(0)


def squares(count: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 8, 8, 1) with a bright quarter, and which quarter it is."""
    x = RNG.random((count, 8, 8, 1)).astype(np.float32) * 0.3
    y = np.arange(count) % 4
    for image, label in zip(x, y, strict=True):
        image[4 * (label // 2) :][:4, 4 * (label % 2) :][:, :4] += 0.7
    return x, y


def test_the_lecture() -> None:
    """The network of the lectures: convolution, pooling, dropout, dense, softmax."""
    fc.manual_seed(0)
    x, y = squares()
    model = Sequential()
    model.add(Conv2D(32, (3, 3), padding="same", activation="relu", input_shape=(8, 8, 1)))
    model.add(Conv2D(32, (3, 3)))
    model.add(Activation("relu"))
    model.add(MaxPooling2D(pool_size=(2, 2)))
    model.add(BatchNormalization(momentum=0.8))
    model.add(Dropout(0.25))
    model.add(Flatten())
    model.add(Dense(64, activation="relu"))
    model.add(Dense(4, activation="softmax"))
    assert model.output_shape == (None, 4)
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    history = model.fit(
        x, to_categorical(y, 4), batch_size=16, epochs=4, verbose=0,
        validation_data=(x[:40], to_categorical(y[:40], 4)), shuffle=True,
    )  # fmt: skip
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history.epoch == [0, 1, 2, 3]
    assert history.history["val_accuracy"][-1] > 0.9
    loss, accuracy = model.evaluate(x, to_categorical(y, 4), verbose=0)
    assert accuracy > 0.9 and loss < 0.6
    p = model.predict(x)
    assert p.shape == (160, 4) and np.allclose(p.sum(1), 1, atol=1e-5)


def test_sparse_targets_and_a_split() -> None:
    fc.manual_seed(0)
    x, y = squares()
    model = Sequential(
        [Input((8, 8, 1)), layers.AveragePooling2D(4), Flatten(), Dense(4, "softmax")]
    )
    model.compile(
        keras.optimizers.SGD(learning_rate=1.0), "sparse_categorical_crossentropy", ["accuracy"]
    )
    history = model.fit(x, y, epochs=12, validation_split=0.25, verbose=0)
    assert history.history["val_accuracy"][-1] > 0.9


def test_binary_and_regression() -> None:
    fc.manual_seed(0)
    x = RNG.standard_normal((200, 3)).astype(np.float32)
    t = (x[:, 0] > x[:, 1]).astype(int)
    model = Sequential([Dense(8, activation="tanh", input_dim=3), Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", ["accuracy", "AUC"])
    history = model.fit(x, t, epochs=10, verbose=0)
    assert history.history["accuracy"][-1] > 0.9 and history.history["AUC"][-1] > 0.95
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse", ["mae"])
    model.fit(x, x[:, 0] - x[:, 2], epochs=40, verbose=0)
    loss, mae = model.evaluate(x, x[:, 0] - x[:, 2])
    assert loss < 0.05 and mae < 0.2


def test_functional() -> None:
    fc.manual_seed(0)
    x, y = squares()
    start = Input(shape=(8, 8, 1))
    a = Conv2D(8, 3, padding="same", activation="relu")(start)
    b = Conv2D(8, 3, padding="same")(a)
    joined = layers.Add()([a, b])
    both = layers.Concatenate()([joined, a])
    out = Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(both))
    shared = Dense(2)
    assert shared(out).shape == (None, 2) and shared(out).layer is shared
    model = Model(inputs=start, outputs=out)
    assert model.get_layer(index=0).name.startswith("conv2d")
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(x, y, epochs=2, verbose=0)
    inner = Model(start, joined)
    assert inner.predict(x[:3]).shape == (3, 8, 8, 8)
    with pytest.raises(ValueError, match="not in inputs"):
        Model(Input((3,)), out)


def test_two_inputs_and_outputs() -> None:
    a, b = Input((3,)), Input((2,))
    model = Model([a, b], [Dense(2)(a), layers.Concatenate()([a, b])])
    first, second = model([fc.ones(4, 3), fc.ones(4, 2)])
    assert first.shape == (4, 2) and second.shape == (4, 5)


def reference(x: np.ndarray, w: np.ndarray, stride: int, padding: str, dilation: int) -> np.ndarray:
    """Convolution of (N, H, W, C) by (k, k, C, K) as TensorFlow defines it, by loops."""
    k = (w.shape[0] - 1) * dilation + 1
    if padding == "same":
        pads = []
        for n in x.shape[1:3]:
            total = max((-(-n // stride) - 1) * stride + k - n, 0)
            pads.append((total // 2, total - total // 2))
        x = np.pad(x, ((0, 0), *pads, (0, 0)))
    out = [(n - k) // stride + 1 for n in x.shape[1:3]]
    y = np.zeros((len(x), *out, w.shape[3]))
    for i in range(out[0]):
        for j in range(out[1]):
            part = x[
                :, i * stride : i * stride + k : dilation, j * stride : j * stride + k : dilation
            ]
            y[:, i, j] = np.einsum("nhwc,hwck->nk", part, w)
    return y


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [(3, 1, 1), (3, 2, 1), (2, 2, 1), (4, 3, 1), (3, 1, 2)],
)
def test_convolution_is_tensorflows(padding: str, kernel: int, stride: int, dilation: int) -> None:
    x = RNG.integers(-3, 4, (2, 9, 8, 3)).astype(np.float32)
    layer = Conv2D(5, kernel, stride, padding, dilation_rate=dilation, use_bias=False)
    layer(fc.tensor(x))
    w = RNG.integers(-3, 4, (kernel, kernel, 3, 5)).astype(np.float32)
    layer.set_weights([w])
    np.testing.assert_array_equal(layer.get_weights()[0], w)
    want = reference(x, w, stride, padding, dilation)
    got = layer(fc.tensor(x)).detach().numpy()
    np.testing.assert_array_equal(got, want)
    assert layer.output_shape == (None, *want.shape[1:])


def test_pooling_with_same_padding() -> None:
    x = RNG.standard_normal((1, 5, 5, 2)).astype(np.float32)
    top = layers.MaxPooling2D(2, padding="same")(fc.tensor(x)).numpy()
    mean = layers.AveragePooling2D(2, padding="same")(fc.tensor(x)).numpy()
    assert top.shape == mean.shape == (1, 3, 3, 2)
    for i in range(3):
        for j in range(3):
            part = x[0, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(-1, 2)
            np.testing.assert_allclose(top[0, i, j], part.max(0), rtol=1e-6)
            np.testing.assert_allclose(mean[0, i, j], part.mean(0), rtol=1e-5)


SHAPES = [
    (layers.Conv1D(4, 3), (9, 2), (7, 4)),
    (layers.Conv3D(4, 2), (4, 5, 6, 2), (3, 4, 5, 4)),
    (layers.Conv2DTranspose(4, 3, 2, "same"), (5, 6, 2), (10, 12, 4)),
    (layers.Conv2DTranspose(4, 3, 2, "valid"), (5, 6, 2), (11, 13, 4)),
    (layers.SeparableConv2D(6, 3, depth_multiplier=2), (8, 8, 3), (6, 6, 6)),
    (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), (8, 8, 3), (8, 8, 6)),
    (layers.MaxPooling1D(2), (9, 2), (4, 2)),
    (layers.MaxPooling3D(2), (4, 4, 4, 2), (2, 2, 2, 2)),
    (layers.AveragePooling2D(2), (6, 6, 2), (3, 3, 2)),
    (layers.GlobalMaxPooling2D(), (6, 6, 2), (2,)),
    (layers.GlobalAveragePooling1D(keepdims=True), (6, 2), (1, 2)),
    (layers.UpSampling2D(2, interpolation="bilinear"), (3, 4, 2), (6, 8, 2)),
    (layers.ZeroPadding2D(((1, 2), (0, 3))), (3, 4, 2), (6, 7, 2)),
    (layers.Cropping2D(1), (5, 6, 2), (3, 4, 2)),
    (layers.Reshape((3, -1)), (6, 2), (3, 4)),
    (layers.Permute((2, 1)), (6, 2), (2, 6)),
    (layers.LayerNormalization(), (6, 2), (6, 2)),
    (layers.BatchNormalization(), (6, 6, 2), (6, 6, 2)),
    (layers.SpatialDropout2D(0.5), (6, 6, 2), (6, 6, 2)),
    (layers.GaussianNoise(0.5), (6, 2), (6, 2)),
    (layers.Rescaling(1 / 255), (6, 2), (6, 2)),
    (layers.ReLU(6.0), (6, 2), (6, 2)),
    (layers.LeakyReLU(), (6, 2), (6, 2)),
    (layers.ELU(), (6, 2), (6, 2)),
    (layers.Softmax(), (6, 2), (6, 2)),
    (layers.Dense(5), (6, 2), (6, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "before", "after"), SHAPES, ids=lambda v: getattr(v, "name", ""))
def test_shapes_weights_and_files(layer: Any, before: Any, after: Any, tmp_path: Path) -> None:
    model = Sequential([Input(before), layer])
    assert model.output_shape == (None, *after)
    x = RNG.standard_normal((2, *before)).astype(np.float32)
    y = model.predict(x)
    assert y.shape == (2, *after)
    model.save(tmp_path / "model.fc")
    again = keras.models.load_model(tmp_path / "model.fc")
    np.testing.assert_allclose(again.predict(x), y, rtol=1e-6)
    for w in again.get_weights():
        w += 1
    assert [w.shape for w in again.get_weights()] == [w.shape for w in model.get_weights()]


def test_a_functional_model_in_a_file(tmp_path: Path) -> None:
    start = Input((6, 6, 1))
    a = Conv2D(3, 3, activation="relu")(start)
    model = Model(start, layers.Concatenate()([Flatten()(a), layers.GlobalMaxPooling2D()(a)]))
    model.save(tmp_path / "model.fc")
    again = keras.load_model(tmp_path / "model.fc")
    x = RNG.random((2, 6, 6, 1)).astype(np.float32)
    np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=1e-6)
    model.save_weights(tmp_path / "weights.fc")
    again.set_weights([w * 0 for w in again.get_weights()])
    again.load_weights(tmp_path / "weights.fc")
    np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=1e-6)
    with pytest.raises(TypeError, match="save_weights"):
        Sequential([Input((2,)), layers.Lambda(lambda x: x + 1)]).save(tmp_path / "other.fc")
    fc.save({"a": 1}, tmp_path / "no.fc")
    with pytest.raises(ValueError, match="holds no model"):
        keras.load_model(tmp_path / "no.fc")


def test_callbacks(tmp_path: Path) -> None:
    x, y = squares(32)
    seen: list[Any] = []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append((epoch, sorted(logs)))
            if epoch == 2:
                self.model.stop_training = True

    model = Sequential([Input((8, 8, 1)), Flatten(), Dense(4, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    rates: list[float] = []

    def halved(epoch: int, rate: float) -> float:
        rates.append(rate)
        return rate / 2

    model.fit(
        x, y, epochs=9, verbose=0, validation_data=(x, y),
        callbacks=[
            Note(), keras.callbacks.LearningRateScheduler(halved),
            keras.callbacks.ModelCheckpoint(tmp_path / "m-{epoch}.fc", save_best_only=True),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            keras.callbacks.ReduceLROnPlateau(patience=1),
        ],
    )  # fmt: skip
    assert [n for n, _ in seen] == [0, 1, 2] and seen[0][1] == ["loss", "val_loss"]
    assert rates[:3] == pytest.approx([1e-3, 5e-4, 2.5e-4])
    assert (tmp_path / "m-1.fc").exists() and len((tmp_path / "log.csv").read_text().split()) == 4
    # the order of batches changes the last digits of a loss that stays
    stop = keras.callbacks.EarlyStopping("loss", 1e-5, 2, restore_best_weights=True)
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    assert len(model.fit(x, y, epochs=9, verbose=0, callbacks=[stop]).epoch) == 3


def test_frozen_layers() -> None:
    x, y = squares(32)
    base = Conv2D(4, 3, activation="relu")
    model = Sequential([Input((8, 8, 1)), base, Flatten(), Dense(4, "softmax")])
    base.trainable = False
    before = base.get_weights()[0]
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(base.get_weights()[0], before)


def test_summary(capsys: Any) -> None:
    model = Sequential([Input((8, 8, 1)), Conv2D(4, 3, name="first"), Flatten(), Dense(4)])
    model.summary()
    text = capsys.readouterr().out
    assert "first (Conv2D)" in text and "(None, 6, 6, 4)" in text
    assert "Total params: 620" in text and "Non-trainable params: 0" in text


@pytest.mark.parametrize(
    "name", ["mse", "mae", "msle", "huber", "poisson", "hinge", "kl_divergence",
             "binary_crossentropy", "categorical_crossentropy"],
)  # fmt: skip
def test_losses_by_name(name: str) -> None:
    p = np.array([[0.2, 0.8], [0.6, 0.4]])
    t = np.array([[0.0, 1.0], [1.0, 0.0]])
    want = {
        "mse": ((p - t) ** 2).mean(), "mae": np.abs(p - t).mean(),
        "msle": ((np.log1p(p) - np.log1p(np.maximum(t, 1e-7))) ** 2).mean(),
        "huber": (0.5 * (p - t) ** 2).mean(), "poisson": (p - t * np.log(p + 1e-7)).mean(),
        "hinge": np.maximum(1 - (2 * t - 1) * p, 0).mean(),
        "kl_divergence": (np.maximum(t, 1e-7) * np.log(np.maximum(t, 1e-7) / p)).sum(1).mean(),
        "binary_crossentropy": -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(),
        "categorical_crossentropy": -(t * np.log(p)).sum(1).mean(),
    }[name]  # fmt: skip
    assert float(keras.losses.get(name)(t, p)) == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Conv2D(0, 3), ValueError, "filters"),
        (lambda: Conv2D(3, 3, padding="full"), ValueError, "padding"),
        (lambda: Conv2D(3, 3, color=1), TypeError, "no argument 'color'"),
        (lambda: Dense(3, activation="nothing"), ValueError, "no activation"),
        (lambda: Conv2D(3, 3)(fc.ones(2, 5)), ValueError, "4 axes"),
        (lambda: Sequential([Dense(1)]).fit(np.ones((2, 2)), np.ones(2)), RuntimeError, "compile"),
        (lambda: keras.losses.get("nothing"), ValueError, "no loss"),
        (lambda: keras.optimizers.make("nothing", []), ValueError, "no optimizer"),
        (lambda: keras.metrics.get_all(["nothing"], None), ValueError, "no metric"),
        (lambda: to_categorical([0, 4], 3), ValueError, "0 to 2"),
        (lambda: Sequential([Dense(1)]).summary(), ValueError, "not built"),
        (lambda: Sequential().add(3), TypeError, "expected a layer"),
        (lambda: layers.BatchNormalization(axis=1), ValueError, "axis"),
    ],
)
def test_errors(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
