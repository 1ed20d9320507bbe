"""Weight and spectral normalisation as parametrisations, under PyTorch's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._grad_mode import no_grad
from ...autograd import changed, forget
from ...random import rng
from ...tensor import Tensor, wrap
from ..modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..modules.module import Module
from .parametrize import check_module, register_parametrization

Array = np.ndarray


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """The norms of the slices along `dim`, its size kept; of everything when None or -1."""
    if dim is None or dim == -1:
        return v.norm(2)
    dims = tuple(d for d in range(v.ndim) if d != dim % v.ndim)
    return v.norm(2, dims, keepdim=True) if dims else v.abs()


def weight_of(v: Tensor, g: Tensor, dim: int | None) -> Tensor:
    """g · v / ‖v‖."""
    return v * (g / norm_except(v, dim))


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_of(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Length and direction."""
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn length and direction of a weight apart: w = g · v / ‖v‖ (Salimans 2016).

    Parameters
    ----------
    module : Module
    name : str
    dim : int or None
        One length for each slice along it; None for one length.

    Returns
    -------
    Module
        `module`, with ``parametrizations.weight.original0`` (g) and ``original1`` (v).
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


def normalized(a: Array, eps: float) -> Array:
    """`a` over its norm, which is taken for eps at least."""
    return a / max(float(np.linalg.norm(a)), eps)  # type: ignore[no-any-return]


def power_iterations(
    matrix: Array, u: Tensor, v: Tensor, count: int, eps: float, first: str
) -> None:
    """Bring u and v nearer to the largest singular vectors, in place; `first` is turned first."""
    forget(u)
    forget(v)
    for _ in range(count):
        if first == "v":
            v._array[...] = normalized(matrix.T @ u._array, eps)
        u._array[...] = normalized(matrix @ v._array, eps)
        if first == "u":
            v._array[...] = normalized(matrix.T @ u._array, eps)
    changed(u)
    changed(v)


def matrix_of(weight: Tensor, dim: int) -> Tensor:
    """`weight` with the axis `dim` first, as a matrix."""
    if dim:
        weight = weight.permute(dim, *[d for d in range(weight.ndim) if d != dim])
    return weight.reshape(weight.shape[0], -1)


def drawn(size: int, kind: Any, eps: float) -> Tensor:
    """A random vector of length 1."""
    return wrap(normalized(rng().standard_normal(size), eps).astype(kind))  # type: ignore[no-any-return]


def usual_dim(module: Module) -> int:
    """The axis of the outputs: 1 of transposed convolutions, 0 of the rest."""
    return int(isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)))


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if n_power_iterations < 1:
            raise ValueError(
                f"spectral_norm(): n_power_iterations must be positive, got {n_power_iterations}"
            )
        if not -weight.ndim <= dim < max(weight.ndim, 1):
            raise IndexError(f"spectral_norm(): dim {dim} is out of range of {weight.ndim} axes")
        self.dim = dim % weight.ndim if weight.ndim else 0
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = matrix_of(weight.detach(), self.dim)._array
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                self.register_buffer(name, drawn(size, matrix.dtype, eps))
            power_iterations(matrix, self._u, self._v, 15, eps, "u")

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return weight / weight.norm(2).clamp_min(self.eps)
        matrix = matrix_of(weight, self.dim)
        if self.training:
            with no_grad():
                power_iterations(
                    matrix._array, self._u, self._v, self.n_power_iterations, self.eps, "u"
                )
        u, v = self._u.clone(), self._v.clone()
        return weight / (u * (matrix @ v)).sum()

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself: its own norm is unknown."""
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value (Miyato et al. 2018).

    Parameters
    ----------
    module : Module
    name : str
    n_power_iterations : int
        Steps of the power method at each use in training.
    eps : float
    dim : int, optional
        The axis of the outputs; 1 of transposed convolutions, 0 of the rest.

    Raises
    ------
    ValueError
        When there is no such weight.
    """
    check_module("spectral_norm", module)
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(
            f"Module '{type(module).__name__}' has no parameter or buffer with name '{name}'"
        )
    axis = usual_dim(module) if dim is None else dim
    return register_parametrization(
        module, name, _SpectralNorm(weight, n_power_iterations, axis, eps)
    )
