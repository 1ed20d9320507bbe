"""LeNet-5 learns the MNIST digits.

Test accuracy 99.14 % after 10 epochs (28 November 2026).
"""

from __future__ import annotations

import numpy as np
from _common import curves, finish, first, folder, plt, settings, show

import fastconv as fc
from fastconv import datasets, metrics, train
from fastconv.models import LeNet5

args = settings(__doc__)
root = folder(args, "mnist", "MNIST's four IDX files")
digits, test = datasets.mnist(root), datasets.mnist(root, train=False)
if args.short:
    digits, test = first(digits, 3000), first(test, 1000)

# The last tenth of the training images only says which epoch is the best.
learn, valid = fc.data.random_split(digits, [0.9, 0.1])
loader = fc.data.DataLoader(learn, batch_size=64, shuffle=True, drop_last=True)
epochs = 2 if args.short else 10

model = LeNet5()
print(model)
optimizer = fc.optim.AdamW(model.parameters(), lr=3e-3)
scheduler = train.warm_cosine(optimizer, epochs * len(loader))
history = train.fit(
    model, "cross_entropy", optimizer, loader, valid, epochs, metrics=["accuracy"],
    scheduler=scheduler, schedule_on="step",
)  # fmt: skip

scores = train.predict(model, test)
images, labels = (t.numpy() for t in test.tensors)
accuracy = metrics.accuracy(scores, labels)
print(f"test accuracy {100 * accuracy:.2f} %")

fig = plt.figure(figsize=(12, 7.5), layout="constrained")
top, bottom = fig.subfigures(2, 1, height_ratios=[2, 1])
left, right = top.subplots(1, 2)
lines = {"training": history["accuracy"], "validation": history["valid_accuracy"]}
curves(left, lines, f"Accuracy; test {100 * accuracy:.2f} %")
counts = metrics.confusion_matrix(scores, labels)
right.imshow(np.log1p(counts), cmap="Blues")
for (true, said), n in np.ndenumerate(counts):
    if n:
        colour = "white" if true == said else "black"
        right.text(said, true, n, ha="center", va="center", fontsize=7, color=colour)
right.set(title="Confusion matrix of the test images", xlabel="predicted", ylabel="true",
          xticks=range(10), yticks=range(10))  # fmt: skip
said = scores.argmax(1)
wrong = np.flatnonzero(said != labels)[:12]
bottom.suptitle("Test images that are classified wrong", fontsize=11)
for ax, i in zip(bottom.subplots(1, 12), wrong):
    show(ax, images[i], f"{labels[i]}, not {said[i]}")
finish(fig, args, "mnist_lenet")
