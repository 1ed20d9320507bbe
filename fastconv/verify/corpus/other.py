"""Published cases of wrong activations, reductions and optimisers."""

from __future__ import annotations

import numpy as np

from fastconv.verify.corpus.build import Cases, exactly, full, ints, normal

case = Cases()

case(
    "pytorch/pytorch#147801",
    "hardswish: gradients at -3 and 3 of the inside",
    "hardswish", exactly([-3.0, 3.0, -2.0, 2.0]), seed=-1,
    right={"gradient of input": [0.0, 1.0, -1 / 6, 7 / 6]},
)  # fmt: skip
case(
    "pytorch/pytorch#51408",
    "hardsigmoid: a gradient where it is flat",
    "hardsigmoid", exactly([[-4.6332, -3.3716], [-3.8981, -2.9715]]), seed=-1,
    right={"gradient of input": [[0.0, 0.0], [0.0, 1 / 6]]},
)  # fmt: skip
case(
    "pytorch/pytorch#49922",
    "hardsigmoid: a gradient at 3, unlike the others of its kind",
    "hardsigmoid", exactly([3.0, 3.00001]), seed=-1, right={"gradient of input": [0.0, 0.0]},
)  # fmt: skip
case(
    "tinygrad/tinygrad#17852",
    "elu of 300: a gradient of NaN",
    "elu", exactly([300.0, 350.0, 400.0]), seed=-1, right={"gradient of input": [1.0, 1.0, 1.0]},
)  # fmt: skip
case(
    "tinygrad/tinygrad#17852",
    "celu of 300",
    "celu", exactly([300.0, 350.0, 400.0]), seed=-1, alpha=2.0,
    right={"gradient of input": [1.0, 1.0, 1.0]},
)  # fmt: skip
case(
    "tinygrad/tinygrad#17852",
    "selu at 0 and of 300",
    "selu", exactly([0.0, 300.0]), seed=-1, right={"gradient of input": [1.7581, 1.0507]},
)  # fmt: skip
case(
    "pytorch/pytorch#38716",
    "mean over the rows of a long table of three columns: a third too small",
    "mean", exactly([[0.479, 0.4809, 0.5077]]).times(np.ones((200_000, 1))), dim=0,
)  # fmt: skip
case(
    "pytorch/pytorch#36582",
    "mean over all axes but the last",
    "mean", normal(16, 64, 64, 3).plus(4.0), dim=(0, 1, 2),
)  # fmt: skip
case(
    "pytorch/pytorch#2470",
    "variance of two numbers: 0 along an axis, right without one",
    "var", exactly([2281.5, 2281.25]), dim=0, right={"y": 0.03125},
)  # fmt: skip
case(
    "tenstorrent/tt-metal#19478",
    "variance over n instead of n - 1",
    "var", exactly([[3.0, 5.0], [40.0, 9.0]]), dim=0, keepdim=True, right={"y": [[684.5, 8.0]]},
)  # fmt: skip
case(
    "pytorch/pytorch#37234",
    "sum of an expanded number: less exact than of its copies",
    "sum", full(1.01, 500, 500).lies("expanded"),
)  # fmt: skip
case(
    "pytorch/pytorch#20551",
    "norm of many numbers: two thirds of it",
    "norm", normal(80, 80, 16),
)  # fmt: skip
case(
    "pytorch/pytorch#197089",
    "deviation of numbers near 1e-15: sums of squares in the narrow type",
    "std", normal(64, 8).times(1e-15), dim=0,
)  # fmt: skip
case(
    "pytorch/pytorch#184151",
    "deviation of numbers near 1e19: infinite",
    "std", normal(100).times(1e16).plus(1e17), dim=0,
)  # fmt: skip
case(
    "apache/mxnet#5126",
    "Adam: the decay of the weights not in the gradient",
    "optim.Adam", ints(12), ints(5, 12), lr=0.1, weight_decay=0.1,
)  # fmt: skip
case(
    "apache/mxnet#5137",
    "RMSprop: the same",
    "optim.RMSprop", ints(12), ints(5, 12), lr=0.1, weight_decay=0.1,
)  # fmt: skip
case(
    "FluxML/Flux.jl#119",
    "Adam: a root too many",
    "optim.Adam", ints(12), ints(5, 12), lr=0.1,
)  # fmt: skip
case(
    "FluxML/Flux.jl#119",
    "AMSGrad beside it",
    "optim.Adam", ints(12), ints(5, 12), lr=0.1, amsgrad=True,
)  # fmt: skip
case(
    "BRML/climin#47",
    "Nesterov's step",
    "optim.SGD", ints(12), ints(5, 12), lr=0.1, momentum=0.9, nesterov=True,
)  # fmt: skip
