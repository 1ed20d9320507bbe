"""Random draws: masks go along, batches draw for each image, seeds bring draws back."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
from fastconv import transforms as T
from fastconv.transforms import functional as F
from fastconv.transforms.transform import flatten
from tests.test_transforms import smooth

MODE = T.InterpolationMode


def pair(count: int = 0, height: int = 40, width: int = 48):
    """An image whose first channel is the mask: wherever they go, they go together."""
    rng = np.random.default_rng(0)
    mask = np.kron(rng.integers(1, 6, (height // 8, width // 8)), np.ones((8, 8), np.int64))
    image = np.stack([mask, mask * 2, mask * 3]).astype(np.float32)
    if count:
        image, mask = np.stack([image] * count), np.stack([mask] * count)
    return fc.tensor(image), fc.tensor(mask)


GEOMETRY = {
    "crop": T.RandomCrop(24, padding=5),
    "resized": T.RandomResizedCrop((30, 20), interpolation=MODE.NEAREST),
    "hflip": T.RandomHorizontalFlip(),
    "vflip": T.RandomVerticalFlip(),
    "rotation": T.RandomRotation(50),
    "affine": T.RandomAffine(30, (0.2, 0.1), (0.7, 1.4), (-10, 10, -5, 5)),
    "perspective": T.RandomPerspective(0.6, 0.8, MODE.NEAREST),
    "pad": T.Pad((3, 1)),
    "resize": T.Resize((33, 37), MODE.NEAREST),
    "center": T.CenterCrop((50, 20)),
    "apply": T.RandomApply([T.RandomRotation(90), T.RandomVerticalFlip()], 0.5),
    "choice": T.RandomChoice([T.RandomHorizontalFlip(1.0), T.RandomVerticalFlip(1.0)]),
    "order": T.RandomOrder([T.RandomAffine(9, (0.2, 0.2)), T.RandomHorizontalFlip()]),
    "compose": T.Compose([T.RandomCrop(30), T.RandomRotation(20), T.RandomHorizontalFlip()]),
}


@pytest.mark.parametrize("count", [0, 9])
@pytest.mark.parametrize("name", GEOMETRY)
def test_masks_go_along(name, count):
    fc.manual_seed(4)
    image, mask = pair(count)
    for _ in range(3):
        x, m = GEOMETRY[name](image, mask)
        assert m.dtype == fc.int64 and m.shape == x.shape[:-3] + x.shape[-2:]
        for channel in range(3):
            first = x.numpy()[..., channel, :, :]
            assert np.array_equal(first, m.numpy() * (channel + 1)), (name, channel)


@pytest.mark.parametrize("name", GEOMETRY)
def test_images_of_a_batch_draw_their_own(name):
    """As many images one by one, from the same draws of each."""
    fc.manual_seed(5)
    image, _ = pair(12)
    out = GEOMETRY[name](image).numpy()
    different = {x.tobytes() for x in out}
    assert len(different) > 1 or name in ("pad", "resize", "center")


def test_masks_of_every_kind():
    Image = pytest.importorskip("PIL.Image")
    mask = np.asarray(pair()[1].numpy(), np.uint8)
    a = np.stack([mask] * 3, 2)
    t = T.Compose([T.RandomAffine(30, (0.1, 0.1)), T.RandomHorizontalFlip()])
    for image in (a, Image.fromarray(a)):
        for m in (mask, mask[:, :, None], Image.fromarray(mask), mask.astype(np.int64)):
            x, n = t(image, m)
            assert type(n) is type(m)
            got = np.asarray(n)
            same = np.array_equal(np.asarray(x)[:, :, 0], got.reshape(got.shape[:2]))
            # one kind of picture: the same edges. Pillow and arrays may differ there
            assert same or isinstance(image, np.ndarray) != isinstance(m, np.ndarray)
    five = np.stack([mask] * 5, 2)
    _, n = T.RandomHorizontalFlip(1.0)(a, five)
    assert np.array_equal(n, five[:, ::-1])


def test_colour_leaves_masks_alone():
    image, mask = pair()
    image = image / 20
    for t in (T.ColorJitter(0.5, 0.5, 0.5, 0.2), T.GaussianBlur(3), T.GaussianNoise(),
              T.RandomErasing(1.0), T.Normalize([0.5] * 3, [0.2] * 3), T.RandomInvert(1.0),
              T.Grayscale(3), T.ToDtype(fc.float64)):  # fmt: skip
        x, m = t(image, mask)
        assert (
            m is mask and not np.array_equal(x.numpy(), image.numpy())
        ) or t.__class__ is T.ToDtype


def test_what_passes():
    """Labels, names and numbers, in any nest."""
    image, mask = pair()
    flip = T.RandomHorizontalFlip(1.0)
    x, label = flip(image, 3)
    assert label == 3 and np.array_equal(x.numpy(), image.numpy()[..., ::-1])
    x, (m, label, name) = flip((image, [mask, fc.tensor(3), "cat"]))
    assert label.item() == 3 and name == "cat" and np.array_equal(m.numpy(), mask.numpy()[:, ::-1])
    out = flip({"mask": mask, "image": image, "id": 7})
    assert list(out) == ["mask", "image", "id"] and out["id"] == 7
    assert np.array_equal(out["image"].numpy(), image.numpy()[..., ::-1])
    assert np.array_equal(out["mask"].numpy(), mask.numpy()[:, ::-1])
    images, _ = pair(4)
    labels, scores = fc.tensor([0, 1, 2, 3]), fc.rand(4, 10)
    x, y, z = flip(images, labels, scores)
    assert y is labels and z is scores


def test_fill_of_masks():
    image, mask = pair()
    _, m = T.RandomAffine(0, (1.0, 1.0), fill=9)(image, mask)
    assert set(np.unique(m.numpy())) <= set(range(6))
    fc.manual_seed(0)
    x, m = T.RandomRotation((45, 45), fill={"image": (7, 8, 9), "mask": 255})(image, mask)
    assert m[0, 0] == 255 and x[:, 0, 0].tolist() == [7, 8, 9]


def test_seeds():
    image = fc.tensor(np.random.default_rng(0).random((6, 3, 32, 32), np.float32))
    t = T.Compose([
        T.RandomCrop(32, padding=4), T.RandomHorizontalFlip(), T.RandomRotation(15),
        T.ColorJitter(0.3, 0.3, 0.3, 0.1), T.RandAugment(), T.GaussianNoise(),
        T.RandomErasing(value="random"), T.RandomApply([T.GaussianBlur(3)]),
    ])  # fmt: skip
    fc.manual_seed(11)
    first, second = t(image).numpy(), t(image).numpy()
    fc.manual_seed(11)
    assert np.array_equal(t(image).numpy(), first)
    assert not np.array_equal(first, second)
    fc.manual_seed(12)
    assert not np.array_equal(t(image).numpy(), first)
    before = image.numpy().copy()
    assert np.array_equal(image.numpy(), before)


def test_random_crop_finds_every_place():
    fc.manual_seed(0)
    x = np.arange(25, dtype=np.uint8).reshape(5, 5)
    seen = {tuple(T.RandomCrop(3)(x)[0]) for _ in range(200)}
    assert seen == {(5 * i + j, 5 * i + j + 1, 5 * i + j + 2) for i in range(3) for j in range(3)}
    assert T.RandomCrop(5)(x).tolist() == x.tolist()
    bigger = T.RandomCrop((7, 5), pad_if_needed=True, fill=9)(x)
    assert bigger.shape == (7, 5) and (bigger == 9).any()
    edge = T.RandomCrop(9, padding=2, padding_mode="edge")(x)
    assert np.array_equal(edge, np.pad(x, 2, "edge"))


def test_resized_crop_stays_within_its_ranges():
    fc.manual_seed(0)
    t = T.RandomResizedCrop(8, (0.2, 0.5), (0.5, 2))
    picture = F.get_size(smooth(60, 80))
    from fastconv.data.sample import draws

    for _ in range(300):
        top, left, h, w = t._window(draws(), *picture)
        assert 0 <= top <= 60 - h and 0 <= left <= 80 - w
        assert 0.17 < h * w / 4800 < 0.53 and 0.47 < w / h < 2.1
    wide = T.RandomResizedCrop(8, (1, 1), (3, 3.5))._window(draws(), 60, 30)
    assert wide == (25, 0, 10, 30)  # none fits: the largest of that shape in the middle


def test_rotation_goes_both_ways_and_as_far():
    fc.manual_seed(0)
    x = np.zeros((500, 1, 41, 41), np.float32)
    x[:, :, 20, 38] = 1
    out = T.RandomRotation((-30, 60), MODE.BILINEAR)(x)[:, 0]
    ys, xs = np.mgrid[:41, :41]
    total = out.sum((1, 2))
    angle = -np.rad2deg(np.arctan2((out * ys).sum((1, 2)) / total - 20,
                                   (out * xs).sum((1, 2)) / total - 20))  # fmt: skip
    assert -31 < angle.min() < -28 and 58 < angle.max() < 61


def test_erasing():
    fc.manual_seed(0)
    x = fc.ones(300, 3, 40, 50)
    out = T.RandomErasing(0.6, (0.1, 0.2), (0.5, 2), value=(2, 3, 4))(x).numpy()
    gone = (out != 1).any(1)
    erased = gone.any((1, 2))
    assert 140 < erased.sum() < 220
    share = gone[erased].mean((1, 2))
    assert share.min() > 0.09 and share.max() < 0.21
    assert np.array_equal(out[:, 1][gone], np.full(gone.sum(), 3))
    for box in gone[erased]:
        rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
        assert box.sum() == len(rows) * len(columns)  # one box
        assert 0.4 < len(rows) / len(columns) < 2.5
    noise = T.RandomErasing(1.0, (0.3, 0.3), value="random")(x[:1]).numpy()
    assert abs(noise[noise != 1].std() - 1) < 0.1
    y = fc.ones(3, 20, 20)
    z = T.RandomErasing(1.0, inplace=True)(y)
    assert (y.numpy() == 0).any() and np.array_equal(y.numpy(), z.numpy())
    with pytest.raises(ValueError, match="one for each of 3 channels"):
        T.RandomErasing(1.0, value=(1, 2))(y)
    with pytest.raises(ValueError, match="must be 'random', got 'noise'"):
        T.RandomErasing(value="noise")


def test_mixup():
    fc.manual_seed(0)
    x, y = fc.rand(8, 3, 5, 5), fc.arange(8)
    mixed, scores = T.MixUp(num_classes=10)(x, y)
    assert scores.shape == (8, 10) and scores.dtype == fc.float32
    share = scores.numpy()[np.arange(8), np.arange(8)]
    assert np.ptp(share) == 0 and 0 < share[0] < 1
    np.testing.assert_allclose(scores.numpy()[1, 0], 1 - share[0], rtol=1e-5)
    want = share[0] * x.numpy() + (1 - share[0]) * np.roll(x.numpy(), 1, 0)
    np.testing.assert_allclose(mixed.numpy(), want, rtol=1e-5)
    again, other = T.MixUp()(x, scores)
    assert again.shape == x.shape and np.allclose(other.numpy().sum(1), 1)
    shares = []
    for _ in range(300):
        shares.append(float(T.MixUp(alpha=0.2, num_classes=10)(x, y)[1][0, 0]))
    assert np.mean((np.array(shares) < 0.1) | (np.array(shares) > 0.9)) > 0.6  # Beta(0.2, 0.2)


def test_cutmix():
    fc.manual_seed(1)
    x = fc.arange(6).reshape(6, 1, 1, 1).expand(6, 2, 20, 30).contiguous().float()
    y = fc.arange(6)
    boxes = 0
    for _ in range(40):
        mixed, scores = T.CutMix(num_classes=6)(x, y)
        foreign = mixed.numpy() != x.numpy()
        assert (foreign == foreign[0, 0]).all()
        share = 1 - foreign[0, 0].mean()
        np.testing.assert_allclose(scores.numpy()[range(6), range(6)], share, rtol=1e-5)
        assert np.array_equal(mixed.numpy()[1][foreign[1]], np.zeros(foreign[1].sum()))
        boxes += foreign.any()
    assert boxes > 30
    out = T.CutMix(num_classes=6)({"image": x, "label": y})
    assert out["label"].shape == (6, 6)
    getter = T.MixUp(num_classes=6, labels_getter=lambda tree: tree[2])
    _, name, b = getter(x, "name", y)
    assert name == "name" and b.shape == (6, 6)
    assert T.Mixup is T.MixUp


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: T.MixUp(alpha=0), ValueError, "alpha must be positive"),
        (lambda: T.MixUp()(fc.rand(2, 1, 3, 3), fc.arange(2)), ValueError, "num_classes is needed"),
        (lambda: T.MixUp(num_classes=1)(fc.rand(2, 1, 3, 3), fc.arange(2)), ValueError, "0 to 0"),
        (lambda: T.MixUp(num_classes=3)(fc.rand(2, 1, 3, 3), fc.arange(3)), ValueError, "2 images"),
        (lambda: T.MixUp(num_classes=3)(fc.rand(1, 3, 3), fc.arange(3)), ValueError, "a batch of"),
        (lambda: T.MixUp(num_classes=3)(fc.rand(2, 1, 3, 3)), ValueError, "found no labels"),
        (lambda: T.MixUp(num_classes=3)(np.zeros((2, 1, 3, 3), int), fc.arange(2)), TypeError, "f"),
        (lambda: T.RandAugment(magnitude=31), ValueError, "magnitude must be from 0 to 30"),
        (lambda: T.RandAugment(num_ops=-1), ValueError, "num_ops must not be negative"),
        (lambda: T.TrivialAugmentWide(1), ValueError, "must be 2 or more"),
        (lambda: T.RandomApply([]), TypeError, "a sequence of callables"),
        (lambda: T.RandomChoice([T.Resize(3)], [0]), ValueError, "a share for each of 1"),
        (lambda: T.RandomApply([T.Resize(3)])(fc.rand(64, 3, 9, 9)), ValueError, "leave shape"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(call, error, text):
    with pytest.raises(error, match=text):
        call()


# --- policies ---


def forced(policy: T.Transform, name: str) -> T.Transform:
    """A policy with one operation left."""
    policy.space = {name: policy.space[name]}
    return policy


@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_randaugment_operations(kind):
    """Each against the function with the strength of magnitude 9 of 31, either sign."""
    a = smooth(31, 40)
    a = a if kind == "uint8" else (a / 255).astype(np.float32)
    s = 9 / 30
    near = MODE.NEAREST
    white = 255 if kind == "uint8" else 1.0

    def shear(x, y):
        return F.affine(a, 0, (0, 0), 1, (x, y), near, None, (0, 0))

    slope = np.rad2deg(np.arctan(0.3 * s))
    wide, high = int(150 / 331 * 40 * s), int(150 / 331 * 31 * s)
    both = {
        "ShearX": [shear(slope, 0), shear(-slope, 0)],
        "ShearY": [shear(0, slope), shear(0, -slope)],
        "TranslateX": [F.affine(a, 0, (d, 0), 1, 0) for d in (wide, -wide)],
        "TranslateY": [F.affine(a, 0, (0, d), 1, 0) for d in (high, -high)],
        "Rotate": [F.rotate(a, d) for d in (30 * s, -30 * s)],
        "Brightness": [F.adjust_brightness(a, 1 + d) for d in (0.9 * s, -0.9 * s)],
        "Color": [F.adjust_saturation(a, 1 + d) for d in (0.9 * s, -0.9 * s)],
        "Contrast": [F.adjust_contrast(a, 1 + d) for d in (0.9 * s, -0.9 * s)],
        "Sharpness": [F.adjust_sharpness(a, 1 + d) for d in (0.9 * s, -0.9 * s)],
        "Posterize": [F.posterize(a, 7)],
        "Solarize": [F.solarize(a, white * (1 - s))],
        "AutoContrast": [F.autocontrast(a)],
        "Equalize": [F.equalize(a)],
        "Identity": [a],
    }
    assert list(T.RandAugment().space) == ["Identity", *[n for n in both if n != "Identity"]]
    batch = np.stack([a.transpose(2, 0, 1)] * 20)
    for name, wanted in both.items():
        fc.manual_seed(0)
        out = forced(T.RandAugment(num_ops=1), name)(batch)
        found = set()
        for x in out:
            same = [np.array_equal(x.transpose(1, 2, 0), w) for w in wanted]
            assert any(same), name
            found.add(same.index(True))
        assert len(found) == len({w.tobytes() for w in wanted}), name


def test_policies_take_masks_along():
    image, mask = pair(30)
    for policy in (T.RandAugment(3), T.TrivialAugmentWide()):
        fc.manual_seed(0)
        policy.space = {
            n: v for n, v in policy.space.items() if n[:5] in ("Shear", "Trans", "Rotat")
        }
        x, m = policy(image, mask)
        assert np.array_equal(x.numpy()[:, 0], m.numpy())
        assert not np.array_equal(m.numpy(), mask.numpy())
    fc.manual_seed(0)
    x, m = T.TrivialAugmentWide()(image / 20, mask)
    assert x.shape == image.shape and m.shape == mask.shape


def test_compose_is_one_after_the_other():
    Image = pytest.importorskip("PIL.Image")
    steps = [
        T.RandomCrop(16, padding=2), T.RandomRotation(30), T.ColorJitter(0.3, 0.3, 0.3, 0.1),
        T.Grayscale(3), T.Lambda(lambda x: x), T.RandomHorizontalFlip(), T.ToTensor(),
        T.Normalize([0.5] * 3, [0.2] * 3), T.RandomErasing(1.0),
    ]  # fmt: skip
    a = smooth(20, 22)
    for image, mask in ((a, a[:, :, 0]), (Image.fromarray(a), Image.fromarray(a[:, :, 0]))):
        for inputs in ((image,), (image, mask), ({"image": image, "mask": mask, "id": 3},)):
            fc.manual_seed(8)
            got = T.Compose(steps)(*inputs)
            fc.manual_seed(8)
            for step in steps:
                inputs = step(*inputs) if len(inputs) > 1 else (step(*inputs),)
            want = inputs if len(inputs) > 1 else inputs[0]
            for (_, x), (_, y) in zip(flatten(got), flatten(want), strict=True):
                assert type(x) is type(y) and np.array_equal(np.asarray(x), np.asarray(y))
    assert T.Compose([T.RandomHorizontalFlip(0)])(a) is a


def test_compose_calls_what_is_ones_own():
    seen = []

    class Mine(T.RandomHorizontalFlip):
        def forward(self, *inputs):
            seen.append("forward")
            return super().forward(*inputs)

    flip = T.RandomVerticalFlip()
    flip.register_forward_hook(lambda *a: seen.append("hook"))
    T.Compose([T.RandomCrop(3), Mine(), flip, T.Pad(1)])(smooth(5, 5))
    assert seen == ["forward", "hook"]


def test_crops_in_a_compose():
    """The usual way: five windows, each a Tensor, stacked; with the mask too."""
    a = smooth(12, 14)
    usual = T.Compose([T.FiveCrop(8), T.ToTensor(), T.Lambda(lambda crops: fc.stack(crops))])
    x = usual(a)
    assert x.shape == (5, 3, 8, 8)
    for got, want in zip(x, F.five_crop(a, 8), strict=True):
        assert np.array_equal(got.numpy(), T.ToTensor()(want).numpy())
    older = T.Lambda(lambda crops: fc.stack([T.ToTensor()(crop) for crop in crops]))
    assert np.array_equal(T.Compose([T.FiveCrop(8), older])(a).numpy(), x.numpy())
    images, masks = T.Compose([T.FiveCrop(8), T.ToTensor()])(a, a[:, :, 0])
    assert len(images) == len(masks) == 5 and masks[4].dtype == fc.int64
    assert np.array_equal((images[4][0] * 255).round().numpy(), masks[4].numpy())
    images, label = T.Compose([T.TenCrop(8), T.ToTensor()])(a, 3)
    assert len(images) == 10 and label == 3


def test_lambda_and_own_transforms():
    image, mask = pair()
    assert T.Lambda(lambda x: x + 1)(5) == 6
    x, n = T.Lambda(lambda x: x * 2, fc.Tensor)(image, 5)
    assert n == 5 and np.array_equal(x.numpy(), image.numpy() * 2)

    class Shift(T.Transform):
        def make_params(self, flat_inputs):
            assert len(flat_inputs) == 2
            return {"by": 3}

        def transform(self, inpt, params):
            return inpt.roll(params["by"], -1)

    x, m = T.Compose([Shift(), T.RandomVerticalFlip(0)])(image, mask)
    assert np.array_equal(x.numpy()[0], m.numpy())
    assert np.array_equal(m.numpy(), np.roll(mask.numpy(), 3, 1))
    with pytest.raises(NotImplementedError, match="does not define transform"):
        T.Transform()(image)
    module = fc.nn.Sequential(T.Resize(10), T.Normalize([0.0] * 3, [1.0] * 3))
    assert module(image).shape == (3, 10, 12)
