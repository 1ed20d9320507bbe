"""Tensors without PyTorch at hand: creation, types, views, indexing, errors, interoperation."""

import copy
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import fastconv as fc
from fastconv.autograd import gradcheck

# creation


def test_tensor_types():
    assert fc.tensor([1, 2]).dtype is fc.int64
    assert fc.tensor([1.0, 2]).dtype is fc.float32
    assert fc.tensor(True).dtype is fc.bool
    assert fc.tensor(np.zeros(2)).dtype is fc.float64
    assert fc.tensor([np.float64(1)]).dtype is fc.float64
    assert fc.tensor([], dtype=fc.int64).dtype is fc.int64
    assert fc.tensor([]).dtype is fc.float32
    assert fc.tensor([fc.tensor(1.5), fc.tensor(2)]).tolist() == [1.5, 2.0]
    assert fc.tensor([1, 2], dtype=float).dtype is fc.float32
    assert fc.tensor([1.5], dtype=np.float64).dtype is fc.float64
    assert fc.tensor(fc.ones(2, 3)).shape == (2, 3)


@pytest.mark.parametrize(
    "data",
    [["a"], [None], [1, [2]], object(), np.array([1j]), "text", np.array(["a"]), [[1], [2, 3]]],
)
def test_tensor_of_unsuitable_data(data):
    with pytest.raises((TypeError, ValueError)):
        fc.tensor(data)


def test_tensor_copies_and_as_tensor_shares():
    a = np.zeros(3, np.float32)
    assert fc.tensor(a).array is not a
    for share in (fc.as_tensor, fc.from_numpy):
        share(a)[0] += 1
    assert a[0] == 2
    t = fc.ones(2)
    assert fc.as_tensor(t) is t and fc.as_tensor(t, dtype=fc.float64).dtype is fc.float64
    with pytest.raises(TypeError, match="list"):
        fc.from_numpy([1.0])
    with pytest.raises(TypeError, match="complex"):
        fc.from_numpy(np.zeros(2, complex))
    with pytest.raises(TypeError, match=">f4"):
        fc.from_numpy(np.zeros(2, ">f4"))


def test_tensor_class():
    assert fc.Tensor(2, 3).shape == (2, 3) and fc.Tensor().shape == (0,)
    assert fc.Tensor([1, 2]).dtype is fc.float32 and fc.Tensor([[1, 2]]).tolist() == [[1.0, 2.0]]


def test_shapes_of_new_tensors():
    for make in (fc.zeros, fc.ones, fc.empty, fc.rand, fc.randn):
        assert (
            make(2, 3).shape == make((2, 3)).shape == make([2, 3]).shape == make(size=(2, 3)).shape
        )
        assert make(2, dtype=fc.float64).dtype is fc.float64 and make(2).dtype is fc.float32
        assert make(2, requires_grad=True).requires_grad and make(()).shape == ()
        assert make(fc.Size([1, 2]), device="cpu").shape == (1, 2)
        with pytest.raises(ValueError, match="-1"):
            make(2, -1)
        with pytest.raises(TypeError, match=r"1\.5"):
            make(1.5)
        with pytest.raises(RuntimeError, match="cuda"):
            make(2, device="cuda")
    assert fc.full((2,), 3).dtype is fc.int64 and fc.full((2,), 3.0).dtype is fc.float32
    assert fc.full((2,), True).dtype is fc.bool


def test_ranges():
    assert fc.arange(3).tolist() == [0, 1, 2] and fc.arange(3).dtype is fc.int64
    assert fc.arange(1, 2, 0.5).tolist() == [1, 1.5] and fc.arange(3.0).dtype is fc.float32
    assert fc.arange(3, 0, -1).tolist() == [3, 2, 1] and fc.arange(0).tolist() == []
    with pytest.raises(ValueError, match="step"):
        fc.arange(0, 3, -1)
    assert fc.linspace(0, 1, 3).tolist() == [0, 0.5, 1]
    assert fc.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert fc.logspace(0, 2, 3).tolist() == [1, 10, 100]


