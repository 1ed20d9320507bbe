"""Wrappers for several devices, of which there is one; how containers are shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.nn.parallel import data_parallel


@pytest.mark.parametrize("wrapper", [nn.DataParallel, nn.parallel.DistributedDataParallel])
def test_a_wrapped_module_is_the_module(wrapper: Any) -> None:
    net = nn.Linear(3, 2)
    wrapped = wrapper(net)
    x = fc.ones(4, 3)
    np.testing.assert_array_equal(wrapped(x).detach().numpy(), net(x).detach().numpy())
    assert set(wrapped.state_dict()) == {"module.weight", "module.bias"}
    wrapped(x).sum().backward()
    np.testing.assert_array_equal(net.weight.grad.numpy(), np.full((2, 3), 4.0))


def test_calls_of_a_wrapper() -> None:
    net = nn.Bilinear(2, 3, 4)
    a, b = fc.ones(5, 2), fc.ones(5, 3)
    want = net(a, b).detach().numpy()
    np.testing.assert_array_equal(data_parallel(net, (a, b)).detach().numpy(), want)
    got = data_parallel(net, a, module_kwargs={"input2": b})
    np.testing.assert_array_equal(got.detach().numpy(), want)
    wrapped = nn.parallel.DistributedDataParallel(net)
    with wrapped.no_sync():
        wrapped(a, b).sum().backward()
    assert net.bias.grad.tolist() == [5.0] * 4
    with pytest.raises(ValueError, match=r"device_ids must be None on the CPU, got \[0\]"):
        nn.parallel.DistributedDataParallel(net, device_ids=[0])


def test_equal_neighbours_of_a_list_are_shown_once() -> None:
    layers = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh(), nn.ReLU()])
    assert repr(layers) == ("ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n  (3): ReLU()\n)")
    assert repr(nn.ModuleList()) == "ModuleList()"


@pytest.mark.torch
def test_containers_are_shown_as_in_torch() -> None:
    torch = pytest.importorskip("torch")

    def make(n: Any) -> Any:
        return n.ModuleDict({
            "list": n.ModuleList([n.Linear(2, 2), n.Linear(2, 2), n.Dropout(0.1)]),
            "sequence": n.Sequential(n.Conv1d(1, 2, 3), n.ReLU()), "empty": n.ModuleList(),
        })  # fmt: skip

    assert repr(make(nn)) == repr(make(torch.nn))
