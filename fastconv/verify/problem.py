"""A problem, its one line of text, and what a family of problems must be able to do.

A problem says everything that decides what is computed: geometry, kernel, type, instruction set,
threads, memory formats and where its numbers come from. Its text reads ``family key=value …``,
leaves out what has its default, and parses back to an equal problem.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, NamedTuple, TypeVar

__all__ = ["Declined", "Failure", "Family", "Problem"]

P = TypeVar("P", bound="Problem")


class Declined(Exception):
    """A problem that cannot be run here, with the reason: not a failure, and not counted."""


@dataclass(frozen=True)
class Problem:
    """The base of every family's record.

    A family adds fields of type int, float, bool, str or tuple of int, each with a default, whose
    type says how the text is read. Tuples are written ``3x3``, booleans ``0`` and ``1``. A str must
    not be empty or hold a space.
    """

    family: ClassVar[str]

    def __str__(self) -> str:
        words = [self.family]
        for name, default in _fields(type(self)):
            value = getattr(self, name)
            if value != default:
                words.append(f"{name}={_written(value)}")
        return " ".join(words)

    @classmethod
    def parse(cls: type[P], text: str) -> P:
        """Read what ``str`` has written.

        Raises
        ------
        ValueError
            Naming the family, the word, and what was expected.
        """
        family, *words = text.split()
        if family != cls.family:
            raise ValueError(f"expected a problem of the family {cls.family!r}, got {family!r}")
        defaults = dict(_fields(cls))
        values: dict[str, Any] = {}
        for word in words:
            name, separator, value = word.partition("=")
            if not separator or name not in defaults or name in values:
                raise ValueError(
                    f"{cls.family}: cannot read {word!r}, expected key=value once each, with a key "
                    f"of {', '.join(defaults)}"
                )
            try:
                values[name] = _read(value, defaults[name])
            except ValueError:
                kind = type(defaults[name]).__name__
                raise ValueError(
                    f"{cls.family}: {name} must be of type {kind}, got {value!r}"
                ) from None
        return cls(**values)

    def but(self: P, **changes: Any) -> P:
        """The same problem with other values of some fields."""
        return dataclasses.replace(self, **changes)


_known: dict[type, list[tuple[str, Any]]] = {}


def _fields(cls: type[Problem]) -> list[tuple[str, Any]]:
    """Names and defaults."""
    found = _known.get(cls)
    if found is None:
        found = _known[cls] = [(f.name, f.default) for f in dataclasses.fields(cls)]
    return found


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value)


def _read(text: str, default: Any) -> Any:
    if isinstance(default, tuple):
        return () if text == "-" else tuple(int(part) for part in text.split("x"))
    if isinstance(default, bool):
        return {"0": False, "1": True}[text] if text in ("0", "1") else _refuse()
    if isinstance(default, str):
        return text or _refuse()
    return type(default)(text)


def _refuse() -> Any:
    raise ValueError


class Failure(NamedTuple):
    """What went wrong with a problem.

    Attributes
    ----------
    problem : Problem
    what : str
        One line: what was wrong, where, and by how much.
    """

    problem: Problem
    what: str

    @property
    def command(self) -> str:
        """The command that shows it again."""
        return f"python -m bench.verify --problem '{self.problem}'"


class Family(ABC):
    """Problems of one kind: how they are drawn, checked and made smaller.

    Attributes
    ----------
    name : str
        The first word of a problem's text.
    problem : type
        Its record.
    properties : sequence of str
        Names of the properties that are to meet every setting.
    """

    name: str
    problem: type[Any]
    properties: Sequence[str]

    @abstractmethod
    def draw(self, rng: Random, number: int) -> Any:
        """A problem, all of whose chance comes from `rng`.

        `number` counts the problems of the family in a run from 0 and says whose turn it is: a
        family goes through its crossings of properties and settings by it.
        """

    @abstractmethod
    def check(self, problem: Any) -> Failure | None:
        """Run a problem and compare; None where all is right.

        Raises
        ------
        Declined
            If it cannot be run here: no such backend, kernel or instruction set.
        """

    @abstractmethod
    def smaller(self, problem: Any) -> Iterator[Any]:
        """Problems that are simpler by one step each, the largest steps first.

        Steps that lead to an invalid problem raise `Declined` in `check`.
        """

    @abstractmethod
    def settings(self, problem: Any) -> Sequence[str]:
        """What ran the problem, as names of settings, one for each of the table's axes."""

    @abstractmethod
    def holds(self, problem: Any) -> Sequence[str]:
        """The properties of the problem, of ``properties``."""

    @abstractmethod
    def expected(self) -> Iterator[tuple[str, str]]:
        """Every pair (property, setting) that a run should meet on this machine."""

    def largest(self) -> dict[str, float]:
        """Figures of the problems checked in this process, by name, of which the largest count."""
        return {}