def test_like_and_new():
    x = fc.randn(2, 3, 4, 5, dtype=fc.float64).to(memory_format=fc.channels_last)
    for make in (fc.zeros_like, fc.ones_like, fc.empty_like, fc.rand_like, fc.randn_like):
        y = make(x)
        assert y.dtype is fc.float64 and y.stride() == x.stride()
        assert make(x, memory_format=fc.contiguous_format).is_contiguous()
        assert make(x, dtype=fc.float32).dtype is fc.float32
    assert fc.full_like(x, 3).sum().item() == 360
    assert x.new_zeros(2, 2).dtype is fc.float64 and x.new_tensor([1, 2]).dtype is fc.float64
    assert x.new_full((2,), 1).tolist() == [1.0, 1.0] and x.new_ones((3,)).sum() == 3
    assert fc.randint_like(fc.zeros(5), 3).max() < 3


def test_default_dtype():
    assert fc.get_default_dtype() is fc.float32
    try:
        fc.set_default_dtype(fc.float64)
        assert fc.tensor(1.0).dtype is fc.float64 and fc.zeros(1).dtype is fc.float64
        assert (fc.ones(1, dtype=fc.int64) / 2).dtype is fc.float64
        with pytest.raises(TypeError, match="int64"):
            fc.set_default_dtype(fc.int64)
    finally:
        fc.set_default_dtype(fc.float32)


# random numbers


def test_seeds():
    def draw():
        return [
            fc.rand(3), fc.randn(3), fc.randint(0, 10, (3,)), fc.randperm(5), fc.zeros(3).normal_(),
            fc.zeros(3).uniform_(-1, 1), fc.bernoulli(fc.full((9,), 0.5)), fc.normal(0.0, 1.0, (3,)),
            fc.multinomial(fc.ones(4), 2), fc.zeros(4).random_(100),
        ]  # fmt: skip

    assert fc.manual_seed(3).initial_seed() == 3 == fc.initial_seed()
    first = draw()
    fc.manual_seed(3)
    for a, b in zip(first, draw(), strict=True):
        assert fc.equal(a, b)
    state = fc.get_rng_state()
    a = fc.rand(3)
    fc.set_rng_state(state)
    assert fc.equal(a, fc.rand(3)) and not fc.equal(a, fc.rand(3))
    g = fc.Generator().manual_seed(5)
    b = fc.randn(3, generator=g)
    assert fc.equal(b, fc.randn(3, generator=fc.Generator().manual_seed(5)))


def test_distributions():
    fc.manual_seed(0)
    x = fc.randn(20000)
    assert abs(x.mean()) < 0.03 and abs(x.std() - 1) < 0.03
    x.uniform_(2, 4)
    assert 2 <= x.min() and x.max() < 4 and abs(x.mean() - 3) < 0.03
    x.normal_(5, 0.5)
    assert abs(x.mean() - 5) < 0.03 and abs(x.std() - 0.5) < 0.03
    assert sorted(fc.randperm(100).tolist()) == list(range(100))
    assert fc.randint(5, (1000,)).unique().tolist() == [0, 1, 2, 3, 4]
    assert abs(x.bernoulli_(0.25).mean() - 0.25) < 0.03
    with pytest.raises(ValueError, match="low"):
        fc.randint(3, 3, (2,))


# types and devices


def test_dtype_objects():
    assert repr(fc.float32) == "fastconv.float32" and fc.float is fc.float32 and fc.long is fc.int64
    assert np.dtype(fc.float64) == np.float64 and np.zeros(2, fc.int32).dtype == np.int32
    assert fc.float32 == np.float32 and fc.float32 == np.dtype("f4") and fc.float32 != fc.float64
    assert fc.float32.is_floating_point and not fc.int64.is_floating_point and fc.bool.itemsize == 1
    assert pickle.loads(pickle.dumps(fc.uint8)) is fc.uint8 and copy.deepcopy(fc.int8) is fc.int8
    assert {fc.float32: 1}[fc.float32] == 1


