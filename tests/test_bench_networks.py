"""The whole networks of bench: their structure, and that both sides compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.models
from bench import steps, training
from bench.networks import NETWORKS, Network, choose, numbers, resnet20

#: Parameters of the published networks.
PARAMETERS = {
    "LeNet-5": 61_706, "ResNet-18": 11_689_512, "ResNet-50": 25_557_032, "VGG-16": 138_357_544,
    "MobileNetV2": 3_504_872,
}  # fmt: skip
SMALL = [n for n in NETWORKS if n.name in ("LeNet-5", "dilated 1-D stack", "C3D-style stack")]


def test_choose() -> None:
    assert choose() == list(NETWORKS)
    assert [n.name for n in choose("resnet")] == ["ResNet-18", "ResNet-50"]
    assert [n.name for n in choose("unet,u-net, lenet")] == ["LeNet-5", "U-Net"]
    assert choose("none") == []


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.name)
def test_built_with_fastconv(network: Network) -> None:
    if network.name == "VGG-16":
        pytest.skip("half a gigabyte of weights")
    module = network.build(fastconv)
    count = sum(p.numel() for p in module.parameters())
    assert count == PARAMETERS.get(network.name, count)
    x, y = numbers(network, 2)
    assert x.shape == (2, *network.x_shape) and len(y) == 2
    again = numbers(network, 2)
    assert np.array_equal(x, again[0]) and np.array_equal(y, again[1])


@pytest.mark.parametrize("network", SMALL, ids=lambda n: n.name)
def test_a_step_changes_every_parameter(network: Network) -> None:
    made = steps.setup(fastconv, network._replace(batch=2), "training")
    before = [p.detach().numpy().copy() for p in made.module.parameters()]
    made.step()
    after = [p.detach().numpy() for p in made.module.parameters()]
    assert all(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_initial_state_keeps_activations_alive() -> None:
    network = choose("mobile")[0]._replace(batch=2, x_shape=(3, 64, 64))
    made = steps.setup(fastconv, network, "inference", state=steps.initial(network))
    y = made.step().numpy()
    assert np.std(y) > 1e-2


@pytest.mark.torch
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.name)
def test_state_goes_across(network: Network) -> None:
    torch: Any = pytest.importorskip("torch")
    if network.name == "VGG-16":
        pytest.skip("half a gigabyte of weights")
    ours, theirs = network.build(fastconv), network.build(torch)
    state = {k: tuple(v.shape) for k, v in ours.state_dict().items()}
    assert state == {k: tuple(v.shape) for k, v in theirs.state_dict().items()}


@pytest.mark.torch
@pytest.mark.parametrize("network", SMALL, ids=lambda n: n.name)
def test_timed_on_both_sides(network: Network) -> None:
    pytest.importorskip("torch")
    rows = steps.time_network(network._replace(batch=2), seconds=1e-3)
    assert [row.mode for row in rows] == list(steps.MODES)
    for row in rows:
        assert row.difference < steps.TOLERANCE[row.mode]
        assert row.ours.seconds > 0 and len(row.theirs) == 2 and row.ratio > 0
    merged = steps.merge(rows[0], rows[0])
    assert merged.ours.seconds == rows[0].ours.seconds
    assert merged.ours.calls == 2 * rows[0].ours.calls


def test_resnet20_is_the_one_of_models() -> None:
    theirs = fastconv.models.resnet20()
    ours = resnet20(fastconv)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    state = dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True))
    ours.load_state_dict(state)
    x = fastconv.from_numpy(np.random.default_rng(0).random((2, 3, 32, 32), np.float32))
    ours.eval(), theirs.eval()
    with fastconv.no_grad():
        assert np.array_equal(ours(x).numpy(), theirs(x).numpy())


def test_batches_are_augmented_alike() -> None:
    images = np.arange(2 * 3 * 32 * 32, dtype=np.float32).reshape(2, 3, 32, 32) + 1
    a, b = (training.crop_and_flip(images, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(a, b) and a.shape == images.shape and not np.array_equal(a, images)
    assert set(np.unique(a)) <= {0.0, *images.ravel()}
