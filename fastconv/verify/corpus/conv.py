"""Published cases of wrong or crashing convolutions."""

from __future__ import annotations

import numpy as np

from fastconv.verify.corpus.build import Cases, exactly, full, ints, ramp

case = Cases()

_ONE = np.zeros((1, 4, 1, 1))
_ONE[0, 3] = 1.0
case(
    "pytorch/pytorch#19912",
    "4 to 16 channels in 2 groups, 1×1: all outputs were 0",
    "conv2d", exactly(_ONE), full(1, 16, 2, 1, 1), groups=2,
    right={"y": np.repeat([0.0, 1.0], 8).reshape(1, 16, 1, 1)},
)  # fmt: skip
case(
    "pytorch/pytorch#50042",
    "depthwise weight gradient of 24 channels, stride 2: the last row was that of the first",
    "conv2d", full(1, 1, 24, 6, 6), full(1, 24, 1, 3, 3), stride=2, padding=1, groups=24, seed=-1,
    right={"gradient of weight": np.tile([[4.0, 6, 6], [6, 9, 9], [6, 9, 9]], (24, 1, 1, 1))},
)  # fmt: skip
case(
    "pytorch/pytorch#68868",
    "grouped 3-D weight gradient where the stride is larger than the kernel",
    "conv3d", ints(2, 24, 6, 6, 4), ints(24, 8, 2, 2, 2), ints(24),
    stride=(4, 4, 1), padding=1, groups=3,
)  # fmt: skip
case(
    "pytorch/pytorch#51430",
    "weight gradient with groups: channels were mixed",
    "conv2d", ints(2, 4, 7, 7), ints(6, 2, 3, 3), groups=2,
)  # fmt: skip
case(
    "pytorch/pytorch#15297",
    "one filter expanded over 8 depthwise channels: strides of 0 were not seen",
    "conv2d", ints(1, 8, 5, 5), ints(8, 1, 3, 3).lies("expanded"), groups=8,
)  # fmt: skip
case(
    "pytorch/pytorch#25101",
    "input gradient of 5×5, stride 3, padding 1: the last columns were wrong",
    "conv2d", full(1, 1, 9, 32, 32), full(1, 3, 9, 5, 5), stride=3, padding=1, seed=-1,
)  # fmt: skip
case(
    "pytorch/pytorch#82060",
    "one input channel, weights channels-last, input plain: another order of the taps",
    "conv2d", ints(1, 1, 20, 20), ints(64, 1, 3, 3).last, padding=1,
)  # fmt: skip
case(
    "pytorch/pytorch#55781",
    "weights that are not contiguous: read as if they were",
    "conv2d", ints(1, 3, 12, 12), ints(8, 3, 5, 5).lies("swapped"), padding=2,
)  # fmt: skip
case(
    "pytorch/pytorch#68034",
    "1-D convolution treated as 2-D in a blocked format",
    "conv1d", ints(2, 3, 10), ints(3, 3, 3), ints(3),
)  # fmt: skip
case(
    "pytorch/pytorch#23042",
    "depthwise 1-D, 25 taps, stride 2: two channels differed from one",
    "conv1d", ints(1, 2, 124), ints(2, 1, 25), stride=2, groups=2,
)  # fmt: skip
case(
    "pytorch/pytorch#55381",
    "1×1 with stride 2, 64 to 128 channels",
    "conv2d", ints(1, 64, 8, 8), ints(128, 64, 1, 1), stride=2,
)  # fmt: skip
case(
    "pytorch/pytorch#53178",
    "2 channels, 512 filters 5×5 with dilation 2 and padding 4: a tenth of the output was off",
    "conv2d", ints(2, 2, 8, 16), ints(512, 2, 5, 5), padding=4, dilation=2,
)  # fmt: skip
case(
    "pytorch/pytorch#82921",
    "1-D with stride 2: as if it were 1",
    "conv1d", ints(1, 57, 40), ints(20, 57, 3), stride=2,
)  # fmt: skip
case(
    "pytorch/pytorch#83180",
    "strides that differ between the axes",
    "conv2d", ints(1, 1, 3, 6), ints(1, 1, 3, 3), ints(1), stride=(1, 2),
)  # fmt: skip
case(
    "pytorch/pytorch#55794",
    "a depthwise kernel chosen for two filters a channel: half of the output was not written",
    "conv2d", ints(1, 3, 8, 8), ints(6, 1, 3, 3), padding=1, groups=3,
)  # fmt: skip
case(
    "pytorch/pytorch#90142",
    "1-D, padding 1, batch 16: a run-time error",
    "conv1d", full(1, 16, 1, 1), full(1, 1, 1, 1), padding=1,
    right={"y": np.tile([0.0, 1.0, 0.0], (16, 1, 1))},
)  # fmt: skip
case(
    "pytorch/pytorch#96225",
    "weight gradient of a batch of 65 536: the count of images wrapped round",
    "conv1d", full(1, 65536, 1, 1), full(1, 1, 1, 1), seed=-1,
    right={"gradient of weight": [[[65536.0]]]},
)  # fmt: skip
case(
    "pytorch/pytorch#119677",
    "1×1 weight gradient over many positions: lost precision",
    "conv1d", full(1, 1000, 3, 100), full(1, 2, 3, 1), seed=-1,
    right={"gradient of weight": np.full((2, 3, 1), 1e5)},
)  # fmt: skip
case(
    "pytorch/pytorch#32709",
    "no images, with groups: gradients of the parameters must be 0",
    "conv2d", ints(0, 4, 5, 5), ints(4, 2, 3, 3), ints(4), groups=2,
    right={"gradient of weight": np.zeros((4, 2, 3, 3)), "gradient of bias": np.zeros(4)},
)  # fmt: skip
case(
    "uxlfoundation/oneDNN#4124",
    "depthwise weight gradient, 24 channels 6×6, stride 2, padding 1",
    "conv2d", ints(2, 24, 6, 6), ints(24, 1, 3, 3), stride=2, padding=1, groups=24,
)  # fmt: skip
case(
    "fujitsu/oneDNN#43",
    "input gradient with stride 2, 64 channels, width 8",
    "conv2d", ints(2, 64, 8, 8), ints(17, 64, 3, 3), stride=2, padding=1,
)  # fmt: skip
case(
    "uxlfoundation/oneDNN#6035",
    "weight gradient of a strided 1×1, channels-last, fewer channels than a block: memory overrun",
    "conv2d", ints(32, 4, 32, 32).last, ints(8, 4, 1, 1).last, stride=2, g_layout="last", times=3,
)  # fmt: skip
case(
    "uxlfoundation/oneDNN#6035",
    "the same as a training step meets it: 3 channels of a 224×224 image",
    "conv2d", ints(1, 3, 224, 224).last, ints(16, 3, 1, 1).last, stride=2, g_layout="last", times=3,
)  # fmt: skip
case(
    "Theano/Theano#4729",
    "input gradient with dilation: of another shape",
    "conv2d", ints(1, 2, 7, 7), ints(3, 2, 3, 3), dilation=2,
)  # fmt: skip
case(
    "Theano/Theano#3715",
    "no images: an error from the library below",
    "conv2d", ints(0, 5, 6, 8), ints(3, 5, 5, 6),
    right={"y": np.zeros((0, 3, 2, 3)), "gradient of weight": np.zeros((3, 5, 5, 6))},
)  # fmt: skip
case(
    "ml-explore/mlx#3800",
    "input gradient, depthwise 3×3 with stride 2",
    "conv2d", ints(1, 16, 9, 9), ints(16, 1, 3, 3), stride=2, padding=1, groups=16,
)  # fmt: skip
case(
    "ml-explore/mlx#3800",
    "input gradient, depthwise 7×7 with stride 2",
    "conv2d", ints(1, 8, 14, 14), ints(8, 1, 7, 7), stride=2, padding=3, groups=8,
)  # fmt: skip
case(
    "ml-explore/mlx#1449",
    "gradients with groups, and flipped grouped kernels",
    "conv2d", ints(2, 6, 8, 8), ints(9, 2, 3, 3), padding=1, groups=3,
)  # fmt: skip
case(
    "modular/modular#6129",
    "16 groups and 128 taps: far from right, where few taps were right",
    "conv1d", ints(1, 32, 150), ints(32, 2, 128), padding=64, groups=16,
)  # fmt: skip
case(
    "modular/modular#6712",
    "8 taps with padding 7 over 16: two outputs mixed in what lay outside",
    "conv2d", ints(1, 1, 1, 16), ints(1, 1, 1, 8), padding=(0, 7),
)  # fmt: skip
case(
    "modular/modular#6712",
    "9 taps: NaN as well",
    "conv2d", ints(1, 1, 1, 16), ints(1, 1, 1, 9), padding=(0, 8),
)  # fmt: skip
case(
    "tensorflow/tensorflow#14601",
    "a stride larger than the kernel: the output did not begin with the first element",
    "conv2d", exactly(np.array([1.0, 1.1, 1.2]).reshape(1, 1, 3, 1)), full(1, 1, 1, 1, 1),
    stride=(3, 1), right={"y": [[[[1.0]]]]},
)  # fmt: skip
case(
    "tensorflow/tensorflow#11092",
    "stride 4 and kernel 2: forward with an offset, backward without",
    "conv2d", full(1, 2, 2, 4, 4), ints(3, 2, 2, 2), stride=4,
)  # fmt: skip
case(
    "tensorflow/tensorflow#18454",
    "dilation was left out on the CPU",
    "conv2d", ints(1, 1, 7, 7), full(1, 1, 1, 3, 3), dilation=2,
)  # fmt: skip
case(
    "tensorflow/tensorflow#57128",
    "depthwise, stride 2 and dilation 3: one output too few",
    "conv2d", ints(1, 4, 136, 136), ints(4, 1, 3, 3), stride=2, dilation=3, groups=4,
)  # fmt: skip
case(
    "tensorflow/tensorflow#27667",
    "depthwise over 128, stride 2 and dilation 3: another output size",
    "conv2d", ints(1, 2, 128, 128), ints(2, 1, 3, 3), stride=2, dilation=3, groups=2,
)  # fmt: skip
case(
    "tensorflow/tensorflow#100237",
    "depthwise, strides and unequal dilations at once",
    "conv2d", ints(1, 3, 4, 4), ints(6, 1, 2, 2), stride=2, dilation=(1, 2), groups=3,
)  # fmt: skip
case(
    "tensorflow/tensorflow#62433",
    "a kernel wider than the input: failed only on the way back",
    "conv2d", ints(2, 1, 15, 1), ints(1, 1, 3, 3), stride=2, raises=True,
)  # fmt: skip
case(
    "tensorflow/tensorflow#46540",
    "a kernel of size 0: division by zero ended the process",
    "conv2d", full(1, 1, 1, 1, 1), full(1, 1, 1, 1, 0), raises=True,
)  # fmt: skip
case(
    "keras-team/keras#16930",
    "depthwise layer with stride and dilation: output smaller than the formula's",
    "conv2d", ints(1, 2, 19, 19), ints(2, 1, 3, 3), stride=2, dilation=3, groups=2,
)  # fmt: skip
case(
    "apple/coremltools#123",
    "the dilation of a separable convolution's depthwise part was lost",
    "conv2d", ints(1, 3, 9, 9), ints(3, 1, 3, 3), padding=2, dilation=2, groups=3,
)  # fmt: skip
case(
    "apple/tensorflow_macos#230",
    "weight gradient with 2 channels: right values in the wrong places",
    "conv2d",
    exactly(np.arange(18.0).reshape(1, 3, 3, 2).transpose(0, 3, 1, 2)),
    exactly(np.arange(8.0).reshape(2, 2, 2, 1).transpose(3, 2, 0, 1)), seed=-1,
    right={
        "gradient of input": np.array(
            [0.0, 1, 2, 4, 2, 3, 4, 6, 12, 16, 8, 10, 4, 5, 10, 12, 6, 7]
        ).reshape(1, 3, 3, 2).transpose(0, 3, 1, 2),
        "gradient of weight": np.array([16.0, 20, 24, 28, 40, 44, 48, 52])
        .reshape(2, 2, 2, 1).transpose(3, 2, 0, 1),
    },
)  # fmt: skip
case(
    "apache/mxnet#8557",
    "dilation along one axis: done along both",
    "conv2d", ramp(1, 1, 30, 2), full(1, 1, 1, 3, 1), padding=(2, 0), dilation=(2, 1),
)  # fmt: skip
case(
    "apache/mxnet#15464",
    "bias gradient where the weight's is not asked for",
    "conv2d", ints(2, 3, 6, 6), ints(4, 3, 3, 3).fixed, ints(4),
)  # fmt: skip
case(
    "vlfeat/matconvnet#104",
    "a 5×5 kernel over one padded pixel of 10 channels",
    "conv2d", ints(1, 10, 1, 1), ints(1, 10, 5, 5), full(1, 1), padding=2,
)  # fmt: skip
case(
    "Tencent/ncnn#315",
    "depthwise 3×3 with dilation 2: the output was not written",
    "conv2d", ints(1, 4, 5, 5), full(1 / 9, 4, 1, 3, 3), full(1, 4),
    padding=2, dilation=2, groups=4,
)  # fmt: skip
case(
    "Tencent/ncnn#1581",
    "groups of several channels: taken for depthwise",
    "conv2d", ints(1, 8, 9, 9), ints(8, 4, 3, 3), padding=1, groups=2,
)  # fmt: skip
case(
    "Tencent/ncnn#1717",
    "a kernel as large as the image, not square",
    "conv2d", full(1, 1, 3, 4, 5), ints(2, 3, 4, 5), ints(2),
)  # fmt: skip
case(
    "Tencent/ncnn#1384",
    "1×1 over 14×14, 64 channels, packed by four",
    "conv2d", ints(1, 64, 14, 14), ints(64, 64, 1, 1),
)  # fmt: skip
case(
    "Tencent/ncnn#1384",
    "depthwise 3×3 over 16×16 without padding",
    "conv2d", ints(1, 64, 16, 16), ints(64, 1, 3, 3), groups=64,
)  # fmt: skip
case(
    "torch/cunn#470",
    "depthwise: height and width were mixed up",
    "conv2d", ints(2, 4, 7, 10), ints(4, 1, 2, 3), stride=(1, 2), padding=(0, 1), groups=4,
)  # fmt: skip
case(
    "FluxML/NNlib.jl#203",
    "an input of zeros gave numbers from memory that was not written",
    "conv2d", full(0, 2, 10, 20, 20), full(1, 30, 10, 4, 4),
    right={"y": np.zeros((2, 30, 17, 17))},
)  # fmt: skip
case(
    "FluxML/NNlib.jl#104",
    "output size computed from the first axis alone",
    "conv2d", ints(11, 1, 1, 10), ints(1, 1, 1, 2), ints(1),
)  # fmt: skip
case(
    "FluxML/NNlib.jl#197",
    "weight gradient: threads added into the same place",
    "conv2d", ints(4, 3, 16, 16), ints(1, 3, 3, 3), padding=1,
)  # fmt: skip
case(
    "FluxML/NNlib.jl#763",
    "no images: a division by zero, or a weight gradient that was not written",
    "conv2d", ints(0, 3, 8, 8), ints(4, 3, 3, 3),
    right={"gradient of weight": np.zeros((4, 3, 3, 3))},
)  # fmt: skip
case(
    "mlpack/mlpack#3146",
    "stride and dilation along the wrong axes",
    "conv2d", ints(1, 1, 9, 12), ints(1, 1, 3, 2), stride=(2, 3), dilation=(2, 1),
)  # fmt: skip
case(
    "jax-ml/jax#9102",
    "a batch of 2 differed from its images one by one",
    "conv2d", ints(2, 1, 28, 28), ints(32, 1, 3, 3), padding="same",
)  # fmt: skip
case(
    "PaddlePaddle/Paddle#62429",
    "a 3×3 kernel that is the identity did not return the input",
    "conv2d", ints(1, 64, 3, 3),
    exactly(np.eye(64)[:, :, None, None] * np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]])), padding=1,
)  # fmt: skip
case(
    "tinygrad/tinygrad#14115",
    "a dilation of 0 gave numbers",
    "conv2d", ints(1, 1, 5, 5), ints(1, 1, 3, 3), dilation=0, raises=True,
)  # fmt: skip
case(
    "AlexeyAB/darknet#4836",
    "dilation 2 with its padding",
    "conv2d", ints(1, 2, 8, 8), ints(3, 2, 3, 3), padding=2, dilation=2,
)  # fmt: skip
case(
    "deepjavalibrary/djl#384",
    "stride and dilation of the first axis used for both",
    "conv2d", ints(1, 2, 9, 11), ints(2, 2, 3, 2), stride=(1, 2), dilation=(2, 1),
)  # fmt: skip
case(
    "kulinseth/pytorch#105",
    "gradient of a 1-D convolution over channels-last memory: a crash",
    "conv1d", ints(2, 4, 9).last, ints(5, 4, 3), padding=1, g_layout="last",
)  # fmt: skip
case(
    "NervanaSystems/neon#111",
    "3-D input gradient: one depth index for another",
    "conv3d", ints(1, 2, 4, 5, 6), ints(3, 2, 2, 3, 2), padding=(0, 1, 0),
)  # fmt: skip
case(
    "iree-org/iree-turbine#1223",
    "weight gradient with stride and dilation exchanged",
    "conv2d", ints(2, 3, 12, 12), ints(4, 3, 3, 3), stride=2, dilation=3, padding=1,
)  # fmt: skip
