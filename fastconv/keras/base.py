"""What a Keras layer is here: a Module that is built when it learns the shape of its input.

Tensors have Keras's layout everywhere in this package: (N, H, W, C), (N, L, C), (N, features).
Convolutions look at them as (N, C, H, W), which costs nothing: the engine's memory is
channels-last.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import numpy as np

from .. import nn
from ..autograd import no_grad
from ..nn import functional as F
from ..tensor import Tensor, wrap

Shape = tuple[Any, ...]
_numbers: defaultdict[str, int] = defaultdict(int)

ACTIVATIONS: dict[str, Any] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "softmax": lambda x: F.softmax(x, -1),
    "elu": F.elu,
    "selu": F.selu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "swish": F.silu,
    "silu": F.silu,
    "gelu": F.gelu,
    "relu6": F.relu6,
    "hard_sigmoid": F.hardsigmoid,
    "mish": F.mish,
    "exponential": lambda x: x.exp(),
}
#: Activations of each element, which may follow before the axes are put back.
POINTWISE = frozenset(ACTIVATIONS) - {"softmax"}


def activation_of(activation: Any) -> Any:
    """An activation by its name, or as it is; None is linear."""
    if activation is None:
        return ACTIVATIONS["linear"]
    if callable(activation):
        return activation
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"there is no activation {activation!r}; there are {', '.join(sorted(ACTIVATIONS))}"
        )
    return ACTIVATIONS[activation]


def forward_order(x: Any) -> Any:
    """(N, *, C) as (N, C, *): a view."""
    rank = x.ndim
    return x.permute(0, rank - 1, *range(1, rank - 1))


def backward_order(x: Any) -> Any:
    """(N, C, *) as (N, *, C): a view."""
    rank = x.ndim
    return x.permute(0, *range(2, rank), 1)


def tuple_of(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """A number for every axis, or one for each."""
    found = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(found) != rank or not all(isinstance(n, int) and n > 0 for n in found):
        raise ValueError(f"{name} must be a positive int or {rank} of them, got {value!r}")
    return found


INITIALIZERS: dict[str, Any] = {
    "glorot_uniform": nn.init.xavier_uniform_,
    "glorot_normal": nn.init.xavier_normal_,
    "he_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "zeros": nn.init.zeros_,
    "ones": nn.init.ones_,
    "random_normal": lambda w: nn.init.normal_(w, 0, 0.05),
    "random_uniform": lambda w: nn.init.uniform_(w, -0.05, 0.05),
}


def initialize(parameter: Any, initializer: Any) -> None:
    """Fill a parameter as an initializer's name says, or by a function of it."""
    if isinstance(initializer, str):
        if initializer not in INITIALIZERS:
            raise ValueError(
                f"there is no initializer {initializer!r}; there are "
                f"{', '.join(sorted(INITIALIZERS))}"
            )
        initializer = INITIALIZERS[initializer]
    initializer(parameter)


