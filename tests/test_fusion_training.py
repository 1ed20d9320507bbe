"""Inside modules, with a graph, a convolution is written late: + residual and activations join it.

Everything is computed with fusion and without, and compared bit for bit, gradients too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import nn
from fastconv._pending import Pending
from fastconv.utils.checkpoint import checkpoint
from tests.test_fusion_inference import KINDS, Run, both, layer, tensor, values, with_unseen_changes

PATTERNS: dict[str, Callable[..., Any]] = {
    "conv": lambda conv, x, r: conv(x),
    "relu": lambda conv, x, r: F.relu(conv(x)),
    "relu method": lambda conv, x, r: conv(x).relu(),
    "relu in place": lambda conv, x, r: nn.ReLU(inplace=True)(conv(x)),
    "relu6": lambda conv, x, r: F.relu6(conv(x) * 4),
    "relu6 in place": lambda conv, x, r: nn.ReLU6(inplace=True)(conv(x)),
    "hardtanh": lambda conv, x, r: F.hardtanh(conv(x), 0, 0.5),
    "hardtanh changed": lambda conv, x, r: F.hardtanh(conv(x), 0, 0.5).mul_(2),
    "other hardtanh": lambda conv, x, r: F.hardtanh(conv(x), -0.5, 0.5),
    "leaky": lambda conv, x, r: F.leaky_relu(conv(x), 0.2),
    "leaky in place": lambda conv, x, r: F.leaky_relu(conv(x), 0.2, True),
    "leaky 0": lambda conv, x, r: F.leaky_relu(conv(x), 0),
    "leaky -1": lambda conv, x, r: F.leaky_relu(conv(x), -1.0),
    "add": lambda conv, x, r: conv(x) + r,
    "added relu": lambda conv, x, r: F.relu(r + conv(x)),
    "input added": lambda conv, x, r: F.relu(x + conv(x)),
    "iadd": lambda conv, x, r: both(conv(x), r),
    "add leaky": lambda conv, x, r: F.leaky_relu(conv(x) + r, 0.1),
    "two": lambda conv, x, r: F.relu(conv(x) + conv(r)),
    "three": lambda conv, x, r: F.relu(conv(x) + r + r),
    "number": lambda conv, x, r: F.relu(conv(x) + 1.5),
    "broadcast": lambda conv, x, r: F.relu(conv(x) + r[:1]),
    "relu twice": lambda conv, x, r: F.relu6(F.relu(conv(x))),
    "chain": lambda conv, x, r: conv(F.relu(conv(F.relu(conv(x))))),
    "plain gradient": lambda conv, x, r: F.relu(conv(x)).reshape(-1).view(-1),
    "sum": lambda conv, x, r: F.relu(conv(x)).sum().reshape(1),
    "constant": lambda conv, x, r: F.relu(conv(x.detach())) + r.detach(),
}


def pattern(function: Callable[..., Any]) -> Callable[..., Any]:
    PATTERNS[function.__name__] = function
    return function


@pattern
def used_again(conv: Any, x: Any, r: Any) -> Any:
    y = conv(x)
    return F.relu(y) * 2 + F.relu(y + r) + y * y


@pattern
def both_signs(conv: Any, x: Any, r: Any) -> Any:
    y = conv(x)
    return fc.cat([F.relu(y), F.relu(-y)], 0)


@pattern
def doubled(conv: Any, x: Any, r: Any) -> Any:
    y = conv(x)
    return F.relu(y + y)


@pattern
def sliced(conv: Any, x: Any, r: Any) -> Any:
    y = conv(x)
    part = y[1:]
    return F.relu(y).sum() + (part * part).sum().reshape(1)


@pattern
def detached(conv: Any, x: Any, r: Any) -> Any:
    y = conv(x)
    return F.relu(y.detach() + r) + F.relu(y)


@pattern
def half_no_grad(conv: Any, x: Any, r: Any) -> Any:
    with fc.no_grad():
        y = conv(x)
    return F.relu(y + r)


@pattern
def no_grad_after(conv: Any, x: Any, r: Any) -> Any:
    y = conv(x)
    with fc.no_grad():
        z = F.relu(y)
    return y + z


@pattern
def no_grad_in_place(conv: Any, x: Any, r: Any) -> Any:
    y = conv(x)
    with fc.no_grad():
        y += r
    return y * 2


@pattern
def changed_bias(conv: Any, x: Any, r: Any) -> Any:
    y = conv(x)
    if conv.bias is not None:
        conv.bias.data.add_(1)
    z = F.relu(y)
    if conv.bias is not None:
        conv.bias.data.sub_(1)
    return z


@pattern
def frozen_weight(conv: Any, x: Any, r: Any) -> Any:
    conv.weight.requires_grad_(False)
    return F.relu(conv(x) + r)


@pattern
def frozen(conv: Any, x: Any, r: Any) -> Any:
    conv.requires_grad_(False)
    return F.relu(conv(x.detach())) + F.relu(conv(x.detach()) + r)


#: Here gradients for one tensor come from several nodes, and are added in another order.
SEVERAL = ("used_again", "doubled", "both_signs", "sliced", "detached", "two", "three", "chain")


#: Here the sum of two memory formats, which depends on who adds, decides in which order a bias
#: gradient is summed up.
MIXED = ("add", "added relu", "input added", "iadd", "add leaky", "half_no_grad", "broadcast",
         "no_grad_in_place", "frozen_weight")  # fmt: skip


def given(shape: tuple[int, ...], seed: int, kind: Any, last: bool, exposed: bool) -> Any:
    """A tensor, channels-last if asked for, over memory that numpy code can reach or not."""
    a = values(shape, seed, kind)
    if last:
        a = np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)
    t = fc.from_numpy(a)
    return t if exposed else t.clone()


def run(
    name: str, kind: str, dtype: Any, fused: bool, last: bool, exposed: bool = False
) -> list[Any]:
    """Result and gradients of the input, the residual and the parameters."""
    conv, shape = layer(kind, dtype)
    number = np.float32 if dtype is fc.float32 else np.float64
    last = last and len(shape) > 3
    x, r = (given(shape, i, number, last, exposed).requires_grad_() for i in (1, 2))
    with fc.fusion(fused):
        y = Run(PATTERNS[name])(conv, x, r)
        assert type(y) is fc.Tensor
    if y.requires_grad:
        y.backward(given(tuple(y.shape), 3, number, last and y.ndim > 3, False))
    grads = [None if t.grad is None else t.grad.numpy() for t in (x, r, *conv.parameters())]
    return [y.detach().numpy(), *grads]


def same(fused: list[Any], plain: list[Any], exact: bool) -> None:
    assert np.array_equal(fused[0], plain[0]), "the result differs"
    for got, want in zip(fused[1:], plain[1:], strict=True):
        if want is None:
            assert got is None
        elif exact:
            assert np.array_equal(got, want), "a gradient differs"
        else:
            assert np.allclose(got, want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PATTERNS)
def test_same_results(name: str, kind: str) -> None:
    for dtype, last in ((fc.float32, True), (fc.float64, True), (fc.float32, False)):
        exact = name not in SEVERAL and (
            (last and kind not in ("1d", "single")) or name not in MIXED
        )
        same(*(run(name, kind, dtype, fused, last) for fused in (True, False)), exact)


@pytest.mark.parametrize("name", PATTERNS)
def test_reachable(name: str) -> None:
    """Of memory that numpy code can reach the convolution does not wait, and still is joined."""
    for kind in ("1x1", "single"):
        exact = name not in (*SEVERAL, *MIXED)
        same(*(run(name, kind, fc.float32, fused, True, True) for fused in (True, False)), exact)


@pytest.mark.parametrize("backend", ["numba", "naive"])
@pytest.mark.parametrize("name", ["relu", "relu6", "leaky", "iadd", "relu in place"])
def test_other_backends(name: str, backend: str) -> None:
    with fc.backend(backend):
        same(*(run(name, "1x1", fc.float64, fused, True) for fused in (True, False)), True)


@pytest.mark.parametrize("what", ["x", "weight", "bias", "residual"])
def test_unseen_changes(what: str) -> None:
    """The result is that of the values at the call."""

    def forward(change: Any, conv: Any, x: Any, r: Any) -> Any:
        y, z = conv(x) + r, conv(x)
        change()
        return F.relu(y) + F.relu(z)

    with_unseen_changes(what, forward)


def test_what_joins() -> None:
    """One node from the inputs, which keeps the input, the weight and the result alone."""
    conv, shape = layer("1x1", fc.float32)
    x, r = (
        tensor(shape, i).contiguous(memory_format=fc.channels_last).requires_grad_() for i in (1, 2)
    )
    names: list[str] = []

    def forward(x: Any, r: Any) -> Any:
        y = conv(x)
        assert type(y) is Pending and y.grad_fn.name() == "ConvolutionBackward0"
        z = y + r
        assert type(z) is Pending and type(y) is Pending
        names.extend(
            t.grad_fn.name()
            for t in (z, F.relu(conv(x)), F.relu6(conv(x)), F.leaky_relu(conv(x), 0.1))
        )
        return F.relu(z)

    out = Run(forward)(x, r)
    assert names == [f"Convolution{n}Backward0" for n in ("Add", "Relu", "Hardtanh", "LeakyRelu")]
    node = out.grad_fn
    assert node.name() == "ConvolutionAddReluBackward0"
    assert [e[0].variable for e in node.next_functions] == [x, conv.weight, conv.bias, r]
    assert [s is t._array for s, t in zip(node.saved, (x, conv.weight, out), strict=True)] == [
        True, True, True,
    ]  # fmt: skip
    bare = F.relu(F.conv2d(x, conv.weight, conv.bias))  # outside modules nothing waits
    assert bare.grad_fn.name() == "ReluBackward0"


def test_needed_twice() -> None:
    """A convolution whose result is needed by itself is not put off again."""
    for after in (lambda y: F.relu(y) + F.relu(-y), lambda y: y.mean(), fc.tanh):
        conv, shape = layer("1x1", fc.float32)
        kinds = []

        def forward(x: Any, conv: Any = conv, kinds: Any = kinds, after: Any = after) -> Any:
            y = conv(x)
            kinds.append(type(y))
            return after(y)

        for _ in range(3):
            Run(forward)(tensor(shape, 1))
        assert kinds == [Pending, fc.Tensor, fc.Tensor]


def test_hooks() -> None:
    """Hooks on what lies between see its gradient, before it is joined and after."""
    conv, shape = layer("1x1", fc.float32)
    x = tensor(shape, 1)
    seen: list[Any] = []

    def before(x: Any) -> Any:
        y = conv(x)
        y.register_hook(lambda g: seen.append(g.numpy().copy()))
        z = conv(x)
        z.retain_grad()
        seen.append(z)
        return F.relu(y).sum() + F.relu(z).sum()

    Run(before)(x).backward()
    z, g = seen
    assert np.array_equal(g, z.detach().numpy() > 0) and np.array_equal(z.grad.numpy(), g)

    conv, _ = layer("1x1", fc.float32)

    def after(x: Any) -> Any:
        y = conv(x)
        loss = F.relu(y).sum()
        assert type(y) is Pending
        y.register_hook(lambda g: g * 2)
        y.retain_grad()
        seen[:] = [y]
        return loss

    Run(after)(x).backward()
    assert np.array_equal(seen[0].grad.numpy(), g * 2)
    twice = conv.weight.grad.numpy().copy()
    conv.zero_grad()
    Run(lambda x: F.relu(conv(x)).sum() * 2)(x).backward()
    assert np.array_equal(conv.weight.grad.numpy(), twice)


def test_module_hooks() -> None:
    """Forward and backward hooks of the convolution get what they get without fusion."""
    results = []
    for fused in (True, False):
        conv, shape = layer("1x1", fc.float32)
        net = nn.Sequential(conv, nn.ReLU(inplace=True))
        seen: list[np.ndarray] = []
        conv.register_forward_hook(lambda m, a, out, s=seen: s.append(out.detach().numpy().copy()))
        conv.register_full_backward_hook(lambda m, i, o, s=seen: s.append(o[0].numpy().copy()))
        with fc.fusion(fused):
            net(tensor(shape, 1).requires_grad_()).sum().backward()
        results.append([*seen, conv.weight.grad.numpy()])
    assert len(results[0]) == 3
    for got, want in zip(*results, strict=True):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("change", ["x", "weight", "result"])
def test_version_errors(change: str) -> None:
    """What backward needs and was changed is an error that names the operation."""
    conv, shape = layer("1x1", fc.float32)
    x = tensor(shape, 1).requires_grad_() * 1
    y = Run(lambda x: F.relu(conv(x)))(x)
    {"x": x, "weight": conv.weight, "result": y}[change].detach().mul_(2)
    with pytest.raises(RuntimeError, match=r"ConvolutionRelu.*in-place"):
        y.sum().backward()


@pytest.mark.parametrize("change", ["x", "weight", "bias"])
def test_changes_before(change: str) -> None:
    """A change between the convolution and the ReLU comes too late for the values."""
    results = []
    for fused in (True, False):
        conv, shape = layer("1x1", fc.float32)
        x = tensor(shape, 1).requires_grad_() * 1

        def forward(x: Any, conv: Any = conv) -> Any:
            y = conv(x)
            with fc.no_grad():
                {"x": x, "weight": conv.weight, "bias": conv.bias}[change].mul_(2)
            return F.relu(y)

        with fc.fusion(fused):
            y = Run(forward)(x)
        results.append(y.detach().numpy())
        if change != "bias":
            with pytest.raises(RuntimeError, match="in-place"):
                y.sum().backward()
    assert np.array_equal(*results)


def test_second_backward() -> None:
    conv, shape = layer("1x1", fc.float32)
    y = nn.Sequential(conv, nn.ReLU())(tensor(shape, 1)).sum()
    y.backward(retain_graph=True)
    first = [p.grad.numpy().copy() for p in conv.parameters()]
    y.backward()
    for p, g in zip(conv.parameters(), first, strict=True):
        assert np.allclose(p.grad.numpy(), 2 * g)
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_checkpoint() -> None:
    """A second run joins what the first has joined, inside a module and outside."""
    results = []
    for way in ("none", "inside", "outside"):
        conv, shape = layer("3x3", fc.float32)

        def steps(x: Any, conv: Any = conv) -> Any:
            z = conv(F.relu(conv(x)))
            y = conv(x)
            return F.leaky_relu(z, 0.1) + F.relu(y) + 0 * y

        x = tensor(shape, 1).requires_grad_()
        if way == "inside":
            y = Run(lambda x, steps=steps: checkpoint(steps, x))(x)
        else:
            y = checkpoint(steps, x) if way == "outside" else Run(steps)(x)
        y.sum().backward()
        results.append([y.detach().numpy(), x.grad.numpy(), conv.weight.grad.numpy()])
    for other in results[1:]:
        for got, want in zip(other, results[0], strict=True):
            assert np.allclose(got, want, rtol=1e-5, atol=1e-5)


def test_an_error_inside() -> None:
    """An exception leaves the outermost call; what was not written can still be."""
    conv, shape = layer("3x3", fc.float32)
    x = tensor(shape, 1)
    held: list[Any] = []

    def forward(x: Any) -> None:
        held.append(conv(x))
        raise KeyError("stop")

    with pytest.raises(KeyError):
        Run(forward)(x)
    F.relu(held[0]).sum().backward()
    got = conv.weight.grad.numpy().copy()
    conv.weight.grad = None
    with fc.fusion(False):
        F.relu(conv(x)).sum().backward()
    assert np.array_equal(got, conv.weight.grad.numpy())


def test_gradcheck() -> None:
    conv = nn.Conv2d(2, 3, 3).double()
    x, r = tensor((2, 2, 5, 5), 1, np.float64), tensor((2, 3, 3, 3), 2, np.float64)

    def f(x: Any, w: Any, b: Any, r: Any) -> Any:
        return Run(lambda: F.leaky_relu(F.conv2d(x, w, b) + r, 0.25))()

    inputs = (x, conv.weight.detach(), conv.bias.detach(), r)
    assert fc.autograd.gradcheck(f, tuple(t.requires_grad_() for t in inputs))


def test_special_gradients() -> None:
    """NaN and infinities in the result and the gradient go the same ways."""
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.0, 8.0], np.float32)
    a, g = (v.reshape(1, 1, 8, 8).copy() for v in np.meshgrid(special, special))
    for act in (F.relu, F.relu6, lambda t: F.leaky_relu(t, 0.5)):
        found = []
        for fused in (True, False):
            x, w = fc.tensor(a).requires_grad_(), fc.ones(1, 1, 1, 1)
            b = fc.zeros(1).requires_grad_()
            with fc.fusion(fused):
                y = Run(lambda x, w, b, act=act: act(F.conv2d(x, w, b)))(x, w, b)
            y.backward(fc.tensor(g))
            found.append([t.numpy() for t in (y.detach(), x.grad, b.grad)])
        for got, want in zip(*found, strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_as_torch(ndim: int) -> None:
    torch = pytest.importorskip("torch")
    a = values((2, 3, *(7,) * ndim), 1, np.float64)
    state: Any = None
    results = []
    for library in (fc, torch):
        conv = getattr(library.nn, f"Conv{ndim}d")
        net = library.nn.Sequential(
            conv(3, 5, 3), library.nn.ReLU(inplace=True), conv(5, 4, 3, padding=1, bias=False),
            library.nn.ReLU6(), conv(4, 4, 1), library.nn.LeakyReLU(0.2),
        ).to(library.float64)  # fmt: skip
        if state is None:
            state = {k: v.numpy().copy() for k, v in net.state_dict().items()}
        net.load_state_dict({k: library.from_numpy(v.copy()) for k, v in state.items()})
        x = library.tensor(a).requires_grad_()
        y = net(x)
        y.backward(library.tensor(values(tuple(y.shape), 2, np.float64)))
        results.append(
            [t.detach().numpy() for t in (y, x.grad, *(p.grad for p in net.parameters()))]
        )
    for got, want in zip(*results, strict=True):
        assert np.allclose(got, want, rtol=1e-9, atol=1e-10)


def test_copies_of_the_network() -> None:
    conv, shape = layer("3x3", fc.float32)
    net = nn.Sequential(conv, nn.ReLU())
    x = tensor(shape, 1)
    net(x).sum().backward()
    other = copy.deepcopy(net)
    assert np.array_equal(other(x).detach().numpy(), net(x).detach().numpy())
