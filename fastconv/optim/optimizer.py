"""Optimizer: parameter groups, their state, and how an update runs over memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..autograd import changed, enable_grad, forget
from ..ops.optim import Kept
from ..profiler import record_function
from ..tensor import Tensor, wrap
from .hooks import OptimizerHooks, around, hooks

State = dict[str, Any]
required: Any = type("required", (), {"__repr__": lambda self: "<required parameter>"})()
#: What each optimizer's steps keep from one to the next, by the group's number.
_kept: WeakKeyDictionary[Optimizer, dict[int, Kept]] = WeakKeyDictionary()
BLOCK = 1 << 14


class Optimizer(OptimizerHooks):
    """Base class of the optimisers.

    A subclass defines `update`, which changes one parameter's array in place, or `update_all`.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        A dict is a parameter group: `{"params": [...], "lr": ...}` overrides the defaults.
    defaults : dict
        Values for what a group does not say.

    Attributes
    ----------
    param_groups : list of dict
    state : dict
        From parameter to the arrays and numbers that the method keeps for it.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params should be an iterable of Tensors or dicts, got a single Tensor: "
                "write [tensor]"
            )
        if isinstance(params, (set, frozenset)):
            raise TypeError("optimizer parameters need an order, but a set has none: use a list")
        if not isinstance(defaults, dict):
            raise TypeError(f"defaults must be a dict, got {type(defaults).__name__}")
        self.defaults = defaults
        self.state: defaultdict[Tensor, State] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with values of their own for what the group names.

        Raises
        ------
        TypeError
            For what is not a Tensor.
        ValueError
            For a tensor that is not a leaf or is in a group already.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, got {type(param_group).__name__}")
        group = dict(param_group)
        params = group["params"]
        if isinstance(params, (set, frozenset)):
            raise TypeError("optimizer parameters need an order, but a set has none: use a list")
        params = [params] if isinstance(params, Tensor) else list(params)
        if params and isinstance(params[0], tuple):
            group["param_names"] = [name for name, _ in params]
            params = [parameter for _, parameter in params]
        seen = {id(p) for g in self.param_groups for p in g["params"]}
        for parameter in params:
            if not isinstance(parameter, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but got {type(parameter).__name__}"
                )
            if not parameter.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
            if id(parameter) in seen:
                raise ValueError("some parameters appear in more than one parameter group")
            seen.add(id(parameter))
        group["params"] = params
        for key, value in self.defaults.items():
            if value is required and key not in group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{key}"
                )
            group.setdefault(key, value)
        self.check(group)
        self.param_groups.append(group)

    def check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for values of a group that are out of range."""
        for key in ("lr", "weight_decay", "eps", "momentum", "lr_decay"):
            if key not in group:
                continue
            value = group[key]
            if not hasattr(value, "__float__") or isinstance(value, str):
                raise TypeError(f"{key} must be a number, got {value!r}")
            if not value >= 0:
                raise ValueError(f"Invalid {key} value: {value}")
        betas = group.get("betas", (0, 0))
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"Invalid betas: expected two numbers, got {betas!r}")
        for i, beta in enumerate(betas):
            if not 0 <= beta < 1:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if set_to_none:
                    parameter.grad = None
                else:
                    parameter.grad = wrap(np.zeros_like(parameter.grad._array))

    @around
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Evaluates the model again and returns the loss, which `step` returns.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with record_function(f"{type(self).__name__}.step"):
            self._advance()
        return loss

    def _advance(self) -> None:
        for i, group in enumerate(self.param_groups):
            found = [p for p in group["params"] if p._grad is not None]
            if found:
                forget(*found)
                kept = _kept.setdefault(self, {}).setdefault(i, Kept())
                arrays = [p._array for p in found]
                grads = [p._grad._array for p in found]
                states = [self.state[p] for p in found]
                for array, state in zip(arrays, states, strict=True):
                    self.prepare(group, array, state)
                self.update_all(group, arrays, grads, states, kept)
                changed(*found)

    def update_all(
        self,
        group: dict[str, Any],
        arrays: list[np.ndarray],
        grads: list[np.ndarray],
        states: list[State],
        kept: Kept,
    ) -> None:
        """Change the arrays of a group's parameters in place; here, one after the other.

        `kept` is what a step over lists of arrays may keep for the group's next one.
        """
        for array, grad, state in zip(arrays, grads, states, strict=True):
            self.update(group, array, grad, state)

    def prepare(self, group: dict[str, Any], array: np.ndarray, state: State) -> None:
        """Create or advance what the method keeps for a parameter, once a step."""

    def update(
        self, group: dict[str, Any], array: np.ndarray, grad: np.ndarray, state: State
    ) -> None:
        """Change a parameter's array in place; a subclass defines this or `update_all`."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    # -- state -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """State and groups, with parameters replaced by their numbers, as plain containers."""
        for hook in hooks(self, "_state_pre_hooks"):
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(id(parameter), len(numbers))
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[id(parameter)] for parameter in group["params"]]
            groups.append(packed)
        state = {numbers[id(parameter)]: dict(kept) for parameter, kept in self.state.items()}
        packed = {"state": state, "param_groups": groups}
        for hook in hooks(self, "_state_post_hooks"):
            answer = hook(self, packed)
            packed = packed if answer is None else answer
        return packed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, with copies of its arrays.

        Raises
        ------
        ValueError
            When the groups or the parameters' numbers differ.
        """
        for hook in hooks(self, "_load_pre_hooks"):
            answer = hook(self, state_dict)
            state_dict = state_dict if answer is None else answer
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
            raise ValueError("an optimizer's state dict is a dict of 'state' and 'param_groups'")
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                f"loaded state dict has {len(saved)} parameter groups, "
                f"the optimizer has {len(self.param_groups)}"
            )
        counts = [len(group["params"]) for group in saved]
        own = [len(group["params"]) for group in self.param_groups]
        if counts != own:
            raise ValueError(
                "loaded state dict contains parameter groups that don't match the sizes of the "
                f"optimizer's: {counts} against {own} parameters"
            )
        parameters: dict[Any, Tensor] = {}
        for group, mine in zip(saved, self.param_groups, strict=True):
            parameters.update(zip(group["params"], mine["params"], strict=True))
        state: defaultdict[Tensor, State] = defaultdict(dict)
        for number, kept in state_dict["state"].items():
            if number not in parameters:
                raise ValueError(f"loaded state is of a parameter {number!r} that no group has")
            parameter = parameters[number]
            for key, value in kept.items():
                array = value._array if isinstance(value, Tensor) else value
                if isinstance(array, np.ndarray):
                    if array.ndim and array.shape != parameter._array.shape:
                        raise ValueError(
                            f"loaded state {key!r} of parameter {number} has shape {array.shape}, "
                            f"the parameter {parameter._array.shape}"
                        )
                    array = (
                        array.item()
                        if array.ndim == 0
                        else np.array(array, dtype=parameter._array.dtype)
                    )
                state[parameter][key] = array
        self.state = state
        for group, mine in zip(saved, self.param_groups, strict=True):
            mine.update({key: value for key, value in group.items() if key != "params"})
        for hook in hooks(self, "_load_post_hooks"):
            hook(self)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"


def blocks(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Views of the same elements of several arrays, small enough to stay in the cache.

    An update makes several passes over its arrays; block by block each of them is read from
    memory once. Arrays that do not lie in memory alike come as they are, in one piece.
    """
    first = arrays[0]
    if first.ndim == 0:
        arrays = tuple(a.reshape(1) for a in arrays)
    if first.size <= BLOCK or not all(a.flags.c_contiguous for a in arrays):
        yield arrays
        return
    flat = [a.reshape(-1) for a in arrays]
    for start in range(0, first.size, BLOCK):
        yield tuple(a[start : start + BLOCK] for a in flat)


def check_unsupported(name: str, **flags: Any) -> None:
    """Raise for options of PyTorch's that have no meaning here when they are asked for."""
    for key, value in flags.items():
        if value:
            raise ValueError(f"{name}: {key}=True is not supported")
