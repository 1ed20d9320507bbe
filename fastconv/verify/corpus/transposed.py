"""Published cases of wrong or crashing transposed convolutions."""

from __future__ import annotations

import numpy as np

from fastconv.verify.corpus.build import Cases, exactly, full, ints

case = Cases()

case(
    "apache/tvm#19524",
    "output_padding filled with zeros",
    "conv_transpose2d", ints(1, 16, 7, 7), ints(16, 3, 3, 3),
    stride=2, padding=1, output_padding=1,
)  # fmt: skip
case(
    "apache/tvm#9465",
    "gradient of a depthwise convolution: transposed without its groups",
    "conv_transpose2d", ints(1, 32, 12, 12), ints(32, 1, 3, 3), padding=1, groups=32,
)  # fmt: skip
case(
    "apache/tvm#8087",
    "1×1, stride 2, padding 1, output_padding 1: gradients off",
    "conv_transpose2d", ints(2, 3, 6, 6), ints(3, 16, 1, 1),
    stride=2, padding=1, output_padding=1,
)  # fmt: skip
case(
    "Samsung/TICO#420",
    "padding added to the input, where it crops the output",
    "conv_transpose2d", ints(1, 3, 5, 5), ints(3, 2, 3, 3), stride=2, padding=1,
)  # fmt: skip
case(
    "pytorch/pytorch#63314",
    "input gradient of 1×1 with stride 2: read from the neighbour",
    "conv_transpose2d", exactly([[[[-1.9954, -0.3385]]]]), exactly([[[[-0.7767]]]]),
    stride=2, seed=np.array([[[[1.5, 0.0, 0.7]]]]),
    right={"gradient of input": [[[[-1.1650, -0.5437]]]]},
)  # fmt: skip
case(
    "pytorch/pytorch#5057",
    "not the adjoint of the convolution, whose size needs output_padding",
    "conv_transpose1d", ints(5, 3, 3), ints(3, 2, 3), stride=2, output_padding=1,
)  # fmt: skip
case(
    "pytorch/pytorch#1565",
    "dilation was left out",
    "conv_transpose1d", full(1, 1, 1, 6), full(1, 1, 1, 3),
    stride=2, padding=1, output_padding=1, dilation=2,
    right={"y": [[[0.0, 2, 0, 3, 0, 3, 0, 3, 0, 3, 0, 2, 0, 1]]]},
)  # fmt: skip
case(
    "pytorch/pytorch#32709",
    "no images",
    "conv_transpose2d", ints(0, 4, 5, 5), ints(4, 2, 3, 3), ints(4), groups=2,
    right={"gradient of weight": np.zeros((4, 2, 3, 3)), "gradient of bias": np.zeros(4)},
)  # fmt: skip
case(
    "pytorch/pytorch#24341",
    "no images: the result kept the values of the call before",
    "conv_transpose2d", ints(0, 3, 4, 4), ints(3, 2, 2, 2), stride=2,
    right={"y": np.zeros((0, 2, 8, 8)), "gradient of weight": np.zeros((3, 2, 2, 2))},
)  # fmt: skip
case(
    "pytorch/pytorch#142835",
    "groups of 0: division by zero ended the process",
    "conv_transpose1d", ints(2, 5, 8), ints(5, 4, 3), groups=0, raises=True,
)  # fmt: skip
case(
    "robertknight/rten#1408",
    "every group got the bias of the first",
    "conv_transpose2d", ints(1, 4, 3, 3), ints(4, 2, 2, 2), exactly([1.0, 2.0, 3.0, 4.0]),
    groups=2,
)  # fmt: skip
case(
    "huggingface/candle#2337",
    "weight gradient: stride and dilation exchanged",
    "conv_transpose2d", ints(1, 4, 4, 4), ints(4, 2, 3, 3), stride=2, padding=1,
)  # fmt: skip
case(
    "tensorflow/tensorflow#62424",
    "dilation 2 over 5×6: gradients of other shapes",
    "conv_transpose2d", ints(1, 1, 5, 6), ints(1, 2, 3, 3), ints(2), padding=2, dilation=2,
)  # fmt: skip
case(
    "microsoft/onnxruntime#2518",
    "stride (2, 1) and dilation (3, 1): 95 rows for 97",
    "conv_transpose2d", ints(1, 1, 50, 50), ints(1, 3, 3, 5),
    stride=(2, 1), padding=(4, 2), dilation=(3, 1),
)  # fmt: skip
case(
    "microsoft/onnxruntime#14208",
    "output_padding smaller than the dilation, with stride 1",
    "conv_transpose2d", full(0.5, 1, 1, 6, 6), full(1, 1, 3, 2, 2),
    padding=3, output_padding=1, dilation=2,
)  # fmt: skip
_POINT = np.zeros((1, 1, 3, 3))
_POINT[0, 0, 1, 1] = 1.0
_SPREAD = np.zeros((1, 1, 5, 5))
_SPREAD[0, 0, ::2, ::2] = np.arange(1.0, 10.0).reshape(3, 3)
case(
    "apache/mxnet#13876",
    "stride 2 with dilation 2: taps drawn together into a corner",
    "conv_transpose2d", exactly(_POINT), exactly(np.arange(1.0, 10.0).reshape(1, 1, 3, 3)),
    stride=2, padding=2, dilation=2, right={"y": _SPREAD},
)  # fmt: skip
case(
    "onnx/onnx#1797",
    "dilation 2: expected values with a bias that was not there",
    "conv_transpose2d",
    exactly([[[[3.0, 8, 1], [9, 5, 7], [3, 2, 6]]]]), exactly([[[[7.0, 2], [1, 9]]]]), dilation=2,
    right={"y": [[[
        [21.0, 56, 13, 16, 2], [63, 35, 67, 10, 14], [24, 22, 76, 76, 21], [9, 5, 88, 45, 63],
        [3, 2, 33, 18, 54],
    ]]]},
)  # fmt: skip
case(
    "uxlfoundation/oneDNN#352",
    "2 groups: their outputs interleaved",
    "conv_transpose2d", full(1, 1, 8, 1, 1), ints(8, 4, 1, 1), groups=2,
)  # fmt: skip
case(
    "openvinotoolkit/openvino#21040",
    "2 groups of a 2×3 kernel: no kernel found",
    "conv_transpose2d", ints(1, 2, 4, 5), ints(2, 2, 2, 3), ints(4), groups=2,
)  # fmt: skip
case(
    "openvinotoolkit/openvino#23390",
    "depthwise: the process ended",
    "conv_transpose2d", ints(1, 16, 4, 4), ints(16, 1, 4, 4), stride=2, padding=1, groups=16,
)  # fmt: skip
case(
    "ARM-software/ComputeLibrary#331",
    "3×3 with stride 2: the output shifted",
    "conv_transpose2d", ints(1, 2, 5, 5), ints(2, 2, 3, 3), stride=2,
)  # fmt: skip
