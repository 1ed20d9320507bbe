"""Colour, blur and noise against Pillow and formulas."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

import fastconv as fc
from fastconv import transforms as T
from fastconv.transforms import functional as F
from tests.test_transforms import level, smooth

Image = pytest.importorskip("PIL.Image")
ImageEnhance = pytest.importorskip("PIL.ImageEnhance")
ImageOps = pytest.importorskip("PIL.ImageOps")

PICTURE = smooth(37, 45)


GAMMA = [int((255 + 1 - 1e-3) * (v / 255) ** 0.5) for v in range(256)]


def enhanced(name: str, factor: float):
    """One of Pillow's enhancements."""
    return lambda x: getattr(ImageEnhance, name)(x).enhance(factor)


@pytest.mark.parametrize(
    ("ours", "pillows", "most"),
    [
        (F.equalize, ImageOps.equalize, 0),
        (F.invert, ImageOps.invert, 0),
        (lambda x: F.posterize(x, 3), lambda x: ImageOps.posterize(x, 3), 0),
        (lambda x: F.posterize(x, 8), lambda x: x, 0),
        (lambda x: F.solarize(x, 100), lambda x: ImageOps.solarize(x, 100), 0),
        (F.autocontrast, ImageOps.autocontrast, 1),
        (lambda x: F.adjust_brightness(x, 1.4), enhanced("Brightness", 1.4), 1),
        (lambda x: F.adjust_brightness(x, 0.3), enhanced("Brightness", 0.3), 1),
        (lambda x: F.adjust_contrast(x, 1.4), enhanced("Contrast", 1.4), 2),
        (lambda x: F.adjust_contrast(x, 0.3), enhanced("Contrast", 0.3), 2),
        (lambda x: F.adjust_saturation(x, 1.4), enhanced("Color", 1.4), 2),
        (lambda x: F.adjust_saturation(x, 0.3), enhanced("Color", 0.3), 2),
        (lambda x: F.adjust_sharpness(x, 1.8), enhanced("Sharpness", 1.8), 1),
        (lambda x: F.adjust_sharpness(x, 0.2), enhanced("Sharpness", 0.2), 1),
        (F.rgb_to_grayscale, lambda x: x.convert("L"), 1),
        (lambda x: F.adjust_gamma(x, 0.5), lambda x: x.point(GAMMA * 3), 0),
    ],
)  # fmt: skip
def test_against_pillow(ours, pillows, most):
    image = Image.fromarray(PICTURE)
    got, want = ours(image), pillows(image)
    assert got.mode == want.mode
    assert level(got, want).max() <= most


def test_equalize_of_few_values():
    for a in (np.zeros((8, 8, 3), np.uint8), np.arange(64, dtype=np.uint8).reshape(8, 8, 1),
              np.repeat(smooth(9, 9)[:1, :1], 9, 0)):  # fmt: skip
        for channel in range(a.shape[2]):
            plane = np.ascontiguousarray(a[:, :, channel])
            want = np.asarray(ImageOps.equalize(Image.fromarray(plane)))
            assert np.array_equal(F.equalize(plane), want)
    same = F.autocontrast(np.full((4, 4), 7, np.uint8))
    assert (same == 7).all()


@pytest.mark.parametrize("shift", [-0.5, -0.2, 0.0, 0.31, 0.5])
def test_hue(shift):
    x = np.random.default_rng(0).random((5, 6, 3))
    x[0] = x[0, :, :1]  # gray
    want = np.empty_like(x)
    for at in np.ndindex(5, 6):
        h, s, v = colorsys.rgb_to_hsv(*x[at])
        want[at] = colorsys.hsv_to_rgb((h + shift) % 1, s, v)
    got = F.adjust_hue(fc.tensor(x.transpose(2, 0, 1).copy()), shift).numpy()
    np.testing.assert_allclose(got.transpose(1, 2, 0), want, atol=1e-12)
    eight = F.adjust_hue(PICTURE, shift)
    want = F.adjust_hue(PICTURE / 255, shift) * 255
    assert np.abs(eight - want).max() <= 1.001


