"""Layers that learn the size of their input from the first one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...tensor import Tensor, wrap
from ..parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Linear
from .module import Module
from .normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)


class LazyModuleMixin:
    """A module that calls `initialize_parameters` with its first input.

    It becomes `cls_to_become` then. Make it before the optimiser, and run one input through the
    network, or load a state, before the parameters are counted.
    """

    cls_to_become: type[Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._initialize_hook = self.register_forward_pre_hook(  # type: ignore[attr-defined]
            self._infer_parameters, with_kwargs=True
        )

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        module: Any = self
        return any(is_lazy(t) for t in (*module._parameters.values(), *module._buffers.values()))

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shapes, from the arguments of the first call."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self)}")

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(
                f"{type(self).__name__}: parameters are uninitialised after initialize_parameters"
            )
        module._initialize_hook.remove()
        del module._initialize_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become


class LazyLinear(LazyModuleMixin, Linear):
    """`Linear` whose in_features come with the first input."""

    cls_to_become = Linear

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(0, 0, False, device, dtype)
        self.weight = UninitializedParameter(dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw the values once there are shapes."""
        if not self.has_uninitialized_params() and self.in_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:  # type: ignore[override]
        """Take in_features from (*, in_features)."""
        if self.has_uninitialized_params():
            self.in_features = input.shape[-1]
            self.weight.materialize((self.out_features, self.in_features))  # type: ignore[attr-defined]
            if self.bias is not None:
                self.bias.materialize((self.out_features,))  # type: ignore[attr-defined]
            self.reset_parameters()
        self.in_features = self.weight.shape[1]


class _LazyConv(LazyModuleMixin):
    """What the convolutions share."""

    def __init__(self, out_channels: int, *args: Any, bias: bool = True, **kwargs: Any) -> None:
        if len(args) > 5:  # the bias by its place
            bias, args = args[5], (*args[:5], *args[6:])
            if len(args) > 5:
                raise TypeError(f"{type(self).__name__}: give what follows bias by its name")
        super().__init__(0, 0, *args, bias=False, **kwargs)
        module: Any = self
        dtype = kwargs.get("dtype")
        module.weight = UninitializedParameter(dtype=dtype)
        module.out_channels = out_channels
        if out_channels % module.groups:
            raise ValueError(
                f"{type(self).__name__}: out_channels {out_channels} must be divisible by groups "
                f"{module.groups}"
            )
        if bias:
            module.bias = UninitializedParameter(dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw the values once there are shapes."""
        module: Any = self
        if not self.has_uninitialized_params() and module.in_channels != 0:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Take in_channels from (N, C, *) or (C, *)."""
        module: Any = self
        groups = module.groups
        if self.has_uninitialized_params():
            if input.ndim not in (module.ndim + 1, module.ndim + 2):
                raise ValueError(
                    f"{type(self).__name__}: input must have {module.ndim + 1} or "
                    f"{module.ndim + 2} dimensions, got shape {tuple(input.shape)}"
                )
            channels = input.shape[-module.ndim - 1]
            if channels % groups:
                raise ValueError(
                    f"{type(self).__name__}: in_channels {channels} must be divisible by groups "
                    f"{groups}"
                )
            module.in_channels = channels
            inner, outer = channels // groups, module.out_channels
            if module.transposed:
                outer, inner = channels, module.out_channels // groups
            module.weight.materialize((outer, inner, *module.kernel_size))
            if module.bias is not None:
                module.bias.materialize((module.out_channels,))
            self.reset_parameters()
        if module.transposed:
            module.in_channels = module.weight.shape[0]
        else:
            module.in_channels = module.weight.shape[1] * groups


class _LazyNorm(LazyModuleMixin):
    """What the normalisations share."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        bias = kwargs.pop("bias", True)
        super().__init__(0, eps, momentum, False, False, device, dtype, **kwargs)
        module: Any = self
        module.affine, module.track_running_stats = affine, track_running_stats
        if affine:
            module.weight = UninitializedParameter(dtype=dtype)
            if bias:
                module.bias = UninitializedParameter(dtype=dtype)
        if track_running_stats:
            module.running_mean = UninitializedBuffer(dtype=dtype)
            module.running_var = UninitializedBuffer(dtype=dtype)
            module.num_batches_tracked = wrap(np.zeros((), np.int64))

    def reset_parameters(self) -> None:
        """Set the values once there are shapes."""
        module: Any = self
        if not self.has_uninitialized_params() and module.num_features != 0:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Tensor) -> None:
        """Take num_features from (N, C, *), of an instance norm also from (C, *)."""
        module: Any = self
        unbatched = not isinstance(self, (BatchNorm1d, BatchNorm2d, BatchNorm3d))
        axis = 0 if unbatched and input.ndim == module.ranks[0] else 1
        parts = (module.weight, module.bias, module.running_mean, module.running_var)
        if self.has_uninitialized_params():
            module.num_features = input.shape[axis]
            for part in parts:
                if is_lazy(part):
                    part.materialize((module.num_features,))
            self.reset_parameters()
        known = [part.shape[0] for part in parts if part is not None]
        module.num_features = known[0] if known else input.shape[axis]


def _make(name: str, mixin: type[Any], base: type[Module], what: str) -> Any:
    doc = f"`{base.__name__}` whose {what} comes with the first input."
    return type(
        name, (mixin, base), {"cls_to_become": base, "__doc__": doc, "__module__": __name__}
    )


LazyConv1d: Any = _make("LazyConv1d", _LazyConv, Conv1d, "in_channels")
LazyConv2d: Any = _make("LazyConv2d", _LazyConv, Conv2d, "in_channels")
LazyConv3d: Any = _make("LazyConv3d", _LazyConv, Conv3d, "in_channels")
LazyConvTranspose1d: Any = _make("LazyConvTranspose1d", _LazyConv, ConvTranspose1d, "in_channels")
LazyConvTranspose2d: Any = _make("LazyConvTranspose2d", _LazyConv, ConvTranspose2d, "in_channels")
LazyConvTranspose3d: Any = _make("LazyConvTranspose3d", _LazyConv, ConvTranspose3d, "in_channels")
LazyBatchNorm1d: Any = _make("LazyBatchNorm1d", _LazyNorm, BatchNorm1d, "num_features")
LazyBatchNorm2d: Any = _make("LazyBatchNorm2d", _LazyNorm, BatchNorm2d, "num_features")
LazyBatchNorm3d: Any = _make("LazyBatchNorm3d", _LazyNorm, BatchNorm3d, "num_features")
LazyInstanceNorm1d: Any = _make("LazyInstanceNorm1d", _LazyNorm, InstanceNorm1d, "num_features")
LazyInstanceNorm2d: Any = _make("LazyInstanceNorm2d", _LazyNorm, InstanceNorm2d, "num_features")
LazyInstanceNorm3d: Any = _make("LazyInstanceNorm3d", _LazyNorm, InstanceNorm3d, "num_features")
