"""Inside modules, without gradients, a convolution is written late: what follows joins it.

Everything is computed with fusion and without, and compared bit for bit.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import nn
from fastconv._pending import Pending


class Run(nn.Module):
    """A module whose forward is a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def values(shape: tuple[int, ...], seed: int, kind: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(kind)


def tensor(shape: tuple[int, ...], seed: int, kind: Any = np.float32) -> Any:
    return fc.tensor(values(shape, seed, kind))


def layer(kind: str, dtype: Any) -> tuple[Any, tuple[int, ...]]:
    """A convolution from 6 to 6 channels of the same size, or twice 6, and its input's shape."""
    make: dict[str, Any] = {
        "1d": (lambda: nn.Conv1d(6, 6, 3, padding=2, dilation=2), (2, 6, 40)),
        "3x3": (lambda: nn.Conv2d(6, 6, 3, padding=1, bias=False), (2, 6, 9, 11)),
        "1x1": (lambda: nn.Conv2d(6, 6, 1), (1, 6, 8, 8)),
        "winograd": (lambda: nn.Conv2d(36, 36, 3, padding=1, bias=False), (1, 36, 33, 33)),
        "groups": (lambda: nn.Conv2d(6, 6, 3, padding=1, groups=2), (2, 6, 7, 7)),
        "grouped": (lambda: nn.Conv2d(64, 64, 3, padding=1, groups=16), (1, 64, 9, 9)),
        "depthwise": (lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6), (2, 6, 12, 9)),
        "wide depthwise": (lambda: nn.Conv2d(37, 37, 3, padding=1, groups=37), (2, 37, 21, 5)),
        "3d": (lambda: nn.Conv3d(6, 6, 3, padding=1), (1, 6, 4, 5, 6)),
        "single": (lambda: nn.Conv2d(6, 6, 3, padding=1), (6, 9, 9)),
    }
    function, shape = make[kind]
    fc.manual_seed(0)
    return function().to(dtype), shape


KINDS = ["1d", "3x3", "1x1", "winograd", "groups", "grouped", "depthwise", "wide depthwise",
         "3d", "single"]  # fmt: skip


def norm(y: Any, seed: int = 3, eps: float = 1e-5) -> Any:
    """Batch norm with constants; an image without a batch is left alone."""
    kind = np.float32 if y.dtype is fc.float32 else np.float64
    c = y.shape[1]
    mean, weight, bias = (tensor((c,), seed + i, kind) for i in range(3))
    var = fc.tensor(np.linspace(0.5, 2, c).astype(kind))
    return F.batch_norm(y, mean, var, weight, bias, False, 0.1, eps)


def both(y: Any, r: Any) -> Any:
    y += r
    return F.relu(y, inplace=True)


def twice(conv: Any, x: Any, r: Any) -> Any:
    y = norm(conv(x))
    return F.relu(y) * 2 + F.relu(y + r) + y * y


def kept_input(conv: Any, x: Any, r: Any) -> Any:
    x = x * 1
    y = conv(x)
    x.mul_(2)
    return F.relu(y + x)


def changed_residual(conv: Any, x: Any, r: Any) -> Any:
    r = r * 1
    y = conv(x) + r
    r.zero_()
    return F.relu(y)


def changed_weight(conv: Any, x: Any, r: Any) -> Any:
    y = conv(x)
    conv.weight.mul_(2)
    z = F.relu(y)
    conv.weight.data.mul_(0.5)
    return z + conv(x)


def changed_bias(conv: Any, x: Any, r: Any) -> Any:
    y = conv(x)
    if conv.bias is not None:
        conv.bias.add_(1)
    z = F.relu(y)
    if conv.bias is not None:
        conv.bias.sub_(1)
    return z


def views(conv: Any, x: Any, r: Any) -> Any:
    y = conv(x)
    part = y[:, 1:]
    part.mul_(2)
    return F.relu(y) + y.sum() + part.mean()


