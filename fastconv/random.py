"""Random numbers: one package-wide generator, seeded by :func:`manual_seed`."""

from __future__ import annotations

import os
import weakref
from typing import Any

import numpy as np

from ._locks import free


class Generator:
    """A source of random numbers with PyTorch's interface over ``numpy.random.Generator``.

    Parameters
    ----------
    device : optional
        Only the CPU exists.
    """

    __slots__ = ("_seed", "_rng", "_children", "__weakref__")

    def __init__(self, device: Any = "cpu") -> None:
        from .dtypes import device as as_device

        as_device(device)
        self._seed: int | None = None
        self._rng: Any = None
        self._children = 0
        _generators.add(self)

    @property
    def rng(self) -> np.random.Generator:
        """The NumPy generator, made on first use."""
        if self._rng is None:
            self.manual_seed(self.initial_seed())
        return self._rng

    def manual_seed(self, seed: int) -> Generator:
        """Start again from `seed`; returns the generator itself."""
        self._seed = int(seed)
        self._rng = np.random.Generator(np.random.PCG64(self._seed & (2**64 - 1)))
        self._children = 0
        return self

    def child_seed(self) -> int:
        """The next of a sequence of seeds for others, which takes nothing from the draws.

        The sequence begins again with :meth:`manual_seed`.

        Returns
        -------
        int
            From 0 to 2**62 - 1.
        """
        seed = self.initial_seed() & (2**64 - 1)
        child = np.random.SeedSequence(seed, spawn_key=(self._children,))
        self._children += 1
        return int(child.generate_state(1, np.uint64)[0]) >> 2

    def seed(self) -> int:
        """Start again from a seed taken from the operating system, which is returned."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self.initial_seed()

    def initial_seed(self) -> int:
        """The seed this generator started from."""
        if self._seed is None:
            self._seed = int.from_bytes(os.urandom(8), "little")
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """Everything needed to continue the sequence from here."""
        state = self.rng.bit_generator.state
        return {"seed": self.initial_seed(), "state": state, "children": self._children}

    def set_state(self, state: dict[str, Any]) -> Generator:
        """Continue from what :meth:`get_state` returned."""
        self.manual_seed(state["seed"])
        self._rng.bit_generator.state = state["state"]
        self._children = state.get("children", 0)
        return self


_generators: weakref.WeakSet[Generator] = weakref.WeakSet()
default_generator = Generator()


def rng(generator: Generator | None = None) -> np.random.Generator:
    """The NumPy generator behind `generator`, or behind the package's own one."""
    if generator is None:
        return default_generator.rng
    if not isinstance(generator, Generator):
        raise TypeError(f"generator must be a Generator, got {generator!r:.80}")
    return generator.rng


def manual_seed(seed: int) -> Generator:
    """Seed the package's generator, so that what follows is reproducible.

    Parameters
    ----------
    seed : int

    Returns
    -------
    Generator
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the package's generator from the operating system and return the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the package's generator."""
    return default_generator.initial_seed()


def get_rng_state() -> dict[str, Any]:
    """The state of the package's generator."""
    return default_generator.get_state()


def set_rng_state(state: dict[str, Any]) -> None:
    """Continue the package's generator from a state of :func:`get_rng_state`."""
    default_generator.set_state(state)


def _after_fork() -> None:
    # NumPy's generators are locked while they draw, in whatever thread.
    for generator in list(_generators):
        if generator._rng is not None:
            free(generator._rng.bit_generator.lock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
