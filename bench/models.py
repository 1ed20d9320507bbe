"""docs/models.md: all networks with what they have and cost. ``python -m bench.models``."""

from __future__ import annotations

import argparse
from pathlib import Path

import fastconv
from fastconv import models
from fastconv.nn.init import undrawn
from tests.models_table import NETWORKS, PAPERS

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
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
- *multiply-adds* are millions for one image of the given size, as `fastconv.summary` counts them.
- *torchvision*: names, shapes and order of the `state_dict` are torchvision's, so that its files
  load, and with the same weights the outputs are the same.

`models.create_feature_extractor(net, ["layer3"])` gives what is computed on the way,
`models.freeze(net, until="layer3")` lets the first part learn no more, and
`models.Ensemble(a, b, c)` is the mean of several.

| network | parameters | multiply-adds (M) | input | torchvision | paper |
|---|---:|---:|---|---|---|
"""


def grouped(number: int) -> str:
    """With a space before each three digits."""
    return f"{number:,}".replace(",", " ")


def row_of(name: str, count: bool = False) -> list[str]:
    """The cells of a network's row; with `count` the multiply-adds, which needs its forward."""
    row = NETWORKS[name]
    products = ""
    if count:
        with undrawn():
            network = models.get(name, **row.options)
        for parameter in network.parameters():
            parameter.data.zero_()  # what is left in memory may be slow to compute with
        found = fastconv.summary(network, (1, *row.input), verbose=0)
        products = grouped(round(found.total_mult_adds / 1e6))
        if found.total_mult_adds < 10e6:
            products = f"{found.total_mult_adds / 1e6:.2f}"
    channels, height, width = row.input
    return [
        f"`{name}`",
        grouped(row.parameters),
        products,
        f"{channels}×{height}×{width}",
        "yes" if row.torchvision else "no",
        PAPERS[FAMILY[name]],
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