def test_formulas_of_fractions():
    """Each as torchvision defines it, in float64."""
    x = np.random.default_rng(0).random((2, 3, 6, 7))
    t = fc.tensor(x)
    gray = (x * np.array([0.2989, 0.587, 0.114]).reshape(3, 1, 1)).sum(1, keepdims=True)
    mean = gray.mean((1, 2, 3), keepdims=True)
    low, high = x.min((2, 3), keepdims=True), x.max((2, 3), keepdims=True)
    for got, want in [
        (F.adjust_brightness(t, 1.5), np.clip(1.5 * x, 0, 1)),
        (F.adjust_contrast(t, 1.5), np.clip(1.5 * x - 0.5 * mean, 0, 1)),
        (F.adjust_saturation(t, 0.2), np.clip(0.2 * x + 0.8 * gray, 0, 1)),
        (F.rgb_to_grayscale(t), gray),
        (F.to_grayscale(t, 3), np.repeat(gray, 3, 1)),
        (F.invert(t), 1 - x),
        (F.solarize(t, 0.6), np.where(x >= 0.6, 1 - x, x)),
        (F.posterize(t, 2), np.floor(x * 4) / 4),
        (F.autocontrast(t), (x - low) / (high - low)),
        (F.adjust_gamma(t, 2.0, 0.8), 0.8 * x**2),
    ]:
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-12)
        assert got.dtype == fc.float64


def test_sharpness_and_blur():
    x = np.random.default_rng(0).random((1, 2, 9, 11))
    x3 = np.concatenate([x, x[:, :1]], 1)
    smoothed = x3.copy()
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    for i, j in np.ndindex(7, 9):
        smoothed[:, :, i + 1, j + 1] = (x3[:, :, i : i + 3, j : j + 3] * kernel).sum((2, 3))
    want = np.clip(1.7 * x3 - 0.7 * smoothed, 0, 1)
    np.testing.assert_allclose(F.adjust_sharpness(fc.tensor(x3), 1.7).numpy(), want, rtol=1e-12)
    kx, ky, sx, sy = 5, 3, 1.1, 0.6
    gx = np.exp(-0.5 * (np.arange(-2, 3) / sx) ** 2)
    gy = np.exp(-0.5 * (np.arange(-1, 2) / sy) ** 2)
    kernel = np.outer(gy / gy.sum(), gx / gx.sum())
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)), "reflect")
    want = np.empty_like(x)
    for i, j in np.ndindex(9, 11):
        want[:, :, i, j] = (padded[:, :, i : i + ky, j : j + kx] * kernel).sum((2, 3))
    np.testing.assert_allclose(
        F.gaussian_blur(fc.tensor(x), [kx, ky], [sx, sy]).numpy(), want, rtol=1e-12
    )
    flat = np.full((8, 8, 3), 77, np.uint8)
    assert np.array_equal(F.gaussian_blur(flat, 7), flat)
    assert np.array_equal(F.adjust_sharpness(flat, 3), flat)


def test_noise():
    fc.manual_seed(0)
    x = np.full((1, 3, 200, 200), 0.5)
    y = F.gaussian_noise(fc.tensor(x), 0.1, 0.05).numpy()
    assert abs(y.mean() - 0.6) < 1e-3 and abs(y.std() - 0.05) < 1e-3
    y = F.gaussian_noise(fc.tensor(x), 0, 3.0).numpy()
    assert y.min() == 0 and y.max() == 1
    assert F.gaussian_noise(fc.tensor(x), 0, 3.0, clip=False).numpy().max() > 1
    z = F.gaussian_noise(np.full((200, 200, 3), 100, np.uint8), 0, 0.02)
    assert z.dtype == np.uint8 and abs(z.std() - 5.1) < 0.4
    assert F.gaussian_noise(np.full((9, 9), 250, np.uint8), 1.0).min() == 255
    assert T.GaussianNoise(sigma=0.0)(PICTURE).tolist() == PICTURE.tolist()
    with pytest.raises(TypeError, match="expected floating-point or uint8, got int32"):
        T.GaussianNoise()(PICTURE.astype(np.int32))


def test_jitter_draws_within_its_ranges():
    """Brightness alone: the factor can be read off each image of a batch."""
    fc.manual_seed(1)
    x = fc.full((400, 3, 2, 2), 0.25)
    factor = T.ColorJitter(brightness=0.4)(x).numpy()[:, 0, 0, 0] / 0.25
    assert 0.6 <= factor.min() < 0.62 and 1.38 < factor.max() <= 1.4001
    factor = T.ColorJitter(brightness=(1.5, 2))(x).numpy()[:, 0, 0, 0] / 0.25
    assert factor.min() >= 1.5 and factor.max() <= 2.0001
    assert T.ColorJitter().brightness is None
    assert T.ColorJitter(0.5).brightness == (0.5, 1.5) and T.ColorJitter(3.0).brightness == (0, 4)
    assert T.ColorJitter(hue=0.1).hue == (-0.1, 0.1)


