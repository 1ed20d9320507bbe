"""oneDNN's published convolution problems: benchdnn's descriptors and batch files as our problems.

A descriptor is a row of keys with numbers, ``mb1_ic3ih224oc64oh112kh7sh2ph3n"name"``, in any order:
``g`` groups; ``mb`` images; ``ic``, ``oc`` channels; and for each of the axes d, h and w its input
``i``, output ``o``, kernel ``k``, stride ``s``, padding ``p`` and dilation ``d`` (0 for taps that
are neighbours). ``n`` begins a name, up to the end. Missing is 1 group, 2 images, stride 1,
dilation 0. An axis that is not given is as the one before it; axes before the first are not there.
Without an output it follows from the padding (0 if not given); without a padding it follows from
the output.

In a batch file a line has options and descriptors; ``#`` begins a comment. ``--mb``, ``--batch``,
``--conv``, ``--deconv`` and ``--reset`` are followed, all others skipped: every problem is run in
every direction, in float32, on the kernel that the planner chooses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fastconv.verify.conv.record import ConvProblem

__all__ = ["descriptor", "problems", "read"]

_KEY = re.compile(r"(g|mb|ic|oc|[iokspd][dhw])(\d+)")
#: Names stand in quotes and may hold spaces.
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')
_AXES = "dhw"


def _values(text: str) -> dict[str, int]:
    """The numbers of a descriptor by key."""
    found: dict[str, int] = {}
    at = 0
    while at < len(text):
        if text[at] == "_":
            at += 1
            continue
        match = _KEY.match(text, at)
        if match is None:
            if text[at] == "n":  # the name
                break
            raise ValueError(f"benchdnn: cannot read {text[at:]!r} of {text!r}")
        found[match[1]] = int(match[2])
        at = match.end()
    return found


def _axis(values: dict[str, int], name: str, transposed: bool, text: str) -> tuple[int, ...]:
    """Input, output, kernel, stride, padding and dilation (1 for neighbours) of an axis."""
    size, kernel = values.get("i" + name, 0), values.get("k" + name, 0)
    if not size or not kernel:
        raise ValueError(f"benchdnn: {text!r} needs i{name} and k{name}")
    stride, dilation = values.get("s" + name, 1), values.get("d" + name, 0) + 1
    if stride < 1:
        raise ValueError(f"benchdnn: s{name} of {text!r} must be positive")
    reach = (kernel - 1) * dilation + 1
    out, pad = values.get("o" + name, 0), values.get("p" + name)
    if not out:
        pad = pad or 0
        if transposed:
            out = (size - 1) * stride + reach - 2 * pad
        else:
            out = (size - reach + 2 * pad) // stride + 1
        if out < 1:
            raise ValueError(f"benchdnn: {text!r} has no output along {name}")
    elif pad is None:
        less, more = (out, size) if transposed else (size, out)
        pad = max(0, ((more - 1) * stride - less + reach) // 2)
    return size, out, kernel, stride, pad, dilation


def descriptor(text: str, images: int = 0, transposed: bool = False) -> ConvProblem:
    """The geometry of a descriptor, as a forward convolution.

    Parameters
    ----------
    text : str
    images : int
        Overrides the descriptor's, if not 0.
    transposed : bool
        Of a deconvolution: the problem is the convolution that it is the adjoint of.

    Raises
    ------
    ValueError
        If it is none, naming what cannot be read or is missing.
    """
    values = _values(text)
    given = [name for name in _AXES if any(key + name in values for key in "iokspd")]
    if not given:
        raise ValueError(f"benchdnn: {text!r} has no axes")
    if "ic" not in values or "oc" not in values:
        raise ValueError(f"benchdnn: {text!r} needs ic and oc")
    axes: list[tuple[int, ...]] = []
    for name in _AXES[_AXES.index(given[0]) :]:
        axes.append(_axis(values, name, transposed, text) if name in given else axes[-1])
    size, out, kernel, stride, pad, dilation = zip(*axes)
    c, k, g = values["ic"], values["oc"], values.get("g", 1)
    if transposed:
        c, k, size, out = k, c, out, size
    if not g or c % g or k % g:
        raise ValueError(f"benchdnn: {g} groups do not divide the channels of {text!r}")
    return ConvProblem(
        n=images or values.get("mb", 2), c=c, k=k, g=g, size=size, out=out, kernel=kernel,
        stride=stride, pad=pad, dilation=dilation,
    )  # fmt: skip


def read(path: Path, transposed: bool = False) -> Iterator[ConvProblem]:
    """The geometries of a batch file and of those it names, in its directory.

    Raises
    ------
    ValueError
        Naming file and line.
    """
    images = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for word in _WORD.findall(line):
            if word.startswith("#"):
                break
            option, _, value = word.partition("=")
            if option == "--reset":
                images = 0
            elif option == "--mb" and value.isdecimal():
                images = int(value)
            elif option in ("--conv", "--deconv"):
                transposed = option == "--deconv"
            elif option == "--batch":
                yield from read(path.parent / value, transposed)
            elif not word.startswith("-"):
                try:
                    yield descriptor(word, images, transposed)
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from None


def problems(path: Path, on: str, isa: str) -> Iterator[ConvProblem]:
    """Every problem of a batch file in every direction, once each."""
    seen = set()
    for geometry in read(path):
        if geometry in seen:
            continue
        seen.add(geometry)
        for op in ("forward", "backward_input", "backward_weight", "backward_bias"):
            last = "plain" if op in ("backward_weight", "backward_bias") else "last"
            yield geometry.but(
                op=op, on=on, isa=isa, route="ops", a="last", to=last, bias=op == "forward",
                b="last" if op == "backward_weight" else "plain",
            )  # fmt: skip
