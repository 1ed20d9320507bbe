"""Whole networks, each written once: the same source builds it with fastconv and with PyTorch.

A builder takes the package (``import fastconv as torch``, or PyTorch itself) and returns a module.
Structure and parameter names are those of the usual implementations, so a ``state_dict`` goes from
one side to the other. :data:`NETWORKS` says with which input and loss each one is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["NETWORKS", "Network", "choose", "numbers"]

Module = Any


def lenet5(torch: Any) -> Module:
    """LeNet-5 for 28×28 images."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10),
    )  # fmt: skip


def _resnet(torch: Any, blocks: tuple[int, ...], bottleneck: bool) -> Module:
    nn = torch.nn
    grow = 4 if bottleneck else 1

    class Block(nn.Module):
        def __init__(self, inputs: int, width: int, stride: int) -> None:
            super().__init__()
            outputs = width * grow
            if bottleneck:
                self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
                self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
                self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
                self.bn3 = nn.BatchNorm2d(outputs)
            else:
                self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
                self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.bn2 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride != 1 or inputs != outputs:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x: Any) -> Any:
            shortcut = x if self.downsample is None else self.downsample(x)
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            if bottleneck:
                y = self.bn3(self.conv3(self.relu(y)))
            y += shortcut
            return self.relu(y)

    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            inputs = 64
            for i, count in enumerate(blocks):
                layers = []
                for j in range(count):
                    layers.append(Block(inputs, 64 << i, 2 if i > 0 and j == 0 else 1))
                    inputs = (64 << i) * grow
                setattr(self, f"layer{i + 1}", nn.Sequential(*layers))
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(inputs, 1000)

        def forward(self, x: Any) -> Any:
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(self.avgpool(x).flatten(1))

    return ResNet()


def resnet18(torch: Any) -> Module:
    """ResNet-18 for 224×224 images (He, Zhang, Ren, Sun 2016)."""
    return _resnet(torch, (2, 2, 2, 2), bottleneck=False)


def resnet50(torch: Any) -> Module:
    """ResNet-50, with the stride in the 3×3 convolutions."""
    return _resnet(torch, (3, 4, 6, 3), bottleneck=True)


