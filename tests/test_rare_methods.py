"""What few scripts call: methods of tensors and modules, settings without effect, storage."""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
import pytest

import fastconv as fc
from fastconv import nn

RNG = np.random.default_rng(8)


def test_matrices_as_methods() -> None:
    a = RNG.standard_normal((4, 4))
    spd = a @ a.T + 4 * np.eye(4)
    x = fc.tensor(spd)
    np.testing.assert_allclose(x.inverse().numpy(), np.linalg.inv(spd), rtol=1e-10)
    np.testing.assert_allclose(x.det().item(), np.linalg.det(spd), rtol=1e-12)
    np.testing.assert_allclose(x.logdet().item(), np.log(np.linalg.det(spd)), rtol=1e-12)
    assert np.isnan((-fc.eye(3)).logdet().item())
    np.testing.assert_allclose(x.cholesky().numpy(), np.linalg.cholesky(spd), rtol=1e-10)
    np.testing.assert_allclose(x.cholesky(True).numpy(), np.linalg.cholesky(spd).T, rtol=1e-10)
    wide = RNG.standard_normal((3, 5))
    np.testing.assert_allclose(fc.tensor(wide).pinverse().numpy(), np.linalg.pinv(wide), rtol=1e-9)
    np.testing.assert_allclose(x.matrix_power(3).numpy(), spd @ spd @ spd, rtol=1e-12)
    p = fc.tensor([0.2, 0.9])
    np.testing.assert_allclose(p.logit().sigmoid().numpy(), p.numpy(), rtol=1e-6)
    np.testing.assert_allclose(p.xlogy(p).numpy(), p.numpy() * np.log(p.numpy()), rtol=1e-6)
    np.testing.assert_allclose(p.sinc().numpy(), np.sinc(p.numpy()), rtol=1e-6)


def test_facts_of_a_tensor() -> None:
    x, i = fc.arange(6.0).reshape(2, 3), fc.tensor([1], dtype=fc.uint8)
    assert x.is_cpu and not x.is_pinned() and not x.is_conj() and x.resolve_conj() is x
    assert x.is_signed() and not i.is_signed() and not (x > 1).is_signed()
    assert i.is_nonzero() and not fc.zeros(1).is_nonzero()
    with pytest.raises(RuntimeError, match="2, 3"):
        x.is_nonzero()
    assert x.is_same_size(fc.zeros(2, 3)) and not x.is_same_size(x.t())
    assert x.is_set_to(x.view(2, 3)) and not x.is_set_to(x.t()) and not x.is_set_to(x.clone())
    assert x.to_dense() is x and x.to_dense(fc.float64).dtype == fc.float64
    assert x.char().dtype == fc.int8 and x.char().tolist() == [[0, 1, 2], [3, 4, 5]]
    first, second = fc.eye(2).requires_grad_().unbind()[0], fc.ones(2, 2).requires_grad_().max(1)[0]
    assert first.output_nr == 0 and second.output_nr == 0
    with pytest.raises(TypeError, match="bfloat16"):
        x.bfloat16()
    with pytest.raises(TypeError, match="other must be a Tensor"):
        x.is_same_size([1])


def test_resize() -> None:
    x = fc.arange(6.0)
    assert x.resize_(2, 2) is x and x.tolist() == [[0.0, 1.0], [2.0, 3.0]]
    x.resize_(6)
    assert x.shape == (6,) and x[:4].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert x.resize_as_(fc.zeros(3, 1)).shape == (3, 1)
    for wrong in (
        fc.ones(2, requires_grad=True),
        fc.ones(4)[:2],
        fc.ones(2, requires_grad=True) * 2,
    ):
        with pytest.raises(RuntimeError, match="resize_: only of a tensor without a graph"):
            wrong.resize_(1)


def test_fill_diagonal() -> None:
    for shape, wrap in (((3, 3), False), ((7, 3), False), ((7, 3), True)):
        x, want = fc.zeros(*shape), np.zeros(shape, np.float32)
        assert x.fill_diagonal_(5, wrap) is x
        np.fill_diagonal(want, 5, wrap)
        np.testing.assert_array_equal(x.numpy(), want)
    with pytest.raises(RuntimeError, match="detach"):
        (fc.eye(2).requires_grad_() * 1).fill_diagonal_(0)


