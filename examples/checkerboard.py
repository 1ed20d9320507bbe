"""Transposed convolution draws checkerboards; upsampling followed by convolution does not.

Both networks learn to make photographs of 32×32 from 8×8. A constant grey image goes in, and what
differs inside the image that comes out is an artefact: with a kernel of 3 and a stride of 2, places
get contributions from one or two kernel columns in turn (Odena, Dumoulin, Olah 2016).

Differences in a grey image: 0.0052 with transposed convolution, none with upsampling
(28 November 2026).
"""

from __future__ import annotations

import numpy as np
from _common import curves, finish, first, folder, plt, settings, show

import fastconv as fc
from fastconv import datasets, metrics, nn, train
from fastconv.nn import functional as F


def transposed(inputs: int, outputs: int) -> nn.Module:
    """Twice the size by a transposed convolution."""
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)


def upsampled(inputs: int, outputs: int) -> nn.Module:
    """Twice the size by copying each pixel four times, then a convolution."""
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1))


def network(up: type | object) -> nn.Module:
    """From (N, 3, 8, 8) to (N, 3, 32, 32); any size times four."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), up(32, 32), nn.ReLU(), up(32, 3)
    )


def artefacts(image: np.ndarray) -> np.ndarray:
    """What differs inside the image (3, H, W) that came from a constant one, its mean taken off."""
    inside = image[:, 16:-16, 16:-16].astype(np.float64)
    return inside - inside.mean((1, 2), keepdims=True)


args = settings(__doc__)
root = folder(args, "cifar10", "CIFAR-10's binary files")
photos = first(datasets.cifar10(root), 300 if args.short else 4000).tensors[0]
test = first(datasets.cifar10(root, train=False), 100 if args.short else 1000).tensors[0]
small, small_test = F.avg_pool2d(photos, 4), F.avg_pool2d(test, 4)
grey = fc.full((1, 3, 24, 24), 0.5)

epochs = 1 if args.short else 8
histories, outputs, flats = {}, {}, {}
for name, up in (("transposed convolution", transposed), ("upsample + convolution", upsampled)):
    fc.manual_seed(args.seed)
    model = network(up)
    print(f"--- {name}")
    histories[name] = train.fit(
        model, "mse", fc.optim.Adam(model.parameters(), lr=2e-3), (small, photos),
        (small_test, test), epochs, restore_best=False,
    )  # fmt: skip
    outputs[name] = train.predict(model, small_test)
    flats[name] = artefacts(train.predict(model, grey)[0])
for name, flat in flats.items():
    error = metrics.mean_squared_error(outputs[name], test)
    print(f"{name}: test MSE {error:.5f}, artefacts of a grey image {flat.std():.5f} (deviation)")

fig, axes = plt.subplots(2, 4, figsize=(14, 7.2), layout="constrained")
most = max(abs(flat).max() for flat in flats.values())
for line, (name, flat) in zip(axes, flats.items()):
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(flat.mean(0))))
    show(line[0], 0.5 + 0.5 * flat[:, :24, :24] / most,
         f"{name}:\ngrey in, differences × {0.5 / most:.0f}")  # fmt: skip
    line[1].imshow(np.log10(1e-3 + spectrum), cmap="magma", vmin=-3, vmax=1.5)
    line[1].set_title("spectrum of the differences", fontsize=9)
    line[1].set_axis_off()
    show(line[2], outputs[name][3], "a test photograph of 8×8, made 32×32")
show(axes[0, 3], test[3], "the photograph")
curves(axes[1, 3], {n: h["valid_loss"] for n, h in histories.items()}, "Test MSE")
finish(fig, args, "checkerboard")
