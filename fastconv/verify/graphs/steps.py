"""The steps of a program, each a function of the machine that gives the value made, or None.

None says that the step does not apply to the shapes at hand, or makes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .execute import MOST_CHANNELS, Machine
from .program import ACTIVATIONS, Step

Run = Callable[[Machine, Step], Any]
RUN: dict[str, Run] = {}


def step(function: Run) -> Run:
    """Register a step under its function's name, without a closing underscore."""
    RUN[function.__name__.rstrip("_")] = function
    return function


def _first(m: Machine, s: Step) -> Any:
    return m.values[m.find(s.args[0])]


def _same(a: Any, b: Any) -> bool:
    return bool(tuple(a.shape) == tuple(b.shape))


# ---------------------------------------------------------------- layers


def _convolution(m: Machine, v: Any, args: tuple[int, ...], key: str) -> Any:
    channels, kernel, stride, grouping, bias = args
    found = v.shape[m.channel]
    groups = 1
    if grouping == 1:  # depthwise
        groups, channels = found, found * (2 if channels > 8 else 1)
    elif grouping == 2 and found % 2 == 0:
        groups, channels = 2, channels + channels % 2
    if max(found, channels) > MOST_CHANNELS:
        return None

    def make() -> Any:
        return m.named("Conv")(
            found, channels, kernel, stride=stride, padding=kernel // 2, groups=groups,
            bias=bool(bias),
        )  # fmt: skip

    return m.layer(key, make)


