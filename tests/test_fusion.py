"""A normalisation is written late, so that + residual and ReLU join it: same results, same errors.

Everything is computed with fusion and without, and compared bit for bit.
"""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import nn
from fastconv._pending import Pending

SHAPES = [(4, 6), (3, 18, 11), (2, 6, 7, 5), (2, 3, 3, 4, 5)]
FORMATS = [fc.contiguous_format, fc.channels_last]


def values(shape: tuple[int, ...], seed: int, kind: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(kind)


def tensor(a: np.ndarray, form: Any = fc.contiguous_format, grad: bool = True) -> Any:
    t = fc.tensor(a)
    if a.ndim == 4:
        t = t.contiguous(memory_format=form)
    return t.requires_grad_(grad)


def norm(x: Any, w: Any = None, b: Any = None, training: bool = True) -> Any:
    """Batch norm without running statistics, or with constants."""
    if training:
        return F.batch_norm(x, None, None, w, b, True)
    kind = np.float32 if x.dtype is fc.float32 else np.float64
    mean, var = (fc.tensor(np.linspace(0.5, 1, x.shape[1]).astype(kind)) for _ in range(2))
    return F.batch_norm(x, mean, var, w, b)


# Each takes (x, r, w, b), and the other input's weight and bias for a second normalisation.
PATTERNS: dict[str, Callable[..., Any]] = {
    "norm": lambda x, r, w, b: norm(x, w, b),
    "relu": lambda x, r, w, b: F.relu(norm(x, w, b)),
    "relu method": lambda x, r, w, b: norm(x, w, b).relu(),
    "relu in place": lambda x, r, w, b: F.relu(norm(x, w, b), inplace=True),
    "relu module": lambda x, r, w, b: nn.ReLU(inplace=True)(norm(x, w, b)),
    "add": lambda x, r, w, b: norm(x, w, b) + r,
    "added": lambda x, r, w, b: r + norm(x, w, b),
    "add relu": lambda x, r, w, b: F.relu(norm(x, w, b) + r),
    "added relu": lambda x, r, w, b: F.relu_(r + norm(x, w, b)),
    "add function": lambda x, r, w, b: fc.relu(fc.add(norm(x, w, b), r)),
    "alpha": lambda x, r, w, b: fc.relu(fc.add(norm(x, w, b), r, alpha=2)),
    "two": lambda x, r, w, b: F.relu(norm(x, w, b) + norm(r)),
    "three": lambda x, r, w, b: F.relu(norm(x, w, b) + r + r),
    "itself": lambda x, r, w, b: F.relu(norm(x, w, b) + x),
    "broadcast": lambda x, r, w, b: F.relu(norm(x, w, b) + r[:1]),
    "number": lambda x, r, w, b: F.relu(norm(x, w, b) + 1.5),
    "eval": lambda x, r, w, b: F.relu(norm(x, w, b, False) + r),
    "group": lambda x, r, w, b: F.relu(F.group_norm(x, 3, w, b) + r),
    "relu6": lambda x, r, w, b: F.relu6(norm(x, w, b)),
    "relu6 in place": lambda x, r, w, b: nn.ReLU6(inplace=True)(norm(x, w, b)),
    "add relu6": lambda x, r, w, b: F.relu6(norm(x, w, b) * 5 + r),
    "hardtanh": lambda x, r, w, b: F.hardtanh(norm(x, w, b) + r, 0, 0.5),
    "other hardtanh": lambda x, r, w, b: F.hardtanh(norm(x, w, b), -0.5, 0.5),
    "relu6 changed": lambda x, r, w, b: F.hardtanh(norm(x, w, b), 0, 0.5).mul_(2),
    "chain": lambda x, r, w, b: F.relu(norm(F.relu(norm(x, w, b)) * r, w, b)),
    "bare": lambda x, r, w, b: F.relu(norm(x) + r),
}


def iadd(x: Any, r: Any, w: Any, b: Any) -> Any:
    y = norm(x, w, b)
    y += r
    return F.relu(y, inplace=True)


def twice(x: Any, r: Any, w: Any, b: Any) -> Any:
    y = norm(x, w, b)
    return F.relu(y) * 2 + F.relu(y + r) + y * y


def doubled(x: Any, r: Any, w: Any, b: Any) -> Any:
    y = norm(x, w, b)
    return F.relu(y + y)


def sliced(x: Any, r: Any, w: Any, b: Any) -> Any:
    y = norm(x, w, b)
    part = y[:, 1:]
    return F.relu(y) + F.pad(part, (0, 0) * (x.ndim - 2) + (1, 0))


def detached(x: Any, r: Any, w: Any, b: Any) -> Any:
    y = norm(x, w, b)
    return F.relu(y.detach() + r) + F.relu(y)


def half_no_grad(x: Any, r: Any, w: Any, b: Any) -> Any:
    with fc.no_grad():
        y = norm(x, w, b)
    return F.relu(y + r)


def no_grad_in_place(x: Any, r: Any, w: Any, b: Any) -> Any:
    y = norm(x, w, b)
    with fc.no_grad():
        y += r
    return y * 2


for function in (iadd, twice, doubled, sliced, detached, half_no_grad, no_grad_in_place):
    PATTERNS[function.__name__] = function


#: Here gradients for one tensor come from several nodes, and are added in another order.
SEVERAL = ("twice", "doubled", "sliced", "detached")


def run(pattern: str, shape: tuple[int, ...], form: Any, kind: Any, fused: bool) -> list[Any]:
    """Result and gradients of x, r, w and b."""
    x, r = tensor(values(shape, 1, kind), form), tensor(values(shape, 2, kind), form)
    w, b = tensor(values(shape[1:2], 3, kind)), tensor(values(shape[1:2], 4, kind))
    with fc.fusion(fused):
        y = PATTERNS[pattern](x, r, w, b)
    y.backward(tensor(values(shape, 5, kind), form, False))
    grads = [None if t.grad is None else t.grad.numpy() for t in (x, r, w, b)]
    return [y.detach().numpy(), *grads]


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_same_results(pattern: str, shape: tuple[int, ...], form: Any) -> None:
    for kind in (np.float32, np.float64):
        fused, plain = (run(pattern, shape, form, kind, f) for f in (True, False))
        assert np.array_equal(fused[0], plain[0]), f"{kind}: the result differs"
        for got, want in zip(fused[1:], plain[1:], strict=True):
            if want is None:
                assert got is None
            elif pattern in SEVERAL:
                assert np.allclose(got, want, rtol=1e-4, atol=1e-5)
            else:
                assert np.array_equal(got, want), f"{kind}: a gradient differs"


@pytest.mark.parametrize("backend", ["numba", "naive"])
@pytest.mark.parametrize("pattern", ["relu", "add relu", "iadd", "two"])
def test_other_backends(pattern: str, backend: str) -> None:
    with fc.backend(backend):
        a, b = (run(pattern, (2, 3, 4, 5), FORMATS[1], np.float32, f) for f in (True, False))
    for got, want in zip(a, b, strict=True):
        assert (got is None and want is None) or np.array_equal(got, want)


def test_what_joins() -> None:
    """The graph has one node for all, and memory holds neither the sum nor what lies before."""
    x, r = tensor(values((2, 3, 4, 4), 1)), tensor(values((2, 3, 4, 4), 2))
    y = norm(x)
    assert type(y) is Pending
    assert (y.shape, y.ndim, y.dim(), y.size(1), y.numel()) == ((2, 3, 4, 4), 4, 4, 3, 96)
    assert y.dtype is fc.float32 and type(y) is Pending
    z = y + r
    out = F.relu(z)
    assert type(y) is type(z) is Pending and type(out) is fc.Tensor
    assert out.grad_fn.name() == "NormAddReluBackward0"
    assert [e[0].variable for e in out.grad_fn.next_functions] == [x, r]
    assert F.relu6(norm(x)).grad_fn.name() == "NormHardtanhBackward0"
    with fc.fusion(False):
        want = norm(x)
        assert type(want) is fc.Tensor
    assert np.array_equal(y.detach().numpy(), want.detach().numpy())
    assert type(y) is fc.Tensor
    assert np.array_equal(z.detach().numpy(), (want + r).detach().numpy())


def test_hooks_before() -> None:
    """Hooks on what lies between see its gradient, and keep it from joining."""
    x = tensor(values((2, 3, 4, 4), 1))
    seen = []
    y = norm(x)
    y.register_hook(lambda g: seen.append(g.numpy().copy()))
    F.relu(y).sum().backward()
    assert len(seen) == 1 and np.array_equal(seen[0], y.detach().numpy() > 0)
    z = norm(x)
    z.retain_grad()
    F.relu(z).sum().backward()
    assert np.array_equal(z.grad.numpy(), seen[0])


def test_leaf_after() -> None:
    x = tensor(values((2, 3, 4, 4), 1))
    with fc.no_grad():
        late = norm(x)
        F.relu(late)
    late.requires_grad_()
    (late * 2).sum().backward()
    assert late.grad is not None


def test_leaf_made_of_it() -> None:
    """A pending result without a graph that is made a leaf stays one."""
    with fc.no_grad():
        y = norm(tensor(values((2, 3, 4), 1)))
    y.requires_grad_()
    F.relu(y).sum().backward()
    assert np.array_equal(y.grad.numpy(), y.detach().numpy() > 0)


@pytest.mark.parametrize("change", ["mul_", "copy_", "fill_", "item", "zero_", "relu_", "clamp_",
                                    "add_", "view", "out", "data", "numpy", "array"])  # fmt: skip
def test_input_changes(change: str) -> None:
    """The result is that of the values at the call, whatever happens to the input after."""
    a = values((2, 3, 4, 4), 1)
    results = []
    for fused in (True, False):
        with fc.fusion(fused), fc.no_grad():
            x, r = fc.tensor(a) * 1, fc.tensor(values((2, 3, 4, 4), 2)) * 1
            y, z = norm(x), norm(r * 1) + x
            if change == "item":
                x[0] = 7
            elif change == "view":
                x.view(-1)[3:].zero_()
            elif change == "out":
                fc.mul(x, 2, out=x)
            elif change == "data":
                x.data.mul_(3)
            elif change == "numpy":
                x.numpy()[...] = 3
            elif change == "array":
                x.array[...] = 3
            elif change in ("zero_", "relu_"):
                getattr(x, change)()
            elif change == "clamp_":
                x.clamp_(0, 1)
            else:
                getattr(x, change)(r if change == "copy_" else 2.0)
            results.append((F.relu(y).numpy(), F.relu(z).numpy()))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])


