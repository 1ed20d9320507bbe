"""Building blocks of well-known networks, torchvision's names where it has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...functions.join import cat
from ...spec import as_int
from ...tensor import Tensor
from .. import functional as F
from .activation import ReLU, Sigmoid
from .container import ModuleDict, Sequential
from .conv import Conv2d
from .linear import Linear
from .module import Module
from .normalization import BatchNorm2d
from .pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d


class SeparableConv2d(Module):
    """A depthwise convolution, then one of 1×1: few products for a wide view (Xception).

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : of the depthwise convolution
    bias : bool
        Of the pointwise convolution; the depthwise one has none.
    depth_multiplier : int
        Maps that the depthwise convolution makes of each channel.
    padding_mode : "zeros", "reflect", "replicate" or "circular"
    device : "cpu", optional
    dtype : dtype, optional
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        bias: bool = True,
        depth_multiplier: int = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        depth_multiplier = as_int("SeparableConv2d", "depth_multiplier", depth_multiplier)
        if depth_multiplier < 1:
            raise ValueError(
                f"SeparableConv2d: depth_multiplier must be positive, got {depth_multiplier}"
            )
        middle = in_channels * depth_multiplier
        self.depthwise = Conv2d(
            in_channels,
            middle,
            kernel_size,
            stride,
            padding,
            dilation,
            groups=in_channels,
            bias=False,
            padding_mode=padding_mode,
            device=device,
            dtype=dtype,
        )
        self.pointwise = Conv2d(middle, out_channels, 1, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(input))  # type: ignore[no-any-return]


class SqueezeExcitation(Module):
    """Each channel scaled by what all of them say together (Hu et al. 2018), as in torchvision.

    Parameters
    ----------
    input_channels : int
    squeeze_channels : int
        Width between the two layers.
    activation : callable
        Makes the module after the first layer.
    scale_activation : callable
        Makes the module after the second.
    """

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: Callable[..., Module] = ReLU,
        scale_activation: Callable[..., Module] = Sigmoid,
    ) -> None:
        super().__init__()
        self.avgpool = AdaptiveAvgPool2d(1)
        self.fc1 = Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        scale = self.activation(self.fc1(self.avgpool(input)))
        return self.scale_activation(self.fc2(scale)) * input  # type: ignore[no-any-return]


