"""Networks written as ONNX give ONNX Runtime what they give here."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as T
import fastconv.nn as nn
import fastconv.nn.functional as F

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")

from fastconv.onnx import ExportError, export, load  # noqa: E402


class Fn(nn.Module):
    """A function as a network."""

    def __init__(self, f: Any) -> None:
        super().__init__()
        self.f = f

    def forward(self, *args: Any) -> Any:
        return self.f(*args)


class Residual(nn.Module):
    """A residual that is added in place, as torchvision's blocks do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        y = self.bn(self.conv(x))
        y += x
        return self.relu(y)


def moved(model: Any) -> Any:
    """The network with running statistics that are not 0 and 1."""
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.copy_(T.randn(m.num_features) * 0.2)
            m.running_var.copy_(T.rand(m.num_features) + 0.5)
    return model.eval()


def lenet() -> Any:
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.Flatten(), nn.Linear(128, 10), nn.Dropout(), nn.Softmax(1),
    )  # fmt: skip


def picture() -> Any:
    return T.randn(2, 3, 16, 16)


#: Name: the network, and its example.
NETWORKS: dict[str, tuple[Any, Any]] = {
    "lenet": (lenet, picture),
    "residual in place": (Residual, picture),
    "1-D": (lambda: nn.Sequential(nn.Conv1d(4, 6, 3, padding="same", dilation=2),
                                  nn.GroupNorm(2, 6), nn.GELU(), nn.AvgPool1d(3, 2, 1)),
            lambda: T.randn(2, 4, 17)),
    "3-D": (lambda: nn.Sequential(nn.Conv3d(2, 4, 3, stride=(1, 2, 2), groups=2),
                                  nn.InstanceNorm3d(4, affine=True), nn.LeakyReLU(),
                                  nn.AdaptiveAvgPool3d(1)),
            lambda: T.randn(2, 2, 5, 9, 9)),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 3, 2, 1, output_padding=1),
                                         nn.SiLU(), nn.ConvTranspose2d(4, 2, 4, 3, 2), nn.Tanh()),
                   picture),
    "lrn and prelu": (lambda: nn.Sequential(nn.LocalResponseNorm(5), nn.PReLU(3)), picture),
    "embedding": (lambda: nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(20, 3)),
                  lambda: T.randint(0, 10, (2, 5))),
    "rows": (lambda: nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)),
             lambda: T.randn(2, 5, 8)),
    "attention": (lambda: Attention(), lambda: T.randn(2, 5, 8)),
    "lstm": (lambda: Recurrent(), lambda: T.randn(2, 3, 4)),
}  # fmt: skip


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.attend(x, x, x)[0]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(4, 6, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.cell(x)[0]


def pools(a: Any) -> Any:
    return (
        F.avg_pool2d(a, 3, 2, 1),
        F.avg_pool2d(a, 3, 2, 1, count_include_pad=False),
        F.avg_pool2d(a, 3, 2, ceil_mode=True),
        F.avg_pool2d(a, 2, divisor_override=3),
        F.adaptive_avg_pool2d(a, (5, 3)),
        F.adaptive_max_pool2d(a, 4),
        F.max_pool2d(a, 3, 2, 1, ceil_mode=True),
        F.max_pool2d(a, 2, dilation=2),
        F.lp_pool2d(a, 2, 2),
    )


def shapes(a: Any) -> Any:
    return (
        a[:, 1:, ::2].flatten(1),
        T.cat(a.split(1, 1), 0),
        a.permute(0, 2, 3, 1).reshape(a.shape[0], -1, 3).mean(1),
        F.pad(a, (1, 2, 0, 1), mode="reflect"),
        F.pad(a, (1, 1), value=0.5),
        F.pad(a, (2, 1, 1, 2), mode="circular"),
        F.pad(a, (2, 1, 0, 3), mode="replicate"),
        a.flip(2),
        a.roll(3, 2),
        T.stack([a, a * 2], 1),
        a.unsqueeze(1).expand(-1, 2, -1, -1, -1),
        a.repeat(1, 2, 1, 1),
        a.repeat_interleave(2, 1),
        a[..., None, 3],
        a[:, [2, 0]],
        a.tril(),
        a.chunk(2, -1)[1],
        F.pixel_shuffle(a.repeat(1, 4, 1, 1), 2),
        T.zeros(a.shape[0], 1) + a.mean((1, 2, 3)).unsqueeze(1),
    )


def activations(a: Any) -> Any:
    return (
        F.elu(a), F.selu(a), F.celu(a, 0.7), F.mish(a), F.hardswish(a), F.hardsigmoid(a),
        F.softplus(a), F.softplus(a, 2.0), F.logsigmoid(a), F.relu6(a), F.hardtanh(a),
        F.gelu(a, approximate="tanh"), F.softsign(a), F.log_softmax(a, 1), F.softmax(a, -1),
        F.threshold(a, 0.1, 0.2), F.normalize(a), F.glu(T.cat([a, a], 1), 1),
    )  # fmt: skip


def arithmetic(a: Any) -> Any:
    p = a.abs() + 0.1
    return (
        (a + 1) * 2 - a / 3, 1 / p, a**2, p.sqrt(), p.log(), p.log2(), p.log1p(), p.rsqrt(),
        a.exp(), a.expm1(), a.sin(), a.erf(), a.floor(), a.ceil(), a.trunc(), a.sign(),
        a.remainder(0.3), T.fmod(a, 0.3), T.maximum(a, a * 0.5), T.minimum(a, a * 0.5),
        a.clamp(-0.5, 0.5), a.clamp(min=0.1), a.double(), a.square(),
    )  # fmt: skip


def reductions(a: Any) -> Any:
    return (
        a.sum((2, 3)), a.mean((2, 3), keepdim=True), a.amax(1), a.amin((1, 2)), a.prod(3),
        a.std(2), a.var((1, 2), keepdim=True), a.std(0), a.var(),
        a.logsumexp(1), a.norm(dim=1), a.cumsum(1),
    )  # fmt: skip


def choices(a: Any) -> Any:
    return (
        T.where(a > 0, a, a * 0.1),
        a.masked_fill((a < 0) | (a >= 1), 2.0),
        T.where(a != a[:, :1], a, 0.5),
        a.argmax(1),
    )


def products(a: Any) -> Any:
    return a @ a.transpose(-1, -2), T.einsum("bchw,bdhw->bcd", a, a)


def scores(a: Any) -> Any:
    return F.scaled_dot_product_attention(a, a, a, is_causal=True)


def picked(a: Any) -> Any:
    values, places = a.topk(3, 1 - 4, largest=False) if a.shape[1] > 3 else a.topk(2, 2)
    return (
        values, places, *a.sort(3, descending=True), a.argsort(1), T.msort(a.permute(1, 2, 3, 0)),
        *a.max(1), *a.min(2, keepdim=True), *a.kthvalue(4, 3), a.gather(1, a.argsort(1)),
    )  # fmt: skip


def masked(a: Any) -> Any:
    b = a * 1
    b[a > 0.5] = 0.25
    return (
        a[a > 0], a.masked_select(a[:, :1] < 0), a[a.mean((1, 2, 3)) > -9], (a > 0).nonzero(),
        *T.where(a[:, 0] > 0), a.nonzero(as_tuple=True)[1], b,
        a[:, a.abs().amax((0, 2, 3)) > 0], a[a > 0].reshape(-1, 1) * 2,
    )  # fmt: skip


def sampled(a: Any) -> Any:
    grid = a[:, :2].permute(0, 2, 3, 1)
    return tuple(
        F.grid_sample(a, grid * 0.7, mode, padding, align)
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
        for align in (False, True)
    )


def warped(a: Any) -> Any:
    theta = a[:, 0, :2, :3] * 0.3 + T.eye(2, 3)
    return F.grid_sample(a, F.affine_grid(theta, [*a.shape[:2], 7, 9], align_corners=False))


def columns(a: Any) -> Any:
    return (
        F.unfold(a, 3), F.unfold(a, (3, 2), dilation=(2, 1), padding=(2, 0), stride=(2, 3)),
        a.unfold(2, 5, 3), F.unfold(a[0], 2), F.fold(F.unfold(a, 3) * 2, 16, 3),
        F.fold(F.unfold(a, (3, 2), 2, 1, 2), (16, 16), (3, 2), 2, 1, 2),
    )  # fmt: skip


def unpooled(a: Any) -> Any:
    y, places = F.max_pool2d(a, 3, 2, 1, return_indices=True)
    z, where = F.max_pool2d(a, 2, return_indices=True)
    line, at = F.max_pool1d(a[:, :, 0], 2, return_indices=True)
    return (
        places, F.max_unpool2d(z, where, 2), F.max_unpool2d(z, where, 2, output_size=(17, 17)),
        F.max_unpool1d(line, at, 2), *F.adaptive_max_pool2d(a, 4, return_indices=True), y,
    )  # fmt: skip


for function in (
    pools, shapes, activations, arithmetic, reductions, choices, products, scores, picked, masked,
    sampled, warped, columns, unpooled,
):  # fmt: skip
    NETWORKS[function.__name__] = (lambda f=function: Fn(f), picture)
for mode in ("nearest", "nearest-exact", "bilinear", "bicubic"):
    NETWORKS[mode] = (
        lambda mode=mode: Fn(
            lambda a: (
                F.interpolate(a, scale_factor=2, mode=mode),
                F.interpolate(a, size=(7, 11), mode=mode),
            )
        ),
        picture,
    )
NETWORKS["aligned"] = (
    lambda: Fn(lambda a: F.interpolate(a, size=(9, 31), mode="bilinear", align_corners=True)),
    picture,
)


def flat(result: Any) -> list[np.ndarray]:
    return [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]


def run_elsewhere(data: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs by ONNX Runtime, or by onnx's own evaluator where that is missing."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        from onnx.reference import ReferenceEvaluator

        session: Any = ReferenceEvaluator(onnx.load_model_from_string(data))
        names = session.input_names
    else:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_answers(name: str, opset: int) -> None:
    T.manual_seed(0)
    make, example = NETWORKS[name]
    model, x = moved(make()), example()
    proto = export(model, x, None, opset=opset)
    onnx.checker.check_model(proto, full_check=True)
    wide = np.concatenate([x.numpy(), x.numpy(), x.numpy()[:1]])  # another batch size
    with T.no_grad():
        wanted = flat(model(T.from_numpy(wide.copy())))
    for found in (run_elsewhere(proto.SerializeToString(), [wide]), load(proto).run([wide])):
        assert len(found) == len(wanted)
        for y, z in zip(wanted, found, strict=True):
            assert y.shape == z.shape and y.dtype == z.dtype
            scale = float(np.abs(y).max(initial=0))
            np.testing.assert_allclose(z, y, rtol=1e-5, atol=1e-5 * scale)


def test_weights_keep_their_names(tmp_path: Path) -> None:
    model = moved(lenet())
    export(model, picture(), tmp_path / "m.onnx", input_names=["x"], output_names=["p"])
    proto = onnx.load(tmp_path / "m.onnx")
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    state = {k: v for k, v in model.state_dict().items() if "num_batches" not in k}
    for key, t in state.items():
        np.testing.assert_array_equal(arrays[key], t.numpy())
    assert [i.name for i in proto.graph.input] == ["x"]
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [o.name for o in proto.graph.output] == ["p"]
    again = load(tmp_path / "m.onnx")
    assert {k for k, _ in again.named_parameters()} == {k for k, _ in model.named_parameters()}


def test_what_was_read_trains() -> None:
    model = moved(lenet())
    again = load(export(model, picture(), None))
    x, w = picture(), T.randn(2, 10)
    for m in (model, again):
        m.zero_grad()
        (m(x) * w).sum().backward()
    mine = dict(model.named_parameters())
    assert mine
    for name, p in again.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), mine[name].grad.numpy(), rtol=1e-4, atol=1e-6)