def resnet20(torch: Any) -> Module:
    """ResNet-20 for 32×32 images, parameter-free shortcuts (He and others 2016, section 4.2)."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.stride, self.more = stride, (outputs - inputs) // 2

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            if self.stride > 1:
                kept = x[:, :, :: self.stride, :: self.stride]
                x = nn.functional.pad(kept, (0, 0, 0, 0, self.more, self.more))
            return torch.relu(y + x)

    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(16)
            inputs, blocks = 16, []
            for outputs in (16, 32, 64):
                for i in range(3):
                    blocks.append(Block(inputs, outputs, 2 if i == 0 and outputs > 16 else 1))
                    inputs = outputs
            self.blocks = nn.Sequential(*blocks)
            self.linear = nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:
            x = self.blocks(torch.relu(self.bn1(self.conv1(x))))
            return self.linear(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))

    return ResNet()


def vgg16(torch: Any) -> Module:
    """VGG-16, configuration D without batch norm (Simonyan, Zisserman 2015)."""
    nn = torch.nn
    layers: list[Any] = []
    inputs = 3
    for count, width in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(
        nn.Sequential(*layers), nn.AdaptiveAvgPool2d(7), nn.Flatten(),
        nn.Linear(512 * 49, 4096), nn.ReLU(inplace=True), nn.Dropout(),
        nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4096, 1000),
    )  # fmt: skip


def mobilenet_v2(torch: Any) -> Module:
    """MobileNetV2, width 1 (Sandler and others 2018)."""
    nn = torch.nn

    def unit(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Any:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(inplace=True),
        )

    class Inverted(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
            super().__init__()
            hidden = inputs * expand
            self.residual = stride == 1 and inputs == outputs
            layers = [unit(inputs, hidden, 1)] if expand > 1 else []
            layers += [
                unit(hidden, hidden, 3, stride, hidden),
                nn.Conv2d(hidden, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            ]
            self.conv = nn.Sequential(*layers)

        def forward(self, x: Any) -> Any:
            return x + self.conv(x) if self.residual else self.conv(x)

    features = [unit(3, 32, 3, 2)]
    inputs = 32
    for expand, outputs, count, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
        (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for i in range(count):
            features.append(Inverted(inputs, outputs, stride if i == 0 else 1, expand))
            inputs = outputs
    features.append(unit(inputs, 1280, 1))
    return nn.Sequential(
        nn.Sequential(*features), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2),
        nn.Linear(1280, 1000),
    )  # fmt: skip


def unet(torch: Any) -> Module:
    """U-Net with 32 to 512 channels, padded, with batch norm (Ronneberger and others 2015)."""
    nn = torch.nn

    def double(inputs: int, outputs: int) -> Any:
        layers: list[Any] = []
        for channels in (inputs, outputs):
            layers += [
                nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self, base: int = 32, depth: int = 4) -> None:
            super().__init__()
            widths = [base << i for i in range(depth + 1)]
            self.down = nn.ModuleList(
                [double(inputs, outputs) for inputs, outputs in zip([3, *widths], widths)]
            )
            self.pool = nn.MaxPool2d(2)
            self.up = nn.ModuleList(
                [nn.ConvTranspose2d(2 * width, width, 2, 2) for width in widths[-2::-1]]
            )
            self.join = nn.ModuleList([double(2 * width, width) for width in widths[-2::-1]])
            self.head = nn.Conv2d(base, 2, 1)

        def forward(self, x: Any) -> Any:
            kept = []
            for i, block in enumerate(self.down):
                x = block(x if i == 0 else self.pool(x))
                kept.append(x)
            kept.pop()
            for up, join in zip(self.up, self.join):
                x = join(torch.cat([kept.pop(), up(x)], dim=1))
            return self.head(x)

    return UNet()


def dcgan(torch: Any) -> Module:
    """The generator of DCGAN for 64×64 images (Radford, Metz, Chintala 2016)."""
    nn = torch.nn
    layers: list[Any] = []
    inputs = 100
    for i, width in enumerate((512, 256, 128, 64)):
        layers += [
            nn.ConvTranspose2d(inputs, width, 4, 1 if i == 0 else 2, 0 if i == 0 else 1,
                               bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]  # fmt: skip
        inputs = width
    return nn.Sequential(*layers, nn.ConvTranspose2d(inputs, 3, 4, 2, 1, bias=False), nn.Tanh())


def dilated(torch: Any) -> Module:
    """Eight residual 1-D convolutions with dilations 1 to 128, as in a temporal network."""
    nn = torch.nn

    class Layer(nn.Module):
        def __init__(self, dilation: int) -> None:
            super().__init__()
            self.conv = nn.Conv1d(64, 64, 3, padding=dilation, dilation=dilation, bias=False)
            self.norm = nn.BatchNorm1d(64)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.norm(self.conv(x)) + x)

    return nn.Sequential(*[Layer(1 << i) for i in range(8)], nn.Conv1d(64, 64, 1))


def c3d(torch: Any) -> Module:
    """A plain stack of 3×3×3 convolutions for clips of 16 frames (Tran and others 2015)."""
    nn = torch.nn
    layers: list[Any] = []
    inputs = 3
    for width, pool in ((32, (1, 2, 2)), (64, 2), (128, 2), (128, 2)):
        layers += [nn.Conv3d(inputs, width, 3, padding=1), nn.ReLU(), nn.MaxPool3d(pool)]
        inputs = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 2 * 3 * 3, 101))


def _classes(count: int) -> Callable[..., Any]:
    def target(rng: np.random.Generator, batch: int) -> np.ndarray:
        return rng.integers(0, count, batch)

    return target


def _values(*shape: int) -> Callable[..., Any]:
    def target(rng: np.random.Generator, batch: int) -> np.ndarray:
        return rng.random((batch, *shape), np.float32) * 2 - 1

    return target


def _pixels(rng: np.random.Generator, batch: int) -> np.ndarray:
    return rng.integers(0, 2, (batch, 128, 128))


class Network(NamedTuple):
    """A network, and how it is trained."""

    name: str
    build: Callable[[Any], Module]
    batch: int
    x_shape: tuple[int, ...]  # without the batch
    target: Callable[..., np.ndarray]  # of a generator and a batch
    loss: str  # of torch.nn.functional

    @property
    def title(self) -> str:
        """The name with the batch of training."""
        return f"{self.name}, batch {self.batch}"


NETWORKS: tuple[Network, ...] = (
    Network("LeNet-5", lenet5, 64, (1, 28, 28), _classes(10), "cross_entropy"),
    Network("ResNet-18", resnet18, 4, (3, 224, 224), _classes(1000), "cross_entropy"),
    Network("ResNet-50", resnet50, 2, (3, 224, 224), _classes(1000), "cross_entropy"),
    Network("VGG-16", vgg16, 1, (3, 224, 224), _classes(1000), "cross_entropy"),
    Network("MobileNetV2", mobilenet_v2, 4, (3, 224, 224), _classes(1000), "cross_entropy"),
    Network("U-Net", unet, 4, (3, 128, 128), _pixels, "cross_entropy"),
    Network("DCGAN generator", dcgan, 16, (100, 1, 1), _values(3, 64, 64), "mse_loss"),
    Network("dilated 1-D stack", dilated, 8, (64, 2048), _values(64, 2048), "mse_loss"),
    Network("C3D-style stack", c3d, 2, (3, 16, 56, 56), _classes(101), "cross_entropy"),
)


def choose(words: str | None = None) -> list[Network]:
    """The networks whose names begin like one of the comma-separated words; all without any."""
    if words is None:
        return list(NETWORKS)
    wanted = [word.strip().lower() for word in words.split(",") if word.strip()]
    return [n for n in NETWORKS if any(n.name.lower().startswith(word) for word in wanted)]


def numbers(network: Network, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Input and target of a step, the same in every process."""
    rng = np.random.default_rng(0)
    x = rng.random((batch, *network.x_shape), np.float32) * 2 - 1
    return x, network.target(rng, batch)
