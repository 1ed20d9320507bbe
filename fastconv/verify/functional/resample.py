"""Resizing in every mode, and padding: sizes up and down, factors and sizes, corners."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from fastconv.verify.calls import Call
from fastconv.verify.functional.base import CallFamily, CallProblem, batch_and_channels, sizes
from fastconv.verify.problem import Declined

__all__ = ["PadFamily", "PadProblem", "ResampleFamily", "ResampleProblem"]

_RANKS = {"linear": (1,), "bilinear": (2,), "bicubic": (2,), "trilinear": (3,)}
_FACTORS = (0.25, 0.5, 0.75, 1.25, 1.5, 1.6, 2.0, 2.5, 3.0)


@dataclass(frozen=True)
class ResampleProblem(CallProblem):
    """A resizing, to a size or by a factor where there is no size; ``mode`` is in ``op``."""

    family: ClassVar[str] = "resample"

    to: tuple[int, ...] = ()
    factor: float = 0.0
    align: bool = False
    recompute: bool = False

    def call(self) -> Call:
        options: dict[str, Any] = {"mode": self.op}
        if self.op in _RANKS or self.op in ("nearest", "nearest-exact", "area"):
            ndim = len(self.shape) - 2
            if ndim not in _RANKS.get(self.op, (1, 2, 3)):
                raise Declined(f"{self.op} has no {ndim} axes")
        if self.op in _RANKS:
            options["align_corners"] = self.align
        if self.to:
            if len(self.to) != len(self.shape) - 2:
                raise Declined("sizes of other axes")
            options["size"] = self.to
        else:
            if min(math.floor(n * self.factor) for n in self.shape[2:]) < 1:
                raise Declined("nothing would be left")
            options |= {"scale_factor": self.factor}
            if self.recompute:
                options["recompute_scale_factor"] = True
        return Call("interpolate", {"input": self.input()}, options, self.seed + 99, self.g)


class ResampleFamily(CallFamily):
    """``interpolate``: one operation for each mode."""

    name = "resample"
    problem = ResampleProblem
    ops = ("nearest", "bilinear", "bicubic", "linear", "trilinear", "area", "nearest-exact")
    properties = (
        "up", "down", "by a factor", "aligned", "recomputed", "to one", "from one",
        "channels not of vectors",
    )  # fmt: skip
    plainest: ClassVar[dict[str, Any]] = {}

    def options(self, rng: Random, op: str, room: int) -> dict[str, Any]:
        ndim = rng.choice(_RANKS.get(op, (1, 2, 2, 3)))
        space = sizes(rng, ndim, min(room, 200), [1] * ndim)
        batch, channels = batch_and_channels(rng, room // (8 * math.prod(space)))
        found: dict[str, Any] = {"shape": (batch, channels, *space), "align": rng.random() < 0.4}
        factor = rng.choice(_FACTORS)
        # a size that a factor leaves as it was is copied by some and resampled by others
        changed = all(math.floor(n * factor) not in (0, n) for n in space)
        if rng.random() < 0.5 and changed and op != "area":
            return found | {"factor": factor, "recompute": rng.random() < 0.3}
        return found | {"to": tuple(rng.randint(1, 2 * n + 2) for n in space)}

    def holds(self, problem: ResampleProblem) -> Sequence[str]:
        space = problem.shape[2:]
        to = problem.to or tuple(math.floor(n * problem.factor) for n in space)
        traits = {
            "up": any(m > n for m, n in zip(to, space)),
            "down": any(m < n for m, n in zip(to, space)),
            "by a factor": not problem.to,
            "aligned": problem.align,
            "recomputed": problem.recompute,
            "to one": 1 in to,
            "from one": 1 in space,
            "channels not of vectors": problem.shape[1] % 4 != 0,
        }
        return [problem.op, *(name for name, held in traits.items() if held)]


@dataclass(frozen=True)
class PadProblem(CallProblem):
    """Padding by ``widths`` (last axis first, before and after), or a shuffle by ``r``."""

    family: ClassVar[str] = "pad"

    widths: tuple[int, ...] = ()
    value: float = 0.0
    r: int = 2

    def call(self) -> Call:
        x = {"input": self.input()}
        if self.op.startswith("pixel"):
            name = "upscale_factor" if self.op == "pixel_shuffle" else "downscale_factor"
            *_, c, h, w = self.shape
            divided = (c, self.r**2) if self.op == "pixel_shuffle" else (math.gcd(h, w), self.r)
            if len(self.shape) < 3 or divided[0] % divided[1]:
                raise Declined("the factor does not divide")
            return Call(self.op, x, {name: self.r}, self.seed + 99, self.g)
        ndim = len(self.widths) // 2
        for axis in range(ndim):
            before, after = self.widths[2 * axis : 2 * axis + 2]
            n = self.shape[-1 - axis]
            room = {"reflect": n - 1, "circular": n}.get(self.op, 1 << 30)
            if max(before, after) > room or before + after + n < 1 or min(before, after) < -n:
                raise Declined("wider than the mode allows")
        options: dict[str, Any] = {"pad": self.widths, "mode": self.op}
        if self.op == "constant":
            options["value"] = self.value
        return Call("pad", x, options, self.seed + 99, self.g)


class PadFamily(CallFamily):
    """Every mode of ``pad``, and pixels shuffled."""

    name = "pad"
    problem = PadProblem
    ops = ("constant", "reflect", "replicate", "circular", "pixel_shuffle", "pixel_unshuffle")
    properties = ("one-sided", "cropped", "with a value")
    plainest: ClassVar[dict[str, Any]] = {}

    def options(self, rng: Random, op: str, room: int) -> dict[str, Any]:
        if op.startswith("pixel"):
            r, h, w = rng.choice((1, 2, 3)), rng.randint(1, 6), rng.randint(1, 6)
            c = rng.randint(1, 5)
            shape = (c * r * r, h, w) if op == "pixel_shuffle" else (c, h * r, w * r)
            return {"shape": (rng.randint(1, 2), *shape), "r": r}
        ndim = rng.choice((1, 2, 2, 3))
        space = sizes(rng, ndim, min(room, 300), [2] * ndim)
        batch, channels = batch_and_channels(rng, room // (4 * math.prod(space)))
        widths: list[int] = []
        for n in reversed(space):
            most = {"reflect": n - 1, "circular": n}.get(op, 4)
            least = -(n // 3) if op == "constant" else 0
            widths += [rng.randint(least, most), rng.randint(least, most)]
            if rng.random() < 0.3:
                widths[-2 + rng.randrange(2)] = 0
        value = rng.choice((0.0, 1.5, -2.0)) if op == "constant" else 0.0
        return {"shape": (batch, channels, *space), "widths": tuple(widths), "value": value}

    def holds(self, problem: PadProblem) -> Sequence[str]:
        pairs = list(zip(problem.widths[::2], problem.widths[1::2]))
        traits = {
            "one-sided": any((a == 0) != (b == 0) for a, b in pairs),
            "cropped": any(min(pair) < 0 for pair in pairs),
            "with a value": problem.value != 0,
        }
        return [problem.op, *(name for name, held in traits.items() if held)]