# Each takes (conv, x, r), r being of the result's shape.
PATTERNS: dict[str, Callable[..., Any]] = {
    "conv": lambda conv, x, r: conv(x),
    "relu": lambda conv, x, r: F.relu(conv(x)),
    "relu method": lambda conv, x, r: conv(x).relu(),
    "relu in place": lambda conv, x, r: conv(x).relu_(),
    "relu6": lambda conv, x, r: F.relu6(conv(x)),
    "relu6 module": lambda conv, x, r: nn.ReLU6(inplace=True)(conv(x)),
    "hardtanh": lambda conv, x, r: F.hardtanh(conv(x), 0, 0.5),
    "other hardtanh": lambda conv, x, r: F.hardtanh(conv(x), -0.5, 0.5),
    "leaky": lambda conv, x, r: F.leaky_relu(conv(x), 0.2),
    "leaky in place": lambda conv, x, r: F.leaky_relu(conv(x), 0.2, True),
    "leaky 0": lambda conv, x, r: F.leaky_relu(conv(x), 0),
    "leaky -1": lambda conv, x, r: F.leaky_relu(conv(x), -1.0),
    "add": lambda conv, x, r: conv(x) + r,
    "added relu": lambda conv, x, r: F.relu(r + conv(x)),
    "input added": lambda conv, x, r: x + conv(x),
    "iadd": lambda conv, x, r: both(conv(x), r),
    "alpha": lambda conv, x, r: F.relu(fc.add(conv(x), r, alpha=2)),
    "doubled": lambda conv, x, r: F.relu((lambda y: y + y)(conv(x))),
    "two": lambda conv, x, r: F.relu(conv(x) + conv(r)),
    "three": lambda conv, x, r: F.relu(conv(x) + r + r),
    "number": lambda conv, x, r: F.relu(conv(x) + 1.5),
    "broadcast": lambda conv, x, r: F.relu(conv(x) + r[:1]),
    "relu twice": lambda conv, x, r: F.relu6(F.relu(conv(x))),
    "chain": lambda conv, x, r: conv(F.relu(conv(x))),
    "kept_input": kept_input,
    "changed_residual": changed_residual,
    "changed_weight": changed_weight,
    "changed_bias": changed_bias,
    "views": views,
}
NORMS: dict[str, Callable[..., Any]] = {
    "norm": lambda conv, x, r: norm(conv(x)),
    "norm relu": lambda conv, x, r: F.relu(norm(conv(x))),
    "norm relu6": lambda conv, x, r: F.relu6(norm(conv(x)), inplace=True),
    "norm leaky": lambda conv, x, r: F.leaky_relu(norm(conv(x)), 0.1),
    "norm add": lambda conv, x, r: norm(conv(x)) + r,
    "norm add relu": lambda conv, x, r: F.relu(norm(conv(x)) + r),
    "norm iadd": lambda conv, x, r: both(norm(conv(x)), r),
    "norm added": lambda conv, x, r: F.relu(r + norm(conv(x))),
    "norm two": lambda conv, x, r: F.relu(norm(conv(x)) + norm(conv(r), 7)),
    "norm after add": lambda conv, x, r: F.relu(norm(conv(x) + r)),
    "norm twice": lambda conv, x, r: F.relu(norm(norm(conv(x)))),
    "norm of relu": lambda conv, x, r: norm(F.relu(conv(x))),
    "statistics": lambda conv, x, r: F.relu(F.batch_norm(conv(x), None, None, training=True)),
    "eps": lambda conv, x, r: F.relu(norm(conv(x), eps=0.5) + norm(conv(x), eps=1e-3)),
    "twice": twice,
}


def run(pattern: Callable[..., Any], kind: str, dtype: Any, fused: bool) -> np.ndarray:
    conv, shape = layer(kind, dtype)
    x, r = (tensor(shape, i, np.float32 if dtype is fc.float32 else np.float64) for i in (1, 2))
    with fc.no_grad(), fc.fusion(fused):
        return Run(pattern)(conv, x, r).numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pattern", [*PATTERNS, *NORMS])
def test_same_results(pattern: str, kind: str) -> None:
    if pattern in NORMS and kind == "single":
        pytest.skip("batch norm needs a batch")
    function = PATTERNS.get(pattern) or NORMS[pattern]
    for dtype in (fc.float32, fc.float64):
        fused, plain = (run(function, kind, dtype, f) for f in (True, False))
        assert np.array_equal(fused, plain)


@pytest.mark.parametrize("backend", ["numba", "naive"])
def test_other_backends(backend: str) -> None:
    for pattern in ("iadd", "relu6"):
        with fc.backend(backend):
            a, b = (run(PATTERNS[pattern], "3x3", fc.float64, f) for f in (True, False))
        assert np.array_equal(a, b)
    with fc.backend(backend):
        a, b = (run(NORMS["norm add relu"], "3x3", fc.float64, f) for f in (True, False))
    assert np.allclose(a, b, rtol=1e-13, atol=1e-13)


