"""A training's whole state in a file, from which it goes on to the bit."""

from __future__ import annotations

import os
import random as python_random
from typing import Any

import numpy as np

from .. import random
from ..serialization import load, save
from .callbacks import Callback, Fit

VERSION = 1


def _generators(loader: Any) -> list[Any]:
    """Random generators that the order of a loader's batches comes from, besides the package's."""
    found = [getattr(loader, "generator", None)]
    sampler = getattr(loader, "sampler", None)
    found.append(getattr(sampler, "generator", None))
    return [g for g in dict.fromkeys(found) if g is not None]


def write(path: str | os.PathLike[str], fit: Fit, callbacks: list[Callback], loader: Any,
          best: dict[str, Any]) -> None:  # fmt: skip
    """Write the state after an epoch, in one step."""
    state = {
        "version": VERSION,
        "epoch": fit.epoch,
        "steps": fit.steps,
        "model": fit.model.state_dict(),
        "optimizer": fit.optimizer.state_dict(),
        "scheduler": None if fit.scheduler is None else _plain(fit.scheduler.state_dict()),
        "history": fit.history.rows,
        "best": best,
        "callbacks": [callback.state_dict() for callback in callbacks],
        "random": {
            "fastconv": random.get_rng_state(),
            "numpy": np.random.get_state(),
            "python": python_random.getstate(),
            "loader": [g.get_state() for g in _generators(loader)],
        },
    }
    save(state, path)


def read(
    path: str | os.PathLike[str], fit: Fit, callbacks: list[Callback], loader: Any
) -> dict[str, Any]:
    """Put everything back as it was; returns what is known of the best epoch.

    Raises
    ------
    ValueError
        If the file is not of a training like this one.
    """
    state = load(path)
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise ValueError(f"{os.fspath(path)} is not the state of a training")
    if len(state["callbacks"]) != len(callbacks):
        raise ValueError(
            f"{os.fspath(path)} is of a training with {len(state['callbacks'])} callbacks, "
            f"this one has {len(callbacks)}"
        )
    if (state["scheduler"] is None) != (fit.scheduler is None):
        raise ValueError(f"{os.fspath(path)} and this training do not both have a scheduler")
    fit.model.load_state_dict(state["model"])
    fit.optimizer.load_state_dict(state["optimizer"])
    if fit.scheduler is not None:
        fit.scheduler.load_state_dict(state["scheduler"])
    fit.epoch, fit.steps = state["epoch"], state["steps"]
    fit.history.rows[:] = state["history"]
    for callback, kept in zip(callbacks, state["callbacks"], strict=True):
        callback.load_state_dict(kept)
    drawn = state["random"]
    random.set_rng_state(drawn["fastconv"])
    np.random.set_state(drawn["numpy"])
    version, words, gauss = drawn["python"]
    python_random.setstate((version, tuple(words), gauss))
    for generator, kept in zip(_generators(loader), drawn["loader"], strict=True):
        generator.set_state(kept)
    return state["best"]  # type: ignore[no-any-return]


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """A scheduler's state without what cannot be written: functions stay with the program."""
    return {k: v for k, v in state.items() if not callable(v)}
