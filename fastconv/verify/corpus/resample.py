"""Published cases of wrong resizing and padding."""

from __future__ import annotations

import numpy as np

from fastconv.verify.corpus.build import Cases, exactly, ints, normal, ramp

case = Cases()

case(
    "pytorch/pytorch#30565",
    "2×2 to 1×1, bilinear: the corner instead of the mean",
    "interpolate", exactly([[[[1.0, 2], [3, 6]]]]), size=1, mode="bilinear", align_corners=False,
    right={"y": [[[[3.0]]]]},
)  # fmt: skip
case(
    "flagos-ai/FlagGems#5218",
    "linear, 2 to 10 with aligned corners: a gradient that came back short",
    "interpolate", ints(1, 1, 2), size=10, mode="linear", align_corners=True, seed=-1,
    right={"gradient of input": [[[5.0, 5.0]]]},
)  # fmt: skip
case(
    "tinygrad/tinygrad#17790",
    "aligned corners and one output: a division by 0",
    "interpolate", ints(1, 2, 5), size=1, mode="linear", align_corners=True,
)  # fmt: skip
case(
    "flagos-ai/FlagGems#5216",
    "bicubic by 1.5: the factor forgotten for the ratio of the sizes",
    "interpolate", normal(1, 2, 3, 3), scale_factor=1.5, mode="bicubic", align_corners=False,
)  # fmt: skip
case(
    "Tencent/ncnn#6836",
    "bilinear by 1.5 over 7: the ratio of the sizes is 0.7, not 1/1.5",
    "interpolate", normal(1, 3, 7, 7), scale_factor=1.5, mode="bilinear", align_corners=False,
)  # fmt: skip
case(
    "Tencent/ncnn#6836",
    "bicubic by 1.5 over 7",
    "interpolate", normal(1, 3, 7, 7), scale_factor=1.5, mode="bicubic", align_corners=False,
)  # fmt: skip
case(
    "pytorch/pytorch#38985",
    "nearest by 0.25: the gradient at another corner",
    "interpolate", ints(1, 1, 4, 4), scale_factor=0.25, mode="nearest",
)  # fmt: skip
case(
    "pytorch/pytorch#97135",
    "nearest by 1.25: gradients of 0 where the output read",
    "interpolate", ints(1, 3, 4), scale_factor=1.25, mode="nearest",
)  # fmt: skip
case(
    "pytorch/executorch#22437",
    "nearest by 1.6 over 4: the ratio of the sizes instead",
    "interpolate", ramp(1, 1, 4), scale_factor=1.6, mode="nearest",
    right={"y": [[[0.0, 0, 1, 1, 2, 3]]]},
)  # fmt: skip
case(
    "pytorch/pytorch#178513",
    "nearest by 1.3: indices truncated after rounding",
    "interpolate", ints(1, 2, 10, 7), scale_factor=1.3, mode="nearest",
)  # fmt: skip
case(
    "Oneflow-Inc/oneflow#5347",
    "nearest by 1.5, 3×3 to 4×4: shape and gradient",
    "interpolate", ints(1, 1, 3, 3), scale_factor=1.5, mode="nearest",
)  # fmt: skip
case(
    "pytorch/pytorch#80856",
    "circular padding: other values on the second use",
    "pad", ints(1, 3, 8, 8), pad=(2, 2, 2, 2), mode="circular", times=2,
)  # fmt: skip
case(
    "google/XNNPACK#958",
    "zeros after the image only: taken for zeros on both sides",
    "pad", ints(1, 2, 6, 6), pad=(0, 1, 0, 1), seed=-1,
    right={"gradient of input": np.ones((1, 2, 6, 6))},
)  # fmt: skip