@step
def conv(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    if not m.image(v) or min(v.shape[m.channel + 1 :]) + 2 * (s.args[2] // 2) < s.args[2]:
        return None
    layer = _convolution(m, v, s.args[1:], str(s.label))
    return None if layer is None else layer(v)


@step
def convt(m: Machine, s: Step) -> Any:
    v, (channels, kernel, stride) = _first(m, s), s.args[1:]
    if not m.image(v) or v.numel() > 20_000:
        return None
    found = v.shape[m.channel]
    return m.layer(
        str(s.label), lambda: m.named("ConvTranspose")(found, channels, kernel, stride=stride)
    )(v)


@step
def linear(m: Machine, s: Step) -> Any:
    v, (width, bias) = _first(m, s), s.args[1:]
    if v.numel() == 0 or v.shape[-1] > 512:
        return None
    found = v.shape[-1]
    make = lambda: m.lib.nn.Linear(found, width, bias=bool(bias))  # noqa: E731
    return m.layer(str(s.label), make)(v)


def _several(m: Machine, v: Any) -> bool:
    """Whether each channel has several values to take statistics of, and there is a batch."""
    return bool(m.channel and v.ndim >= 2 and v.numel() // max(1, v.shape[1]) > 1)


def _batch_norm(m: Machine, v: Any, tracked: bool, key: str) -> Any:
    if v.ndim == 2:
        kind = m.lib.nn.BatchNorm1d
    elif v.ndim == m.rank + 2:
        kind = m.named("BatchNorm")
    else:
        return None
    found = v.shape[1]
    return m.layer(key, lambda: kind(found, track_running_stats=tracked))


@step
def bn(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    if not _several(m, v):
        return None
    layer = _batch_norm(m, v, s.args[1] == 0, str(s.label))
    return None if layer is None else layer(v)


@step
def gn(m: Machine, s: Step) -> Any:
    v, groups = _first(m, s), s.args[1]
    if v.ndim < 3 or not m.channel or v.shape[1] % groups or v.numel() // v.shape[0] < 4:
        return None
    found = v.shape[1]
    return m.layer(str(s.label), lambda: m.lib.nn.GroupNorm(groups, found))(v)


@step
def inorm(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    if not m.channel or not m.image(v) or math.prod(v.shape[2:]) < 2:
        return None
    found, affine = v.shape[1], bool(s.args[1])
    return m.layer(str(s.label), lambda: m.named("InstanceNorm")(found, affine=affine))(v)


@step
def ln(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    if not 1 < v.shape[-1] <= 512:
        return None
    width = v.shape[-1]
    return m.layer(str(s.label), lambda: m.lib.nn.LayerNorm(width))(v)


@step
def act(m: Machine, s: Step) -> Any:
    v, (which, form, inplace) = _first(m, s), s.args[1:]
    name = ACTIVATIONS[which]
    over = bool(inplace) and v.grad_fn is not None and name not in ("sigmoid", "tanh")
    if name in ("sigmoid", "tanh"):
        return getattr(m.lib, name)(v)
    if name == "relu" and form == 2:
        return v.relu_() if over else v.relu()
    if form == 0:
        kinds = {"relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "LeakyReLU", "silu": "SiLU",
                 "elu": "ELU"}  # fmt: skip
        kind = getattr(m.lib.nn, kinds.get(name, name.capitalize()))
        return (
            m.layer(str(s.label), lambda: kind(inplace=bool(inplace)))(v)
            if over or not (inplace)
            else kind()(v)
        )
    return getattr(m.functional, name)(v, inplace=over)


@step
def pool(m: Machine, s: Step) -> Any:
    v, (kind, size, stride) = _first(m, s), s.args[1:]
    if not m.image(v) or min(v.shape[m.channel + 1 :]) < size:
        return None
    if kind == 2:
        return m.named("AdaptiveAvgPool")(1)(v)
    return m.named("MaxPool" if kind == 0 else "AvgPool")(size, stride=stride)(v)


@step
def up(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    if not m.channel or not m.image(v) or v.numel() > 20_000:
        return None
    if s.args[1] and m.rank == 2:
        return m.functional.interpolate(v, scale_factor=2, mode="bilinear", align_corners=False)
    return m.functional.interpolate(v, scale_factor=2, mode="nearest")


@step
def drop(m: Machine, s: Step) -> Any:
    return m.functional.dropout(_first(m, s), s.args[1] / 10, m.net.training)


# ---------------------------------------------------------------- arithmetic


@step
def add(m: Machine, s: Step) -> Any:
    found = m.pair(s.args[0], s.args[1], _same)
    return None if found is None else found[0] + found[1]


@step
def sub(m: Machine, s: Step) -> Any:
    found = m.pair(s.args[0], s.args[1], _same)
    return None if found is None else found[0] - found[1]


@step
def mul(m: Machine, s: Step) -> Any:
    found = m.pair(s.args[0], s.args[1], _same)
    return None if found is None else found[0] * m.lib.tanh(found[1])


@step
def iadd(m: Machine, s: Step) -> Any:
    found = m.pair(s.args[0], s.args[1], _same)
    if found is None or found[0] is m.values[0]:
        return None
    a, b = found
    a += b
    return a


@step
def imul(m: Machine, s: Step) -> Any:
    found = m.pair(s.args[0], s.args[1], _same)
    if found is None or found[0] is m.values[0]:
        return None
    return found[0].mul_(m.lib.tanh(found[1]))


@step
def adds(m: Machine, s: Step) -> Any:
    return _first(m, s) + s.args[1] / 2


@step
def imuls(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    return None if v is m.values[0] else v.mul_(s.args[1] / 2)


@step
def cat(m: Machine, s: Step) -> Any:
    c = m.channel

    def fits(a: Any, b: Any) -> bool:
        x, y = tuple(a.shape), tuple(b.shape)
        return len(x) == len(y) > c and x[:c] + x[c + 1 :] == y[:c] + y[c + 1 :]

    found = m.pair(s.args[0], s.args[1], fits)
    if found is None or found[0].shape[c] + found[1].shape[c] > MOST_CHANNELS:
        return None
    return m.lib.cat(found, c)


# ---------------------------------------------------------------- shapes and views
# Whether reshape() and contiguous() copy depends on the memory format, which is each library's own
# affair: clone() keeps changes in place from telling.


@step
def flat(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    return v.flatten(m.channel).clone() if v.ndim > m.channel else None


@step
def chan(m: Machine, s: Step) -> Any:
    v, c = _first(m, s), m.channel
    if v.ndim <= c or v.shape[c] < 2:
        return None
    half = v.shape[c] // 2
    where = (slice(half), slice(half, None), slice(None, None, 2))[s.args[1]]
    return v[(slice(None),) * c + (where,)]


@step
def crop(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    if not m.image(v) or v.shape[-1] < 3:
        return None
    return v[..., 1:] if s.args[1] else v[..., :-1]


@step
def swap(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    return v.transpose(-1, -2) if v.ndim > m.channel + 2 else None


@step
def view(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    if v.ndim < m.channel + 2:
        return None
    return v.reshape(*v.shape[:-2], v.shape[-1], v.shape[-2]).clone()


@step
def spread(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    if v.ndim < m.channel + 2 or v.numel() == 0:
        return None
    mean = v.mean(tuple(range(m.channel + 1, v.ndim)), keepdim=True)
    return mean.expand(*v.shape)


@step
def last(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    return m.channels_last(v).clone() if v.ndim == 4 else None


@step
def plain(m: Machine, s: Step) -> Any:
    return _first(m, s).contiguous().clone()


@step
def clone(m: Machine, s: Step) -> Any:
    return _first(m, s).clone()


@step
def iview(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    if v is m.values[0] or v.shape[0] < 1 or v.ndim == 0:
        return None
    v[:1].mul_(s.args[1] / 2)
    return None


# ---------------------------------------------------------------- the graph itself


@step
def hook(m: Machine, s: Step) -> Any:
    v, factor = _first(m, s), s.args[1]
    if not v.requires_grad:
        return None

    def seen(g: Any) -> Any:
        m.see(f"hook {s}", g)
        return g * (factor / 2) if factor else None

    v.register_hook(seen)
    return None


@step
def keep(m: Machine, s: Step) -> Any:
    v = _first(m, s)
    if v.requires_grad and v is not m.values[0]:
        v.retain_grad()
        m.kept.append((str(s), v))
    return None


@step
def detach(m: Machine, s: Step) -> Any:
    return _first(m, s).detach()


@step
def nograd(m: Machine, s: Step) -> Any:
    with m.lib.no_grad():
        return m.functional.relu(_first(m, s))


@step
def read(m: Machine, s: Step) -> Any:
    m.see(f"read {s}", _first(m, s))
    return None


@step
def ckpt(m: Machine, s: Step) -> Any:
    v, (channels, form) = _first(m, s), s.args[1:]
    if not m.image(v) or not m.channel or not _several(m, v):
        return None
    convolve = _convolution(m, v, (channels, 3, 1, 0, 1), f"{s.label}c")
    if convolve is None:
        return None
    # In a checkpoint running statistics move once here, twice in PyTorch: there are none.
    normalise = m.layer(
        f"{s.label}n", lambda: m.named("BatchNorm")(channels, track_running_stats=False)
    )

    def part(x: Any) -> Any:
        y = convolve(x)
        if form & 1:
            y = normalise(y)
        z = m.functional.relu(y)
        return z + y if form & 2 else z

    return m.lib.utils.checkpoint.checkpoint(part, v, use_reentrant=False)


@step
def again(m: Machine, s: Step) -> Any:
    """The convolution of an earlier step, on the last value that it fits."""
    for key in sorted((int(k) for k in m.net.layers if k.isdigit()), reverse=True):
        layer = m.net.layers[str(key)]
        if key > s.args[1] or not hasattr(layer, "in_channels"):
            continue
        for label in sorted(m.values, reverse=True):
            v = m.values[label]
            if label > s.args[0] or not m.image(v) or v.numel() > 20_000:
                continue
            sides = v.shape[m.channel + 1 :]
            if layer.in_channels == v.shape[m.channel] and min(sides) >= max(layer.kernel_size):
                return layer(v)
    return None


@step
def hooked(m: Machine, s: Step) -> Any:
    """A layer with hooks of its module: a convolution or a batch norm."""
    v, (kind, which) = _first(m, s), s.args[1:]
    if not m.image(v) or not _several(m, v):
        return None
    key = f"{s.label}h"
    fresh = key not in m.net.layers
    if which:
        layer = _batch_norm(m, v, True, key)
    else:
        layer = _convolution(m, v, (4, 3, 1, 0, 1), key)
    if layer is None:
        return None
    if fresh and kind == 0:
        layer.register_forward_hook(lambda module, given, made: made * 1.5)
    elif fresh and kind == 1:
        layer.register_full_backward_hook(_scaled)
    elif fresh and kind == 2:
        layer.register_forward_pre_hook(lambda module, given: (given[0] * 0.5,))
    return layer(v)


def _scaled(module: Any, inputs: Any, outputs: Any) -> Any:
    return tuple(None if g is None else g * 0.5 for g in inputs)


@step
def out(m: Machine, s: Step) -> Any:
    m.outs.append(_first(m, s))
    return None
