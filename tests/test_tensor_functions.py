"""Shapes, layouts, reductions, indexing, sorting and in-place methods, without PyTorch at hand."""

import pickle

import numpy as np
import pytest

import fastconv as fc
from fastconv.autograd import gradcheck

# shapes


def test_views_share_memory_and_versions():
    x = fc.arange(12.0)
    for view in (
        x.view(3, 4),
        x.reshape(2, -1),
        x[2:5],
        x.view(3, 4).t(),
        x.unsqueeze(0),
        x.narrow(0, 1, 2),
        x.chunk(2)[1],
        x.expand(2, 12),
        x.view(3, 4)[..., 1],
        x.unflatten(0, (3, 4)),
        x.view(1, 12).squeeze(0),
        x[3],
        x[None],
        x.view(3, 4).movedim(0, 1),
        x.split(5)[2],
        x.view(3, 4).flatten(),
        x.view(3, 4).select(1, 2),
    ):
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
    for kept in (
        y * 2,
        y + y,
        y.exp(),
        y.relu(),
        -y,
        y.clamp(0),
        y > 0,
        fc.where(y > 0, y, 0.0),
        y.double(),
        y.masked_fill(y > 0, 1.0),
        y + fc.randn(1, 3, 1, 1),
        fc.cat([y, y], 1),
        y.clone(),
        y.sigmoid(),
    ):
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


def test_numpy_argument_names():
    x = fc.arange(6.0).reshape(2, 3)
    assert x.sum(axis=0).tolist() == [3, 5, 7] and x.mean(axis=1, keepdims=True).shape == (2, 1)
    assert fc.max(x, axis=1).indices.tolist() == [2, 2] and x.argmax(axis=0).tolist() == [1, 1, 1]
    assert fc.cat([x, x], axis=1).shape == (2, 6) and fc.stack([x, x], axis=2).shape == (2, 3, 2)
    with pytest.raises(TypeError, match="axes"):
        x.sum(axes=0)


def test_large_sums_are_accurate():
    x = fc.full((1 << 22,), 0.1)
    assert abs(x.sum().item() / (0.1 * (1 << 22)) - 1) < 1e-6


def test_indexing_forms():
    x = fc.arange(24).reshape(2, 3, 4)
    a = x.numpy()
    i, m = fc.tensor([1, 0, 1]), x > 10
    for ours, theirs in (
        (x[i], a[[1, 0, 1]]),
        (x[m], a[a > 10]),
        (x[:, i], a[:, [1, 0, 1]]),
        (x[i, i], a[[1, 0, 1], [1, 0, 1]]),
        (x[..., -1], a[..., -1]),
        (x[1, None, :, 2], a[1, None, :, 2]),
        (x[fc.tensor(1)], a[1]),
        (x[True], a[None]),
        (x[[0, 1], [2, 1]], a[[0, 1], [2, 1]]),
        (x[i[:, None], fc.tensor([[0, 2]])], a[[[1], [0], [1]], [[0, 2]]]),
        (x[0, 1:, ::2], a[0, 1:, ::2]),
        (x[range(2)], a[[0, 1]]),
        (x[m.any(2)], a[(a > 10).any(2)]),
        (x[np.array([0])], a[[0]]),
        (x[:, [True, False, True]], a[:, [True, False, True]]),
        (x[()], a),
        (x[[]], a[[]]),
    ):
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
        lambda t: t.std((0, 1), keepdim=True),
        lambda t: fc.dist(t, fc.ones(3, 4, dtype=fc.float64)),
        lambda t: t.nansum(0),
        lambda t: t.index_fill(0, fc.tensor([1]), 2.0),
        lambda t: t.index_copy(0, fc.tensor([2]), t[:1] * 2),
        lambda t: fc.take(t, fc.tensor([0, 0, 5])),
        lambda t: t.exp2() + t.cosh(),
        lambda t: t.norm(0) * t.sum(),
        lambda t: fc.take_along_dim(t, t.argmax(1, keepdim=True), 1),
        lambda t: fc.vstack([t, t[0]]),
        lambda t: fc.hstack([t, t]),
        lambda t: fc.baddbmm(t[None], t[None, :, :3], t[None, :3]),
        lambda t: fc.mv(t, t[0]),
        lambda t: t.var(1, correction=2),
        lambda t: fc.clamp(t, fc.full((4,), -1.0, dtype=fc.float64), 0.35),
        lambda t: t.masked_fill(t > 0, t[0, 0]),
    ):
        assert gradcheck(f, x)


def test_out_arguments():
    a, out = fc.ones(3), fc.zeros(3)
    assert fc.add(a, 2, out=out) is out and out.tolist() == [3, 3, 3] and out._version == 1
    assert fc.exp(a * 0, out=out).tolist() == [1, 1, 1]


def test_in_place_methods_return_the_tensor():
    x = fc.ones(2, 3)
    for name, args in {
        "add_": (1,),
        "mul_": (2,),
        "sub_": (1,),
        "div_": (2,),
        "pow_": (2,),
        "fill_": (3,),
        "zero_": (),
        "exp_": (),
        "clamp_": (0, 1),
        "relu_": (),
        "copy_": (fc.zeros(2, 3),),
        "masked_fill_": (x > 5, 1),
        "neg_": (),
        "scatter_": (0, fc.zeros(1, 3, dtype=fc.int64), 1.0),
        "normal_": (),
        "uniform_": (),
        "addcmul_": (x, x),
        "floor_": (),
        "round_": (),
        "tanh_": (),
        "sigmoid_": (),
        "requires_grad_": (False,),
        "random_": (),
    }.items():
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
