"""docs/models.md: all networks with what they have and cost. ``python -m bench.models``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import fastconv
from fastconv import models
from fastconv.nn import Conv2d, Conv3d
from fastconv.nn.init import undrawn
from fastconv.text import grouped
from tests.models_table import NETWORKS, OTHER_PAPERS, PAPERS

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
#: Networks of which one image says nothing.
UNCOUNTED = {"siamese"}
FAMILY = {name: family for family, (names, _) in models.FAMILIES.items() for name in names}
HEAD = """\
# Networks

`fastconv.models.get("resnet18", num_classes=10)` builds a network by its name,
`models.list("resnet*")` has the names; each is also a function, `models.resnet18(num_classes=10)`.
Weights are drawn as in the paper; nothing is downloaded. A file that you have is read with
`models.resnet18(weights="resnet18.pth")`.

- *parameters* are those of the published network, with 1000 classes where it is one for ImageNet
  (GoogLeNet without its auxiliary classifiers, as it is usually counted). `tests/models_table.py`
  has the source of each figure.
- *multiply-adds* are millions for one image of the given size, as `fastconv.summary` counts
  them; of pairs of images there are none (–).
- *torchvision*: names, shapes and order of the `state_dict` are torchvision's, so that its files
  load, and with the same weights the outputs are the same.

`models.create_feature_extractor(net, ["layer3"])` gives what is computed on the way,
`models.freeze(net, until="layer3")` lets the first part learn no more, and
`models.Ensemble(a, b, c)` is the mean of several.

Not all of them classify. `models.FPN(backbone, in_channels)` puts a feature pyramid on any backbone
that returns maps; its names are torchvision's. Segmentation networks return a dict with the scores
of each pixel as `out`, and `aux` with `aux_loss=True`; files of weights have it. The detector
`fcos_tiny` is told what is there by its `encode`, is trained with `models.detection_loss`, and
`detect` gives boxes, classes and key points. `models.vae_loss` and `models.capsnet_loss` are the
losses of those papers. Inputs are channels, then (frames or depth,) height and width; a code is one
number. The 3D U-Net is counted without batch norm, as in its paper.

| network | parameters | multiply-adds (M) | input | torchvision | paper |
|---|---:|---:|---|---|---|
"""


def zeros(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """A result of a convolution's shape, for nothing."""
    sizes = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, p, d, k, s in zip(
            input.shape[2:], padding, dilation, weight.shape[2:], stride, strict=True
        )
    ]
    return fastconv.zeros(input.shape[0], weight.shape[0], *sizes)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Layers of convolution have results of the right shape, and compute nothing."""
    zero = staticmethod(zeros)
    with mock.patch.object(Conv2d, "convolve", zero), mock.patch.object(Conv3d, "convolve", zero):
        yield


def row_of(name: str, count: bool = False) -> list[str]:
    """The cells of a network's row; with `count` the multiply-adds, which needs its forward."""
    row = NETWORKS[name]
    products = ""
    if count and name in UNCOUNTED:
        products = "–"
    elif count:
        with undrawn(), shapes_only():
            network = models.get(name, **row.options)
            found = fastconv.summary(network, (1, *row.input), verbose=0)
        products = grouped(round(found.total_mult_adds / 1e6))
        if found.total_mult_adds < 10e6:
            products = f"{found.total_mult_adds / 1e6:.2f}"
    papers = [paper for start, paper in OTHER_PAPERS.items() if name.startswith(start)]
    return [
        f"`{name}`",
        grouped(row.parameters),
        products,
        "×".join(map(str, row.input)),
        "yes" if row.torchvision else "no",
        papers[0] if papers else PAPERS[FAMILY[name]],
    ]


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(prog="python -m bench.models", description=__doc__).parse_args()
    lines = []
    for name in NETWORKS:
        cells = row_of(name, count=True)
        print(*cells[:3], sep="  ", flush=True)
        lines.append(f"| {' | '.join(cells)} |\n")
    PAGE.write_text(HEAD + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
