"""A convolution through the public functions: ``F.conv2d``, ``F.conv_transpose2d``, and backward.

The result and every gradient are compared, each within what the algorithm chosen for it allows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv
from fastconv import backends, config, planner
from fastconv.spec import ConvSpec, conv_spec, conv_transpose_spec
from fastconv.verify.arrays import Array, Placed
from fastconv.verify.conv import compare
from fastconv.verify.conv.record import ConvProblem
from fastconv.verify.conv.reference import reference
from fastconv.verify.problem import Declined

__all__ = ["arguments", "check"]


def arguments(problem: ConvProblem) -> dict[str, Any]:
    """The keyword arguments of the public function.

    Raises
    ------
    Declined
        If the public function has none for this geometry.
    """
    rest = {"stride": problem.steps, "dilation": problem.apart, "groups": problem.g}
    if problem.op == "transposed":
        extra = []
        for n, o, k, s, p, d in problem.axes:
            more = n - ((o - 1) * s - 2 * p + d * (k - 1) + 1)
            if not 0 <= more < max(s, d):
                raise Declined(f"output_padding={more} with stride {s} and dilation {d}")
            extra.append(more)
        return {**rest, "padding": problem.before, "output_padding": tuple(extra)}
    room = [n + 2 * p - d * (k - 1) - 1 for n, _, k, _, p, d in problem.axes]
    if all(r >= 0 and r // s + 1 == o for r, (_, o, _, s, _, _) in zip(room, problem.axes)):
        return {**rest, "padding": problem.before}
    halves = tuple([d * (k - 1) // 2 for _, _, k, _, _, d in problem.axes])
    if problem.size == problem.out and set(problem.steps) == {1} and problem.before == halves:
        return {**rest, "padding": "same"}
    raise Declined("no padding of the public functions gives this size")


def _spec(problem: ConvProblem, given: dict[str, Any]) -> ConvSpec:
    """The geometry that the public function asks for: the very object, kept by its arguments."""
    w = (problem.k, problem.c // problem.g, *problem.kernel)
    make = conv_transpose_spec if problem.op == "transposed" else conv_spec
    lead = (problem.n, problem.k if problem.op == "transposed" else problem.c)
    size = problem.out if problem.op == "transposed" else problem.size
    return make((*lead, *size), w, ndim=problem.ndim, **given)  # type: ignore[operator]


def check(problem: ConvProblem) -> str | None:
    """What is wrong with the convolution or one of its gradients, or None.

    Raises
    ------
    Declined
        If there is no such backend or algorithm, or the geometry has no arguments.
    """
    given, backend, algorithm = arguments(problem), *problem.on.split("/")
    problem.spec()
    if backends.why_not(backend) is not None:
        raise Declined(f"{backend}: {backends.why_not(backend)}")
    chosen = None if algorithm == "choice" else algorithm
    if chosen is not None and chosen not in planner.algorithms():
        raise Declined(f"no algorithm {chosen}")
    spec = _spec(problem, given)
    spec.cache.clear()
    compare.threads_at_once(problem, spec)
    with compare.using(problem), config.backend(backend), config.algorithm(chosen):
        return _Graph(problem, spec, given).compare()


class _Graph:
    """The tensors of a problem, the call, and the comparisons."""

    def __init__(self, problem: ConvProblem, spec: ConvSpec, given: dict[str, Any]) -> None:
        self.problem, self.spec, self.given = problem, spec, given
        self.dtype = np.dtype(problem.dtype)
        self.transposed = problem.op == "transposed"
        x, w, y = spec.shapes[spec.ndim + 2]
        if self.transposed:
            x, y = y, x
        if problem.rank == spec.ndim + 1:
            if problem.n != 1:
                raise Declined("without a batch axis there is one image")
            x, y = x[1:], y[1:]
        elif problem.rank != spec.ndim + 2:
            raise Declined(f"{spec.ndim} axes have no arrays of rank {problem.rank}")
        self.placed: list[tuple[str, Placed, Array]] = []
        compare.buffers.reset()
        self.x, self.w = self._operand("a", x, 0, problem.a), self._operand("b", w, 1, problem.b)
        self.shapes = {"result": y, "gradient of the input": x, "gradient of the weight": w}
        self.bias = self._operand("bias", (y[-spec.ndim - 1],), 2, "plain")
        layout = "plain" if problem.r == "none" else problem.r
        self.g = self._operand("gradient", y, 3, layout)

    def _operand(self, role: str, shape: tuple[int, ...], number: int, layout: str) -> Array:
        values = compare.operands(self.problem, shape, number, layout)
        placed = compare.buffers.place(role, shape, self.dtype, layout, self.problem.offset)
        self.placed.append((role, placed, values))
        return placed.fill(values)

    def compare(self) -> str | None:
        try:
            got = self._run()
        except Exception as error:
            return f"raised {type(error).__name__}: {error}"
        values = {role: v for role, _, v in self.placed}
        x, w, g = values["a"], values["b"], values["gradient"]
        if self.problem.rank == self.spec.ndim + 1:
            x, g = x[None], g[None]
        forward, back = "conv_forward", "conv_backward_input"
        if self.transposed:
            forward, back = back, forward
        pairs = {
            "result": (forward, x, w),
            "gradient of the input": (back, g, w),
            "gradient of the weight": (
                ("conv_backward_weight", x, g) if self.transposed
                else ("conv_backward_weight", g, x)
            ),
        }  # fmt: skip
        bias = values["bias"] if self.problem.bias else None
        exact = self.problem.values == "integers"
        for name, (op, a, b) in pairs.items():
            if name not in got:
                continue
            want = reference(op, self.spec, a, b)
            if name == "result" and bias is not None:
                want = want + bias.reshape(-1, 1, 1, 1)
            chosen = planner.pick(op, self.spec, *self._switches()).algorithm
            want = want.reshape(self.shapes[name])
            depth = compare.depth_of(op, self.spec)
            wrong = compare.difference(got[name], want, self.dtype, chosen, exact, depth, a, b)
            if wrong:
                return f"{name} ({chosen}): {wrong}"
        if "gradient of the bias" in got:
            axes = tuple([i for i in range(g.ndim) if i != 1])
            want = g.sum(axis=axes)
            one, depth = np.ones(1), g.size // g.shape[1]
            found = got["gradient of the bias"]
            wrong = compare.difference(found, want, self.dtype, "direct", exact, depth, g, one)
            if wrong:
                return f"gradient of the bias: {wrong}"
        return compare.touched(self.placed) or self._of_one_thread(got)

    def _of_one_thread(self, many: dict[str, Array]) -> str | None:
        """Whether one thread gives other bits than `many` threads did."""
        if self.problem.threads == 1 or self.problem.values == "integers":
            return None
        config.set_num_threads(1)
        for name, one in self._run().items():
            if not np.array_equal(one, many[name]):
                return f"{name}: one thread gives another result"
        return None

    def _switches(self) -> tuple[str, str | None]:
        backend, algorithm = self.problem.on.split("/")
        return backend, None if algorithm == "choice" else algorithm

    def _run(self) -> dict[str, Array]:
        """The result and its gradients; with `packed` the result of a second call, no graph."""
        name = f"conv{'_transpose' * self.transposed}{self.spec.ndim}d"
        function = getattr(fastconv.nn.functional, name)
        packed = self.problem.packed
        # What numpy code can reach is never kept packed: a copy can.
        w = fastconv.tensor(self.w) if packed else fastconv.from_numpy(self.w)
        x, b = fastconv.from_numpy(self.x), None
        if self.problem.bias:
            b = fastconv.from_numpy(self.bias)
        if packed:
            with fastconv.no_grad():
                function(x, w, b, **self.given)
                return {"result": function(x, w, b, **self.given).numpy()}
        leaves = [t.requires_grad_() for t in (x, w, b) if t is not None]
        y = function(x, w, b, **self.given)
        y.backward(fastconv.from_numpy(self.g))
        grads = [
            t.grad.numpy()  # type: ignore[union-attr]
            for t in leaves
        ]
        found = {"result": y.detach().numpy()}
        found["gradient of the input"], found["gradient of the weight"] = grads[:2]
        if b is not None:
            found["gradient of the bias"] = grads[2]
        return found
