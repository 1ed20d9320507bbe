"""Weights kept packed: never those of yesterday, never too many, gone with their weight."""

from __future__ import annotations

import copy
import gc
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fastconv
from fastconv import backends, nn, packed
from fastconv.nn import functional as F
from fastconv.nn import init

pytestmark = pytest.mark.skipif(backends.why_not("c") is not None, reason="needs the C backend")

#: Kernel, stride, dilation, groups of a convolution from 24 to 40 channels, and its algorithms.
LAYERS = {
    "3x3": (3, 1, 1, 1),
    "1x1": (1, 1, 1, 1),
    "5x5 stride 2": (5, 2, 1, 1),
    "3x3 dilation 2": (3, 1, 2, 1),
    "8 groups": (3, 1, 1, 8),
    "2x2 stride 2": (2, 2, 1, 1),
}
ALGORITHMS = ("gemm", "direct", "winograd")


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    fastconv.empty_cache()
    assert packed.total() == 0
    yield
    fastconv.empty_cache()


def integers(dtype: Any, *shape: int) -> Any:
    """Sums of these are exact in any order: the GEMM has another one for a few rows."""
    return fastconv.randint(-3, 4, shape).to(dtype)


def plain(function: Callable[..., Any], x: Any, w: Any, *args: Any, **options: Any) -> Any:
    """The result with weights that were never packed before."""
    before = packed.total()
    y = function(x, fastconv.from_numpy(w._array.copy()), *args, **options)
    assert packed.total() == before
    return y._array


def twice(function: Callable[..., Any], x: Any, w: Any, *args: Any, **options: Any) -> Any:
    """The result from weights packed now, and from kept ones: they must be the same bits."""
    first = function(x, w, *args, **options)._array
    again = function(x, w, *args, **options)._array
    np.testing.assert_array_equal(first, again)
    return first


# ---------------------------------------------------------------- the results


