"""Axes of the inputs that may have any size, and the examples that tell their sizes apart.

A network is recorded twice, the second time with other sizes on these axes. A size of the program
that differs between the two runs depends on them. All go from one size to another by ratios of
their own, so that the pair (first, second) says which axis a size comes from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ..errors import ExportError

#: By how much sizes grow for the second run; the first that the network takes. An odd step tells
#: apart what is rounded up and what is rounded down.
STEPS = (33, 32, 64, 16, 8, 4)


class Axis(NamedTuple):
    """A size that may vary.

    Attributes
    ----------
    name : str
        As the file has it.
    places : tuple of (int, int)
        (input, axis) where it stands.
    size, other : int
        In the first and in the second run.
    """

    name: str
    places: tuple[tuple[int, int], ...]
    size: int
    other: int

    @property
    def step(self) -> int:
        """The least by which it grows where nothing else is asked for: 1 of a batch, else 0."""
        return int(all(axis == 0 for _, axis in self.places))


def batch_axis(inputs: Sequence[np.ndarray]) -> list[Axis]:
    """Axis 0 of all inputs.

    Raises
    ------
    ExportError
        If it is not one size.
    """
    if not all(a.ndim for a in inputs) or len({len(a) for a in inputs}) > 1:
        raise ExportError(
            f"export(): inputs of shapes {[a.shape for a in inputs]} have no batch along axis 0 "
            "in common; use dynamic_batch=False"
        )
    n = len(inputs[0])
    return [Axis("batch", tuple((k, 0) for k in range(len(inputs))), n, n + 1)] if n else []


def named_axes(
    given: Any, inputs: Sequence[np.ndarray], names: Sequence[str], outputs: Sequence[str] | None
) -> list[Axis]:
    """What PyTorch's ``dynamic_axes`` asks for.

    Parameters
    ----------
    given : dict
        Name of an input or output: the axes that vary, a list of int or a dict from int to a name.
    inputs : sequence of ndarray
    names, outputs : sequence of str
        Of inputs and outputs; None where the outputs have no names yet.

    Raises
    ------
    ExportError
        For names and axes that are not there, and sizes with one name that differ.
    """
    if not isinstance(given, Mapping):
        raise ExportError(
            "export(): dynamic_axes must be a dict from names to axes, got a "
            f"{type(given).__name__}"
        )
    found: dict[str, list[tuple[int, int]]] = {}
    for name, axes in given.items():
        if name not in names:
            if outputs is not None and name not in outputs:
                raise ExportError(
                    f"export(): dynamic_axes names {name!r}; the inputs are {', '.join(names)}, "
                    f"the outputs {', '.join(outputs)}"
                )
            continue
        k = list(names).index(name)
        for axis, label in labels(name, axes, inputs[k].ndim).items():
            found.setdefault(_label(label, axis, inputs[k].shape[axis]), []).append((k, axis))
    made = []
    for label, places in found.items():
        sizes = {inputs[k].shape[axis] for k, axis in places}
        if len(sizes) > 1 or 0 in sizes:
            raise ExportError(
                f"export(): the axis {label!r} has the sizes {sorted(sizes)} in the example; one "
                "name is one size, which is not 0"
            )
        made.append(Axis(label, tuple(places), sizes.pop(), 0))
    if len({axis.name for axis in made}) < len(made):
        raise ExportError(f"export(): dynamic_axes gives two sizes one name: {given}")
    return made


def labels(name: str, axes: Any, rank: int) -> dict[int, str | None]:
    """Axes with their names, as one entry of ``dynamic_axes`` gives them."""
    pairs = dict(axes) if isinstance(axes, Mapping) else dict.fromkeys(axes)
    out: dict[int, str | None] = {}
    for axis, label in pairs.items():
        if not isinstance(axis, int) or not -rank <= axis < rank:
            raise ExportError(
                f"export(): dynamic_axes names axis {axis!r} of {name}, which has {rank} axes"
            )
        out[axis % rank] = None if label is None else str(label)
    return out


def _label(label: str | None, axis: int, size: int) -> str:
    """The name of an axis without one: equal sizes at one place are one."""
    if label is not None:
        return label
    return "batch" if axis == 0 else f"axis_{axis}_of_{size}"


def choices(axes: Sequence[Axis]) -> Iterator[list[Axis]]:
    """The axes with sizes for the second run, from large steps to small ones."""
    for step in STEPS:
        ratios: set[Fraction] = set()
        made = []
        for axis in axes:
            grow = axis.step or step
            other = axis.size + grow
            while Fraction(other, axis.size) in ratios:
                other += 2 * grow
            ratios.add(Fraction(other, axis.size))
            made.append(axis._replace(other=other))
        yield made
        if all(axis.step for axis in axes):
            return


def resized(inputs: Sequence[np.ndarray], axes: Sequence[Axis]) -> list[np.ndarray]:
    """Copies of the inputs in the sizes of the second run, what is there repeated."""
    out = [a.copy() for a in inputs]
    for axis in axes:
        for k, at in axis.places:
            n = out[k].shape[at]
            out[k] = out[k].take(np.arange(axis.other) % n, at)
    return out


def declared(axes: Sequence[Axis], number: int, shape: Sequence[int]) -> list[Any]:
    """An input's sizes, names where they may vary."""
    dims: list[Any] = list(shape)
    for axis in axes:
        for k, at in axis.places:
            if k == number:
                dims[at] = axis.name
    return dims
