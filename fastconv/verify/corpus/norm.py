"""Published cases of wrong normalisation: values, gradients, running statistics."""

from __future__ import annotations

import numpy as np

from fastconv.verify.corpus.build import Cases, exactly, full, ints, normal, positive

case = Cases()

case(
    "pytorch/pytorch#107199",
    "3-D batch norm, channels-last: the gradient of another layout",
    "batch_norm", normal(2, 3, 4, 4, 4).last, weight=normal(3), bias=normal(3),
    running_mean=full(0, 3).fixed, running_var=full(1, 3).fixed, training=True, momentum=0.7,
    eps=1e-3, g_layout="last",
)  # fmt: skip
case(
    "pytorch/pytorch#64100",
    "backward with a channels-last gradient and a plain input: the input misread",
    "batch_norm", normal(4, 5, 6, 6), running_mean=full(0, 5).fixed, running_var=full(1, 5).fixed,
    weight=normal(5), bias=normal(5), training=True, g_layout="last",
)  # fmt: skip
case(
    "pytorch/pytorch#174345",
    "inference, channels-last view that does not begin where its memory does",
    "batch_norm", normal(1, 64, 8, 8).lies("channels", 1), running_mean=normal(64).fixed,
    running_var=positive(64).fixed,
)  # fmt: skip
case(
    "tenstorrent/tt-metal#45968",
    "mean 5 and deviation 0.1: the variance cancelled to NaN",
    "batch_norm", normal(2, 8, 8, 8).times(0.1).plus(5.0), running_mean=full(0, 8).fixed,
    running_var=full(1, 8).fixed, training=True,
)  # fmt: skip
case(
    "davisking/dlib#3113",
    "moments of data far from zero in one pass",
    "batch_norm", normal(4, 3, 5, 5).plus(1000.0), running_mean=full(0, 3).fixed,
    running_var=full(1, 3).fixed, weight=normal(3), bias=normal(3), training=True,
)  # fmt: skip
_LEVELS = np.array([-7e9, -1e4, 0.0, 3e7, 9e9]).astype(np.float32).astype(np.float64)
case(
    "pytorch/pytorch#5410",
    "constant channels of up to 1e10 gave ±1 instead of 0",
    "batch_norm", exactly(np.tile(_LEVELS[:, None, None], (1, 1, 10, 10))).fixed,
    running_mean=full(0, 5).fixed, running_var=full(0, 5).fixed, training=True,
    right={"y": np.zeros((1, 5, 10, 10))},
)  # fmt: skip
_STEPS = np.repeat([1.0, 2.0, 3.0, 4.0], 4)[:, None, None, None] * np.ones((16, 2, 3, 3))
case(
    "pytorch/pytorch#106366",
    "the running variance is that of a sample",
    "batch_norm", exactly(_STEPS), running_mean=full(0, 2).fixed, running_var=full(1, 2).fixed,
    training=True, right={"running_var": [1.0259, 1.0259]},
)  # fmt: skip
case(
    "pytorch/pytorch#60528",
    "normalised by the variance of the batch, moved by that of a sample",
    "batch_norm",
    exactly(np.arange(1.0, 13).reshape(3, 4) + np.arange(4.0)[:, None, None]),
    running_mean=full(0, 3).fixed, running_var=full(1, 3).fixed, training=True,
    right={"running_var": [1.1667, 1.1667, 1.1667]},
)  # fmt: skip
case(
    "pytorch/pytorch#7028",
    "momentum 1: the statistics of the batch alone",
    "batch_norm", exactly([[2.0, 15, 2, 1], [2, 17, 2, 1], [-4, -2, -2, -1]]),
    running_mean=full(0, 4).fixed, running_var=full(1, 4).fixed, training=True, momentum=1.0,
    right={"running_mean": [0, 10, 0.6667, 0.3333], "running_var": [12, 109, 5.3333, 1.3333]},
)  # fmt: skip
case(
    "ml-explore/mlx#3817",
    "the running variance of the batch, not of a sample",
    "batch_norm", normal(3, 4), running_mean=full(0, 4).fixed, running_var=full(1, 4).fixed,
    weight=normal(4), bias=normal(4), training=True,
)  # fmt: skip
case(
    "flagos-ai/FlagGems#4885",
    "instance norm with a large eps: the running variance moved by it",
    "instance_norm", normal(2, 3, 4, 4), running_mean=full(0, 3).fixed,
    running_var=full(1, 3).fixed, eps=1.0,
)  # fmt: skip
case(
    "kakaobrain/trident#125",
    "instance norm: the running variance of few pixels divided by their number",
    "instance_norm", normal(2, 3, 4), running_mean=full(0, 3).fixed, running_var=full(1, 3).fixed,
    weight=normal(3), bias=normal(3),
)  # fmt: skip
case(
    "pytorch/pytorch#142839",
    "instance norm of a large image: precision lost with its size",
    "instance_norm", normal(1, 3, 128, 128),
)  # fmt: skip
_THOUSANDTHS = np.arange(16.0) * 1e-3
case(
    "tracel-ai/burn#5607",
    "layer norm of rows far from zero: the variance cancelled",
    "layer_norm",
    exactly(np.array([0.0, 100, 1000, 10000])[:, None] + _THOUSANDTHS), normalized_shape=[16],
)  # fmt: skip
case(
    "microsoft/onnxruntime#21935",
    "layer norm of a constant row: NaN",
    "layer_norm", full(1234, 256), normalized_shape=[256], right={"y": np.zeros(256)},
)  # fmt: skip
case(
    "microsoft/onnxruntime#28463",
    "layer norm of 40000 to 40003: NaN",
    "layer_norm", exactly([[40000.0, 40001, 40002, 40003]]), weight=full(1, 4), bias=full(0, 4),
    normalized_shape=[4], right={"y": [[-1.3416, -0.4472, 0.4472, 1.3416]]},
)  # fmt: skip
case(
    "pytorch/pytorch#51102",
    "layer norm of four numbers near 2000: a variance of 48 425",
    "layer_norm", normal(5, 4).plus(2000.0), normalized_shape=[4],
)  # fmt: skip
case(
    "pytorch/pytorch#108072",
    "layer norm of equal numbers with eps 1e-6: not 0",
    "layer_norm", exactly([[[2.0, 2], [14, 14]], [[2, 2], [14, 14]]]).fixed, weight=full(1, 2),
    bias=full(0, 2), normalized_shape=[2], eps=1e-6, right={"y": np.zeros((2, 2, 2))},
)  # fmt: skip
case(
    "pytorch/pytorch#40307",
    "layer norm of long rows near 100 with deviation 0.01: a variance of 0",
    "layer_norm", normal(4, 4096).times(0.01).plus(100.0), normalized_shape=[4096],
)  # fmt: skip
case(
    "pytorch/pytorch#115940",
    "group norm of 1×1 images with odd strides, gradient channels-last: an error",
    "group_norm", normal(16, 12, 1, 1).lies("images"), num_groups=3, g_layout="last",
)  # fmt: skip
case(
    "pytorch/pytorch#186414",
    "group norm of an input that is not contiguous",
    "group_norm", normal(3, 6, 5, 4).lies("swapped"), weight=normal(6), bias=normal(6),
    num_groups=2,
)  # fmt: skip
case(
    "pytorch/pytorch#111824",
    "group norm, channels-last",
    "group_norm", normal(2, 32, 6, 6).last, weight=normal(32), bias=normal(32), num_groups=8,
    g_layout="last",
)  # fmt: skip
case(
    "BVLC/caffe#1864",
    "response normalisation over more neighbours than channels: NaN",
    "local_response_norm", normal(2, 30, 3, 3), size=61,
)  # fmt: skip
case(
    "alibaba/MNN#192",
    "response normalisation: a radius taken for the number of neighbours",
    "local_response_norm", normal(1, 9, 4, 4), size=5, alpha=1.0, k=2.0,
)  # fmt: skip
case(
    "uxlfoundation/oneDNN#267",
    "response normalisation: forward and gradient beyond the tolerance",
    "local_response_norm", ints(2, 12, 6, 6), size=5, alpha=1e-4, beta=0.75,
)  # fmt: skip
case(
    "FluxML/Flux.jl#720",
    "response normalisation at the first and last channels: fewer neighbours",
    "local_response_norm", full(1, 1, 4, 2, 2), size=5, alpha=5.0, beta=1.0, k=1.0,
)  # fmt: skip
