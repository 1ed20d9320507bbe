"""NumPy, PyTorch, JAX and scikit-learn take our tensors; pickles and copies are whole."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn

KINDS = ("float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")


# ---------------------------------------------------------------- NumPy


def test_array_shares_unless_a_copy_is_asked_for() -> None:
    x = fc.arange(6.0).reshape(2, 3)
    for view in (np.asarray(x), np.array(x, copy=False), np.asarray(x, dtype=np.float32),
                 np.asarray(x.T).T, np.asarray(x, dtype=fc.float32)):  # fmt: skip
        assert np.shares_memory(view, x.array) and view.dtype == np.float32
    for other in (np.array(x), np.array(x, copy=True), np.array(x, dtype=np.float32, copy=True)):
        assert not np.shares_memory(other, x.array)
        np.testing.assert_array_equal(other, x.numpy())
    assert np.asarray(x, dtype=np.int64).dtype == np.int64
    assert np.asarray(x, dtype=fc.float64).dtype == np.float64
    with pytest.raises(ValueError, match="float32 as float64 needs a copy"):
        np.array(x, dtype=np.float64, copy=False)
    with pytest.raises(RuntimeError, match="detach"):
        np.asarray(fc.ones(2, requires_grad=True))


def test_writes_through_an_array_are_seen() -> None:
    x = fc.zeros(2, 3)
    np.asarray(x)[0, 1] = 5
    assert x[0, 1].item() == 5


def test_functions_of_numpy() -> None:
    x = fc.arange(6.0).reshape(2, 3)
    assert np.concatenate([x, x]).shape == (4, 3) and np.stack([x[0], x[1]]).shape == (2, 3)
    assert np.array([x[0], x[1]]).shape == (2, 3) and np.where(x > 2, x, 0).sum() == 12
    assert np.array([fc.tensor(1.0), fc.tensor(2.0)]).tolist() == [1, 2]
    np.testing.assert_allclose(np.sin(x), np.sin(x.numpy()))


def late() -> Any:
    """A result that has not been written yet."""
    with fc.no_grad():
        return fc.nn.functional.batch_norm(fc.ones(2, 4, 5, 5), fc.zeros(4), fc.ones(4))


@pytest.mark.parametrize("kind", KINDS)
def test_dlpack_with_numpy(kind: str) -> None:
    x = fc.tensor([[1, 0, 1], [0, 1, 1]]).to(getattr(fc, kind))
    for tensor in (x, x.T, x[:, 1:], x[:0], x[0, 0]):
        array = np.from_dlpack(tensor)
        assert array.dtype == kind and array.shape == tuple(tensor.shape)
        assert np.shares_memory(array, x.array) or not array.size
        back = fc.from_dlpack(tensor.numpy())
        assert back.dtype is x.dtype and back.data_ptr() == tensor.data_ptr()
    assert np.from_dlpack(late()).shape == (2, 4, 5, 5)


def test_arrays_that_may_not_be_written_stay_as_they_are() -> None:
    array = np.ones((1, 16, 16, 16), np.float32)
    array.setflags(write=False)
    for x in (fc.from_dlpack(array), fc.from_numpy(array)):
        for write in (x.mul_, x.fill_, x.clamp_):
            with pytest.raises(ValueError, match="read-only"):
                write(0.5)
        with pytest.raises(ValueError, match="read-only"):
            nn.functional.relu_(x)
        p = nn.Parameter(x)
        p.sum().backward()
        with pytest.raises(ValueError, match="read-only"):
            fc.optim.SGD([p], lr=1).step()
    assert (array == 1).all()


def test_what_dlpack_does_not_take() -> None:
    with pytest.raises(TypeError, match="has no __dlpack__, it is list"):
        fc.from_dlpack([1])
    with pytest.raises(TypeError, match="complex"):
        fc.from_dlpack(np.ones(2, np.complex64))
    with pytest.raises(RuntimeError, match="detach"):
        np.from_dlpack(fc.ones(2, requires_grad=True))
    backwards = fc.from_numpy(np.arange(4.0)[::-1])
    with pytest.raises(BufferError, match=r"strides \(-1,\) cannot be exported: use contiguous"):
        np.from_dlpack(backwards)
    assert np.from_dlpack(backwards.contiguous()).tolist() == [3, 2, 1, 0]


# ---------------------------------------------------------------- PyTorch and JAX


@pytest.mark.torch
@pytest.mark.parametrize("kind", KINDS)
def test_dlpack_with_pytorch(kind: str) -> None:
    torch = pytest.importorskip("torch")
    x = fc.tensor([[1, 0, 1], [0, 1, 1]]).to(getattr(fc, kind))
    for tensor in (x, x.T, x[:, 1:], x[0, 0]):
        theirs = torch.from_dlpack(tensor)
        assert theirs.dtype == getattr(torch, kind) and theirs.stride() == tensor.stride()
        assert theirs.data_ptr() == tensor.data_ptr()
        ours = fc.from_dlpack(theirs)
        assert ours.dtype is tensor.dtype and ours.data_ptr() == tensor.data_ptr()
        np.testing.assert_array_equal(ours.numpy(), tensor.numpy())
    y = torch.zeros(2, 3)
    fc.from_dlpack(y)[0, 1] = 7
    assert y[0, 1] == 7


@pytest.mark.torch
def test_dlpack_with_pytorch_more() -> None:
    torch = pytest.importorskip("torch")
    image = fc.randn(2, 3, 4, 5).to(memory_format=fc.channels_last)
    assert torch.from_dlpack(image).is_contiguous(memory_format=torch.channels_last)
    back = fc.from_dlpack(torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last))
    assert back.is_contiguous(memory_format=fc.channels_last)
    assert torch.from_dlpack(fc.ones(3, 1).expand(3, 5)).stride() == (1, 0)
    assert torch.from_dlpack(late()).shape == (2, 4, 5, 5)
    with pytest.raises(TypeError, match=r"a tensor cannot hold torch\.bfloat16; convert x first"):
        fc.from_dlpack(torch.ones(2).bfloat16())
    with pytest.raises(BufferError, match="detach"):
        fc.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(BufferError, match="contiguous"):  # it would end the process
        torch.from_dlpack(fc.from_numpy(np.arange(4.0)[::-1]))
    assert torch.as_tensor(fc.ones(2)).tolist() == [1, 1] == torch.tensor(fc.ones(2)).tolist()


def test_dlpack_with_jax() -> None:
    jax = pytest.importorskip("jax")
    x = fc.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(np.asarray(jax.dlpack.from_dlpack(x)), x.numpy())
    y = jax.numpy.arange(3.0)
    assert fc.from_dlpack(y).data_ptr() == y.unsafe_buffer_pointer()


# ---------------------------------------------------------------- scikit-learn


def test_metrics_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, guess = fc.tensor([0, 1, 2, 1, 2]), fc.tensor([0, 2, 2, 1, 0])
    chance = fc.softmax(fc.randn(5, 3), 1)
    a, b, c = truth.numpy(), guess.numpy(), chance.numpy()
    names = ("accuracy_score", "confusion_matrix", "balanced_accuracy_score", "cohen_kappa_score",
             "matthews_corrcoef", "classification_report", "hamming_loss", "zero_one_loss",
             "mean_squared_error", "r2_score", "mean_absolute_error")  # fmt: skip
    for name in names:
        function = getattr(metrics, name)
        assert np.array_equal(function(truth, guess), function(a, b)), name
    for name in ("f1_score", "precision_score", "recall_score", "jaccard_score"):
        function = getattr(metrics, name)
        assert function(truth, guess, average="macro") == function(a, b, average="macro"), name
    assert metrics.log_loss(truth, chance) == pytest.approx(metrics.log_loss(a, c))
    assert metrics.top_k_accuracy_score(truth, chance, k=2) == metrics.top_k_accuracy_score(
        a, c, k=2
    )
    assert metrics.roc_auc_score(truth, chance, multi_class="ovr") == metrics.roc_auc_score(
        a, c, multi_class="ovr"
    )
    weights = fc.tensor([1.0, 3, 1, 1, 1])
    assert metrics.accuracy_score(truth, guess, sample_weight=weights) == pytest.approx(3 / 7)
    found = metrics.precision_recall_curve(fc.tensor([1, 0]), fc.tensor([0.3, 0.6]))
    assert found[0].tolist() == [0.5, 0, 1]


def test_splitters_of_scikit_learn() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    x, y = fc.arange(20 * 12.0).reshape(20, 3, 2, 2), fc.arange(20) % 2
    parts = selection.train_test_split(x, y, stratify=y, random_state=0)
    assert all(type(part) is fc.Tensor for part in parts)
    train, test, a, b = parts
    np.testing.assert_array_equal(train[:, 0, 0, 0].numpy() / 12 % 2, a.numpy())
    assert (len(train), len(test)) == (15, 5) and b.sum().item() in (2, 3)
    assert not set(train[:, 0, 0, 0].tolist()) & set(test[:, 0, 0, 0].tolist())
    for splitter, more in (
        (selection.KFold(4), {}), (selection.StratifiedKFold(4), {}), (selection.LeaveOneOut(), {}),
        (selection.GroupKFold(2), {"groups": y}), (selection.ShuffleSplit(3, random_state=0), {}),
        (selection.StratifiedShuffleSplit(3, random_state=0), {}),
        (selection.TimeSeriesSplit(3), {}), (selection.RepeatedKFold(n_splits=2, n_repeats=2), {}),
    ):  # fmt: skip
        ours = list(splitter.split(x, y, **more))
        assert ours
        for inside, outside in ours:
            assert x[inside].shape == (len(inside), 3, 2, 2)
            np.testing.assert_array_equal(x[outside].numpy(), x.numpy()[outside])


def test_estimators_and_tools_of_scikit_learn() -> None:
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils import shuffle

    fc.manual_seed(0)
    x, y = fc.randn(24, 3), fc.arange(24) % 2
    x = x + 4 * y[:, None]
    assert cross_val_score(LogisticRegression(), x, y, cv=4).mean() > 0.9
    assert StandardScaler().fit_transform(x).std(0) == pytest.approx(np.ones(3), rel=1e-5)
    a, b = shuffle(x, y, random_state=0)
    assert type(a) is fc.Tensor and ((a[:, 0] > 2) == (b == 1)).float().mean().item() > 0.7


# ---------------------------------------------------------------- pickling and copies


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", KINDS)
def test_tensors_are_pickled(kind: str, protocol: int) -> None:
    x = fc.tensor([[1, 0, 1], [0, 1, 1]]).to(getattr(fc, kind))
    for tensor in (x, x.T, x[:, 1:], x[:0], x[0, 0]):
        back = pickle.loads(pickle.dumps(tensor, protocol))
        assert type(back) is fc.Tensor and back.dtype is x.dtype
        np.testing.assert_array_equal(back.numpy(), tensor.numpy())
        assert not np.shares_memory(back.numpy(), x.array)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_networks_and_what_belongs_to_them_are_pickled(protocol: int) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    model[0].tied = model[0].weight
    model(fc.randn(2, 1, 6, 6)).sum().backward()
    adam = fc.optim.Adam(model.parameters())
    adam.step()
    values = [model, adam, model[0].weight, fc.float32, fc.Size([1, 2]), fc.device("cpu"),
              fc.channels_last, fc.strided]  # fmt: skip
    back = pickle.loads(pickle.dumps(values, protocol))
    assert back[0][0].tied is back[0][0].weight is back[2] and back[3] is fc.float32
    assert back[1].param_groups[0]["params"][0] is back[2]
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(back[0].state_dict()[key].numpy(), value.numpy())
    assert type(back[4]) is fc.Size and back[5] == fc.device("cpu")
    x = fc.randn(1, 1, 6, 6)
    model.eval(), back[0].eval()
    np.testing.assert_array_equal(model(x).detach().numpy(), back[0](x).detach().numpy())


def test_results_that_wait_and_buffers_out_of_band_are_pickled() -> None:
    assert pickle.loads(pickle.dumps(late())).shape == (2, 4, 5, 5)
    x, buffers = fc.arange(6.0), []
    data = pickle.dumps(x, 5, buffer_callback=buffers.append)
    assert buffers and pickle.loads(data, buffers=buffers).tolist() == x.tolist()
    with pytest.raises(RuntimeError, match="detach"):
        pickle.dumps(fc.ones(2, requires_grad=True) * 2)


def test_copies() -> None:
    x = fc.arange(6.0)
    weight = nn.Parameter(fc.ones(2, 2))
    weight.sum().backward()
    a, b, c, d = copy.deepcopy([x, x, x.view(2, 3), weight])
    assert a is b and np.shares_memory(a.array, c.array) and not np.shares_memory(a.array, x.array)
    assert type(d) is nn.Parameter and d.requires_grad
    leaf = fc.ones(2, requires_grad=True)
    leaf.sum().backward()
    assert copy.deepcopy(leaf).grad.tolist() == [1, 1]
    assert np.shares_memory(copy.copy(x).array, x.array)
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[0].tied = model[0].weight
    other = copy.deepcopy(model)
    assert other[0].tied is other[0].weight is not model[0].weight
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(leaf * 2)


def test_joblib_takes_networks() -> None:
    joblib = pytest.importorskip("joblib")
    stream = io.BytesIO()
    model = nn.Linear(3, 2)
    joblib.dump(model, stream)
    stream.seek(0)
    back = joblib.load(stream)
    np.testing.assert_array_equal(back.weight.detach().numpy(), model.weight.detach().numpy())
