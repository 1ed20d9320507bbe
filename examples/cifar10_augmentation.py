"""Data augmentation on 4 000 photographs of CIFAR-10: the same network with and without it.

Test accuracy 62.8 % with it, 61.9 % without, which 1 000 test images hardly tell apart; test loss
1.01 and 1.09; training accuracy 70.5 % and 93.0 %, after 25 epochs (28 November 2026).
"""

from __future__ import annotations

from _common import curves, finish, folder, np, plt, settings, show

import fastconv as fc
from fastconv import data, datasets, nn, train
from fastconv import transforms as T

args = settings(__doc__)
root = folder(args, "cifar10", "CIFAR-10's binary files")
usual = [T.ToTensor(), T.Normalize((0.491, 0.482, 0.447), (0.247, 0.243, 0.262))]
augment = [
    T.RandomCrop(32, padding=4, padding_mode="reflect"),
    T.RandomHorizontalFlip(),
    T.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
]


def network() -> nn.Module:
    """Three stages of convolution, batch norm and ReLU, then global average pooling."""
    layers: list[nn.Module] = []
    inputs = 3
    for outputs in (32, 64, 128):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                   nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]  # fmt: skip
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


test = datasets.CIFAR10(root, train=False, transform=T.Compose(usual))
if args.short:
    test = data.Subset(test, range(200))
epochs = 1 if args.short else 25
histories = {}
for name, steps in (("without", usual), ("with augmentation", augment + usual)):
    photos = datasets.CIFAR10(root, transform=T.Compose(steps))
    learn = data.Subset(photos, range(512)) if args.short else photos
    loader = data.DataLoader(learn, batch_size=64, shuffle=True)
    fc.manual_seed(args.seed)  # both start from the same weights
    model = network()
    optimizer = fc.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    print(f"--- {name}")
    histories[name] = train.fit(
        model, "cross_entropy", optimizer, loader, test, epochs, metrics=["accuracy"],
        scheduler=train.warm_cosine(optimizer, epochs * len(loader)), schedule_on="step",
        restore_best=False,  # the test images choose nothing: the last epoch counts
    )  # fmt: skip
for name, history in histories.items():
    print(f"{name}: test accuracy {100 * history[-1]['valid_accuracy']:.1f} %")

fig = plt.figure(figsize=(12, 6.5), layout="constrained")
top, bottom = fig.subfigures(2, 1, height_ratios=[2.2, 1])
left, right = top.subplots(1, 2)
accuracies, losses = {}, {}
for name, history in histories.items():
    accuracies[f"{name}, training"] = history["accuracy"]
    accuracies[f"{name}, test"] = history["valid_accuracy"]
    losses[f"{name}, training"] = history["loss"]
    losses[f"{name}, test"] = history["valid_loss"]
curves(left, accuracies, "Accuracy")
curves(right, losses, "Loss")
shaken = T.Compose([*augment, T.ToTensor()])
image = datasets.CIFAR10(root)[4][0]
bottom.suptitle("One training image, and what augmentation makes of it", fontsize=11)
axes = bottom.subplots(1, 9)
show(axes[0], np.asarray(T.ToTensor()(image)), "as it is")
for ax in axes[1:]:
    show(ax, np.asarray(shaken(image)))
finish(fig, args, "cifar10_augmentation")
