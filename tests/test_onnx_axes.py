"""Networks written for pictures of any size give ONNX Runtime what they give here, at any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as T
import fastconv.nn as nn
import fastconv.nn.functional as F
from fastconv import models

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")

from fastconv.onnx import ExportError, export, load  # noqa: E402
from tests.test_onnx_export import Fn, flat, moved, run_elsewhere  # noqa: E402

AXES = {"input": {0: "batch", 2: "height", 3: "width"}}


class Skip(nn.Module):
    """Down, up to the size of what was there before, and joined."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 3, 2, 1), nn.ConvTranspose2d(4, 3, 2, 2)

    def forward(self, x: Any) -> Any:
        y = self.up(self.down(x))
        y = y[:, :, : x.shape[2], : x.shape[3]]
        return T.cat([x, F.interpolate(y, size=x.shape[2:], mode="bilinear")], 1)


def windows(a: Any) -> Any:
    y, places = F.max_pool2d(a, 2, return_indices=True)
    return (
        F.max_pool2d(a, 3, 2, 1), F.max_pool2d(a, 3, 2, ceil_mode=True), F.avg_pool2d(a, 3, 2, 1),
        F.avg_pool2d(a, 3, 2, 1, count_include_pad=False), F.avg_pool2d(a, 2, ceil_mode=True),
        F.adaptive_avg_pool2d(a, 1), F.lp_pool2d(a, 2, 2), F.unfold(a, 3, padding=1, stride=2),
        F.max_unpool2d(y, places, 2, output_size=a.shape[2:]), places,
    )  # fmt: skip


