"""Arrays that are wrong, absurdly large, laid out in any way, or of values that are not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import ops
from tests.bad_calls import (
    ARRAYS,
    BACKENDS,
    FUNCTIONAL,
    OPS,
    SPATIAL,
    Call,
    array,
    having,
    huge,
    refuses,
    tensor,
)

pytestmark = pytest.mark.filterwarnings("error")


# ---------------------------------------------------------------- arrays


@having(*ARRAYS)
def test_arrays_of_a_wrong_type(call: Call, argument: str) -> None:
    right = call.arguments[argument]
    optional = argument in ("bias", "running_mean", "running_var") or (
        argument == "weight"
        and ("norm" in repr(call) or "loss" in repr(call) or "ent" in repr(call))
    )
    values = np.asarray(right)
    wrong = ["x", 3, 1.5, object(), values.tolist(), (values,), np.float32(1), memoryview(b"abcd")]
    wrong += [] if optional else [None]
    wrong += [fc.from_numpy(values)] if isinstance(right, np.ndarray) else [values]
    for value in wrong:
        refuses(call, argument, value, TypeError)


@having(*ARRAYS)
def test_arrays_of_a_wrong_dtype(call: Call, argument: str) -> None:
    right = call.arguments[argument]
    values = np.asarray(right)
    if argument in ("indices", "target") and values.dtype.kind == "i":
        kinds: tuple[Any, ...] = (np.float32, np.float64, np.complex64, object, bool)
    elif repr(call) in ("relu", "pad", "pixel_shuffle", "pixel_unshuffle"):
        return  # for any type
    else:
        kinds = (np.int32, np.uint8, np.float16, np.complex64, object, bool, ">f4", np.longdouble)
        if argument not in ("running_mean", "running_var"):
            floats = [a for a in ARRAYS if a in call.arguments and a != "indices"]
            kinds += (np.float64,) if len(floats) > 1 else ()
    for kind in kinds:
        wrong = values.astype(kind)
        if not isinstance(right, np.ndarray):
            try:
                wrong = fc.from_numpy(wrong)
            except TypeError:
                continue
        if argument == "target" and kind in (np.float64, np.float32) and "loss" not in repr(call):
            refuses(call, argument, wrong)
        elif argument in ("input", "x", "grad_output") and kind is np.float64:
            with pytest.raises(TypeError, match="dtype"):
                call(**{argument: wrong})
        else:
            refuses(call, argument, wrong, TypeError)


@having("x", "input", "grad_output", calls=SPATIAL)
def test_wrong_ranks(call: Call, argument: str) -> None:
    right = call.arguments[argument]
    n = right.ndim - 2
    for rank in range(8):
        wrong: Any = np.zeros((2,) * rank, np.float32)
        if not isinstance(right, np.ndarray):
            wrong = fc.from_numpy(wrong)
            if rank in (n + 1, n + 2):
                continue
        elif rank == right.ndim or (3 <= rank <= 5 and "weight" not in call.arguments):
            continue
        with pytest.raises((ValueError, TypeError), match=repr(call)):
            call(**{argument: wrong})


@having("weight", calls=SPATIAL)
def test_weights_that_do_not_fit(call: Call, argument: str) -> None:
    right = np.asarray(call.arguments["weight"])
    k, c, *kernel = right.shape
    make = np.zeros if isinstance(call.arguments["weight"], np.ndarray) else fc.zeros
    shapes = [(), (k,), right.shape[1:], (*right.shape, 1), (k, c + 1, *kernel), (0, c, *kernel)]
    shapes += [
        (k, 0, *kernel),
        (k, c, *kernel[1:], 0),
        (k, c, *kernel[1:], 99),
        (k - 1, c, *kernel),
    ]
    if "transpose" in repr(call):
        shapes = [s for s in shapes if s not in ((k, c + 1, *kernel), (k, c, *kernel[1:], 99))]
    for shape in shapes:
        with pytest.raises(ValueError, match=repr(call)):
            call(weight=make(shape, dtype=fc.float32 if make is fc.zeros else np.float32))


@having("bias", "running_mean", "running_var")
def test_vectors_that_do_not_fit(call: Call, argument: str) -> None:
    right = call.arguments[argument]
    make = array if isinstance(right, np.ndarray) else tensor
    n = right.shape[0]
    for shape in ((), (0,), (1,), (n + 1,), (n, 1), (1, n), (n, 1, 1)):
        refuses(call, argument, make(*shape), ValueError)


@having("indices")
def test_indices_out_of_range(call: Call, argument: str) -> None:
    right = np.asarray(call.arguments["indices"])
    make = (lambda a: a) if isinstance(call.arguments["indices"], np.ndarray) else fc.from_numpy
    for bad in (-1, 6**3, 10**9, 2**62, -(2**63)):
        wrong = right.copy()
        wrong[0, -1] = bad
        refuses(call, argument, make(wrong), ValueError)
    refuses(call, argument, make(right[:, :2]), ValueError)
    refuses(call, argument, make(right[..., :1]), ValueError) if "backward" not in repr(call) else 0
    call(indices=make(right.astype(np.uint8)))
    if make is not fc.from_numpy:
        refuses(call, argument, np.full(right.shape, 2**64 - 1, np.uint64), ValueError)
        call(indices=right.astype(">i4"))
        call(indices=np.asfortranarray(right))
        hidden = np.ma.masked_array(right.copy(), mask=np.zeros(right.shape, bool))
        hidden.data[0, 0], hidden.mask[0, 0] = 10**9, True
        refuses(call, argument, hidden, TypeError)


@pytest.mark.parametrize("backend", BACKENDS)
def test_indices_changed_behind_the_graph(backend: str) -> None:
    """Through NumPy, where no version counter sees it: no memory outside is touched."""
    with fc.backend(backend):
        for bad in (10**12, -5, -(2**62)):
            x = tensor(2, 3, 6, 6).requires_grad_()
            y, where = F.max_pool2d(x, 2, return_indices=True)
            where.array[...] = bad
            try:
                y.sum().backward()
            except (RuntimeError, IndexError, ValueError):
                continue
            assert not x.grad.numpy().any()


# ---------------------------------------------------------------- absurd sizes


@pytest.mark.parametrize("n", [2**31, 2**40, 2**59])
def test_absurd_shapes_are_refused_before_memory_is(n: int) -> None:
    wide = huge(1, 1, n, 2**60 // n)
    with pytest.raises(ValueError, match=r"2\*\*60 elements"):
        ops.conv_forward(wide, huge(1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"2\*\*60 elements"):
        ops.conv_forward(huge(1, 1, 4, 4), huge(2**30, 1, 2**10, 2**20), padding=2**20)
    with pytest.raises(ValueError, match=r"2\*\*60 elements"):
        ops.conv_forward(huge(2**30, 1, 1, 1), huge(2**31, 1, 1, 1))
    with pytest.raises(ValueError, match=r"2\*\*60 elements"):
        ops.conv_transpose_forward(huge(1, 1, n), huge(1, 1, 1), stride=2**30)
    with pytest.raises(ValueError, match=r"2\*\*60 elements"):
        ops.conv_transpose_forward(wide, huge(1, 1, 1, 1))
    for pool in (ops.max_pool_forward, ops.avg_pool_forward, ops.adaptive_avg_pool_forward):
        with pytest.raises(ValueError, match=r"2\*\*60 elements"):
            pool(wide, 2)
    with pytest.raises(ValueError, match=r"2\*\*60 elements"):
        ops.adaptive_max_pool_forward(huge(1, 1, 4, 4), 2**30)
    with pytest.raises(ValueError, match="output_size must be at most"):
        ops.adaptive_max_pool_forward(huge(1, 1, 4, 4), n * 2)
    with pytest.raises(ValueError, match=r"2\*\*60 elements"):
        ops.max_unpool_forward(array(1, 1, 6, 6, 6), np.zeros((1, 1, 6, 6, 6), np.int64), 2**31 - 1)
    with pytest.raises(ValueError):
        ops.conv_backward_input(array(1, 1, 1), huge(1, 1, 1), (1, 1, 2**62))
    with pytest.raises(ValueError):
        ops.max_pool_backward(
            array(1, 1, 1), np.zeros((1, 1, 1), np.int64), (1, 1, 2**62), 2, 2**31 - 1
        )
    with pytest.raises(ValueError):
        F.interpolate(tensor(1, 1, 4, 4), size=n * 2)


def test_sizes_too_large_for_memory_say_so() -> None:
    """2**46 elements are addressable, and no machine has them: NumPy's MemoryError, at once."""
    for call in (
        lambda: ops.conv_forward(huge(1, 1, 2**46), huge(1, 1, 1)),
        lambda: ops.conv_transpose_forward(huge(1, 1, 2**20), huge(1, 1, 1), stride=2**26),
        lambda: ops.max_pool_forward(huge(1, 1, 2**46), 2),
        lambda: F.pad(tensor(4), (2**46, 0)),
    ):
        with pytest.raises(MemoryError):
            call()


