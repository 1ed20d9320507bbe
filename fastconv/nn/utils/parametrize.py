"""Parameters that are computed from others whenever they are read, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..._grad_mode import no_grad
from ...tensor import Tensor
from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

_cache: dict[tuple[int, str], Tensor] = {}
_cached = [0]


@contextmanager
def cached() -> Iterator[None]:
    """Within this, each parametrised tensor is computed once and kept."""
    _cached[0] += 1
    try:
        yield
    finally:
        _cached[0] -= 1
        if not _cached[0]:
            _cache.clear()


def check_module(function: str, module: Any) -> None:
    """Raise TypeError unless it is a Module."""
    if not isinstance(module, Module):
        raise TypeError(f"{function}(): module must be a Module, got {type(module).__name__}")


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor, and what they compute it from.

    Attributes
    ----------
    original : Parameter or Tensor
        Or `original0`, `original1`, … where `right_inverse` of the last gives several.
    """

    def __init__(
        self, modules: Sequence[Module], original: Tensor | Parameter, unsafe: bool = False
    ) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        value: Any = original
        with no_grad():
            for module in reversed(list(self)):
                inverse = getattr(module, "right_inverse", None)
                if inverse is not None:
                    value = inverse(value)
        self.is_tensor = isinstance(value, Tensor)
        values = [value] if self.is_tensor else list(value)
        self.ntensors = len(values)
        trained = isinstance(original, Parameter)
        for i, v in enumerate(values):
            name = "original" if self.is_tensor else f"original{i}"
            if self.is_tensor and v is original and trained:
                self.register_parameter(name, original)  # type: ignore[arg-type]
            elif trained:
                kept = Parameter(v.detach(), requires_grad=original.requires_grad)
                self.register_parameter(name, kept)
            else:
                self.register_buffer(name, v)
        if not unsafe:
            with no_grad():
                made = self()
            if made.dtype != original.dtype or tuple(made.shape) != tuple(original.shape):
                raise ValueError(
                    "a parametrization must not change shape and dtype: it makes "
                    f"{tuple(made.shape)} of {made.dtype} from {tuple(original.shape)} of "
                    f"{original.dtype}; pass unsafe=True to allow it"
                )

    def _originals(self) -> list[Any]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def forward(self) -> Tensor:
        first, *rest = list(self)
        value = first(*self._originals())
        for module in rest:
            value = module(value)
        return value  # type: ignore[no-any-return]

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals to what gives `value`."""
        with no_grad():
            found: Any = value
            for module in reversed(list(self)):
                inverse = getattr(module, "right_inverse", None)
                if inverse is None:
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} has no right_inverse: the "
                        "tensor cannot be assigned"
                    )
                found = inverse(found)
            values = [found] if isinstance(found, Tensor) else list(found)
            for target, new in zip(self._originals(), values, strict=True):
                target.copy_(new)


def _property(name: str) -> property:
    def get(self: Any) -> Tensor:
        made = self.parametrizations[name]
        if not _cached[0]:
            return made()  # type: ignore[no-any-return]
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = made()
        return _cache[key]

    def put(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module, or one tensor of it, has parametrisations."""
    check_module("is_parametrized", module)
    found = module._modules.get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute a parameter or buffer by `parametrization` whenever it is read.

    Parameters
    ----------
    module : Module
    tensor_name : str
        What is there becomes ``module.parametrizations[tensor_name].original``.
    parametrization : Module
        Its `forward` makes the tensor from the original. A method ``right_inverse`` makes the
        original, or several, from a value: at once here, and whenever the tensor is assigned.
    unsafe : bool
        Allow it to change shape and dtype.

    Returns
    -------
    Module
        `module`.

    Raises
    ------
    ValueError
        When there is no such tensor, or shape or dtype would change.
    """
    check_module("register_parametrization", module)
    check_module("register_parametrization", parametrization)
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        made: Any = module.parametrizations[tensor_name]
        value = getattr(module, tensor_name)
        inverse = getattr(parametrization, "right_inverse", None)
        with no_grad():
            new = parametrization(value if inverse is None else inverse(value))
        if not unsafe and (new.dtype != value.dtype or tuple(new.shape) != tuple(value.shape)):
            raise ValueError(
                f"a parametrization must not change shape and dtype: it makes {tuple(new.shape)} "
                f"of {new.dtype} from {tuple(value.shape)} of {value.dtype}"
            )
        made.append(parametrization)
        if inverse is not None:
            made.right_inverse(value)
        return module
    if tensor_name not in module._parameters and tensor_name not in module._buffers:
        raise ValueError(
            f"Module '{type(module).__name__}' does not have a parameter, a buffer, or a "
            f"parametrized element with name '{tensor_name}'"
        )
    original: Any = getattr(module, tensor_name)
    if original is None:
        raise ValueError(f"'{tensor_name}' of {type(module).__name__} is None")
    made = ParametrizationList([parametrization], original, unsafe=unsafe)
    delattr(module, tensor_name)
    cls = type(module)
    if not is_parametrized(module):
        # a class of its own, for the properties
        module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), {"_unparametrized": cls})
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _property(tensor_name))
    module.parametrizations[tensor_name] = made
    return module


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make the tensor an ordinary one again.

    Parameters
    ----------
    module : Module
    tensor_name : str
    leave_parametrized : bool
        Keep the value that is computed; otherwise the original, which must be a single one.

    Raises
    ------
    ValueError
        When it is not parametrised, or there are several originals to keep.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"Module {type(module).__name__} does not have a parametrization on {tensor_name}"
        )
    table: Any = module.parametrizations
    made = table[tensor_name]
    originals = made._originals()
    if not leave_parametrized and len(originals) > 1:
        raise ValueError(
            "cannot leave unparametrized (leave_parametrized=False) a tensor that is made from "
            "several"
        )
    trained = any(isinstance(t, Parameter) for t in originals)
    kept = originals[0]
    if leave_parametrized:
        with no_grad():
            value = made().detach()
        if trained:
            kept = Parameter(value, requires_grad=any(t.requires_grad for t in originals))
        else:
            kept = value
    delattr(type(module), tensor_name)
    del table[tensor_name]
    if not len(table):
        del module._modules["parametrizations"]
        module.__class__ = type(module)._unparametrized  # type: ignore[attr-defined]
    if trained:
        module.register_parameter(tensor_name, kept)
    else:
        module.register_buffer(tensor_name, kept)
    return module


def type_before_parametrizations(module: Module) -> type[Module]:
    """The module's class as it was."""
    if is_parametrized(module):
        return type(module)._unparametrized  # type: ignore[attr-defined,no-any-return]
    return type(module)