def test_conversions():
    x = fc.tensor([0.0, 1.5, -2.5])
    assert (
        x.long().tolist() == [0, 1, -2]
        and x.int().dtype is fc.int32
        and x.bool().tolist() == [False, True, True]
    )
    assert x.double().dtype is fc.float64 and x.half().dtype is fc.float16 and x.float() is x
    assert (
        x.to(fc.int64).dtype is fc.int64
        and x.to("cpu") is x
        and x.to("cpu", fc.float64).dtype is fc.float64
    )
    assert (
        x.to(fc.ones(1, dtype=fc.float64)).dtype is fc.float64
        and x.to(dtype=np.int32).dtype is fc.int32
    )
    assert x.to(x.device, non_blocking=True) is x and x.to(x.dtype, copy=True) is not x
    assert (
        x.cpu() is x
        and x.type() == "fastconv.FloatTensor"
        and x.type(fc.int64).type() == "fastconv.LongTensor"
    )
    assert x.type_as(fc.tensor(1)).dtype is fc.int64
    for wrong in ("cuda", "cuda:0", "mps", fc.device):
        with pytest.raises((RuntimeError, TypeError)):
            x.to(wrong)
    with pytest.raises(RuntimeError, match="cuda"):
        x.cuda()
    with pytest.raises(TypeError, match="colour"):
        x.to(colour=1)
    y = x.clone().requires_grad_()
    y.double().sum().backward()
    assert y.grad.dtype is fc.float32


def test_device():
    d = fc.device("cpu")
    assert repr(d) == "device(type='cpu')" and str(d) == "cpu" and fc.ones(1).device == d
    assert repr(fc.device("cpu", 0)) == repr(fc.device("cpu:0")) == "device(type='cpu', index=0)"
    assert fc.device(d) == d and not fc.ones(1).is_cuda


def test_scalars_keep_the_type():
    for kind in (fc.float32, fc.float64):
        x = fc.ones(2, dtype=kind)
        for y in (x + 1, 1 + x, x * 2.5, x / 3, x**2, 2**x, x - 1, 1 - x, x // 2, x % 2, -x, abs(x), 1 / x,
                  x * np.float64(2), x + np.int64(1), x.clamp(0, 1), fc.where(x > 0, x, 0.0), x * fc.tensor(2.0)):  # fmt: skip
            assert y.dtype is kind
    i = fc.ones(2, dtype=fc.int64)
    assert (
        (i + 1).dtype is fc.int64 and (i + 1.5).dtype is fc.float32 and (i / 2).dtype is fc.float32
    )
    assert (i > 0).dtype is fc.bool and (i * True).dtype is fc.int64


def test_arithmetic_with_arrays_gives_tensors():
    x = fc.ones(3)
    a = np.full(3, 2, np.float32)
    for y in (x + a, a + x, a * x, x @ a, a @ x, np.float32(2) * x, x - np.float64(1), a - x):
        assert isinstance(y, fc.Tensor) and y.dtype is fc.float32
    with pytest.raises(TypeError):
        x + "a"
    with pytest.raises(TypeError):
        x < "a"
    with pytest.raises(TypeError, match="list"):
        fc.add(x, [1])
    assert (x == "a") is False and (x == None) is False and (x != None) is True  # noqa: E711


def test_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = fc.tensor([0.0, -1.0, 1e30, float("nan")], requires_grad=True)
        y = x.log() + 1 / x + x.sqrt() + x * x * x + (x - x) / 0 + x.exp()
        y.sum().backward()
        x.detach().div_(0)
        x.detach().exp_()
        fc.tensor([1e300], dtype=fc.float64).float()
        (x.detach() > 0).any()


def test_integer_errors():
    i = fc.tensor([1, 2])
    with pytest.raises(RuntimeError, match="division by zero"):
        i // 0
    with pytest.raises(RuntimeError, match="division by zero"):
        i % fc.tensor([1, 0])
    with pytest.raises(RuntimeError, match="negative"):
        i**-1
    with pytest.raises(TypeError, match="bool"):
        fc.tensor([True]) - fc.tensor([True])
    with pytest.raises(TypeError, match="mean.*int64"):
        i.mean()
    with pytest.raises(TypeError):
        fc.ones(2) & 1


# attributes and Python protocols


def test_shape_attributes():
    x = fc.zeros(2, 3, 4)
    assert x.shape == x.size() == (2, 3, 4) and x.size(-1) == 4 and x.ndim == x.dim() == 3
    assert repr(x.shape) == "fastconv.Size([2, 3, 4])" and isinstance(x.shape[1:], fc.Size)
    assert x.shape + (1,) == (2, 3, 4, 1) and x.shape.numel() == x.numel() == x.nelement() == 24
    assert (
        x.stride() == (12, 4, 1) and x.stride(1) == 4 and x.element_size() == 4 and x.nbytes == 96
    )
    assert x[1].storage_offset() == 12 and x.is_floating_point()
    with pytest.raises(IndexError, match="dim 3"):
        x.size(3)
    assert pickle.loads(pickle.dumps(x.shape)) == x.shape


