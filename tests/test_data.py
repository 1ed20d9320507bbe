"""Datasets, samplers, collation, the loader and its threads; the readers of data files."""

from __future__ import annotations

import gc
import gzip
import struct
import sys
import threading
import time

import numpy as np
import pytest

import fastconv as fc
from fastconv import data, datasets
from fastconv.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)


def numbers(n: int = 10) -> TensorDataset:
    return TensorDataset(fc.arange(n), fc.arange(n).float() * 2)


class Plain(Dataset):
    """A dataset without short cuts."""

    def __init__(self, n: int, fail: int = -1, wait: float = 0) -> None:
        self.n, self.fail, self.wait = n, fail, wait

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i):
        if i == self.fail:
            raise KeyError(f"sample {i} is broken")
        time.sleep(self.wait)
        return i, np.full(2, i, np.float32)


def test_alias():
    import fastconv.utils.data as alias
    from fastconv.utils.data import DataLoader as Loader

    assert alias is data and fc.utils.data is data and Loader is DataLoader


def test_tensor_dataset():
    d = numbers()
    assert len(d) == 10 and [t.item() for t in d[3]] == [3, 6]
    with pytest.raises(ValueError, match=r"\[10, 3\]"):
        TensorDataset(fc.arange(10), fc.arange(3))
    with pytest.raises(TypeError, match="argument 1"):
        TensorDataset(fc.arange(2), [1, 2])
    with pytest.raises(ValueError, match="no dimension"):
        TensorDataset(fc.tensor(1))
    with pytest.raises(ValueError, match="at least one"):
        TensorDataset()


def test_subset_and_concatenation():
    d = numbers()
    s = Subset(d, [3, 1])
    assert len(s) == 2 and s[1][0].item() == 1
    c = ConcatDataset([s, d]) + s
    assert len(c) == 14 and c[2][0].item() == 0 and c[-1][0].item() == 1
    with pytest.raises(IndexError):
        c[14]
    with pytest.raises(ValueError):
        ConcatDataset([])


def test_random_split():
    generator = fc.Generator().manual_seed(1)
    parts = random_split(numbers(), [7, 3], generator)
    assert sorted(i for p in parts for i in p.indices) == list(range(10))
    again = random_split(numbers(), [7, 3], fc.Generator().manual_seed(1))
    assert parts[0].indices == again[0].indices
    assert [len(p) for p in random_split(numbers(), [0.55, 0.25, 0.2])] == [6, 2, 2]
    with pytest.raises(ValueError, match="10"):
        random_split(numbers(), [7, 4])
    with pytest.raises(ValueError, match="negative"):
        random_split(numbers(), [11, -1])
    with pytest.raises(ValueError, match="add up to 1"):
        random_split(numbers(), [0.5, 0.1])


def test_samplers():
    fc.manual_seed(0)
    assert list(SequentialSampler(range(3))) == [0, 1, 2]
    r = RandomSampler(range(100))
    a, b = list(r), list(r)
    assert sorted(a) == sorted(b) == list(range(100)) and a != b
    assert len(list(RandomSampler(range(3), num_samples=8))) == 8
    drawn = list(RandomSampler(range(3), replacement=True, num_samples=50))
    assert len(drawn) == 50 and set(drawn) == {0, 1, 2}
    assert sorted(SubsetRandomSampler([4, 2])) == [2, 4]
    assert set(WeightedRandomSampler([0, 1, 0, 3], 40)) == {1, 3}
    assert sorted(WeightedRandomSampler([1, 1, 1], 3, replacement=False)) == [0, 1, 2]
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert len(BatchSampler(range(5), 2, True)) == 2
    for wrong in (0, -1, 2.0, True, "3"):
        with pytest.raises(ValueError, match="batch_size"):
            BatchSampler(range(5), wrong, False)
    with pytest.raises(ValueError, match="weights"):
        WeightedRandomSampler([-1, 1], 3)
    with pytest.raises(ValueError, match="without replacement"):
        WeightedRandomSampler([0, 1], 2, replacement=False)
    with pytest.raises(ValueError, match="num_samples"):
        RandomSampler(range(3), num_samples=0)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("dataset", [numbers(), Plain(10), Subset(numbers(20), range(10))])
