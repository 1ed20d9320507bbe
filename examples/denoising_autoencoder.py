"""A convolutional autoencoder takes noise off digits; beside it, PCA of the same width.

Test MSE 0.0149; PCA 0.0543, or 0.0333 if it is fitted to clean images (28 November 2026).
"""

from __future__ import annotations

import numpy as np
from _common import finish, first, folder, rows, settings
from sklearn.decomposition import PCA

import fastconv as fc
from fastconv import data, datasets, metrics, models, train
from fastconv import transforms as T

WIDTH = 32  # numbers between encoder and decoder, and components of the PCA

args = settings(__doc__)
root = folder(args, "mnist", "MNIST's four IDX files")
clean = first(datasets.mnist(root), 1000 if args.short else 10_000).tensors[0]
test = first(datasets.mnist(root, train=False), 500 if args.short else 5000).tensors[0]
noise = T.GaussianNoise(sigma=0.5)
noisy_test = noise(test)

model = models.conv_autoencoder(code=WIDTH)

# The input gets new noise each time it is drawn; the target is the clean image.
pairs = datasets.ArrayDataset(clean, targets=clean, transform=noise)
loader = data.DataLoader(pairs, batch_size=64, shuffle=True)
epochs = 1 if args.short else 6
optimizer = fc.optim.AdamW(model.parameters(), lr=3e-3)
train.fit(
    model, "mse", optimizer, loader, epochs=epochs,
    scheduler=train.warm_cosine(optimizer, epochs * len(loader)), schedule_on="step",
)  # fmt: skip
decoded = train.predict(model, noisy_test)

# PCA sees noise too, and is asked for the clean image: the best linear reconstruction it has.
flat = {name: np.asarray(t).reshape(len(t), -1) for name, t in
        (("noisy", noise(clean)), ("clean", clean), ("test", noisy_test))}  # fmt: skip
errors = {"noisy": metrics.mean_squared_error(noisy_test, test)}
linear = {}
for name in ("noisy", "clean"):
    pca = PCA(WIDTH, random_state=0).fit(flat[name])
    restored = pca.inverse_transform(pca.transform(flat["test"])).reshape(test.shape)
    linear[f"PCA of {name}"] = restored
    errors[f"PCA of {name}"] = metrics.mean_squared_error(restored, test)
errors["autoencoder"] = metrics.mean_squared_error(decoded, test)
for name, error in errors.items():
    print(f"{name:13s} MSE {error:.4f}")

pictures = {"clean": test, "noisy": noisy_test, **linear, "autoencoder": decoded}
titles = {
    f"{name}\nMSE {errors[name]:.4f}" if name in errors else name: np.asarray(images)[:10]
    for name, images in pictures.items()
}
finish(rows(titles), args, "denoising_autoencoder")
