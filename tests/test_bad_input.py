"""Wrong arguments: everything either works or is a ValueError or TypeError that names it.

Nothing may crash, hang, allocate absurd memory, warn, or give a wrong answer in silence. What works
is compared with PyTorch in test_bad_input_torch.py.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import ops, planner
from tests.bad_calls import (
    BACKENDS,
    CALLS,
    GEOMETRY,
    NOT_INTS,
    Call,
    array,
    having,
    refuses,
    tensor,
)
from tests.tolerance import assert_close

pytestmark = pytest.mark.filterwarnings("error")


def test_the_right_arguments_are_right() -> None:
    for call in CALLS:
        call()


# ---------------------------------------------------------------- geometry


@having(*GEOMETRY)
def test_geometry_of_a_wrong_type(call: Call, argument: str) -> None:
    call()  # what is equal to a cached 1 must not be taken for it
    for value in NOT_INTS.values():
        refuses(call, argument, value)


@having("groups", "divisor_override", "num_groups", "size", "upscale_factor", "downscale_factor")
def test_integers_of_a_wrong_type(call: Call, argument: str) -> None:
    for kind, value in NOT_INTS.items():
        if "tuple" not in kind or call.function is not F.interpolate:
            refuses(call, argument, value)


@having(*GEOMETRY)
def test_geometry_out_of_range(call: Call, argument: str) -> None:
    for value in (-1, -(2**31), -(2**63), -(2**200), 2**31, 2**63, 2**64, 2**200):
        refuses(call, argument, value)
        refuses(call, argument, (value,))
    refuses(call, argument, (1,) * 4)
    if argument != "stride":
        refuses(call, argument, ())
    if argument in ("stride", "dilation", "kernel_size"):
        refuses(call, argument, 0)


@having("groups")
def test_groups_out_of_range(call: Call, argument: str) -> None:
    if "bias" in call.arguments:
        call = Call(call.function, **{**call.arguments, "bias": None})
    for value in (0, -1, 5, 7, 2**31, 2**63, 2**200):
        refuses(call, argument, value, ValueError)


@having("input_size", "weight_size")
def test_sizes_that_are_no_shapes(call: Call, argument: str) -> None:
    right = call.arguments[argument]
    for value in (
        None, 5, "2466", (2, 4, 6.0, 6), (2.0, 4, 6, 6), (2, 4, 6, True), (2, 4, 6, "6"), (),
        right[1:],
        (*right, 1), (-2, *right[1:]), (2, -4, 6, 6), (2**31, 4, 6, 6), (2, 4, 2**31, 2**31),
        (2, 4, 2**63, 6), (2**200, *right[1:]), {2: 4}, object(),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError)):
            call(**{argument: value})
    call(**{argument: list(right)})
    call(**{argument: np.array(right)})


@having("output_size", calls=[c for c in CALLS if "adaptive" in repr(c)])
def test_adaptive_sizes(call: Call, argument: str) -> None:
    for kind, value in NOT_INTS.items():
        if kind != "None inside":
            refuses(call, argument, value)
    for value in (0, -1, 2**60, 2**63, 2**200, (), (1,) * 4):
        refuses(call, argument, value)


@having("output_size", calls=[c for c in CALLS if "unpool" in repr(c)])
def test_unpooling_sizes(call: Call, argument: str) -> None:
    x = call.arguments.get("x", call.arguments.get("input"))
    n = x.ndim - 2
    for value in (
        6, "66", (6.0,) * n, (True,) * n, (4,) * n, (0,) * n, (-6,) * n, (6,) * (n + 1),
        (2**63,) * n, (), {6: 6}, (None,) * n,
    ):  # fmt: skip
        refuses(call, argument, value)
    call(output_size=(7,) * n)
    call(output_size=(8,) * n)  # of windows with dilation 3
    call(output_size=[2, 4, *(6,) * n])


@having("ceil_mode", "count_include_pad")
def test_flags_that_are_no_bools(call: Call, argument: str) -> None:
    for value in ("True", 1, 0.0, None, [True], np.ones(2, bool)):
        refuses(call, argument, value, TypeError)
    call(**{argument: np.True_})


@having("divisor_override")
def test_divisors(call: Call, argument: str) -> None:
    for value in (0, 2**63, -(2**63), 2**200):
        refuses(call, argument, value, ValueError)
    call(divisor_override=-(2**62))


@having(*GEOMETRY, "groups")
def test_integers_of_any_kind(call: Call, argument: str) -> None:
    value = call.arguments[argument]
    wanted = call()
    wanted = wanted[0] if isinstance(wanted, tuple) else wanted
    for kind in (np.int8, np.uint8, np.int32, np.uint64, np.int64, np.array):
        got = call(**{argument: kind(value)})
        got = got[0] if isinstance(got, tuple) else got
        np.testing.assert_array_equal(np.asarray(got), np.asarray(wanted))
    if argument != "groups":
        call(**{argument: [value]})
        call(**{argument: np.array([value], np.uint16)})


def test_kernels_larger_than_the_padded_input() -> None:
    x, w = array(1, 2, 5, 5), array(3, 2, 3, 3)
    for arguments in (
        dict(dilation=3), dict(dilation=2**30), dict(dilation=2**31 - 1, padding=2**30 - 2),
        dict(dilation=(1, 5), padding=(9, 1)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="larger than the padded input"):
            ops.conv_forward(x, w, **arguments)
    for kernel in (6, (5, 6), 2**31 - 1):
        with pytest.raises(ValueError, match="larger than the padded input"):
            ops.max_pool_forward(x, kernel, 1)
    with pytest.raises(ValueError, match="not positive"):
        ops.conv_transpose_forward(x, array(2, 3, 3, 3), padding=4)


KERNELS = [(c.backend, c.algorithm) for c in planner.CANDIDATES["conv_backward_input"]]
KERNELS = [pair for pair in KERNELS if pair[0] in BACKENDS]


@pytest.mark.parametrize(("backend", "algorithm"), KERNELS)
def test_dilation_far_beyond_the_input(backend: str, algorithm: str) -> None:
    """Only the middle taps meet the input, however far away the others are."""
    x, w = array(2, 3, 5, 6), array(4, 3, 3, 3)
    wanted = ops.conv_forward(x, w[:, :, 1:2, 1:2])
    with fc.backend(backend), fc.algorithm(algorithm):
        for far in (7, 10**6, 2**30):
            got = ops.conv_forward(x, w, padding=far, dilation=far)
            np.testing.assert_allclose(got, wanted, atol=1e-5)
            g = ops.conv_backward_input(got, w, x.shape, padding=far, dilation=far)
            assert g.shape == x.shape and np.isfinite(g).all()
            g = ops.conv_backward_weight(got, x, w.shape, padding=far, dilation=far)
            middle = np.zeros_like(g)
            middle[:, :, 1, 1] = np.einsum("nkhw,nchw->kc", got, x)
            assert not g[:, :, 0].any() and not g[:, :, :, 2].any() and g[:, :, 1, 1].all()
            assert_close(g, middle, g.dtype, 2 * 5 * 6, algorithm)


@pytest.mark.parametrize(("backend", "algorithm"), KERNELS)
def test_strides_far_beyond_the_input(backend: str, algorithm: str) -> None:
    x, w, far = array(2, 3, 5, 6), array(4, 3, 3, 3), 2**31 - 1
    wanted = ops.conv_forward(x, w)[:, :, :1, :1]
    with fc.backend(backend), fc.algorithm(algorithm):
        got = ops.conv_forward(x, w, stride=far)
        np.testing.assert_allclose(got, wanted, atol=1e-5)
        assert ops.conv_backward_input(got, w, x.shape, stride=far).shape == x.shape
        assert ops.conv_backward_weight(got, x, w.shape, stride=far).shape == w.shape
        assert ops.conv_transpose_forward(got, w, stride=far).shape == (2, 3, 3, 3)
        assert ops.max_pool_forward(x, 2, far)[0].shape == (2, 3, 1, 1)
        big = ops.avg_pool_forward(x, far - 1, 1, far // 2 - 1)
        assert big.shape[2:] == (4, 5)


def test_padding_strings() -> None:
    x, w = tensor(1, 2, 5, 5), tensor(3, 2, 3, 3)
    for padding in ("Same", "full", "", "1", b"same"):
        with pytest.raises((ValueError, TypeError), match="padding"):
            F.conv2d(x, w, padding=padding)
        with pytest.raises((ValueError, TypeError), match="padding"):
            fc.nn.Conv2d(2, 3, 3, padding=padding)
    with pytest.raises(ValueError, match="stride"):
        F.conv2d(x, w, padding="same", stride=2)
    with pytest.raises(ValueError, match="stride"):
        fc.nn.Conv2d(2, 3, 3, padding="same", stride=2)
    with pytest.raises((ValueError, TypeError), match="padding"):
        F.conv_transpose2d(x, tensor(2, 3, 3, 3), padding="same")
    with pytest.raises(ValueError, match="padding_mode"):
        fc.nn.Conv2d(2, 3, 3, padding_mode="mirror")


def test_padding_modes_larger_than_the_input() -> None:
    x = tensor(1, 2, 4, 4)
    for mode, most in (("reflect", 3), ("circular", 4)):
        fc.nn.Conv2d(2, 3, 3, padding=most, padding_mode=mode)(x)
        with pytest.raises(ValueError, match=r"pad\(\)"):
            fc.nn.Conv2d(2, 3, 3, padding=most + 1, padding_mode=mode)(x)
    assert fc.nn.Conv2d(2, 3, 3, padding=9, padding_mode="replicate")(x).shape == (1, 3, 20, 20)


def test_pad() -> None:
    call = next(c for c in CALLS if c.function is F.pad)
    for value in (1, None, "11", (1.0, 1), (True, 1), (1,), (1, 1, 1), (1,) * 10, {1: 1}, (-4, -3)):
        refuses(call, "pad", value)
    for value in ("0", [0], 1j, object()):
        refuses(call, "value", value)
    for mode in ("zeros", None, 3, ["reflect"]):
        refuses(call, "mode", mode)
    for n in (2**60, 2**63, 2**200):
        with pytest.raises(ValueError, match=r"pad\(\): output of shape"):
            call(pad=(0, n))
    for mode in ("reflect", "replicate", "circular"):
        with pytest.raises(ValueError, match="pad"):
            call(mode=mode, value=None, pad=(2**62, 0, 0, 0))


# ---------------------------------------------------------------- other functions


@having(
    "momentum", "eps", "label_smoothing", "beta", "alpha", "k", "p", "delta", "negative_slope",
    "min_val", "max_val", "threshold", "norm_type", "scale_factor", calls=CALLS,
)  # fmt: skip
def test_numbers_of_a_wrong_type(call: Call, argument: str) -> None:
    for value in ("1", None, 1j, [], object(), np.ones(2), {}):
        if argument == "scale_factor" and (value is None or isinstance(value, np.ndarray)):
            continue
        refuses(call, argument, value)
    call(**{argument: np.float32(0.5)})


def test_numbers_out_of_range() -> None:
    for call in CALLS:
        for argument, values in (
            ("eps", (-1.0,) if "batch_norm" in repr(call) else ()),
            ("p", (-0.1, 1.1, float("nan"), float("inf"))),
            ("label_smoothing", (-0.1, 1.1, float("nan"))),
            ("delta", (0.0, -1.0, float("nan"))),
            ("norm_type", (0.0,)),
            ("scale_factor", (0.0, -1.0, float("nan"), float("inf"), 1e300)),
            ("num_groups", (0, -1, 3, 2**70)),
            ("upscale_factor", (0, -1, 3, 2**70)),
            ("downscale_factor", (0, -1, 4, 2**70)),
            ("reduction", ("avg", None, 3)),
            ("approximate", ("Tanh", None)),
        ):
            for value in values if argument in call.arguments else ():
                with pytest.raises(ValueError, match=repr(call)):
                    call(**{argument: value})


@having("dim")
def test_axes(call: Call, argument: str) -> None:
    for value in (4, -5, 2**70):
        with pytest.raises(IndexError, match="dimension out of range"):
            call(dim=value)
    for value in ("1", 1.0, (1,), object()):
        refuses(call, argument, value, TypeError)
    call(dim=np.int8(-3))


def test_class_indices() -> None:
    x = tensor(3, 4)
    for bad in (-1, 4, 2**62):
        with pytest.raises(IndexError, match="out of bounds for 4 classes"):
            F.cross_entropy(x, fc.tensor([0, bad, 1]))
    for target in (fc.tensor([0, 1]), fc.tensor([[0, 1, 2]]), fc.tensor(0)):
        with pytest.raises(ValueError, match=r"cross_entropy\(\): target"):
            F.cross_entropy(x, target)
    with pytest.raises(ValueError, match="weight"):
        F.cross_entropy(x, fc.tensor([0, 1, 2]), fc.ones(3))
    with pytest.raises(TypeError, match="ignore_index"):
        F.cross_entropy(x, fc.tensor([0, 1, 2]), ignore_index=1.5)
    with pytest.raises((IndexError, ValueError)):
        F.cross_entropy(fc.zeros(2, 0), fc.tensor([0, 0]))
    assert F.cross_entropy(fc.zeros(0, 3), fc.zeros(0, dtype=fc.int64)).isnan()
    assert F.cross_entropy(x, fc.full((3,), -100)).isnan()


def test_batch_norm_statistics_that_cannot_change() -> None:
    frozen = np.zeros(4, np.float32)
    frozen.flags.writeable = False
    mean, var = fc.zeros(4), fc.from_numpy(frozen)
    with pytest.raises(ValueError, match="running_var"):
        F.batch_norm(tensor(2, 4), mean, var, training=True)
    assert not mean.numpy().any()
    for shape in ((), (4,), (1, 4)):
        with pytest.raises(ValueError):
            F.batch_norm(tensor(*shape), fc.zeros(4), fc.ones(4), training=True)
