"""The graph: recording, backward, errors, freeing, in-place changes, user-defined functions."""

import gc
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastconv as fc
from fastconv import autograd
from fastconv.autograd import Function, Op, gradcheck


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
    with pytest.raises(NotImplementedError, match="create_graph"):
        x.sum().backward(create_graph=True)


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
    with pytest.raises(NotImplementedError, match="gradients of gradients"):
        autograd.grad(x.sum(), x, create_graph=True)


# modes


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


# in-place changes


def test_in_place_on_a_leaf():
    x = leaf(3)
    for change in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: x.__setitem__(0, 1.0),
        lambda: x[0].mul_(2),
        lambda: x.exp_(),
        lambda: x.view(-1).fill_(1),
    ):
        with pytest.raises(RuntimeError, match=r"leaf tensor that requires grad"):
            change()
    with fc.no_grad():
        x.zero_()
        x += 2
        x[0] = 5
        x.view(-1)[1:].mul_(3)
    assert x.tolist() == [5, 6, 6] and x.is_leaf and x.requires_grad


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.add_(1),
        lambda y: y.__setitem__(0, 1.0),
        lambda y: y.detach().mul_(2),
        lambda y: y.view(-1)[0].zero_(),
        lambda y: y.detach().view(-1).__setitem__(slice(1), 0.0),
        lambda y: y.copy_(fc.zeros(3)),
        lambda y: y.clamp_(0, 1),
    ],
)
def test_change_of_a_saved_value_is_detected(change):
    x = leaf(3)
    y = x * 1
    z = y * y
    change(y)
    with pytest.raises(
        RuntimeError, match=r"MulBackward0.*shape \(3,\).*in-place.*version 1, expected 0"
    ):
        z.sum().backward()


def test_change_of_a_saved_output_is_detected():
    x = leaf(3)
    y = x.exp()
    z = y + 1
    y.mul_(2)
    with pytest.raises(RuntimeError, match="ExpBackward0"):
        z.sum().backward()


def test_change_of_a_value_that_is_not_needed_is_fine():
    x = leaf(3)
    y = x * 2
    z = y + 1
    y.mul_(5)
    (y + z).sum().backward()
    assert x.grad.tolist() == [12.0] * 3


def test_in_place_keeps_its_own_input():
    x, w = leaf(3), leaf(3)
    y = x * 1
    before = y.detach().numpy().copy()
    y.mul_(w)
    y.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), before)
    np.testing.assert_allclose(x.grad.numpy(), w.detach().numpy())


def test_in_place_on_views_reaches_the_base_and_other_views():
    x = leaf(6)
    base = fc.zeros(2, 3, dtype=fc.float64)
    row, column = base[0], base[:, 1]
    assert not row.requires_grad
    row.add_(x[:3])
    assert base.requires_grad and column.requires_grad and row.requires_grad
    column.mul_(2)
    base[1] = x[3:]
    (base.sum() + row.sum() * 10 + column.sum() * 100).backward()
    assert x.grad.tolist() == [11, 222, 11, 1, 101, 1]


def test_versions():
    x = fc.zeros(3)
    v, d = x[1:], x.detach()
    x.add_(1)
    v.mul_(2)
    d[0] = 5
    assert x._version == v._version == d._version == 3
    assert x.clone()._version == 0 and x.data._version == 0


def test_in_place_shape_and_type_errors():
    with pytest.raises((ValueError, RuntimeError), match=r"\(2, 3\)|2,3"):
        fc.zeros(3).add_(fc.zeros(2, 3))
    with pytest.raises(RuntimeError, match=r"\(2, 3\)"):
        (leaf(3) * 1).add_(fc.zeros(2, 3))
    with pytest.raises(RuntimeError, match="int64"):
        fc.zeros(3, dtype=fc.int64).add_(0.5)
    with pytest.raises(RuntimeError, match="Div"):
        fc.ones(3, dtype=fc.int64).div_(2)


# hooks


def test_hooks_on_leaves_and_intermediates():
    x = leaf(3)
    seen = []
    y = x * 2
    handle = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    leaf_handle = x.register_hook(lambda g: g + 1)
    (y + y).sum().backward(retain_graph=True)
    assert seen == [[2.0] * 3]  # once, with the whole gradient
    assert x.grad.tolist() == [41.0] * 3
    handle.remove()
    handle.remove()
    leaf_handle.remove()
    x.grad = None
    (y * 1).sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [20.0] * 3
    with pytest.raises(RuntimeError, match="require"):
        fc.ones(2).register_hook(print)


def test_hook_results_are_checked():
    x = leaf(3)
    x.register_hook(lambda g: g[:2])
    with pytest.raises(RuntimeError, match=r"\(3,\) to \(2,\)"):
        x.sum().backward()


