"""Networks that PyTorch writes as ONNX give here what they give there, gradients too."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnx", reason="the onnx package is not installed")

import fastconv as T  # noqa: E402
from fastconv.onnx import load  # noqa: E402

pytestmark = pytest.mark.torch
tn = torch.nn


class Block(tn.Module):
    """A depthwise block with a residual, squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = tn.Conv2d(8, 8, 3, padding=1, groups=8), tn.BatchNorm2d(8)
        self.down, self.up = tn.Conv2d(8, 2, 1), tn.Conv2d(2, 8, 1)

    def forward(self, x: Any) -> Any:
        y = tn.functional.hardswish(self.norm(self.a(x)))
        s = tn.functional.adaptive_avg_pool2d(y, 1)
        return x + y * tn.functional.hardsigmoid(self.up(tn.functional.relu(self.down(s))))


class Shapes(tn.Module):
    """Sizes that are computed in the graph."""

    def forward(self, x: Any) -> Any:
        n, c, h, w = x.shape
        y = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        y = tn.functional.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        y = tn.functional.pad(y, (1, 0, 2, 1), mode="reflect")
        return torch.cat([part.flatten(1) for part in y.chunk(2, 1)], 1)[:, ::3]


class Sequence(tn.Module):
    """An LSTM in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = tn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.cell(x)[0]


class Attention(tn.Module):
    """One head of attention over normalised rows."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.three, self.out = tn.LayerNorm(8), tn.Linear(8, 24), tn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        q, k, v = self.three(self.norm(x)).chunk(3, -1)
        scores = torch.softmax(q @ k.transpose(1, 2) / 8**0.5, -1)
        return x + self.out(scores @ v)


NETWORKS = {
    "stem": (
        lambda: tn.Sequential(tn.Conv2d(3, 8, 5, 2, 2), tn.BatchNorm2d(8), tn.ReLU(),
                              tn.MaxPool2d(3, 2, 1, ceil_mode=True), Block(), tn.GroupNorm(4, 8),
                              tn.AvgPool2d(2, count_include_pad=False), tn.Flatten(),
                              tn.LazyLinear(5), tn.Softmax(1)),
        (2, 3, 32, 32),
    ),
    "decoder": (
        lambda: tn.Sequential(tn.ConvTranspose2d(4, 6, 4, 2, 1), tn.InstanceNorm2d(6, affine=True),
                              tn.PReLU(6), tn.PixelShuffle(1), tn.Upsample(scale_factor=2),
                              tn.Conv2d(6, 1, 3, padding=1), tn.Tanh()),
        (2, 4, 5, 6),
    ),
    "volume": (lambda: tn.Sequential(tn.Conv3d(2, 4, 3, padding=1), tn.ELU(), tn.AvgPool3d(2),
                                     tn.AdaptiveMaxPool3d(1)), (2, 2, 6, 6, 6)),
    "line": (lambda: tn.Sequential(tn.Conv1d(3, 4, 3, dilation=2), tn.SELU(), tn.MaxPool1d(2),
                                   tn.LayerNorm(8), tn.GELU(), tn.Linear(8, 2)), (2, 3, 20)),
    "shapes": (Shapes, (2, 4, 5, 6)),
    "sequence": (Sequence, (2, 5, 4)),
    "attention": (Attention, (2, 5, 8)),
}  # fmt: skip


def written(model: Any, x: Any, opset: int) -> bytes:
    file = io.BytesIO()
    torch.onnx.export(
        model, x, file, dynamo=False, opset_version=opset, input_names=["x"],
        dynamic_axes={"x": {0: "batch"}},
    )  # fmt: skip
    return file.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_answers_and_gradients(name: str, opset: int) -> None:
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    model = make().eval()
    x = torch.randn(*shape)
    with torch.no_grad():
        model(x)
    net = load(written(model, x, opset))
    wide = torch.cat([x, x[:1] * 0.5]).requires_grad_()
    wanted = model(wide)
    mine = T.from_numpy(wide.detach().numpy().copy()).requires_grad_()
    found = net(mine)
    scale = float(wanted.detach().abs().max())
    np.testing.assert_allclose(
        found.detach().numpy(), wanted.detach().numpy(), rtol=1e-4, atol=1e-5 * scale
    )
    g = torch.randn(*wanted.shape)
    (wanted * g).sum().backward()
    (found * T.from_numpy(g.numpy())).sum().backward()
    scale = float(wide.grad.abs().max())
    np.testing.assert_allclose(mine.grad.numpy(), wide.grad.numpy(), rtol=1e-3, atol=1e-4 * scale)