def test_what_waits() -> None:
    """Inside the outermost module; outside nothing does, nor where there is a graph."""
    conv, shape = layer("3x3", fc.float32)
    x = tensor(shape, 1)
    r = x.contiguous(memory_format=fc.channels_last)
    seen: list[Any] = []

    def forward(x: Any) -> Any:
        y = conv(x)
        z = norm(y)
        seen[:] = [type(y), type(z), type(z + r), (z.shape, z.dtype), type(z), type(F.relu(z)), z]
        return z

    assert type(Run(forward)(x)) is fc.Tensor  # the normalisation's own: it was needed twice
    assert seen[:2] == [fc.Tensor, Pending]
    with fc.no_grad():
        assert type(conv(x)) is fc.Tensor and type(F.conv2d(x, conv.weight)) is fc.Tensor
        z = Run(forward)(x)
        assert type(z) is fc.Tensor
    wanted = [Pending, Pending, Pending, (x.shape, fc.float32), Pending, fc.Tensor]
    assert seen[:6] == wanted
    assert seen[6] is z
    with fc.inference_mode():
        Run(forward)(x)
        assert seen[:6] == wanted
        with fc.fusion(False):
            Run(forward)(x)
            assert seen[0] is seen[1] is fc.Tensor


def test_after_an_error() -> None:
    """An exception leaves the outermost call for good, and what was not written can be."""
    conv, shape = layer("3x3", fc.float32)
    x = tensor(shape, 1)
    held: list[Any] = []

    def forward(x: Any) -> None:
        held.append(conv(x))
        raise KeyError("stop")

    with fc.no_grad():
        with pytest.raises(KeyError):
            Run(forward)(x)
        assert type(conv(x)) is fc.Tensor
        assert np.array_equal(held[0].numpy(), conv(x).numpy())


def with_unseen_changes(what: str, forward: Callable[..., Any]) -> None:
    """``forward(change, conv, x, r)`` gives the same with fusion as without.

    ``change()`` writes to an operand through the numpy array that shares its memory.
    """
    conv, shape = layer("1x1", fc.float32)
    arrays = {"x": values(shape, 1), "residual": values(shape, 2)}
    x, r = (
        fc.from_numpy(arrays[n]) if n == what else fc.tensor(arrays[n]) for n in ("x", "residual")
    )
    if what in ("weight", "bias"):
        arrays[what] = getattr(conv, what).detach().numpy()
    results = []
    before = arrays[what].copy()
    for fused in (True, False):
        arrays[what][...] = before
        with fc.fusion(fused):
            y = Run(forward)(lambda: arrays[what].fill(0), conv, x, r)
            results.append(y.detach().numpy().copy())
    assert np.array_equal(*results) and results[0].any()


@pytest.mark.parametrize("what", ["x", "weight", "bias", "residual"])
def test_reachable(what: str) -> None:
    """Nothing waits for memory that numpy code can change unseen."""

    def forward(change: Any, conv: Any, x: Any, r: Any) -> Any:
        y = conv(x) + r
        change()
        return F.relu(y)

    with fc.no_grad():
        with_unseen_changes(what, forward)


@pytest.mark.parametrize("name", ["weight", "bias", "running_mean", "running_var"])
@pytest.mark.parametrize("way", ["add_", "data", "array", "load", "replace", "eps"])
def test_normalization_changes(name: str, way: str) -> None:
    """Coefficients are kept between calls, never those of yesterday."""
    conv, shape = layer("3x3", fc.float32)
    net = nn.Sequential(conv, nn.BatchNorm2d(6), nn.ReLU()).eval()
    plain = copy.deepcopy(net)
    x = tensor(shape, 1)
    with fc.no_grad():
        for m in (net, plain):
            m(x)
            m(x)
            t = getattr(m[1], name)
            if way == "add_":
                t.add_(0.5)
            elif way == "data":
                t.data.mul_(0.25)
            elif way == "array":
                t.array[...] = 2
                m(x)
                t.array[2:] = 3
            elif way == "load":
                state = {k: v.clone() for k, v in m.state_dict().items()}
                state[f"1.{name}"] = state[f"1.{name}"] + 1
                m.load_state_dict(state)
            elif way == "replace":
                setattr(m[1], name, nn.Parameter(fc.full((6,), 0.3))
                        if name in ("weight", "bias") else fc.full((6,), 0.3))  # fmt: skip
            else:
                m[1].eps = 0.25
        with fc.fusion(False):
            want = plain(x).numpy()
        assert np.array_equal(net(x).numpy(), want) and np.array_equal(net(x).numpy(), want)


