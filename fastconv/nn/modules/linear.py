"""The fully connected layer, and the layer that does nothing."""

from __future__ import annotations

import math
from typing import Any

from ...spec import as_int
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module, check_device, empty


class Identity(Module):
    """Returns its input; takes any arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """y = x · weightᵀ + bias over the last axis.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    device : "cpu", optional
    dtype : dtype, optional

    Attributes
    ----------
    weight : Parameter
        (out_features, in_features).
    bias : Parameter or None
        (out_features,).
    """

    bias: Parameter | None
    _alone = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_device(device)
        self.in_features = as_int("Linear", "in_features", in_features)
        self.out_features = as_int("Linear", "out_features", out_features)
        if self.in_features < 0 or self.out_features < 0:
            raise ValueError(
                f"Linear: in_features and out_features must not be negative, "
                f"got {in_features} and {out_features}"
            )
        self.weight = Parameter(empty((out_features, in_features), dtype))
        if bias:
            self.bias = Parameter(empty((out_features,), dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias evenly from ±1 / sqrt(in_features)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        weight: Any
        bias: Any
        try:  # without the detour through __getattr__
            parameters = self.__dict__["_parameters"]
            weight, bias = parameters["weight"], parameters["bias"]
        except KeyError:
            weight, bias = self.weight, self.bias
        return F.linear(input, weight, bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
