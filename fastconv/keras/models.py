"""``Sequential`` and ``Model``: compile, fit, evaluate, predict, summary, save."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .. import nn
from .. import train as training
from ..data import DataLoader, TensorDataset
from ..serialization import load, save
from ..text import grouped
from . import losses as named_losses
from . import metrics as named_metrics
from . import optimizers as named_optimizers
from .base import Layer, as_input
from .callbacks import Callback, Forwarded
from .functional import Input, KerasTensor, ordered

Data = Any


class Model(Layer):
    """A network from inputs to outputs of the functional form, with Keras's verbs.

    Parameters
    ----------
    inputs, outputs : KerasTensor or list of KerasTensor
    name : str, optional
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None) -> None:
        super().__init__(name)
        self.stop_training = False
        self.compiled: dict[str, Any] = {}
        self.inputs: list[KerasTensor] = []
        self.outputs: list[KerasTensor] = []
        self.steps: list[KerasTensor] = []
        if inputs is not None:
            self._connect(inputs, outputs)

    def _connect(self, inputs: Any, outputs: Any) -> None:
        self.inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        self.several = isinstance(outputs, (list, tuple))
        self.outputs = list(outputs) if self.several else [outputs]
        self.steps = ordered(self.outputs)
        layers: list[Any] = []
        for t in self.steps:
            if t.layer is None:
                if t not in self.inputs:
                    raise ValueError(
                        f"{self.name}: an output depends on an input not in inputs: {t}"
                    )
            elif not any(t.layer is layer for layer in layers):
                layers.append(t.layer)
        self.blocks = nn.ModuleList(layers)
        self.built = True
        shapes = [t.shape for t in self.inputs]
        self.input_shape = shapes if len(shapes) > 1 else shapes[0]
        self.output_shape = [t.shape for t in self.outputs] if self.several else outputs.shape

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        return list(self.blocks)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or number."""
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"there is no layer {name!r}; there are {[x.name for x in self.layers]}")

    def shape_for(self, shape: Any) -> Any:
        return self.output_shape

    def call(self, x: Any) -> Any:
        values = dict(zip(self.inputs, x if len(self.inputs) > 1 else [x], strict=True))
        for t in self.steps:
            if t not in values:
                sources = [values[s] for s in t.sources]
                values[t] = t.layer(sources if t.several else sources[0])
        found = [values[t] for t in self.outputs]
        return found if self.several else found[0]

    # -- Keras's verbs ---------------------------------------------------------------------------

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, **_: Any
    ) -> None:
        """Say how the network is trained.

        Parameters
        ----------
        optimizer : str, keras optimizer, or fastconv.optim.Optimizer
        loss : str or callable
            ``loss(y_true, y_pred)`` where it is a function.
        metrics : list of str, of fastconv.metrics.Metric, or of functions (y_true, y_pred)
        """
        self.compiled = {
            "optimizer": optimizer,
            "loss": named_losses.get(loss),
            "metrics": named_metrics.get_all(metrics or [], loss),
            "made": None,
        }

    def _optimizer(self) -> Any:
        if self.compiled["made"] is None:
            parameters = [p for p in self.parameters() if p.requires_grad]
            self.compiled["made"] = named_optimizers.make(self.compiled["optimizer"], parameters)
        return self.compiled["made"]

    @property
    def optimizer(self) -> Any:
        """The optimiser, once the network is built."""
        return self._optimizer()

    def _check_compiled(self) -> None:
        if not self.compiled:
            raise RuntimeError("you must compile the model before: model.compile(optimizer, loss)")

    def _ready(self, x: Any) -> None:
        """Build for data, where no input shape was named."""
        if not self.built:
            self.prepare((None, *as_input(x[:1]).shape[1:]))

    def fit(
        self,
        x: Data = None,
        y: Data = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        **other: Any,
    ) -> Any:
        """Train; returns a History whose ``history`` has "loss", "accuracy", "val_loss", …

        Parameters
        ----------
        x, y : array_like
            (N, H, W, C) and targets; or `x` a DataLoader of such batches.
        batch_size : int, optional
            32 when not given.
        epochs : int
        verbose : 0, 1, 2 or "auto"
        callbacks : list
            Of :mod:`fastconv.keras.callbacks`, or of :mod:`fastconv.train`.
        validation_split : float
            The share of the data, from its end, that is held out.
        validation_data : (x, y), optional
        shuffle : bool

        Raises
        ------
        RuntimeError
            If the model was not compiled.
        """
        self._check_compiled()
        if other:
            raise TypeError(f"fit has no argument {next(iter(other))!r}")
        size = 32 if batch_size is None else batch_size
        if y is None and not isinstance(x, (np.ndarray, list)):
            loader: Any = x
        else:
            x, y = np.asarray(x), np.asarray(y)
            if len(x) != len(y):
                raise ValueError(f"x has {len(x)} samples, y {len(y)}")
            if validation_split:
                if not 0 < validation_split < 1:
                    raise ValueError(f"validation_split must be in (0, 1), got {validation_split}")
                cut = int(len(x) * (1 - validation_split))
                if not 0 < cut < len(x):
                    raise ValueError(
                        f"validation_split={validation_split} of {len(x)} samples leaves nothing"
                    )
                if validation_data is None:
                    validation_data = (x[cut:], y[cut:])
                x, y = x[:cut], y[:cut]
            self._ready(x)
            loader = DataLoader(_set(x, y), batch_size=size, shuffle=shuffle)
        valid = None
        if validation_data is not None:
            valid = DataLoader(_set(*validation_data[:2]), batch_size=size)
        self.stop_training = False
        called: list[Any] = []
        for callback in callbacks or []:
            called.append(Forwarded(callback, self) if isinstance(callback, Callback) else callback)
        history = training.fit(
            self, self.compiled["loss"].on_batch, self._optimizer(), loader, valid, epochs,
            self.compiled["metrics"], [_Stop(self), *called], restore_best=False,
            progress=verbose not in (0, False),
        )  # fmt: skip
        return History(history)

    def evaluate(
        self, x: Data = None, y: Data = None, batch_size: int | None = None, verbose: Any = 0,
        return_dict: bool = False, **_: Any,
    ) -> Any:  # fmt: skip
        """[loss, metrics …] on data, or the loss alone where there are no metrics."""
        self._check_compiled()
        self._ready(np.asarray(x))
        found = training.evaluate(
            self, _set(x, y), self.compiled["loss"].on_batch, self.compiled["metrics"],
            batch_size=batch_size or 32,
        )  # fmt: skip
        if verbose not in (0, False, "auto"):
            print("  ".join(f"{name}: {value:.4f}" for name, value in found.items()))
        if return_dict:
            return found
        values = list(found.values())
        return values if len(values) > 1 else values[0]

    def predict(self, x: Data, batch_size: int | None = None, verbose: Any = 0, **_: Any) -> Any:
        """The network's results in Keras's layout: an array, or a list for several outputs."""
        x = np.asarray(x)
        self._ready(x)
        return training.predict(self, TensorDataset(as_input(x)), batch_size=batch_size or 32)

    def train_on_batch(self, x: Data, y: Data) -> float:
        """One step; returns the loss."""
        self._check_compiled()
        x = np.asarray(x)
        self._ready(x)
        self.train()
        optimizer = self._optimizer()
        optimizer.zero_grad()
        loss = self.compiled["loss"].on_batch(self(as_input(x)), as_input(y))
        loss.backward()
        optimizer.step()
        return float(loss)

    def summary(self) -> None:
        """Print the layers, their shapes and parameters, as Keras does."""
        print(summary_text(self))

    # -- weights and files -----------------------------------------------------------------------

    def get_weights(self) -> list[np.ndarray]:
        return [w for layer in self.layers for w in layer.get_weights()]

    def set_weights(self, weights: list[Any]) -> None:
        counts = [len(layer.get_weights()) for layer in self.layers]
        if sum(counts) != len(weights):
            raise ValueError(f"{self.name} has {sum(counts)} weights, got {len(weights)}")
        start = 0
        for layer, count in zip(self.layers, counts, strict=True):
            layer.set_weights(weights[start : start + count])
            start += count

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write the weights, in one step."""
        save({"weights": self.get_weights()}, path)

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Read what :meth:`save_weights` or :meth:`save` wrote, or the weights in Keras's files.

        Of Keras's are read ``.weights.h5`` and ``.keras`` of Keras 3 and ``.h5`` of Keras 2, with
        h5py (``pip install 'fastconv[keras]'``). The network must be built, of the same layers.

        Raises
        ------
        ValueError
            When the file's layers are not the network's; nothing is changed then.
        """
        from ..serialization import keras_h5
        from .weights import load_weights

        theirs = keras_h5.layers(path)
        if theirs is None:
            self.set_weights(load(path)["weights"])
        elif not self.built:
            raise ValueError(f"load_weights: {self.name} is not built yet: give an input shape")
        else:
            load_weights(self, *theirs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write layers and weights, in one step; :func:`load_model` reads them."""
        from .saving import description

        save({"keras": description(self), "weights": self.get_weights()}, path)


