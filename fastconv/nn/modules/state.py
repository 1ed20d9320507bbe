"""`state_dict` and `load_state_dict` of a Module."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...autograd import changed, expose, forget
from ...tensor import Tensor, wrap
from ..parameter import Parameter, is_lazy
from .rare import hooked

if TYPE_CHECKING:
    from .module import Module


class Altered(OrderedDict[str, Any]):
    """A copy of a state, which hooks may change."""


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )

    def __str__(self) -> str:
        return repr(self)


def entries(module: Module, prefix: str) -> list[tuple[str, dict[str, Any], str]]:
    """The state's keys in order, each with the table and the name that hold its tensor."""
    found: list[tuple[str, dict[str, Any], str]] = []
    parameters: dict[str, Any] = module._parameters  # type: ignore[assignment]
    buffers: dict[str, Any] = module._buffers
    for name, tensor in parameters.items():
        if tensor is not None:
            found.append((prefix + name, parameters, name))
    for name, tensor in buffers.items():
        if tensor is not None and name not in module._non_persistent_buffers:
            found.append((prefix + name, buffers, name))
    for name, child in module._modules.items():
        if child is not None:
            found += entries(child, f"{prefix}{name}.")
    return found


def state_of(module: Module, destination: Any, prefix: str, keep_vars: bool) -> Any:
    """Fill `destination` with the module's parameters and persistent buffers."""
    for start, owner, hook in hooked(module, "_state_pre_hooks", prefix):
        hook(owner, start, keep_vars)
    for key, table, name in entries(module, prefix):
        destination[key] = table[name] if keep_vars else table[name].detach()
    for start, owner, (hook, replaces) in hooked(module, "_state_hooks", prefix):
        answer = hook(owner, destination, start, {"version": 1})
        if replaces and answer is not None:
            destination = answer
    return destination


def _advice(state: Mapping[str, Any], missing: list[str], unexpected: list[str]) -> list[str]:
    """How a state that belongs to the module after all can be made to fit."""
    for key in unexpected:
        if isinstance(state[key], Mapping) and len(state[key]) >= len(missing):
            return [f"The state is inside what was given: use state_dict[{key!r}]."]
    first, wanted = unexpected[0], set(missing)
    for start in [i + 1 for i, letter in enumerate(first) if letter == "."]:
        prefix = first[:start]
        if {key[start:] for key in unexpected if key.startswith(prefix)} >= wanted:
            return [
                f"All keys begin with {prefix!r}: take it off with nn.modules.utils."
                f"consume_prefix_in_state_dict_if_present(state_dict, {prefix!r})."
            ]
    return []


def load_state(
    module: Module, state: Mapping[str, Any], strict: bool, assign: bool
) -> IncompatibleKeys:
    """Check a whole state against the module, then copy it in."""
    if not isinstance(state, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state)}.")
    told: tuple[list[str], list[str], list[str]] = [], [], []  # what hooks find missing and so on
    for prefix, owner, (hook, with_module) in hooked(module, "_load_pre_hooks"):
        state = state if isinstance(state, Altered) else Altered(state)
        first = (owner,) if with_module else ()
        hook(*first, state, prefix, {"version": 1}, strict, *told)
    own = {key: (table, name) for key, table, name in entries(module, "")}
    # As in PyTorch, states from before the counter existed are complete without it.
    counter = "num_batches_tracked"
    missing = [key for key in own if key not in state and key.rpartition(".")[2] != counter]
    unexpected = [key for key in state if key not in own]
    missing += told[0]
    unexpected += told[1]
    errors = list(told[2])
    if strict and missing:
        quoted = ", ".join(f'"{key}"' for key in missing)
        errors.append(f"Missing key(s) in state_dict: {quoted}. ")
    if strict and unexpected:
        quoted = ", ".join(f'"{key}"' for key in unexpected)
        errors.append(f"Unexpected key(s) in state_dict: {quoted}. ")
    matched = []
    for key, (table, name) in own.items():
        if key not in state:
            continue
        value, target = state[key], table[name]
        array = value._array if isinstance(value, Tensor) else value
        if not isinstance(array, (np.ndarray, np.generic)):
            errors.append(
                f'While copying the parameter named "{key}", expected a Tensor or an array '
                f"from checkpoint but received {type(value)}"
            )
        elif tuple(array.shape) != tuple(target._array.shape) and not is_lazy(target):
            errors.append(
                f"size mismatch for {key}: copying a param with shape {tuple(array.shape)} from "
                f"checkpoint, the shape in current model is {tuple(target._array.shape)}."
            )
        elif array.dtype.kind not in "biuf":
            errors.append(f"{key}: cannot copy an array of dtype {array.dtype}")
        else:
            matched.append((table, name, value, np.asarray(array)))
    if errors:
        if strict and missing and unexpected:
            errors += _advice(state, missing, unexpected)
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(errors)
        )
    for table, name, value, array in matched:
        target = table[name]
        if is_lazy(target):
            target.materialize(array.shape)
        if not assign:
            forget(target)
            target._array[...] = array
            changed(target)
        elif isinstance(target, Parameter):
            source = value if isinstance(value, Tensor) else array
            table[name] = Parameter(source, requires_grad=target.requires_grad)
        else:
            table[name] = value if isinstance(value, Tensor) else expose(wrap(array))
    keys = IncompatibleKeys(missing, unexpected)
    for _, owner, hook in hooked(module, "_load_hooks"):
        hook(owner, keys)
    return keys