def test_reachable_input() -> None:
    """Memory that numpy code can reach may change unseen: nothing waits for it."""
    a = values((2, 3, 4, 4), 1)
    x = fc.from_numpy(a)
    y = norm(x)
    want = y.numpy().copy()
    a[...] = 0
    assert np.array_equal(y.numpy(), want)
    b = values((2, 3, 4, 4), 1)
    y = norm(fc.from_numpy(b))
    b[...] = 0
    assert np.array_equal(F.relu(y).numpy(), np.maximum(want, 0))
    c = values((2, 3, 4, 4), 2)
    z = norm(fc.tensor(values((2, 3, 4, 4), 1)) * 1) + fc.from_numpy(c)
    kept = c.copy()
    c[...] = 0
    assert np.array_equal(z.numpy(), want + kept)


def test_version_errors() -> None:
    """What backward needs and was changed is an error that names the operation."""
    x, r = tensor(values((2, 3, 4, 4), 1)) * 1, tensor(values((2, 3, 4, 4), 2))
    y = F.relu(norm(x) + r)
    x.detach().mul_(2)
    with pytest.raises(RuntimeError, match=r"NormAddRelu.*in-place"):
        y.sum().backward()
    x = tensor(values((2, 3, 4, 4), 1)) * 1
    y = F.relu(norm(x) + r)
    y.detach().mul_(2)
    with pytest.raises(RuntimeError, match=r"NormAddRelu.*in-place"):
        y.sum().backward()
    y = norm(x)
    y += r
    F.relu_(y)
    y.sum().backward()


