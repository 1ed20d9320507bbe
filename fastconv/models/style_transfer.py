"""The network that paints an image in the style that it was trained for.

Johnson, Alahi, Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution"
(ECCV 2016), table 1 of the supplementary material. As in what is in use since: instance norm
(Ulyanov, Vedaldi, Lempitsky 2016) in place of batch norm, reflected edges at each convolution in
place of a wide one at the start, and on the way up nearest neighbours with a convolution, which
leaves no checkerboard. Names are those of PyTorch's example ``fast_neural_style``.
"""

from __future__ import annotations

from typing import Any

from ..nn import Conv2d, InstanceNorm2d, Module, ReflectionPad2d, ReLU
from ..nn import functional as F
from ..tensor import Tensor
from ._weights import build


class ReflectedConv(Module):
    """A convolution over reflected edges, of an image that may be enlarged before.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride : int
    upsample : int
        Times by which the image is enlarged.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        upsample: int = 1,
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.reflection_pad = ReflectionPad2d(kernel_size // 2)
        self.conv2d = Conv2d(in_channels, out_channels, kernel_size, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.upsample > 1:
            x = F.interpolate(x, scale_factor=self.upsample, mode="nearest")
        return self.conv2d(self.reflection_pad(x))


class ResidualBlock(Module):
    """Two 3×3 convolutions with instance norm; the input is added, and no ReLU follows.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ReflectedConv(channels, channels, 3)
        self.in1 = InstanceNorm2d(channels, affine=True)
        self.conv2 = ReflectedConv(channels, channels, 3)
        self.in2 = InstanceNorm2d(channels, affine=True)
        self.relu = ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.in2(self.conv2(self.relu(self.in1(self.conv1(x))))) + x


class TransformerNet(Module):
    """Down to a quarter, five residual blocks, up again.

    Parameters
    ----------
    width : int
        Channels of the first convolution: 32 in the paper.

    Raises
    ------
    ValueError
        If `width` is not positive.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"TransformerNet: width must be positive, got {width}")

        def norm(channels: int) -> InstanceNorm2d:
            return InstanceNorm2d(channels, affine=True)

        w2, w4 = 2 * width, 4 * width
        self.conv1, self.in1 = ReflectedConv(3, width, 9), norm(width)
        self.conv2, self.in2 = ReflectedConv(width, w2, 3, stride=2), norm(w2)
        self.conv3, self.in3 = ReflectedConv(w2, w4, 3, stride=2), norm(w4)
        self.res1, self.res2 = ResidualBlock(w4), ResidualBlock(w4)
        self.res3, self.res4 = ResidualBlock(w4), ResidualBlock(w4)
        self.res5 = ResidualBlock(w4)
        self.deconv1, self.in4 = ReflectedConv(w4, w2, 3, upsample=2), norm(w2)
        self.deconv2, self.in5 = ReflectedConv(w2, width, 3, upsample=2), norm(width)
        self.deconv3 = ReflectedConv(width, 3, 9)
        self.relu = ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) from images; values as of those it was trained with, 0 to 255.

        H and W come out as the next multiples of four.
        """
        x = self.relu(self.in1(self.conv1(x)))
        x = self.relu(self.in2(self.conv2(x)))  # 64 channels at a half
        x = self.relu(self.in3(self.conv3(x)))  # 128 channels at a quarter
        x = self.res5(self.res4(self.res3(self.res2(self.res1(x)))))
        x = self.relu(self.in4(self.deconv1(x)))
        x = self.relu(self.in5(self.deconv2(x)))
        return self.deconv3(x)


def style_transfer(*, weights: Any = None, progress: bool = True, **options: Any) -> TransformerNet:
    """The image transformation network: 1 679 235 parameters; trained on 256×256.

    Options: `width`. Files of PyTorch's example load as `weights`.
    """
    return build("style_transfer", TransformerNet, weights, options)
