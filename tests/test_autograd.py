"""The graph: recording, backward, errors, freeing."""

import gc
import weakref

import numpy as np
import pytest

import fastconv as fc
from fastconv import autograd
from fastconv.autograd import Function, Op


def leaf(*shape, dtype=fc.float64):
    return fc.randn(*shape, dtype=dtype, requires_grad=True)


# accumulation and arguments


def test_gradients_accumulate():
    x = leaf(3)
    for n in (1, 2, 3):
        (x * 2).sum().backward()
        assert x.grad.tolist() == [2.0 * n] * 3
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0] * 3


def test_accumulation_is_in_place():
    x = leaf(3)
    x.sum().backward()
    g = x.grad
    x.sum().backward()
    assert x.grad is g and g.tolist() == [2.0] * 3


def test_a_tensor_used_several_times():
    x = leaf(4)
    y = x * x
    (y * x + y + x).sum().backward()
    np.testing.assert_allclose(
        x.grad.numpy(), 3 * x.detach().numpy() ** 2 + 2 * x.detach().numpy() + 1
    )


def test_leaves_do_not_share_gradients():
    a, b = leaf(3), leaf(3)
    (a + b).sum().backward()
    a.grad.mul_(5)
    assert b.grad.tolist() == [1.0] * 3


def test_gradient_argument_is_not_taken_over():
    a, b, g = leaf(3), leaf(3), fc.ones(3, dtype=fc.float64)
    (a + b).backward(g)
    a.grad.add_(1)
    assert g.tolist() == [1.0] * 3 and b.grad.tolist() == [1.0] * 3
    c = leaf(3)
    c.backward(g)
    c.grad.zero_()
    assert g.tolist() == [1.0] * 3


def test_the_gradient_of_a_leaf_is_not_a_saved_array():
    w = fc.ones(3, requires_grad=True)
    x = fc.arange(3.0)
    (w * x).backward(fc.ones(3), retain_graph=True)
    w.grad.zero_()
    assert x.tolist() == [0.0, 1.0, 2.0]


def test_backward_gradient_of_any_shape():
    x = leaf(2, 3)
    g = fc.randn(2, 3, dtype=fc.float64)
    (x * 2).backward(gradient=g)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * g.numpy())


def test_backward_errors():
    x = leaf(3)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match=r"gradient 0 has \(2,\)"):
        (x * 2).backward(fc.ones(2, dtype=fc.float64))
    with pytest.raises(RuntimeError, match="does not require grad"):
        fc.ones(1).sum().backward()
    with pytest.raises(TypeError, match="ndarray"):
        (x * 2).backward(np.ones(3))


def test_backward_of_several_tensors():
    x, y = leaf(2), leaf(2)
    autograd.backward([x.sum(), (y * 2)], [None, fc.ones(2, dtype=fc.float64)])
    assert x.grad.tolist() == [1, 1] and y.grad.tolist() == [2, 2]


def test_backward_inputs():
    x, y = leaf(2), leaf(2)
    (x * y).sum().backward(inputs=[x])
    assert y.grad is None and x.grad is not None


# freeing


def test_second_backward_needs_retain_graph():
    x = leaf(3)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * x.detach().numpy())
    with pytest.raises(RuntimeError, match=r"MulBackward0.*second time.*retain_graph=True"):
        y.backward()


def test_graph_is_freed_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = leaf(4, 4)
        y = (x @ x).relu()
        z = y.max(1).values
        w = fc.zeros(4, dtype=fc.float64)
        w[1:] = z[:3]
        w[0].add_(z.sum())
        out = (
            w.view(2, 2).t().softmax_() if hasattr(w, "softmax_") else w.view(2, 2).t().exp()
        ).sum()
        nodes, stack = [], [out.grad_fn]
        while stack:
            node = stack.pop()
            if isinstance(node, Op):
                nodes.append(weakref.ref(node))
                stack.extend(n for n, _ in node.next_functions)
        refs = [weakref.ref(t) for t in (y, z, w, out)] + nodes
        assert len(nodes) > 8
        out.backward()
        del y, z, w, out, node, stack
        assert all(r() is None for r in refs)
    finally:
        gc.enable()


def test_user_function_that_saves_its_output_is_freed_too():
    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[1]

    gc.collect()
    gc.disable()
    try:
        x = leaf(3)
        y = Exp.apply(x)
        refs = [weakref.ref(y), weakref.ref(y.grad_fn)]
        del y
        assert all(r() is None for r in refs)
    finally:
        gc.enable()


def test_memory_of_saved_arrays_goes_during_backward():
    x = leaf(3)
    y = x.exp()
    saved = weakref.ref(y.array)
    z = y.sum()
    del y
    assert saved() is not None
    z.backward()
    assert saved() is None