class Sequential(Model):
    """Layers one after the other: ``Sequential([...])`` or ``Sequential().add(...)``."""

    def __init__(self, layers: Any = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self.blocks = nn.ModuleList()
        for layer in layers or []:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Append a layer; it is built as soon as the input's shape is known."""
        if isinstance(layer, KerasTensor):
            from .layers import InputLayer

            layer = InputLayer(layer.shape[1:])
        if not isinstance(layer, nn.Module):
            raise TypeError(f"add: expected a layer, got {type(layer).__name__}")
        self.blocks.append(layer)
        if self.built and self.inputs:
            self._build_from(self.input_shape)
        elif len(self.blocks) == 1 and getattr(layer, "given_shape", None) is not None:
            self._build_from(layer.given_shape)

    def pop(self) -> None:
        """Take the last layer away."""
        self.blocks = nn.ModuleList(list(self.blocks)[:-1])

    def _build_from(self, shape: Any) -> None:
        blocks = list(self.blocks)
        start = x = Input(shape[1:])
        for layer in blocks:
            x = layer(x)
        self._connect(start, x)
        self.blocks = nn.ModuleList(blocks)

    @property
    def layers(self) -> list[Layer]:
        from .layers import InputLayer

        return [layer for layer in self.blocks if not isinstance(layer, InputLayer)]

    def build(self, shape: Any) -> None:
        self._build_from(tuple(shape))

    def call(self, x: Any) -> Any:
        for layer in self.blocks:
            x = layer(x)
        return x

    def shape_for(self, shape: Any) -> Any:
        return self.output_shape


class History:
    """What :meth:`Model.fit` returns.

    Attributes
    ----------
    history : dict of list
        "loss", the metrics, and the same with "val_" in front.
    epoch : list of int
        From 0.
    """

    def __init__(self, history: training.History) -> None:
        columns = history.history
        self.epoch = [int(n) - 1 for n in columns.pop("epoch", [])]
        for name in ("seconds", "lr"):
            columns.pop(name, None)
        self.history = {
            name.replace("valid_", "val_", 1) if name.startswith("valid_") else name: values
            for name, values in columns.items()
        }


class _Stop(training.Callback):
    """Ends a training when ``model.stop_training`` is set."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def on_batch_end(self, fit: Any, values: Any) -> None:
        fit.stop = fit.stop or self.model.stop_training

    def on_epoch_end(self, fit: Any) -> None:
        fit.stop = fit.stop or self.model.stop_training


def _set(x: Any, y: Any) -> TensorDataset:
    target = np.asarray(y)
    if target.dtype.kind in "iub":
        target = target.astype(np.int64)
    return TensorDataset(as_input(x), as_input(target))


def summary_text(model: Model) -> str:
    """The table that :meth:`Model.summary` prints."""
    if not model.built:
        raise ValueError("the model is not built yet: give an input shape, or call fit")
    rows = [
        (f"{x.name} ({type(x).__name__})", str(x.output_shape), grouped(x.count_params()))
        for x in model.layers
    ]
    heads = ("Layer (type)", "Output Shape", "Param #")
    widths = [max(len(r[i]) for r in (heads, *rows)) for i in range(3)]
    lines = ["  ".join(t.ljust(w) for t, w in zip(r, widths, strict=True)).rstrip()
             for r in (heads, *rows)]  # fmt: skip
    rule = "=" * (sum(widths) + 4)
    total = sum(x.count_params() for x in model.layers)
    free = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return "\n".join(
        [
            f'Model: "{model.name}"', rule, lines[0], rule, *lines[1:], rule,
            f"Total params: {grouped(total)}", f"Trainable params: {grouped(free)}",
            f"Non-trainable params: {grouped(total - free)}",
        ]
    )  # fmt: skip


__all__ = ["History", "Model", "Sequential"]
