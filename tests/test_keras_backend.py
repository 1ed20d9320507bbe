"""Keras on its NumPy backend with our convolutions gives what Keras on PyTorch gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CASES = """
import itertools, sys
import numpy as np
if sys.argv[1] == "ours":
    from fastconv.keras import backend
    backend.install()
    backend.install()  # twice does no harm
import keras
from keras import layers as L, ops
assert keras.backend.backend() == ("numpy" if sys.argv[1] == "ours" else "torch")
if sys.argv[1] == "ours":
    assert "jax" not in sys.modules and "torch" not in sys.modules
rng = np.random.default_rng(0)
found = {}
def array(*shape):
    return rng.standard_normal(shape).astype(np.float32)
def keep(name, y):
    found[name] = np.asarray(keras.ops.convert_to_numpy(y))
def average(x, size, stride, padding, form):
    # means of what lies inside, by loops: Keras on PyTorch repeats borders instead
    x = np.moveaxis(x, 1, -1) if form == "channels_first" else x
    axes = []
    for n, k in zip(x.shape[1:-1], size):
        count = -(-n // stride) if padding == "same" else (n - k) // stride + 1
        before = max((count - 1) * stride + k - n, 0) // 2 if padding == "same" else 0
        axes.append([(max(i * stride - before, 0), min(i * stride - before + k, n))
                     for i in range(count)])
    y = np.zeros((len(x), *map(len, axes), x.shape[-1]), np.float32)
    for place in np.ndindex(*map(len, axes)):
        window = x[(slice(None), *(slice(*axes[i][j]) for i, j in enumerate(place)))]
        y[(slice(None), *place)] = window.mean(tuple(range(1, x.ndim - 1)))
    return np.moveaxis(y, -1, 1) if form == "channels_first" else y
for rank, form, padding, stride, dilation in itertools.product(
    (1, 2, 3), ("channels_last", "channels_first"), ("same", "valid"), (1, 2, 3), (1, 2)
):
    name = f"{rank} {form} {padding} {stride} {dilation} "
    size = (11, 8, 7)[:rank]
    first = form == "channels_first"
    x = array(2, 4, *size) if first else array(2, *size, 4)
    kernel = (3, 2, 4)[:rank]
    k, grouped, back = array(*kernel, 4, 6), array(*kernel, 2, 6), array(*kernel, 5, 4)
    depthwise, pointwise, short = array(*kernel, 4, 2), array(*(1,) * rank, 8, 3), kernel[:rank]
    if stride == 1 or dilation == 1:
        keep(name + "conv", ops.conv(x, k, stride, padding, form, dilation))
        keep(name + "grouped", ops.conv(x, grouped, stride, padding, form, dilation))
        if rank < 3:
            keep(name + "depthwise",
                 ops.depthwise_conv(x, depthwise, stride, padding, form, dilation))
            keep(name + "separable", ops.separable_conv(x, depthwise, pointwise, stride, padding,
                                                        form, dilation))
    if dilation == 1:
        keep(name + "transposed", ops.conv_transpose(x, back, stride, padding, None, form))
        keep(name + "max", ops.max_pool(x, short, stride, padding, form))
        if sys.argv[1] == "ours":
            keep(name + "average", ops.average_pool(x, short, stride, padding, form))
        else:
            found[name + "average"] = average(x, short, stride, padding, form)
        keep(name + "pool", ops.max_pool(x, 2, None, padding, form))
def network():
    i = keras.Input((16, 16, 3))
    x = L.Conv2D(8, 3, strides=2, padding="same", activation="relu")(i)
    x = L.BatchNormalization()(x)
    x = L.Add()([L.SeparableConv2D(8, 3, padding="same")(x), x])
    x = L.MaxPooling2D(3, 2, padding="same")(x)
    x = L.Conv2DTranspose(4, 4, strides=2, padding="same")(x)
    x = L.AveragePooling2D(3, 2)(x)
    return keras.Model(i, L.Dense(5, activation="softmax")(L.Flatten()(x)))
model = network()
model.set_weights([rng.uniform(0.1, 0.3, w.shape).astype("f") for w in model.get_weights()])
found["network"] = np.asarray(model.predict(array(3, 16, 16, 3), verbose=0))
found["half"] = np.asarray(
    keras.ops.convert_to_numpy(ops.conv(array(1, 5, 5, 2).astype("float16"),
                                        array(3, 3, 2, 2).astype("float16")))).astype("f")
np.savez(sys.argv[2], **found)
"""


def answers(which: str, folder: Path) -> Any:
    environment = {**os.environ, "KERAS_HOME": str(folder),
                   "PYTHONPATH": str(Path(__file__).parents[1])}  # fmt: skip
    environment.pop("KERAS_BACKEND", None)
    if which == "torch":
        environment["KERAS_BACKEND"] = "torch"
    file = folder / f"{which}.npz"
    made = subprocess.run([sys.executable, "-c", CASES, which, str(file)], env=environment,
                          capture_output=True, text=True, timeout=600, check=False)  # fmt: skip
    if "No module named" in made.stderr or "is not installed" in made.stderr:
        pytest.skip("needs Keras and PyTorch: " + made.stderr[-200:])
    assert made.returncode == 0, made.stderr[-3000:]
    return np.load(file)


def test_keras_computes_the_same_with_our_kernels(tmp_path: Path) -> None:
    """Every rank, format, padding, stride and dilation, and a network; without JAX."""
    ours, theirs = answers("ours", tmp_path), answers("torch", tmp_path)
    assert ours.files == theirs.files and len(ours.files) > 300
    for name in ours.files:
        a, b = ours[name], theirs[name]
        assert a.dtype == b.dtype and a.shape == b.shape, name
        rough = 1e-2 if name == "half" else 1e-4
        np.testing.assert_allclose(a, b, rtol=rough, atol=rough, err_msg=name)


def test_installing_too_late_is_an_error() -> None:
    script = (
        "import sys, types\nm = types.ModuleType('keras')\nm.__spec__ = object()\n"
        "m.backend = types.SimpleNamespace(backend=lambda: 'torch')\nsys.modules['keras'] = m\n"
        "from fastconv.keras import backend\n"
        "try: backend.install()\nexcept RuntimeError as e: print(e)"
    )
    made = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "was imported with its backend 'torch'; call install() before" in made.stdout