@pytest.mark.parametrize("length", [10_000, 100_000])
def test_deep_chain(length):
    x = fc.ones(1, requires_grad=True)
    y = x
    for _ in range(length):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1
    del y  # freeing must not recurse either
    y = x
    for _ in range(length):
        y = y * 1.0
    del y


def test_wide_graph():
    x = fc.ones(1, requires_grad=True)
    fc.stack([x * i for i in range(200)]).sum().backward()
    assert x.grad.item() == 199 * 100


# grad


def test_grad_leaves_and_intermediates():
    x = leaf(3)
    y = x * 2
    z = (y * y).sum()
    gy, gx = autograd.grad(z, [y, x])
    np.testing.assert_allclose(gy.numpy(), 2 * y.detach().numpy())
    np.testing.assert_allclose(gx.numpy(), 8 * x.detach().numpy())
    assert x.grad is None and not gx.requires_grad


def test_grad_outputs_and_unused():
    x, unused = leaf(3), leaf(2)
    (g,) = autograd.grad(x * 3, x, grad_outputs=fc.full((3,), 2.0, dtype=fc.float64))
    assert g.tolist() == [6.0] * 3
    with pytest.raises(RuntimeError, match=r"input 1, of shape \(2,\), was not used"):
        autograd.grad(x.sum(), [x, unused])
    assert autograd.grad(x.sum(), [x, unused], allow_unused=True)[1] is None
    with pytest.raises(RuntimeError, match="does not require grad"):
        autograd.grad(x.sum(), fc.ones(2))


# leaves


def test_requires_grad_rules():
    x = fc.ones(2)
    assert x.is_leaf and x.grad_fn is None
    y = x.requires_grad_() * 2
    assert not y.is_leaf
    with pytest.raises(RuntimeError, match="leaf"):
        y.requires_grad = False
    with pytest.raises(RuntimeError, match="floating-point"):
        fc.ones(2, dtype=fc.int64).requires_grad_()
    with pytest.raises(RuntimeError, match="floating-point"):
        fc.tensor([1, 2], requires_grad=True)
    assert not y.detach().requires_grad
    assert y.detach().array is y.array
    assert y.detach_().is_leaf and not y.requires_grad


def test_integer_results_have_no_gradient():
    x = leaf(3)
    assert not x.argmax().requires_grad and not x.long().requires_grad
    values, indices = x.sort()
    assert values.requires_grad and not indices.requires_grad


def test_setting_grad():
    x = leaf(3)
    x.grad = fc.ones(3, dtype=fc.float64)
    with pytest.raises(RuntimeError, match="shape"):
        x.grad = fc.ones(2, dtype=fc.float64)
    with pytest.raises(RuntimeError, match="dtype"):
        x.grad = fc.ones(3)
    with pytest.raises(TypeError):
        x.grad = 3


@pytest.mark.parametrize("size", [3, 70_000])  # from NumPy's heap, and from the pool
def test_sums_leave_kept_gradients_alone(size: int) -> None:
    """Gradients are added in place only where no one else has the array."""
    x = fc.ones(size, requires_grad=True)
    kept = []
    y = x * 2
    y.register_hook(kept.append)
    a, b = y + 1, y * 3
    a.register_hook(kept.append)
    b.register_hook(kept.append)
    c = a + b  # one array is the gradient of both
    d = a * 5 + c + y
    d.register_hook(kept.append)
    d.backward(fc.ones(size))
    assert [float(k[0]) for k in kept] == [1, 1, 6, 10]
    assert all(bool((k == k[0]).all()) for k in kept)
    assert x.grad is not None and bool((x.grad == 20).all())


def test_given_gradient_is_not_added_to() -> None:
    x = fc.ones(70_000, requires_grad=True)
    given = fc.ones(70_000)
    (x + x).backward(given)
    (x * 1).backward(given)
    assert bool((given == 1).all()) and x.grad is not None and bool((x.grad == 3).all())


def test_sum_of_gradients_in_two_formats() -> None:
    """The first one's memory runs in another order than the second's."""
    values = fc.arange(0.0, 2 * 64 * 24 * 24).reshape(2, 64, 24, 24)
    for forms in ((fc.contiguous_format, fc.channels_last), (fc.channels_last,) * 2):
        x = fc.zeros(2, 64, 24, 24, requires_grad=True)
        y = x * 1
        parts = [y * values.contiguous(memory_format=form) for form in forms]
        (parts[0] + parts[1] + y * values).sum().backward()
        assert x.grad is not None and bool((x.grad == values * 3).all())
