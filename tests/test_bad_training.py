"""Modules, optimisers, data loaders, switches and the environment with wrong arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import backends
from tests.bad_calls import (
    BACKENDS,
    tensor,
)

pytestmark = pytest.mark.filterwarnings("error")


# ---------------------------------------------------------------- modules and training


def test_modules() -> None:
    nn = fc.nn
    for make in (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d):
        for arguments in (
            (-3, 3, 3), (3, 3, 0), (3, 3, -1), (3.0, 3, 3), (3, 3, 3.0), ("3", 3, 3),
            (3, 3, None), (3, 3, (1,) * 4), (True, 3, 3), (None, 3, 3), (2**40, 2**40, 3),
            (3, 3, 2**63),
        ):  # fmt: skip
            with pytest.raises((ValueError, TypeError)):
                make(*arguments)
        for name in ("stride", "dilation"):
            for value in (0, -1, 1.0, "1", None, True, (1,) * 4):
                with pytest.raises((ValueError, TypeError), match=name):
                    make(4, 4, 3, **{name: value})
        for value in (3, 0, -1, 1.0, None, True):
            with pytest.raises((ValueError, TypeError), match="groups"):
                make(4, 4, 3, groups=value)
        for value in (-1, 1.5, None, (1,) * 4, True):
            with pytest.raises((ValueError, TypeError), match="padding"):
                make(4, 4, 3, padding=value)
    for arguments in ((0.5, 3), (3, "x"), (-1, 3), (None, 3), (True, 3), (2**40, 2**40)):
        with pytest.raises((ValueError, TypeError)):
            nn.Linear(*arguments)
    for value in (0.5, "4", None, -1, True):
        with pytest.raises((ValueError, TypeError)):
            nn.BatchNorm2d(value)
    for value in (-0.1, 1.1, "x", None):
        with pytest.raises((ValueError, TypeError)):
            nn.Dropout(value)
    with pytest.raises((ValueError, TypeError)):
        nn.Sequential(nn.ReLU(), 3)
    with pytest.raises(ValueError):
        nn.BatchNorm2d(3)(tensor(2, 3))


def test_state_dicts() -> None:
    model = fc.nn.Sequential(fc.nn.Conv2d(1, 2, 3), fc.nn.BatchNorm2d(2))
    state = model.state_dict()
    before = {k: v.numpy().copy() for k, v in state.items()}
    for wrong in (None, 3, "x", [1, 2]):
        with pytest.raises(TypeError):
            model.load_state_dict(wrong)
    bad: dict[str, Any] = {**state, "0.weight": fc.zeros(2, 1, 4, 4), "extra": fc.zeros(1)}
    del bad["0.bias"]
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(bad)
    for text in ("0.weight", "extra", "0.bias"):
        assert text in str(caught.value)
    for value in ("x", None, object()):
        with pytest.raises((RuntimeError, TypeError)):
            model.load_state_dict({**state, "0.weight": value})
    for k, v in model.state_dict().items():
        np.testing.assert_array_equal(v.numpy(), before[k])


def test_optimizers() -> None:
    p = [fc.zeros(3).requires_grad_()]
    for make in (fc.optim.SGD, fc.optim.Adam, fc.optim.AdamW, fc.optim.RMSprop, fc.optim.Adagrad):
        for params in (
            [],
            None,
            3,
            "x",
            [3],
            [None],
            fc.zeros(3),
            {fc.zeros(3)},
            [fc.zeros(3) * p[0]],
        ):
            with pytest.raises((ValueError, TypeError)):
                make(params, lr=0.1)
        for lr in (-1.0, "0.1", None, float("nan"), [0.1], 1j):
            with pytest.raises((ValueError, TypeError)):
                make(p, lr=lr)
        with pytest.raises((ValueError, TypeError)):
            make(p, lr=0.1, weight_decay=-1.0)
    for arguments in (
        dict(momentum=-1.0), dict(nesterov=True), dict(momentum=0.9, dampening=0.1, nesterov=True),
        dict(momentum="x"),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError)):
            fc.optim.SGD(p, lr=0.1, **arguments)
    for arguments in (dict(betas=(1.0, 0.9)), dict(betas=(0.9,)), dict(betas=0.9), dict(eps=-1.0)):
        with pytest.raises((ValueError, TypeError)):
            fc.optim.Adam(p, lr=0.1, **arguments)
    for state in (None, 3, {}, {"state": {}}, {"state": {}, "param_groups": []}):
        with pytest.raises(ValueError):
            fc.optim.SGD(p, lr=0.1).load_state_dict(state)


def test_data_loaders() -> None:
    data = fc.data.TensorDataset(fc.zeros(5, 2), fc.arange(5))
    for arguments in (
        dict(batch_size=0), dict(batch_size=-1), dict(batch_size=1.5), dict(batch_size="2"),
        dict(batch_size=True), dict(num_workers=-1), dict(num_workers="2"), dict(num_workers=1.5),
        dict(timeout=-1), dict(timeout="1"), dict(prefetch_factor=2),
        dict(num_workers=1, prefetch_factor=0), dict(num_workers=True), dict(generator=3),
        dict(shuffle=True, sampler=[0, 1]), dict(batch_sampler=[[0]], batch_size=2),
        dict(batch_size=None, drop_last=True), dict(sampler=3), dict(collate_fn=3),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError)):
            list(fc.data.DataLoader(data, **arguments))
    for dataset in (None, 3):
        with pytest.raises((ValueError, TypeError)):
            list(fc.data.DataLoader(dataset))
    with pytest.raises((ValueError, TypeError)):
        fc.data.TensorDataset(fc.zeros(5), fc.zeros(4))
    with pytest.raises(IndexError):
        list(fc.data.DataLoader(data, sampler=[0, 9]))
    with pytest.raises(IndexError):
        list(fc.data.DataLoader(data, sampler=[0, 9], num_workers=2))
    for lengths in ([2, 2], [6], [-1, 6], [0.5, 0.6], ["5"], None):
        with pytest.raises((ValueError, TypeError)):
            fc.data.random_split(data, lengths)


# ---------------------------------------------------------------- switches


def test_switches() -> None:
    for name in ("C", "cuda", "", None, 3, ["c"], b"c"):
        with pytest.raises((ValueError, TypeError)):
            fc.backend(name)
        if name is not None:
            with pytest.raises((ValueError, TypeError)):
                fc.algorithm(name)
    for threads in (0, -1, 2.0, "2", None, True, 2**31, 2**63, [2]):
        with pytest.raises((ValueError, TypeError)):
            fc.set_num_threads(threads)
    before = fc.get_num_threads()
    fc.set_num_threads(np.int64(before))
    if "c" in BACKENDS:
        c = backends.load("c")
        for name in ("AVX2", "", None, 3, "sse", [2]):
            with pytest.raises((ValueError, TypeError)):
                c.set_isa(name)
    for op in ("conv4d", "", None, 3, "max_pool2d"):
        with pytest.raises((ValueError, TypeError)):
            fc.explain(op, (1, 1, 4, 4), (1, 1, 3, 3))
    for sizes in ((None, (1, 1, 3, 3)), ((1, 1, 4.0, 4), (1, 1, 3, 3)), ((1, 1, 4), (1, 1, 3, 3))):
        with pytest.raises((ValueError, TypeError)):
            fc.explain("conv2d", *sizes)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FASTCONV_ISA", "foo"),
        ("FASTCONV_BACKEND", "foo"),
        ("FASTCONV_ALGORITHM", "foo"),
        ("FASTCONV_NUM_THREADS", "0"),
        ("FASTCONV_NUM_THREADS", "-1"),
        ("FASTCONV_NUM_THREADS", "two"),
        ("FASTCONV_NUM_THREADS", "²"),
        ("FASTCONV_NUM_THREADS", "99999999999999999999"),
        ("FASTCONV_CACHE_MB", "foo"),
        ("FASTCONV_CACHE_MB", "-1"),
    ],
)
def test_environment(variable: str, value: str) -> None:
    code = (
        "import numpy as np, fastconv as fc\n"
        "fc.ops.conv_forward(np.ones((1, 8, 64, 64), 'f'), np.ones((8, 8, 3, 3), 'f'))"
    )
    environment = {**os.environ, variable: value, "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    error = run.stderr.decode()
    assert run.returncode == 1, error
    assert error.strip().splitlines()[-1].startswith(f"ValueError: {variable}"), error


def test_environment_without_a_value_is_the_default() -> None:
    names = ("FASTCONV_ISA", "FASTCONV_BACKEND", "FASTCONV_ALGORITHM", "FASTCONV_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys((*names, "FASTCONV_CACHE_MB"), "")}
    environment["OMP_NUM_THREADS"] = "nonsense"  # not ours to complain about
    code = "import numpy as np, fastconv as fc; fc.ops.max_pool_forward(np.ones((1, 1, 4), 'f'), 2)"
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
