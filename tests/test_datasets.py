"""Data sets of images: folders, pairs, MNIST and CIFAR as torchvision has them, broken files."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

import fastconv as fc
from fastconv import datasets
from fastconv import transforms as T
from tests.test_transforms import smooth

Image = pytest.importorskip("PIL.Image")

DATA = Path(os.environ.get("FASTCONV_DATA", Path(__file__).parents[2] / "shared" / "data"))


def needs(name: str):
    return pytest.mark.skipif(not (DATA / name).is_dir(), reason=f"no {name} in {DATA}")


@pytest.fixture
def folder(tmp_path):
    """Two classes, five images of several formats and sizes, a text file and a deeper folder."""
    for i, name in enumerate(
        ["cat/a.png", "cat/b.JPG", "dog/c.bmp", "dog/more/d.ppm", "dog/e.tif"]
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = "JPEG" if name.endswith("JPG") else None
        Image.fromarray(smooth(20 + i, 30 - i, seed=i)).save(path, kind)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    return tmp_path


def test_image_folder(folder):
    d = datasets.ImageFolder(folder)
    assert len(d) == 5 and d.classes == ["cat", "dog"] and d.class_to_idx == {"cat": 0, "dog": 1}
    names = [Path(p).relative_to(folder).as_posix() for p, _ in d.samples]
    assert names == ["cat/a.png", "cat/b.JPG", "dog/c.bmp", "dog/e.tif", "dog/more/d.ppm"]
    assert d.targets == [0, 0, 1, 1, 1] and d.imgs == d.samples and d.broken == []
    image, label = d[0]
    assert image.mode == "RGB" and label == 0
    assert np.array_equal(np.asarray(image), smooth(20, 30, seed=0))
    t = datasets.ImageFolder(folder, T.Compose([T.Resize((8, 9)), T.ToTensor()]), lambda y: y + 10)
    x, y = t[2]
    assert x.shape == (3, 8, 9) and y == 11
    images, labels = next(iter(fc.data.DataLoader(t, batch_size=5)))
    assert images.shape == (5, 3, 8, 9) and labels.tolist() == [10, 10, 11, 11, 11]
    assert "Number of datapoints: 5" in repr(t) and "Resize" in repr(t)
    assert len(pickle.loads(pickle.dumps(d))) == 5
    only = datasets.ImageFolder(folder, is_valid_file=lambda p: p.endswith(("png", "bmp")))
    assert len(only) == 2


def test_dataset_folder(folder):
    (folder / "dog" / "x.txt").write_text("wow")
    d = datasets.DatasetFolder(folder, lambda p: Path(p).read_text(), ".txt")
    assert [d[i] for i in range(2)] == [("no image", 0), ("wow", 1)]
    with pytest.raises(ValueError, match="either extensions or is_valid_file"):
        datasets.DatasetFolder(folder, open)
    with pytest.raises(FileNotFoundError, match=r"no files of the classes cat, dog; .* \.gif"):
        datasets.DatasetFolder(folder, open, (".gif",))
    assert len(datasets.DatasetFolder(folder, open, (".gif",), allow_empty=True)) == 0
    with pytest.raises(FileNotFoundError, match="found no folder"):
        datasets.ImageFolder(folder / "cat")
    assert datasets.find_classes(folder)[0] == ["cat", "dog"]
    assert datasets.has_file_allowed_extension("A.JPG", datasets.IMG_EXTENSIONS)
    assert not datasets.is_image_file("a.txt")


def test_broken_images(folder):
    whole = (folder / "cat" / "a.png").read_bytes()
    (folder / "cat" / "a.png").write_bytes(whole[: len(whole) // 2])
    (folder / "dog" / "c.bmp").write_bytes(b"this is no image")
    (folder / "dog" / "e.tif").write_bytes(b"")
    d = datasets.ImageFolder(folder)
    assert len(d) == 5
    for i, name in ((0, "a.png"), (2, "c.bmp"), (3, "e.tif")):
        with pytest.raises(datasets.BrokenImage, match=f"{name}: cannot be read as an image"):
            d[i]
    with pytest.raises(datasets.BrokenImage, match="3 of 5 samples are broken") as caught:
        datasets.ImageFolder(folder, broken="check")
    assert all(name in str(caught.value) for name in ("a.png", "c.bmp", "e.tif"))
    with pytest.warns(UserWarning, match="a.png: cannot be read") as seen:
        d = datasets.ImageFolder(folder, broken="skip")
    assert seen[0].filename == __file__
    assert len(d) == 2 and len(d.broken) == 3 and d.targets == [0, 1]
    assert [d[i][1] for i in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="broken must be one of refuse, check, skip, got 'no'"):
        datasets.ImageFolder(folder, broken="no")


def pairs(tmp_path, count=3):
    for i in range(count):
        for name in ("images", "masks"):
            (tmp_path / name).mkdir(exist_ok=True)
        a = smooth(16, 20, seed=i)
        Image.fromarray(a).save(tmp_path / "images" / f"{i}.bmp")
        Image.fromarray(np.where(a[:, :, 0] > 128, 255, 0).astype(np.uint8)).save(
            tmp_path / "masks" / f"{i}.png"
        )


def test_segmentation_folder(tmp_path):
    pairs(tmp_path)
    d = datasets.SegmentationFolder(tmp_path, values=(0, 255))
    image, mask = d[1]
    assert len(d) == 3 and image.mode == "RGB"
    want = np.asarray(image)[:, :, 0] > 128
    assert np.array_equal(np.asarray(mask), want)
    t = T.Compose([T.RandomCrop(10), T.RandomHorizontalFlip(), T.ToTensor()])
    x, m = datasets.SegmentationFolder(tmp_path, values=(0, 255), transforms=t)[2]
    assert x.shape == (3, 10, 10) and m.shape == (10, 10) and m.dtype == fc.int64
    assert np.array_equal(m.numpy(), (x[0] * 255 > 128.5).numpy())
    _, m = datasets.SegmentationFolder(tmp_path)[0]
    assert set(np.unique(np.asarray(m))) == {0, 255}
    with pytest.raises(ValueError, match="transforms excludes transform"):
        datasets.SegmentationFolder(tmp_path, transform=t, transforms=t)
    with pytest.raises(datasets.BrokenImage, match=r"0.png: values \[255\] are not among \[0, 1\]"):
        datasets.SegmentationFolder(tmp_path, values=(0, 1))[0]


def test_segmentation_pairs_that_do_not_fit(tmp_path):
    pairs(tmp_path)
    Image.new("L", (5, 5)).save(tmp_path / "masks" / "1.png")
    with pytest.raises(datasets.BrokenImage, match=r"1.png: a mask of 5×5 for an image of 20×16"):
        datasets.SegmentationFolder(tmp_path)[1]
    with pytest.warns(UserWarning, match="1 of 3"):
        d = datasets.SegmentationFolder(tmp_path, broken="skip")
    assert [Path(a).stem for a, _ in d.samples] == ["0", "2"]
    os.remove(tmp_path / "masks" / "2.png")
    with pytest.raises(FileNotFoundError, match=r"no mask in .*masks for .*2.bmp"):
        datasets.SegmentationFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        datasets.SegmentationFolder(tmp_path, "pictures")
    with pytest.raises(FileNotFoundError, match="found no images"):
        datasets.SegmentationFolder(tmp_path, "x_*.png", "y_*.png")
    with pytest.raises(ValueError, match="a pattern has one"):
        datasets.SegmentationFolder(tmp_path, "*x*")


def write_idx(path: Path, a: np.ndarray) -> None:
    head = bytes([0, 0, 8, a.ndim]) + b"".join(n.to_bytes(4, "big") for n in a.shape)
    path.write_bytes(gzip.compress(head + a.tobytes()))


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_mnist(tmp_path, name):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (6, 28, 28), np.uint8), np.arange(6, dtype=np.uint8)
    place = tmp_path / name / "raw"
    place.mkdir(parents=True)
    write_idx(place / "train-images-idx3-ubyte.gz", images)
    write_idx(place / "train-labels-idx1-ubyte.gz", labels)
    make = getattr(datasets, name)
    d = make(tmp_path, transform=T.ToTensor(), target_transform=lambda y: -y, download=True)
    x, y = d[4]
    assert len(d) == 6 and y == -4 and x.shape == (1, 28, 28)
    assert np.array_equal(x.numpy()[0], images[4] / np.float32(255))
    assert np.array_equal(d.data.numpy(), images) and d.targets.tolist() == labels.tolist()
    image, y = make(tmp_path)[5]
    assert image.mode == "L" and y == 5 and isinstance(y, int)
    assert len(d.classes) == 10 and d.class_to_idx[d.classes[3]] == 3
    with pytest.raises(FileNotFoundError, match=r"t10k-images-idx3-ubyte.gz .*nothing is down"):
        make(tmp_path, train=False, download=True)


def records(count: int, heads: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, (count, heads + 3072), np.uint8)
    a[:, :heads] = rng.integers(0, 10, (count, heads))
    return a


def test_cifar(tmp_path):
    a = records(7, 1)
    (tmp_path / "test_batch.bin").write_bytes(a.tobytes())
    d = datasets.CIFAR10(tmp_path, train=False)
    assert d.data.shape == (7, 32, 32, 3) and d.targets == a[:, 0].tolist()
    image, label = d[3]
    assert image.mode == "RGB" and label == a[3, 0] and isinstance(label, int)
    assert np.array_equal(np.asarray(image), a[3, 1:].reshape(3, 32, 32).transpose(1, 2, 0))
    with pytest.raises(FileNotFoundError, match=r"data_batch_1.bin.* missing: get https"):
        datasets.CIFAR10(tmp_path, download=True)
    b = records(5, 2)
    b[2, 1] = 99
    place = tmp_path / "cifar-100-binary"
    place.mkdir()
    (place / "train.bin.gz").write_bytes(gzip.compress(b.tobytes()))
    d = datasets.CIFAR100(tmp_path, transform=T.ToTensor())
    assert len(d) == 5 and d.targets == b[:, 1].tolist() and len(d.classes) == 100
    assert d.classes[99] == "worm" and d.classes == sorted(d.classes)
    assert np.array_equal((d[2][0] * 255).round().numpy().ravel(), b[2, 2:])
    with pytest.raises(FileNotFoundError, match=r"test.bin missing .*cifar-100-binary.tar.gz"):
        datasets.CIFAR100(tmp_path, train=False, download=True)
    b[0, 1] = 100
    (place / "test.bin").write_bytes(b.tobytes())
    with pytest.raises(ValueError, match="labels must be 0 to 99, found 100 in record 0"):
        datasets.CIFAR100(tmp_path, train=False)
    (place / "test.bin").write_bytes(b.tobytes()[:-1])
    with pytest.raises(ValueError, match="not a multiple of 3074"):
        datasets.CIFAR100(tmp_path, train=False)


def test_fake_data_and_arrays():
    d = datasets.FakeData(5, (3, 8, 9), 4, T.ToTensor())
    assert len(list(d)) == 5 and d[0][0].shape == (3, 8, 9) and 0 <= d[1][1] < 4
    assert np.array_equal(d[2][0].numpy(), d[2][0].numpy()) and d[-1][1] == d[4][1]
    assert not np.array_equal(d[0][0].numpy(), d[1][0].numpy())
    with pytest.raises(IndexError, match="index 5 is out of range"):
        d[5]
    with pytest.raises(ValueError, match=r"must be \(channels, height, width\)"):
        datasets.FakeData(5, (8, 9))
    images, masks = np.stack([smooth(9, 9)] * 4), np.zeros((4, 9, 9), np.int64)
    a = datasets.ArrayDataset(images, masks, transforms=T.Compose([T.RandomCrop(5), T.ToTensor()]))
    x, m = a[1]
    assert x.shape == (3, 5, 5) and m.shape == (5, 5) and len(a) == 4
    assert datasets.ArrayDataset(images, transform=T.ToTensor())[0].shape == (3, 9, 9)
    label = datasets.ArrayDataset(images, np.arange(4), T.ToTensor())[2][1]
    assert label == 2 and type(label) is int
    with pytest.raises(ValueError, match="4 images, but 3 targets"):
        datasets.ArrayDataset(images, masks[:3])
    with pytest.raises(TypeError, match="transform must be callable"):
        datasets.ArrayDataset(images, transform=5)


@needs("cifar10")
def test_real_cifar10():
    d = datasets.CIFAR10(DATA / "cifar10", train=False)
    x, y = datasets.cifar10(DATA / "cifar10", train=False).tensors
    assert len(d) == len(x) == 1000 and d.targets == y.tolist()
    assert np.array_equal(
        T.ToTensor()(d[17][0]).numpy(), d.data[17].transpose(2, 0, 1) / np.float32(255)
    )
    np.testing.assert_allclose(T.ToTensor()(d[17][0]).numpy(), x[17].numpy(), rtol=1e-6)


@needs("fashion-mnist")
def test_real_fashion_mnist():
    d = datasets.FashionMNIST(DATA / "fashion-mnist", train=False)
    assert len(d) == 10000 and d.classes[d[0][1]] == "Ankle boot"


@needs("segmentation/em_membrane")
def test_real_segmentation():
    t = T.Compose([T.RandomRotation(180), T.RandomCrop(128), T.ToTensor()])
    d = datasets.SegmentationFolder(
        DATA / "segmentation" / "em_membrane", "image_*.png", "label_*.png", transforms=t,
        mode="L", values=(0, 255),
    )  # fmt: skip
    x, m = next(iter(fc.data.DataLoader(d, batch_size=6)))
    assert x.shape == (6, 1, 128, 128) and m.shape == (6, 128, 128) and m.dtype == fc.int64
    assert set(np.unique(m.numpy())) == {0, 1}
    inside, outside = x[:, 0].numpy()[m.numpy() == 1].mean(), x[:, 0].numpy()[m.numpy() == 0].mean()
    assert inside > outside + 0.1  # membranes are dark
