"""L-BFGS, with a line search that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import changed, enable_grad, forget
from .optimizer import Optimizer

Array = np.ndarray
#: From a step along the direction: the loss, its gradient, and the slope along the direction.
Evaluate = Callable[[float], tuple[float, Array, float]]


class LBFGS(Optimizer):
    """Quasi-Newton steps from the last `history_size` changes of the gradient (Liu, Nocedal 1989).

    Parameters
    ----------
    params : iterable
        See `Optimizer`; one group only.
    lr : float
        The first trial step of a direction.
    max_iter : int
        Directions in one call of `step`.
    max_eval : int, optional
        Evaluations of the closure in one call, ``max_iter * 5 // 4`` by default.
    tolerance_grad, tolerance_change : float
        End when the largest element of the gradient, or of the step, is at most this.
    history_size : int
    line_search_fn : None or "strong_wolfe"
        Without one, every step has the length `lr`.

    Notes
    -----
    The line search is Algorithms 3.5 and 3.6 of Nocedal and Wright, Numerical Optimization (2006),
    with cubic interpolation.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(
                f"LBFGS: line_search_fn must be None or 'strong_wolfe', got {line_search_fn!r}"
            )
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def _gradient(self) -> Array:
        """All gradients in one float vector; zeros where there is none."""
        parts = [
            np.zeros(p._array.size, p._array.dtype) if p._grad is None else p._grad._array.ravel()
            for p in self._params
        ]
        return np.concatenate(parts)

    def _move(self, before: list[Array], step: float, direction: Array) -> None:
        """Parameters ← before + step · direction."""
        forget(*self._params)
        start = 0
        for p, old in zip(self._params, before, strict=True):
            part = direction[start : start + old.size].reshape(old.shape)
            p._array[...] = old + part * old.dtype.type(step)
            start += old.size
        changed(*self._params)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to `max_iter` directions.

        Parameters
        ----------
        closure : callable
            Clears the gradients, computes the loss, calls ``backward`` and returns the loss.

        Returns
        -------
        Tensor
            The first loss.

        Raises
        ------
        TypeError
            Without a closure.
        """
        if closure is None:
            raise TypeError("LBFGS.step() needs a closure that evaluates the model again")
        group, state = self.param_groups[0], self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate() -> tuple[Any, float, Array]:
            with enable_grad():
                found = closure()
            return found, float(found), self._gradient()

        first, loss, g = evaluate()
        evaluations = 1
        state["func_evals"] += 1
        if np.abs(g).max(initial=0) <= group["tolerance_grad"]:
            return first
        d: Any = state.get("d")
        t, g_before = state.get("t"), state.get("prev_flat_grad")
        steps, changes = state.get("old_stps", []), state.get("old_dirs", [])
        scale, loss_before = state.get("H_diag", 1.0), state.get("prev_loss", math.inf)
        for iteration in range(group["max_iter"]):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                d, steps, changes, scale = -g, [], [], 1.0
            else:
                y, s = g - g_before, d * d.dtype.type(t)
                curvature = float(y @ s)
                if curvature > 1e-10:
                    if len(changes) == group["history_size"]:
                        changes, steps = changes[1:], steps[1:]
                    changes, steps = [*changes, y], [*steps, s]
                    scale = curvature / float(y @ y)
                d = _direction(g, changes, steps, scale)
            g_before, loss_before = g.copy(), loss
            t = group["lr"]
            if state["n_iter"] == 1:
                t *= min(1.0, 1.0 / float(np.abs(g).sum()))
            slope = float(g @ d)
            if slope > -group["tolerance_change"]:
                break
            before = [p._array.copy() for p in self._params]
            if group["line_search_fn"] is not None:

                def along(step: float, before: Any = before, d: Any = d) -> Any:
                    self._move(before, step, d)
                    _, value, gradient = evaluate()
                    return value, gradient, float(gradient @ d)

                loss, g, t, used = strong_wolfe(
                    along, t, d, loss, g, slope, group["tolerance_change"]
                )
                self._move(before, t, d)
            else:
                self._move(before, t, d)
                used = 0
                if iteration + 1 != group["max_iter"]:  # the last one's loss is not needed
                    _, loss, g = evaluate()
                    used = 1
            evaluations += used
            state["func_evals"] += used
            small = np.abs(d).max() * abs(t) <= group["tolerance_change"]
            if (
                np.abs(g).max() <= group["tolerance_grad"]
                or small
                or abs(loss - loss_before) < group["tolerance_change"]
                or evaluations >= group["max_eval"]
            ):
                break
        state.update(
            d=d, t=t, old_dirs=changes, old_stps=steps, H_diag=scale, prev_flat_grad=g_before,
            prev_loss=loss_before,
        )  # fmt: skip
        return first


def _direction(g: Array, changes: list[Array], steps: list[Array], scale: float) -> Array:
    """Minus the inverse Hessian times the gradient, from the pairs: the two-loop recursion."""
    kind = g.dtype.type
    q = -g
    weights = []
    for y, s in zip(reversed(changes), reversed(steps), strict=True):
        weight = float(s @ q) / float(y @ s)
        weights.append(weight)
        q = q - y * kind(weight)
    q = q * kind(scale)
    for y, s, weight in zip(changes, steps, reversed(weights), strict=True):
        q = q + s * kind(weight - float(y @ q) / float(y @ s))
    return q


def _cubic(a: float, fa: float, ga: float, b: float, fb: float, gb: float,
           low: float, high: float) -> float:  # fmt: skip
    """Where the cubic through two values and slopes is least within [low, high]."""
    if a > b:
        a, fa, ga, b, fb, gb = b, fb, gb, a, fa, ga
    with np.errstate(all="ignore"):
        first = ga + gb - 3 * (fa - fb) / (a - b) if a != b else math.nan
        inner = first * first - ga * gb
    if not inner >= 0:
        return (low + high) / 2
    root = math.sqrt(inner)
    below = gb - ga + 2 * root
    least = b - (b - a) * ((gb + root - first) / below) if below else math.nan
    return min(max(least, low), high) if least == least else (low + high) / 2


def strong_wolfe(
    along: Evaluate,
    t: float,
    d: Array,
    loss: float,
    g: Array,
    slope: float,
    tolerance: float,
    decrease: float = 1e-4,
    curvature: float = 0.9,
    most: int = 25,
) -> tuple[float, Array, float, int]:
    """A step along `d` that lowers the loss enough and flattens its slope.

    Parameters
    ----------
    along : callable
        The loss, the gradient and the slope after a step.
    t : float
        The first trial.
    d : ndarray
        The direction.
    loss, g, slope : float, ndarray, float
        At the beginning.
    tolerance : float
        End when the bracket is shorter than this in every element.
    decrease, curvature : float
        The constants c₁ and c₂ of the conditions.
    most : int
        Trials at most.

    Returns
    -------
    loss, gradient, step, evaluations
    """
    reach = float(np.abs(d).max())
    f, gradient, steep = along(t)
    used = 1
    last = (0.0, loss, g, slope)
    bracket: list[tuple[float, float, Array, float]] = []
    done = False
    trials = 0
    while trials < most:
        here = (t, f, gradient, steep)
        if f > loss + decrease * t * slope or (trials > 0 and f >= last[1]) or f != f:
            bracket = [last, here]
            break
        if abs(steep) <= -curvature * slope:
            bracket, done = [here], True
            break
        if steep >= 0:
            bracket = [last, here]
            break
        low, high = t + 0.01 * (t - last[0]), t * 10
        step = _cubic(last[0], last[1], last[3], t, f, steep, low, high)
        last, t = here, step
        f, gradient, steep = along(t)
        used += 1
        trials += 1
    if not bracket:
        bracket = [(0.0, loss, g, slope), (t, f, gradient, steep)]
    stuck = False
    low, high = (0, 1) if bracket[0][1] <= bracket[-1][1] else (1, 0)
    while not done and trials < most:
        ends = bracket[0][0], bracket[1][0]
        if abs(ends[1] - ends[0]) * reach < tolerance:
            break
        t = _cubic(*_end(bracket[0]), *_end(bracket[1]), min(ends), max(ends))
        margin = 0.1 * (max(ends) - min(ends))
        if min(max(ends) - t, t - min(ends)) < margin:  # so near an end that nothing is gained
            if stuck or t >= max(ends) or t <= min(ends):
                t = max(ends) - margin if abs(t - max(ends)) < abs(t - min(ends)) else (
                    min(ends) + margin
                )  # fmt: skip
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        f, gradient, steep = along(t)
        used += 1
        trials += 1
        here = (t, f, gradient, steep)
        if f > loss + decrease * t * slope or f >= bracket[low][1]:
            bracket[high] = here
            low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
        else:
            if abs(steep) <= -curvature * slope:
                done = True
            elif steep * (bracket[high][0] - bracket[low][0]) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = here
    best = bracket[low] if len(bracket) > 1 else bracket[0]
    return best[1], best[2], best[0], used


def _end(point: tuple[float, float, Array, float]) -> tuple[float, float, float]:
    return point[0], point[1], point[3]