def test_result_changed() -> None:
    """As without fusion: an error where PyTorch keeps the result, which is not so for ReLU6."""
    grads = []
    for change in (False, True):
        x = tensor(values((2, 3, 4, 4), 1) * 8)
        y = F.relu6(norm(x))
        loss = (y * 1).sum()
        if change:
            y.detach().zero_()
        loss.backward()
        grads.append(x.grad.numpy())
    assert np.array_equal(*grads)
    for fused in (True, False):
        with fc.fusion(fused):
            y = F.relu(norm(x))
            y.detach().zero_()
            with pytest.raises(RuntimeError, match=r"Relu.*shape \(2, 3, 4, 4\).*in-place"):
                y.sum().backward()


OVERWRITING = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky relu": F.leaky_relu,
    "norm, relu": lambda x: F.relu(norm(x)),
    "norm, add, relu": lambda x: F.relu(norm(x) + x),
    "convolution, relu": lambda x: nn.Sequential(same_convolution(), nn.ReLU())(x),
}


def same_convolution() -> nn.Conv2d:
    fc.manual_seed(3)
    return nn.Conv2d(3, 3, 3, padding=1)


@pytest.mark.parametrize("op", list(OVERWRITING))
def test_gradients_overwritten(op: str) -> None:
    """In place only where nobody else sees it, and with the same result."""
    grads, seen = [], []
    c = fc.tensor(values((2, 3, 40, 40), 2))
    for looks in (False, True):
        x = tensor(values((2, 3, 40, 40), 1))
        y = OVERWRITING[op](x * 1)
        node = y.grad_fn
        if looks:
            y.register_hook(seen.append)
        (y * c).sum().backward()
        assert node.owned is not looks
        grads.append(x.grad.numpy())
    assert np.array_equal(*grads)
    assert np.array_equal(seen[0].numpy(), c.numpy())


