"""Methods of a Module that few scripts call: hooks of its state, other types, sharing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ... import tensor_types
from ..._hooks import HookDict, RemovableHandle
from .hooks import LastOperation

if TYPE_CHECKING:
    from .module import Module

Hook = Callable[..., Any]


def _table(module: Any, name: str) -> HookDict:
    """A table of hooks that a module has from the day of its first hook."""
    return module.__dict__.setdefault(name, HookDict())  # type: ignore[no-any-return]


def hooked(module: Any, name: str, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The hooks in a table of the modules of a tree, children first: (prefix, module, hook)."""
    for child_name, child in module._modules.items():
        if child is not None:
            yield from hooked(child, name, f"{prefix}{child_name}.")
    for hook in list(module.__dict__.get(name, {}).values()):
        yield prefix, module, hook


class RareMethods:
    """What :class:`Module` inherits."""

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` at the last operation of the module.

        Deprecated, as in PyTorch: `grad_input` has the gradients of that operation's inputs (of a
        layer: input, weight and bias), not of the module's. Use `register_full_backward_hook`.
        What the hook returns replaces `grad_input`.
        """
        module: Any = self
        return module._forward_hooks.add((LastOperation(hook), False))  # type: ignore[no-any-return]

    # state

    def register_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` gathers."""
        return _table(self, "_state_pre_hooks").add(hook)

    def register_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after `state_dict` has gathered.

        It may change the state in place.
        """
        return _table(self, "_state_hooks").add((hook, False))

    def _register_state_dict_hook(self, hook: Hook) -> RemovableHandle:
        """The same; what the hook returns replaces the state."""
        return _table(self, "_state_hooks").add((hook, True))

    def register_load_state_dict_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call the hook before a state is loaded; it may change a copy of the state in place.

        `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
        error_msgs)`.
        """
        return _table(self, "_load_pre_hooks").add((hook, True))

    def _register_load_state_dict_pre_hook(
        self, hook: Hook, with_module: bool = False
    ) -> RemovableHandle:
        """The same; the hook gets the module only with `with_module`."""
        return _table(self, "_load_pre_hooks").add((hook, with_module))

    def register_load_state_dict_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading a state; it may change the lists."""
        return _table(self, "_load_hooks").add(hook)

    # types and devices

    def half(self) -> Any:
        """Raise TypeError: kernels are float32 and float64."""
        raise TypeError(_NO_HALF.format("half", "float16"))

    def bfloat16(self) -> Any:
        """Raise TypeError: kernels are float32 and float64."""
        raise TypeError(_NO_HALF.format("bfloat16", "bfloat16"))

    def type(self, dst_type: Any) -> Any:
        """Convert the floating-point parameters and buffers, by dtype or type object."""
        module: Any = self
        return module.to(tensor_types.wanted(dst_type, "Module.type"))

    def share_memory(self) -> Any:
        """Return self: processes get copies."""
        return self

    def to_empty(self, *, device: Any, recurse: bool = True) -> Any:
        """Return self: parameters are on the CPU, with memory, from the beginning."""
        module: Any = self
        return module.to(device=device)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing but say so once: see :func:`fastconv.compiler.compile`."""
        from ...compiler import compile

        compile(self)

    def xpu(self, device: Any = None) -> Any:
        """Raise RuntimeError: there is no such device."""
        raise RuntimeError("fastconv computes on the CPU only: there is no XPU device")

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module in the place of a dotted name.

        Raises
        ------
        ValueError
            For an empty name.
        AttributeError
            Where there is no module to put it into, or with `strict` none in its place.
        """
        if not target:
            raise ValueError("Cannot set the submodule without a target name!")
        root: Any = self
        path, _, name = target.rpartition(".")
        parent = root.get_submodule(path)
        if strict and name not in parent._modules:
            raise AttributeError(f"{parent._get_name()} has no submodule `{name}`")
        setattr(parent, name, module)


_NO_HALF = (
    "Module.{}(): kernels are float32 and float64, there is none for {}: leave the module as it "
    "is, and make its inputs float()"
)