def test_python_protocols():
    x = fc.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2 and [r.tolist() for r in x] == [[1, 2], [3, 4]] and 3.0 in x and 7 not in x
    assert float(fc.tensor(2.5)) == 2.5 and int(fc.tensor([3])) == 3 and bool(fc.tensor(1)) is True
    assert (
        [10, 20, 30][fc.tensor(1)] == 20
        and f"{fc.tensor(1.5):.2f}" == "1.50"
        and f"{x[0]}" == str(x[0])
    )
    assert (
        x[0, 1].item() == 2
        and x.tolist() == [[1, 2], [3, 4]]
        and hash(x) == id(x)
        and len({x, x}) == 1
    )
    for wrong in (lambda: bool(x), lambda: x.item(), lambda: float(x)):
        with pytest.raises(RuntimeError, match=r"\(2, 2\)"):
            wrong()
    for wrong in (
        lambda: len(fc.tensor(1)),
        lambda: list(fc.tensor(1)),
        lambda: [1][fc.tensor(0.0)],
    ):
        with pytest.raises(TypeError):
            wrong()
    a, b = fc.ones(2).unbind()
    assert a.item() == b.item() == 1


def test_numpy_interoperation():
    x = fc.ones(2, 2)
    assert x.numpy() is x.array and np.asarray(x) is x.array and np.array(x) is not x.array
    assert np.asarray(x, np.float64).dtype == np.float64 and np.exp(x).shape == (2, 2)
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, np.float64, copy=False)
    x.requires_grad_()
    with pytest.raises(RuntimeError, match=r"detach\(\)"):
        x.numpy()
    with pytest.raises(RuntimeError, match=r"detach\(\)"):
        np.asarray(x)
    assert x.numpy(force=True) is x.array
    y = np.from_dlpack(x.detach())
    y[0, 0] = 9
    assert x[0, 0].item() == 9 and fc.from_dlpack(y).array.base is not None
    assert x.__dlpack_device__() == (1, 0)
    with pytest.raises(RuntimeError):
        x.__dlpack__()


def test_pickle_and_deepcopy():
    class Tagged(fc.Tensor):
        pass

    x = fc.randn(2, 3, requires_grad=True)
    (x * 2).sum().backward()
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert fc.equal(x, y) and y.requires_grad and y.array is not x.array and y.is_leaf
    assert fc.equal(copy.deepcopy(x).grad, x.grad)
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1]
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(x * 2)
    with pytest.raises(RuntimeError, match="leaf"):
        pickle.dumps(x * 2)
    z = fc.randn(2, 3, 4, 5).to(memory_format=fc.channels_last)
    assert copy.deepcopy(z).stride() == z.stride() == copy.copy(z).stride()
    t = Tagged([1.0])
    t.name = ["a"]
    u = copy.deepcopy(t)
    assert type(u) is Tagged and u.name == ["a"] and u.name is not t.name
    assert type(t + 1) is fc.Tensor


def test_data_and_detach():
    x = fc.ones(2, requires_grad=True)
    x.data += 1
    assert x.tolist() == [2, 2] and x.requires_grad and x.is_leaf
    x.data = fc.zeros(3)
    assert x.shape == (3,) and x.requires_grad
    with pytest.raises(TypeError):
        x.data = 3


def test_printing():
    fc.set_printoptions(precision=2)
    try:
        assert repr(fc.tensor([1.234])) == "tensor([1.23])"
    finally:
        fc.set_printoptions(profile="default")
    assert (
        repr(fc.tensor([[1.0, 2.5]], dtype=fc.float64))
        == "tensor([[1.0000, 2.5000]], dtype=fastconv.float64)"
    )
    assert repr(fc.ones(1, requires_grad=True) * 2) == "tensor([2.], grad_fn=<MulBackward0>)"
    assert "..." in repr(fc.zeros(2000)) and repr(fc.zeros(0)) == "tensor([])"


# shapes


