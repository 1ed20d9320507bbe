"""Transforms of place and kind, against Pillow, PyTorch and formulas."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

import fastconv as fc
from fastconv import transforms as T
from fastconv.transforms import functional as F

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")

DATA = Path(os.environ.get("FASTCONV_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODE = T.InterpolationMode
FILTERS = {
    MODE.BILINEAR: Image.Resampling.BILINEAR,
    MODE.BICUBIC: Image.Resampling.BICUBIC,
    MODE.BOX: Image.Resampling.BOX,
    MODE.HAMMING: Image.Resampling.HAMMING,
    MODE.LANCZOS: Image.Resampling.LANCZOS,
}


def smooth(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A picture with slopes and some noise, uint8 (H, W, C)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [128 + 90 * np.sin(x / (5 + k) + k) * np.cos(y / (7 - k)) for k in range(channels)]
    noisy = np.stack(planes, 2) + rng.normal(0, 8, (height, width, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def level(a, b) -> np.ndarray:
    """Distances between values of two pictures."""
    return np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int))


# --- kinds ---


def kinds(a: np.ndarray):
    """The same picture as Pillow image, array, Tensor, and batches of two."""
    plain = np.ascontiguousarray(a.transpose(2, 0, 1))
    return {
        "pil": Image.fromarray(a),
        "array": a,
        "tensor": fc.tensor(plain),
        "batch": np.stack([plain, plain]),
        "tensor batch": fc.tensor(np.stack([plain, plain])),
    }


def pixels(x) -> np.ndarray:
    """(N, C, H, W) of any of them."""
    if isinstance(x, Image.Image):
        x = np.asarray(x)
    if isinstance(x, fc.Tensor):
        x = x.numpy()
        return x[None] if x.ndim == 3 else x
    return x.transpose(2, 0, 1)[None] if x.ndim == 3 else x


SAME = {
    "crop": lambda x: F.crop(x, 3, 5, 11, 9),
    "crop outside": lambda x: F.crop(x, -3, 20, 11, 19),
    "center_crop": lambda x: F.center_crop(x, (21, 40)),
    "pad": lambda x: F.pad(x, (1, 2, 3, 4), (9, 8, 7)),
    "pad edge": lambda x: F.pad(x, 3, padding_mode="edge"),
    "hflip": F.hflip,
    "vflip": F.vflip,
    "resize": lambda x: F.resize(x, (13, 50)),
    "rotate": lambda x: F.rotate(x, 180),
    "invert": F.invert,
    "posterize": lambda x: F.posterize(x, 3),
    "solarize": lambda x: F.solarize(x, 90),
    "equalize": F.equalize,
    "autocontrast": F.autocontrast,
    "brightness": lambda x: F.adjust_brightness(x, 1.3),
    "contrast": lambda x: F.adjust_contrast(x, 1.3),
    "saturation": lambda x: F.adjust_saturation(x, 0.3),
    "hue": lambda x: F.adjust_hue(x, 0.2),
    "gamma": lambda x: F.adjust_gamma(x, 0.7),
    "sharpness": lambda x: F.adjust_sharpness(x, 1.7),
    "gray": lambda x: F.rgb_to_grayscale(x, 3),
    "blur": lambda x: F.gaussian_blur(x, [3, 5]),
    "erase": lambda x: F.erase(x, 2, 3, 4, 5, 7),
}


@pytest.mark.parametrize("name", SAME)
def test_every_kind_gives_the_same(name):
    a = smooth(24, 31)
    results = {kind: SAME[name](x) for kind, x in kinds(a).items()}
    want = pixels(results["array"])
    assert want.dtype == np.uint8
    for kind, (source, result) in zip(results, zip(kinds(a).values(), results.values())):
        assert type(result) is type(source), kind
        got = pixels(result)
        assert got.shape == (2 if "batch" in kind else 1, *want.shape[1:]), kind
        assert np.array_equal(got, np.broadcast_to(want, got.shape)), (name, kind)
    again = kinds(a)
    SAME[name](again["tensor"]), SAME[name](again["array"])
    assert np.array_equal(again["array"], smooth(24, 31)), "the source was changed"


def test_results_of_tensors_are_contiguous():
    x = fc.rand(2, 3, 20, 22)
    for t in (T.Resize(9), T.RandomRotation(20), T.CenterCrop(7), T.RandomHorizontalFlip(1.0)):
        assert t(x).is_contiguous() and t(x[0]).is_contiguous(), t


def test_gray_arrays_and_tensors_of_two_axes():
    a = smooth(10, 12, 1)[:, :, 0]
    assert np.array_equal(F.hflip(a), a[:, ::-1])
    assert F.resize(fc.tensor(a), (4, 5)).shape == (4, 5)
    assert F.hflip(Image.fromarray(a)).mode == "L"
    assert np.array_equal(np.asarray(F.hflip(Image.fromarray(a))), a[:, ::-1])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_pillow_modes_are_kept(mode):
    image = Image.fromarray(smooth(9, 11)).convert(mode)
    assert F.vflip(image).mode == mode
    want = np.asarray(ImageOps.flip(image))
    assert np.array_equal(np.asarray(F.vflip(image)), want)


def test_palettes():
    image = Image.fromarray(smooth(16, 18)).quantize(7)
    assert F.hflip(image).mode == "RGB"  # indices cannot be blended
    pair = T.RandomHorizontalFlip(1.0)(Image.new("RGB", image.size), image)
    assert pair[1].mode == "P" and pair[1].getpalette() == image.getpalette()
    assert np.array_equal(np.asarray(pair[1]), np.asarray(image)[:, ::-1])


# --- Tensors, Pillow, types ---


def test_to_tensor():
    a = smooth(6, 7)
    for source in (a, Image.fromarray(a)):
        t = T.ToTensor()(source)
        assert t.dtype == fc.float32 and t.shape == (3, 6, 7) and t.is_contiguous()
        assert np.array_equal(t.numpy(), (a / np.float32(255)).transpose(2, 0, 1))
        u = T.ToImage()(source)
        assert u.dtype == fc.uint8 and np.array_equal(u.numpy(), a.transpose(2, 0, 1))
    assert T.ToTensor()(a[:, :, 0]).shape == (1, 6, 7)
    assert T.ToTensor()(a.astype(np.int32)).dtype == fc.int32
    assert T.ToTensor()(np.stack([a.transpose(2, 0, 1)] * 2)).shape == (2, 3, 6, 7)
    t = fc.rand(3, 4, 5)
    assert T.ToTensor()(t) is t
    assert T.PILToTensor()(Image.fromarray(a)).dtype == fc.uint8
    b = a.copy()
    T.ToTensor()(b.astype(np.float32))[:] = 0
    u = F.to_image(b)
    u[:] = 0
    assert np.array_equal(b, a)
    with pytest.raises(TypeError, match="to_tensor: expected a Pillow image or an array"):
        F.to_tensor(t)
    with pytest.raises(TypeError, match="pil_to_tensor: expected a Pillow image, got ndarray"):
        F.pil_to_tensor(a)


def test_masks_become_class_numbers():
    a, mask = smooth(6, 7), np.arange(42, dtype=np.uint8).reshape(6, 7)
    x, m = T.ToTensor()(Image.fromarray(a), Image.fromarray(mask))
    assert x.dtype == fc.float32 and m.dtype == fc.int64 and m.shape == (6, 7)
    assert np.array_equal(m.numpy(), mask)
    image, back = T.ToPILImage()(x, m)
    assert np.array_equal(np.asarray(image), a) and np.array_equal(np.asarray(back), mask)
    _, m = T.ToTensor()(Image.fromarray(a), Image.fromarray(mask % 2 * 255).convert("1"))
    assert m.tolist() == (mask % 2).tolist()
    _, m = T.ToTensor()(a, mask[:, :, None] / 7)
    assert m.dtype == fc.float64 and m.shape == (6, 7)


def test_to_pil_image():
    a = smooth(5, 8)
    for source in (a, F.to_tensor(a), F.to_image(a)):
        assert np.array_equal(np.asarray(F.to_pil_image(source)), a)
    for dtype, mode in ((np.uint8, "L"), (np.int32, "I"), (np.int16, "I;16"), (bool, "1")):
        assert F.to_pil_image((a[:, :, 0] > 128).astype(dtype)).mode == mode
    assert F.to_pil_image(a[:, :, 0] / 255).mode == "L"
    assert F.to_pil_image(a[:, :, 0].astype(np.float32), "F").mode == "F"
    assert F.to_pil_image(np.concatenate([a, a[:, :, :1]], 2)).mode == "RGBA"
    assert F.to_pil_image(a, "YCbCr").mode == "YCbCr"
    with pytest.raises(ValueError, match="mode must be one of"):
        F.to_pil_image(a, "L")
    with pytest.raises(ValueError, match="1 to 4 channels, got 5"):
        F.to_pil_image(fc.rand(5, 4, 4))
    with pytest.raises(ValueError, match="expected one image, got a batch"):
        F.to_pil_image(fc.rand(2, 3, 4, 4))
    with pytest.raises(TypeError, match="must be uint8 or floating-point, got int64"):
        F.to_pil_image(a.astype(np.int64))
    with pytest.raises(TypeError, match="no mode for values of int64"):
        F.to_pil_image(a[:, :, 0].astype(np.int64))
    with pytest.raises(TypeError, match="expected a Tensor or an array, got str"):
        F.to_pil_image("a")


@pytest.mark.parametrize(
    ("given", "dtype", "value", "want"),
    [
        ("uint8", fc.float32, 51, 0.2), ("uint8", fc.float64, 255, 1.0),
        ("float32", fc.uint8, 1.0, 255), ("float32", fc.uint8, 0.999, 255),
        ("float64", fc.uint8, 0.2, 51), ("uint8", fc.int16, 255, 255 << 7),
        ("int16", fc.uint8, 255 << 7, 255), ("int32", fc.uint8, 2**31 - 1, 255),
        ("float32", fc.float64, 0.5, 0.5), ("float64", fc.int32, 1.0, 2**31 - 1),
    ],
)  # fmt: skip
def test_convert_image_dtype(given, dtype, value, want):
    x = fc.tensor(np.full((1, 2, 2), value, given))
    for y in (F.convert_image_dtype(x, dtype), T.ConvertImageDtype(dtype)(x)):
        assert y.dtype == dtype
        assert y.numpy().flat[0] == pytest.approx(want)
    assert T.ToDtype(dtype)(x).numpy().flat[0] == np.full(1, value, given).astype(dtype.dtype)[0]


def test_dtype_errors():
    with pytest.raises(ValueError, match="float32 to int32 cannot be done safely"):
        F.convert_image_dtype(fc.rand(1, 2, 2), fc.int32)
    with pytest.raises(TypeError, match="Pillow images are uint8"):
        T.ToDtype(fc.float32)(Image.new("L", (3, 3)))


def test_normalize():
    x = fc.rand(4, 3, 5, 6)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    want = (x.numpy() - np.float32(mean).reshape(3, 1, 1)) / np.float32(std).reshape(3, 1, 1)
    assert np.array_equal(T.Normalize(mean, std)(x).numpy(), want)
    assert np.array_equal(T.Normalize(mean, std)(x[0]).numpy(), want[0])
    hwc = np.ascontiguousarray(x.numpy()[0].transpose(1, 2, 0))
    assert np.array_equal(F.normalize(hwc, mean, std).transpose(2, 0, 1), want[0])
    before = x.numpy().copy()
    assert np.array_equal(x.numpy(), before)
    y = T.Normalize(mean, std, inplace=True)(x)
    assert np.array_equal(x.numpy(), want) and np.array_equal(y.numpy(), want)
    with pytest.raises(TypeError, match="expected floating-point values, got values of uint8"):
        T.Normalize(mean, std)(smooth(4, 4))
    with pytest.raises(TypeError, match="got a Pillow image"):
        T.Normalize(mean, std)(Image.new("RGB", (4, 4)))
    with pytest.raises(ValueError, match="std must not be zero"):
        T.Normalize(mean, (0.2, 0, 0.3))(x)
    with pytest.raises(ValueError, match="mean must be one value or one for each of 3 channels"):
        T.Normalize((0.4, 0.5), std)(x)


# --- sizes ---


@pytest.mark.parametrize("mode", FILTERS)
@pytest.mark.parametrize("size", [(20, 17), (90, 31), (7, 120), (1, 1)])
def test_resize_is_pillows(mode, size):
    a = smooth(47, 61)
    image = Image.fromarray(a)
    got = T.Resize(size, mode)(image)
    want = image.resize(size[::-1], FILTERS[mode])
    assert got.size == want.size
    assert level(got, want).max() <= 1
    if size != (7, 120):  # where newer versions take columns first
        assert (level(got, want) > 0).mean() < 0.01  # its weights are rounded too
    assert np.array_equal(T.Resize(size, mode)(a), np.asarray(got))


def test_resize_nearest():
    a = smooth(13, 17)
    image = Image.fromarray(a)
    want = image.resize((9, 5), Image.Resampling.NEAREST)
    assert np.array_equal(np.asarray(T.Resize((5, 9), MODE.NEAREST)(image)), np.asarray(want))
    rows, columns = (np.arange(5) * 13 // 5), (np.arange(9) * 17 // 9)
    assert np.array_equal(T.Resize((5, 9), MODE.NEAREST)(a), a[rows][:, columns])
    exact = T.Resize((5, 9), MODE.NEAREST_EXACT)(a)
    assert np.array_equal(exact, np.asarray(want))


@pytest.mark.torch
@pytest.mark.parametrize("mode", [MODE.BILINEAR, MODE.BICUBIC])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(20, 17), (90, 131), (47, 31)])
def test_resize_is_pytorchs(mode, antialias, size):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).random((2, 3, 47, 61))
    want = torch.nn.functional.interpolate(
        torch.from_numpy(x), size, mode=mode.value, align_corners=False, antialias=antialias
    )
    got = F.resize(fc.tensor(x), size, mode, antialias=antialias)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-9, atol=1e-9)
    a = (x * 255).astype(np.uint8)
    want = torch.nn.functional.interpolate(
        torch.from_numpy(a), size, mode=mode.value, align_corners=False, antialias=antialias
    )
    away = level(F.resize(fc.tensor(a), size, mode, antialias=antialias).numpy(), want)
    assert away.max() <= 2 and (away > 1).mean() < 1e-3  # its weights have 16 bits


def test_resize_sizes():
    a = smooth(40, 60)
    assert F.resize(a, 20).shape == (20, 30, 3)
    assert F.resize(a.transpose(1, 0, 2), [20]).shape == (30, 20, 3)
    assert F.resize(a, 20, max_size=25).shape == (16, 25, 3)
    assert F.resize(a, None, max_size=30).shape == (20, 30, 3)
    assert T.Resize(33)(smooth(40, 40)).shape == (33, 33, 3)
    same = fc.rand(3, 8, 9)
    assert T.Resize((8, 9))(same) is same
    assert F.resize(a.astype(np.float64) / 255, (8, 9)).dtype == np.float64
    assert F.resize(np.full((4, 4), 40000, np.uint16), (2, 2)).tolist() == [[40000] * 2] * 2


# --- maps ---


@pytest.mark.parametrize("angle", [0, 37, 90, 180, -120.5])
@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("center", [None, (10, 4)])
def test_rotate_is_pillows(angle, expand, center):
    if expand and center:
        return
    image = Image.fromarray(smooth(40, 33))
    for mode, pil in ((MODE.NEAREST, 0), (MODE.BILINEAR, 2)):
        got = F.rotate(image, angle, mode, expand, center, fill=(9, 99, 200))
        want = image.rotate(angle, pil, expand, center, fillcolor=(9, 99, 200))
        assert got.size == want.size
        away = level(got, want).max(2)
        assert (away > (1 if pil else 0)).mean() < 0.01, (mode, (away > 1).mean())


def test_affine_is_pillows():
    image = Image.fromarray(smooth(40, 33))
    angle, move, scale, shear = 20.0, (3, -2), 1.3, (10.0, -6.0)
    got = F.affine(image, angle, move, scale, shear, MODE.BILINEAR, fill=50)
    # M = T C R S Hy Hx C^-1, of places from the corner
    a, sx, sy = np.deg2rad([angle, *shear])

    def matrix(*rows):
        return np.array([*rows, [0, 0, 1]], float)

    c = matrix([1, 0, 16.5], [0, 1, 20])
    forward = (
        matrix([1, 0, 3], [0, 1, -2]) @ c
        @ matrix([np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0])
        @ matrix([scale, 0, 0], [0, scale, 0])
        @ matrix([1, 0, 0], [-np.tan(sy), 1, 0]) @ matrix([1, -np.tan(sx), 0], [0, 1, 0])
        @ np.linalg.inv(c)
    )  # fmt: skip
    inverse = np.linalg.inv(forward)[:2].ravel()
    want = image.transform(image.size, Image.Transform.AFFINE, inverse, 2, fillcolor=(50,) * 3)
    assert (level(got, want) > 1).mean() < 0.01
    moved = F.affine(image, 0, (5, 3), 1, 0)
    assert np.array_equal(np.asarray(moved)[3:, 5:], np.asarray(image)[:-3, :-5])
    assert (np.asarray(moved)[:3] == 0).all()


def test_perspective_is_pillows():
    image = Image.fromarray(smooth(40, 33))
    start = [(0, 0), (32, 0), (32, 39), (0, 39)]
    end = [(3, 5), (30, 2), (27, 35), (1, 38)]
    rows, values = [], []
    for (x, y), (u, v) in zip(end, start, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    found = np.linalg.solve(rows, values)
    for mode, pil in ((MODE.NEAREST, 0), (MODE.BILINEAR, 2)):
        got = F.perspective(image, start, end, mode, fill=7)
        kind = Image.Transform.PERSPECTIVE
        want = image.transform(image.size, kind, found, pil, fillcolor=(7,) * 3)
        assert (level(got, want) > (1 if pil else 0)).mean() < 0.01
    again = F.perspective(image, None, None, mode, 7, coefficients=found.tolist())
    assert (level(again, got) > 1).mean() < 0.01  # corners lie on the edge


@pytest.mark.torch
@pytest.mark.parametrize("fill", [None, 0, (0.2, 0.5, 0.9)])
@pytest.mark.parametrize("mode", [MODE.NEAREST, MODE.BILINEAR])
def test_rotation_of_tensors_is_torchvisions(fill, mode):
    """torchvision reads with grid_sample and blends with the fill: of the mask of ones twice."""
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(1).random((2, 3, 19, 24))
    angle, (h, w) = 33.0, (19, 24)
    r = np.deg2rad(angle)
    ys, xs = np.mgrid[:h, :w].astype(float)
    xs, ys = xs + 0.5 - w / 2, ys + 0.5 - h / 2
    u, v = np.cos(r) * xs - np.sin(r) * ys, np.sin(r) * xs + np.cos(r) * ys
    grid = torch.from_numpy(np.stack([u / (w / 2), v / (h / 2)], 2)[None]).expand(2, -1, -1, -1)
    ones = torch.ones(2, 1, h, w, dtype=torch.float64)
    read = torch.nn.functional.grid_sample(
        torch.cat([torch.from_numpy(x), ones], 1), grid, mode.value, "zeros", False
    )
    want, mask = read[:, :-1], read[:, -1:]
    if fill is not None:
        colour = torch.tensor(np.broadcast_to(fill, 3).copy(), dtype=torch.float64).view(1, 3, 1, 1)
        if mode is MODE.NEAREST:
            want = torch.where(mask < 0.5, colour, want)
        else:
            want = mask * (want - colour) + colour
    got = F.rotate(fc.tensor(x), angle, mode, fill=fill)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-9, atol=1e-9)


def test_rotate_quarters():
    a = smooth(20, 20)
    for kind, x in kinds(a).items():
        for mode in (MODE.NEAREST, MODE.BILINEAR):
            got = pixels(F.rotate(x, 90, mode))[0]
            assert np.array_equal(got.transpose(1, 2, 0), np.rot90(a)), (kind, mode)
    b = smooth(20, 31)
    assert np.array_equal(F.rotate(b, 90, expand=True), np.rot90(b))
    assert np.array_equal(F.rotate(b, -90, expand=True), np.rot90(b, -1))


# --- padding, crops ---


def test_pad():
    a = smooth(6, 7)
    for mode in ("constant", "edge", "reflect", "symmetric"):
        want = np.pad(a, ((2, 4), (1, 3), (0, 0)), mode)
        assert np.array_equal(F.pad(a, [1, 2, 3, 4], padding_mode=mode), want)
    assert np.array_equal(F.pad(a, [1, 2]), np.pad(a, ((2, 2), (1, 1), (0, 0))))
    assert np.array_equal(
        np.asarray(F.pad(Image.fromarray(a), 2, (1, 2, 3))),
        np.asarray(ImageOps.expand(Image.fromarray(a), 2, (1, 2, 3))),
    )
    assert np.array_equal(F.pad(a, [-1, 0, -2, -3]), a[:-3, 1:-2])
    _, mask = T.Pad(1, fill={"image": 5, "mask": 255})(a, a[:, :, 0])
    assert mask[0].tolist() == [255] * 9


def test_crops():
    a = smooth(21, 30)
    five = F.five_crop(a, (8, 10))
    want = [a[:8, :10], a[:8, -10:], a[-8:, :10], a[-8:, -10:], a[6:14, 10:20]]
    assert all(np.array_equal(x, y) for x, y in zip(five, want, strict=True))
    ten = F.ten_crop(a, (8, 10))
    assert np.array_equal(ten[5], a[:, ::-1][:8, :10]) and len(ten) == 10
    assert [x.shape for x in T.TenCrop(5)(fc.rand(2, 3, 9, 9))] == [(2, 3, 5, 5)] * 10
    images, masks = T.FiveCrop(5)(a, a[:, :, 0])
    assert all(np.array_equal(x[:, :, 0], m) for x, m in zip(images, masks, strict=True))
    assert np.array_equal(F.center_crop(a, 9), a[6:15, 10:19])
    small = F.center_crop(a, (25, 9))
    assert np.array_equal(small[2:23], a[:, 10:19]) and not small[:2].any() and not small[23:].any()
    crop = F.resized_crop(a, 2, 3, 10, 12, (5, 6))
    assert np.array_equal(crop, F.resize(a[2:12, 3:15], (5, 6)))


# --- what is wrong ---


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: T.Resize((1, 2, 3)), ValueError, "size must be a number or a pair"),
        (lambda: T.Resize(0), ValueError, "size must be a positive integer or a pair"),
        (lambda: T.Resize((3, 4), max_size=9), ValueError, "max_size goes with one number"),
        (lambda: T.Resize(5, max_size=5), ValueError, "max_size must be larger"),
        (lambda: T.Resize(None), ValueError, "size None needs max_size"),
        (lambda: T.Resize(5, "bilinear"), ValueError, "interpolation must be an Interpolation"),
        (lambda: T.CenterCrop(-1), ValueError, "positive integer"),
        (lambda: T.RandomCrop((3, 4, 5)), ValueError, "positive integer or a pair"),
        (lambda: T.RandomCrop(3, padding=(1, 2, 3)), ValueError, "1, 2 or 4 of them"),
        (lambda: T.RandomCrop(9)(smooth(5, 8)), ValueError, r"\(9, 9\) is larger than .* 5×8"),
        (lambda: T.FiveCrop(9)(smooth(5, 8)), ValueError, r"\(9, 9\) is larger than .* 5×8"),
        (lambda: T.Pad(1, padding_mode="wrap"), ValueError, "constant, edge, reflect, symmetric"),
        (lambda: T.Pad(9, padding_mode="reflect")(smooth(5, 8)), ValueError, "too large"),
        (lambda: T.Pad(1, (1, 2))(smooth(5, 8)), ValueError, "one for each of 3 channels"),
        (lambda: T.Pad(1, "red")(smooth(5, 8)), TypeError, "fill must be a number"),
        (lambda: T.RandomHorizontalFlip(2), ValueError, "p must be a number from 0 to 1, got 2"),
        (lambda: T.RandomRotation(-3), ValueError, "must not be negative, got -3"),
        (lambda: T.RandomRotation((5, 3)), ValueError, "must be a pair in order"),
        (lambda: T.RandomRotation(3, center=5), ValueError, r"center must be a pair \(x, y\)"),
        (lambda: T.RandomRotation(3, MODE.BICUBIC)(smooth(5, 8)), ValueError, "NEAREST or BILIN"),
        (lambda: T.RandomRotation(40, expand=True)(fc.rand(8, 3, 20, 30)), ValueError, "by one"),
        (lambda: T.RandomAffine(3, (2, 0)), ValueError, "two numbers from 0 to 1"),
        (lambda: T.RandomAffine(3, scale=(0, 1)), ValueError, "scale must be positive"),
        (lambda: T.RandomAffine(3, shear=(1, 2, 3)), ValueError, "shear must be a pair"),
        (lambda: T.RandomPerspective(2), ValueError, "distortion_scale must be from 0 to 1"),
        (lambda: T.RandomResizedCrop(3, (2, 1)), ValueError, "scale must be a pair in order"),
        (lambda: T.RandomResizedCrop(3, ratio=(0, 1)), ValueError, "ratio must be positive"),
        (lambda: F.affine(smooth(5, 8), 0, (1,), 1, 0), ValueError, "translate must be a pair"),
        (lambda: F.affine(smooth(5, 8), 0, (1, 1), 0, 0), ValueError, "scale must be positive"),
        (lambda: F.perspective(smooth(5, 8), [(0, 0)], [(0, 0)]), ValueError, "four startpoints"),
        (lambda: F.hflip("file.png"), TypeError, "expected a Pillow image, .* got str"),
        (lambda: F.hflip(np.zeros(5)), ValueError, r"expected an image \(H, W\)"),
        (lambda: F.hflip(np.zeros((1, 2, 3, 4, 5))), ValueError, r"batch \(N, C, H, W\)"),
        (lambda: T.Resize(4)(5), TypeError, "Resize: expected a Pillow image, .* got int"),
        (lambda: T.Resize(4)(fc.rand(3, 8, 8).requires_grad_()), ValueError, "have no gradients"),
        (lambda: T.Resize(4)(smooth(5, 8), smooth(5, 7)), ValueError, "taken for its mask"),
        (lambda: T.Compose([T.Resize(4), 5]), TypeError, "a sequence of callables"),
        (lambda: T.Lambda(5), TypeError, "expected a callable"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_pillow_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match=r"fastconv\[vision\]"):
        T.ToPILImage()(fc.rand(3, 4, 4))


def test_names():
    import fastconv.transforms.v2 as v2
    import fastconv.transforms.v2.functional as v2_functional

    assert v2.Compose is T.Compose and v2.functional.resize is F.resize
    assert v2_functional.hflip is F.horizontal_flip and fc.transforms is T
    t = T.Compose([T.Resize(5), T.RandomHorizontalFlip(), T.ToTensor()])
    assert "RandomHorizontalFlip(p=0.5)" in repr(t)
    assert repr(pickle.loads(pickle.dumps(t))) == repr(t)


@pytest.mark.skipif(not (DATA / "photos").is_dir(), reason=f"no photographs in {DATA}")
def test_photographs():
    """The usual way into an ImageNet network, against Pillow's own."""
    usual = T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor()])
    for path in sorted((DATA / "photos").glob("*.*g")):
        image = Image.open(path).convert("RGB")
        w, h = image.size
        new = (256, int(256 * h / w)) if w <= h else (int(256 * w / h), 256)
        small = image.resize(new, Image.Resampling.BILINEAR)
        left, top = round((new[0] - 224) / 2), round((new[1] - 224) / 2)
        want = np.asarray(small.crop((left, top, left + 224, top + 224)))
        got = usual(image).numpy().transpose(1, 2, 0) * 255
        assert level(np.rint(got), want).max() <= 1, path.name
