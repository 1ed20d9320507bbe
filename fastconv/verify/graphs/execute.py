"""Runs a program with a library of PyTorch's names: fastconv, or PyTorch itself.

What is seen on the way is a list of observations: outputs, gradients of all leaves and of what was
kept, what hooks were given, running statistics, or the error and the step that raised it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from .program import ACTIVATIONS, Program, Step

#: Larger values are not made: a program stays quick.
MOST_CHANNELS = 64
MOST_ELEMENTS = 400_000


class Seen(NamedTuple):
    """One observation: what it is of, and an array, or the name of an error's type."""

    of: str
    value: Any


class Failed(Exception):
    """A step raised `cause`."""

    def __init__(self, step: str, cause: Exception) -> None:
        super().__init__(step)
        self.step, self.cause = step, cause


class Machine:
    """A program being run: its network, the values so far, and what has been seen."""

    def __init__(self, library: Any, program: Program) -> None:
        self.lib, self.program = library, program
        self.functional = library.nn.functional
        self.seen: list[Seen] = []
        self.kind = getattr(library, program.dtype)
        self.rank = len(program.shape) - 1 - program.batched
        self.channel = int(program.batched)
        self.net = self._network()
        self.values: dict[int, Any] = {}
        self.kept: list[tuple[str, Any]] = []
        self.outs: list[Any] = []
        self.where = ""

    # ------------------------------------------------------------ parts

    def _network(self) -> Any:
        nn, machine = self.lib.nn, self
        base: Any = nn.Module

        class Network(base):
            """All layers of the program, and its steps as forward."""

            def __init__(self) -> None:
                super().__init__()
                self.layers = nn.ModuleDict()

            def forward(self, x: Any) -> Any:
                machine.steps(x)
                return machine.outs[-1]

        return Network()

    def random(self, *key: int) -> np.random.Generator:
        """Random numbers that depend on the program's seed and a key alone."""
        return np.random.default_rng((self.program.seed, *key))

    def tensor(self, array: np.ndarray) -> Any:
        """A tensor of the program's type with these values."""
        return self.lib.tensor(array.tolist(), dtype=self.kind).reshape(array.shape)

    def channels_last(self, x: Any) -> Any:
        """A copy of (N, C, H, W) in channels-last memory, anything else as it is.

        PyTorch 2.13 keeps single images as they are: its batch norm gives wrong gradients for them
        in that memory, where the gradient of the result is in the plain one.
        """
        if x.ndim != 4 or (x.shape[0] == 1 and self.lib.__name__ == "torch"):
            return x
        return x.contiguous(memory_format=self.lib.channels_last)

    def layer(self, key: str, make: Callable[[], Any]) -> Any:
        """The layer of this key, made when first asked for, its parameters of the seed."""
        layers = self.net.layers
        if key not in layers:
            number = int.from_bytes(key.encode(), "little") % 2**31
            with self.lib.inference_mode(False), self.lib.no_grad():
                module = make().to(self.kind)
                for nr, (name, p) in enumerate(module.named_parameters()):
                    values = self.random(number, nr).standard_normal(tuple(p.shape))
                    if p.ndim > 1:
                        values *= (2 / max(1, math.prod(p.shape[1:]))) ** 0.5
                    else:
                        values = 0.3 * values + (name.endswith("weight"))
                    p.copy_(self.tensor(values))
            module.train(self.net.training)
            layers[key] = module
        return layers[key]

    def named(self, family: str) -> Any:
        """``nn.<family><rank>d``."""
        return getattr(self.lib.nn, f"{family}{self.rank}d")

    def image(self, v: Any) -> bool:
        """Whether a value has channels and the program's spatial axes, none of them empty."""
        return v.ndim == self.rank + 1 + self.channel and v.numel() > 0

    # ------------------------------------------------------------ running

    def find(self, reference: int) -> int:
        """The label of the last value made at or before this one."""
        return max(label for label in self.values if label <= reference)

    def pair(self, first: int, second: int, fits: Callable[[Any, Any], bool]) -> Any:
        """The value `first`, and the nearest to `second` that fits it, or None."""
        a = self.values[self.find(first)]
        labels = sorted(self.values, key=lambda label: (abs(label - second), label))
        for label in labels:
            b = self.values[label]
            if b is not a and fits(a, b):
                return a, b
        return None

    def steps(self, x: Any) -> None:
        """All steps on the input x."""
        from .steps import RUN

        self.values, self.kept, self.outs = {0: x}, [], []
        for step in self.program.steps:
            self.where = str(step)
            try:
                made = RUN[step.name](self, step)
            except Exception as error:
                raise Failed(str(step), error) from error
            if made is not None:
                if made.numel() > MOST_ELEMENTS:
                    continue
                self.values[step.label] = made
        self.outs.append(self.values[max(self.values)])

    def run(self) -> list[Seen]:
        """All rounds; what was seen."""
        for number, (mode, edit) in enumerate(self.program.rounds):
            try:
                self.round(number, mode)
            except Failed as failed:
                self.see(f"round {number}: error in {failed.step}", type(failed.cause).__name__)
                self.message = f"{type(failed.cause).__name__}: {failed.cause}"
                return self.seen
            edit_weights(self, edit, number)
        return self.seen

    def see(self, of: str, value: Any) -> None:
        """Note an observation; of a tensor a copy of its values."""
        if hasattr(value, "detach"):
            value = np.array(value.detach().numpy())
        self.seen.append(Seen(of, value))

    def round(self, number: int, mode: str) -> None:
        """One forward pass, with backward where gradients are recorded."""
        program, lib = self.program, self.lib
        self.net.train(mode != "eval")
        if mode in ("nograd", "infer") and number % 2:
            self.net.eval()
        x = self.tensor(self.random(number).standard_normal(program.shape))
        if program.style == "last":
            x = self.channels_last(x)
        lib.manual_seed(program.seed + number)
        graph = mode in ("train", "eval")
        x.requires_grad_(graph)
        context: AbstractContextManager[Any] = nullcontext()
        if not graph:
            context = lib.no_grad() if mode == "nograd" else lib.inference_mode()
        with context:
            if program.style == "bare":
                self.steps(x)
            else:
                self.net(x)
        at = f"round {number}: "
        if graph:
            self.backward(at, x)
        for i, out in enumerate(self.outs):
            self.see(f"{at}output {i}", out)
        for name, buffer in self.net.named_buffers():
            self.see(f"{at}{name}", buffer)

    def backward(self, at: str, x: Any) -> None:
        """A loss of all outputs, and its gradients."""
        loss: Any = None
        for i, out in enumerate(self.outs):
            weights = self.random(1000 + i).standard_normal(tuple(out.shape))
            part = (out * self.tensor(weights)).sum()
            loss = part if loss is None else loss + part
        if not loss.requires_grad:
            return
        try:
            loss.backward()
        except Exception as error:
            raise Failed("backward", error) from error
        self.see(f"{at}loss", loss)
        for name, leaf in (("input", x), *self.net.named_parameters(), *self.kept):
            if leaf.grad is not None:
                self.see(f"{at}gradient of {name}", leaf.grad)


