"""Drawing a problem: a geometry with the properties asked for, and a way to call the kernel."""

from __future__ import annotations

from random import Random

from fastconv.verify.arrays import LAYOUTS
from fastconv.verify.conv import graph
from fastconv.verify.conv.check import ACTIVATIONS, candidate_of
from fastconv.verify.conv.crossing import gives, routes, threads
from fastconv.verify.conv.draft import Draft, Unsuitable
from fastconv.verify.conv.kernels import GRAPHS, Kernel, demand, suit
from fastconv.verify.conv.properties import PROPERTIES
from fastconv.verify.conv.record import ConvProblem
from fastconv.verify.problem import Declined

__all__ = ["drawn"]

#: Products of the direct algorithm, at most, and how often in a hundred: the few large ones pass
#: the thresholds of blocks and threads.
CAPS: tuple[tuple[int, float], ...] = (
    (3_000, 30), (20_000, 45), (100_000, 20), (600_000, 4.5), (4_000_000, 0.5),
)  # fmt: skip
NAIVE_CAP = 600
#: How often values are real; and where the number of threads is what matters, since any order of
#: a sum of integers gives the same.
REAL_SHARE = (0.1, 0.6)
RESIDUALS = ("plain", "last", "last", "gaps", "channels", "everywhere")


def drawn(
    kernel: Kernel, dtype: str, names: list[str], part: str, rng: Random
) -> ConvProblem | None:  # fmt: skip
    """A problem for the kernel, with these properties and this part if they can be had, or None."""
    draft = Draft(rng)
    draft.cap = NAIVE_CAP if kernel.slow else _cap(rng)
    # In the graph it is a wish, and where it cannot be the planner chooses.
    fitting = kernel.op not in GRAPHS or rng.random() < 0.7
    if fitting:
        demand(kernel, draft)
    try:
        for name in names:
            PROPERTIES[name].sample(draft)
        if fitting:
            suit(kernel, draft)
        draft.fill()
        problem = _problem(kernel, dtype, draft, part)
        spec = problem.spec()
        if kernel.op in GRAPHS:
            graph.arguments(problem)
            return problem
        candidate_of(problem, "conv_" + kernel.op, spec)
        return problem
    except (Unsuitable, Declined):
        return None


def _cap(rng: Random) -> int:
    """How many products a problem may have."""
    at = rng.random() * 100
    for products, share in CAPS:
        at -= share
        if at < 0:
            return products
    return CAPS[0][0]


def _problem(kernel: Kernel, dtype: str, draft: Draft, part: str) -> ConvProblem:
    rng, axes, groups = draft.rng, draft.axes(), draft.groups
    weight = kernel.op == "backward_weight"
    call = _graph_call if kernel.op in GRAPHS else _call
    number = int(part[8:]) if part.startswith("threads=") else 0
    return ConvProblem(
        op=kernel.op, on=kernel.on, isa=kernel.isa, dtype=dtype, n=draft.n,
        c=groups * draft.per_in, k=groups * draft.per_out, g=groups,
        size=tuple([a.n for a in axes]), out=tuple([a.out for a in axes]),
        kernel=tuple([a.k for a in axes]), stride=_unless([a.s for a in axes], 1),
        pad=_unless([a.p for a in axes], 0), dilation=_unless([a.d for a in axes], 1),
        threads=1 if kernel.slow else number or rng.choice((*threads(kernel), 1, 1, 2)),
        a=draft.layouts.get("a") or _layout(rng, 0.3),
        b=draft.layouts.get("b") or _layout(rng, 0.4 if weight else 0.75),
        offset=rng.choice((0, 0, 1, 3, 4, 7, 9)), seed=rng.randrange(1 << 20),
        **call(kernel, draft, part),  # type: ignore[arg-type]
    )  # fmt: skip


def _graph_call(kernel: Kernel, draft: Draft, part: str) -> dict[str, object]:
    """The rest of a call through the public functions; `r` is how the gradient lies."""
    rng, ndim = draft.rng, len(draft.axes())
    share = REAL_SHARE[part.startswith("threads=") and part != "threads=1"]

    def some(name: str, share: float) -> bool:
        return rng.random() < share or name == part

    return {
        "route": "graph",
        "rank": ndim + 1 if draft.n == 1 and some("no batch axis", 0.3) else ndim + 2,
        "bias": some("bias", 0.5), "values": "real" if some("real values", share) else "integers",
        "packed": "packed" in gives(kernel) and some("packed", 0.2),
        "r": draft.layouts.get("r") or rng.choice(RESIDUALS),
    }  # fmt: skip


def _call(kernel: Kernel, draft: Draft, part: str) -> dict[str, object]:
    """The rest of a call of a kernel."""
    rng, layouts = draft.rng, draft.layouts

    def some(name: str, share: float) -> bool:
        return rng.random() < share or name == part

    forward, residual = kernel.op == "forward", layouts.get("r", "none")
    after = residual != "none" or part in ("coef", "residual") or part.startswith("act=")
    share = REAL_SHARE[part.startswith("threads=") and part != "threads=1"]
    real = not after and some("real values", share) and "real values" in gives(kernel)
    after = forward and not real and (after or rng.random() < 0.4)
    route = rng.choice(("function", "function", "function", "ops", *routes(kernel)))
    if part.startswith("route="):
        route = part[6:]
    if after and not kernel.has("finishes"):
        route = "ops"
    if after and residual == "none" and some("residual", 0.4):
        residual = rng.choice(RESIDUALS)
    packed = kernel.has("packs") and not (route == "ready" and not forward)
    if kernel.op in ("backward_weight", "backward_bias"):
        to = "plain"
    else:
        to = "last" if route == "ready" else layouts.get("to") or rng.choice(("last", "plain"))
    act = part[4:] if part.startswith("act=") else rng.choice(tuple(ACTIVATIONS))
    return {
        "route": route, "rank": len(draft.axes()) + 2 if rng.random() < 0.5 else 5,
        "r": residual, "to": to, "bias": forward and some("bias", 0.5),
        "coef": after and some("coef", 0.3), "act": act if after else "none",
        "packed": packed and some("packed", 0.35), "values": "real" if real else "integers",
    }  # fmt: skip


def _unless(values: list[int], default: int) -> tuple[int, ...]:
    """Nothing where all have their default."""
    return () if all(value == default for value in values) else tuple(values)


def _layout(rng: Random, plain: float) -> str:
    """A layout: plain so often, last most of the rest."""
    at = rng.random()
    if at < plain:
        return "plain"
    return "last" if at < 0.8 else rng.choice(LAYOUTS)
