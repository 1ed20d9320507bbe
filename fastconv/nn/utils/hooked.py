"""Weight and spectral normalisation by a hook before each call: PyTorch's older functions."""

from __future__ import annotations

from typing import Any

from ..._grad_mode import no_grad
from ...functions._named import named
from ...tensor import Tensor
from ..modules.module import Module
from ..parameter import Parameter
from .parametrizations import (
    drawn,
    matrix_of,
    norm_except,
    power_iterations,
    usual_dim,
    weight_of,
)
from .parametrize import check_module


class _Hooked:
    """What is called before the module, and sets the weight."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = dim

    @property
    def computes(self) -> str:
        """The attribute that is set, for copies of the module."""
        return self.name

    def compute(self, module: Any) -> Tensor:
        """The weight from its parts."""
        raise NotImplementedError

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module))

    def attach(self, module: Any, function: str) -> Any:
        """Register with the module, once for each name; the parameter to be replaced."""
        check_module(function, module)
        for hook, _ in module._forward_pre_hooks.values():
            if isinstance(hook, type(self)) and hook.name == self.name:
                raise RuntimeError(f"{function}(): `{self.name}` has it already")
        weight = module._parameters.get(self.name)
        if weight is None:
            raise ValueError(
                f"{function}(): {type(module).__name__} has no parameter `{self.name}`"
            )
        module.register_forward_pre_hook(self)
        return weight


class _WeightNorm(_Hooked):
    def compute(self, module: Any) -> Tensor:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return weight_of(v, g, self.dim)


class _SpectralNorm(_Hooked):
    iterations = 1
    eps = 1e-12

    def compute(self, module: Any) -> Tensor:
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = matrix_of(weight, self.dim or 0)
        if module.training:
            with no_grad():
                power_iterations(matrix._array, u, v, self.iterations, self.eps, "v")
        return weight / (u.clone() * (matrix @ v.clone())).sum()  # type: ignore[no-any-return]


@named
def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn length and direction of a weight apart: w = g · v / ‖v‖.

    The parameter `weight` is replaced by `weight_g` and `weight_v`. See also
    `nn.utils.parametrizations.weight_norm`.

    Parameters
    ----------
    module : Module
    name : str
    dim : int or None
        One length for each slice along it; None for one length.
    """
    hook = _WeightNorm(name, -1 if dim is None else dim)
    any_module: Any = module
    weight = hook.attach(any_module, "weight_norm")
    del any_module._parameters[name]
    module.register_parameter(f"{name}_g", Parameter(norm_except(weight.detach(), hook.dim)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute(module))
    return module


@named
def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value, found by the power method.

    The parameter `weight` is replaced by `weight_orig` and the buffers `weight_u` and `weight_v`.
    See also `nn.utils.parametrizations.spectral_norm`.

    Parameters
    ----------
    module : Module
    name : str
    n_power_iterations : int
        Steps at each call in training.
    eps : float
    dim : int, optional
        The axis of the outputs; 1 of transposed convolutions, 0 of the rest.
    """
    if n_power_iterations < 1:
        raise ValueError(
            f"spectral_norm(): n_power_iterations must be positive, got {n_power_iterations}"
        )
    any_module: Any = module
    hook = _SpectralNorm(name, usual_dim(module) if dim is None else dim)
    hook.iterations, hook.eps = n_power_iterations, eps
    weight = hook.attach(any_module, "spectral_norm")
    matrix = matrix_of(weight.detach(), hook.dim or 0)._array
    del any_module._parameters[name]
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.data)
    module.register_buffer(f"{name}_u", drawn(matrix.shape[0], matrix.dtype, eps))
    module.register_buffer(f"{name}_v", drawn(matrix.shape[1], matrix.dtype, eps))
    return module


def _removed(module: Any, name: str, kind: type[_Hooked], parts: tuple[str, ...]) -> Module:
    check_module("remove", module)
    for key, (hook, _) in tuple(module._forward_pre_hooks.items()):
        if isinstance(hook, kind) and hook.name == name:
            with no_grad():
                training, module.training = module.training, False
                weight = hook.compute(module).detach()
                module.training = training
            del module._forward_pre_hooks[key]
            delattr(module, name)
            for part in parts:
                delattr(module, f"{name}_{part}")
            module.register_parameter(name, Parameter(weight))
            return module  # type: ignore[no-any-return]
    raise ValueError(f"{kind.__name__[1:]} of '{name}' not found in {module!r}")


@named
def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight an ordinary parameter again, of its present value."""
    return _removed(module, name, _WeightNorm, ("g", "v"))


@named
def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight an ordinary parameter again, of its present value."""
    return _removed(module, name, _SpectralNorm, ("orig", "u", "v"))