def test_loader_order(dataset, workers):
    loader = DataLoader(dataset, 4, num_workers=workers)
    assert len(loader) == 3
    batches = [b[0].tolist() for b in loader]
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] == [b[0].tolist() for b in loader]
    dropped = DataLoader(dataset, 4, drop_last=True, num_workers=workers)
    assert len(dropped) == 2 == len(list(dropped))


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_shuffles_reproducibly(workers):
    loader = DataLoader(
        numbers(50), 7, shuffle=True, num_workers=workers, generator=fc.Generator().manual_seed(3)
    )
    epochs = [[i for b in loader for i in b[0].tolist()] for _ in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(50))
    assert epochs[0] != epochs[1]
    again = DataLoader(numbers(50), 7, shuffle=True, generator=fc.Generator().manual_seed(3))
    assert [i for b in again for i in b[0].tolist()] == epochs[0]


def test_whole_batches_equal_single_samples():
    images = fc.randn(9, 2, 3)
    dataset = TensorDataset(images, fc.arange(9))
    fast = next(iter(DataLoader(dataset, 4)))
    slow = next(iter(DataLoader(dataset, 4, collate_fn=lambda b: default_collate(b))))
    assert isinstance(fast, list) and isinstance(slow, list)
    for a, b in zip(fast, slow, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_variants(workers):
    loader = DataLoader(Plain(5), batch_size=None, num_workers=workers)
    assert [b[0] for b in loader] == [0, 1, 2, 3, 4] and len(loader) == 5
    loader = DataLoader(Plain(5), batch_sampler=[[4, 0], [2]], num_workers=workers)
    assert [b[0].tolist() for b in loader] == [[4, 0], [2]]
    loader = DataLoader(Plain(5), 2, sampler=[3, 1, 2], num_workers=workers, collate_fn=len)
    assert list(loader) == [2, 1]

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(5))

    each = max(workers, 1)  # every worker reads all of a stream that does not ask who reads
    loader = DataLoader(Stream(), 2, num_workers=workers)
    assert sorted(b.tolist() for b in loader) == sorted([[0, 1], [2, 3], [4]] * each)
    assert len(list(DataLoader(Stream(), 2, drop_last=True, num_workers=workers))) == 2 * each
    assert sorted(DataLoader(Stream(), None, num_workers=workers)) == sorted([*range(5)] * each)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_exceptions_reach_the_caller(workers):
    loader = DataLoader(Plain(40, fail=21), 4, num_workers=workers)
    seen = []
    with pytest.raises(KeyError, match="sample 21"):
        for batch in loader:
            seen.append(batch)
    assert len(seen) == 5


def test_prefetch_is_bounded():
    asked = []

    class Counting(Plain):
        def __getitem__(self, i):
            asked.append(i)
            return super().__getitem__(i)

    iterator = iter(DataLoader(Counting(100), 1, num_workers=2, prefetch_factor=3, threads=True))
    next(iterator)
    time.sleep(0.1)
    assert len(asked) <= 7


def worker_threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith("fastconv-loader")}


def test_threads_end_when_the_iterator_is_dropped():
    before = worker_threads()  # those of an earlier loader may still be on their way out
    iterator = iter(DataLoader(Plain(1000), 1, num_workers=3, threads=True))
    next(iterator)
    started = worker_threads() - before
    assert len(started) == 3
    del iterator
    gc.collect()
    for thread in started:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in started)


@pytest.mark.parametrize("threads", [False, True])
def test_timeout_and_worker_init(threads):
    with pytest.raises(RuntimeError, match="timed out"):
        list(DataLoader(Plain(2, wait=1), 1, num_workers=1, timeout=0.05, threads=threads))
    seen = []
    list(DataLoader(Plain(4), 1, num_workers=2, worker_init_fn=seen.append, threads=threads))
    assert sorted(seen) == [0, 1] * threads  # processes append to lists of their own

    def fail(number: int) -> None:
        raise OSError("no camera")

    with pytest.raises(OSError, match="no camera"):
        list(DataLoader(Plain(4), 1, num_workers=2, worker_init_fn=fail, threads=threads))


@pytest.mark.parametrize(
    "kwargs, match",
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"num_workers": -1}, "num_workers"),
        ({"timeout": -1}, "timeout"),
        ({"prefetch_factor": 2}, "prefetch_factor"),
        ({"prefetch_factor": 0, "num_workers": 1}, "prefetch_factor"),
        ({"persistent_workers": True}, "persistent_workers"),
        ({"shuffle": True, "sampler": [1]}, "sampler"),
        ({"batch_sampler": [[1]], "shuffle": True}, "batch_sampler"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "batch_sampler"),
        ({"batch_size": None, "drop_last": True}, "drop_last"),
    ],
)
def test_wrong_loader_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        DataLoader(numbers(), **kwargs)


# -- data files ----------------------------------------------------------------------------------


def idx(array: np.ndarray, code: int = 8) -> bytes:
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype({8: ">u1", 12: ">i4", 13: ">f4"}[code]).tobytes()


