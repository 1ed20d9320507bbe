"""Options and shapes at the edge: as PyTorch has them, or as their docstrings say."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn
from fastconv.nn import functional as F

INF, NAN = float("inf"), float("nan")


def both(f: Any) -> tuple[Any, Any]:
    """What `f` gives with PyTorch and with us."""
    torch = pytest.importorskip("torch")
    return f(torch), f(fc)


def same(theirs: Any, ours: Any, rtol: float = 1e-6) -> None:
    if isinstance(theirs, tuple):
        for a, b in zip(theirs, ours, strict=True):
            same(a, b, rtol)
        return
    assert str(theirs.dtype).split(".")[-1] == str(ours.dtype).split(".")[-1]
    a, b = theirs.detach().numpy(), ours.detach().numpy()
    assert a.shape == b.shape
    np.testing.assert_allclose(b, a, rtol=rtol, atol=1e-12 if rtol < 1e-6 else 1e-6)


# types that are asked for


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["int32", "int64", "uint8", "int8", "float32", "float64", "bool"])
@pytest.mark.parametrize(
    "source", [[1, 2, 3], [1.7, 2.2, 3.0], [True, False, True], [120, 100, 3]], ids=str
)
@pytest.mark.parametrize("name", ["sum", "prod", "cumsum", "cumprod", "nansum", "mean"])
def test_reductions_have_the_type_that_is_asked_for(name: str, source: Any, kind: str) -> None:
    if name in ("nansum", "mean") and not kind.startswith("float"):
        pytest.skip("not in PyTorch")
    if name.startswith("cum") and kind == "bool":
        pytest.skip("not in PyTorch")
    for axis in ((0,), ()) if name in ("sum", "prod", "mean") else ((0,),):
        theirs, ours = both(
            lambda lib, axis=axis: getattr(lib, name)(
                lib.tensor(source), *axis, dtype=getattr(lib, kind)
            )
        )
        same(theirs, ours)


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["float32", "float64", None])
@pytest.mark.parametrize("source", [[1, 2, 3], [1.5, 2.25, -3.0], 3.0, 2], ids=str)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_softmax_of_a_type(name: str, source: Any, kind: str | None) -> None:
    if kind is None and np.asarray(source).dtype.kind != "f":
        for lib in (pytest.importorskip("torch"), fc):
            with pytest.raises((TypeError, NotImplementedError)):
                getattr(lib.nn.functional, name)(lib.tensor(source), 0)
        return

    def run(lib: Any, where: Any) -> Any:
        x = lib.tensor(source)
        if x.is_floating_point():
            x.requires_grad_()
        kinds = {} if kind is None else {"dtype": getattr(lib, kind)}
        y = where(lib, x, kinds)
        if not y.requires_grad:
            return (y,)
        y.square().sum().backward()
        return y, x.grad

    ways = [lambda lib, x, kinds: getattr(lib.nn.functional, name)(x, 0, **kinds)]
    if name != "softmin":
        ways.append(lambda lib, x, kinds: getattr(lib, name)(x, 0, **kinds))
        ways.append(lambda lib, x, kinds: getattr(x, name)(0, **kinds))
    for way in ways:
        same(*both(lambda lib, way=way: run(lib, way)))


# normalisation


@pytest.mark.torch
@pytest.mark.parametrize("eps", [-1.0, -0.01, 0.0, 1e-5, INF, NAN])
def test_any_eps(eps: float) -> None:
    values = [[1.0, 2, 3, 4], [0, 5, 1, 2]]

    def run(lib: Any, f: Any) -> Any:
        x = lib.tensor(values, dtype=lib.float64, requires_grad=True)
        y = f(lib.nn.functional, x)
        (y * y * y).sum().backward()
        return y, x.grad

    norms = [
        lambda F, x: F.group_norm(x, 2, eps=eps),
        lambda F, x: F.layer_norm(x, (4,), eps=eps),
        lambda F, x: F.instance_norm(x.reshape(1, 2, 4), eps=eps),
    ]
    if eps > 0:
        norms.append(lambda F, x: F.batch_norm(x, None, None, training=True, eps=eps))
    for f in norms:
        same(*both(lambda lib, f=f: run(lib, f)), rtol=1e-9)
    if eps < 0:
        with pytest.raises(ValueError, match="eps must not be negative"):
            F.batch_norm(fc.tensor(values), None, None, training=True, eps=eps)


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2), (2, 3, 0), (2, 3, 4, 0), (0, 3, 2, 2)])
def test_normalisation_of_nothing(shape: tuple[int, ...]) -> None:
    norm = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](3)
    x = fc.zeros(*shape, requires_grad=True)
    y = norm(x)
    y.sum().backward()
    assert y.shape == x.grad.shape == shape
    assert norm.running_mean.tolist() == [0, 0, 0] and norm.running_var.tolist() == [1, 1, 1]
    assert norm.num_batches_tracked.item() == 1
    assert norm.weight.grad.tolist() == norm.bias.grad.tolist() == [0, 0, 0]
    assert norm.eval()(x).shape == shape
    if len(shape) > 2 and shape[0]:
        assert F.instance_norm(x).shape == shape


def test_normalisation_of_shape_0() -> None:
    for training in (True, False):
        y = F.batch_norm(fc.zeros(0), fc.zeros(0), fc.ones(0), training=training)
        assert y.shape == (0,)
    with pytest.raises(ValueError, match="input must be"):
        F.batch_norm(fc.zeros(5), None, None, training=True)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1)])
def test_a_single_value_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        F.batch_norm(fc.zeros(*shape), None, None, training=True)


def test_local_response_by_nothing_is_refused() -> None:
    x = fc.ones(1, 2, 3)
    with pytest.raises(ValueError, match="k and alpha must not both be 0"):
        F.local_response_norm(x, 2, alpha=0.0, k=0.0)
    assert F.local_response_norm(x, 2, alpha=0.0, beta=0.0, k=0.0).tolist() == x.tolist()
    assert F.local_response_norm(x, 2, alpha=0.0, k=1.0).tolist() == x.tolist()


# pooling and shapes


@pytest.mark.parametrize("stride, padding, dilation", [(1, 0, 2), (2, 1, 2), (1, 1, 3), (3, 0, 2)])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpooling_after_a_dilated_pooling(
    rank: int, stride: int, padding: int, dilation: int
) -> None:
    fc.manual_seed(rank)
    x = fc.randn(2, 3, *[9] * rank, requires_grad=True)
    pool, unpool = getattr(F, f"max_pool{rank}d"), getattr(F, f"max_unpool{rank}d")
    y, indices = pool(x, 3, stride, padding, dilation, return_indices=True)
    back = unpool(y, indices, 3, stride, padding, output_size=x.shape)
    assert back.shape == x.shape
    expected = np.zeros_like(x.detach().numpy()).reshape(6, -1)
    for row, (at, value) in enumerate(
        zip(indices.numpy().reshape(6, -1), y.detach().numpy().reshape(6, -1), strict=True)
    ):
        expected[row, at] = value
    np.testing.assert_array_equal(back.detach().numpy().reshape(6, -1), expected)
    back.sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("size", [2, 4, 3, 9])
def test_unpooling_to_a_size_that_no_pooling_has(size: int) -> None:
    y, indices = F.max_pool2d(fc.randn(1, 1, 6, 6), 2, 2, return_indices=True)
    if size == 9:  # stride 2: 8 or 10 would do, each with one more
        assert F.max_unpool2d(y, indices, 2, 2, output_size=(size, size)).shape == (1, 1, 9, 9)
        return
    with pytest.raises(ValueError, match="output_size"):
        F.max_unpool2d(y, indices, 2, 2, output_size=(size, size))
    with pytest.raises(ValueError, match="output_size"):
        F.max_unpool1d(*F.max_pool1d(fc.ones(1, 1, 5), 1, return_indices=True), 1, output_size=(7,))


@pytest.mark.torch
def test_unpooling_takes_the_sizes_of_pytorch_and_of_dilated_poolings() -> None:
    torch = pytest.importorskip("torch")
    from tests.test_bad_input_torch import of_dilations

    seen = set()
    for k, s, p, n, w in itertools.product((1, 2, 3), (1, 2, 3), (0, 1), (1, 2, 4), range(1, 16)):
        if 2 * p > k or (n - 1) * s + k <= 2 * p:
            continue
        y = np.ones((1, 1, n), np.float32)
        at = np.zeros((1, 1, n), np.int64)
        try:
            F.max_unpool1d(fc.from_numpy(y), fc.from_numpy(at), k, s, p, (w,))
            mine = True
        except ValueError as error:
            assert "output_size" in str(error)
            mine = False
        try:
            tensors = torch.from_numpy(y), torch.from_numpy(at)
            torch.nn.functional.max_unpool1d(*tensors, k, s, p, (w,))
            theirs = True
        except ValueError:
            theirs = False
        assert mine == (theirs or n in of_dilations(w, k, s, p)), (k, s, p, n, w)
        seen.add((mine, theirs))
    assert seen == {(True, True), (True, False), (False, False)}


@pytest.mark.torch
def test_adaptive_max_pool1d_at_top_level() -> None:
    values = [[[1.0, 5, 2, 4, 3]]]
    same(*both(lambda lib: lib.adaptive_max_pool1d(lib.tensor(values), 2)))
    same(*both(lambda lib: lib.nn.functional.adaptive_max_pool1d(lib.tensor(values), 2)))
    assert len(fc.adaptive_max_pool1d(fc.tensor(values), 2)) == 2


@pytest.mark.torch
@pytest.mark.parametrize(
    "shape", [(2, 0, 6), (2, 6, 0), (0, 6, 6), (1, 2, 0, 6), (0, 2, 6, 6), (1, 0, 6, 6), (4, 4, 2)]
)
def test_pixel_unshuffle_of_nothing(shape: tuple[int, ...]) -> None:
    same(*both(lambda lib: lib.nn.functional.pixel_unshuffle(lib.zeros(*shape), 2)))


@pytest.mark.torch
@pytest.mark.parametrize("name", ["tensor", "as_tensor", "asarray"])
@pytest.mark.parametrize(
    "make",
    [
        lambda T: [T([1])],
        lambda T: [T(1), T(2)],
        lambda T: [[T([1]), 2]],
        lambda T: [T([[1.5]]), 2],
        lambda T: (T([1.0]), T([2.0])),
        lambda T: [T([True])],
        lambda T: [T([1]), T([2.5])],
        lambda T: [[T([1]), T([2])], [T(3), T(4)]],
        lambda T: [T(1.5).double()],
        lambda T: [T(1.5).double(), 2.0],
        lambda T: [np.array([1, 2]), np.array([3, 4])],
        lambda T: [T(2), True],
    ],
)
def test_sequences_of_tensors(make: Any, name: str) -> None:
    same(*both(lambda lib: getattr(lib, name)(make(lib.tensor))))


def test_sequences_of_larger_tensors() -> None:  # PyTorch refuses them
    assert fc.tensor([fc.ones(2), fc.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    with pytest.raises(ValueError, match="regular array"):
        fc.tensor([fc.ones(2), fc.zeros(3)])


def test_the_scale_that_is_given_counts() -> None:
    x = fc.tensor([[[1.0, 2, 4]]])
    found = F.interpolate(x, scale_factor=1.1, mode="linear").numpy().ravel()
    places = (np.arange(3) + 0.5) / 1.1 - 0.5
    np.testing.assert_allclose(found, np.interp(places, np.arange(3), [1, 2, 4]), rtol=1e-6)
    again = F.interpolate(x, scale_factor=1.1, mode="linear", recompute_scale_factor=True)
    assert again.tolist() == F.interpolate(x, 3, mode="linear").tolist() == x.tolist()


# deep copies, and vectors of parameters


def trained() -> Any:
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    net(fc.ones(2, 3)).sum().backward()
    return net


def test_deepcopy_drops_gradients_of_parameters() -> None:
    net = trained()
    assert all(p.grad is None for p in copy.deepcopy(net).parameters())
    assert all(p.grad is not None for p in net.parameters())
    x = fc.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    assert copy.deepcopy(x).grad.tolist() == [2, 2]  # as PyTorch: that of a tensor is copied


def test_deepcopy_keeps_weights_tied() -> None:
    net = trained()
    net[2].weight = nn.Parameter(net[0].weight.data)
    net.turned = nn.Parameter(net[0].weight.data.T)
    net.same = net[0].weight
    net.row = nn.Parameter(net[0].weight.data[0])
    other = copy.deepcopy(net)
    with fc.no_grad():
        other[0].weight.copy_(fc.arange(9.0).reshape(3, 3))
    expected = np.arange(9.0).reshape(3, 3)
    assert other.same is other[0].weight and other[2].weight is not other[0].weight
    np.testing.assert_array_equal(other[2].weight.detach().numpy(), expected)
    np.testing.assert_array_equal(other.turned.detach().numpy(), expected.T)
    assert not (net[0].weight.detach().numpy() == expected).any()
    assert other.row.tolist() == net.row.tolist()  # a part of another: a copy of its own


def test_tied_copies_are_packed_anew() -> None:
    conv, twin = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
    twin.weight = nn.Parameter(conv.weight.data)
    a, b = copy.deepcopy((conv, twin))
    x = fc.randn(1, 16, 9, 9)
    with fc.no_grad():
        b(x), b(x)
        a.weight.mul_(2)
        expected = F.conv2d(x, a.weight.clone(), b.bias, padding=1)
        np.testing.assert_array_equal(b(x).numpy(), expected.numpy())


def test_deepcopy_of_other_memory() -> None:
    base = fc.arange(12.0)
    for t in (base[::2], base.flip(0), base.reshape(3, 4).T, base[:0], base.reshape(3, 4)[:, 1:3]):
        a, b = copy.deepcopy((t, t.detach()))
        assert a.tolist() == b.tolist() == t.tolist() and a.dtype == t.dtype
        if a.numel():
            a.add_(1)
            assert a.tolist() != t.tolist()


def test_vector_to_parameters_shares_memory() -> None:
    net = trained()
    vector = fc.nn.utils.parameters_to_vector(net.parameters()).detach() * 2
    fc.nn.utils.vector_to_parameters(vector, net.parameters())
    before = net(fc.ones(1, 3)).tolist()
    assert fc.nn.utils.parameters_to_vector(net.parameters()).tolist() == vector.tolist()
    vector.zero_()
    assert all(not p.detach().numpy().any() for p in net.parameters())
    assert net(fc.ones(1, 3)).tolist() == [[0, 0, 0]] != before
    with fc.no_grad():
        net[0].bias.fill_(3)
    assert vector.sum().item() == 9
    with pytest.raises(ValueError, match="vec must have shape"):
        fc.nn.utils.vector_to_parameters(vector[1:], net.parameters())