@pytest.mark.parametrize("dtype", [fastconv.float32, fastconv.float64], ids=str)
@pytest.mark.parametrize("layer", LAYERS)
def test_same_values(layer: str, dtype: Any) -> None:
    kernel, stride, dilation, groups = LAYERS[layer]
    options = {"stride": stride, "padding": 1, "dilation": dilation, "groups": groups}
    w = integers(dtype, 40, 24 // groups, kernel, kernel)
    wt = integers(dtype, 24, 40 // groups, kernel, kernel)
    b = integers(dtype, 40)
    for algorithm in ALGORITHMS:
        with fastconv.algorithm(algorithm):
            for size in (9, 14):  # the second one finds what the first one has packed
                x = integers(dtype, 2, 24, size, size)
                for image in (x, x.contiguous(memory_format=fastconv.channels_last), x[0]):
                    for f, weight in ((F.conv2d, w), (F.conv_transpose2d, wt)):
                        want = plain(f, image, weight, b, **options)
                        np.testing.assert_array_equal(twice(f, image, weight, b, **options), want)
    assert packed.total() > 0


@pytest.mark.parametrize("kernel, stride, dilation, groups", [
    (3, 1, 1, 1), (3, 1, 2, 1), (3, 1, 1, 2), (4, 2, 1, 1), (3, 2, 1, 1), (5, 1, 1, 1),
])  # fmt: skip
def test_large_weights(kernel: int, stride: int, dilation: int, groups: int) -> None:
    """Winograd keeps them as taps, a quarter of their transforms; few tiles and many."""
    options = {"stride": stride, "padding": 1, "dilation": dilation, "groups": groups}
    w, wt = fastconv.randn(200, 144, kernel, kernel), fastconv.randn(144, 200, kernel, kernel)
    with fastconv.algorithm("winograd"):
        for size in (9, 40):
            x = fastconv.randn(1, 144 * groups, size, size)
            want = plain(F.conv2d, x, w, **options)
            np.testing.assert_array_equal(twice(F.conv2d, x, w, **options), want)
            x, grouped = fastconv.randn(1, 144, size, size), {**options, "groups": 1}
            want = plain(F.conv_transpose2d, x, wt, **grouped)
            np.testing.assert_array_equal(twice(F.conv_transpose2d, x, wt, **grouped), want)
    room = 200 * 144 + 144 * 256  # whole panels of columns
    assert 0 < packed.total() <= 2 * room * kernel**2 * w.element_size()


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_ranks(ndim: int) -> None:
    f = (F.conv1d, F.conv2d, F.conv3d)[ndim - 1]
    x, w = fastconv.randn(2, 12, *(7,) * ndim), fastconv.randn(6, 12, *(3,) * ndim)
    want = plain(f, x, w, padding=1)
    np.testing.assert_array_equal(twice(f, x, w, padding=1), want)
    assert packed.total() > 0


@pytest.mark.parametrize("rows", [16, 100])
def test_linear(rows: int) -> None:
    x, w, b = fastconv.randn(rows, 70), fastconv.randn(90, 70), fastconv.randn(90)
    want = plain(F.linear, x, w, b)
    np.testing.assert_array_equal(twice(F.linear, x, w, b), want)


def test_threads_share_one_form() -> None:
    x, w = fastconv.randn(8, 64, 14, 14), fastconv.randn(64, 64, 3, 3)
    before = fastconv.get_num_threads()
    try:
        for algorithm in ALGORITHMS:
            results, sizes = [], []
            for threads in (1, 2, 3):
                fastconv.set_num_threads(threads)
                with fastconv.algorithm(algorithm):
                    results.append(F.conv2d(x, w, padding=1)._array)
                sizes.append(packed.total())
            assert sizes[0] == sizes[1] == sizes[2] > 0
            for y in results[1:]:
                np.testing.assert_array_equal(y, results[0])
    finally:
        fastconv.set_num_threads(before)


def test_instruction_sets() -> None:
    c = backends.load("c")
    x, w = fastconv.randn(1, 32, 9, 9), fastconv.randn(32, 32, 3, 3)
    before = c.get_isa()
    names = [name for name, supported in c.isas().items() if supported]
    try:
        for _ in range(2):
            for name in names:
                c.set_isa(name)
                want = plain(F.conv2d, x, w, padding=1)
                np.testing.assert_array_equal(twice(F.conv2d, x, w, padding=1), want)
    finally:
        c.set_isa(before)


def test_other_backends() -> None:
    x, w = fastconv.randn(1, 4, 6, 6), fastconv.randn(4, 4, 3, 3)
    y = twice(F.conv2d, x, w)
    for name in ("naive", "numba"):
        if backends.why_not(name) is None:
            with fastconv.backend(name):
                np.testing.assert_allclose(twice(F.conv2d, x, w), y, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(twice(F.conv2d, x, w), y)


def test_weight_of_any_strides() -> None:
    x = fastconv.randn(1, 8, 6, 6)
    w = nn.Parameter(fastconv.randn(3, 3, 8, 16).permute(3, 2, 0, 1), requires_grad=False)
    assert not w.is_contiguous()
    np.testing.assert_array_equal(twice(F.conv2d, x, w), plain(F.conv2d, x, w))
    assert packed.total() > 0


# ---------------------------------------------------------------- changes of the weight


def _array(w: Any) -> None:
    w.array[...] *= 2


def _new_array(w: Any) -> None:
    mine = np.ones(w.shape, np.float32)
    w.array = mine
    F.conv2d(fastconv.randn(1, 8, 6, 6), w)
    mine *= 5


def _numpy(w: Any) -> None:
    w.detach().numpy()[...] = 3


def _data(w: Any) -> None:
    w.data.normal_()


def _data_of_data(w: Any) -> None:
    w.data.data.mul_(2)


def _new_data(w: Any) -> None:
    other = fastconv.randn(*w.shape)
    w.data = other
    F.conv2d(fastconv.randn(1, 8, 6, 6), w.detach())
    other.add_(1)


def _old_alias_of_new_data(w: Any) -> None:
    old, view = w.detach(), w.data[0]
    w.data = fastconv.randn(*w.shape)
    w.data.add_(old)
    view.zero_()


def _sgd(w: Any) -> None:
    w.requires_grad_()
    w.grad = fastconv.ones(*w.shape)
    fastconv.optim.SGD([w], lr=0.5).step()


def _adam(w: Any) -> None:
    w.requires_grad_()
    w.grad = fastconv.ones(*w.shape)
    fastconv.optim.Adam([w], lr=0.5).step()


def _load_state(w: Any) -> None:
    holder = nn.Module()
    holder.register_buffer("weight", w)
    holder.load_state_dict({"weight": fastconv.randn(*w.shape)})
    assert holder.weight is w


def _vector(w: Any) -> None:
    nn.utils.vector_to_parameters(fastconv.randn(w.numel()), [w])


def _dlpack(w: Any) -> None:
    np.from_dlpack(w.detach())
    fastconv.from_dlpack(w.detach()).mul_(3)


def _ufunc_out(w: Any) -> None:
    np.multiply(np.asarray(w.detach()), 2, out=np.asarray(w.detach()))


def _through_parameter(w: Any) -> None:
    with fastconv.no_grad():
        nn.Parameter(w).mul_(2)


def _copy_module(w: Any) -> None:
    copy.copy(w).data.mul_(2)


def _user_function(w: Any) -> None:
    class Double(fastconv.autograd.Function):
        @staticmethod
        def forward(ctx: Any, t: Any) -> Any:
            ctx.save_for_backward(t)
            return t * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            ctx.saved_tensors[0].mul_(3)
            return g

    leaf = nn.Parameter(w)
    Double.apply(leaf).sum().backward()


def _out(w: Any) -> None:
    fastconv.mul(w.detach(), 2, out=w.detach())


def _gradcheck(w: Any) -> None:
    """While it changes its input, a function of it must see that."""
    x = fastconv.randn(1, 1, 4, 4, dtype=fastconv.float64)
    v = fastconv.randn(1, 1, 3, 3, dtype=fastconv.float64, requires_grad=True)
    slopes = []

    def f(v: Any) -> Any:
        slopes.append(float(F.conv2d(x, v.detach())._array.sum()))
        return v.sum()

    fastconv.autograd.gradcheck(f, (v,))
    assert len(set(slopes)) > 2


def _interrupted(w: Any) -> None:
    with np.errstate(all="raise"), fastconv.no_grad(), pytest.raises(FloatingPointError):
        nn.init._fill(w, np.where(np.arange(w.numel()) < 9, 2, 1e300).reshape(w.shape))


CHANGES: dict[str, Callable[[Any], Any]] = {
    "add_": lambda w: w.add_(1),
    "*=": lambda w: w.__imul__(3),
    "copy_": lambda w: w.copy_(fastconv.ones(*w.shape)),
    "fill_": lambda w: w.fill_(2),
    "zero_": lambda w: w.zero_(),
    "clamp_": lambda w: w.clamp_(0, 1),
    "relu_": lambda w: F.relu(w, inplace=True),
    "w[0] = 1": lambda w: w.__setitem__(0, 1),
    "w[mask] = 0": lambda w: w.__setitem__(w > 0, 0),
    "view": lambda w: w.view(-1)[3:90].neg_(),
    "chain of views": lambda w: w.transpose(0, 1)[1].unsqueeze(0).fill_(4),
    "detach": lambda w: w.detach().mul_(2),
    "view of another type": lambda w: w.view(fastconv.int32).fill_(0),
    "einsum": lambda w: fastconv.einsum("abcd->dcba", w).mul_(2),
    "uniform_": lambda w: w.uniform_(),
    "init": lambda w: init.kaiming_normal_(w),
    "init.dirac_": lambda w: init.dirac_(w),
    ".array": _array,
    ".array =": _new_array,
    "numpy": _numpy,
    ".data": _data,
    ".data.data": _data_of_data,
    ".data =": _new_data,
    "aliases of the memory before .data =": _old_alias_of_new_data,
    "SGD": _sgd,
    "Adam": _adam,
    "load_state_dict": _load_state,
    "vector_to_parameters": _vector,
    "dlpack": _dlpack,
    "numpy's out=": _ufunc_out,
    "out=": _out,
    "Parameter(w)": _through_parameter,
    "copy.copy": _copy_module,
    "saved_tensors": _user_function,
    "gradcheck": _gradcheck,
    "an exception half way": _interrupted,
    "squeeze_": lambda w: w.unsqueeze_(0).squeeze_(0).mul_(2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_change(change: str) -> None:
    x = fastconv.randn(1, 8, 6, 6)
    w = fastconv.randn(16, 8, 3, 3)
    for first in (True, False):
        with fastconv.no_grad():
            before = twice(F.conv2d, x, w)
        if change in ("SGD", "Adam", "saved_tensors", "gradcheck"):
            CHANGES[change](w)
        else:
            with fastconv.no_grad():
                CHANGES[change](w)
        w.requires_grad_(False)
        with fastconv.no_grad():
            after = twice(F.conv2d, x, w)
            np.testing.assert_array_equal(after, plain(F.conv2d, x, w))
        assert change == "gradcheck" or not first or not np.array_equal(before, after)


def test_numpy_view_held_since_before() -> None:
    x, w = fastconv.randn(1, 8, 6, 6), fastconv.randn(16, 8, 3, 3)
    held = w.numpy()
    for _ in range(2):
        twice(F.conv2d, x, w)
        held *= 2
        np.testing.assert_array_equal(twice(F.conv2d, x, w), plain(F.conv2d, x, w))


def test_float_and_double() -> None:
    layer, x = nn.Conv2d(8, 8, 3), fastconv.randn(1, 8, 6, 6)
    with fastconv.no_grad():
        y = layer(x)._array
        layer.double()
        np.testing.assert_allclose(layer(x.double())._array, y, rtol=1e-4, atol=1e-5)
        layer.weight.mul_(2)
        layer.bias.zero_()
        layer.float()
        np.testing.assert_array_equal(
            layer(x)._array, F.conv2d(x, fastconv.from_numpy(layer.weight._array.copy()))._array
        )


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "save"])
def test_copies_are_apart(how: str) -> None:
    layer, x = nn.Conv2d(8, 8, 3), fastconv.randn(1, 8, 6, 6)
    with fastconv.no_grad():
        y = layer(x)._array
        if how == "deepcopy":
            other = copy.deepcopy(layer)
        elif how == "pickle":
            other = pickle.loads(pickle.dumps(layer))
        else:
            file = io.BytesIO()
            fastconv.save(layer.state_dict(), file)
            file.seek(0)
            other = nn.Conv2d(8, 8, 3)
            other.load_state_dict(fastconv.load(file), assign=True)
        np.testing.assert_array_equal(other(x)._array, y)
        other.weight.zero_()
        np.testing.assert_array_equal(layer(x)._array, y)
        want = np.broadcast_to(other.bias._array[:, None, None], y.shape)
        np.testing.assert_array_equal(other(x)._array, want)


def test_buffers_of_a_pickle() -> None:
    """Memory that others hold too is never trusted."""
    w, x = fastconv.randn(8, 8, 3, 3), fastconv.randn(1, 8, 6, 6)
    buffers: list[Any] = []
    data = pickle.dumps(w, protocol=5, buffer_callback=buffers.append)
    other = pickle.loads(data, buffers=buffers)
    for t in (w, other):
        twice(F.conv2d, x, t)
        (w if t is other else other).mul_(2)
        np.testing.assert_array_equal(F.conv2d(x, t)._array, plain(F.conv2d, x, t))


def test_saved_once_loaded_twice() -> None:
    """One array saved as a tensor and as itself comes back as one."""
    w = fastconv.randn(8, 8, 3, 3)
    file = io.BytesIO()
    fastconv.save({"w": w, "p": nn.Parameter(w), "a": w._array}, file)
    file.seek(0)
    state, x = fastconv.load(file), fastconv.randn(1, 8, 6, 6)
    for alias in (state["p"].data, state["w"], state["a"]):
        twice(F.conv2d, x, state["w"])
        alias *= 2
        np.testing.assert_array_equal(
            F.conv2d(x, state["w"])._array, plain(F.conv2d, x, state["w"])
        )


# ---------------------------------------------------------------- what is kept, and how long


def test_training_keeps_nothing() -> None:
    layer, x = nn.Conv2d(8, 8, 3), fastconv.randn(1, 8, 6, 6)
    layer(x).sum().backward()
    assert packed.total() == 0
    with fastconv.no_grad():
        layer(x)
    assert packed.total() > 0


def test_arrays_and_views_keep_nothing() -> None:
    x, w = np.ones((1, 8, 6, 6), np.float32), np.ones((8, 8, 3, 3), np.float32)
    fastconv.ops.conv_forward(x, w)
    F.conv2d(fastconv.from_numpy(x), fastconv.from_numpy(w))
    F.conv2d(fastconv.tensor(x), fastconv.ones(16, 8, 3, 3)[:8])
    assert packed.total() == 0


def test_dies_with_the_weight() -> None:
    gc.disable()
    try:
        layer, x = nn.Conv2d(8, 8, 3), fastconv.randn(1, 8, 6, 6)
        with fastconv.no_grad():
            layer(x)
        alias = layer.weight.detach()
        size = packed.total()
        assert size > 0 and fastconv.memory_stats()["packed"] == size
        del layer
        assert packed.total() == size  # `alias` can still be a weight
        del alias
        assert packed.total() == 0
    finally:
        gc.enable()


def test_a_change_frees() -> None:
    x, w = fastconv.randn(1, 8, 6, 6), fastconv.randn(8, 8, 3, 3)
    F.conv2d(x, w)
    size = packed.total()
    w.data.add_(1)
    assert packed.total() == 0
    F.conv2d(x, w)
    assert packed.total() == size


def test_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    x = fastconv.randn(1, 8, 6, 6)
    weights = [fastconv.randn(8, 8, 3, 3) for _ in range(4)]
    F.conv2d(x, weights[0])
    size = packed.total()
    monkeypatch.setattr(packed, "limit", 2 * size + size // 2)
    for _ in range(2):
        for w in weights:
            np.testing.assert_array_equal(twice(F.conv2d, x, w), plain(F.conv2d, x, w))
            assert packed.total() <= packed.limit
    assert packed.total() == 2 * size
    del weights[0]
    F.conv2d(x, weights[2])
    assert packed.total() == 2 * size  # room again


def test_empty_cache() -> None:
    x, w = fastconv.randn(1, 8, 6, 6), fastconv.randn(8, 8, 3, 3)
    y = F.conv2d(x, w)._array
    assert packed.total() > 0
    fastconv.empty_cache()
    assert packed.total() == fastconv.memory_stats()["packed"] == 0
    np.testing.assert_array_equal(twice(F.conv2d, x, w), y)
    assert packed.total() > 0


def test_packed_bytes_are_checked() -> None:
    """C refuses a form of another size."""
    from fastconv._fastconv import ffi, lib

    spec = fastconv.spec.conv_spec((1, 8, 6, 6), (8, 8, 3, 3), ndim=2)
    x, w = np.ones(spec.x_shape, np.float32), np.ones(spec.w_shape, np.float32)
    out = np.empty(spec.y_shape, np.float32)
    backends.load("c").conv_forward_gemm(spec, x, w, None, out)
    geometry, kernel, isa = spec.cache["c"].at(1, 0), lib.FC_CONV_FORWARD_GEMM, lib.fc_get_isa()
    size = lib.fc_conv_packed_bytes(isa, kernel, lib.FC_F32, geometry)
    assert size >= w.nbytes
    room = ffi.new("char[]", size)
    weight = ffi.from_buffer(w)
    assert lib.fc_conv_pack(isa, kernel, lib.FC_F32, geometry, weight, room, size, 1) == lib.FC_OK
    assert lib.fc_conv_pack(isa, kernel, lib.FC_F32, geometry, weight, room, size - 1, 1)
    assert lib.fc_conv_packed_bytes(99, kernel, lib.FC_F32, geometry) < 0
    assert (
        lib.fc_conv_packed_bytes(isa, lib.FC_CONV_BACKWARD_WEIGHT_GEMM, lib.FC_F32, geometry) == 0
    )


def test_many_threads_change_and_call() -> None:
    """Readers of a weight that another thread replaces see one of its values, whole."""
    import threading

    x, w = fastconv.ones(1, 32, 5, 5), fastconv.zeros(32, 32, 3, 3)
    stop, wrong = threading.Event(), []

    def reader() -> None:
        while not stop.is_set():
            F.conv2d(x, w)

    threads = [threading.Thread(target=reader) for _ in range(2)]
    for t in threads:
        t.start()
    for value in range(200):
        w.fill_(value)
        y = F.conv2d(x, w)._array
        if not np.all(y == value * 32 * 9):
            wrong.append(value)
    stop.set()
    for t in threads:
        t.join()
    assert not wrong
