"""Module: a node of the tree that holds a network's parameters, buffers and sub-networks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from ..._grad_mode import mode
from ..._later import settle
from ...autograd import move
from ...dtypes import device, memory_format, to_numpy_dtype
from ...tensor import Tensor, wrap
from ..parameter import Parameter
from .construction import told
from .hooks import BackwardCall, Hook, HookDict, RemovableHandle
from .rare import RareMethods
from .state import IncompatibleKeys, load_state, state_of

M = TypeVar("M", bound="Module")


class Module(RareMethods):
    """Base class of all layers and networks.

    A subclass calls `super().__init__()`, assigns Parameters and Modules as attributes, and
    defines `forward`. Calling the module runs `forward` with the hooks around it.
    """

    training: bool
    _alone = False  # a layer of one operation, in which nothing can join another
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers: set[str]
    _forward_hooks: HookDict
    _forward_pre_hooks: HookDict
    _backward_hooks: HookDict

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        init: Any = cls.__init__  # its own, or of a class beside Module
        if init is Module.__init__ or hasattr(init, "tells"):
            return
        if cls.__module__.startswith("fastconv."):
            cls.__init__ = told(init)  # type: ignore[method-assign]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or kwargs:
            given = [repr(a) for a in args] + list(kwargs)
            raise TypeError(f"{type(self).__name__}.__init__() got unexpected arguments: {given}")
        fields = self.__dict__
        fields["training"] = True
        fields["_parameters"] = {}
        fields["_buffers"] = {}
        fields["_modules"] = {}
        fields["_non_persistent_buffers"] = set()
        fields["_forward_hooks"] = HookDict()
        fields["_forward_pre_hooks"] = HookDict()
        fields["_backward_hooks"] = HookDict()

    def __getstate__(self) -> dict[str, Any]:
        """The attributes, for copies; a weight that a hook computes comes without its graph."""
        state = dict(self.__dict__)
        for hook, _ in state["_forward_pre_hooks"].values():
            name = getattr(hook, "computes", "")
            if isinstance(state.get(name), Tensor):  # made again before the next call
                state[name] = state[name].detach()
        return state

    # -- calling ---------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Attributes of an object with a __getattr__ cost several times a look into its __dict__.
        fields, cls = self.__dict__, type(self)
        if not (mode.waits or cls._alone):
            return self._call_outermost(args, kwargs)
        if fields["_forward_hooks"] or fields["_forward_pre_hooks"] or fields["_backward_hooks"]:
            return self._call_with_hooks(args, kwargs)
        if "forward" in fields:
            return fields["forward"](*args, **kwargs)
        if len(args) == 1 and not kwargs:  # quicker than to unpack
            return cls.forward(self, args[0])
        return cls.forward(self, *args, **kwargs)

    def _call_outermost(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Results of convolutions wait inside, and are written here."""
        mode.waits = True
        try:
            result = self(*args, **kwargs)
        finally:
            mode.waits = False
        settle()
        return result

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook, with_kwargs in tuple(self._forward_pre_hooks.values()):
            if with_kwargs:
                answer = hook(self, args, kwargs)
                if answer is not None:
                    if not (isinstance(answer, tuple) and len(answer) == 2):
                        raise RuntimeError(
                            "a forward pre-hook with kwargs must return None or (args, kwargs), "
                            f"got {answer!r:.80}"
                        )
                    args, kwargs = answer
            else:
                answer = hook(self, args)
                if answer is not None:
                    args = answer if isinstance(answer, tuple) else (answer,)
        call = BackwardCall(self) if self._backward_hooks else None
        if call is not None:
            args = call.wrap_inputs(args)
        result = self.forward(*args, **kwargs)
        for hook, with_kwargs in tuple(self._forward_hooks.values()):
            answer = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            if answer is not None:
                result = answer
        return result if call is None else call.wrap_outputs(result)

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments.

        With `with_kwargs`, `hook(module, args, kwargs)`, which returns None or both.
        """
        return self._forward_pre_hooks.add((hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; what it returns replaces the output.

        With `with_kwargs`, `hook(module, args, kwargs, output)`.
        """
        return self._forward_hooks.add((hook, with_kwargs), prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients are there.

        Both are tuples as long as the module's positional arguments and outputs, with None where
        there is no gradient. What the hook returns replaces `grad_input`.
        """
        return self._backward_hooks.add(hook, prepend)

    # -- attributes ------------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; None reserves the name."""
        self._check_name(name, "_parameters", "parameter")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                "(nn.Parameter or None required)"
            )
        if param is not None and param.grad_fn is not None:
            raise ValueError(f"cannot assign to parameter '{name}' a tensor that is not a leaf")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is not trained but belongs to the module.

        Parameters
        ----------
        name : str
        tensor : Tensor or None
            None reserves the name and is left out of the state.
        persistent : bool
            Whether it is part of `state_dict()`.
        """
        self._check_name(name, "_buffers", "buffer")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' "
                "(Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers.discard(name)
        else:
            self._non_persistent_buffers.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under a name; None reserves the name."""
        self._check_name(name, "_modules", "module")
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._modules[name] = module

    register_module = add_module

    def _check_name(self, name: str, table: str, what: str) -> None:
        if table not in self.__dict__:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string, got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{what} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')
        if hasattr(self, name) and name not in self.__dict__[table]:
            raise KeyError(f"attribute '{name}' already exists")

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__
        for table in ("_parameters", "_buffers", "_modules"):
            entries = fields.get(table)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        if isinstance(value, Parameter):
            self._claim(name, "_parameters", "parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._claim(name, "_modules", "module")
            fields["_modules"][name] = value
        elif name in fields.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as parameter '{name}' "
                    "(nn.Parameter or None expected)"
                )
            fields["_parameters"][name] = None
        elif name in fields.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as child module '{name}' "
                    "(nn.Module or None expected)"
                )
            fields["_modules"][name] = None
        elif name in fields.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as buffer '{name}' "
                    "(Tensor or None expected)"
                )
            fields["_buffers"][name] = value
        else:
            object.__setattr__(self, name, value)

    def _claim(self, name: str, table: str, what: str) -> None:
        """Free `name` from every place but `table`."""
        fields = self.__dict__
        if table not in fields:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")
        fields.pop(name, None)
        for other in ("_parameters", "_buffers", "_modules"):
            if other != table:
                fields[other].pop(name, None)
        fields["_non_persistent_buffers"].discard(name)

    def __delattr__(self, name: str) -> None:
        for table in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__[table]:
                del self.__dict__[table][name]
                self._non_persistent_buffers.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = set(super().__dir__())
        names.update(self._parameters, self._buffers, self._modules)
        return sorted(name for name in names if not name[0].isdigit())

    # -- the tree --------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Each module of the tree with its dotted name, this one ("") first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                inner = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, inner, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """Each module of the tree, once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct children with their names."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct children."""
        for _, module in self.named_children():
            yield module

    def _named_tensors(
        self, table: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        modules: Any = [(prefix, self)]
        if recurse:
            modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        seen: set[int] = set()
        for path, module in modules:
            for name, tensor in module.__dict__[table].items():
                if tensor is None or id(tensor) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(tensor))
                yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names; one that is shared comes once."""
        return self._named_tensors("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, those of the children too."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names."""
        return self._named_tensors("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, those of the children too."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name; "" is this one.

        Raises
        ------
        AttributeError
            When there is none.
        """
        module: Module = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                raise AttributeError(f"{type(module).__name__} has no submodule `{name}`")
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name; AttributeError when there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        parameter = module._parameters.get(name)
        if parameter is None:
            raise AttributeError(f"{type(module).__name__} has no parameter `{name}`")
        return parameter

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name; AttributeError when there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        buffer = module._buffers.get(name)
        if buffer is None:
            raise AttributeError(f"{type(module).__name__} has no buffer `{name}`")
        return buffer

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Call `fn` on every module of the tree, children first, and return self."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # -- modes, types ----------------------------------------------------------------------------

    def train(self: M, mode: bool = True) -> M:
        """Set training mode for the whole tree and return self."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: M) -> M:
        """Set evaluation mode for the whole tree and return self."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Freeze or unfreeze all parameters and return self."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                parameter.grad = wrap(np.zeros_like(parameter.grad._array))

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Convert the floating-point parameters and buffers in place and return self.

        Takes a dtype, the device "cpu", a Tensor whose dtype to take, and `memory_format`, which
        changes nothing here: weights have one layout, and activations choose their own.
        """
        dtype = parse_to(args, kwargs)
        return self if dtype is None else self._convert(dtype)

    def float(self: M) -> M:
        """Convert the floating-point parameters and buffers to float32 and return self."""
        return self._convert(np.dtype(np.float32))

    def double(self: M) -> M:
        """Convert the floating-point parameters and buffers to float64 and return self."""
        return self._convert(np.dtype(np.float64))

    def cpu(self: M) -> M:
        """Return self: there is no other device."""
        return self

    def cuda(self: M, device: Any = None) -> M:
        """Raise: there is no CUDA device."""
        raise RuntimeError("fastconv computes on the CPU only: there is no CUDA device")

    def _convert(self: M, dtype: np.dtype[Any]) -> M:
        for module in self.modules():
            for table in (module._parameters, module._buffers):
                for tensor in table.values():
                    if tensor is None or tensor._array.dtype.kind != "f":
                        continue
                    if tensor._array.dtype != dtype:
                        move(tensor, tensor._array.astype(dtype))
                    if tensor.grad is not None:
                        tensor.grad = wrap(tensor.grad._array.astype(dtype, copy=False))
        return self

    # -- state -----------------------------------------------------------------------------------

    def state_dict(
        self,
        *,
        destination: dict[str, Tensor] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Tensor]:
        """The parameters and persistent buffers by dotted name.

        The tensors share the module's memory: deepcopy the result to keep a state.
        """
        return state_of(
            self, OrderedDict() if destination is None else destination, prefix, keep_vars
        )

    def load_state_dict(
        self, state_dict: Any, strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy a state into the module's own parameters and buffers.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or ndarray
        strict : bool
            Missing and unexpected keys are errors.
        assign : bool
            Take over the tensors themselves, with their dtype, instead of copying.

        Returns
        -------
        IncompatibleKeys
            `missing_keys` and `unexpected_keys`.

        Raises
        ------
        RuntimeError
            Listing every mismatch; nothing has been changed then.
        """
        return load_state(self, state_dict, strict, assign)

    # -- display ---------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The arguments as `repr` shows them."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        child_lines = [f"({k}): {indent(repr(m))}" for k, m in self._modules.items()]
        if len(extra_lines) == 1 and not child_lines:
            return f"{self._get_name()}({extra_lines[0]})"
        lines = extra_lines + child_lines
        if not lines:
            return f"{self._get_name()}()"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


def indent(text: str) -> str:
    """Indent all lines but the first by two."""
    return text.replace("\n", "\n  ")


def parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> np.dtype[Any] | None:
    """The dtype that the arguments of `Module.to` ask for, or None."""
    values = dict(kwargs)
    check_device(values.pop("device", None))
    dtype = values.pop("dtype", None)
    for ignored in ("non_blocking", "memory_format", "copy"):
        values.pop(ignored, None)
    if values:
        raise TypeError(f"Module.to() got unexpected keyword arguments {sorted(values)}")
    for value in args:
        if isinstance(value, Tensor):
            dtype = value.dtype
        elif isinstance(value, (str, device)):
            check_device(value)
        elif value is not None and not isinstance(value, (bool, memory_format)):
            dtype = value
    if dtype is None:
        return None
    found = to_numpy_dtype(dtype)
    if found not in (np.float32, np.float64):
        raise TypeError(f"Module.to() only accepts float32 and float64, got {dtype}")
    return found


def check_device(value: Any) -> None:
    """Raise unless `value` is None or the CPU."""
    if value is not None:
        device(value)


def empty(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    """Uninitialised memory of a floating-point type, the default one when None."""
    found = to_numpy_dtype(float if dtype is None else dtype)
    if found.kind != "f":
        raise TypeError(f"parameters must have a floating-point dtype, got {dtype}")
    return wrap(np.empty(shape, found))  # type: ignore[no-any-return]