def test_views_share_memory_and_versions():
    x = fc.arange(12.0)
    for view in (
        x.view(3, 4), x.reshape(2, -1), x[2:5], x.view(3, 4).t(), x.unsqueeze(0), x.narrow(0, 1, 2), x.chunk(2)[1],
        x.expand(2, 12), x.view(3, 4)[..., 1], x.unflatten(0, (3, 4)), x.view(1, 12).squeeze(0), x[3], x[None],
        x.view(3, 4).movedim(0, 1), x.split(5)[2], x.view(3, 4).flatten(), x.view(3, 4).select(1, 2),
    ):  # fmt: skip
        assert np.shares_memory(view.array, x.array) and view._version_box is x._version_box
    for copied in (
        x.view(3, 4).t().reshape(-1),
        x.clone(),
        x[[1, 2]],
        x[x > 3],
        x.repeat(2),
        x.flip(0),
        x + 0,
    ):
        assert (
            not np.shares_memory(copied.array, x.array)
            and copied._version_box is not x._version_box
        )
    x[5].add_(100)
    assert x[5] == 105


def test_view_of_channels_last_copies():
    x = fc.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=fc.channels_last)
    assert x.view(1, -1).tolist() == [list(range(24))] and x.flatten(1).tolist() == [
        list(range(24))
    ]


