"""Random small geometries against PyTorch: results and gradients, every argument at once.

One seeded walk; a failure names the case, which is everything needed to repeat it.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

import fastconv as fc
import fastconv.nn.functional as FF

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
TF = torch.nn.functional

MODES = ("constant", "reflect", "replicate", "circular")
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


class Case:
    """One draw: `number` seeds everything, the geometry and the values."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.random = random.Random(number)
        self.rng = np.random.default_rng(number)
        self.ndim = self.random.choice((1, 2, 2, 2, 3))
        self.dtype = self.random.choice((np.float32, np.float64))
        self.batch = self.random.choice((None, 0, 1, 2, 3))
        self.text: dict[str, object] = {"case": number}
        self.dilated = False  # an output_size of a dilated pooling, which PyTorch refuses

    def draw(self, name: str, *choices: object) -> object:
        value = self.random.choice(choices)
        self.text[name] = value
        return value

    def each(self, name: str, low: int, high: int) -> int | tuple[int, ...]:
        """An int for all axes, or one for each."""
        values = tuple(self.random.randint(low, high) for _ in range(self.ndim))
        value = values[0] if self.random.random() < 0.3 else values
        self.text[name] = value
        return value

    def array(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(self.dtype)

    def input(self, channels: int, low: int = 1, high: int = 9) -> np.ndarray:
        """(N, C, *spatial), (C, *spatial) where there is no batch."""
        size = [self.random.randint(low, high) for _ in range(self.ndim)]
        lead = [] if self.batch is None else [self.batch]
        self.text["input"] = (*lead, channels, *size)
        return self.array(*lead, channels, *size)

    def layout(self, a: np.ndarray) -> np.ndarray:
        """The same values, laid out in memory in one of the ways that arrays come."""
        kind = self.draw(
            "layout", "dense", "dense", "last", "last", "reversed", "sliced", "fortran"
        )
        if kind == "last" and a.ndim == self.ndim + 2:
            return np.ascontiguousarray(np.moveaxis(a, 1, -1)).transpose(
                0, a.ndim - 1, *range(1, a.ndim - 1)
            )
        if kind == "reversed":
            return np.ascontiguousarray(a[..., ::-1])[..., ::-1]
        if kind == "sliced":
            wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
            wide[..., ::2] = a
            return wide[..., ::2]
        return np.asfortranarray(a) if kind == "fortran" else a

    def compare(self, ours, theirs, *arrays: np.ndarray | None) -> None:
        """Call both on tensors of the arrays; compare results and all gradients, or errors."""
        mine = [None if a is None else fc.from_numpy(self.layout(a)) for a in arrays]
        other = [None if a is None else torch.from_numpy(a.copy()) for a in arrays]
        for t in (*mine, *other):
            if t is not None:
                t.requires_grad = True
        try:
            wanted = theirs(*other)
        except (RuntimeError, ValueError, IndexError) as error:
            if "smaller than kernel size" in str(error):  # in 1-D and 2-D, ceil_mode allows it
                return
            if "invalid output_size" in str(error) and self.dilated:
                ours(*mine)
                return
            with pytest.raises((ValueError, TypeError)):
                got = ours(*mine)
                print(self.text, "gave", tuple(got.shape), "where PyTorch says", error)
            return
        try:
            got = ours(*mine)
        except ValueError:
            # PyTorch does not look at an empty batch's geometry, and has results without elements
            if self.batch == 0 or not wanted.numel():
                return
            print(self.text)
            raise
        self.close(got, wanted, "result")
        if not wanted.requires_grad:
            return
        g = self.array(*wanted.shape)
        wanted.backward(torch.from_numpy(g))
        got.backward(fc.from_numpy(self.layout(g)) if g.ndim else fc.from_numpy(g))
        for i, (m, o) in enumerate(zip(mine, other, strict=True)):
            if o is not None:
                self.close(m.grad, o.grad, f"gradient {i}")

    def close(self, got, wanted, what: str) -> None:
        got, wanted = got.detach().numpy(), wanted.detach().numpy()
        assert got.shape == wanted.shape, f"{what} of {self.text}"
        assert got.dtype == wanted.dtype, f"{what} of {self.text}"
        # of sums of up to 3000 products of order 1
        tolerance = 3e-5 if self.dtype == np.float32 else 1e-12
        scale = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=1))
        np.testing.assert_allclose(
            got, wanted, rtol=0, atol=tolerance * scale, err_msg=f"{what} of {self.text}"
        )