def test_retain_grad():
    x = leaf(3)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3.0] * 3 and x.grad.tolist() == [6.0] * 3
    with pytest.raises(RuntimeError):
        fc.ones(1).retain_grad()


# operations and functions


def test_missing_gradient_names_the_operation():
    class Forgetful(Op):
        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, g):
            return g, None

    class Short(Forgetful):
        @staticmethod
        def backward(ctx, g):
            return g

    class NoBackward(Op):
        @staticmethod
        def forward(ctx, a):
            return a + 1

    x = leaf(2)
    with pytest.raises(RuntimeError, match=r"ForgetfulBackward0: .*no gradient for input 1"):
        Forgetful.apply(x, x).sum().backward()
    with pytest.raises(RuntimeError, match=r"ShortBackward0: .*returned 1 gradients, expected 2"):
        Short.apply(x, x).sum().backward()
    with pytest.raises(NotImplementedError, match="NoBackward has no backward"):
        NoBackward.apply(x).sum().backward()
    assert x.grad is None


def test_op_with_several_outputs():
    class Both(Op):
        @staticmethod
        def forward(ctx, a, n):
            ctx.save(a)
            return a * n, a * a, np.argsort(a)

        @staticmethod
        def backward(ctx, g0, g1, g2):
            assert g2 is None
            return g0 * 3 + g1 * 2 * ctx.saved[0]

    x = leaf(3)
    _, b, order = Both.apply(x, 3)
    assert not order.requires_grad
    (gx,) = autograd.grad(b.sum(), x, retain_graph=True)
    np.testing.assert_allclose(gx.numpy(), 2 * x.detach().numpy())
    assert gradcheck(lambda t: Both.apply(t, 3)[:2], x)


def test_needs_follow_the_tensor_arguments():
    seen = []

    class Probe(Op):
        @staticmethod
        def forward(ctx, k, a, b, c):
            seen.append(ctx.needs)
            return a + c

        @staticmethod
        def backward(ctx, g):
            return g, None

    x = leaf(2)
    Probe.apply(1, x, None, fc.ones(2, dtype=fc.float64)).sum().backward()
    with fc.no_grad():
        Probe.apply(1, x, 3, x)
    assert seen == [(True, False), (False, False)] and x.grad.tolist() == [1, 1]


class Scale(Function):
    @staticmethod
    def forward(ctx, x, factor, bias=None):
        ctx.save_for_backward(x, factor)
        ctx.seen = ctx.needs_input_grad
        return x * factor if bias is None else x * factor + bias

    @staticmethod
    def backward(ctx, g):
        x, factor = ctx.saved_tensors
        assert not fc.is_grad_enabled() and isinstance(g, fc.Tensor)
        return (
            g * factor if ctx.needs_input_grad[0] else None,
            (g * x).sum() if ctx.needs_input_grad[1] else None,
            None,
        )


def test_user_function():
    x, factor = leaf(3), leaf()
    y = Scale.apply(x, factor)
    assert y.grad_fn.name() == "ScaleBackward" and y.grad_fn.seen == (True, True)
    assert gradcheck(Scale.apply, (x, factor))
    assert gradcheck(Scale.apply, (x, factor.detach(), 2.0))
    assert not Scale.apply(x.detach(), factor.detach()).requires_grad
    y.sum().backward()
    with pytest.raises(RuntimeError, match=r"ScaleBackward.*second time"):
        y.sum().backward()


def test_user_function_checks():
    class Bad(Function):
        result = None

        @staticmethod
        def forward(ctx, x, k):
            return x * k

        @staticmethod
        def backward(ctx, g):
            return Bad.result(g)

    x = leaf(3)

    def attempt(result):
        Bad.result = staticmethod(result)
        Bad.apply(x, 2).sum().backward()

    with pytest.raises(
        RuntimeError, match="BadBackward: backward returned no gradient for input 0"
    ):
        attempt(lambda g: (None, None))
    with pytest.raises(
        RuntimeError, match="BadBackward: backward returned 1 gradients, expected 2"
    ):
        attempt(lambda g: g)
    with pytest.raises(RuntimeError, match=r"gradient 0 has shape \(2,\)"):
        attempt(lambda g: (g[:2], None))
    with pytest.raises(TypeError, match="ndarray"):
        attempt(lambda g: (g.numpy(), None))
    attempt(lambda g: (g.float(), None, None, None))
    assert x.grad.dtype is fc.float64
    with pytest.raises(TypeError, match="save_for_backward"):
        Function().save_for_backward(3)