def write_mnist(folder, compress: bool, count: int = 5) -> tuple[np.ndarray, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28))
    labels = np.arange(count) % 10
    for part in ("train", "t10k"):
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            content = idx(array)
            path = folder / f"{part}-{name}-ubyte"
            if compress:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
    return images, labels


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("place", [".", "MNIST/raw"])
def test_mnist(tmp_path, compress, place):
    images, labels = write_mnist(tmp_path / place, compress)
    for train in (True, False):
        d = datasets.mnist(tmp_path, train)
        x, y = d.tensors
        assert x.shape == (5, 1, 28, 28) and x.dtype == fc.float32
        assert y.dtype == fc.int64 and y.tolist() == labels.tolist()
        np.testing.assert_allclose(x.numpy()[:, 0] * 255, images, atol=1e-4)


def test_missing_mnist_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        datasets.mnist(tmp_path)
    text = str(caught.value)
    assert "train-images-idx3-ubyte.gz" in text and "https://" in text and str(tmp_path) in text
    with pytest.raises(FileNotFoundError, match="FashionMNIST"):
        datasets.fashion_mnist(tmp_path)


def test_read_idx_types(tmp_path):
    for code, dtype in ((8, "uint8"), (12, "int32"), (13, "float32")):
        path = tmp_path / f"{code}"
        array = np.arange(24).reshape(2, 3, 4)
        path.write_bytes(idx(array, code))
        read = datasets.read_idx(path)
        assert read.dtype == dtype and read.dtype.isnative
        np.testing.assert_array_equal(read, array)


GOOD = idx(np.arange(24).reshape(2, 3, 4))
BROKEN = {
    "empty": b"",
    "short magic": GOOD[:3],
    "garbage": b"\x89PNG\r\n\x1a\n" + GOOD,
    "bad type": b"\0\0\x07\x01" + GOOD[4:],
    "no dimensions": b"\0\0\x08\x00",
    "many dimensions": b"\0\0\x08\xff" + GOOD[4:],
    "cut header": GOOD[:9],
    "cut data": GOOD[:-1],
    "more data": GOOD + b"x",
    "huge header": b"\0\0\x08\x03" + b"\xff" * 12 + b"data",
    "large header": b"\0\0\x08\x01" + struct.pack(">I", 2**31) + b"data",
}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_idx(tmp_path, name, compress):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(BROKEN[name]) if compress else BROKEN[name])
    with pytest.raises(ValueError, match="file"):
        datasets.read_idx(path)


def test_broken_gzip(tmp_path):
    whole = gzip.compress(GOOD)
    for content in (whole[:-9], whole[:12], whole[:20] + b"\xff" * 9 + whole[29:], whole[:2]):
        path = tmp_path / "file.gz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="file"):
            datasets.read_idx(path)


def test_mnist_of_the_wrong_contents(tmp_path):
    write_mnist(tmp_path, False)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(np.arange(4)))
    with pytest.raises(ValueError, match=r"5 images.*4 labels"):
        datasets.mnist(tmp_path)
    labels.write_bytes(idx(np.full(5, 10)))
    with pytest.raises(ValueError, match="0 to 9"):
        datasets.mnist(tmp_path)
    labels.write_bytes(idx(np.zeros((5, 2))))
    with pytest.raises(ValueError, match="1-D"):
        datasets.mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((5, 28))))
    with pytest.raises(ValueError, match="3-D"):
        datasets.mnist(tmp_path)


def test_digits():
    pytest.importorskip("sklearn")
    x, y = datasets.digits().tensors
    assert x.shape == (1797, 1, 8, 8) and x.dtype == fc.float32 and y.dtype == fc.int64
    assert x.min().item() == 0 and x.max().item() == 1 and set(y.tolist()) == set(range(10))


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match=r"fastconv\[vision\]"):
        datasets.digits()


def test_metrics():
    from fastconv.metrics import accuracy, confusion_matrix

    scores = fc.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    target = fc.tensor([1, 0, 0])
    assert accuracy(scores, target) == pytest.approx(2 / 3)
    assert confusion_matrix(scores, target).tolist() == [[1, 1], [0, 1]]
    assert confusion_matrix([2, 2], [2, 0], 4)[0, 2] == 1
    with pytest.raises(ValueError, match="0 to 1"):
        confusion_matrix([2], [0], 2)
    with pytest.raises(ValueError, match="labels"):
        accuracy([1, 0], [1])