class BasicConv2d(Module):
    """A convolution without bias, batch normalisation (eps 0.001) and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(Module):
    """Four branches side by side: 1×1, 3×3, a larger one, and pooling (GoogLeNet, 2015).

    Parameters
    ----------
    in_channels : int
    ch1x1 : int
        Channels of the first branch.
    ch3x3red, ch3x3 : int
        Of the second: those that a 1×1 convolution leaves, and those it ends with.
    ch5x5red, ch5x5 : int
        Of the third.
    pool_proj : int
        Of the fourth.
    conv_block : callable, optional
        Makes a convolution with what follows it; `BasicConv2d` when not given.
    large_kernel : int
        Of the third branch. 3 as in torchvision, whose weights then fit; the paper has 5.

    Notes
    -----
    The result has ch1x1 + ch3x3 + ch5x5 + pool_proj channels.
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        conv_block: Callable[..., Module] | None = None,
        large_kernel: int = 3,
    ) -> None:
        super().__init__()
        large_kernel = as_int("Inception", "large_kernel", large_kernel)
        if large_kernel % 2 == 0 or large_kernel < 1:
            raise ValueError(f"Inception: large_kernel must be odd, got {large_kernel}")
        block = BasicConv2d if conv_block is None else conv_block
        self.branch1 = block(in_channels, ch1x1, kernel_size=1)
        self.branch2 = Sequential(
            block(in_channels, ch3x3red, kernel_size=1),
            block(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = Sequential(
            block(in_channels, ch5x5red, kernel_size=1),
            block(ch5x5red, ch5x5, kernel_size=large_kernel, padding=large_kernel // 2),
        )
        self.branch4 = Sequential(
            MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            block(in_channels, pool_proj, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return cat([branch(x) for branch in branches], 1)  # type: ignore[no-any-return]


class DenseLayer(Module):
    """BN, ReLU, 1×1 and BN, ReLU, 3×3: the layer of a dense block (Huang et al. 2017).

    Parameters
    ----------
    num_input_features : int
    growth_rate : int
        Channels that it makes.
    bn_size : int
        The 1×1 convolution leaves bn_size · growth_rate channels.
    drop_rate : float
    memory_efficient : bool
        Compute the 1×1 convolution again in backward, rather than keep what it joined.
    """

    def __init__(
        self,
        num_input_features: int,
        growth_rate: int,
        bn_size: int = 4,
        drop_rate: float = 0.0,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = BatchNorm2d(num_input_features)
        self.relu1 = ReLU(inplace=True)
        self.conv1 = Conv2d(num_input_features, bn_size * growth_rate, 1, bias=False)
        self.norm2 = BatchNorm2d(bn_size * growth_rate)
        self.relu2 = ReLU(inplace=True)
        self.conv2 = Conv2d(bn_size * growth_rate, growth_rate, 3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def bn_function(self, *features: Tensor) -> Tensor:
        """The feature maps joined, and brought through the 1×1 convolution."""
        joined = features[0] if len(features) == 1 else cat(features, 1)
        return self.conv1(self.relu1(self.norm1(joined)))  # type: ignore[no-any-return]

    def forward(self, input: Tensor | list[Tensor]) -> Tensor:
        features = [input] if isinstance(input, Tensor) else list(input)
        if self.memory_efficient and any(t.requires_grad for t in features):
            from ...utils.checkpoint import checkpoint

            narrow = checkpoint(self.bn_function, *features)
        else:
            narrow = self.bn_function(*features)
        new = self.conv2(self.relu2(self.norm2(narrow)))
        if self.drop_rate > 0:
            new = F.dropout(new, self.drop_rate, self.training)
        return new  # type: ignore[no-any-return]


class DenseBlock(ModuleDict):
    """Layers each of which sees the input and all that the layers before it have made.

    Parameters
    ----------
    num_layers, num_input_features : int
    bn_size, growth_rate, drop_rate, memory_efficient
        Of each `DenseLayer`.

    Notes
    -----
    The result has num_input_features + num_layers · growth_rate channels.
    """

    def __init__(
        self,
        num_layers: int,
        num_input_features: int,
        bn_size: int = 4,
        growth_rate: int = 32,
        drop_rate: float = 0.0,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        for i in range(num_layers):
            self.add_module(
                f"denselayer{i + 1}",
                DenseLayer(
                    num_input_features + i * growth_rate,
                    growth_rate,
                    bn_size,
                    drop_rate,
                    memory_efficient,
                ),
            )

    def forward(self, init_features: Tensor) -> Tensor:
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return cat(features, 1)  # type: ignore[no-any-return]


class Transition(Sequential):
    """BN, ReLU, 1×1 and average pooling by 2: between dense blocks."""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__()
        self.norm = BatchNorm2d(num_input_features)
        self.relu = ReLU(inplace=True)
        self.conv = Conv2d(num_input_features, num_output_features, 1, bias=False)
        self.pool = AvgPool2d(2, 2)


class Maxout(Module):
    """The largest of several linear layers, element by element (Goodfellow et al. 2013).

    Parameters
    ----------
    in_features, out_features : int
    pieces : int
        How many linear layers.
    bias : bool

    Notes
    -----
    After a convolution the same is `functional.maxout`, with pieces times the channels.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int = 2,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.pieces = as_int("Maxout", "pieces", pieces)
        if self.pieces < 1:
            raise ValueError(f"Maxout: pieces must be positive, got {pieces}")
        self.linear = Linear(in_features, out_features * pieces, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.maxout(self.linear(input), self.pieces, -1)

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"