def test_adaptive_windows_of_large_sizes() -> None:
    """o * n is beyond 64 bits, floor(o * n / out) is not."""
    from fastconv.spec import adaptive_pool_spec

    n, out = 2**50 + 12345, 50021
    start, count, _, _ = adaptive_pool_spec((1, 1, n), out, 1).windows[2].tolist()
    for o in (0, 1, 777, 25010, out - 1):
        first, last = o * n // out, -(-(o + 1) * n // out)
        assert (start[o], count[o]) == (first, last - first)


# ---------------------------------------------------------------- memory of any kind


class Sub(np.ndarray):
    pass


def layouts(a: np.ndarray) -> dict[str, np.ndarray]:
    """The same values in every kind of memory."""
    frozen = a.copy()
    frozen.flags.writeable = False
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    raw = np.zeros(a.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(a.dtype).reshape(a.shape)
    unaligned[...] = a
    return {
        "read-only": frozen,
        "every second": wide[..., ::2],
        "reversed": np.ascontiguousarray(a[..., ::-1])[..., ::-1],
        "all reversed": np.ascontiguousarray(np.flip(a))[(slice(None, None, -1),) * a.ndim],
        "Fortran": np.asfortranarray(a),
        "channels last": np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1),
        "swapped": np.ascontiguousarray(a.swapaxes(0, -1)).swapaxes(0, -1),
        "unaligned": unaligned,
        "subclass": a.view(Sub),
        "memory map": np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_in_any_memory(backend: str) -> None:
    with fc.backend(backend):
        for call in OPS:
            wanted = call()
            names = [n for n in ("x", "weight", "grad_output", "indices") if n in call.arguments]
            for name in names:
                for kind, a in layouts(call.arguments[name]).items():
                    got = call(**{name: a})
                    for g, w in zip(
                        got if isinstance(got, tuple) else (got,),
                        wanted if isinstance(wanted, tuple) else (wanted,),
                        strict=True,
                    ):
                        assert type(g) is np.ndarray
                        np.testing.assert_allclose(
                            g, w, rtol=1e-5, atol=1e-5, err_msg=f"{call} {name} {kind}"
                        )


@pytest.mark.parametrize("backend", BACKENDS)
def test_broadcast_arrays(backend: str) -> None:
    """Zero strides, where many elements are one in memory, read and never written."""
    with fc.backend(backend):
        x = np.broadcast_to(array(1, 4, 1, 6), (2, 4, 6, 6))
        w = np.broadcast_to(array(1, 1, 1, 3), (6, 2, 3, 3))
        y = ops.conv_forward(x, w, groups=2)
        np.testing.assert_array_equal(y, ops.conv_forward(x.copy(), w.copy(), groups=2))
        g = np.broadcast_to(np.float32(1), y.shape)
        ops.conv_backward_input(g, w, x.shape, groups=2)
        gw = ops.conv_backward_weight(g, x, w.shape, groups=2)
        np.testing.assert_array_equal(
            gw, ops.conv_backward_weight(g.copy(), x.copy(), w.shape, groups=2)
        )
        y, where = ops.max_pool_forward(x, 2)
        np.testing.assert_array_equal(y, ops.max_pool_forward(x.copy(), 2)[0])
        g = np.broadcast_to(np.float32(1), y.shape)
        ops.max_pool_backward(g, where, x.shape, 2)
        ops.avg_pool_backward(g, x.shape, 2)
        ops.max_unpool_forward(g, where, 2)
        ops.max_unpool_backward(x, where)


def test_masked_arrays_and_matrices() -> None:
    x = np.ma.masked_array(array(1, 1, 4, 4), mask=np.eye(4, dtype=bool)[None, None])
    with pytest.raises(TypeError, match="x must not be masked"):
        ops.conv_forward(x, array(1, 1, 3, 3))
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.asmatrix(array(4, 4))
    with pytest.raises(ValueError, match="3 to 5 dimensions"):
        ops.conv_forward(matrix, array(1, 1, 3, 3))


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_batches(backend: str) -> None:
    with fc.backend(backend):
        x, w = array(0, 4, 6, 6), array(6, 2, 3, 3)
        y = ops.conv_forward(x, w, array(6), groups=2)
        assert y.shape == (0, 6, 4, 4)
        assert ops.conv_backward_input(y, w, x.shape, groups=2).shape == x.shape
        assert not ops.conv_backward_weight(y, x, w.shape, groups=2).any()
        assert not ops.conv_backward_bias(y).any()
        y, where = ops.max_pool_forward(x, 2)
        assert y.shape == where.shape == (0, 4, 3, 3)
        assert ops.max_pool_backward(y, where, x.shape, 2).shape == x.shape
        assert ops.avg_pool_forward(x, 2).shape == y.shape
        assert ops.adaptive_avg_pool_forward(x, 3).shape == y.shape
        assert ops.max_unpool_forward(y, where, 2).shape == x.shape
        assert ops.lp_pool_forward(x, 2.0, 2).shape == y.shape


@having("x", "input", calls=SPATIAL)
def test_axes_without_elements(call: Call, argument: str) -> None:
    right = call.arguments[argument]
    make = np.zeros if isinstance(right, np.ndarray) else fc.zeros
    for axis in range(1, right.ndim):
        shape = list(right.shape)
        shape[axis] = 0
        with pytest.raises(ValueError, match=repr(call)):
            call(**{argument: make(tuple(shape), dtype=(fc if make is fc.zeros else np).float32)})


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_denormals_are_kept(backend: str, dtype: Any) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    x, one = np.full((1, 1, 4, 4), tiny), np.ones((1, 1, 1, 1), dtype)
    with fc.backend(backend):
        np.testing.assert_array_equal(ops.conv_forward(x, one), x)
        np.testing.assert_array_equal(ops.conv_backward_input(x, one, x.shape), x)
        np.testing.assert_array_equal(ops.max_pool_forward(x, 2)[0], x[..., :2, :2])
        np.testing.assert_array_equal(ops.avg_pool_forward(x, 2), x[..., :2, :2])


@pytest.mark.parametrize("backend", BACKENDS)
def test_overflow_is_infinity_without_a_warning(backend: str) -> None:
    x = np.full((1, 2, 4, 4), 3e38, np.float32)
    with fc.backend(backend):
        assert np.isposinf(ops.conv_forward(x, np.ones((1, 2, 1, 1), np.float32))).all()
        assert np.isposinf(ops.avg_pool_forward(x, 2, divisor_override=1)).all()
        assert np.isposinf(ops.lp_pool_forward(x, 2.0, 2)).all()


@pytest.mark.parametrize("call", FUNCTIONAL, ids=repr)
def test_values_that_are_not_finite_do_not_warn(call: Call) -> None:
    if call.function is F.binary_cross_entropy:
        return
    values = np.asarray(call.arguments["input"])
    for value in (np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-44):
        x = fc.from_numpy(np.full_like(values, value)).requires_grad_()
        y = call(input=x)
        y = y[0] if isinstance(y, tuple) else y
        assert y.dtype == fc.float32
        y.backward(fc.ones_like(y))
        assert x.grad.shape == x.shape