def test_training_between() -> None:
    """A step of training changes weights and statistics."""
    conv, shape = layer("3x3", fc.float32)
    net = nn.Sequential(conv, nn.BatchNorm2d(6), nn.ReLU())
    optimizer = fc.optim.SGD(net.parameters(), 0.1)
    x = tensor(shape, 1)
    for _ in range(3):
        optimizer.zero_grad()
        net.train()(x).sum().backward()
        optimizer.step()
        with fc.no_grad():
            a = net.eval()(x)
            with fc.fusion(False):
                assert np.array_equal(a.numpy(), net(x).numpy())


def test_hooks() -> None:
    """A forward hook gets the tensor, and reads it in peace."""
    conv, shape = layer("3x3", fc.float32)
    net = nn.Sequential(conv, nn.BatchNorm2d(6), nn.ReLU(inplace=True)).eval()
    x = tensor(shape, 1)
    seen: list[np.ndarray] = []
    net[0].register_forward_hook(lambda module, args, out: seen.append(out.numpy().copy()))
    net.register_forward_hook(lambda module, args, out: out * 2)
    with fc.no_grad():
        y = net(x).numpy()
        with fc.fusion(False):
            assert np.array_equal(y, net(x).numpy())
    assert np.array_equal(seen[0], seen[1])


def test_switches_inside() -> None:
    """What was asked for under a switch is computed under it."""
    conv, shape = layer("3x3", fc.float32)
    x = tensor(shape, 1)

    def forward(x: Any) -> Any:
        with fc.backend("naive"):
            y = conv(x)
        return y

    with fc.no_grad():
        a = Run(forward)(x).numpy()
        with fc.backend("naive"):
            assert np.array_equal(a, conv(x).numpy())


def test_leaf_made_inside() -> None:
    """A result that is made a leaf is one, and what follows has a graph."""
    conv, shape = layer("3x3", fc.float32)
    x = tensor(shape, 1)

    def forward(x: Any) -> Any:
        y = conv(x).requires_grad_()
        with fc.enable_grad():
            F.relu(y).sum().backward()
        return y

    with fc.no_grad():
        y = Run(forward)(x)
    assert np.array_equal(y.grad.numpy(), y.detach().numpy() > 0)


def test_copies() -> None:
    conv, shape = layer("3x3", fc.float32)
    x = tensor(shape, 1)
    with fc.no_grad():
        want = conv(x).numpy()
        for make in (copy.copy, copy.deepcopy, lambda t: t.clone(), lambda t: t.view(-1)):
            got = Run(lambda x, make=make: make(conv(x)))(x).numpy()
            assert np.array_equal(got.reshape(want.shape), want)


def test_errors() -> None:
    """Errors of what would join are those of the operation itself."""
    conv, shape = layer("3x3", fc.float32)
    x = tensor(shape, 1)
    with fc.no_grad():
        for bad in (
            lambda x: F.batch_norm(conv(x), fc.zeros(5), fc.ones(5)),
            lambda x: F.batch_norm(conv(x), None, None),
            lambda x: F.batch_norm(conv(x), fc.zeros(6), fc.ones(6), eps=-1.0),
            lambda x: conv(x) + fc.zeros(2, 7, 9, 11),
        ):
            with pytest.raises((ValueError, RuntimeError)):
                Run(bad)(x)
        with pytest.raises(TypeError):
            Run(lambda x: F.batch_norm(conv(x), fc.zeros(6).to(fc.float64), fc.ones(6)))(x)


def test_threads() -> None:
    """Every thread writes what waits for it."""
    conv, shape = layer("3x3", fc.float32)
    net = nn.Sequential(conv, nn.BatchNorm2d(6), nn.ReLU(), conv).eval()
    inputs = [tensor(shape, i) for i in range(4)]
    with fc.no_grad(), fc.fusion(False):
        want = [net(x).numpy() for x in inputs]
    wrong: list[int] = []

    def work(i: int) -> None:
        with fc.no_grad():
            for _ in range(20):
                y = net(inputs[i])
                if type(y) is not fc.Tensor or not np.array_equal(y.numpy(), want[i]):
                    wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_profile() -> None:
    """A profile names what was joined."""
    conv, shape = layer("3x3", fc.float32)
    net = nn.Sequential(conv, nn.BatchNorm2d(6), nn.ReLU()).eval()
    x = tensor(shape, 1)
    with fc.no_grad(), fc.profile() as p:
        net(x)
        net[:2](x)
    text = p.table()
    assert "ConvolutionNormActivation" in text and "BatchNorm" not in text