def function(module, name: str, ndim: int):
    return getattr(module, f"{name}{ndim}d")


def conv(case: Case) -> None:
    groups = case.draw("groups", 1, 1, 2, 3)
    c, k = groups * case.draw("c", 1, 2, 5), groups * case.draw("k", 1, 3, 8)
    x = case.input(c)
    kernel = [case.random.randint(1, 4) for _ in range(case.ndim)]
    w = case.array(k, c // groups, *kernel)
    case.text["weight"] = w.shape
    b = case.draw("bias", True, False) and case.array(k)
    stride, dilation = case.each("stride", 1, 3), case.each("dilation", 1, 3)
    padding = case.draw(
        "padding", "same", "valid", case.each("pads", 0, 4), case.each("pads", 0, 4)
    )
    arguments = (stride, padding, dilation, groups)

    def call(module):
        f = function(module, "conv", case.ndim)
        return lambda x, w, b=None: f(x, w, b, *arguments)

    case.compare(call(FF), call(TF), *((x, w) if b is False else (x, w, b)))


def conv_module(case: Case) -> None:
    """Modules, for their padding modes."""
    groups = case.draw("groups", 1, 2)
    c, k = groups * 2, groups * 3
    x = case.input(c, 3)
    arguments = {
        "kernel_size": case.each("kernel", 1, 3),
        "stride": case.each("stride", 1, 2),
        "padding": case.draw("padding", "same", case.each("pads", 0, 4), case.each("pads", 0, 2)),
        "dilation": case.each("dilation", 1, 2),
        "groups": groups,
        "padding_mode": case.draw("mode", "zeros", "reflect", "replicate", "circular"),
    }

    def call(module):
        def run(x, w, b):
            layer = getattr(module.nn, f"Conv{case.ndim}d")(c, k, **arguments)
            for name, value in (("weight", w), ("bias", b)):
                delattr(layer, name)
                setattr(layer, name, value)
            return layer(x)

        return run

    size = arguments["kernel_size"]
    kernel = (size,) * case.ndim if isinstance(size, int) else size
    case.compare(call(fc), call(torch), x, case.array(k, c // groups, *kernel), case.array(k))


def conv_transpose(case: Case) -> None:
    groups = case.draw("groups", 1, 1, 2, 3)
    c, k = groups * case.draw("c", 1, 2, 5), case.draw("k", 1, 3, 8)
    x = case.input(c, 1, 6)
    kernel = [case.random.randint(1, 4) for _ in range(case.ndim)]
    w = case.array(c, k, *kernel)
    case.text["weight"] = w.shape
    b = case.draw("bias", True, False) and case.array(k * groups)
    arguments = (
        case.each("stride", 1, 3),
        case.each("padding", 0, 3),
        case.each("output_padding", 0, 2),
        groups,
        case.each("dilation", 1, 3),
    )

    def call(module):
        f = function(module, "conv_transpose", case.ndim)
        return lambda x, w, b=None: f(x, w, b, *arguments)

    case.compare(call(FF), call(TF), *((x, w) if b is False else (x, w, b)))


def transpose_to_size(case: Case) -> None:
    """ConvTranspose modules with an output_size around the usual one."""
    x = case.input(2, 1, 5)
    stride = case.random.randint(1, 3)
    arguments = dict(kernel_size=3, stride=stride, padding=case.draw("padding", 0, 1), dilation=1)
    usual = [(n - 1) * stride - 2 * arguments["padding"] + 3 for n in x.shape[-case.ndim :]]
    size = [n + case.random.randint(-1, stride) for n in usual]
    case.text["size"] = size

    def call(module):
        def run(x, w, b):
            layer = getattr(module.nn, f"ConvTranspose{case.ndim}d")(2, 3, **arguments)
            for name, value in (("weight", w), ("bias", b)):
                delattr(layer, name)
                setattr(layer, name, value)
            return layer(x, output_size=size)

        return run

    case.compare(call(fc), call(torch), x, case.array(2, 3, *[3] * case.ndim), case.array(3))


def max_pool(case: Case) -> None:
    # No shorter than the dilation: PyTorch has invalid indices for windows without elements.
    x = case.input(case.draw("c", 1, 3, 17), 3)
    if case.draw("special", False, False, True):
        x[case.rng.random(x.shape) < 0.1] = np.nan
        x[case.rng.random(x.shape) < 0.2] = -np.inf
    arguments = (
        case.each("kernel", 1, 4),
        case.draw("stride", None, case.each("stride", 1, 3), case.each("stride", 1, 3)),
        case.each("padding", 0, 2),
        case.each("dilation", 1, 3),
        case.draw("ceil", False, True),
    )
    case.compare(
        lambda x: function(FF, "max_pool", case.ndim)(x, *arguments),
        lambda x: function(TF, "max_pool", case.ndim)(x, *arguments),
        x,
    )


def pooled_size(n: int, k: int, s: int, p: int, d: int, ceil: bool = False) -> int:
    """What max_pool makes of an axis of n."""
    room = n + 2 * p - d * (k - 1) - 1
    if room < 0:
        return 0
    out = (room + s - 1 if ceil else room) // s + 1
    return out - 1 if ceil and (out - 1) * s >= n + p else out


def of_dilations(n: int, k: int, s: int, p: int) -> set[int]:
    """The sizes that dilated poolings make of an axis of n."""
    return {pooled_size(n, k, s, p, d, ceil) for d in range(2, n + 2 * p + 1) for ceil in (0, 1)}


def max_pool_indices(case: Case) -> None:
    """Pool and unpool, with an output_size or without."""
    x = case.input(3, 3)
    kernel, stride = case.random.randint(1, 3), case.random.randint(1, 3)
    padding = case.random.randint(0, kernel // 2)
    size = case.draw("size", None, x.shape[-case.ndim :], tuple(n + 1 for n in x.shape[1:]))
    case.text["pool"] = kernel, stride, padding
    found = []

    def call(module):
        def run(x):
            y, indices = function(module, "max_pool", case.ndim)(
                x, kernel, stride, padding, return_indices=True
            )
            found.append(np.asarray(indices.numpy()))
            return function(module, "max_unpool", case.ndim)(
                y, indices, kernel, stride, padding, size
            )

        return run

    if stride < kernel:  # overlapping windows repeat indices, and PyTorch's order is undefined

        def call(module):
            def run(x):
                y, indices = function(module, "max_pool", case.ndim)(
                    x, kernel, stride, padding, return_indices=True
                )
                found.append(np.asarray(indices.numpy()))
                return y

            return run

    if size is not None:
        space = x.shape[-case.ndim :]
        pooled = [pooled_size(n, kernel, stride, padding, 1) for n in space]
        usual = [(n - 1) * stride - 2 * padding + kernel for n in pooled]
        case.dilated = len(size) == case.ndim and all(
            abs(w - u) < stride or n in of_dilations(w, kernel, stride, padding)
            for w, u, n in zip(size, usual, pooled, strict=True)
        )
    case.compare(call(fc.nn.functional), call(TF), x)
    if len(found) == 2:
        np.testing.assert_array_equal(*found, err_msg=str(case.text))


def avg_pool(case: Case) -> None:
    x = case.input(case.draw("c", 1, 3, 17))
    arguments = [
        case.each("kernel", 1, 4),
        case.draw("stride", None, case.each("stride", 1, 3)),
        case.each("padding", 0, 2),
        case.draw("ceil", False, True),
        case.draw("include", False, True),
    ]
    if case.ndim > 1:
        arguments.append(case.draw("divisor", None, None, 1, 5, -3))
    case.compare(
        lambda x: function(FF, "avg_pool", case.ndim)(x, *arguments),
        lambda x: function(TF, "avg_pool", case.ndim)(x, *arguments),
        x,
    )


def adaptive(case: Case) -> None:
    x = case.input(case.draw("c", 1, 3, 17))
    kind = case.draw("kind", "adaptive_avg_pool", "adaptive_max_pool")
    size = case.each("size", 1, 11)
    if case.ndim > 1 and case.draw("none", False, True):
        size = (None, *[3] * (case.ndim - 1))
    case.compare(
        lambda x: function(FF, kind, case.ndim)(x, size),
        lambda x: function(TF, kind, case.ndim)(x, size),
        x,
    )


def lp_pool(case: Case) -> None:
    x = np.abs(case.input(3, 2)) + np.asarray(0.1, case.dtype)
    power = case.draw("power", 1.0, 2.0, 3.0, 0.5)
    kernel = case.each("kernel", 1, 3) if case.ndim > 1 else case.draw("kernel", 1, 2, 3)
    arguments = (kernel, case.draw("stride", None, 1, 2), case.draw("ceil", False, True))
    case.compare(
        lambda x: function(FF, "lp_pool", case.ndim)(x, power, *arguments),
        lambda x: function(TF, "lp_pool", case.ndim)(x, power, *arguments),
        x,
    )


def pad(case: Case) -> None:
    x = case.input(2, 2, 6)
    mode = case.draw("mode", *MODES)
    amounts = [case.random.randint(-2, 5) for _ in range(2 * case.ndim)]
    case.text["pad"] = amounts
    value = case.draw("value", None, 2.5) if mode == "constant" else None
    if mode == "circular":  # PyTorch reads what it has not written where a border is too large
        for axis, n in enumerate(reversed(x.shape[-case.ndim :])):
            pair = amounts[2 * axis : 2 * axis + 2]
            if max(pair) > n + min(pair[0], 0) + min(pair[1], 0):
                with pytest.raises(ValueError, match="pad"):
                    FF.pad(fc.from_numpy(x), amounts, mode)
                return
    case.compare(
        lambda x: FF.pad(x, amounts, mode, value), lambda x: TF.pad(x, amounts, mode, value), x
    )


def batch_norm(case: Case) -> None:
    c = case.draw("c", 1, 3, 17)
    x = case.input(c, 2)
    training, momentum = case.draw("training", True, False), case.draw("momentum", 0.1, 1.0)
    mean, var = case.array(c), np.abs(case.array(c)) + np.asarray(0.5, case.dtype)
    if case.batch in (None, 0):
        case.batch = 2
        x = case.input(c, 2)
    statistics = []

    def call(module, make):
        def run(x, w, b):
            m, v = make(mean.copy()), make(var.copy())
            statistics.append((m, v))
            return module.batch_norm(x, m, v, w, b, training, momentum)

        return run

    case.compare(
        call(FF, fc.from_numpy), call(TF, torch.from_numpy), x, case.array(c), case.array(c)
    )
    for m, o in zip(statistics[1], statistics[0], strict=True):
        case.close(m, o, "statistics")


KINDS = (
    conv, conv, conv, conv_module, conv_transpose, conv_transpose, transpose_to_size, max_pool,
    max_pool_indices, avg_pool, adaptive, lp_pool, pad, batch_norm,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("start", range(0, 420, 42))
def test_random_geometries(start: int) -> None:
    for number in range(start, start + 42):
        KINDS[number % len(KINDS)](Case(number))


SPECIAL = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-44)
#: Sums in an order of our own may overflow on the way where PyTorch's do not, and the reverse.
HUGE = {3e38, -3e38}
ANY = {
    "relu": lambda m, x: m.relu(x),
    "leaky_relu": lambda m, x: m.leaky_relu(x),
    "elu": lambda m, x: m.elu(x),
    "gelu": lambda m, x: m.gelu(x),
    "silu": lambda m, x: m.silu(x),
    "sigmoid": lambda m, x: m.sigmoid(x),
    "tanh": lambda m, x: m.tanh(x),
    "softplus": lambda m, x: m.softplus(x),
    "hardtanh": lambda m, x: m.hardtanh(x),
    "softmax": lambda m, x: m.softmax(x, 1),
    "log_softmax": lambda m, x: m.log_softmax(x, 1),
    "max_pool2d": lambda m, x: m.max_pool2d(x, 3, 2, 1),
    "adaptive_max_pool2d": lambda m, x: m.adaptive_max_pool2d(x, 3),
    "avg_pool2d": lambda m, x: m.avg_pool2d(x, 3, 2, 1),
    "batch_norm": lambda m, x: m.batch_norm(x, None, None, training=True),
    "reflect": lambda m, x: m.pad(x, (1, 1, 1, 1), "reflect"),
}


@pytest.mark.parametrize("name", ANY)
@pytest.mark.parametrize("value", SPECIAL)
def test_special_values(name: str, value: float) -> None:
    """Results and gradients, with the value in every lane and tail of the channels in turn."""
    if value in HUGE and name == "batch_norm":
        return
    if name == "gelu" and value > 1e30:  # oneDNN's has NaN and infinity here, the limit is x
        assert FF.gelu(fc.tensor([value])).item() == fc.tensor([value]).item()
        return
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 19, 6, 7)).astype(np.float32)
    for c in range(19):
        x[c % 2, c, c % 6, (2 * c) % 7] = value
    mine, theirs = fc.from_numpy(x.copy()), torch.from_numpy(x.copy())
    mine.requires_grad = theirs.requires_grad = True
    got, wanted = ANY[name](FF, mine), ANY[name](TF, theirs)
    np.testing.assert_allclose(got.detach().numpy(), wanted.detach().numpy(), 1e-5, 1e-6)
    got.backward(fc.ones_like(got))
    wanted.backward(torch.ones_like(wanted))
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), 1e-4, 1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["input", "weight", "bias"])
@pytest.mark.parametrize("groups", [1, 4])
def test_convolution_of_special_values(value: float, where: str, groups: int) -> None:
    """Without padding: with it, PyTorch's own kernels differ in whether 0 is multiplied by it."""
    rng = np.random.default_rng(1)
    arrays = {
        "input": rng.standard_normal((2, 4, 6, 7)).astype(np.float32),
        "weight": rng.standard_normal((8, 4 // groups, 3, 3)).astype(np.float32),
        "bias": rng.standard_normal(8).astype(np.float32),
    }
    arrays[where].flat[3] = value
    mine = [fc.from_numpy(a.copy()).requires_grad_() for a in arrays.values()]
    theirs = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays.values()]
    got, wanted = FF.conv2d(*mine, groups=groups), TF.conv2d(*theirs, groups=groups)
    np.testing.assert_allclose(got.detach().numpy(), wanted.detach().numpy(), 1e-4, 1e-5)
    got.sum().backward()
    wanted.sum().backward()
    np.testing.assert_allclose(mine[2].grad.numpy(), theirs[2].grad.numpy(), 1e-4, 1e-5)
    np.testing.assert_allclose(mine[1].grad.numpy(), theirs[1].grad.numpy(), 1e-4, 1e-5)
    if where != "weight":  # the borders of the gradient are a convolution with padding
        np.testing.assert_allclose(mine[0].grad.numpy(), theirs[0].grad.numpy(), 1e-4, 1e-5)
