"""The shared list of named shapes: real layers (``fastconv.shapes``) and awkward geometry.

``small`` shapes are cheap enough for the naive backend in full, ``network`` shapes are checked by
sampled elements and exact projections. A new kernel is tested on all of them in every direction by
being listed in ``fastconv/planner/candidates.py``.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from fastconv import shapes
from fastconv.shapes import Shape
from fastconv.spec import PoolSpec, adaptive_pool_spec, pool_spec


class Pool(NamedTuple):
    """A pooling layer: arguments of ``pool_spec``, or ``output_size`` for an adaptive one."""

    name: str
    shape: tuple[int, ...]
    arguments: dict[str, Any]

    def spec(self) -> PoolSpec:
        """Its geometry, for a maximum as for an average."""
        ndim = len(self.shape) - 2
        if "output_size" in self.arguments:
            return adaptive_pool_spec(self.shape, self.arguments["output_size"], ndim)
        return pool_spec(self.shape, ndim=ndim, **self.arguments)


def _channels(c: int, k: int) -> Shape:
    return Shape(f"channels {c} to {k}", "channels", 1, c, k, (5, 6), (3, 3), padding=1)


def _dw(c: int) -> Shape:
    return Shape(f"depthwise {c}", "depthwise", 1, c, c, (5, 7), (3, 3), padding=1, groups=c)


def _strided() -> list[Shape]:
    """Strides beyond the kernel along each axis: seven outputs of whole vectors, ragged and more.

    Every kernel that shares columns between outputs has none to share here.
    """
    kinds = {"whole": (32, 32, 32), "ragged": (19, 19, 19), "multiplier": (16, 32, 16),
             "groups of 4": (16, 16, 4), "dense": (3, 5, 1)}  # fmt: skip
    found = []
    for (kind, (c, k, groups)), (kernel, stride, dilation), axis in itertools.product(
        kinds.items(), ((1, 2, 1), (1, 3, 2), (2, 3, 1), (2, 5, 2), (3, 4, 1), (3, 5, 2)), range(3)
    ):
        reach = dilation * (kernel - 1)
        if axis < 2 and (kind not in ("whole", "dense") or kernel == 3):
            continue  # along W all of them, along D and H the kinds that differ
        size, taps, steps, apart, pad = ([n] * 3 for n in (2, 1, 1, 1, 0))
        size[axis], taps[axis], steps[axis] = 6 * stride + 1 + reach // 2, kernel, stride
        apart[axis], pad[axis] = dilation, (reach + 1) // 2
        name = f"{kind}, kernel {kernel} / {stride}, dilation {dilation}, along {'DHW'[axis]}"
        first = min(axis, 1)
        found.append(
            Shape(name, "stride", 1, c, k, tuple(size[first:]), tuple(taps[first:]),
                  stride=tuple(steps[first:]), padding=tuple(pad[first:]),
                  dilation=tuple(apart[first:]), groups=groups)
        )  # fmt: skip
    return found


#: Layers of networks, and two for ways of backward weight that only large ones take.
NETWORKS: tuple[Shape, ...] = (
    *shapes.NETWORKS,
    Shape("weight written past the caches", "large", 3, 2064, 4098, (1,), (1,)),
    Shape("weight in blocks and parts", "large", 16, 64, 160, (23, 25), (3, 3), padding=1),
)

AWKWARD: tuple[Shape, ...] = (
    Shape("everything one", "ones", 1, 1, 1, (1, 1), (1, 1)),
    Shape("everything one 1-D", "ones", 1, 1, 1, (1,), (1,)),
    Shape("everything one 3-D", "ones", 1, 1, 1, (1, 1, 1), (1, 1, 1)),
    Shape("one pixel, padded 3x3", "ones", 1, 5, 3, (1, 1), (3, 3), padding=1),
    Shape("one row", "ones", 2, 3, 5, (1, 13), (1, 3)),
    Shape("one column", "ones", 2, 3, 5, (13, 1), (3, 1), padding=(1, 0)),
    Shape("kernel = input", "whole", 3, 7, 11, (5, 4), (5, 4)),
    Shape("kernel = padded input", "whole", 1, 3, 17, (2, 3), (4, 5), padding=1),
    Shape("kernel = input 1-D", "whole", 2, 5, 3, (17,), (17,)),
    Shape("kernel = input 3-D", "whole", 2, 3, 5, (2, 3, 4), (2, 3, 4)),
    Shape("primes", "primes", 3, 7, 13, (11, 7), (3, 5), stride=(2, 3), padding=(1, 2)),
    Shape("stride > kernel", "stride", 2, 3, 5, (11, 13), (2, 3), stride=(5, 4)),
    Shape("stride > kernel, padded", "stride", 1, 3, 5, (7, 9), (2, 1), stride=3, padding=1),
    Shape("stride > input", "stride", 1, 3, 5, (4, 4), (2, 2), stride=9),
    Shape("stride leaves a tail", "stride", 1, 4, 4, (8, 10), (3, 3), stride=3),
    Shape("1x1 stride 3", "stride", 2, 5, 7, (7, 8), (1, 1), stride=3),
    Shape("1x1 padded", "padding", 1, 5, 7, (3, 4), (1, 1), padding=(2, 1)),
    Shape("padding > kernel / 2", "padding", 1, 3, 5, (4, 5), (3, 3), padding=(4, 3)),
    Shape("padding > input", "padding", 1, 2, 3, (1, 2), (2, 3), padding=5),
    Shape("padding, stride: outputs in padding only", "padding", 1, 3, 4, (2, 2), (2, 2),
          stride=4, padding=4),
    Shape("same, even kernel", "padding", 1, 3, 5, (6, 7), (4, 2), padding="same"),
    Shape("same, dilated", "padding", 1, 3, 5, (6, 7), (3, 2), padding="same", dilation=(2, 3)),
    Shape("even kernel 4x4 stride 2", "even", 2, 3, 5, (8, 8), (4, 4), stride=2, padding=1),
    Shape("even kernel 2x6", "even", 1, 5, 3, (6, 9), (2, 6), padding=(1, 2)),
    Shape("dilation 2", "dilation", 1, 3, 5, (9, 9), (3, 3), padding=2, dilation=2),
    Shape("dilation > input", "dilation", 1, 3, 5, (4, 4), (3, 3), padding=7, dilation=7),
    Shape("dilation 3, stride 2, groups 2", "dilation", 2, 6, 4, (9, 11), (3, 2), stride=2,
          padding=(3, 1), dilation=3, groups=2),
    Shape("dilation and stride share a factor", "dilation", 1, 3, 3, (11, 12), (3, 4), stride=(4,
          6), padding=2, dilation=(2, 3)),
    Shape("dilation = stride", "dilation", 1, 3, 5, (10, 10), (3, 3), stride=3, padding=1,
          dilation=3),
    Shape("groups 3", "groups", 2, 6, 9, (5, 5), (3, 3), padding=1, groups=3),
    Shape("groups of 17 to 5", "groups", 1, 34, 10, (4, 4), (2, 2), groups=2),
    Shape("groups of 1 to 33", "groups", 1, 2, 66, (4, 5), (3, 3), padding=1, groups=2),
    Shape("32 groups of 5 to 2, 1x1", "groups", 2, 160, 64, (5, 6), (1, 1), groups=32),
    Shape("groups of 5 to 1", "groups", 1, 20, 4, (5, 4), (3, 3), padding=1, groups=4),
    *(Shape(f"grouped {c} per group", "groups", 2, n * c, n * c, (5, 9), (3, 3), padding=1,
          groups=n) for c, n in ((2, 3), (4, 5), (8, 3), (16, 2))),
    *(Shape(f"grouped {c} per group, stride 2", "groups", 1, n * c, n * c, (8, 17), (3, 3),
          stride=2, padding=1, groups=n) for c, n in ((2, 9), (4, 7), (8, 5), (16, 3))),
    Shape("grouped 5x5, dilated", "groups", 1, 12, 12, (9, 8), (5, 5), padding=4, dilation=2,
          groups=3),
    Shape("grouped 1-D", "groups", 1, 24, 24, (19,), (5,), padding=2, groups=3),
    Shape("grouped 3-D", "groups", 1, 8, 8, (3, 4, 5), (3, 3, 3), stride=(1, 2, 1), padding=1,
          groups=2),
    *(Shape(f"groups of {c} to {k}, 3x3", "groups", 1, n * c, n * k, (9, 7), (3, 3), padding=1,
          groups=n) for c, k, n in ((3, 3, 7), (5, 5, 4), (6, 6, 5), (12, 12, 3), (24, 24, 2),
          (32, 32, 2), (8, 16, 3), (16, 8, 3), (4, 8, 5), (8, 3, 5), (2, 7, 3), (4, 1, 18),
          (20, 6, 2))),
    Shape("groups of 6 to 4, stride 2, 5x5", "groups", 2, 18, 12, (12, 19), (5, 5), stride=2,
          padding=2, groups=3),
    Shape("groups of 3, 7x7", "groups", 1, 15, 15, (8, 20), (7, 7), padding=3, groups=5),
    Shape("groups of 4, dilation 3", "groups", 1, 24, 24, (9, 26), (3, 3), padding=3, dilation=3,
          groups=6),
    Shape("groups of 4, stride 3, dilation 2", "groups", 1, 12, 12, (13, 14), (3, 3), stride=3,
          padding=2, dilation=2, groups=3),
    Shape("depthwise multiplier 2, 5x5", "depthwise", 2, 19, 38, (9, 11), (5, 5), padding=2,
          groups=19),
    Shape("depthwise multiplier 4, stride 2", "depthwise", 1, 9, 36, (9, 8), (3, 3), stride=2,
          padding=1, groups=9),
    Shape("depthwise multiplier 2, 3-D", "depthwise", 1, 3, 6, (3, 4, 5), (3, 3, 3), padding=1,
          groups=3),
    *(Shape(f"depthwise kernel {k}, 1-D", "depthwise", 1, 33, 33, (41,), (k,), padding=k // 2,
          groups=33) for k in (6, 8, 11, 13, 31)),
    Shape("depthwise dilation 3", "depthwise", 1, 18, 18, (7, 31), (3, 3), padding=3, dilation=3,
          groups=18),
    Shape("depthwise dilation 40", "depthwise", 1, 5, 5, (6, 7), (3, 3), padding=40, dilation=40,
          groups=5),
    Shape("depthwise stride 3, dilation 2, 5x5", "depthwise", 1, 20, 20, (15, 23), (5, 5),
          stride=3, padding=4, dilation=2, groups=20),
    Shape("depthwise 512 channels", "depthwise", 1, 512, 512, (9, 7), (3, 3), padding=1,
          groups=512),
    Shape("depthwise multiplier 3", "depthwise", 2, 5, 15, (6, 5), (3, 3), padding=1, groups=5),
    Shape("depthwise stride 2 dilation 2", "depthwise", 1, 7, 7, (9, 8), (3, 3), stride=2,
          padding=2, dilation=2, groups=7),
    Shape("depthwise 5x5 on 2x2", "depthwise", 1, 19, 19, (2, 2), (5, 5), padding=2, groups=19),
    Shape("depthwise 1x1", "depthwise", 2, 9, 9, (3, 5), (1, 1), groups=9),
    *_strided(),
    Shape("depthwise stride > kernel", "depthwise", 1, 6, 6, (9, 9), (2, 2), stride=4, groups=6),
    Shape("depthwise wide line", "depthwise", 1, 3, 3, (2, 37), (1, 9), padding=(0, 4), groups=3),
    Shape("depthwise planes", "depthwise", 2, 10, 10, (5, 33), (3, 3), padding=1, groups=10),
    Shape("depthwise planes, no padding", "depthwise", 1, 3, 3, (9, 21), (5, 4), groups=3),
    Shape("depthwise planes, odd padding", "depthwise", 1, 3, 3, (6, 18), (5, 5), padding=(4, 3),
          groups=3),
    Shape("depthwise planes 7x7", "depthwise", 1, 3, 3, (11, 71), (7, 7), padding=3, groups=3),
    Shape("depthwise planes 3x3 / 2", "depthwise", 1, 9, 9, (13, 67), (3, 3), stride=2, padding=1,
          groups=9),
    Shape("depthwise planes 5x5 / 2", "depthwise", 1, 3, 3, (10, 34), (5, 5), stride=2, padding=2,
          groups=3),
    Shape("depthwise planes 7x2 / 2", "depthwise", 2, 3, 3, (14, 36), (7, 2), stride=2, groups=3),
    Shape("depthwise planes, strides 1 and 2", "depthwise", 1, 3, 3, (9, 40), (3, 4), stride=(1, 2),
          padding=(1, 2), groups=3),
    Shape("depthwise planes, strides 3 and 3", "depthwise", 1, 3, 3, (13, 52), (3, 3), stride=3,
          padding=2, groups=3),
    Shape("depthwise planes, dilation 2 and 3", "depthwise", 1, 3, 3, (9, 20), (3, 3),
          dilation=(2, 3), padding=(2, 3), groups=3),
    Shape("depthwise planes, stride 2, dilation 3", "depthwise", 1, 3, 3, (12, 41), (3, 3),
          stride=2, dilation=3, padding=3, groups=3),
    Shape("depthwise planes, padding only", "depthwise", 1, 3, 3, (2, 3), (3, 3), padding=9,
          groups=3),
    Shape("depthwise planes in bands", "depthwise", 1, 2, 2, (23, 600), (3, 3), padding=1,
          groups=2),
    Shape("depthwise 1-D", "depthwise", 2, 17, 17, (11,), (3,), padding=1, groups=17),
    Shape("depthwise 3-D", "depthwise", 1, 5, 5, (3, 4, 5), (2, 3, 3), padding=1, groups=5),
    *(_dw(c) for c in (2, 8, 16, 17, 33, 65)),
    *(_channels(1, k) for k in (1, 3, 17)),
    *(_channels(c, 1) for c in (3, 17)),
    _channels(3, 5), _channels(5, 3), _channels(17, 33), _channels(33, 17), _channels(16, 16),
    _channels(8, 65), _channels(65, 8),
    Shape("flat 1 to 6, 5x5", "flat", 2, 1, 6, (13, 11), (5, 5), padding=2),
    Shape("flat 3 to 10, 14 rows", "flat", 1, 3, 10, (14, 9), (3, 3), padding=1),
    Shape("flat 2 to 20, 5x5 / 2", "flat", 1, 2, 20, (17, 30), (5, 5), stride=2, padding=2),
    Shape("flat 2 to 6, 3x3 / 2", "flat", 2, 2, 6, (18, 13), (3, 3), stride=2, padding=1),
    Shape("flat 4 to 5, 7x3", "flat", 1, 4, 5, (10, 33), (7, 3), padding=(3, 1)),
    Shape("flat 2 to 3, dilation 2", "flat", 1, 2, 3, (12, 20), (3, 3), padding=2, dilation=2),
    Shape("flat 1 to 7, strides 1 and 3", "flat", 1, 1, 7, (9, 22), (3, 4), stride=(1, 3),
          padding=(1, 2)),
    Shape("flat 3 to 32, 3x3 / 2", "flat", 1, 3, 32, (19, 12), (3, 3), stride=2, padding=1),
    Shape("flat 2 to 48, 5x5", "flat", 2, 2, 48, (9, 8), (5, 5), padding=2),
    Shape("flat 3 to 16, 7x7 / 2, dilation 2", "flat", 1, 3, 16, (21, 24), (7, 7), stride=2,
          padding=5, dilation=2),
    Shape("flat 1 to 20 in bands", "flat", 1, 1, 20, (21, 60), (3, 3), padding=1),
    Shape("flat 3-D", "flat", 2, 2, 6, (4, 6, 9), (3, 3, 3), padding=1),
    Shape("channels 129 to 130, 1x1", "channels", 1, 129, 130, (1, 3), (1, 1)),
    Shape("channels 300 to 2, 1x1", "channels", 1, 300, 2, (3, 3), (1, 1)),
    Shape("channels 2 to 300, 1x1", "channels", 1, 2, 300, (3, 3), (1, 1)),
    Shape("width of a tile and one", "tails", 1, 3, 4, (2, 33), (1, 3), padding=(0, 1)),
    *(Shape(f"{n} long pixels, 1x1", "channels", 1, 516, 522, (1, n), (1, 1)) for n in (3, 21)),
    Shape("channels 5 to 50, 1x1", "channels", 2, 5, 50, (11, 13), (1, 1)),
    Shape("channels 24 to 66, 1x1, two groups", "channels", 1, 48, 132, (11, 13), (1, 1), groups=2),
    *(Shape(f"{n} pixels", "tails", 1, 4, 16, (1, n), (1, 1)) for n in (2, 5, 6, 11, 12, 13, 14,
          31)),
    Shape("empty batch", "empty", 0, 3, 5, (6, 6), (3, 3), padding=1),
    Shape("empty batch, depthwise", "empty", 0, 4, 4, (6, 6), (3, 3), padding=1, groups=4),
    Shape("batch of 7 single pixels", "batch", 7, 12, 10, (1, 1), (1, 1)),
    *(Shape(f"{n} rows of 83 to 70", "rows", n, 83, 70, (1,), (1,)) for n in (1, 3, 6, 17)),
    Shape("5 rows of 2100 to 9", "rows", 5, 2100, 9, (1,), (1,)),
    Shape("3x3 to few columns", "columns", 1, 19, 3, (9, 11), (3, 3), padding=1),
    Shape("4x4/2 to few columns, groups 2", "columns", 2, 80, 6, (8, 8), (4, 4), stride=2,
          padding=1, groups=2),
    Shape("few rows, more channels than a block", "rows", 1, 130, 40, (3, 3), (3, 3), padding=1),
    Shape("5x5, weight in blocks", "columns", 1, 32, 96, (3, 3), (5, 5), padding=2),
    Shape("all asymmetric", "asymmetric", 2, 6, 8, (9, 12), (2, 3), stride=(3, 1), padding=(1,
          2), dilation=(1, 3), groups=2),
    Shape("1-D", "1-D", 2, 5, 7, (23,), (5,), stride=2, padding=3),
    Shape("1-D dilated", "1-D", 2, 4, 18, (30,), (3,), padding=8, dilation=8),
    Shape("1-D groups", "1-D", 2, 6, 6, (13,), (4,), stride=3, padding=2, groups=3),
    Shape("3-D", "3-D", 1, 3, 5, (4, 5, 6), (3, 3, 3), padding=1),
    Shape("3-D all asymmetric", "3-D", 1, 4, 6, (5, 6, 7), (2, 3, 2), stride=(1, 2, 3),
          padding=(1, 0, 2), dilation=(2, 1, 2), groups=2),
    Shape("3-D 1x1x1 stride 2", "3-D", 2, 5, 3, (3, 4, 3), (1, 1, 1), stride=2),
    Shape("3-D slices", "3-D", 1, 16, 16, (5, 3, 2), (3, 3, 3), padding=1),
    Shape("3-D slices, one", "3-D", 2, 16, 16, (1, 4, 5), (3, 3, 3), padding=1),
    Shape("3-D slices, none at some taps", "3-D", 1, 16, 4, (2, 3, 3), (4, 3, 2),
          padding=(5, 1, 1)),
    Shape("3-D slices apart", "3-D", 2, 16, 16, (9, 2, 3), (3, 2, 3), padding=(2, 0, 1),
          dilation=(2, 1, 1)),
    Shape("3-D slices, groups of taps and channels", "3-D", 1, 32, 32, (4, 3, 3), (2, 5, 3),
          padding=(1, 2, 1), groups=2),
    Shape("3-D slices, stride along the plane", "3-D", 1, 16, 16, (5, 6, 5), (3, 3, 3),
          stride=(1, 2, 1), padding=1),
    Shape("3-D stride along the depth", "3-D", 1, 16, 16, (7, 3, 3), (3, 3, 3), stride=(2, 1, 1),
          padding=1),
    Shape("3-D slabs of slices", "3-D", 2, 16, 48, (17, 13, 22), (3, 3, 3), padding=1,
          tags=shapes.NETWORK),
    Shape("3-D slabs of images", "3-D", 5, 80, 32, (3, 9, 5), (3, 3, 3), padding=1,
          tags=shapes.NETWORK),
    Shape("3-D unit in the middle", "3-D", 1, 3, 4, (4, 1, 5), (3, 1, 3), padding=(1, 0, 1)),
    Shape("transposed output padding", "transposed", 2, 5, 3, (4, 5), (3, 3), stride=2,
          padding=1, output_padding=1, transposed=True),
    Shape("transposed asymmetric", "transposed", 1, 4, 6, (3, 4), (2, 3), stride=(3, 2),
          padding=(0, 2), output_padding=(2, 1), dilation=(1, 2), groups=2, transposed=True),
    Shape("transposed stride > kernel", "transposed", 1, 3, 4, (3, 3), (2, 2), stride=4,
          output_padding=3, transposed=True),
    Shape("transposed 1-D", "transposed", 2, 3, 5, (7,), (4,), stride=3, padding=1,
          transposed=True),
    Shape("transposed 3-D", "transposed", 1, 3, 2, (2, 3, 2), (3, 2, 3), stride=2, padding=1,
          output_padding=(1, 0, 1), transposed=True),
    Shape("transposed depthwise", "transposed", 1, 6, 6, (4, 4), (3, 3), stride=2, padding=1,
          output_padding=1, groups=6, transposed=True),
)  # fmt: skip

SHAPES: tuple[Shape, ...] = NETWORKS + AWKWARD

POOLS: tuple[Pool, ...] = (
    Pool("lenet 2x2", (2, 6, 8, 8), {"kernel_size": 2}),
    Pool("alexnet 3x3 stride 2", (1, 17, 13, 13), {"kernel_size": 3, "stride": 2}),
    Pool("resnet stem", (1, 33, 12, 12), {"kernel_size": 3, "stride": 2, "padding": 1}),
    Pool("global", (2, 65, 7, 7), {"output_size": 1}),
    Pool("inception 3x3 stride 1", (1, 16, 5, 5), {"kernel_size": 3, "stride": 1, "padding": 1}),
    *(Pool(f"5x5 stride 1, {c} channels", (2, c, 9, 12), {"kernel_size": 5, "stride": 1,
          "padding": 2, "count_include_pad": c > 16}) for c in (8, 16, 21)),
    Pool("6x5, few strides, divisor", (2, 19, 14, 17), {"kernel_size": (6, 5), "stride": (2, 1),
          "ceil_mode": True, "padding": (3, 1), "divisor_override": 7}),
    Pool("3x3x3 stride 1", (1, 17, 5, 6, 7), {"kernel_size": 3, "stride": 1, "padding": 1}),
    Pool("c3d", (1, 5, 4, 6, 6), {"kernel_size": (1, 2, 2)}),
    Pool("3-D asymmetric", (2, 3, 5, 6, 7), {"kernel_size": (2, 3, 4), "stride": (2, 1, 3),
          "padding": (1, 1, 2)}),
    Pool("1-D", (2, 3, 17), {"kernel_size": 3, "stride": 2, "padding": 1}),
    Pool("ones", (1, 1, 1, 1), {"kernel_size": 1}),
    Pool("window = input", (2, 3, 4, 5), {"kernel_size": (4, 5)}),
    Pool("ceil", (1, 4, 6, 8), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    Pool("ceil, padded, excluded", (1, 4, 7, 8), {"kernel_size": (3, 4), "stride": 3,
          "padding": 1, "ceil_mode": True, "count_include_pad": False}),
    Pool("excluded padding", (2, 5, 5, 5), {"kernel_size": 3, "padding": 1,
          "count_include_pad": False}),
    Pool("divisor", (1, 3, 6, 6), {"kernel_size": 2, "divisor_override": 7}),
    Pool("dilated", (1, 6, 9, 11), {"kernel_size": (2, 3), "stride": 2, "padding": (1, 1),
          "dilation": (3, 2)}),
    Pool("stride > kernel", (1, 3, 9, 10), {"kernel_size": 2, "stride": (4, 5)}),
    Pool("empty batch", (0, 3, 6, 6), {"kernel_size": 2}),
    Pool("windows in many rows", (1, 18, 4, 11, 12), {"kernel_size": (3, 5, 7), "stride": 1,
          "padding": (1, 2, 3)}),
    Pool("adaptive uneven", (2, 5, 7, 10), {"output_size": (3, 4)}),
    Pool("adaptive grows", (1, 3, 3, 2), {"output_size": (5, 7)}),
    Pool("adaptive 1-D", (2, 17, 11), {"output_size": 4}),
    Pool("adaptive 3-D", (1, 3, 3, 5, 4), {"output_size": (2, 3, 4)}),
    *(Pool(f"{c} channels, 2x2", (5, c, 19, 17), {"kernel_size": 2}) for c in (1, 2, 3, 6, 12, 16,
          17)),
    *(Pool(f"{c} channels, 3x3 stride 2", (5, c, 15, 14), {"kernel_size": 3, "stride": 2,
          "padding": 1, "ceil_mode": True}) for c in (1, 2, 3, 6, 17, 33)),
    Pool("few channels, short lines", (20, 2, 5, 4), {"kernel_size": 2, "stride": 1}),
    Pool("few channels, stride > kernel", (12, 3, 16, 31), {"kernel_size": 2, "stride": (3, 5)}),
    Pool("few channels, dilated", (8, 5, 17, 19), {"kernel_size": (2, 3), "stride": 2,
          "padding": 1, "dilation": (3, 2)}),
    Pool("few channels, 3-D", (3, 3, 6, 9, 13), {"kernel_size": 2, "stride": (2, 1, 2),
          "padding": 1}),
    Pool("few channels, adaptive", (12, 5, 7, 23), {"output_size": (4, 9)}),
    Pool("few channels, adaptive grows", (9, 3, 3, 5), {"output_size": (5, 17)}),
    *(Pool(f"channels {c}", (1, c, 4, 5), {"kernel_size": 2, "stride": 1}) for c in (1, 2, 3, 8,
          15, 16, 31, 64, 67)),
)  # fmt: skip


def named(name: str) -> Shape:
    """The convolution of this name."""
    return next(shape for shape in SHAPES if shape.name == name)
