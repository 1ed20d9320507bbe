"""A variational autoencoder puts the digits on a plane (Kingma, Welling 2013).

Negative evidence lower bound of the test images: 156.4 nats (28 November 2026).
"""

from __future__ import annotations

import numpy as np
from _common import curves, finish, first, folder, plt, settings

import fastconv as fc
from fastconv import datasets, models, train

args = settings(__doc__)
root = folder(args, "mnist", "MNIST's four IDX files")
digits = first(datasets.mnist(root), 1000 if args.short else 10_000)
test = first(datasets.mnist(root, train=False), 500 if args.short else 5000)
model = models.conv_vae()
optimizer = fc.optim.Adam(model.parameters(), lr=2e-3)
epochs = 1 if args.short else 15
loader = fc.data.DataLoader(fc.data.TensorDataset(digits.tensors[0]), 128, shuffle=True)
scheduler = train.warm_cosine(optimizer, epochs * len(loader))
history = train.fit(
    model, models.vae_loss, optimizer, loader, test.tensors[:1], epochs,
    scheduler=scheduler, schedule_on="step",
    restore_best=False,  # the test images choose nothing: the last epoch counts
)  # fmt: skip

with fc.no_grad():
    places = model.encode(test.tensors[0])[0].numpy()
    side = 20
    line = np.linspace(-2, 2, side, dtype=np.float32)
    grid = np.stack(np.meshgrid(line, line[::-1]), -1).reshape(-1, 2)
    tiles = model.decoder(fc.tensor(grid)).sigmoid().numpy()
sheet = tiles.reshape(side, side, 28, 28).transpose(0, 2, 1, 3).reshape(side * 28, side * 28)
print(f"test: negative evidence lower bound {history[-1]['valid_loss']:.1f} nats")

fig, axes = plt.subplots(1, 3, figsize=(18, 6), layout="constrained")
labels = test.tensors[1].numpy()
dots = axes[0].scatter(*places.T, c=labels, s=5, cmap="tab10", vmin=-0.5, vmax=9.5)
fig.colorbar(dots, ax=axes[0], ticks=range(10))
axes[0].set(title="Where the test digits lie", xlim=(-4, 4), ylim=(-4, 4), aspect="equal")
axes[0].add_patch(plt.Rectangle((-2, -2), 4, 4, fill=False, linestyle="--"))
axes[1].imshow(sheet, cmap="gray", extent=(-2, 2, -2, 2))
axes[1].set_title("What the decoder draws inside the dashed square")
lines = {"training": history["loss"], "test": history["valid_loss"]}
curves(axes[2], lines, "Negative evidence lower bound, nats an image")
finish(fig, args, "vae_plane")