class Several(nn.Module):
    """Two inputs, one of them integers, and results by name."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.mix = nn.Embedding(7, 3), nn.Bilinear(3, 3, 2)

    def forward(self, x: Any, which: Any) -> Any:
        rows = self.table(which)
        return {"sum": x + rows, "parts": (rows * 2, x.mean(1))}


def test_several_inputs_and_results() -> None:
    model = Several()
    names = {"input_names": ["x", "which"], "output_names": ["sum", "rows", "mean"]}
    proto = export(model, (T.randn(2, 3), T.tensor([1, 6])), None, **names)
    x, which = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32), np.arange(5)
    with T.no_grad():
        wanted = model(T.from_numpy(x), T.from_numpy(which))
    for found in (
        run_elsewhere(proto.SerializeToString(), [x, which]),
        load(proto).run({"which": which, "x": x}),
    ):
        np.testing.assert_allclose(found[0], wanted["sum"].numpy(), rtol=1e-6)
        np.testing.assert_allclose(found[1], wanted["parts"][0].numpy(), rtol=1e-6)
        np.testing.assert_allclose(found[2], wanted["parts"][1].numpy(), rtol=1e-5, atol=1e-6)


def test_training_mode_comes_back() -> None:
    model = lenet().train()
    model[1].eval()
    export(model, picture(), None)
    assert model.training and model[4].training and not model[1].training
    assert all(p.grad is None for p in model.parameters())


def test_the_names_that_pytorch_has() -> None:
    file = io.BytesIO()
    T.onnx.export(
        lenet(), picture(), file, opset_version=18, input_names=["x"], output_names=["y"],
        dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
    )  # fmt: skip
    proto = onnx.load_model_from_string(file.getvalue())
    assert proto.opset_import[0].version == 18
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    fixed = export(lenet(), picture(), None, dynamic_axes={})
    assert fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2
    with pytest.raises(ExportError, match=r"takes the example, but not .*axis_2_of_16 from 16 to"):
        export(lenet(), picture(), None, dynamic_axes={"input": [0, 2]})


class Frozen(nn.Module):
    """A residual in place behind weights that are not trained, and integers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 3)
        self.table.weight.requires_grad_(False)

    def forward(self, which: Any) -> Any:
        y = self.table(which)
        y += 1
        return y * 2