def test_gradients_are_not_overwritten() -> None:
    """Backward writes over a gradient only where nobody else has it."""
    x = tensor(values((2, 3, 4, 4), 1))
    g = fc.tensor(values((2, 3, 4, 4), 2))
    kept, seen = g.numpy().copy(), []
    y = F.relu(norm(x))
    y.register_hook(seen.append)
    y.backward(g)
    assert np.array_equal(g.numpy(), kept)
    want = x.grad.numpy().copy()
    for scale in (1, 2):  # the gradient comes from an operation, and a hook keeps it
        x.grad = None
        y = F.relu(norm(x))
        y.register_hook(seen.append)
        (y * (g * scale)).sum().backward()
        assert np.array_equal(seen[-1].numpy(), kept * scale)
        assert np.allclose(x.grad.numpy(), want * scale)
    x.grad = None
    z = norm(x)  # two that share one gradient
    (F.relu(z + 0) + norm(z + 0)).backward(g)
    with fc.fusion(False):
        t = tensor(values((2, 3, 4, 4), 1))
        z = norm(t)
        (F.relu(z + 0) + norm(z + 0)).backward(g)
    assert np.allclose(x.grad.numpy(), t.grad.numpy(), 1e-5, 1e-6)
    assert np.array_equal(g.numpy(), kept)


def test_second_backward() -> None:
    x = tensor(values((2, 3, 4, 4), 1))
    y = F.relu(norm(x)).sum()
    y.backward(retain_graph=True)
    first = x.grad.numpy().copy()
    y.backward()
    assert np.allclose(x.grad.numpy(), 2 * first)
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_copies() -> None:
    x = fc.tensor(values((2, 3, 4, 4), 1))
    want = norm(x).numpy()
    for make in (
        copy.copy,
        copy.deepcopy,
        lambda t: pickle.loads(pickle.dumps(t)),
        lambda t: t.clone(),
        lambda t: t.detach(),
        lambda t: t.data,
        lambda t: nn.Parameter(t).detach(),
        lambda t: t.view(-1).view(2, 3, 4, 4),
        lambda t: fc.from_numpy(np.asarray(t)),
    ):
        y = norm(x)
        assert type(y) is Pending
        z = make(y)
        assert type(z) is type(y) is fc.Tensor
        assert np.array_equal(z.numpy(), want) and np.array_equal(y.numpy(), want)
    y = norm(x)
    file = io.BytesIO()
    fc.save({"y": y}, file)
    file.seek(0)
    assert np.array_equal(fc.load(file)["y"].numpy(), want)
    y = norm(x)
    y.data = fc.ones(2)
    assert type(y) is fc.Tensor and y.shape == (2,)
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(norm(tensor(values((2, 3), 1))))
    assert "tensor(" in repr(norm(x))


