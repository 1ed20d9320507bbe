"""Tensors without PyTorch at hand: creation, types, views, indexing, errors, interoperation."""

import copy
import operator
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import fastconv as fc

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
            fc.rand(3),
            fc.randn(3),
            fc.randint(0, 10, (3,)),
            fc.randperm(5),
            fc.zeros(3).normal_(),
            fc.zeros(3).uniform_(-1, 1),
            fc.bernoulli(fc.full((9,), 0.5)),
            fc.normal(0.0, 1.0, (3,)),
            fc.multinomial(fc.ones(4), 2),
            fc.zeros(4).random_(100),
        ]

    assert fc.manual_seed(3).initial_seed() == fc.initial_seed() == 3
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
    assert x.min() >= 2 and x.max() < 4 and abs(x.mean() - 3) < 0.03
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
        for y in (
            x + 1,
            1 + x,
            x * 2.5,
            x / 3,
            x**2,
            2**x,
            x - 1,
            1 - x,
            x // 2,
            x % 2,
            -x,
            abs(x),
            1 / x,
            x * np.float64(2),
            x + np.int64(1),
            x.clamp(0, 1),
            fc.where(x > 0, x, 0.0),
            x * fc.tensor(2.0),
        ):
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
        operator.lt(x, "a")
    with pytest.raises(TypeError, match="list"):
        fc.add(x, [1])
    for wrong in (np.array(["a"]), np.array([None]), np.array([1j]), np.str_("a"), 1j, None):
        with pytest.raises(TypeError):
            x * wrong
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
    with pytest.raises(TypeError, match=r"mean.*int64"):
        i.mean()
    with pytest.raises(TypeError):
        fc.ones(2) & 1


# attributes and Python protocols


def test_shape_attributes():
    x = fc.zeros(2, 3, 4)
    assert x.shape == x.size() == (2, 3, 4) and x.size(-1) == 4 and x.ndim == x.dim() == 3
    assert repr(x.shape) == "fastconv.Size([2, 3, 4])" and isinstance(x.shape[1:], fc.Size)
    assert (
        x.shape + x.shape[:1] == (2, 3, 4, 2) and x.shape.numel() == x.numel() == x.nelement() == 24
    )
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


HEAVY = {
    *("numba", "matplotlib", "sklearn", "tqdm", "inspect", "asyncio", "unittest"),
    *("multiprocessing", "concurrent.futures"),
}


def test_import_is_light():
    def imported(module):
        code = f"import sys, {module}; print(*sys.modules)"
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return set(run.stdout.split())

    assert not (imported("fastconv") - imported("numpy")) & HEAVY