class Layer(nn.Module):
    """Base of the layers.

    A subclass defines ``build(shape)``, which makes its parameters for inputs of a shape with None
    for the batch, and ``call(x)``.

    Attributes
    ----------
    name : str
        Given, or made from the class: "conv2d_3".
    built : bool
    input_shape, output_shape : tuple, None before it is built
        With None for the batch.
    trainable : bool
        Setting it freezes or frees all parameters.
    """

    def __init__(self, name: str | None = None, input_shape: Any = None, **other: Any) -> None:
        super().__init__()
        if "input_dim" in other:
            input_shape = (other.pop("input_dim"),)
        other.pop("dtype", None)
        trainable = other.pop("trainable", True)
        if other:
            raise TypeError(f"{type(self).__name__} has no argument {next(iter(other))!r}")
        kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
        kind = re.sub(r"_?(\d)_?d", r"\1d", kind)
        if name is None:
            number = _numbers[kind]
            _numbers[kind] += 1
            name = kind if not number else f"{kind}_{number}"
        self.name, self.built = name, False
        self.given_shape = None if input_shape is None else (None, *input_shape)
        self.input_shape: Any = None
        self.output_shape: Any = None
        self._trainable = trainable

    @property
    def trainable(self) -> bool:
        """Whether the optimiser changes this layer."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for p in self.parameters():
            p.requires_grad = self._trainable

    def build(self, shape: Shape) -> None:
        """Make the parameters."""

    def call(self, x: Any) -> Any:
        """The result for an input."""
        raise NotImplementedError(f"{type(self).__name__} does not define call")

    def prepare(self, shape: Shape) -> Shape:
        """Build for inputs of `shape` unless that is done; the shape of the result."""
        if not self.built:
            self.build(shape)
            self.built, self.input_shape = True, shape
            if not self._trainable:
                self.trainable = False
        self.output_shape = self.shape_for(shape)
        return self.output_shape  # type: ignore[no-any-return]

    def shape_for(self, shape: Any) -> Shape:
        """The result's shape, from a pass of zeros through the layer."""
        training = self.training
        self.eval()
        try:
            with no_grad():
                found = self.call(_zeros(shape))
        finally:
            self.train(training)
        return (None, *found.shape[1:])

    def forward(self, x: Any) -> Any:
        if not self.built:
            shape = [_shape(t) for t in x] if isinstance(x, (list, tuple)) else _shape(x)
            self.prepare(shape)  # type: ignore[arg-type]
        return self.call(x)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from .functional import KerasTensor, connect

        first = args[0] if args else None
        several = isinstance(first, (list, tuple)) and bool(first)
        if isinstance(first, KerasTensor) or (several and isinstance(first[0], KerasTensor)):  # type: ignore[index]
            return connect(self, first)
        training = kwargs.pop("training", None)
        if training is not None:
            self.train(training)
        return super().__call__(*args, **kwargs)

    @property
    def weights(self) -> list[Any]:
        """Parameters and statistics in Keras's order."""
        return [*self.trainable_weights, *self.non_trainable_weights]

    @property
    def trainable_weights(self) -> list[Any]:
        """Parameters."""
        return list(self.parameters())

    @property
    def non_trainable_weights(self) -> list[Any]:
        """Statistics."""
        return [b for b in self.buffers() if b.is_floating_point()]

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights in Keras's layout (kernels (kH, kW, in, out))."""
        return [self.to_keras(t) for t in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        """Take over weights in Keras's layout.

        Raises
        ------
        ValueError
            When their number or a shape differs.
        """
        own = self.weights
        if len(weights) != len(own):
            raise ValueError(f"{self.name} has {len(own)} weights, got {len(weights)}")
        with no_grad():
            for t, w in zip(own, weights, strict=True):
                shape = self.to_keras(t).shape
                if np.shape(w) != shape:
                    raise ValueError(f"{self.name}: expected weights {shape}, got {np.shape(w)}")
                t.copy_(wrap(self.from_keras(t, np.asarray(w))))

    def to_keras(self, t: Any) -> np.ndarray:
        """A weight in Keras's layout."""
        return np.array(t.detach())

    def from_keras(self, t: Any, w: np.ndarray) -> np.ndarray:
        """The inverse of `to_keras`."""
        return w

    def count_params(self) -> int:
        """How many numbers the weights are."""
        return sum(t.numel() for t in self.weights)


def _shape(x: Any) -> Shape:
    return (None, *x.shape[1:])


def _zeros(shape: Any) -> Any:
    if shape and isinstance(shape[0], (tuple, list)):
        return [_zeros(s) for s in shape]
    if any(n is None for n in shape[1:]):
        raise ValueError(f"the shape of an input must be known but for the batch, got {shape}")
    return wrap(np.zeros((1, *shape[1:]), np.float32))


def as_input(x: Any) -> Tensor:
    """Data as a Tensor of the default float type (integers stay, for embeddings and targets)."""
    if isinstance(x, Tensor):
        return x
    array = np.asarray(x)
    if array.dtype not in (np.int64, np.float32) and array.dtype.kind in "biuf":
        array = array.astype(np.float32)
    return wrap(np.ascontiguousarray(array))
