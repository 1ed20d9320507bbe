"""Published cases of wrong losses and softmax."""

from __future__ import annotations

import numpy as np

from fastconv.verify.corpus.build import Cases, exactly, full, ints, labels, normal, positive

case = Cases()

_LOGITS = [
    [0.1735, 0.2191], [-0.1377, 0.3467], [-0.2162, 0.2021], [-0.1177, 0.2157], [-0.1232, 0.2620],
    [-0.1578, 0.4038], [-0.0209, 0.3298], [-0.0639, 0.2317], [-0.3914, 0.2106], [-0.4211, 0.3420],
]  # fmt: skip
case(
    "pytorch/pytorch#72056",
    "smoothing with weights and an ignored -1: index out of bounds",
    "cross_entropy", exactly(_LOGITS), labels([0, -1, 0, 0, 0, 0, 0, 0, -1, 0]),
    weight=exactly([1.0, 16.0]).fixed, ignore_index=-1, label_smoothing=0.1,
)  # fmt: skip
case(
    "pytorch/pytorch#69339",
    "smoothing with weights and an ignored target: index out of bounds",
    "cross_entropy", exactly([[1.0, 2], [3, 0.4]]), labels([-100, 1]),
    weight=exactly([0.2, 0.3]).fixed, label_smoothing=0.1,
)  # fmt: skip
case(
    "pytorch/pytorch#73205",
    "smoothing: ignored samples counted, sum",
    "cross_entropy", normal(8, 5), labels([0, -100, 3, 4, -100, 1, 2, 2]), label_smoothing=0.2,
    reduction="sum",
)  # fmt: skip
case(
    "pytorch/pytorch#73205",
    "smoothing: ignored samples counted, mean",
    "cross_entropy", normal(8, 5), labels([0, -100, 3, 4, -100, 1, 2, 2]), label_smoothing=0.2,
)  # fmt: skip
case(
    "pytorch/pytorch#91383",
    "smoothing with weights, mean, and -100: index out of bounds",
    "cross_entropy", exactly([[1.0, 0, 0], [1, 0, 0], [1, 0, 0]]), labels([0, 1, -100]),
    weight=full(1, 3).fixed, label_smoothing=0.1,
)  # fmt: skip
case(
    "tinygrad/tinygrad#3570",
    "smoothing: the even part took the ignored targets along",
    "cross_entropy", normal(6, 4), labels([0, 1, -1, 2, 3, -1]), ignore_index=-1,
    label_smoothing=0.3,
)  # fmt: skip
case(
    "PaddlePaddle/Paddle#28622",
    "an ignored target that is a class: a gradient for it",
    "cross_entropy", normal(4, 5), labels([1, 0, 4, 1]), ignore_index=1,
)  # fmt: skip
case(
    "awslabs/sockeye#200",
    "smoothing: all but the padding ignored",
    "cross_entropy", normal(5, 6), labels([0, 3, 0, 5, 1]), ignore_index=0, label_smoothing=0.1,
    reduction="none",
)  # fmt: skip
case(
    "pytorch/pytorch#63004",
    "an ignored class still has a part in the probabilities of the others",
    "cross_entropy", exactly([[0.0, 1, 1], [0, 1, 1]]), labels([1, 2]), ignore_index=0,
    reduction="sum", right={"y": 2 * np.log(2 + np.exp(-1.0))},
)  # fmt: skip
case(
    "pytorch/pytorch#11752",
    "logits of 1e8: a loss of 0",
    "cross_entropy", full(1e8, 1, 2), labels([1]), right={"y": 0.6931},
)  # fmt: skip
case(
    "pytorch/pytorch#38839",
    "log_softmax far from zero: rounded to whole numbers",
    "log_softmax", exactly([[0.0, 0, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1]]).plus(-1e7), dim=1,
    right={"y": [
        [-1.0986, -1.0986, -1.0986], [-1.5514, -1.5514, -0.5514], [-0.8620, -0.8620, -1.8620],
        [-1.8620, -0.8620, -0.8620],
    ]},
)  # fmt: skip
case(
    "pytorch/pytorch#795",
    "log_softmax of -40 to 94 over channels: NaN",
    "log_softmax", ints(1, 21, 7, 5).times(20.0).plus(27.0), dim=1,
)  # fmt: skip
case(
    "mindspore-ai/mindspore#378",
    "log_softmax of a row with NaN: -inf stayed",
    "log_softmax", exactly([[np.nan, np.inf, -np.inf], [-0.0663, 0.1321, -0.0410]]).fixed, dim=1,
)  # fmt: skip
case(
    "cornell-brg/hb-pytorch#61",
    "log_softmax of one number near the largest exponent: -inf",
    "log_softmax", exactly([88.72284]), dim=0, right={"y": [0.0]},
)  # fmt: skip
case(
    "pytorch/pytorch#3240",
    "log_softmax of one number: -inf",
    "log_softmax", exactly([0.7]), dim=0, right={"y": [0.0]},
)  # fmt: skip
case(
    "pytorch/pytorch#17262",
    "log_softmax over an empty axis: division by zero ended the process",
    "log_softmax", full(0, 10, 0), dim=1, right={"y": np.zeros((10, 0))},
)  # fmt: skip
case(
    "uxlfoundation/oneDNN#1545",
    "log_softmax with -inf among the arguments",
    "log_softmax", exactly([[-np.inf, 1.0, 2.0], [0.0, -np.inf, 0.0]]).fixed, dim=1,
)  # fmt: skip
_SIGNED = [-3.0, -1.5, -0.5, 0.0, 0.5, 1.5, 3.0]
case(
    "BobMcDear/attorch#13",
    "smooth L1: negative differences never beyond beta",
    "smooth_l1_loss", exactly(_SIGNED), full(0, 7).fixed, reduction="none",
    right={"y": [2.5, 1.0, 0.125, 0, 0.125, 1.0, 2.5]},
)  # fmt: skip
case(
    "BobMcDear/attorch#13",
    "Huber: the same",
    "huber_loss", exactly(_SIGNED), full(0, 7).fixed, reduction="none", delta=2.0,
)  # fmt: skip
case(
    "pytorch/pytorch#45532",
    "smooth L1 with a negative beta: numbers",
    "smooth_l1_loss", exactly(_SIGNED), full(0, 7).fixed, beta=-1.0, raises=True,
)  # fmt: skip
case(
    "pytorch/pytorch#44433",
    "smooth L1: the gradient below beta is over beta",
    "smooth_l1_loss", exactly(_SIGNED), full(0.125, 7), beta=0.5, reduction="sum",
)  # fmt: skip
case(
    "pytorch/pytorch#17447",
    "smooth L1: not continuous at a beta other than 1",
    "smooth_l1_loss", exactly([1.9375, 2.0, 2.0625]), full(0, 3).fixed, beta=2.0,
    reduction="none",
)  # fmt: skip
case(
    "pytorch/pytorch#5801",
    "Kullback-Leibler: processors disagreed",
    "kl_div", normal(8, 5), positive(8, 5).fixed,
)  # fmt: skip
case(
    "mlpack/mlpack#2444",
    "L1 without the magnitude",
    "l1_loss", exactly(_SIGNED), full(0.25, 7).fixed,
)  # fmt: skip
