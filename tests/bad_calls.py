"""Every public operation with arguments that are right, for tests that make one of them wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as F
from fastconv import backends, ops

BACKENDS = [name for name in ("c", "numba", "naive") if backends.why_not(name) is None]
RNG = np.random.default_rng(5)


def array(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def tensor(*shape: int) -> fc.Tensor:
    return fc.from_numpy(array(*shape))


def huge(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    """An array of any shape over one element of memory."""
    return np.lib.stride_tricks.as_strided(np.zeros(1, dtype), shape, (0,) * len(shape))


def indices(*shape: int, below: int = 4) -> np.ndarray:
    return RNG.integers(0, below, shape)


# ---------------------------------------------------------------- the calls


class Call:
    """A function with arguments that are right; tests make one of them wrong at a time."""

    def __init__(self, function: Callable[..., Any], **arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def __call__(self, **changed: Any) -> Any:
        return self.function(**{**self.arguments, **changed})

    def __repr__(self) -> str:
        return str(self.function.__name__)


def _ops() -> list[Call]:
    x, w = array(2, 4, 6, 6), array(6, 2, 3, 3)
    y = ops.conv_forward(x, w, groups=2)
    pooled, where = ops.max_pool_forward(x, 2)
    window: dict[str, Any] = dict(kernel_size=2, stride=2, padding=0, ceil_mode=False)
    geometry: dict[str, Any] = dict(stride=1, padding=0, dilation=1, groups=2)
    size = dict(input_size=(2, 4, 6, 6))
    return [
        Call(ops.conv_forward, x=x, weight=w, bias=array(6), **geometry),
        Call(ops.conv_backward_input, grad_output=y, weight=w, **size, **geometry),
        Call(ops.conv_backward_weight, grad_output=y, x=x, weight_size=(6, 2, 3, 3), **geometry),
        Call(ops.conv_backward_bias, grad_output=y),
        Call(
            ops.conv_transpose_forward,
            x=y,
            weight=w,
            bias=array(4),
            output_padding=0,
            **geometry,
        ),
        Call(ops.max_pool_forward, x=x, dilation=1, **window),
        Call(
            ops.max_pool_backward, grad_output=pooled, indices=where, dilation=1, **size, **window
        ),
        Call(ops.avg_pool_forward, x=x, count_include_pad=True, divisor_override=None, **window),
        Call(
            ops.avg_pool_backward,
            grad_output=pooled,
            count_include_pad=True,
            divisor_override=None,
            **size,
            **window,
        ),
        Call(ops.adaptive_avg_pool_forward, x=x, output_size=3),
        Call(ops.adaptive_avg_pool_backward, grad_output=pooled, **size),
        Call(ops.adaptive_max_pool_forward, x=x, output_size=3),
        Call(ops.adaptive_max_pool_backward, grad_output=pooled, indices=where, **size),
        Call(ops.lp_pool_forward, x=x, norm_type=2.0, kernel_size=2, stride=2, ceil_mode=False),
        Call(
            ops.lp_pool_backward,
            grad_output=pooled,
            x=x,
            norm_type=2.0,
            kernel_size=2,
            stride=2,
            ceil_mode=False,
        ),
        Call(
            ops.max_unpool_forward,
            x=pooled,
            indices=where,
            kernel_size=2,
            stride=2,
            padding=0,
            output_size=None,
        ),
        Call(ops.max_unpool_backward, grad_output=x, indices=where),
    ]


def _functional() -> list[Call]:
    calls = []
    for n in (1, 2, 3):
        space, kernel = (6,) * n, (3,) * n
        x = tensor(2, 4, *space)
        geometry: dict[str, Any] = dict(stride=1, padding=0, dilation=1, groups=2)
        window: dict[str, Any] = dict(input=x, kernel_size=2, stride=2, ceil_mode=False)

        def of(name: str, n: int = n, **arguments: Any) -> None:
            calls.append(Call(getattr(F, f"{name}{n}d"), **arguments))

        of("conv", input=x, weight=tensor(6, 2, *kernel), bias=tensor(6), **geometry)
        of(
            "conv_transpose",
            input=x,
            weight=tensor(4, 3, *kernel),
            bias=tensor(6),
            output_padding=0,
            **geometry,
        )
        of("max_pool", padding=0, dilation=1, **window)
        extra = {} if n == 1 else {"divisor_override": None}
        of("avg_pool", padding=0, count_include_pad=True, **window, **extra)
        of("lp_pool", norm_type=2.0, **window)
        of("adaptive_avg_pool", input=x, output_size=3)
        of("adaptive_max_pool", input=x, output_size=3)
        pooled, where = getattr(F, f"max_pool{n}d")(x, 2, return_indices=True)
        of(
            "max_unpool",
            input=pooled,
            indices=where,
            kernel_size=2,
            stride=2,
            padding=0,
            output_size=None,
        )
    x, flat, one = tensor(2, 4, 6, 6), tensor(3, 4), {"input": tensor(2, 4, 6, 6)}
    labels = fc.tensor([0, 1, 3])
    channel: dict[str, Any] = dict(weight=tensor(4), bias=tensor(4))
    running: dict[str, Any] = dict(running_mean=tensor(4), running_var=fc.ones(4))
    calls += [
        Call(F.linear, input=flat, weight=tensor(5, 4), bias=tensor(5)),
        Call(F.pad, input=x, pad=(1, 1), mode="constant", value=0.0),
        Call(F.batch_norm, training=True, momentum=0.1, eps=1e-5, **one, **running, **channel),
        Call(F.batch_norm, training=False, momentum=0.1, eps=1e-5, **one, **running, **channel),
        Call(F.instance_norm, momentum=0.1, eps=1e-5, **one, **running, **channel),
        Call(
            F.layer_norm, normalized_shape=(6,), weight=tensor(6), bias=tensor(6), eps=1e-5, **one
        ),
        Call(F.group_norm, num_groups=2, eps=1e-5, **one, **channel),
        Call(F.local_response_norm, size=3, alpha=1e-4, beta=0.75, k=1.0, **one),
        Call(
            F.cross_entropy,
            input=flat,
            target=labels,
            weight=fc.ones(4),
            ignore_index=-100,
            reduction="mean",
            label_smoothing=0.1,
        ),
        Call(F.nll_loss, input=flat, target=labels, weight=fc.ones(4), reduction="mean"),
        Call(F.mse_loss, input=flat, target=tensor(3, 4), reduction="mean"),
        Call(F.l1_loss, input=flat, target=tensor(3, 4), reduction="mean"),
        Call(F.smooth_l1_loss, input=flat, target=tensor(3, 4), reduction="mean", beta=1.0),
        Call(F.huber_loss, input=flat, target=tensor(3, 4), reduction="mean", delta=1.0),
        Call(F.kl_div, input=flat, target=tensor(3, 4).abs(), reduction="mean"),
        Call(F.binary_cross_entropy, input=flat.sigmoid(), target=tensor(3, 4).sigmoid()),
        Call(F.binary_cross_entropy_with_logits, input=flat, target=tensor(3, 4).sigmoid()),
        Call(F.relu, input=x),
        Call(F.leaky_relu, input=x, negative_slope=0.1),
        Call(F.elu, input=x, alpha=1.0),
        Call(F.selu, input=x),
        Call(F.celu, input=x, alpha=1.0),
        Call(F.gelu, input=x, approximate="tanh"),
        Call(F.silu, input=x),
        Call(F.mish, input=x),
        Call(F.softplus, input=x, beta=1.0, threshold=20.0),
        Call(F.softsign, input=x),
        Call(F.hardtanh, input=x, min_val=-1.0, max_val=1.0),
        Call(F.threshold, input=x, threshold=0.1, value=20.0),
        Call(F.prelu, input=x, weight=tensor(4)),
        Call(F.glu, input=x, dim=1),
        Call(F.tanh, input=x),
        Call(F.sigmoid, input=x),
        Call(F.logsigmoid, input=x),
        Call(F.softmax, input=x, dim=1),
        Call(F.softmin, input=x, dim=1),
        Call(F.log_softmax, input=x, dim=1),
        Call(F.dropout, input=x, p=0.5),
        Call(F.dropout2d, input=x, p=0.5),
        Call(F.interpolate, input=x, size=(3, 3), mode="nearest"),
        Call(F.interpolate, input=x, scale_factor=2.0, mode="bilinear"),
        Call(F.pixel_shuffle, input=x, upscale_factor=2),
        Call(F.pixel_unshuffle, input=x, downscale_factor=2),
    ]
    return calls


OPS = _ops()
FUNCTIONAL = _functional()
CALLS = OPS + FUNCTIONAL
ARRAYS = (
    "x", "input", "weight", "bias", "grad_output", "indices", "target", "running_mean",
    "running_var",
)  # fmt: skip


def name_of(parameter: Any) -> str:
    return parameter if isinstance(parameter, str) else repr(parameter)


def having(*names: str, calls: list[Call] = CALLS) -> Any:
    """Every call with every one of these arguments that it has."""
    found = [(call, name) for call in calls for name in names if name in call.arguments]
    return pytest.mark.parametrize(
        ("call", "argument"), found, ids=[f"{call!r}-{name}" for call, name in found]
    )


def refuses(call: Call, argument: str, value: Any, kinds: Any = (ValueError, TypeError)) -> None:
    """The call raises, naming the argument and itself, and still works afterwards."""
    with pytest.raises(kinds) as caught:
        call(**{argument: value})
    text = str(caught.value)
    about = text if len(text) < 1000 else text[:1000] + " …"
    name = getattr(call.function, "__name__", "")
    assert name in text and argument in text, f"{argument}={value!r} gave: {about}"


SPATIAL = [c for c in CALLS if "pool" in repr(c) or "conv" in repr(c)]

NOT_INTS = {
    "str": "1",
    "bytes": b"1",
    "float": 1.0,
    "numpy float": np.float32(1),
    "tuple of float": (1.0,),
    "list of float": [1.0],
    "array of float": np.ones(1),
    "bool": True,
    "tuple of bool": (True,),
    "numpy bool": np.True_,
    "array of bool": np.array([True]),
    "complex": 1 + 0j,
    "object": object(),
    "dict": {1: 1},
    "set": {1},
    "generator": (n for n in (1, 1)),
    "nested": [[1], [1]],
    "ragged": [[1], [1, 1]],
    "None inside": (None,),
    "nan": float("nan"),
    "type": int,
}
GEOMETRY = ("stride", "padding", "dilation", "output_padding", "kernel_size")
