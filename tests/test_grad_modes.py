"""no_grad and its kin, in one thread and in several."""

import threading

import numpy as np
import pytest

import fastconv as fc


def leaf(*shape, dtype=fc.float64):
    return fc.randn(*shape, dtype=dtype, requires_grad=True)


def test_no_grad_and_friends():
    x = leaf(2)
    with fc.no_grad():
        assert not fc.is_grad_enabled()
        y = x * 2
        with fc.enable_grad():
            assert (x * 2).requires_grad
        assert not fc.is_grad_enabled()
    assert fc.is_grad_enabled() and not y.requires_grad and y.is_leaf
    with fc.inference_mode():
        assert not (x * 2).requires_grad and fc.is_inference_mode_enabled()
    assert not fc.is_inference_mode_enabled()
    with fc.inference_mode(False):
        assert (x * 2).requires_grad
    with fc.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    fc.set_grad_enabled(False)
    assert not fc.is_grad_enabled()
    fc.set_grad_enabled(True)


@pytest.mark.parametrize(
    "decorate", [fc.no_grad(), fc.no_grad, fc.inference_mode(), fc.inference_mode]
)
def test_modes_as_decorators(decorate):
    @decorate
    def f(x, depth=0):
        """Doc."""
        return f(x, depth + 1) if depth < 2 else x * 2

    assert not f(leaf(2)).requires_grad and f.__name__ == "f" and f.__doc__ == "Doc."
    assert fc.is_grad_enabled()


def test_set_grad_enabled_as_decorator():
    @fc.set_grad_enabled(False)
    def f(x):
        return x * 2

    assert fc.is_grad_enabled() and not f(leaf(2)).requires_grad


def test_mode_is_restored_after_an_exception():
    with pytest.raises(KeyError), fc.no_grad():
        raise KeyError
    assert fc.is_grad_enabled()


def test_modes_are_per_thread():
    seen = []
    with fc.no_grad():
        t = threading.Thread(target=lambda: seen.append(fc.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]


def test_backward_from_several_threads():
    x = leaf(50)
    start = threading.Barrier(4)

    def work():
        start.wait()
        for _ in range(50):
            (x * x).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    np.testing.assert_allclose(x.grad.numpy(), 400 * x.detach().numpy(), rtol=1e-9)
