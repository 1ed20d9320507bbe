"""The four cases of transfer learning: few or many images, like those learned from or unlike them.

A ResNet-20 for CIFAR-10 is put to two tasks: to say where a photograph's object is at home (in the
air, in water, on roads, on land: classes it was not trained for, photographs it partly was), and to
tell the clothes of Fashion-MNIST. Beside each, the same network from weights drawn at random.

Accuracy, and from random weights: few like 0.894 and 0.366, many like 0.922 and 0.675, few unlike
0.696 and 0.511, many unlike 0.913 and 0.850 (28 November 2026).
"""

from __future__ import annotations

import numpy as np
from _common import finish, first, folder, plt, settings

import fastconv as fc
from fastconv import datasets, metrics, models, nn, train
from fastconv.nn import functional as F

HOMES = {"air": (0, 2), "water": (6, 8), "roads": (1, 9), "land": (3, 4, 5, 7)}  # CIFAR's classes
MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)  # of what it was trained with
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
Data = tuple[np.ndarray, np.ndarray]

args = settings(__doc__)
root = folder(args, "models", "cifar10_resnet20-12fca82f.th, the weights of a ResNet-20")
cifar = folder(args, "cifar10", "CIFAR-10's binary files")
clothes = folder(args, "fashion-mnist", "Fashion-MNIST's four IDX files")
TEST = 200 if args.short else 1000
checkpoint = root / "cifar10_resnet20-12fca82f.th"


def homes(training: bool) -> Data:
    """Photographs (N, 3, 32, 32), and where their objects are at home."""
    some = first(datasets.cifar10(cifar, train=training), 4000 if training else TEST)
    images, labels = (t.numpy() for t in some.tensors)
    home = np.zeros(10, np.int64)
    for i, classes in enumerate(HOMES.values()):
        home[list(classes)] = i
    return (images - MEAN) / DEVIATION, home[labels]


def garments(training: bool) -> Data:
    """Pictures of clothes as photographs would be: (N, 3, 32, 32)."""
    some = first(datasets.fashion_mnist(clothes, train=training), 4000 if training else TEST)
    images, labels = (t.numpy() for t in some.tensors)
    images = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return (np.repeat(images, 3, 1) - MEAN) / DEVIATION, labels


def new_layer(net: nn.Module, classes: int) -> nn.Module:
    """All but the last layer stays as it is; a new one learns."""
    net.linear = nn.Linear(64, classes)
    return models.freeze(net, until="layer3")


class Early(nn.Module):
    """The second group's maps, whose edges and textures serve any picture, and a new layer."""

    def __init__(self, net: nn.Module, classes: int) -> None:
        super().__init__()
        self.features = models.create_feature_extractor(models.freeze(net), ["layer2"])
        self.linear = nn.Linear(32 * 4 * 4, classes)

    def forward(self, x: fc.Tensor) -> fc.Tensor:
        """Class scores (N, classes)."""
        return self.linear(F.adaptive_avg_pool2d(self.features(x)["layer2"], 4).flatten(1))


def all_of_it(net: nn.Module, classes: int) -> nn.Module:
    """A new last layer; everything learns, from where it is."""
    net.linear = nn.Linear(64, classes)
    return net


def accuracy(model: nn.Module, data: Data, test: Data, epochs: int, rate: float) -> float:
    """Of the test images, after training."""
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = fc.optim.AdamW(learning, lr=rate, weight_decay=1e-3)
    size = 10 if len(data[0]) < 1000 else 64
    steps = epochs * -(-len(data[0]) // size)
    train.fit(
        model, "cross_entropy", optimizer, data, epochs=epochs, metrics=["accuracy"],
        batch_size=size, scheduler=train.warm_cosine(optimizer, steps), schedule_on="step",
        restore_best=False,
    )  # fmt: skip
    return metrics.accuracy(train.predict(model, test[0]), test[1])


photographs, pictures = (homes(True), homes(False)), (garments(True), garments(False))
few, many, (short, long) = 60, 200 if args.short else 4000, (1, 1) if args.short else (20, 3)
cases = {
    "few, like: a new last layer": (photographs, few, new_layer, short, 1e-2),
    "many, like: all of it": (photographs, many, all_of_it, long, 1e-3),
    "few, unlike: a layer on early features": (pictures, few, Early, short, 1e-2),
    "many, unlike: all of it": (pictures, many, all_of_it, long, 3e-3),
}
figure: dict[str, tuple[float, float]] = {}
for name, ((data, test), count, adapt, epochs, rate) in cases.items():
    some, classes = (data[0][:count], data[1][:count]), int(data[1].max()) + 1
    print(f"{name} ({count} images)")
    adapted = accuracy(
        adapt(models.resnet20(weights=checkpoint), classes), some, test, epochs, rate
    )
    print("the same from random weights")
    scratch = accuracy(models.resnet20(num_classes=classes), some, test, epochs, 3e-3)
    figure[name] = (adapted, scratch)
for name, (adapted, scratch) in figure.items():
    print(f"{name:39s} accuracy {adapted:.3f}, from random weights {scratch:.3f}")

fig, ax = plt.subplots(figsize=(9, 4), layout="constrained")
places = np.arange(len(figure))[::-1]
for i, (label, color) in enumerate((("transferred", "tab:blue"), ("from random weights", "0.7"))):
    values = [pair[i] for pair in figure.values()]
    bars = ax.barh(places + 0.2 - 0.4 * i, values, 0.4, label=label, color=color)
    ax.bar_label(bars, fmt="%.3f", padding=3)
ax.set_yticks(places, figure)
ax.set(xlim=(0, 1.08), xlabel=f"accuracy on {TEST} test images", title="The four cases of transfer")
ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
finish(fig, args, "transfer_learning")
