"""Steps of the optimisers on lists of ndarrays, all parameters in one call of a kernel.

Arrays of one position belong together and have one shape.  What a step changes is changed in
place, whatever its memory order; kernels see C-contiguous arrays of one type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import is_
from typing import Any

import numpy as np

from fastconv import planner
from fastconv.ops.layout import Array


class Arrays(list[Array]):
    """Arrays that a kernel gets, the same objects at every step that gives it this list.

    Attributes
    ----------
    cache : dict
        What backends derive from them, as from a geometry.
    """

    __slots__ = ("cache",)

    def __init__(self, arrays: Iterable[Array]) -> None:
        super().__init__(arrays)
        self.cache: dict[Any, Any] = {}


class _Group:
    """Some of the positions, of one type, as kernels want them.

    Attributes
    ----------
    written : list of Arrays
        Those of the lists that the kernel writes: themselves, or copies that `home` brings back.
    """

    def __init__(
        self, kind: np.dtype, positions: list[int], lists: Sequence[Sequence[Array]]
    ) -> None:
        self.kind = kind
        self.positions = positions
        self.copies: list[tuple[Array, Array]] = []
        self.written = [Arrays([self._own(arrays[i]) for i in positions]) for arrays in lists]

    def _own(self, a: Array) -> Array:
        if a.flags.carray and a.dtype == self.kind:
            return a
        if not a.flags.writeable:
            raise ValueError(f"step: a parameter of shape {a.shape} is read-only")
        copy = np.array(a, self.kind, order="C")
        self.copies.append((a, copy))
        return copy

    def read(self, arrays: Sequence[Array]) -> list[Array]:
        """Arrays that the kernel reads."""
        kind, found = self.kind, []
        for i in self.positions:
            a = arrays[i]
            if a.dtype != kind or not a.flags.c_contiguous:
                a = np.ascontiguousarray(a, kind).reshape(a.shape)
            found.append(a)
        return found

    def home(self) -> None:
        """Bring the results back to where copies were made."""
        for a, copy in self.copies:
            a[...] = copy


class Kept:
    """The groups of the last step, for one on the same arrays."""

    __slots__ = ("groups", "lists")

    def __init__(self) -> None:
        self.lists: list[list[Array]] = []
        self.groups: list[_Group] = []

    def same(self, lists: Sequence[Sequence[Array]]) -> bool:
        """Whether these are the arrays of the last step, and may be written as they were."""
        if [len(a) for a in lists] != [len(a) for a in self.lists]:
            return False
        for new, old in zip(lists, self.lists, strict=True):
            if not all(map(is_, new, old)):
                return False
        return all([a.flags.carray for a in lists[0]])


def _groups(lists: Sequence[Sequence[Array]], kept: Kept | None) -> list[_Group]:
    """The positions by type, of parameters and what else is written.

    Types without kernels are computed in float32.
    """
    if kept is not None and kept.lists and kept.same(lists):
        return kept.groups
    by_kind: dict[np.dtype, list[int]] = {}
    for i, p in enumerate(lists[0]):
        kind = p.dtype if p.dtype.char in "fd" else np.dtype(np.float32)
        by_kind.setdefault(kind, []).append(i)
    groups = [_Group(kind, positions, lists) for kind, positions in by_kind.items()]
    if kept is not None:
        lasting = not any(group.copies for group in groups)
        kept.groups, kept.lists = (groups, [list(a) for a in lists]) if lasting else ([], [])
    return groups


def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    velocities: Sequence[Array],
    first: Sequence[bool],
    *,
    rate: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    decay: float = 0.0,
    maximize: bool = False,
    nesterov: bool = False,
    kept: Kept | None = None,
) -> None:
    """Step by SGD: ``d = ±g + decay p; v = momentum v + (1 - dampening) d; p -= rate v``.

    Parameters
    ----------
    params, grads : sequence of ndarray
    velocities : sequence of ndarray
        Empty without momentum.
    first : sequence of bool
        Whether a parameter's velocity begins here, as d.
    nesterov : bool
        ``p -= rate (d + momentum v)`` instead.
    kept : Kept, optional
        The caller's, for steps on the same arrays again and again.
    """
    step, sign = planner.kernel("sgd_step"), -1.0 if maximize else 1.0
    for group in _groups([params, velocities] if momentum else [params], kept):
        p, *more = group.written
        v = more[0] if more else []
        begins = [first[i] for i in group.positions]
        step(p, group.read(grads), v, begins, rate, momentum, 1 - dampening, decay, sign, nesterov)
        group.home()


def adam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    means: Sequence[Array],
    squares: Sequence[Array],
    largest: Sequence[Array],
    rates: Sequence[float],
    scales: Sequence[float],
    *,
    betas: tuple[float, float],
    eps: float,
    decay: float = 0.0,
    shrink: float = 1.0,
    maximize: bool = False,
    kept: Kept | None = None,
) -> None:
    """Step by Adam: ``p = shrink p - rate m / (scale sqrt(s) + eps)``.

    Parameters
    ----------
    params, grads : sequence of ndarray
    means, squares : sequence of ndarray
        Running means m of ``d = ±g + decay p`` and s of its square.
    largest : sequence of ndarray
        The largest s so far, in its place; empty without AMSGrad.
    rates, scales : sequence of float
        The learning rate and ``1 / sqrt`` of the bias correction, by the parameter's own count of
        steps.
    kept : Kept, optional
        As for `sgd_step`.
    """
    step, sign = planner.kernel("adam_step"), -1.0 if maximize else 1.0
    lists = [params, means, squares, largest] if largest else [params, means, squares]
    for group in _groups(lists, kept):
        p, m, s, *more = group.written
        most = more[0] if more else []
        rate, scale = ([x[i] for i in group.positions] for x in (rates, scales))
        step(p, group.read(grads), m, s, most, rate, scale, *betas, eps, decay, shrink, sign)
        group.home()
