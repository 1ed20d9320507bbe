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
