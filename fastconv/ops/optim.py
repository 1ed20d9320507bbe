"""Steps of the optimisers on lists of ndarrays, all parameters in one call of a kernel.

Arrays of one position belong together and have one shape.  What a step changes is changed in
place, whatever its memory order; kernels see C-contiguous arrays of one type.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastconv import plan
from fastconv.ops.layout import Array


class _Group:
    """Some of the positions, of one type, as kernels want them."""

    def __init__(self, kind: np.dtype, positions: list[int]) -> None:
        self.kind = kind
        self.positions = positions
        self.copies: list[tuple[Array, Array]] = []

    def changed(self, arrays: Sequence[Array]) -> list[Array]:
        """Arrays that the kernel writes: themselves, or copies that `home` brings back."""
        found = []
        for i in self.positions:
            a = arrays[i]
            if a.flags.carray and a.dtype == self.kind:
                found.append(a)
                continue
            if not a.flags.writeable:
                raise ValueError(f"step: a parameter of shape {a.shape} is read-only")
            copy = np.array(a, self.kind, order="C")
            self.copies.append((a, copy))
            found.append(copy)
        return found

    def read(self, arrays: Sequence[Array]) -> list[Array]:
        """Arrays that the kernel reads."""
        kind = self.kind
        return [np.ascontiguousarray(arrays[i], kind).reshape(arrays[i].shape)
                if not arrays[i].flags.c_contiguous or arrays[i].dtype != kind else arrays[i]
                for i in self.positions]  # fmt: skip

    def home(self) -> None:
        """Bring the results back to where copies were made."""
        for a, copy in self.copies:
            a[...] = copy


def _groups(params: Sequence[Array]) -> list[_Group]:
    """The positions by type; types without kernels are computed in float32."""
    by_kind: dict[np.dtype, list[int]] = {}
    for i, p in enumerate(params):
        kind = p.dtype if p.dtype.char in "fd" else np.dtype(np.float32)
        by_kind.setdefault(kind, []).append(i)
    return [_Group(kind, positions) for kind, positions in by_kind.items()]


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
    """
    step, sign = plan.kernel("sgd_step"), -1.0 if maximize else 1.0
    for group in _groups(params):
        p, g = group.changed(params), group.read(grads)
        v = group.changed(velocities) if momentum else []
        begins = [first[i] for i in group.positions]
        step(p, g, v, begins, rate, momentum, 1 - dampening, decay, sign, nesterov)
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
    """
    step, sign = plan.kernel("adam_step"), -1.0 if maximize else 1.0
    for group in _groups(params):
        p, g = group.changed(params), group.read(grads)
        m, s = group.changed(means), group.changed(squares)
        most = group.changed(largest) if largest else []
        rate, scale = ([x[i] for i in group.positions] for x in (rates, scales))
        step(p, g, m, s, most, rate, scale, *betas, eps, decay, shrink, sign)
        group.home()