def observe(library: Any, program: Program) -> Machine:
    """Run a program on a library's network; what was seen is in ``seen``."""
    threads = library.get_num_threads()
    library.set_num_threads(program.threads)
    try:
        with np.errstate(all="ignore"):
            machine = Machine(library, program)
            machine.run()
    finally:
        library.set_num_threads(threads)
    return machine


def edit_weights(machine: Machine, edit: str, number: int) -> None:
    """Change the weights between two rounds, one of the ways in which people do it."""
    lib, net = machine.lib, machine.net
    parameters = list(net.parameters())
    if edit == "sgd" and parameters:
        lib.optim.SGD(parameters, lr=0.1, momentum=0.9).step()
    elif edit == "inplace":
        with lib.no_grad():
            for p in parameters:
                p.mul_(0.5)
    elif edit == "data":
        for p in parameters:
            p.data.add_(0.25)
    elif edit == "copy":
        with lib.no_grad():
            for p in parameters:
                p.copy_(p * 0.75)
    elif edit == "load":
        net.load_state_dict({name: t * 0.5 for name, t in net.state_dict().items()})
    elif edit == "numpy":
        for p in parameters:
            array = p.detach().numpy()
            array *= 0.5
    elif edit == "deepcopy":
        net.zero_grad()
        # The copied class still belongs to this machine, whose network it becomes.
        machine.net = copy.deepcopy(net)
    if edit != "keep":
        machine.net.zero_grad()


def references(step: Step, count: int) -> Iterator[int]:
    """The first `count` arguments."""
    return iter(step.args[:count])


__all__ = ["ACTIVATIONS", "Failed", "Machine", "Seen", "observe"]
