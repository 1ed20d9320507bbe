"""Timing whole networks on both sides in turn: a training step, and inference of one input.

Both sides are built by the same source (``bench.networks``) and start from the same weights; a
training step is forward, loss, backward and SGD with momentum. PyTorch runs in each of its two
memory formats. What a side needs of memory is measured in a process of its own (``bench.alone``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import fastconv
from bench.networks import Network, numbers
from bench.pairs import FORMATS, Side, shortest

__all__ = ["MODES", "Alone", "Row", "Setup", "merge", "setup", "time_network"]

MODES = ("training", "inference")
Call = Callable[[], Any]


class Alone(NamedTuple):
    """What one side said in a process of its own."""

    seconds: float
    faults: float  # pages mapped per step in steady state
    nbytes: int  # peak of resident memory over what the imports took


class Row(NamedTuple):
    """One network in one mode; ``theirs`` by memory format, ``alone`` and ``others`` by side."""

    network: str
    mode: str
    batch: int
    threads: int
    difference: float  # of the outputs (inference) or the gradients (training), relative
    ours: Side
    theirs: dict[str, Side]
    alone: dict[str, Alone]
    others: dict[str, float]  # seconds of other runtimes, each in a process of its own

    @property
    def best(self) -> Side:
        """PyTorch's better memory format."""
        return min(self.theirs.values())

    @property
    def ratio(self) -> float:
        """PyTorch's time over ours."""
        return self.best.seconds / self.ours.seconds


class Setup(NamedTuple):
    """A network on one side, with what it computes on."""

    module: Any
    x: Any
    step: Call  # trains, or infers


def _formatted(torch: Any, value: Any, ndim: int) -> Any:
    """A tensor or a module of PyTorch's in channels-last."""
    if ndim == 1:  # there is no name for it, but a tensor can be laid out so
        whole = hasattr(value, "parameters")
        return value if whole else value.transpose(1, 2).contiguous().transpose(1, 2)
    form = torch.channels_last if ndim == 2 else torch.channels_last_3d
    return value.to(memory_format=form)


def setup(
    package: Any,
    network: Network,
    mode: str,
    form: str = FORMATS[1],
    state: Any = None,
    double: bool = False,
) -> Setup:
    """Build a network on one side.

    Parameters
    ----------
    package : module
        fastconv or torch.
    network : Network
    mode : {'training', 'inference'}
        Inference is of one input.
    form : str
        Of :data:`bench.pairs.FORMATS`; fastconv is always given NCHW and chooses by itself.
    state : dict of str to ndarray, optional
        Initial weights.
    double : bool
        Compute in float64.
    """
    training = mode == MODES[0]
    package.manual_seed(0)
    module = network.build(package)
    if state is not None:
        module.load_state_dict({k: package.from_numpy(v.copy()) for k, v in state.items()})
    data, target = numbers(network, network.batch if training else 1)
    if double:
        module, data = module.double(), data.astype(np.float64)
        target = target.astype(np.float64) if target.dtype.kind == "f" else target
    x, y = package.from_numpy(data), package.from_numpy(target)
    if form == FORMATS[0]:
        ndim = len(network.x_shape) - 1
        module, x = _formatted(package, module, ndim), _formatted(package, x, ndim)
    if not training:
        module.eval()

        def infer() -> Any:
            with package.no_grad():
                return module(x)

        return Setup(module, x, infer)
    loss = getattr(package.nn.functional, network.loss)
    optimizer = package.optim.SGD(module.parameters(), lr=1e-4, momentum=0.9)

    def train() -> Any:
        optimizer.zero_grad()
        value = loss(module(x), y)
        value.backward()
        optimizer.step()
        return value

    return Setup(module, x, train)


def initial(network: Network) -> dict[str, np.ndarray]:
    """A state to start from: the builders' own weights would let deep networks fade to zero.

    Convolutions get He's initialisation, and running statistics those of one batch.
    """
    module = setup(fastconv, network, MODES[0]).module
    for part in module.modules():
        if hasattr(part, "running_mean"):
            part.momentum = 1.0
        elif getattr(part, "weight", None) is not None and part.weight.ndim > 2:
            fastconv.nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    with fastconv.no_grad():
        module(fastconv.from_numpy(numbers(network, network.batch)[0]))
    return {k: np.array(v.detach().numpy()) for k, v in module.state_dict().items()}


def _result(package: Any, network: Network, mode: str, state: Any) -> np.ndarray:
    """The output in float32, or all gradients of one step in float64 without dropout, flat."""
    training = mode == MODES[0]
    made = setup(package, network, mode, state=state, double=training)
    if not training:
        return np.asarray(made.step().numpy(), np.float64).ravel()
    for module in made.module.modules():
        if type(module).__name__.startswith("Dropout"):
            module.eval()
    made.step()
    return np.concatenate([p.grad.numpy().ravel() for p in made.module.parameters()])


def difference(network: Network, mode: str, state: Any) -> float:
    """Relative distance of what the two sides compute: |a - b| / |b|."""
    import torch

    a, b = (_result(package, network, mode, state) for package in (fastconv, torch))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


#: Gradients are compared in float64: in float32, batch norm over a few values amplifies roundings
#: on their way down fifty layers to some percent.
TOLERANCE = {"training": 1e-8, "inference": 1e-4}


def time_network(
    network: Network,
    *,
    threads: int = 1,
    modes: Sequence[str] = MODES,
    seconds: float = 1.0,
    check: bool = True,
    note: Callable[[str], None] = lambda mode: None,
) -> list[Row]:
    """Time one network on both sides.

    Parameters
    ----------
    network : Network
    threads : int
        Of both sides.
    modes : sequence of str
    seconds : float
        Time spent on each side, about; at least five steps are made.
    check : bool
        Compare what the sides compute before.
    note : callable
        Told which mode was timed.

    Raises
    ------
    RuntimeError
        If the two sides do not compute the same.
    """
    import torch

    before = fastconv.get_num_threads(), torch.get_num_threads()
    state = initial(network)
    rows = []
    try:
        fastconv.set_num_threads(threads)
        torch.set_num_threads(threads)
        for mode in modes:
            error = difference(network, mode, state) if check else 0.0
            if not error < TOLERANCE[mode]:
                raise RuntimeError(f"{network.name}, {mode}: results differ by {error:.2g}")
            sides = {"ours": setup(fastconv, network, mode, state=state).step}
            for form in FORMATS:
                sides[form] = setup(torch, network, mode, form, state).step
            found = shortest(sides, seconds, threads)
            ours = found.pop("ours")
            batch = network.batch if mode == MODES[0] else 1
            rows.append(Row(network.name, mode, batch, threads, error, ours, found, {}, {}))
            note(mode)
    finally:
        fastconv.set_num_threads(before[0])
        torch.set_num_threads(before[1])
    return rows


def merge(old: Row, new: Row) -> Row:
    """One row of two: the shorter time of each side."""

    def least(a: Side, b: Side) -> Side:
        return Side(min(a.seconds, b.seconds), a.calls + b.calls, min(a.faults, b.faults))

    return new._replace(
        ours=least(old.ours, new.ours),
        theirs={form: least(old.theirs[form], new.theirs[form]) for form in old.theirs},
        difference=max(old.difference, new.difference),
        alone={**old.alone, **new.alone},
        others={**old.others, **new.others},
    )
