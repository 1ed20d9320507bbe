"""Optimisers by Keras's names and defaults."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import optim


class Optimizer:
    """How an optimiser of :mod:`fastconv.optim` is made, once there are parameters."""

    kind: Any = optim.SGD
    words: ClassVar[dict[str, str]] = {}
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, learning_rate: float | None = None, **options: Any) -> None:
        options.pop("name", None)
        self.clip = {k: options.pop(k, None) for k in ("clipnorm", "clipvalue")}
        if any(v is not None for v in self.clip.values()):
            raise ValueError("clipnorm and clipvalue are arguments of fastconv.train.fit")
        given = {**self.defaults, **options}
        if learning_rate is not None:
            given["learning_rate"] = learning_rate
        self.options: dict[str, Any] = {}
        betas = [given.pop("beta_1", None), given.pop("beta_2", None)]
        if betas[0] is not None:
            self.options["betas"] = tuple(betas)
        for name, value in given.items():
            word = {"learning_rate": "lr", "epsilon": "eps", **self.words}.get(name, name)
            self.options[word] = value

    def make(self, parameters: Any) -> Any:
        """The optimiser of these parameters."""
        return self.kind(parameters, **self.options)


class SGD(Optimizer):
    """Gradient descent: learning_rate=0.01, momentum=0, nesterov=False."""

    kind: Any = optim.SGD
    defaults: ClassVar[dict[str, Any]] = {"learning_rate": 0.01}


class Adam(Optimizer):
    """Adam: learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False."""

    kind: Any = optim.Adam
    defaults: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-3,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
    }


class AdamW(Adam):
    """Adam with decoupled weight decay of 0.004."""

    kind: Any = optim.AdamW
    defaults: ClassVar[dict[str, Any]] = {**Adam.defaults, "weight_decay": 0.004}


class Nadam(Adam):
    """Adam with Nesterov's momentum."""

    kind: Any = optim.NAdam


class Adamax(Adam):
    """Adam with the largest gradient so far."""

    kind: Any = optim.Adamax


class RMSprop(Optimizer):
    """RMSprop: learning_rate=0.001, rho=0.9, momentum=0, epsilon=1e-7, centered=False."""

    kind: Any = optim.RMSprop
    words: ClassVar[dict[str, str]] = {"rho": "alpha"}
    defaults: ClassVar[dict[str, Any]] = {"learning_rate": 1e-3, "rho": 0.9, "epsilon": 1e-7}


class Adagrad(Optimizer):
    """Adagrad: learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7."""

    kind: Any = optim.Adagrad
    defaults: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-3,
        "initial_accumulator_value": 0.1,
        "epsilon": 1e-7,
    }


class Adadelta(Optimizer):
    """Adadelta: learning_rate=0.001, rho=0.95, epsilon=1e-7."""

    kind: Any = optim.Adadelta
    defaults: ClassVar[dict[str, Any]] = {"learning_rate": 1e-3, "rho": 0.95, "epsilon": 1e-7}


NAMES = {
    kind.__name__.lower(): kind
    for kind in (SGD, Adam, AdamW, Nadam, Adamax, RMSprop, Adagrad, Adadelta)
}


def make(optimizer: Any, parameters: Any) -> Any:
    """An optimiser of `parameters`, from a name, one of the above, or ready-made."""
    if isinstance(optimizer, optim.Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        if optimizer.lower() not in NAMES:
            raise ValueError(f"there is no optimizer {optimizer!r}; there are {', '.join(NAMES)}")
        optimizer = NAMES[optimizer.lower()]()
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        optimizer = optimizer()
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be a name or an optimizer, got {optimizer!r:.80}")
    return optimizer.make(parameters)
