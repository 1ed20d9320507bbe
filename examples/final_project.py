"""The final project: a CNN classifier, regressor and segmenter, each beside its linear method.

Digits are classified (logistic regression), the angle by which one is turned is estimated (ridge
regression), and digits are cut out of a background of uneven light (logistic regression of pixels).

CNN and linear: accuracy 0.971 and 0.875, mean error 8.3° and 13.3°, IoU 0.805 and 0.569
(28 November 2026).
"""

from __future__ import annotations

import numpy as np
from _common import finish, folder, plt, settings, show
from sklearn.linear_model import LogisticRegression, Ridge

import fastconv as fc
from fastconv import datasets, metrics, nn, train
from fastconv import transforms as T
from fastconv.transforms import functional as TF

args = settings(__doc__)
root = folder(args, "mnist", "MNIST's four IDX files")
count, held, epochs = (300, 200, 1) if args.short else (6000, 2000, 5)
learn, test = datasets.mnist(root), datasets.mnist(root, train=False)
x, y = (t[:count] for t in learn.tensors)
xt, yt = (t[:held] for t in test.tensors)


def network(outputs: int) -> nn.Module:
    """Two convolutions, two fully connected layers."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, outputs),
    )  # fmt: skip


def trained(model: nn.Module, loss: str, pair: tuple[fc.Tensor, fc.Tensor]) -> nn.Module:
    """The model after Adam with a cosine of learning rates."""
    optimizer = fc.optim.Adam(model.parameters(), lr=3e-3)
    loader = fc.data.DataLoader(fc.data.TensorDataset(*pair), 64, shuffle=True)
    scheduler = train.warm_cosine(optimizer, epochs * len(loader))
    train.fit(model, loss, optimizer, loader, epochs=epochs, scheduler=scheduler,
              schedule_on="step")  # fmt: skip
    return model


# For the linear methods, images are rows of a table.
rows, rows_t = x.flatten(1).numpy(), xt.flatten(1).numpy()
print("--- classifier")
said = train.predict(trained(network(10), "cross_entropy", (x, y)), xt)
linear = LogisticRegression(max_iter=100).fit(rows, y.numpy()).predict_proba(rows_t)
accuracy = [metrics.accuracy(s, yt) for s in (said, linear)]

rng = np.random.default_rng(args.seed)


def turned(images: fc.Tensor) -> tuple[fc.Tensor, fc.Tensor]:
    """Each image turned by up to 45°, and the angles in units of 45°."""
    angles = rng.uniform(-45, 45, len(images)).astype(np.float32)
    out = [TF.rotate(i, float(a), T.InterpolationMode.BILINEAR) for i, a in zip(images, angles)]
    return fc.stack(out), fc.tensor(angles[:, None] / 45)


print("--- regressor")
(xr, yr), (xrt, yrt) = turned(x), turned(xt)
ridge = Ridge(100.0).fit(xr.flatten(1).numpy(), yr.numpy())
degrees = [
    45 * train.predict(trained(network(1), "mse", (xr, yr)), xrt),
    45 * ridge.predict(xrt.flatten(1).numpy()).reshape(-1, 1),
]
angles = 45 * yrt.numpy()
error = [metrics.mean_absolute_error(d, angles) for d in degrees]


def lit(images: fc.Tensor) -> tuple[fc.Tensor, fc.Tensor]:
    """Digits on a background that is bright on one side, with noise; and their masks."""
    slope = rng.uniform(-1, 1, (2, len(images), 1, 1, 1))
    at = np.linspace(-1, 1, 28)
    light = 0.4 + 0.2 * (slope[0] * at + slope[1] * at[:, None])
    out = light + 0.35 * images.numpy() + rng.normal(0, 0.08, images.shape)
    return fc.tensor(out.astype(np.float32)), (images > 0.5).float()


print("--- segmenter")
(xs, ys), (xst, yst) = lit(x), lit(xt)
segmenter = nn.Sequential(
    nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.Conv2d(12, 12, 5, padding=2), nn.ReLU(),
    nn.Conv2d(12, 1, 5, padding=2),
)  # fmt: skip
logits = train.predict(trained(segmenter, "bce_with_logits", (xs, ys)), xst)
pixels = LogisticRegression().fit(xs[:500].numpy().reshape(-1, 1), ys[:500].numpy().ravel())
by_pixel = pixels.predict(xst.numpy().reshape(-1, 1)).reshape(xst.shape)
masks = [(logits > 0).astype(np.int64), by_pixel.astype(np.int64)]
iou = [metrics.iou(mask, yst) for mask in masks]

results = {"Classifier: accuracy": accuracy, "Regressor: mean error, degrees": error,
           "Segmenter: IoU": iou}  # fmt: skip
fig = plt.figure(figsize=(13, 8), layout="constrained")
top, bottom = fig.subfigures(2, 1)
for ax, (title, values) in zip(top.subplots(1, 3), results.items()):
    print(f"{title}: CNN {values[0]:.3g}, linear {values[1]:.3g}")
    ax.bar_label(ax.bar(["CNN", "linear"], values, color=["tab:blue", "tab:orange"]), fmt="%.3g")
    ax.set(title=title, ymargin=0.12)
left, middle, right = bottom.subfigures(1, 3)
labels, cnn, line = yt.numpy(), said.argmax(1), linear.argmax(1)
for ax, i in zip(left.subplots(2, 3).flat, np.flatnonzero((cnn == labels) & (line != labels))):
    show(ax, xt[i], f"CNN {cnn[i]}, linear {line[i]}")
scatter = middle.subplots()
for d, name, colour in zip(degrees[::-1], ("linear", "CNN"), ("tab:orange", "tab:blue")):
    scatter.scatter(angles, d, s=3, alpha=0.5, label=name, color=colour)
scatter.set(xlabel="turned by, degrees", ylabel="estimated, degrees")
scatter.legend(markerscale=4)
parts = np.stack([np.asarray(part)[:4, 0] for part in (xst, yst, *masks)])  # (4, 4, 28, 28)
ax = right.subplots()
show(ax, parts.transpose(1, 2, 0, 3).reshape(4 * 28, 4 * 28))
for i, name in enumerate(("image", "mask", "CNN", "linear")):
    ax.text(28 * i + 14, -2, name, ha="center")
finish(fig, args, "final_project")