def test_jitter_is_its_parts_in_some_order():
    fc.manual_seed(2)
    jitter = T.ColorJitter((1.3, 1.3), (0.6, 0.6), (1.5, 1.5), (0.1, 0.1))
    parts = [
        lambda x: F.adjust_brightness(x, 1.3),
        lambda x: F.adjust_contrast(x, 0.6),
        lambda x: F.adjust_saturation(x, 1.5),
        lambda x: F.adjust_hue(x, 0.1),
    ]
    import itertools

    possible = {}
    for order in itertools.permutations(range(4)):
        x = PICTURE
        for k in order:
            x = parts[k](x)
        possible[np.asarray(x).tobytes()] = order
    batch = np.stack([PICTURE.transpose(2, 0, 1)] * 60)
    seen = {possible[np.ascontiguousarray(y.transpose(1, 2, 0)).tobytes()] for y in jitter(batch)}
    assert len(seen) > 12


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("RandomGrayscale", lambda x: F.rgb_to_grayscale(x, 3)),
        ("RandomInvert", F.invert),
        ("RandomAutocontrast", F.autocontrast),
        ("RandomEqualize", F.equalize),
    ],
)
def test_sometimes(name, same):
    fc.manual_seed(3)
    batch = np.stack([PICTURE.transpose(2, 0, 1)] * 50)
    out = getattr(T, name)(p=0.3)(batch)
    changed = [not np.array_equal(x, batch[0]) for x in out]
    assert 5 <= sum(changed) <= 26
    want = same(np.ascontiguousarray(batch[0].transpose(1, 2, 0)))
    for x, differs in zip(out, changed, strict=True):
        if differs:
            assert np.array_equal(x.transpose(1, 2, 0), want)
    assert getattr(T, name)(p=0)(PICTURE) is PICTURE
    again = [T.RandomPosterize(2, 1.0), T.RandomSolarize(9, 1.0), T.RandomAdjustSharpness(2, 1.0)]
    for t, f in zip(again, [lambda x: F.posterize(x, 2), lambda x: F.solarize(x, 9),
                            lambda x: F.adjust_sharpness(x, 2)], strict=True):  # fmt: skip
        assert np.array_equal(t(PICTURE), f(PICTURE))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: F.adjust_brightness(PICTURE, -1), ValueError, "must not be negative, got -1"),
        (lambda: F.adjust_hue(PICTURE, 0.6), ValueError, "between -0.5 and 0.5, got 0.6"),
        (lambda: F.adjust_contrast(fc.rand(2, 4, 4), 1), ValueError, "1 or 3 channels, got 2"),
        (lambda: F.solarize(PICTURE, 256), ValueError, "must not be above 255"),
        (lambda: F.posterize(PICTURE, 9), ValueError, "between 0 and 8, got 9"),
        (lambda: F.equalize(PICTURE.astype(np.int64)), TypeError, "uint8 or floating-point"),
        (lambda: F.rgb_to_grayscale(PICTURE, 2), ValueError, "must be 1 or 3, got 2"),
        (lambda: F.gaussian_blur(PICTURE, 4), ValueError, "positive odd integer"),
        (lambda: F.gaussian_blur(PICTURE, 3, 0), ValueError, "sigma must be a positive number"),
        (lambda: F.gaussian_blur(PICTURE[:3], 9), ValueError, "too large for an image of 3×45"),
        (lambda: F.gaussian_noise(PICTURE, sigma=-1), ValueError, "must not be negative"),
        (lambda: T.GaussianBlur(3, (0, 1)), ValueError, "sigma must be positive"),
        (lambda: T.ColorJitter(brightness=-1), ValueError, "brightness must not be negative"),
        (lambda: T.ColorJitter(hue=0.7), ValueError, r"hue must be a pair in order from -0.5 to"),
        (lambda: T.ColorJitter(contrast=(2, 1)), ValueError, "contrast must be a pair in order"),
        (lambda: T.Grayscale(2), ValueError, "must be 1 or 3"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(call, error, text):
    with pytest.raises(error, match=text):
        call()
