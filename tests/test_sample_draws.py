"""Draws that belong to a sample: the same in any order, thread or process."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import fastconv as fc
from fastconv import transforms as T
from fastconv.data import sample
from tests.test_transforms import smooth

pytest.importorskip("PIL.Image")

AUGMENT = T.Compose([
    T.RandomCrop(16, padding=3), T.RandomHorizontalFlip(), T.RandomRotation(20),
    T.ColorJitter(0.3, 0.3, 0.3, 0.1), T.RandAugment(), T.RandomApply([T.GaussianBlur(3)]),
    T.ToTensor(), T.RandomErasing(value="random"), T.GaussianNoise(),
])  # fmt: skip


def augmented(seed: int, index: int) -> np.ndarray:
    sample.enter_sample(seed, index)
    try:
        return AUGMENT(smooth(16, 16, seed=3)).numpy()
    finally:
        sample.leave_sample()


def test_draws_are_of_seed_and_index():
    wanted = {(s, i): augmented(s, i) for s in (1, 2**63) for i in range(4)}
    assert len({a.tobytes() for a in wanted.values()}) == 8
    for key in sorted(wanted, reverse=True):
        assert np.array_equal(augmented(*key), wanted[key])
    found = {}
    thread = threading.Thread(target=lambda: found.update({k: augmented(*k) for k in wanted}))
    thread.start()
    thread.join()
    assert all(np.array_equal(found[k], wanted[k]) for k in wanted)


def test_the_packages_own_draws_go_on():
    fc.manual_seed(5)
    first, second = (AUGMENT(smooth(16, 16)).numpy() for _ in range(2))
    fc.manual_seed(5)
    assert np.array_equal(AUGMENT(smooth(16, 16)).numpy(), first)
    augmented(1, 2)
    assert np.array_equal(AUGMENT(smooth(16, 16)).numpy(), second)


def test_indices_that_are_no_integers():
    """Lists of them, and keys."""
    sample.enter_sample(1, [3, 5])
    first = sample.draws().random()
    sample.enter_sample(1, [3, 6])
    assert sample.draws().random() != first
    sample.enter_sample(1, "cat.png")
    other = sample.draws().random()
    sample.enter_sample(1, "cat.png")
    assert sample.draws().random() == other
    sample.enter_sample(1, "dog.png")
    assert sample.draws().random() != other
    sample.leave_sample()


class Pictures(fc.data.Dataset):
    """Augmented pictures with their index, all of the same pixels."""

    def __len__(self):
        return 20

    def __getitem__(self, index):
        return AUGMENT(smooth(16, 16, seed=3)), index


def epochs(count=2, **settings):
    """Epochs of a loader after the same seed: the samples by index, in the order they came."""
    fc.manual_seed(21)
    loader = fc.data.DataLoader(Pictures(), batch_size=6, **settings)
    found = []
    for _ in range(count):
        found.append(
            [(int(i), x.numpy()) for xs, at in loader for x, i in zip(xs, at, strict=True)]
        )
    return found


def same(a, b) -> bool:
    return all(
        [i for i, _ in first] == [i for i, _ in second]
        and all(np.array_equal(x, y) for (_, x), (_, y) in zip(first, second, strict=True))
        for first, second in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_same_for_any_number_of_workers(shuffle):
    wanted = epochs(shuffle=shuffle)
    first, second = (dict(epoch) for epoch in wanted)
    assert len({x.tobytes() for x in first.values()}) == 20
    assert not any(np.array_equal(first[i], second[i]) for i in range(20))  # epochs differ
    assert same(epochs(shuffle=shuffle), wanted)
    for workers in (1, 3):
        assert same(epochs(shuffle=shuffle, num_workers=workers), wanted), workers
        assert same(epochs(shuffle=shuffle, num_workers=workers, threads=True), wanted), workers
    kept = epochs(shuffle=shuffle, num_workers=2, persistent_workers=True)
    assert same(kept, wanted)
    unordered = [dict(e) for e in epochs(shuffle=shuffle, num_workers=3, in_order=False)]
    for epoch, want in zip(unordered, (first, second), strict=True):
        assert all(np.array_equal(epoch[i], want[i]) for i in range(20))


def test_of_the_index_not_the_place():
    backwards = epochs(1, sampler=range(19, -1, -1))
    assert same([backwards[0][::-1]], epochs(1))


def test_a_sample_that_comes_again_draws_anew():
    wanted = epochs(1, sampler=[4, 7, 4, 4, 9, 4, 4, 7])
    fours = {x.tobytes() for i, x in wanted[0] if i == 4}
    assert len(fours) == 5
    assert same(epochs(1, sampler=[4, 7, 4, 4, 9, 4, 4, 7], num_workers=2), wanted)
    plain = dict(epochs(1)[0])
    assert np.array_equal(wanted[0][0][1], plain[4])  # the first time as ever


def mixed(batch):
    """A collate function that draws."""
    return T.MixUp(num_classes=20)(*fc.data.default_collate(batch))


def test_functions_that_collate_draw_alike():
    found = []
    for workers in (0, 2):
        fc.manual_seed(3)
        loader = fc.data.DataLoader(Pictures(), 5, num_workers=workers, collate_fn=mixed)
        found.append([(x.numpy(), y.numpy()) for x, y in loader])
    for (x, y), (u, v) in zip(*found, strict=True):
        assert np.array_equal(x, u) and np.array_equal(y, v)
    assert len({y.max() for _, y in found[0]}) > 1


def test_the_main_programs_draws_stay():
    fc.manual_seed(2)
    want = fc.rand(3).tolist()
    fc.manual_seed(2)
    list(fc.data.DataLoader(Pictures(), 5))
    assert fc.rand(3).tolist() == want


def test_single_samples():
    fc.manual_seed(4)
    one = [x.numpy() for x, _ in fc.data.DataLoader(Pictures(), None)]
    fc.manual_seed(4)
    other = [x.numpy() for x, _ in fc.data.DataLoader(Pictures(), None, num_workers=2)]
    assert all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))


def test_batches_of_any_kind():
    """Iterators and tuples of indices, and indices that are lists."""
    batches = [iter([1, 2]), (2, 2), range(3)]
    fc.manual_seed(0)
    loader = fc.data.DataLoader(Pictures(), batch_sampler=batches)
    assert [at.tolist() for _, at in loader] == [[1, 2], [2, 2], [0, 1, 2]]

    class Rows(fc.data.Dataset):
        def __getitem__(self, index):
            return sum(index)

    loader = fc.data.DataLoader(Rows(), batch_sampler=[[[1, 2], [3]], [[1, 2], [4]]])
    assert [x.tolist() for x in loader] == [[3, 3], [3, 4]]