def sizes(a: Any) -> Any:
    n, c, h, w = a.shape
    return (
        a.flatten(2), a.flatten(2).transpose(1, 2).reshape(n, h, w, c), a.mean((2, 3)),
        F.interpolate(a, scale_factor=2), F.interpolate(a, size=(5, 7), mode="bilinear"),
        F.interpolate(a, size=(h, w + 2), mode="bicubic"), F.interpolate(a, size=(2 * h, 3 * w)),
        a[:, :, h // 2 :], a[:, :, 1:-1, ::2],
        F.pad(a, (1, 2, 0, 1), mode="circular"),
        F.pad(a, (1, 1, 2, 0), mode="reflect"),
        a.roll(3, 2), a.flip(3), a.repeat_interleave(2, 3), a.std((2, 3)),
        a.var((0, 2, 3), correction=0),
        a.unsqueeze(1).expand(-1, 2, -1, -1, -1), F.pixel_shuffle(a.repeat(1, 4, 1, 1), 2),
        a + T.zeros(1, 1, h, w), a.chunk(2, 2)[0], a.sort(2)[0], F.grid_sample(
            a, a[:, :2].permute(0, 2, 3, 1), align_corners=False), T.arange(h) + a[0, 0, :, 0],
        a.reshape(n, c * h, w), F.instance_norm(a), a[a > 0],
    )  # fmt: skip


NETWORKS: dict[str, Any] = {
    "skip": Skip, "windows": lambda: Fn(windows), "sizes": lambda: Fn(sizes),
    "group norm": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.GroupNorm(2, 4), nn.SiLU()),
    "resnet20": lambda: moved(models.resnet20()),
    "fcn": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"), nn.AdaptiveAvgPool2d(1)),
    "unet": lambda: moved(models.unet(in_channels=3, num_classes=2, width=4)),
    "style": lambda: models.style_transfer(),
    "espcn": lambda: models.espcn(in_channels=3),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_any_size(name: str) -> None:
    T.manual_seed(0)
    model = NETWORKS[name]().eval()
    proto = export(model, T.randn(2, 3, 16, 16), None, dynamic_axes=AXES)
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["batch", 3, "height", "width"]
    for shape in ((1, 3, 32, 48), (3, 3, 64, 16), *(() if name == "unet" else ((2, 3, 19, 30),))):
        x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        with T.no_grad():
            wanted = flat(model(T.from_numpy(x.copy())))
        for found in (run_elsewhere(proto.SerializeToString(), [x]), load(proto).run([x])):
            for k, (y, z) in enumerate(zip(wanted, found, strict=True)):
                assert y.shape == z.shape, (name, k)
                scale = float(np.abs(y).max(initial=0))
                np.testing.assert_allclose(z, y, rtol=1e-4, atol=2e-5 * scale, err_msg=str(k))


def test_lists_and_several_inputs() -> None:
    both = export(
        Fn(lambda a, b: (a + b, a * 2)), (T.ones(2, 5), T.ones(2, 5)), None,
        input_names=["a", "b"], output_names=["y", "z"],
        dynamic_axes={"a": [0, 1], "b": [0, 1], "y": {1: "length"}},
    )  # fmt: skip
    names = [[d.dim_param for d in i.type.tensor_type.shape.dim] for i in both.graph.input]
    assert names[0] == names[1] and len(set(names[0])) == 2
    outs = [[d.dim_param for d in o.type.tensor_type.shape.dim] for o in both.graph.output]
    assert outs == [["batch", "length"], names[0]]
    one = export(
        Fn(lambda a, b: a @ b), (T.ones(2, 5), T.ones(5, 3)), None, input_names=["a", "b"],
        dynamic_axes={"a": {0: "rows"}},
    )  # fmt: skip
    assert one.graph.input[1].type.tensor_type.shape.dim[0].dim_value == 5
    a, b = np.ones((7, 5), np.float32), np.ones((5, 3), np.float32)
    assert run_elsewhere(one.SerializeToString(), [a, b])[0].shape == (7, 3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a: F.adaptive_avg_pool2d(a, 3), "AvgPool .*windows depend on the size"),
        (lambda a: F.adaptive_max_pool2d(a, 3), "MaxPool.*windows depend on the size"),
        (lambda a: a * T.linspace(0, 1, a.shape[3]), "Mul .*constant of shape .*width"),
        (lambda a: T.stack(list(a.unbind(2))).mean(0) if a.shape[2] < 9 else a.cumsum(0),
         "runs other operations where .*height goes from"),
        (lambda a: F.interpolate(a, size=(a.shape[2] + 1, 9)), "Resample .*no whole number"),
        (lambda a: F.pad(a, (0, a.shape[3] - 8)), "Pad .*its padding is"),
        (lambda a: nn.Linear(8, 2)(a), "takes the example, but not .*width from 8"),
        (lambda a: a.unfold(2, 3, 1), "Unfold .*an axis that varies"),
        (lambda a: a * float(a.shape[2]), "something was frozen"),
    ],
)  # fmt: skip
def test_what_cannot_vary_is_named(function: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export(Fn(function), T.randn(2, 3, 8, 8), None, dynamic_axes=AXES)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ([0], "must be a dict"),
        ({"input": [4]}, "names axis 4 of input, which has 4 axes"),
        ({"input": {0: "n", 1: "n"}}, r"the axis 'n' has the sizes \[2, 3\]"),
        ({"other": [0]}, "names 'other'; the inputs are input, the outputs y"),
    ],
)
def test_axes_that_are_not_there(axes: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        export(Fn(F.relu), T.ones(2, 3, 8, 8), None, dynamic_axes=axes, output_names=["y"])


def test_volumes_are_sampled_from_opset_20_on() -> None:
    model = Fn(lambda a: F.grid_sample(a, a[:, :3].permute(0, 2, 3, 4, 1), align_corners=True))
    x = T.randn(2, 3, 4, 5, 6)
    with pytest.raises(ExportError, match=r"GridSample .*opset 20"):
        export(model, x, None)
    wanted = model(x).numpy()
    data = export(model, x, None, opset=20).SerializeToString()
    np.testing.assert_allclose(run_elsewhere(data, [x.numpy()])[0], wanted, atol=1e-5)


def test_a_mask_in_a_file_of_fixed_sizes() -> None:
    proto = export(Fn(lambda a: a[a > 0] * 2), T.randn(2, 5), None, dynamic_batch=False)
    x = np.random.default_rng(3).normal(size=(2, 5)).astype(np.float32)
    np.testing.assert_array_equal(run_elsewhere(proto.SerializeToString(), [x])[0], x[x > 0] * 2)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear"])
def test_elements_between_two_are_the_same_everywhere(mode: str) -> None:
    """Sizes at which float32 decides which element is the nearest, or how many there are."""
    for n, m in ((14, 2), (21, 12), (26, 11), (26, 14), (28, 8), (30, 9), (30, 16), (6, 9)):
        model = Fn(lambda a, m=m: F.interpolate(a, size=m, mode=mode))
        x = T.randn(1, 2, n)
        data = export(model, x, None).SerializeToString()
        np.testing.assert_allclose(
            run_elsewhere(data, [x.numpy()])[0], model(x).numpy(), rtol=1e-4, atol=1e-5
        )