def test_changes_in_place_by_name() -> None:
    """Each gives what the function gives, in the tensor itself."""
    a = RNG.uniform(0.1, 0.9, (3, 4))
    plain: dict[str, Any] = {
        "erf_": fc.erf, "asin_": np.arcsin, "acos_": np.arccos, "atan_": np.arctan,
        "sinh_": np.sinh, "cosh_": np.cosh, "negative_": np.negative, "absolute_": np.abs,
        "frac_": lambda v: v - np.trunc(v),
    }  # fmt: skip
    for name, function in plain.items():
        x = fc.tensor(a * 1.5 - 0.4 if name in ("absolute_", "frac_") else a)
        want = function(x.clone() if name == "erf_" else x.numpy().copy())
        assert getattr(x, name)() is x
        np.testing.assert_allclose(x.numpy(), np.asarray(want), rtol=1e-12)
    b = RNG.uniform(0.5, 2, (3, 4))
    pairs: dict[str, Any] = {
        "fmod_": np.fmod, "atan2_": np.arctan2, "subtract_": np.subtract, "divide_": np.divide,
        "ne_": np.not_equal, "lt_": np.less, "le_": np.less_equal, "gt_": np.greater,
        "ge_": np.greater_equal,
    }  # fmt: skip
    for name, function in pairs.items():
        x = fc.tensor(a)
        assert getattr(x, name)(fc.tensor(b)) is x
        np.testing.assert_allclose(x.numpy(), function(a, b), rtol=1e-12)
    m, n = RNG.integers(0, 8, (2, 5))
    for name, function in {"bitwise_and_": np.bitwise_and, "bitwise_or_": np.bitwise_or,
                           "bitwise_xor_": np.bitwise_xor}.items():  # fmt: skip
        x = fc.tensor(m)
        getattr(x, name)(fc.tensor(n))
        np.testing.assert_array_equal(x.numpy(), function(m, n))
    for name, function in {"logical_and_": np.logical_and, "logical_or_": np.logical_or,
                           "logical_xor_": np.logical_xor}.items():  # fmt: skip
        x = fc.tensor(m)
        getattr(x, name)(fc.tensor(n))
        np.testing.assert_array_equal(x.numpy(), function(m, n))
    x = fc.tensor(m)
    np.testing.assert_array_equal(x.bitwise_not_().numpy(), ~m)


def test_new_and_maps_refuse() -> None:
    x = fc.ones(2)
    with pytest.raises(TypeError, match="sizes or data are expected"):
        x.new(2, device="cuda")
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        x.register_post_accumulate_grad_hook(print)


def test_storage_of_a_view() -> None:
    x = fc.arange(6, dtype=fc.int32)
    s, u = x[2:].storage(), x.untyped_storage()
    assert list(s) == [0, 1, 2, 3, 4, 5] and s.element_size() == 4 and u.element_size() == 1
    assert hash(s) == hash(x.storage()) and s != "storage" and s.device == fc.device("cpu")
    assert u.dtype == fc.uint8 and u.tolist()[:5] == [0, 0, 0, 0, 1]
    assert repr(u) == "<storage of 24 units of 1 bytes>"


def test_submodules_are_replaced() -> None:
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Linear(2, 1))
    net.set_submodule("0.1", nn.Tanh())
    assert isinstance(net[0][1], nn.Tanh)
    net.set_submodule("0.extra", nn.Identity())
    assert isinstance(net[0].extra, nn.Identity)
    with pytest.raises(ValueError, match="without a target name"):
        net.set_submodule("", nn.ReLU())
    with pytest.raises(AttributeError, match="Sequential has no submodule `7`"):
        net.set_submodule("0.7", nn.ReLU(), strict=True)
    with pytest.raises(AttributeError):
        net.set_submodule("9.0", nn.ReLU())
    assert net.to_empty(device="cpu") is net and net.share_memory() is net
    with pytest.raises(RuntimeError, match="XPU"):
        net.xpu()
    with pytest.raises(RuntimeError, match="CPU only"):
        net.to_empty(device="cuda")


def test_settings_without_effect() -> None:
    assert fc.are_deterministic_algorithms_enabled()
    assert not fc.is_deterministic_algorithms_warn_only_enabled()
    fc.set_deterministic_debug_mode("error")
    assert fc.get_deterministic_debug_mode() == 0
    fc.set_num_interop_threads(4)
    assert fc.get_num_interop_threads() == 1
    assert fc.get_default_device() == fc.device("cpu")
    with pytest.raises(RuntimeError, match="CPU only"):
        fc.set_default_device("cuda")
    assert fc.set_flush_denormal(False) is False
    assert np.float32(1e-45) == fc.tensor([1e-45]).numpy()[0] > 0
    fc.set_warn_always(True)
    assert fc.is_warn_always_enabled()
    fc.set_warn_always(False)
    assert not fc.is_warn_always_enabled()
    assert not fc.is_autocast_enabled() and fc.get_autocast_dtype() == fc.get_default_dtype()
    assert fc.compiled_with_cxx11_abi()
    assert fc.typename(nn.Linear) == "fastconv.nn.modules.linear.Linear"
    assert fc.typename(3) == "int" and not fc.is_storage(fc.ones(1))


def end_with(rank: int, codes: list[int]) -> None:
    raise SystemExit(codes[rank])


def test_processes() -> None:
    assert fc.multiprocessing.get_all_sharing_strategies() == {"copy"}
    fc.multiprocessing.set_sharing_strategy("file_system")
    assert fc.multiprocessing.get_sharing_strategy() == "copy"
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("the test's processes are forks")
    spawn = fc.multiprocessing.spawn
    assert spawn(end_with, ([0, 0],), 2, start_method="fork") is None
    context = spawn(end_with, ([0, 3],), 2, join=False, start_method="fork")
    assert len(set(context.pids())) == 2
    with pytest.raises(RuntimeError, match="process 1 ended with exit code 3"):
        context.join()
