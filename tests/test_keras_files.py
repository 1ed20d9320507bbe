"""Keras's files: weights for networks that are built here, and nothing from outside of the file."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import keras

h5py = pytest.importorskip("h5py", reason="Keras's files are read by h5py")

SCRIPT = """
import sys
import numpy as np
import keras
sys.path.insert(0, {tests!r})
from test_keras_files import NETWORKS, data
for name, build in NETWORKS.items():
    model = build(keras.layers, keras.Input, keras.Model, keras.Sequential)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 0.4, w.shape).astype("f") for w in model.get_weights()])
    np.save(name + ".npy", np.asarray(model.predict(data(model.input_shape), verbose=0)))
    model.save_weights(name + ".weights.h5")
    if name == "compiled":
        model.compile("adam", "mse")
        model.train_on_batch(data(model.input_shape), np.zeros((3, *model.output_shape[1:])))
        np.save(name + ".npy", np.asarray(model.predict(data(model.input_shape), verbose=0)))
        model.save_weights(name + ".weights.h5")
    model.save(name + ".keras")
    model.save(name + ".h5")
"""


def data(shape: Any) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((3, *shape[1:])).astype(np.float32)


def chain(L: Any, Input: Any, Model: Any, Sequential: Any) -> Any:
    return Sequential([
        Input((12, 12, 3)), L.Conv2D(4, 3, padding="same", activation="relu"),
        L.BatchNormalization(), L.MaxPooling2D(), L.SeparableConv2D(6, 3), L.LayerNormalization(),
        L.DepthwiseConv2D(3, depth_multiplier=2), L.Conv2DTranspose(2, 3, strides=2), L.Flatten(),
        L.Dense(5, activation="softmax"),
    ])  # fmt: skip


def branches(L: Any, Input: Any, Model: Any, Sequential: Any) -> Any:
    """Layers of equal shapes whose order in the file is not that in which they were made."""
    x = Input((8, 8, 3))
    last = L.Conv2D(4, 3, padding="same")
    a = L.Conv2D(4, 3, padding="same")(x)
    b = L.Conv2D(4, 3, padding="same")(L.Conv2D(3, 1)(x))
    c = L.Conv2D(4, 3, padding="same")(x)
    shared = L.Conv2D(4, 1)
    y = L.Add()([L.Concatenate()([c, shared(b)]), L.Concatenate()([shared(a), b])])
    z = last(L.Average()([L.Conv2D(8, 1)(y), y]))
    return Model(x, L.GlobalAveragePooling2D()(z))


def nested(L: Any, Input: Any, Model: Any, Sequential: Any) -> Any:
    x = Input((8, 8, 3))
    inner = Sequential([Input((8, 8, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.Conv2D(4, 1),
                        L.BatchNormalization()])  # fmt: skip
    y = L.Conv2D(2, 3)(inner(x))
    return Model(x, L.Dense(3)(L.Flatten()(y)))


def others(L: Any, Input: Any, Model: Any, Sequential: Any) -> Any:
    return Sequential([
        Input((16, 3)), L.Conv1D(4, 3, use_bias=False), L.BatchNormalization(scale=False),
        L.ReLU(), L.Conv1D(4, 3, groups=2), L.Flatten(), L.Dense(3, use_bias=False),
    ])  # fmt: skip


NETWORKS = {"chain": chain, "branches": branches, "nested": nested, "others": others,
            "compiled": others}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that Keras has written, and what its networks answer."""
    place = tmp_path_factory.mktemp("keras")
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    environment = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(place),
                   "PYTHONPATH": str(Path(__file__).parents[1])}  # fmt: skip
    made = subprocess.run([sys.executable, "-c", script], cwd=place, env=environment,
                          capture_output=True, text=True, timeout=300, check=False)  # fmt: skip
    if "No module named 'keras'" in made.stderr or "No module named 'torch'" in made.stderr:
        pytest.skip("needs Keras and a backend of its")
    assert made.returncode == 0, made.stderr[-2000:]
    return place


def ours(name: str) -> Any:
    return NETWORKS[name](keras.layers, keras.Input, keras.Model, keras.Sequential)