def test_running_statistics() -> None:
    """They move at the call, not when the values are written."""
    m = nn.BatchNorm2d(3)
    x = fc.tensor(values((2, 3, 4, 4), 1))
    y = m(x)
    assert type(y) is Pending
    assert np.allclose(m.running_mean.numpy(), 0.1 * x.numpy().mean((0, 2, 3)))
    m.weight.data.fill_(5)
    assert abs(float(y.detach().abs().max())) < 5


def test_module_hooks() -> None:
    """A forward hook gets the tensor, and looks at it in peace."""
    m = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(inplace=True))
    seen = []
    m[0].register_forward_hook(lambda module, args, out: seen.append(out.detach().numpy().copy()))
    x = fc.tensor(values((2, 3, 4, 4), 1))
    y = m(x)
    assert np.array_equal(y.detach().numpy(), np.maximum(seen[0], 0))


def test_profile() -> None:
    """What is written late is counted where it is written."""
    x = fc.tensor(values((2, 3, 4, 4), 1))
    with fc.profile() as p:
        F.relu(norm(x))
        norm(x).numpy()
    assert [e.name for e in p.events()] == ["BatchNorm", "NormJoined", "BatchNorm", "Norm"]


def test_switch() -> None:
    x = fc.tensor(values((2, 3, 4, 4), 1))
    with fc.fusion(False):
        assert type(norm(x)) is fc.Tensor
        with fc.fusion():
            assert type(norm(x)) is Pending
    with pytest.raises(TypeError, match="fusion"):
        fc.fusion(1)


def test_environment() -> None:
    """FASTCONV_FUSION=0 switches it off; other words are an error."""
    program = (
        "import fastconv as fc, fastconv.nn.functional as F;"
        "print(type(F.batch_norm(fc.ones(2, 3) * 1, None, None, None, None, True)).__name__)"
    )
    for value, want in (("0", "Tensor"), ("1", "Pending"), ("", "Pending"), ("no", None)):
        environment = {**os.environ, "FASTCONV_FUSION": value}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
        assert done.stdout.strip() == (want or "")
        assert want or "FASTCONV_FUSION must be 0 or 1" in done.stderr


def test_gradcheck() -> None:
    x, r = (tensor(values((2, 3, 4), seed, np.float64)) for seed in (1, 2))
    w, b = (tensor(values((3,), seed, np.float64)) for seed in (3, 4))
    mean, var = fc.zeros(3, dtype=fc.float64), fc.ones(3, dtype=fc.float64)
    for training in (True, False):

        def f(x: Any, w: Any, b: Any, r: Any, training: bool = training) -> Any:
            y = F.batch_norm(x, mean.clone(), var.clone(), w, b, training)
            return F.relu(y + r)

        assert fc.autograd.gradcheck(f, (x, w, b, r))


@pytest.mark.parametrize("form", ["contiguous_format", "channels_last"])
def test_residual_block_as_torch(form: str) -> None:
    torch = pytest.importorskip("torch")
    a, g = values((2, 8, 6, 6), 1, np.float64), values((2, 8, 6, 6), 2, np.float64)
    results = []
    for library in (fc, torch):
        layers = library.nn
        functional = library.nn.functional
        x = library.tensor(a).contiguous(memory_format=getattr(library, form)).requires_grad_()
        one, two, three = (layers.BatchNorm2d(8).to(library.float64) for _ in range(3))
        for i, m in enumerate((one, two, three)):
            m.weight.data.copy_(library.tensor(values((8,), 3 + i, np.float64)))
        y = layers.ReLU(inplace=True)(one(x))
        y = two(y * 1.5)
        y += three(x)
        y = functional.relu(y, inplace=True)
        y.backward(library.tensor(g))
        tensors = [y, x.grad, one.weight.grad, one.bias.grad, two.weight.grad, three.bias.grad]
        tensors += [two.running_mean, three.running_var]
        results.append([t.detach().numpy() for t in tensors])
    for got, want in zip(*results, strict=True):
        assert np.allclose(got, want, rtol=1e-9, atol=1e-10)
