"""Weights edited in every way, used by every algorithm: what is kept packed is never yesterday's.

tests/test_packed.py asks the same of more edits, for one layer.
"""

from __future__ import annotations

import copy
import io
import pickle
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import backends, nn, packed

pytestmark = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C backend")


def conv(*args: Any, **options: Any) -> Callable[[], Any]:
    return lambda: nn.Conv2d(*args, **options)


#: Layers on an input of (2, 16, 10, 10).
LAYERS: dict[str, Callable[[], Any]] = {
    "3x3": conv(16, 24, 3, padding=1),
    "1x1": conv(16, 24, 1),
    "5x5 stride 2": conv(16, 24, 5, 2),
    "dilated": conv(16, 24, 3, dilation=2),
    "grouped": conv(16, 24, 3, groups=4),
    "depthwise": conv(16, 16, 3, padding=1, groups=16),
    "whole": conv(16, 24, 10),
    "transposed": lambda: nn.ConvTranspose2d(16, 24, 3, 2),
    "linear": lambda: nn.Sequential(nn.Flatten(2), nn.Linear(100, 96)),
    "with batch norm": lambda: nn.Sequential(
        nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU()
    ),
    "3x3 after 3x3": lambda: nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3)),
}
ALGORITHMS = (None, "gemm", "direct", "winograd", "depthwise", "grouped", "flat", "whole")


def _thread(net: Any, p: Any) -> None:
    worker = threading.Thread(target=lambda: p.data.mul_(2))
    worker.start()
    worker.join()


def _swap(net: Any, p: Any) -> None:
    other = nn.Parameter(fc.randn(*p.shape))
    p.data, other.data = other.data, p.data
    other.data.zero_()


def _twin(net: Any, p: Any) -> None:
    nn.Parameter(p.data)[...] = 0.5


def _optimizer(kind: Any, **options: Any) -> Callable[[Any, Any], None]:
    def step(net: Any, p: Any) -> None:
        optimizer = kind([p], lr=0.5, **options)
        p.grad = fc.ones(*p.shape)
        optimizer.step()
        p.grad = None

    return step


def _trained(net: Any, p: Any) -> None:
    optimizer = fc.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    for _ in range(2):
        with fc.enable_grad():
            net(fc.randn(2, 16, 10, 10)).square().mean().backward()
        optimizer.step()
        net(fc.randn(2, 16, 10, 10))  # packs
        optimizer.step()
        optimizer.zero_grad()


def _state(net: Any, p: Any) -> None:
    net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()})


def _half_state(net: Any, p: Any) -> None:
    state = {k: v.clone().add_(1) for k, v in net.state_dict().items()}
    net.load_state_dict(dict(list(state.items())[:1]), strict=False)


def _vector(net: Any, p: Any) -> None:
    vector = nn.utils.parameters_to_vector(net.parameters()).detach().clone()
    nn.utils.vector_to_parameters(vector, net.parameters())
    net(fc.randn(2, 16, 10, 10))
    vector.mul_(3)


def _saved(net: Any, p: Any) -> None:
    file = io.BytesIO()
    fc.save(net.state_dict(), file)
    p.fill_(3)
    net(fc.randn(2, 16, 10, 10))
    file.seek(0)
    net.load_state_dict(fc.load(file))
    p.add_(1)


def _renewed(net: Any, p: Any) -> None:
    for module in net.modules():
        for name, value in list(module._parameters.items()):
            if value is p:
                setattr(module, name, nn.Parameter(fc.randn(*p.shape)))


def _casts(net: Any, p: Any) -> None:
    net.double()
    p.data.add_(1)
    net.float()