def test_memory_formats():
    x = fc.randn(2, 3, 4, 5)
    y = x.to(memory_format=fc.channels_last)
    assert y.shape == x.shape and y.stride() == (60, 1, 15, 3) and fc.equal(x, y)
    assert y.is_contiguous(memory_format=fc.channels_last) and not y.is_contiguous()
    assert y.to(memory_format=fc.channels_last) is y and y.contiguous().is_contiguous()
    for kept in (y * 2, y + y, y.exp(), y.relu(), -y, y.clamp(0), y > 0, fc.where(y > 0, y, 0.0), y.double(),
                 y.masked_fill(y > 0, 1.0), y + fc.randn(1, 3, 1, 1), fc.cat([y, y], 1), y.clone(), y.sigmoid()):  # fmt: skip
        assert kept.is_contiguous(memory_format=fc.channels_last)
    z = fc.randn(1, 2, 3, 4, 5).contiguous(memory_format=fc.channels_last_3d)
    assert z.is_contiguous(memory_format=fc.channels_last_3d)
    assert repr(fc.channels_last) == "fastconv.channels_last"
    assert pickle.loads(pickle.dumps(fc.channels_last)) is fc.channels_last
    with pytest.raises(ValueError, match=r"4 axes.*\(3,\)"):
        fc.ones(3).to(memory_format=fc.channels_last)
    with pytest.raises(TypeError, match="7"):
        x.contiguous(memory_format=7)
    x.requires_grad_()
    x.to(memory_format=fc.channels_last).sum().backward()
    assert x.grad.sum() == 120


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: x.reshape(5, 5), ValueError, r"\(2, 3, 4\).*\(5, 5\)"),
        (lambda x: x.view(-1, -1), ValueError, r"\(-1, -1\)"),
        (lambda x: x.permute(0, 1), ValueError, r"\(0, 1\)"),
        (lambda x: x.permute(0, 1, 1), ValueError, r"\(0, 1, 1\)"),
        (lambda x: x.transpose(0, 3), IndexError, "dim 3"),
        (lambda x: x.t(), ValueError, r"\(2, 3, 4\)"),
        (lambda x: x.expand(2, 5, 4), ValueError, r"\(2, 5, 4\)"),
        (lambda x: x.expand(3, 4), ValueError, r"\(3, 4\)"),
        (lambda x: x.repeat(2), ValueError, r"\(2, 3, 4\)"),
        (lambda x: x.flatten(2, 1), ValueError, "start_dim 2"),
        (lambda x: x.narrow(1, 2, 2), ValueError, "size 3"),
        (lambda x: x.split([1, 1], 1), ValueError, "add up"),
        (lambda x: x.chunk(0), ValueError, "0"),
        (lambda x: x.sum(3), IndexError, "dim 3"),
        (lambda x: x.sum((0, 0)), ValueError, "twice"),
        (lambda x: x.sum("a"), TypeError, "'a'"),
        (lambda x: x[:, :0].max(1), ValueError, "size 0"),
        (lambda x: x[:0].argmax(), ValueError, "size 0"),
        (lambda x: fc.cat([x, x[:, :2]], 0), ValueError, r"\(2, 2, 4\)"),
        (lambda x: fc.cat([]), ValueError, "at least one"),
        (lambda x: fc.cat([x, 3]), TypeError, r"tensors\[1\]"),
        (lambda x: fc.stack([x, x[0]]), ValueError, r"\(3, 4\)"),
        (lambda x: x @ x, ValueError, r"\(2, 3, 4\)"),
        (lambda x: x @ x.double().mT, ValueError, "float64"),
        (lambda x: x @ fc.tensor(1.0), ValueError, r"\(\)"),
        (lambda x: fc.mm(x, x), ValueError, "2 axes"),
        (lambda x: fc.bmm(x, x[:1].mT), ValueError, "batch"),
        (lambda x: x.topk(5), ValueError, "k = 5"),
        (lambda x: x.gather(0, fc.zeros(1, 1, dtype=fc.int64)), ValueError, r"\(1, 1\)"),
        (lambda x: x.gather(0, fc.zeros(1, 1, 1)), TypeError, "float32"),
        (lambda x: x.gather(0, fc.full((1, 1, 1), 2)), IndexError, "size 2"),
        (lambda x: x.scatter(0, fc.full((1, 1, 1), -1), 1.0), IndexError, "size 2"),
        (lambda x: x.masked_fill(x, 1), TypeError, "float32"),
        (lambda x: x[3], IndexError, "3"),
        (lambda x: x[0.5], TypeError, "0.5"),
        (lambda x: x[x], IndexError, "float32"),
        (lambda x: x[::-1], ValueError, "-1"),
        (lambda x: x[0, 0, 0, 0], IndexError, "too many"),
        (lambda x: x.clamp(), ValueError, "min"),
        (lambda x: x + fc.ones(5), ValueError, r"5"),
        (lambda x: fc.where(x, x, x), TypeError, "float32"),
        (lambda x: x.div(2, rounding_mode="up"), ValueError, "'up'"),
        (lambda x: fc.exp(3), TypeError, "int"),
        (lambda x: x.norm("nuc"), ValueError, "'nuc'"),
        (lambda x: x.copy_(3), TypeError, "int"),
        (lambda x: x.fill_(fc.ones(2)), ValueError, r"\(2,\)"),
        (lambda x: fc.tensor(1.0)[0], IndexError, "without axes"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call(fc.zeros(2, 3, 4))


# reductions and picking


def test_reductions():
    x = fc.arange(24.0).reshape(2, 3, 4)
    assert (
        x.sum().item() == 276
        and x.sum((0, 2)).tolist() == [60, 92, 124]
        and x.sum(-1, True).shape == (2, 3, 1)
    )
    assert x.mean((1, 2)).tolist() == [5.5, 17.5] and x.sum(dim=()).item() == 276
    assert x.sum(dtype=fc.float64).dtype is fc.float64 and fc.tensor([True, True]).sum().item() == 2
    assert x.any().item() and not x.all() and x.all(2).tolist() == [[False, True, True], [True] * 3]
    values, indices = result = x.max(1)
    assert result.values is values and result.indices is indices and type(result).__name__ == "max"
    assert indices.tolist() == [[2] * 4] * 2 and values[0].tolist() == [8, 9, 10, 11]
    assert (
        x.argmax().item() == 23
        and x.argmax(1, keepdim=True).shape == (2, 1, 4)
        and x.argmin(dim=-1)[0, 0] == 0
    )
    assert fc.tensor([3.0, 1.0]).median().item() == 1 and x.amax((0, 1)).tolist() == [
        20,
        21,
        22,
        23,
    ]
    assert fc.zeros(0).sum().item() == 0 and fc.zeros(0, 3).prod(0).tolist() == [1, 1, 1]
    assert np.isnan(fc.zeros(0).mean().item()) and np.isnan(fc.ones(1).var().item())
    assert fc.tensor(3.0).sum(0).item() == 3 and fc.tensor(3.0).max(0).indices.item() == 0
    assert fc.logsumexp(fc.tensor([-np.inf, -np.inf]), 0).item() == -np.inf
    assert fc.count_nonzero(x).item() == 23 and fc.std_mean(x)[1].item() == 11.5


def test_large_sums_are_accurate():
    x = fc.full((1 << 22,), 0.1)
    assert abs(x.sum().item() / (0.1 * (1 << 22)) - 1) < 1e-6


def test_indexing_forms():
    x = fc.arange(24).reshape(2, 3, 4)
    a = x.numpy()
    i, m = fc.tensor([1, 0, 1]), x > 10
    for ours, theirs in (
        (x[i], a[[1, 0, 1]]), (x[m], a[a > 10]), (x[:, i], a[:, [1, 0, 1]]), (x[i, i], a[[1, 0, 1], [1, 0, 1]]),
        (x[..., -1], a[..., -1]), (x[1, None, :, 2], a[1, None, :, 2]), (x[fc.tensor(1)], a[1]), (x[True], a[None]),
        (x[[0, 1], [2, 1]], a[[0, 1], [2, 1]]), (x[i[:, None], fc.tensor([[0, 2]])], a[[[1], [0], [1]], [[0, 2]]]),
        (x[0, 1:, ::2], a[0, 1:, ::2]), (x[range(2)], a[[0, 1]]), (x[m.any(2)], a[(a > 10).any(2)]),
        (x[np.array([0])], a[[0]]), (x[:, [True, False, True]], a[:, [True, False, True]]), (x[()], a), (x[[]], a[[]]),
    ):  # fmt: skip
        np.testing.assert_array_equal(ours.numpy(), theirs)


def test_setitem_forms():
    def check(index, value):
        x, a = fc.zeros(3, 4), np.zeros((3, 4), np.float32)
        x[tuple(fc.as_tensor(i) if isinstance(i, np.ndarray) else i for i in index)] = value
        a[index] = value.numpy() if isinstance(value, fc.Tensor) else value
        np.testing.assert_array_equal(x.numpy(), a)
        assert x._version == 1

    check((0,), 5)
    check((slice(None), 1), fc.arange(3.0))
    check((np.array([0, 2]),), fc.ones(2, 4))
    check((np.eye(3, 4) > 0,), fc.tensor([1.0, 2.0, 3.0]))
    check((Ellipsis, np.array([1, 1])), 2.5)
    check((1, 1), fc.tensor(3))
    check((slice(1, 3),), [1, 2, 3, 4])
    check((slice(0, 2), slice(0, 2)), np.ones((2, 2)))
    x = fc.zeros(2, 2)
    x[0] = fc.ones(1, 1, 2)
    x[1] += 3
    assert x.tolist() == [[1, 1], [3, 3]]


def test_scatter_makes_one_hot():
    labels = fc.tensor([2, 0, 1])
    hot = fc.zeros(3, 3).scatter_(1, labels.unsqueeze(1), 1)
    assert hot.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    src = fc.randn(3, 4, dtype=fc.float64, requires_grad=True)
    base = fc.randn(3, 5, dtype=fc.float64, requires_grad=True)
    index = fc.tensor([[0, 1], [2, 2]])  # smaller than src
    assert gradcheck(lambda b, s: b.scatter_add(1, index, s), (base, src))
    assert gradcheck(lambda b, s: b.scatter(1, fc.tensor([[0, 1, 4]]), s), (base, src))
    assert fc.zeros(3).index_add_(0, fc.tensor([0, 0, 2]), fc.ones(3)).tolist() == [2, 0, 1]


def test_sorting():
    x = fc.tensor([[3.0, 1.0, 2.0], [1.0, 1.0, 0.0]])
    values, indices = x.sort(descending=True)
    assert values.tolist() == [[3, 2, 1], [1, 1, 0]] and indices.tolist() == [[0, 2, 1], [0, 1, 2]]
    assert x.argsort().tolist() == [[1, 2, 0], [2, 0, 1]]
    top = x.topk(2)
    assert top.values.tolist() == [[3, 2], [1, 1]] and top.indices.tolist() == [[0, 2], [0, 1]]
    assert fc.topk(x, 1, dim=0, largest=False).values.tolist() == [[1, 1, 0]]
    assert fc.tensor([2, 1, 2]).unique().tolist() == [1, 2] and fc.bincount(
        fc.tensor([1, 1, 3])
    ).tolist() == [0, 2, 0, 1]
    assert fc.nonzero(x > 1).tolist() == [[0, 0], [0, 2]] and fc.where(x > 1)[1].tolist() == [0, 2]


def test_gradients_of_what_the_oracle_lacks():
    x = (fc.arange(12, dtype=fc.float64).reshape(3, 4) / 3 - 1.7).requires_grad_()
    for f in (
        lambda t: t.std((0, 1), keepdim=True), lambda t: fc.dist(t, fc.ones(3, 4, dtype=fc.float64)), lambda t: t.nansum(0),
        lambda t: t.index_fill(0, fc.tensor([1]), 2.0), lambda t: t.index_copy(0, fc.tensor([2]), t[:1] * 2),
        lambda t: fc.take(t, fc.tensor([0, 0, 5])), lambda t: t.exp2() + t.cosh(), lambda t: t.norm(0) * t.sum(),
        lambda t: fc.take_along_dim(t, t.argmax(1, keepdim=True), 1), lambda t: fc.vstack([t, t[0]]),
        lambda t: fc.hstack([t, t]), lambda t: fc.baddbmm(t[None], t[None, :, :3], t[None, :3]), lambda t: fc.mv(t, t[0]),
        lambda t: t.var(1, correction=2), lambda t: fc.clamp(t, fc.full((4,), -1.0, dtype=fc.float64), 0.35), lambda t: t.masked_fill(t > 0, t[0, 0]),
    ):  # fmt: skip
        assert gradcheck(f, x)


def test_out_arguments():
    a, out = fc.ones(3), fc.zeros(3)
    assert fc.add(a, 2, out=out) is out and out.tolist() == [3, 3, 3] and out._version == 1
    assert fc.exp(a * 0, out=out).tolist() == [1, 1, 1]


def test_in_place_methods_return_the_tensor():
    x = fc.ones(2, 3)
    for name, args in {
        "add_": (1,), "mul_": (2,), "sub_": (1,), "div_": (2,), "pow_": (2,), "fill_": (3,), "zero_": (), "exp_": (),
        "clamp_": (0, 1), "relu_": (), "copy_": (fc.zeros(2, 3),), "masked_fill_": (x > 5, 1), "neg_": (),
        "scatter_": (0, fc.zeros(1, 3, dtype=fc.int64), 1.0), "normal_": (), "uniform_": (), "addcmul_": (x, x),
        "floor_": (), "round_": (), "tanh_": (), "sigmoid_": (), "requires_grad_": (False,), "random_": (),
    }.items():  # fmt: skip
        version = x._version
        assert getattr(x, name)(*args) is x
        assert x._version == version + (name != "requires_grad_")
    assert fc.ones(2, 1).squeeze_().shape == (2,) and fc.ones(2).unsqueeze_(0).shape == (1, 2)
    i = fc.tensor([1, 2])
    i += 1
    i <<= 1 if hasattr(i, "__ilshift__") else fc.tensor(1)
    assert i.tolist() == [4, 6]


def test_read_only_arrays():
    a = np.ones(3, np.float32)
    a.flags.writeable = False
    x = fc.from_numpy(a)
    assert (x * 2).tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="read-only"):
        x.add_(1)
    y = x.requires_grad_() * 1
    y.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_softmax_methods():
    x = fc.tensor([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(x.softmax(1).sum().item(), 1, rtol=1e-6)
    np.testing.assert_allclose(x.log_softmax(-1).exp().numpy(), x.softmax(-1).numpy(), rtol=1e-6)


def test_two_threads_compute_at_once():
    results = []

    def work(seed):
        x = fc.tensor(np.random.default_rng(seed).standard_normal((20, 20)), requires_grad=True)
        for _ in range(20):
            x.grad = None
            ((x @ x).tanh() * x).sum().backward()
        results.append((seed, x.grad.sum().item()))

    threads = [threading.Thread(target=work, args=(s,)) for s in (1, 2, 3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    parallel = dict(results)
    results.clear()
    for s in (1, 2, 3):
        work(s)
    assert parallel == dict(results)


def test_import_is_light():
    code = (
        "import sys, fastconv; "
        "heavy = {'numba', 'matplotlib', 'sklearn', 'tqdm', 'inspect', 'asyncio', 'unittest', 'multiprocessing'}; "
        "import numpy; print(sorted(heavy & set(sys.modules)))"
    )
    plain = "import sys, numpy; print(sorted({'inspect', 'asyncio', 'unittest', 'multiprocessing'} & set(sys.modules)))"
    ours, theirs = (
        subprocess.run([sys.executable, "-c", c], capture_output=True, text=True, check=True).stdout
        for c in (code, plain)
    )
    assert ours == theirs