@pytest.mark.parametrize("suffix", ["weights.h5", "keras", "h5"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_keras_give_its_answers(name: str, suffix: str, folder: Path) -> None:
    model = ours(name)
    model.load_weights(folder / f"{name}.{suffix}")
    want = np.load(folder / f"{name}.npy")
    got = model.predict(data(model.input_shape))
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("suffix", ["weights.h5", "keras", "h5"])
def test_load_gives_nested_arrays(suffix: str, folder: Path) -> None:
    found = fc.load(folder / f"chain.{suffix}")
    if suffix == "h5":
        kernel = found["model_weights"]["conv2d"]["sequential"]["conv2d"]["kernel"]
    else:
        kernel = found["layers"]["conv2d"]["vars"]["0"]
    assert type(kernel) is np.ndarray and kernel.shape == (3, 3, 3, 4)


def test_networks_that_differ_are_named_and_stay(folder: Path) -> None:
    for suffix in ("weights.h5", "h5"):
        model = ours("others")
        before = model.get_weights()
        with pytest.raises(ValueError, match=r"load_weights: .*(conv1d|layers with weights)"):
            model.load_weights(folder / f"chain.{suffix}")
        small = keras.Sequential([
            keras.Input((16, 3)), keras.layers.Conv1D(4, 3, use_bias=False),
            keras.layers.BatchNormalization(scale=False), keras.layers.Conv1D(4, 3, groups=2),
            keras.layers.Flatten(), keras.layers.Dense(4, use_bias=False),
        ])  # fmt: skip
        mine = small.get_weights()
        with pytest.raises(ValueError, match=r"dense.*has weights of shapes .*the file has"):
            small.load_weights(folder / f"others.{suffix}")
        for model_, kept in ((model, before), (small, mine)):
            for a, b in zip(model_.get_weights(), kept, strict=True):
                np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="not built"):
        keras.Sequential([keras.layers.Dense(3)]).load_weights(folder / "others.h5")
    with pytest.raises(ValueError, match=r"build the network here and call load_weights"):
        keras.models.load_model(folder / "others.keras")


def old_file(path: Path, pieces: bool = False) -> list[np.ndarray]:
    """As Keras 2 and TensorFlow wrote it: byte strings, names with ':0', the list in pieces."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(s).astype("f") for s in ((3, 3, 1, 2), (2,), (8, 3), (3,))]
    with h5py.File(path, "w") as file:
        names = [b"conv2d_7", b"flatten_3", b"dense_9"]
        if pieces:
            file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:2], names[2:]
        else:
            file.attrs["layer_names"] = names
        file.attrs["keras_version"], file.attrs["backend"] = b"2.4.0", b"tensorflow"
        file.create_group("flatten_3").attrs["weight_names"] = np.zeros(0)
        for layer, part in (("conv2d_7", weights[:2]), ("dense_9", weights[2:])):
            keys = [f"{layer}/kernel:0", f"{layer}/bias:0"]
            group = file.create_group(layer)
            group.attrs["weight_names"] = [k.encode() for k in keys]
            for key, value in zip(keys, part, strict=True):
                group.create_dataset(key, data=value)
    return weights


@pytest.mark.parametrize("pieces", [False, True])
def test_files_of_keras_2(pieces: bool, tmp_path: Path) -> None:
    weights = old_file(tmp_path / "old.h5", pieces)
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3),
                              keras.layers.Flatten(), keras.layers.Dense(3)])  # fmt: skip
    model.load_weights(tmp_path / "old.h5")
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(got, want)


#: Layers of a network inside, and whether each is frozen; the two convolutions are alike.
INSIDE = (("conv2d_4", False), ("batch_normalization", False), ("conv2d_2", False),
          ("batch_normalization_1", False))  # fmt: skip


def frozen_file(path: Path, frozen: tuple[bool, ...], described: bool, names: Any = None) -> Any:
    """As Keras 2 writes a network inside another: what is trained, then what is not."""
    rng = np.random.default_rng(0)
    names = names or [name for name, _ in INSIDE]
    parts: list[dict[str, np.ndarray]] = []
    for name in names:
        keys = ["kernel", "bias"] if "norm" not in name else ["gamma", "beta", "moving_mean",
                                                              "moving_variance"]  # fmt: skip
        parts.append({
            f"{name}/{k}:0": rng.uniform(1, 2, (3, 3, 2, 2) if k == "kernel" else 2).astype("f")
            for k in keys
        })  # fmt: skip
    trained = [
        [] if still else [k for k in part if "moving" not in k]
        for part, still in zip(parts, frozen)
    ]
    first = [k for keys in trained for k in keys]
    order = first + [k for part in parts for k in part if k not in first]
    every = {k: v for part in parts for k, v in part.items()}
    with h5py.File(path, "w") as file:
        if described:
            layers = [{"class_name": "Layer", "config": {"name": name}} for name in names]
            inner = {"class_name": "Sequential", "config": {"name": "base", "layers": layers}}
            config = {"class_name": "Sequential", "config": {"name": "m", "layers": [inner]}}
            file.attrs["model_config"] = json.dumps(config)
        root = file.create_group("model_weights") if described else file
        root.attrs["layer_names"] = [b"base"]
        group = root.create_group("base")
        group.attrs["weight_names"] = [k.encode() for k in order]
        for key in order:
            group.create_dataset(key, data=every[key])
    return list(every.values())


def inside(names: Any = (None,) * 4) -> Any:
    L = keras.layers
    base = keras.Sequential([
        keras.Input((6, 6, 2)), L.Conv2D(2, 3, padding="same", name=names[0]),
        L.BatchNormalization(name=names[1]), L.Conv2D(2, 3, padding="same", name=names[2]),
        L.BatchNormalization(name=names[3]),
    ])  # fmt: skip
    return keras.Sequential([keras.Input((6, 6, 2)), base])


@pytest.mark.parametrize("frozen", list(itertools.product([False, True], repeat=4)))
def test_networks_inside_that_were_frozen(frozen: tuple[bool, ...], tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    want = frozen_file(path, frozen, True)
    model = inside()
    model.load_weights(path)
    for got, wanted in zip(model.get_weights(), want, strict=True):
        np.testing.assert_array_equal(got, wanted)
    # the weights alone: by names that are given, else there is a doubt
    names = ("one", "norm_one", "two", "norm_two")
    want = frozen_file(path, frozen, False, names)
    model = inside(names)
    model.load_weights(path)
    for got, wanted in zip(model.get_weights(), want, strict=True):
        np.testing.assert_array_equal(got, wanted)
    model, before = inside(), inside().get_weights()
    model.set_weights(before)
    with pytest.raises(
        ValueError, match=r"(one, two|two, one) of base in the file have equal.*name="
    ):
        model.load_weights(path)
    for got, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, kept)


def test_descriptions_that_are_damaged_are_none(tmp_path: Path) -> None:
    for text in ("{", "[" * 5000, "3", '{"config": {"layers": [1]}}', '{"config": {"layers": 2}}'):
        frozen_file(tmp_path / "x.h5", (True, False, False, False), True)
        with h5py.File(tmp_path / "x.h5", "a") as file:
            file.attrs["model_config"] = text
        with pytest.raises(ValueError, match="have equal shapes"):
            inside().load_weights(tmp_path / "x.h5")


def test_our_own_weights_are_read_as_before(tmp_path: Path) -> None:
    model = ours("others")
    model.save_weights(tmp_path / "w.h5")  # whatever the name says
    other = ours("others")
    other.load_weights(tmp_path / "w.h5")
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------- files that mean harm


def refused(path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=f"load: .*({text})"):
        fc.load(path)


def test_nothing_from_outside_of_the_file(tmp_path: Path) -> None:
    secret, path = tmp_path / "secret.h5", tmp_path / "x.h5"
    with h5py.File(secret, "w") as file:
        file["a"] = np.ones(3)
    (tmp_path / "raw").write_bytes(bytes(24))
    with h5py.File(path, "w") as file:
        file["a"] = h5py.ExternalLink(str(secret), "/a")
    refused(path, "another place or file")
    with h5py.File(path, "w") as file:
        file["b"] = np.ones(3)
        file["a"] = h5py.SoftLink("/b")
    refused(path, "another place or file")
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (3,), "f8", external=[(str(tmp_path / "raw"), 0, 24)])
    refused(path, "another file")
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "a", (3,))
        file.create_virtual_dataset("a", layout)
    refused(path, "another file")


def test_claims_are_compared_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    for options in ({"chunks": (1000,)}, {"chunks": (1000,), "compression": "gzip"}, {}):
        with h5py.File(path, "w") as file:
            file.create_dataset("a", (10**12,), "f8", **options)  # nothing of it is stored
        assert path.stat().st_size < 10_000
        refused(path, "more than the file has")
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.zeros(3 * 10**7), chunks=(10**6,), compression="gzip")
    refused(path, "would grow|more than")
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.ones(100), compression="lzf")
    refused(path, "another way than deflate")
    with h5py.File(path, "w") as file:
        file["a"] = "text"
    refused(path, "only numbers")
    with h5py.File(path, "w") as file:
        group = file.create_group("a")
        group["again"] = group
    refused(path, "holds itself")


def test_compressed_weights_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=np.arange(1000.0), compression="gzip", shuffle=True)
    np.testing.assert_array_equal(fc.load(tmp_path / "x.h5")["a"], np.arange(1000.0))


def test_without_h5py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old_file(tmp_path / "x.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'fastconv\[keras\]'"):
        fc.load(tmp_path / "x.h5")


def test_damaged_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    old_file(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "damaged")
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        archive.writestr("model.weights.h5", whole[:100])
    refused(tmp_path / "x.keras", "damaged")
    with pytest.raises(ValueError, match="load"):
        ours("others").load_weights(tmp_path / "x.keras")
    assert fc.load(io.BytesIO(whole))["dense_9"]["dense_9"]["bias:0"].shape == (3,)