EDITS: dict[str, Callable[[Any, Any], Any]] = {
    "add_": lambda net, p: p.add_(1),
    "*=": lambda net, p: p.__imul__(3),
    "p[...] =": lambda net, p: p.__setitem__(..., fc.randn(*p.shape)),
    "p[0] =": lambda net, p: p.__setitem__(0, 2.0),
    "p[mask] =": lambda net, p: p.__setitem__(p > 0, -1.0),
    "copy_": lambda net, p: p.copy_(fc.randn(*p.shape)),
    ".data": lambda net, p: p.data.mul_(2),
    ".data =": lambda net, p: setattr(p, "data", fc.randn(*p.shape)),
    "detach()": lambda net, p: p.detach().neg_(),
    "a view": lambda net, p: p.view(-1)[1:].fill_(2),
    "transposed": lambda net, p: p.transpose(0, 1).mul_(2),
    "NumPy": lambda net, p: p.detach().numpy().__imul__(2),
    "DLPack": lambda net, p: fc.from_dlpack(p.detach()).mul_(2),
    "init": lambda net, p: nn.init.kaiming_uniform_(p),
    "clip": lambda net, p: p.clamp_(-0.01, 0.01),
    "SGD": _optimizer(fc.optim.SGD),
    "momentum": _optimizer(fc.optim.SGD, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": _optimizer(fc.optim.Adam),
    "AdamW": _optimizer(fc.optim.AdamW),
    "RMSprop": _optimizer(fc.optim.RMSprop),
    "training": _trained,
    "load_state_dict": _state,
    "load_state_dict of a part": _half_state,
    "save and load": _saved,
    "vector_to_parameters": _vector,
    "swapped": _swap,
    "a twin": _twin,
    "another thread": _thread,
    "another Parameter": _renewed,
    "double and float": _casts,
    "apply": lambda net, p: net.apply(lambda m: [q.data.add_(1) for q in m._parameters.values()]),
}


def expected(net: Any, x: Any) -> np.ndarray:
    """The result of a copy over new memory, for which nothing is packed."""
    return copy.deepcopy(net)(x).numpy()


def check(net: Any, x: Any, what: str = "") -> None:
    """Twice, packing and packed.

    What is packed may be summed in another order: roundings differ, edits change far more.
    """
    want = expected(net, x)
    for _ in range(2):
        found = net(x).numpy()
        np.testing.assert_allclose(
            found, want, rtol=0, atol=1e-3 * np.abs(want).max(), err_msg=what
        )


def weight_of(net: Any) -> Any:
    return next(p for p in net.parameters() if p.ndim > 1)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("edit", EDITS)
def test_edits(edit: str, layer: str) -> None:
    fc.manual_seed(1)
    x = fc.randn(2, 16, 10, 10)
    with fc.no_grad():
        for algorithm in ALGORITHMS:
            with fc.algorithm(algorithm):
                net = LAYERS[layer]().eval()
                check(net, x)
                before = net(x).numpy().copy()
                EDITS[edit](net, weight_of(net))
                check(net, x)
                moved = np.abs(net(x).numpy() - before).max()
                assert moved > 5e-3 * np.abs(before).max()


@pytest.mark.parametrize("seed", range(40))
def test_programs_of_edits(seed: int) -> None:
    """Edits one after the other, by several aliases of the weight, under changing switches."""
    draw = random.Random(seed)
    fc.manual_seed(seed)
    net, x = LAYERS[draw.choice(list(LAYERS))]().eval(), fc.randn(2, 16, 10, 10)
    done = []
    aliases = [lambda: weight_of(net).data, lambda: weight_of(net).detach()]
    with fc.no_grad():
        for _ in range(12):
            name = draw.choice(list(EDITS))
            done.append(name)
            if draw.random() < 0.3:
                kept = draw.choice(aliases)()
                aliases.append(lambda kept=kept: kept)
            with fc.algorithm(draw.choice(ALGORITHMS)), fc.fusion(draw.random() < 0.7):
                net(x)
                if draw.random() < 0.3:
                    draw.choice(aliases)().mul_(0.5)
                else:
                    EDITS[name](net, weight_of(net))
                if draw.random() < 0.2:
                    net = pickle.loads(pickle.dumps(net))
                if draw.random() < 0.2:
                    fc.empty_cache()
                check(net, x, str(done))


def test_these_weights_are_packed() -> None:
    """Otherwise the tests above would show nothing."""
    found = set()
    for name, make in LAYERS.items():
        fc.empty_cache()
        net = make().eval()
        with fc.no_grad():
            net(fc.randn(2, 16, 10, 10))
        if packed.total():
            found.add(name)
    assert found >= set(LAYERS) - {"grouped", "depthwise", "whole"}, found  # read as they lie
