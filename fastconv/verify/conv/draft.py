"""A geometry in the making: what a kernel needs and a property asks for first, then the rest.

Whoever comes first has a field; what is left is filled in at random, and what is too large for the
number of products allowed is made smaller, fields that were asked for last.
"""

from __future__ import annotations

from random import Random
from typing import Any

__all__ = ["WIDTHS", "Axis", "Draft", "Unsuitable"]

#: Numbers of channels around the widths of vectors and tiles.
WIDTHS = (
    1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 20, 24, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 96,
    127, 128, 130,
)  # fmt: skip
_SMALL = (1, 1, 2, 3, 3, 4, 5, 6, 8, 9, 12, 16, 17, 20, 32, 33)
_SIZES = {
    1: (1, 2, 3, 5, 7, 8, 9, 13, 16, 17, 20, 31, 33, 40, 64, 65, 100, 150),
    2: (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 17, 20, 28, 33, 40),
    3: (1, 2, 3, 4, 5, 6, 7, 9, 12),
}
_KERNELS = {1: (1, 2, 3, 3, 4, 5, 7, 9, 11), 2: (1, 1, 2, 3, 3, 3, 4, 5, 6, 7), 3: (1, 2, 3, 3, 4)}


class Unsuitable(Exception):
    """What was asked for does not go together."""


class Axis:
    """One axis: size, kernel, stride, dilation, padding before and after; `fewer` outputs."""

    __slots__ = ("d", "fewer", "k", "n", "p", "q", "s")

    def __init__(self) -> None:
        self.n: Any = None
        self.k: Any = None
        self.s: Any = None
        self.d: Any = None
        self.p: Any = None
        self.q: Any = None
        self.fewer = 0

    def want(self, **values: int) -> None:
        """Set what nobody has set yet."""
        for name, value in values.items():
            if getattr(self, name) is None:
                setattr(self, name, value)

    def fill(self, rng: Random, ndim: int) -> None:
        """Set the rest."""
        if self.k is None:
            self.k = rng.choice(_KERNELS[ndim])
        if self.s is None:
            self.s = rng.choice((1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5))
        if self.d is None:
            self.d = rng.choice((1, 1, 1, 1, 1, 1, 2, 2, 3, 4)) if self.k > 1 else 1
        if self.p is None:
            reach = self.reach
            self.p = rng.choice((0, 0, reach // 2, reach // 2, reach // 2, rng.randint(0, reach)))
        if self.q is None:
            self.q = self.p
        if self.n is None:
            self.n = rng.choice(_SIZES[ndim])
            self.n = max(self.n, self.least)

    @property
    def reach(self) -> int:
        """Distance of the first tap from the last."""
        return ((self.k or 1) - 1) * (self.d or 1)

    @property
    def least(self) -> int:
        """The smallest size with an output."""
        return max(1, self.reach + 1 - (self.p or 0) - (self.q or 0))

    @property
    def out(self) -> int:
        """Outputs; none where there is no room."""
        room = self.n + self.p + self.q - self.reach - 1
        return room // self.s + 1 - self.fewer if room >= 0 else 0


class Draft:
    """A convolution in the making; None is what nobody has set yet."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.ndim: Any = None
        self.n: Any = None
        self.groups: Any = None
        self.per_in: Any = None  # channels of a group
        self.per_out: Any = None
        self.depthwise = self.uneven = False
        self.cap = 1
        self.layouts: dict[str, str] = {}
        #: What each axis begins with.
        self.every: dict[str, int] = {}
        self._axes: list[Axis] = []

    def want(self, **values: int) -> None:
        """Set what nobody has set yet."""
        for name, value in values.items():
            if getattr(self, name) is None:
                setattr(self, name, value)

    def axes(self, least: int = 1) -> list[Axis]:
        """The axes; their number is decided now, if nobody has.

        Raises
        ------
        Unsuitable
            If there are fewer than `least`.
        """
        if not self._axes:
            if self.ndim is None:
                self.ndim = max(least, self.rng.choice((1, 2, 2, 2, 3)))
            self._axes = [Axis() for _ in range(self.ndim)]
            for axis in self._axes:
                axis.want(**self.every)
        if len(self._axes) < least:
            raise Unsuitable
        return self._axes

    def axis(self) -> Axis:
        """Any axis, more often the last, whose kernels are the most special."""
        axes = self.axes()
        return axes[-1] if self.rng.random() < 0.5 else self.rng.choice(axes)

    def lay(self, role: str, layout: str) -> None:
        """Say how an operand lies, unless somebody has."""
        self.layouts.setdefault(role, layout)

    def fill(self) -> None:
        """Set the rest, within the products allowed if that can be."""
        rng, axes = self.rng, self.axes()
        pinned = [axis.n is not None for axis in axes]
        for axis in axes:
            axis.fill(rng, self.ndim)
        free = {
            name for name in ("n", "groups", "per_in", "per_out") if getattr(self, name) is None
        }
        if self.groups is None:
            self.groups = rng.choice((1, 1, 1, 1, 2, 3, 4, 8, 17, 32))
        widths = WIDTHS if self.groups == 1 else _SMALL
        self.want(n=rng.choice((1, 1, 1, 2, 2, 3, 5)), per_in=rng.choice(widths))
        self.want(per_out=rng.choice(widths))
        for _ in range(60):
            if self.products() <= self.cap:
                return
            self._reduce(free, pinned)

    def _reduce(self, free: set[str], pinned: list[bool]) -> None:
        """Make one thing smaller: half, or what it must have at least."""
        rng, choices = self.rng, list[Axis]()
        for axis, fixed in zip(self.axes(), pinned):
            if axis.n > axis.least and not fixed:
                choices += [axis] * (3 if axis.n > 8 else 1)
        names = [name for name in sorted(free) if getattr(self, name) > 1]
        if choices and (not names or rng.random() < 0.5):
            axis = rng.choice(choices)
            axis.n = max(axis.least, axis.n // 2, 1)
        elif names:
            name = rng.choice(names)
            value = getattr(self, name)
            setattr(self, name, 1 if name == "n" else rng.choice([w for w in WIDTHS if w < value]))
        else:
            self.cap *= 2

    def products(self) -> int:
        """Products of the direct algorithm."""
        total = max(self.n, 1) * self.groups * self.per_in * self.per_out
        for axis in self.axes():
            total *= max(axis.out, 1) * (axis.k or 1)
        return total
