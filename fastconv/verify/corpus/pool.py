"""Published cases of wrong pooling."""

from __future__ import annotations

import numpy as np

from fastconv.verify.corpus.build import Cases, exactly, full, ints, labels, normal, positive, ramp

case = Cases()

case(
    "pytorch/pytorch#45357",
    "ceil_mode, kernel 1, stride 2: a window outside the input, -inf",
    "max_pool2d", ints(1, 1, 6, 7), kernel_size=1, stride=2, ceil_mode=True,
)  # fmt: skip
case(
    "pytorch/pytorch#57178",
    "ceil_mode: 16 windows, not 17",
    "max_pool2d", ints(1, 3, 32, 32), kernel_size=1, stride=2, ceil_mode=True,
)  # fmt: skip
case(
    "onnx/onnx#5711",
    "ceil_mode with kernel 1: one output too many",
    "max_pool2d", normal(4, 4, 12, 12), kernel_size=1, stride=2, ceil_mode=True,
)  # fmt: skip
case(
    "apache/tvm#18641",
    "average, ceil_mode, padding 1: 10 windows for 9",
    "avg_pool2d", ints(1, 3, 17, 17), kernel_size=2, stride=2, padding=1, ceil_mode=True,
)  # fmt: skip
case(
    "pytorch/pytorch#88464",
    "ceil_mode: an output size below zero",
    "max_pool1d", ints(2, 3, 1), kernel_size=4, stride=1, ceil_mode=True, raises=True,
)  # fmt: skip
case(
    "microsoft/onnxruntime#1224",
    "dilation 2: an output without windows instead of an error",
    "max_pool1d", ints(1, 1, 4), kernel_size=3, stride=2, dilation=2, raises=True,
)  # fmt: skip
case(
    "microsoft/onnxruntime#15446",
    "3-D, ceil_mode and padding: a window too many",
    "max_pool3d", normal(1, 2, 3, 6, 5), kernel_size=3, padding=1, ceil_mode=True,
)  # fmt: skip
case(
    "xboot/libonnx#24",
    "dilation used for the output size only",
    "max_pool2d", exactly(np.arange(1.0, 17.0).reshape(1, 1, 4, 4)),
    kernel_size=2, stride=1, dilation=2, right={"y": [[[[11.0, 12], [15, 16]]]]},
)  # fmt: skip
case(
    "pytorch/pytorch#71549",
    "average of 2×2, ceil_mode, padding 1: one window",
    "avg_pool2d", positive(1, 3, 2, 2), kernel_size=3, stride=3, padding=1, ceil_mode=True,
)  # fmt: skip
case(
    "pytorch/pytorch#1465",
    "a window of -inf: an index of -1, written to",
    "max_pool1d", exactly([[[-np.inf, -np.inf, -np.inf, 1.0]]]), kernel_size=2,
    return_indices=True, seed=-1, right={"indices": [[[0, 3]]]},
)  # fmt: skip
case(
    "pytorch/pytorch#7645",
    "a NaN in the window was passed over",
    "adaptive_max_pool1d", exactly([[[0.0, np.nan]]]), output_size=1, seed=-1,
    right={"y": [[[np.nan]]], "gradient of input": [[[0.0, 1.0]]]},
)  # fmt: skip
case(
    "Theano/Theano#3060",
    "a NaN that is not the first of its window was passed over",
    "max_pool2d", exactly([[[[1.0, 2], [np.nan, 3]]]]), kernel_size=2,
    right={"y": [[[[np.nan]]]]},
)  # fmt: skip
case(
    "pytorch/executorch#21686",
    "gradient added into memory that was not cleared",
    "max_pool2d", ints(2, 4, 8, 8), kernel_size=2, times=3,
)  # fmt: skip
case(
    "pytorch/executorch#18616",
    "divisor_override forgotten where padding is not counted",
    "avg_pool2d", ints(1, 2, 6, 6), kernel_size=3, padding=1, count_include_pad=False,
    divisor_override=5,
)  # fmt: skip
case(
    "kulinseth/pytorch#273",
    "ceil_mode with counted padding",
    "avg_pool2d", ints(1, 2, 8, 8), kernel_size=3, stride=2, padding=1, ceil_mode=True,
)  # fmt: skip
case(
    "pytorch/xla#6409",
    "what ceil_mode adds was counted as padding",
    "avg_pool2d", ints(1, 3, 7, 9), kernel_size=(3, 4), stride=3, padding=1, ceil_mode=True,
)  # fmt: skip
_ROWS = np.array(
    [
        [2.0903, 4.6493, 1.6320, -3.2051, 4.6975, 4.7296, 3.3653, -1.5815, -2.3832],
        [0.9628, -1.5899, -2.6820, 5.7529, 7.7346, -0.8910, -2.0151, 0.1313, -0.5374],
    ]
)
case(
    "microsoft/onnxruntime#16203",
    "the last window divided by the kernel's size, not by what it covers",
    "avg_pool1d", exactly(_ROWS[None]), kernel_size=7, stride=3, padding=3, ceil_mode=True,
)  # fmt: skip
case(
    "apple/coremltools#2844",
    "a window over the edge divided by the kernel's size",
    "avg_pool2d", ramp(1, 1, 7, 7), kernel_size=2, stride=3, ceil_mode=True,
    right={"y": [[[[4.0, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]]]]},
)  # fmt: skip
case(
    "apple/coremltools#2844",
    "the same along one axis",
    "avg_pool1d", ramp(1, 1, 7), kernel_size=2, stride=3, ceil_mode=True,
    right={"y": [[[0.5, 3.5, 6.0]]]},
)  # fmt: skip
case(
    "robertknight/rten#1456",
    "a window beyond the padded input divided by the kernel's size",
    "avg_pool2d", ints(1, 2, 6, 5), kernel_size=4, stride=3, padding=1, ceil_mode=True,
)  # fmt: skip
case(
    "pytorch/pytorch#188344",
    "average, channels-last, padding 1: gradients from the wrong windows",
    "avg_pool2d", ramp(1, 2, 4, 4).last, kernel_size=2, stride=1, padding=1, seed=-1,
    g_layout="last",
)  # fmt: skip
case(
    "pytorch/pytorch#189233",
    "average, channels-last, backward: an abort or other numbers",
    "avg_pool2d", normal(4, 3, 8, 8).last, kernel_size=2, g_layout="last",
)  # fmt: skip
case(
    "pytorch/pytorch#107201",
    "average 2×2, padding 1: plain and channels-last gradients differed",
    "avg_pool2d", normal(2, 3, 6, 6).last, kernel_size=2, stride=2, padding=1, g_layout="last",
)  # fmt: skip
case(
    "pytorch/pytorch#174345",
    "average of a channels-last view that does not begin where its memory does",
    "avg_pool2d", normal(1, 64, 8, 8).lies("channels", 1), kernel_size=2,
)  # fmt: skip
case(
    "intel/torch-xpu-ops#5458",
    "adaptive average of a channels-last view one element off alignment",
    "adaptive_avg_pool2d", normal(2, 16, 7, 7).lies("last", 1), output_size=3,
)  # fmt: skip
case(
    "pytorch/pytorch#67239",
    "adaptive maximum, channels-last: written as if plain",
    "adaptive_max_pool2d", normal(2, 3, 6, 6).last, output_size=2,
)  # fmt: skip
case(
    "pytorch/pytorch#60524",
    "adaptive average, 3-D: gradients in the wrong places",
    "adaptive_avg_pool3d", positive(1, 1, 2, 2, 4), output_size=2,
)  # fmt: skip
case(
    "pytorch/pytorch#198119",
    "average, ceil_mode: gradient of the last window divided by the kernel's size",
    "avg_pool1d", ramp(1, 1, 5), kernel_size=3, ceil_mode=True, seed=-1,
    right={"gradient of input": [[[1 / 3, 1 / 3, 1 / 3, 0.5, 0.5]]]},
)  # fmt: skip
case(
    "tracel-ai/burn#5308",
    "1-D average, 2 channels: gradient from memory that was freed",
    "avg_pool1d", ints(1, 2, 6), kernel_size=3, stride=1, padding=1, times=3,
)  # fmt: skip
case(
    "pytorch/pytorch#100987",
    "average, ceil_mode: windows of 6 divided by 9",
    "avg_pool2d", normal(1, 2, 6, 6), kernel_size=3, stride=2, ceil_mode=True,
)  # fmt: skip
case(
    "flagos-ai/FlagGems#4915",
    "adaptive average of 10 to 3: windows rounded down",
    "adaptive_avg_pool2d", normal(2, 3, 10, 10), output_size=3,
)  # fmt: skip
case(
    "riccardomusmeci/mlx-image#16",
    "adaptive average of every second pixel instead of neighbours",
    "adaptive_avg_pool2d", ramp(1, 2, 4, 4), output_size=2,
)  # fmt: skip
case(
    "uxlfoundation/oneDNN#1727",
    "gradient of a maximum over the whole image",
    "max_pool2d", normal(2, 8, 16, 16).last, kernel_size=16, g_layout="last",
)  # fmt: skip
_TIES = [
    [3.0, 0, 0, 2, 3], [0, 0, 0, 0, 1], [0, 0, 0, 1, 3], [0, 0, 0, 0, 0], [1, 1, 3, 8, 6],
]  # fmt: skip
case(
    "tensorflow/tensorflow#40122",
    "gradient of the maximum on a 5×5 image",
    "max_pool2d", exactly([[_TIES]]), kernel_size=2, seed=-1,
    right={"gradient of input": [[[
        [1.0, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0],
    ]]]},
)  # fmt: skip
case(
    "torch/cunn#199",
    "gradient of the maximum where the one given is not contiguous",
    "max_pool2d", normal(2, 3, 8, 6), kernel_size=2, g_layout="swapped",
)  # fmt: skip
case(
    "deeplearning4j/deeplearning4j#964",
    "gradient of the maximum: height for width",
    "max_pool2d", normal(1, 2, 4, 6), kernel_size=(2, 3),
)  # fmt: skip
case(
    "Jittor/jittor#39",
    "gradient of overlapping windows: not all of them added",
    "max_pool2d", normal(1, 1, 32, 32), kernel_size=3, stride=1, padding=1, seed=-1,
)  # fmt: skip
case(
    "google/torchax#32",
    "maximum with its indices",
    "max_pool2d", normal(2, 3, 9, 8), kernel_size=3, stride=2, padding=1, return_indices=True,
)  # fmt: skip
case(
    "tinygrad/tinygrad#81",
    "windows at the edge of an image that they do not divide",
    "avg_pool2d", normal(2, 2, 11, 28), kernel_size=(3, 5),
)  # fmt: skip
case(
    "pytorch/pytorch#80204",
    "unpooling: gradient of indices in another order",
    "max_unpool1d", exactly([[[0.6418, 0.0359, 0.6088, 0.9408]]]), labels([[[4, 2, 3, 5]]]),
    kernel_size=1, stride=2,
)  # fmt: skip
case(
    "pytorch/pytorch#580",
    "unpooling of an image of odd height",
    "max_unpool2d", ints(1, 1, 2, 2), labels([[[[5, 3], [13, 10]]]]),
    kernel_size=2, stride=2, output_size=(5, 4),
)  # fmt: skip
case(
    "pytorch/pytorch#36710",
    "unpooling to a larger size: indices count in that size",
    "max_unpool2d", exactly([[[[5.0, 6], [7, 8]]]]), labels([[[[0, 2], [8, 10]]]]),
    kernel_size=2, output_size=(5, 5),
    right={"y": [[[
        [5.0, 0, 6, 0, 0], [0, 0, 0, 7, 0], [8, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0],
    ]]]},
)  # fmt: skip
case(
    "pytorch/pytorch#771",
    "1-D unpooling with overlapping windows: refused its own indices",
    "max_unpool1d", ints(2, 3, 3), labels(np.tile([2, 4, 6], (2, 3, 1))), kernel_size=3, stride=2,
)  # fmt: skip
case(
    "pytorch/pytorch#68589",
    "unpooling: an index outside the result",
    "max_unpool2d", ints(1, 1, 3, 3), labels(np.arange(77, 86).reshape(1, 1, 3, 3)),
    kernel_size=3, raises=True,
)  # fmt: skip
case(
    "pytorch/pytorch#6765",
    "power-average of zeros: a gradient of NaN",
    "lp_pool1d", full(0, 1, 1, 4), norm_type=2.0, kernel_size=2,
    right={"gradient of input": np.zeros((1, 1, 4))},
)  # fmt: skip
case(
    "FluxML/NNlib.jl#639",
    "power-average of negative numbers without their magnitude",
    "lp_pool2d", normal(2, 3, 6, 6), norm_type=2.0, kernel_size=2,
)  # fmt: skip