def test_metrics_of_one_column():
    """A column is a score of class 1: of a sigmoid above 0.5, of logits above 0."""
    from fastconv.metrics import accuracy, confusion_matrix

    column, target = fc.tensor([[0.9], [0.2], [0.8]]), fc.tensor([1, 0, 1])
    assert accuracy(column, target) == 1.0
    assert accuracy(column, target.float().reshape(3, 1)) == 1.0  # as binary_cross_entropy has it
    assert accuracy(column, target, threshold=0.85) == pytest.approx(2 / 3)
    assert accuracy(fc.tensor([[0.5], [0.6]]), fc.tensor([0, 1])) == 1.0  # above, not at
    assert confusion_matrix(column, fc.tensor([1, 1, 0]), 2).tolist() == [[0, 1], [1, 1]]
    logits = fc.tensor([[2.0], [-1.0], [0.3]])
    assert accuracy(logits, target, threshold=0) == 1.0
    assert confusion_matrix(logits, target, threshold=0).tolist() == [[1, 0], [0, 2]]
    with pytest.raises(ValueError, match="threshold=0"):  # not probabilities
        accuracy(logits, target)
    assert accuracy(fc.tensor([[1], [0], [1]]), target) == 1.0  # labels in a column
    assert accuracy(fc.tensor([[True], [False], [False]]), target) == pytest.approx(2 / 3)
    assert np.isnan(accuracy(fc.zeros(0, 1), fc.zeros(0, dtype=fc.int64)))
    with pytest.raises(ValueError, match="integer labels"):
        accuracy(fc.tensor([0.9, 0.2, 0.8]), target)
    with pytest.raises(ValueError, match="target must be integer labels"):
        accuracy(column, fc.tensor([0.5, 1, 0]))
    with pytest.raises(TypeError, match="threshold"):
        accuracy(column, target, threshold="0")
    with pytest.raises(TypeError, match="prediction must hold numbers"):
        accuracy(["a"], [0])


# -- CIFAR-10 ------------------------------------------------------------------------------------


def cifar(count: int, seed: int = 0) -> np.ndarray:
    records = np.random.default_rng(seed).integers(0, 256, (count, 3073)).astype(np.uint8)
    records[:, 0] = np.arange(count) % 10
    return records


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("place", [".", "cifar-10-batches-bin"])
@pytest.mark.parametrize("original", [False, True])
def test_cifar10(tmp_path, compress, place, original):
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if original else ["train_0-3.bin"]
    parts = [cifar(4, seed) for seed in range(len(names))]
    names.append("test_batch.bin" if original else "test_0-1.bin")
    parts.append(cifar(2, 9))
    for name, records in zip(names, parts):
        data = records.tobytes()
        path = folder / (name + ".gz" if compress else name)
        path.write_bytes(gzip.compress(data) if compress else data)
    for train, records in ((True, np.concatenate(parts[:-1])), (False, parts[-1])):
        x, y = datasets.cifar10(tmp_path, train).tensors
        assert x.shape == (len(records), 3, 32, 32) and x.dtype == fc.float32
        assert y.dtype == fc.int64 and y.tolist() == records[:, 0].tolist()
        pixels = records[:, 1:].reshape(-1, 3, 32, 32)
        np.testing.assert_allclose(x.numpy() * 255, pixels, atol=1e-4)


def test_cifar10_takes_no_part_twice(tmp_path):
    (tmp_path / "train_0.bin").write_bytes(cifar(3).tobytes())
    (tmp_path / "train_0.bin.gz").write_bytes(gzip.compress(cifar(3).tobytes()))
    (tmp_path / "train_1.bin.gz").write_bytes(gzip.compress(cifar(2).tobytes()))
    assert len(datasets.cifar10(tmp_path)) == 5


def test_missing_cifar10_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"test_batch.bin missing: get https://.* and put"):
        datasets.cifar10(tmp_path, train=False)
    for i in (1, 2, 4, 5):
        (tmp_path / f"data_batch_{i}.bin").write_bytes(cifar(1).tobytes())
    with pytest.raises(FileNotFoundError, match=r"CIFAR-10: data_batch_3.bin missing"):
        datasets.cifar10(tmp_path)


def test_broken_cifar10(tmp_path):
    path = tmp_path / "test_batch.bin"
    good = cifar(3).tobytes()
    for broken in (b"", good[:-1], good + b"\0"):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=f"{len(broken)} bytes are not a multiple of 3073"):
            datasets.cifar10(tmp_path, False)
    records = cifar(3)
    records[1, 0] = 10
    path.write_bytes(records.tobytes())
    with pytest.raises(ValueError, match="labels must be 0 to 9, found 10 in record 1"):
        datasets.cifar10(tmp_path, False)
    path.write_bytes(gzip.compress(good)[:-9])
    with pytest.raises(ValueError, match="truncated gzip"):
        datasets.cifar10(tmp_path, False)