def test_user_function_saved_value_changed_in_place():
    x, factor = leaf(3), leaf()
    y = x * 1
    z = Scale.apply(y, factor)
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"ScaleBackward.*in-place"):
        z.sum().backward()


def test_user_function_with_setup_context():
    class Square(Function):
        @staticmethod
        def forward(x):
            return x * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        @autograd.once_differentiable
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    assert gradcheck(Square.apply, leaf(3))


def test_user_function_outputs():
    class Split(Function):
        @staticmethod
        def forward(ctx, x):
            low = x.argmin()
            mask = (x > 0).double()
            ctx.mark_non_differentiable(mask)
            ctx.set_materialize_grads(False)
            return x * 2, mask, low, x

        @staticmethod
        def backward(ctx, g, gm, gl, gx):
            assert gm is None and gl is None
            return (0 if g is None else g * 2) + (0 if gx is None else gx)

    x = leaf(3)
    double, mask, low, same = Split.apply(x)
    assert double.requires_grad and not mask.requires_grad and not low.requires_grad
    assert same is not x and same.requires_grad and same.array is x.array
    (double.sum() + same.sum()).backward()
    assert x.grad.tolist() == [3.0] * 3


def test_user_function_in_place():
    class AddOne(Function):
        @staticmethod
        def forward(ctx, x):
            x.add_(1)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 5

    x = leaf(2)
    y = x * 1
    z = AddOne.apply(y)
    assert z is y and y._version >= 1
    y.sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]
    with pytest.raises(RuntimeError, match="leaf"):
        AddOne.apply(x)


def test_backward_inside_backward():
    class Checkpoint(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x * x).exp()

        @staticmethod
        def backward(ctx, g):
            x = ctx.saved_tensors[0].detach().requires_grad_()
            with fc.enable_grad():
                y = (x * x).exp()
            y.backward(g)
            return x.grad

    assert gradcheck(Checkpoint.apply, leaf(3))


# gradcheck


def test_gradcheck_finds_wrong_gradients():
    class Wrong(Op):
        @staticmethod
        def forward(ctx, a):
            return a * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2.1

    x = leaf(3)
    for fast in (False, True):
        with pytest.raises(RuntimeError, match="gradient of output 0 by input 0"):
            gradcheck(Wrong.apply, x, fast_mode=fast)
        assert not gradcheck(Wrong.apply, x, fast_mode=fast, raise_exception=False)
        assert gradcheck(
            lambda a, b: ((a * b).sum(1), a @ b.t()), (leaf(3, 2), leaf(3, 2)), fast_mode=fast
        )
    with pytest.raises(ValueError, match="float32"):
        gradcheck(Wrong.apply, leaf(3, dtype=fc.float32))
    with pytest.raises(ValueError, match="no input"):
        gradcheck(Wrong.apply, fc.ones(3))


SHAPES = st.lists(st.integers(1, 3), min_size=0, max_size=3)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_broadcasting_gradients(data):
    shape = data.draw(SHAPES)
    a_shape = [n if data.draw(st.booleans()) else 1 for n in shape]
    b_shape = [n if data.draw(st.booleans()) else 1 for n in shape]
    b_shape = b_shape[data.draw(st.integers(0, len(b_shape))) :]
    op = data.draw(st.sampled_from([fc.add, fc.sub, fc.mul, fc.div, fc.maximum, fc.atan2]))
    a, b = leaf(a_shape), fc.rand(b_shape, dtype=fc.float64).add_(0.5).requires_grad_()
    assert gradcheck(op, (a, b), fast_mode=True)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_indexing_gradients(data):
    x = leaf(3, 4, 2)
    parts = [
        st.integers(-3, 2) | st.slices(3),
        st.slices(4) | st.lists(st.integers(-4, 3), min_size=1, max_size=3).map(np.array),
        st.integers(0, 1) | st.slices(2),
    ]
    index = tuple(
        slice(i.start, i.stop, abs(i.step) if i.step else None) if isinstance(i, slice) else i
        for i in (data.draw(p) for p in parts[: data.draw(st.integers(0, 3))])
    )
    index += data.draw(st.sampled_from([(), (None,), (Ellipsis,), (Ellipsis, None)]))
    np.testing.assert_array_equal(x[index].detach().numpy(), x.detach().numpy()[index])
    assert gradcheck(lambda t: t[index] * 2, x, fast_mode=True)
    value = fc.randn(x[index].shape, dtype=fc.float64, requires_grad=True)
    if len({int(i) for i in np.arange(24).reshape(3, 4, 2)[index].reshape(-1)}) == value.numel():

        def put(t, v):
            t = t * 1
            t[index] = v
            return t

        assert gradcheck(put, (x, value), fast_mode=True)
