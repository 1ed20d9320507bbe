"""checkpoint(): the same gradients with less kept, and what can go wrong."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv as torch
from fastconv import nn
from fastconv.autograd import Function, Op
from fastconv.nn import functional as F
from fastconv.utils.checkpoint import checkpoint, checkpoint_sequential


def block() -> Any:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.3),
        nn.MaxPool2d(2), nn.Conv2d(4, 3, 1),
    )  # fmt: skip


def gradients(run: Callable[[Any, Any], Any]) -> list[np.ndarray]:
    """Gradients of the input and the weights, with the same random numbers each time."""
    model = block()
    torch.manual_seed(5)
    x = torch.randn(2, 2, 6, 6, requires_grad=True)
    (run(model, x * 2) ** 2).sum().backward()
    after = torch.rand(3)  # the generator is where it would be without a checkpoint
    return [x.grad.numpy(), *(p.grad.numpy() for p in model.parameters()), after.numpy()]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    assert len(a) == len(b)
    for left, right in zip(a, b, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("use_reentrant", [None, True, False])
def test_the_same_gradients(use_reentrant: bool | None) -> None:
    plain = gradients(lambda model, x: model(x))
    same(gradients(lambda model, x: checkpoint(model, x, use_reentrant=use_reentrant)), plain)


def test_the_same_name_in_the_package() -> None:
    assert torch.checkpoint is checkpoint
    assert torch.utils.checkpoint.checkpoint is checkpoint


def test_nested() -> None:
    def outer(model: Any, x: Any) -> Any:
        y = checkpoint(lambda v: model[:3](v) + 1, x)
        return checkpoint(lambda v: model[3:](v), y) * 2

    def nested(model: Any, x: Any) -> Any:
        return checkpoint(lambda v: checkpoint(lambda u: outer(model, u), v) + v.mean(), x)

    plain = gradients(lambda model, x: model[3:](model[:3](x) + 1) * 2 + x.mean())
    same(gradients(nested), plain)


@pytest.mark.parametrize("segments", [1, 2, 3, 6])
def test_sequential(segments: int) -> None:
    plain = gradients(lambda model, x: model(x))

    def split(model: Any, x: Any) -> Any:
        model[2].inplace = segments < 3  # it must not change a segment's argument
        return checkpoint_sequential(model, segments, x)

    same(gradients(split), plain)
    with pytest.raises(ValueError, match=r"segments must be 1 to 6, got 7"):
        checkpoint_sequential(block(), 7, torch.ones(1, 2, 6, 6))


def test_nothing_is_kept_until_backward() -> None:
    kept: list[Any] = []

    class Watched(Op):
        @staticmethod
        def forward(ctx: Any, a: np.ndarray) -> np.ndarray:
            big = np.full(10_000, 2.0).view(Array)
            kept.append(weakref.ref(big))
            ctx.save(big)
            ctx.other = np.ones(10_000).view(Array)
            kept.append(weakref.ref(ctx.other))
            return a * 2

        @staticmethod
        def backward(ctx: Any, g: np.ndarray) -> np.ndarray:
            assert ctx.saved[0][0] == 2 and ctx.other[0] == 1
            return g * 2

    class Array(np.ndarray):  # can be weakly referenced
        pass

    x = torch.ones(3, requires_grad=True)
    y = checkpoint(lambda v: Watched.apply(Watched.apply(v)), x)
    assert [ref() for ref in kept] == [None] * 4  # without the garbage collector
    y.sum().backward()
    assert len(kept) == 8 and x.grad.tolist() == [4, 4, 4]
    del y
    assert [ref() for ref in kept] == [None] * 8


def test_memory_is_lower() -> None:
    x = torch.randn(4, 8, 64, 64)
    model = nn.Sequential(*[nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.Tanh())
                            for _ in range(8)])  # fmt: skip

    def held(y: Any) -> int:
        """Bytes behind a result: what its nodes have saved."""
        todo, seen, arrays = [y.grad_fn], set(), {}
        while todo:
            node = todo.pop()
            if node is None or node in seen or not isinstance(node, Op):
                continue
            seen.add(node)
            for value in node.__dict__.get("saved", ()):
                if isinstance(value, np.ndarray):
                    arrays[id(value)] = value.nbytes
            todo += [edge[0] for edge in node.edges if edge is not None]
        return sum(arrays.values())

    size = 4 * 8 * 64 * 64 * 4
    assert held(model(x)) >= 9 * size  # the input, and eight results of tanh
    y = checkpoint(model, x)
    assert held(y) == 0
    half = checkpoint(model[:4], x)
    assert held(model[4:](half)) <= held(model(x)) / 1.7
    y.sum().backward()
    assert held(y) == 0


def test_without_gradients_it_is_a_call() -> None:
    calls = []

    def function(x: Any, scale: float = 1.0) -> Any:
        calls.append(scale)
        return x * scale

    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert checkpoint(function, x, scale=3.0).grad_fn is None
    assert checkpoint(function, torch.ones(2)).grad_fn is None  # nothing to keep
    checkpoint(function, x, scale=2.0).sum().backward()
    assert calls == [3.0, 1.0, 2.0, 2.0] and x.grad.tolist() == [2, 2]


def test_weights_get_gradients_from_inputs_that_need_none() -> None:
    model = nn.Linear(3, 2)
    checkpoint(model, torch.ones(1, 3)).sum().backward()
    assert model.weight.grad.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_several_outputs_and_containers() -> None:
    def function(pair: Any, *, named: Any) -> Any:
        a, b = pair
        return {"sum": a + named["c"], "rest": [a * b, b.detach()]}

    a, b, c = (torch.tensor([float(v)], requires_grad=True) for v in (2, 3, 5))
    found = checkpoint(function, (a, b), named={"c": c})
    (found["sum"] * 7 + found["rest"][0]).backward()
    assert (a.grad.item(), b.grad.item(), c.grad.item()) == (10, 2, 7)


def test_retain_graph_and_grad() -> None:
    calls = []

    def function(x: Any) -> Any:
        calls.append(1)
        return (x.exp() * x).sum()

    x = torch.ones(2, requires_grad=True)
    y = checkpoint(function, x)
    y.backward(retain_graph=True)
    y.backward()
    assert len(calls) == 2  # what was computed again is kept as long as the graph
    np.testing.assert_allclose(x.grad.numpy(), 4 * np.e, rtol=1e-6)
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()
    y = checkpoint(function, x)
    (g,) = torch.autograd.grad(y, x)
    np.testing.assert_allclose(g.numpy(), 2 * np.e, rtol=1e-6)


def test_users_functions() -> None:
    class Cube(Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def, override]
            ctx.save_for_backward(x)
            ctx.factor = 3
            return x**3

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def, override]
            (x,) = ctx.saved_tensors
            return g * ctx.factor * x**2

    x = torch.tensor([2.0], requires_grad=True)
    checkpoint(lambda v: Cube.apply(v * 1), x).backward()
    assert x.grad.item() == 12


def test_in_place_changes_of_views_inside() -> None:
    def function(v: Any) -> Any:
        y = v * 2
        y[0] = y[1] * 3
        return y * y

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    function(x).sum().backward()
    plain = x.grad.numpy().copy()
    x.grad = None
    checkpoint(function, x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), plain)


def test_without_the_state_of_the_generator() -> None:
    torch.manual_seed(0)
    x = torch.ones(200, requires_grad=True)
    y = checkpoint(lambda v: F.dropout(v * 1, 0.5), x, preserve_rng_state=False)
    y.sum().backward()
    assert not np.array_equal(x.grad.numpy() == 0, y.detach().numpy() == 0)
    x.grad = None
    y = checkpoint(lambda v: F.dropout(v * 1, 0.5), x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


def test_another_second_run_is_an_error() -> None:
    calls: list[int] = []

    def function(v: Any) -> Any:
        calls.append(1)
        return v.exp() if len(calls) == 1 else v.log()

    y = checkpoint(function, torch.ones(2, requires_grad=True))
    with pytest.raises(RuntimeError, match=r"second run recorded Log, the first Exp"):
        y.sum().backward()


def test_a_changed_argument_is_an_error() -> None:
    x = torch.ones(2, requires_grad=True) * 2
    y = checkpoint(lambda v: v.exp(), x)
    x += 1
    with pytest.raises(RuntimeError, match=r"argument of shape \(2,\) was changed in place since"):
        y.sum().backward()
    with pytest.raises(RuntimeError, match="was changed in place by the function itself"):
        checkpoint(lambda v: v.mul_(2), torch.ones(2, requires_grad=True) * 2)


def test_not_callable() -> None:
    with pytest.raises(TypeError, match="function must be callable, got int"):
        checkpoint(3)  # type: ignore[arg-type]


@pytest.mark.torch
def test_as_pytorch() -> None:
    peer: Any = pytest.importorskip("torch")
    from torch.utils.checkpoint import checkpoint as theirs

    found = []
    for package, call in ((torch, checkpoint), (peer, theirs)):
        x = package.from_numpy(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4))
        x.requires_grad_()
        y = call(lambda v, p=package: p.tanh(v) * v, x, use_reentrant=False)
        y.sum().backward()
        found.append((y.detach().numpy(), x.grad.numpy()))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-6)


ACTIVATIONS = (
    "CELU", "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid",
    "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "Sigmoid", "SiLU", "Softmax", "Softmin",
    "Softplus", "Softsign", "Tanh", "Tanhshrink", "Threshold", "GLU",
)  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("inplace", [False, True])
def test_every_activation(name: str, inplace: bool) -> None:
    options = {"Threshold": (0.1, 20.0), "Softmax": (1,), "Softmin": (1,), "LogSoftmax": (1,)}
    layer = getattr(nn, name)(*options.get(name, ()))
    if inplace and not hasattr(layer, "inplace"):
        pytest.skip("no form in place")
    elif inplace:
        layer.inplace = True
    start = torch.randn(2, 4, 6)

    def gradient(run: Callable[..., Any]) -> np.ndarray:
        x = start.clone().requires_grad_()
        y = run(lambda v: layer(v * 2) * 3, x)
        (y * y).sum().backward()
        return x.grad.numpy()

    plain = gradient(lambda f, x: f(x))
    np.testing.assert_array_equal(gradient(lambda f, x: checkpoint(f, x)), plain)


def test_a_view_changed_in_place() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        F.elu(y[0], inplace=True)
        y[1:].sigmoid_()
        return y

    gradients = []
    for run in (lambda x: f(x), lambda x: checkpoint(f, x)):
        x = torch.ones(3, 2, requires_grad=True)
        run(x).square().sum().backward()
        gradients.append(x.grad.numpy())
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.InstanceNorm2d])
def test_running_statistics_move_once(norm: Any, depth: int, momentum: float | None) -> None:
    def train(run: Callable[..., Any]) -> Any:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(2, 4, 3), norm(4, momentum=momentum, affine=True,
                              track_running_stats=True), nn.ReLU())  # fmt: skip
        for _ in range(3):
            run(model, torch.randn(2, 2, 6, 6)).square().mean().backward()
        return model

    def within(model: Any, x: Any) -> Any:
        call = model
        for _ in range(depth):
            call = (lambda inner: lambda v: checkpoint(inner, v))(call)
        return call(x)

    plain, kept = train(lambda model, x: model(x)), train(within)
    for (name, a), (_, b) in zip(
        plain.state_dict().items(), kept.state_dict().items(), strict=True
    ):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)
    if norm is nn.BatchNorm2d:
        assert kept[1].num_batches_tracked.item() == 3 and kept[1].running_mean.abs().sum() > 0
    for a, b in zip(plain.parameters(), kept.parameters(), strict=True):
        np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())
