"""Compares what the runs of a program have seen, shrinks what fails, and counts."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TextIO

import numpy as np

import fastconv

from .execute import Machine, observe
from .program import ACTIVATIONS, Program, draw_program

#: Of the largest value of an array, by how much float64 may differ from PyTorch's.
ROUNDING = 1e-8


@dataclass(frozen=True)
class Failure:
    """A program that fails, as short as it was found, and what differs."""

    program: Program
    against: str  # "plain" or "torch"
    what: str

    def __str__(self) -> str:
        return f'{self.against}: {self.what}\n    python -m fastconv.verify.graphs "{self.program}"'


def fused(program: Program) -> Machine:
    """The program as it runs by default."""
    with fastconv.fusion(True):
        return observe(fastconv, program)


def plain(program: Program) -> Machine:
    """The program with each operation computed on its own."""
    with fastconv.fusion(False):
        return observe(fastconv, program)


def in_torch(program: Program) -> Machine:
    """The program in PyTorch."""
    import torch
    import torch.utils.checkpoint

    return observe(torch, program)


def same_bits(a: Any, b: Any) -> bool:
    """Whether two observations are equal to the last bit, one NaN being as good as another."""
    if isinstance(a, str) or isinstance(b, str):
        return bool(a == b)
    if a.shape != b.shape or a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=True):
        return False
    return np.array_equal(np.signbit(a[a == 0]), np.signbit(b[b == 0]))


def nearly(a: Any, b: Any) -> bool:
    """Whether two observations differ by roundings of float64 only; of an error, both are."""
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    scale = float(np.abs(b[np.isfinite(b)]).max(initial=1.0))
    return bool(np.allclose(a, b, rtol=0, atol=ROUNDING * scale, equal_nan=True))


def difference(one: Machine, two: Machine, equal: Callable[[Any, Any], bool]) -> str:
    """The first observation in which two runs differ, in words; empty where they do not."""
    for a, b in zip(one.seen, two.seen, strict=False):
        if a.of != b.of:
            return f"{a.of} ({_told(one, a.value)}), there {b.of} ({_told(two, b.value)})"
        if not equal(a.value, b.value):
            if isinstance(a.value, str) or isinstance(b.value, str):
                return f"{a.of}: {_told(one, a.value)}, there {_told(two, b.value)}"
            if a.value.shape != b.value.shape or a.value.dtype != b.value.dtype:
                return f"{a.of}: {a.value.shape} {a.value.dtype}, there {b.value.shape}"
            apart = np.nanmax(np.abs(a.value - b.value), initial=0)
            return f"{a.of} differs by {apart:.3g} of {np.nanmax(np.abs(b.value), initial=0):.3g}"
    if len(one.seen) != len(two.seen):
        longer = max(one, two, key=lambda m: len(m.seen))
        return f"only one has seen {longer.seen[min(len(one.seen), len(two.seen))].of}"
    return ""


def _told(machine: Machine, value: Any) -> str:
    return getattr(machine, "message", value) if isinstance(value, str) else "a value"


def check(program: Program, with_torch: bool = False) -> tuple[str, str]:
    """Run a program every way; against what it fails and how, or two empty strings.

    Parameters
    ----------
    program : Program
    with_torch : bool
        Compare with PyTorch too: values in float64, and in which step an error is raised.
    """
    ours = plain(program)
    what = difference(fused(program), ours, same_bits)
    if what:
        return "plain", what
    if with_torch and comparable(program):
        theirs = in_torch(program)
        what = difference(ours, theirs, nearly)
        if what and not refused(program, theirs):
            return "torch", what
    return "", ""


def comparable(program: Program) -> bool:
    """Whether PyTorch computes the same but for roundings: the same random numbers there are not.

    In float32, roundings grow too much to be told from errors.
    """
    random = any(step.name == "drop" and step.args[-1] for step in program.steps)
    return program.dtype == "float64" and not random


def refused(program: Program, theirs: Machine) -> bool:
    """Whether PyTorch raised where we, on purpose, do not.

    After a change in place: our ReLU6, leaky ReLU, Hardtanh and ELU keep the result, not the input,
    and copy it before it is changed. And of a result of backward hooks, which there is a view.
    """
    message = getattr(theirs, "message", "")
    if "This behavior is forbidden" in message:
        return True
    copying = ("relu6", "leaky_relu", "hardtanh", "elu")
    used = any(s.name == "act" and ACTIVATIONS[s.args[1]] in copying for s in program.steps)
    return used and "modified by an inplace operation" in message


def shrink(program: Program, against: str, limit: float = 20) -> Program:
    """The program with all steps and rounds left out without which it still fails so."""
    until = time.monotonic() + limit

    def fails(candidate: Program) -> bool:
        return check(candidate, against == "torch")[0] == against

    best, again = program, True
    while again and time.monotonic() < until:
        again = False
        for smaller in _smaller(best):
            if time.monotonic() > until:
                break
            if fails(smaller):
                best, again = smaller, True
                break
    return best


def _smaller(program: Program) -> list[Program]:
    found = []
    rounds = program.rounds
    for i in range(len(rounds)):
        if len(rounds) > 1:
            found.append(replace(program, rounds=rounds[:i] + rounds[i + 1 :]))
    found += [program.without(i) for i in reversed(range(len(program.steps)))]
    for i, (mode, edit) in enumerate(rounds):
        if edit != "none":
            shorter = (*rounds[:i], (mode, "none"), *rounds[i + 1 :])
            found.append(replace(program, rounds=shorter))
    if program.threads > 1:
        found.append(replace(program, threads=1))
    return found


def run(
    count: int,
    seed: int = 0,
    with_torch: bool | None = None,
    stream: TextIO | None = None,
    most: int = 20,
) -> tuple[int, list[Failure]]:
    """Draw `count` programs from seeds `seed`, `seed` + 1, … and run each every way.

    Parameters
    ----------
    count, seed : int
    with_torch : bool, optional
        Compare with PyTorch too; by default where it is installed.
    stream : file, optional
        Where failures are written as they are found.
    most : int
        Stop after so many failures.

    Returns
    -------
    count : int
        Programs run.
    failures : list of Failure
        Shrunk.
    """
    if with_torch is None:
        with_torch = importlib.util.find_spec("torch") is not None
    failures: list[Failure] = []
    for i in range(seed, seed + count):
        program = draw_program(i)
        against, what = check(program, with_torch)
        if not against:
            continue
        small = shrink(program, against)
        failures.append(Failure(small, against, check(small, against == "torch")[1] or what))
        if stream is not None:
            print(failures[-1], file=stream, flush=True)
        if len(failures) >= most:
            return i - seed + 1, failures
    return count, failures


def main(arguments: list[str] | None = None) -> int:
    """``python -m fastconv.verify.graphs [COUNT [SEED]]``, or a program's line to run again."""
    from .program import parse

    words = sys.argv[1:] if arguments is None else arguments
    torch = importlib.util.find_spec("torch") is not None
    if words and "|" in words[0]:
        against, what = check(parse(words[0]), torch)
        print(f"{against}: {what}" if against else "agrees")
        return int(bool(against))
    count, seed = (int(w) for w in (*words, *("200", "0")[len(words) :])[:2])
    ran, failures = run(count, seed, torch, sys.stdout)
    print(f"{ran} programs, {len(failures)} failed")
    return int(bool(failures))
