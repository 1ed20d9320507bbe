"""Properties of a convolution, each with a predicate on problems and a sampler for drafts.

A sampler sets what makes the property likely; the predicate, looked at afterwards, says whether it
holds. So a property may hold by chance as well, and is counted where it does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from fastconv.verify.arrays import LAYOUTS
from fastconv.verify.conv.draft import Draft
from fastconv.verify.conv.record import ConvProblem as P

__all__ = ["PROPERTIES", "Property"]


class Property(NamedTuple):
    """A name, how a draft gets the property, and whether a problem has it."""

    name: str
    sample: Callable[[Draft], None]
    holds: Callable[[P], bool]


PROPERTIES: dict[str, Property] = {}


def _add(name: str, sample: Callable[[Draft], None], holds: Callable[[P], bool]) -> None:
    PROPERTIES[name] = Property(name, sample, holds)


def _some(p: P, test: Callable[[int, int, int, int, int, int], bool]) -> bool:
    """Whether (size, out, kernel, stride, padding, dilation) of any axis passes."""
    for axis in p.axes:  # noqa: SIM110, half the time of any()
        if test(*axis):
            return True
    return False


# --- dimensions and sizes


def _dimensions(count: int) -> None:
    _add(f"{count}-D", lambda d: d.want(ndim=count), lambda p: p.ndim == count)


for _count in (1, 2, 3):
    _dimensions(_count)


def _batch(name: str, sizes: tuple[int, ...]) -> None:
    _add(
        f"batch of {name}", lambda d: d.want(n=d.rng.choice(sizes)),
        lambda p: p.n in sizes or p.n > max(sizes) > 2,
    )  # fmt: skip


_BATCHES: dict[str, tuple[int, ...]] = {"0": (0,), "1": (1,), "2": (2,), "many": (3, 4, 5, 7)}
for _name, _sizes in _BATCHES.items():
    _batch(_name, _sizes)


def _unit_axis(d: Draft) -> None:
    d.axis().want(n=1)


def _one_position(d: Draft) -> None:
    for axis in d.axes():
        axis.want(k=d.rng.choice((1, 2, 3, 4)), d=1, p=0)
        axis.want(n=axis.k or 1)


def _long_line(d: Draft) -> None:
    axes = d.axes()
    axes[-1].want(n=d.rng.choice((40, 66, 70, 100, 131)), s=1)


def _rows(d: Draft) -> None:
    d.axes(2)[-2].want(n=d.rng.choice((9, 12, 17, 24)), s=d.rng.choice((1, 1, 2)))


_add("unit axis", _unit_axis, lambda p: 1 in p.size)
_add("one position", _one_position, lambda p: math.prod(p.out) == 1)
_add("long line", _long_line, lambda p: p.out[-1] >= 33)
_add("many rows", _rows, lambda p: p.ndim > 1 and p.out[-2] >= 8)

# --- kernels


def _kernel_one(d: Draft) -> None:
    for axis in d.axes():
        axis.want(k=1)


def _one_sided(d: Draft) -> None:
    axes = d.axes(2)
    long = d.rng.randrange(len(axes))
    for i, axis in enumerate(axes):
        axis.want(k=d.rng.choice((2, 3, 5, 7)) if i == long else 1)


def _covers(d: Draft) -> None:
    for axis in d.axes():
        axis.want(d=1, p=0, q=0, k=d.rng.choice((1, 2, 3, 4, 5)))
        axis.want(n=axis.k or 1)


def _kernels(*sizes: int) -> Callable[[Draft], None]:
    def sample(d: Draft) -> None:
        for axis in d.axes():
            axis.want(k=d.rng.choice(sizes))

    return sample


def _long_kernel(d: Draft) -> None:
    d.axis().want(k=d.rng.choice((7, 8, 9, 11, 13)))


def _past_input(d: Draft) -> None:
    axis = d.axis()
    axis.want(k=d.rng.choice((2, 3, 4, 5, 7)))
    axis.want(n=d.rng.randint(1, max(1, (axis.k or 1) - 1)))
    axis.want(d=d.rng.choice((1, 1, 2)))
    axis.want(p=axis.reach // 2 + d.rng.randint(0, 2) + 1)


_add("kernel 1", _kernel_one, lambda p: set(p.kernel) == {1})
_add(
    "one-sided kernel", _one_sided,
    lambda p: p.ndim > 1 and sum(k > 1 for k in p.kernel) == 1,
)  # fmt: skip
_add("kernel covers the input", _covers, lambda p: p.kernel == p.size and not any(p.before))
_add("odd kernel", _kernels(3, 5, 7), lambda p: all(k % 2 and k > 1 for k in p.kernel))
_add("even kernel", _kernels(2, 4, 6), lambda p: all(k % 2 == 0 for k in p.kernel))
_add("long kernel", _long_kernel, lambda p: max(p.kernel) >= 7)
_add("kernel past the input", _past_input, lambda p: _some(p, lambda n, o, k, s, b, d: k > n))

# --- strides


def _stride_below(d: Draft) -> None:
    axis = d.axis()
    axis.want(k=d.rng.choice((3, 4, 5, 7)))
    axis.want(s=d.rng.randint(2, max(2, (axis.k or 1) - 1)))


def _stride_equal(d: Draft) -> None:
    axis = d.axis()
    axis.want(k=d.rng.choice((2, 3, 4)))
    axis.want(s=axis.k or 1)


def _stride_past(d: Draft) -> None:
    axis = d.axis()
    axis.want(k=d.rng.choice((1, 1, 2, 3)))
    axis.want(s=(axis.k or 1) + d.rng.choice((1, 1, 2, 3)), n=d.rng.choice((7, 9, 12, 16, 21)))


def _stride_past_input(d: Draft) -> None:
    axis = d.axis()
    axis.want(k=d.rng.choice((1, 2, 3)), n=d.rng.randint(1, 4))
    axis.want(s=(axis.n or 1) + d.rng.randint(1, 4), p=d.rng.choice((0, 0, 1, 3)))


def _strides_differ(d: Draft) -> None:
    for axis, s in zip(d.axes(2), d.rng.sample((1, 2, 3, 4), 3)):
        axis.want(s=s)


_add(
    "stride below the kernel", _stride_below,
    lambda p: _some(p, lambda n, o, k, s, b, d: 1 < s < k),
)  # fmt: skip
_add(
    "stride equal to the kernel", _stride_equal,
    lambda p: _some(p, lambda n, o, k, s, b, d: 1 < s == k),
)  # fmt: skip
_add(
    "stride past the kernel", _stride_past,
    lambda p: _some(p, lambda n, o, k, s, b, d: s > d * (k - 1) + 1 and o > 1),
)  # fmt: skip
_add(
    "stride past the input", _stride_past_input, lambda p: _some(p, lambda n, o, k, s, b, d: s > n)
)
_add("strides differ", _strides_differ, lambda p: len(set(p.steps)) > 1)

# --- dilation


def _dilated(d: Draft) -> None:
    d.axis().want(k=d.rng.choice((2, 3, 4)), d=d.rng.choice((2, 3, 4, 5)))


def _common_factor(d: Draft) -> None:
    s, apart = d.rng.choice(((2, 4), (4, 2), (4, 6), (6, 4), (3, 6), (6, 3), (2, 6), (6, 9)))
    d.axis().want(k=d.rng.choice((2, 3, 4)), s=s, d=apart)


def _dilation_equal(d: Draft) -> None:
    s = d.rng.choice((2, 3, 4))
    d.axis().want(k=d.rng.choice((2, 3, 4)), s=s, d=s)


def _coprime(d: Draft) -> None:
    s, apart = d.rng.choice(((2, 3), (3, 2), (3, 4), (4, 3), (2, 5), (5, 2)))
    d.axis().want(k=d.rng.choice((2, 3, 4)), s=s, d=apart)


def _dilation_past(d: Draft) -> None:
    axis = d.axis()
    axis.want(k=d.rng.choice((2, 3)), n=d.rng.randint(1, 5))
    axis.want(d=(axis.n or 1) + d.rng.randint(0, 3))
    axis.want(p=axis.reach // 2 + d.rng.randint(0, 3) + 1)


_add("dilation", _dilated, lambda p: _some(p, lambda n, o, k, s, b, d: d > 1 and k > 1))
_add(
    "dilation and stride with a common factor", _common_factor,
    lambda p: _some(p, lambda n, o, k, s, b, d: k > 1 and s != d and math.gcd(s, d) > 1),
)  # fmt: skip
_add(
    "dilation equal to the stride", _dilation_equal,
    lambda p: _some(p, lambda n, o, k, s, b, d: k > 1 and s == d > 1),
)  # fmt: skip
_add(
    "dilation and stride coprime", _coprime,
    lambda p: _some(p, lambda n, o, k, s, b, d: k > 1 and min(s, d) > 1 == math.gcd(s, d)),
)  # fmt: skip
_add(
    "dilation past the input", _dilation_past,
    lambda p: _some(p, lambda n, o, k, s, b, d: k > 1 and d >= n),
)  # fmt: skip

# --- padding


def _after(n: int, o: int, k: int, s: int, b: int, d: int) -> int:
    """Padding that the outputs reach after the last element; negative where some are not met."""
    return (o - 1) * s + d * (k - 1) + 1 - b - n


def _formula(n: int, o: int, k: int, s: int, b: int, d: int) -> int:
    """Outputs with as much padding after as before."""
    return (n + 2 * b - d * (k - 1) - 1) // s + 1


def _unpadded(d: Draft) -> None:
    for axis in d.axes():
        axis.want(p=0, q=0)


def _same(d: Draft) -> None:
    for axis in d.axes():
        axis.want(s=1, k=d.rng.choice((2, 3, 3, 4, 5)), d=d.rng.choice((1, 1, 2)))
        axis.want(p=axis.reach // 2)
        axis.want(q=axis.reach - (axis.p or 0))


def _past_kernel(d: Draft) -> None:
    axis = d.axis()
    axis.want(k=d.rng.choice((1, 2, 3)), d=d.rng.choice((1, 1, 2)), n=d.rng.choice((1, 2, 5, 9)))
    axis.want(p=axis.reach + d.rng.randint(1, 4))


def _sides_differ(d: Draft) -> None:
    axis = d.axis()
    axis.want(k=d.rng.choice((2, 3, 4)), s=d.rng.choice((1, 1, 2)), p=d.rng.randint(0, 3))
    axis.want(q=max(0, (axis.p or 0) + d.rng.choice((-2, -1, 1, 1, 2, 3))))


def _paddings_differ(d: Draft) -> None:
    for axis, pad in zip(d.axes(2), d.rng.sample((0, 1, 2, 3), 3)):
        axis.want(p=pad)


def _tail(d: Draft) -> None:
    axis = d.axis()
    axis.want(k=d.rng.choice((1, 2, 3)), s=d.rng.choice((2, 3, 4)), p=0, d=1)
    outputs = d.rng.choice((2, 3, 5, 8))
    axis.want(
        n=(outputs - 1) * (axis.s or 1) + axis.reach + 1 + d.rng.randint(1, (axis.s or 2) - 1 or 1)
    )


def _fewer(d: Draft) -> None:
    axis = d.axis()
    axis.want(n=d.rng.choice((6, 7, 9, 12)), s=d.rng.choice((1, 2, 2, 3)))
    if not axis.fewer:
        axis.fewer = 1


_add("no padding", _unpadded, lambda p: not any(p.before))
_add("same padding", _same, lambda p: p.size == p.out and any(p.before) and max(p.steps) == 1)
_add(
    "padding past the kernel", _past_kernel,
    lambda p: _some(p, lambda n, o, k, s, b, d: b > d * (k - 1)),
)  # fmt: skip
_add(
    "padding differs by side", _sides_differ,
    lambda p: _some(p, lambda *a: a[1] > _formula(*a) or (a[3] == 1 and a[1] != _formula(*a))),
)  # fmt: skip
_add("padding differs by axis", _paddings_differ, lambda p: len(set(p.before)) > 1)
_add(
    "tap in padding only", _dilation_past,
    lambda p: _some(p, lambda n, o, k, s, b, d: not all(
        any(0 <= i * s - b + t * d < n for i in range(o)) for t in range(k))),
)  # fmt: skip
_add(
    "output in padding only", _past_kernel,
    lambda p: _some(p, lambda n, o, k, s, b, d: not all(
        any(0 <= i * s - b + t * d < n for t in range(k)) for i in {0, o - 1})),
)  # fmt: skip
_add("inputs after the last window", _tail, lambda p: _some(p, lambda *a: _after(*a) < 0))
_add("fewer outputs than fit", _fewer, lambda p: _some(p, lambda *a: a[1] < _formula(*a)))

# --- channels and groups


def _lanes(p: P, result: bool) -> int:
    """Channels that vectors run along: all of a depthwise convolution, else those of a group."""
    channels = p.k if result else p.c
    return channels if p.g == p.c and p.g > 1 else channels // p.g


def _channels(name: str, sizes: tuple[int, ...], result: bool) -> None:
    def sample(d: Draft) -> None:
        size = d.rng.choice(sizes)
        if d.depthwise:
            d.want(groups=max(size, 2), per_out=1)
        elif result:
            d.want(per_out=size)
        else:
            d.want(per_in=size)

    side = "out" if result else "in"
    lo, hi = min(sizes), max(sizes)
    top = 1 << 60 if name.startswith("over") else hi
    _add(f"{name} channels {side}", sample, lambda p: lo <= _lanes(p, result) <= top)


_CHANNELS: dict[str, tuple[int, ...]] = {
    "1": (1,), "2 to 3": (2, 3), "4 to 6": (4, 5, 6), "7 to 9": (7, 8, 9),
    "15 to 17": (15, 16, 17), "31 to 33": (31, 32, 33), "47 to 49": (47, 48, 49),
    "63 to 65": (63, 64, 65), "over 65": (66, 80, 96, 100, 127, 128, 129, 160),
}  # fmt: skip
for _name, _sizes in _CHANNELS.items():
    for _result in (False, True):
        _channels(_name, _sizes, _result)


def _groups(*counts: int) -> Callable[[Draft], None]:
    return lambda d: d.want(groups=d.rng.choice(counts))


def _multiplier(*counts: int) -> Callable[[Draft], None]:
    def sample(d: Draft) -> None:
        d.depthwise = True
        d.want(groups=d.rng.choice((2, 3, 5, 8, 9, 16, 17)), per_in=1)
        d.want(per_out=d.rng.choice(counts))

    return sample


def _uneven(d: Draft) -> None:
    one, two = d.rng.sample((1, 2, 3, 4, 5, 8, 16), 2)
    d.uneven = True
    d.want(groups=d.rng.choice((2, 3, 4, 5)), per_in=one, per_out=two)


_add("one group", _groups(1), lambda p: p.g == 1)
_add("few groups", _groups(2, 3, 4, 5), lambda p: 1 < p.g <= 5)
_add("many groups", _groups(17, 18, 24, 32, 33, 40), lambda p: p.g > 16)
_add("one channel a group", _multiplier(1), lambda p: p.g == p.c == p.k and p.g > 1)
_add("multiplier 2", _multiplier(2), lambda p: p.g == p.c > 1 and p.k == 2 * p.c)
_add("multiplier over 2", _multiplier(3, 4, 5, 6), lambda p: p.g == p.c > 1 and p.k > 2 * p.c)
_add("groups of unlike sides", _uneven, lambda p: p.g > 1 and p.g != p.c and p.k != p.c)

# --- memory


def _layout(role: str, name: str, layout: str) -> None:
    _add(
        f"{name} {layout}", lambda d: d.lay(role, layout),
        lambda p: getattr(p, role) == layout and bool(p.n),
    )  # fmt: skip


for _layout_ in LAYOUTS:
    _layout("a", "first operand", _layout_)
for _layout_ in LAYOUTS:
    _layout("b", "second operand", _layout_)
for _layout_ in ("plain", "last", "gaps", "channels", "everywhere"):
    _layout("r", "residual", _layout_)
for _layout_ in ("plain", "last"):
    _layout("to", "result", _layout_)


def _mixed(d: Draft) -> None:
    one, two = d.rng.sample(("plain", "last"), 2)
    d.lay("a", one)
    d.lay("b", two)
    d.lay("to", two)


def _differ(p: P) -> bool:
    other = p.b if p.op == "backward_weight" else p.to
    return {p.a, other} == {"plain", "last"} and p.n > 0 and math.prod(p.size) > 1 < p.c


_add("memory formats mixed", _mixed, _differ)