def test_frozen_weights() -> None:
    model = Frozen()
    proto = export(model, T.tensor([1, 6]), None)
    which = np.arange(5)
    wanted = model(T.from_numpy(which)).numpy()
    np.testing.assert_allclose(run_elsewhere(proto.SerializeToString(), [which])[0], wanted)
    assert not model.table.weight.requires_grad


def test_fixed_batch() -> None:
    proto = export(lenet(), picture(), None, dynamic_batch=False)
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2
    with pytest.raises(ValueError, match=r"must have shape \(2, 3, 16, 16\)"):
        load(proto)(T.randn(3, 3, 16, 16))


def test_other_threads_are_not_recorded() -> None:
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            a = T.ones(3)
            a += 1
            (a > 1).sum()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        proto = export(lenet(), picture(), None)
    finally:
        stop.set()
        thread.join()
    assert len(proto.graph.node) < 15


class Hidden(nn.Module):
    """Depends on its input through NumPy, which nothing records."""

    def forward(self, x: Any) -> Any:
        return x * float(np.abs(x.detach().numpy()).max())


def changed_view(a: Any) -> Any:
    b = a * 1
    b[:, 0].add_(1)
    return b


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a: F.dropout(a, 0.5, True), "Dropout.*model.eval"),
        (lambda a: a.cumprod(1), "CumProd.*no rule"),
        (lambda a: T.from_numpy(a.detach().numpy().argsort(1)), "no recorded operation"),
        (lambda a: a.median(1)[0], "Gather.*constant.*batch goes from 2 to 3"),
        (lambda a: a[a[:, 0, 0, 0] > 9, 1:], "together with numbers or slices"),
        (changed_view, "changed a view of it in place"),
        (lambda a: F.batch_norm(a, None, None, training=True), "batch's own statistics"),
        (lambda a: "text", "returns a str"),
    ],
)
def test_errors_name_the_operation(function: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export(Fn(function), picture(), None)


def test_what_was_frozen_is_found() -> None:
    with pytest.raises(ExportError, match="something was frozen"):
        export(Hidden(), picture(), None, dynamic_batch=False)
    assert export(Hidden(), picture(), None, dynamic_batch=False, check=False)


def test_arguments() -> None:
    with pytest.raises(ExportError, match="opset must be from 17"):
        export(lenet(), picture(), None, opset=9)
    with pytest.raises(ExportError, match="input_names must be 1"):
        export(lenet(), picture(), None, input_names=["a", "b"])
    with pytest.raises(ExportError, match="no batch along axis 0"):
        export(Fn(lambda a, b: a), (T.ones(2), T.ones(3)), None)
    with T.profile(), pytest.raises(ExportError, match="a profile"):
        export(lenet(), picture(), None)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ExportError):
        export(Fn(lambda a: a.cumprod(1)), picture(), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
    assert T._watch.recorder is None
    a = T.ones(3)
    a += 1
    assert (a > 1).tolist() == [True] * 3 and type(a > 1) is T.Tensor
