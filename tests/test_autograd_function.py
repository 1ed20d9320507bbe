"""Operations and users' own functions; gradients against differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastconv as fc
from fastconv import autograd
from fastconv.autograd import Function, Op, gradcheck


def leaf(*shape, dtype=fc.float64):
    return fc.randn(*shape, dtype=dtype, requires_grad=True)


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
