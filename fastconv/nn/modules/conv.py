"""Convolutions and transposed convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...spec import as_int, as_tuple
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module, check_device, empty

MODES = ("zeros", "reflect", "replicate", "circular")
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class _ConvNd(Module):
    """What all convolutions share: arguments, parameters and their initial values."""

    ndim: int
    convolve: Callable[..., Tensor]  # the function of this rank
    transposed = False
    _alone = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        check_device(device)
        name, ndim = type(self).__name__, self.ndim
        self.in_channels = as_int(name, "in_channels", in_channels)
        self.out_channels = as_int(name, "out_channels", out_channels)
        self.groups = as_int(name, "groups", groups)
        self.kernel_size = as_tuple(name, "kernel_size", kernel_size, ndim)
        self.stride = as_tuple(name, "stride", stride, ndim)
        self.dilation = as_tuple(name, "dilation", dilation, ndim)
        self.output_padding = as_tuple(name, "output_padding", output_padding, ndim)
        if self.groups < 1:
            raise ValueError(f"{name}: groups must be a positive integer, got {groups}")
        for argument in ("in_channels", "out_channels"):
            value = getattr(self, argument)
            if value < 0 or value % self.groups:
                raise ValueError(f"{name}: {argument} {value} must be divisible by groups {groups}")
        for argument in ("kernel_size", "stride", "dilation"):
            if min(getattr(self, argument)) < 1:
                raise ValueError(
                    f"{name}: {argument} must be positive, got {getattr(self, argument)}"
                )
        if padding_mode not in MODES:
            raise ValueError(f"{name}: padding_mode must be one of {MODES}, got {padding_mode!r}")
        self.padding_mode = padding_mode
        self.padding: tuple[int, ...] | str
        if isinstance(padding, str):
            if padding not in ("same", "valid") or self.transposed:
                raise ValueError(f"{name}: invalid padding string {padding!r}")
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError(
                    f"{name}: padding='same' is not supported for strided convolutions, "
                    f"got stride {self.stride}"
                )
            self.padding = padding
        else:
            self.padding = as_tuple(name, "padding", padding, ndim)
            if min(self.padding) < 0:
                raise ValueError(f"{name}: padding must not be negative, got {self.padding}")
        self._borders = self._reversed_padding()
        outer, inner = out_channels, in_channels // groups
        if self.transposed:
            outer, inner = in_channels, out_channels // groups
        self.weight = Parameter(empty((outer, inner, *self.kernel_size), dtype))
        self.bias: Parameter | None
        if bias:
            self.bias = Parameter(empty((out_channels,), dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _reversed_padding(self) -> list[int]:
        """The padding as `F.pad` takes it, the last axis first."""
        borders: list[int] = []
        for i in reversed(range(self.ndim)):
            if self.padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                borders += [total // 2, total - total // 2]
            elif self.padding == "valid":
                borders += [0, 0]
            else:
                borders += [int(self.padding[i])] * 2
        return borders

    def reset_parameters(self) -> None:
        """Draw weight and bias evenly from ±1 / sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init.fans(self.weight)
            if fan_in:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding != (0,) * self.ndim:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.ndim:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * self.ndim:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_ConvNd):
    """A convolution (cross-correlation) with a weight and a bias of its own.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or tuple of int
    padding : int, tuple of int, "same" or "valid"
    groups : int
        Divides both numbers of channels; each group sees its own inputs only.
    bias : bool
    padding_mode : "zeros", "reflect", "replicate" or "circular"
    device : "cpu", optional
    dtype : dtype, optional

    Attributes
    ----------
    weight : Parameter
        (out_channels, in_channels / groups, *kernel_size).
    bias : Parameter or None
        (out_channels,).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor) -> Tensor:
        fields = self.__dict__
        padding = fields["padding"]
        if fields["padding_mode"] != "zeros":
            input, padding = F.pad(input, self._borders, self.padding_mode), 0
        weight: Any
        bias: Any
        try:  # without the detour through __getattr__
            parameters = fields["_parameters"]
            weight, bias = parameters["weight"], parameters["bias"]
        except KeyError:
            weight, bias = self.weight, self.bias
        return type(self).convolve(
            input, weight, bias, fields["stride"], padding, fields["dilation"], fields["groups"]
        )


class Conv1d(_Conv):
    __doc__ = _Conv.__doc__
    ndim, convolve = 1, staticmethod(F.conv1d)


class Conv2d(_Conv):
    __doc__ = _Conv.__doc__
    ndim, convolve = 2, staticmethod(F.conv2d)


class Conv3d(_Conv):
    __doc__ = _Conv.__doc__
    ndim, convolve = 3, staticmethod(F.conv3d)


class _ConvTranspose(_ConvNd):
    """A transposed convolution: the adjoint of a convolution, plus a bias.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or tuple of int
        Those of the convolution that it is the adjoint of.
    output_padding : int or tuple of int
        Added to one side of the output's size, which the stride leaves open.
    groups : int
    bias : bool
    padding_mode : "zeros"
    device : "cpu", optional
    dtype : dtype, optional

    Attributes
    ----------
    weight : Parameter
        (in_channels, out_channels / groups, *kernel_size).
    bias : Parameter or None
        (out_channels,).
    """

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(
                f'Only "zeros" padding mode is supported for {type(self).__name__}, '
                f"got {padding_mode!r}"
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """The output; with `output_size`, (*spatial) or the whole shape, of that size."""
        extra = self.output_padding
        if output_size is not None:
            extra = self._extra(tuple(input.shape), list(output_size))
        return TRANSPOSE[self.ndim](
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _extra(self, shape: tuple[int, ...], wanted: list[int]) -> tuple[int, ...]:
        """The output padding that gives the wanted size."""
        ndim = self.ndim
        lead = len(shape) - ndim
        if len(wanted) == len(shape):
            wanted = wanted[lead:]
        if len(wanted) != ndim:
            raise ValueError(
                f"{type(self).__name__}: output_size must have {ndim} or {len(shape)} elements, "
                f"got {len(wanted)}"
            )
        least = [
            (shape[lead + i] - 1) * self.stride[i]
            - 2 * int(self.padding[i])
            + self.dilation[i] * (self.kernel_size[i] - 1)
            + 1
            for i in range(ndim)
        ]
        most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
        if any(not low <= n <= high for low, n, high in zip(least, wanted, most, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: requested an output size of {wanted}, but valid sizes "
                f"range from {least} to {most} (for an input of {shape[lead:]})"
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    __doc__ = _ConvTranspose.__doc__
    ndim = 1


class ConvTranspose2d(_ConvTranspose):
    __doc__ = _ConvTranspose.__doc__
    ndim = 2


class ConvTranspose3d(_ConvTranspose):
    __doc__ = _ConvTranspose.__doc__
    ndim = 3
