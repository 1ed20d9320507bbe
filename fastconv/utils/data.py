"""`fastconv.utils.data` is `fastconv.data`, and so are the modules in it, under PyTorch's paths."""

import sys

from .. import data
from ..data import *  # noqa: F403
from ..data import collate, dataloader, dataset, distributed, sampler, workers

sys.modules[__name__] = data
for _name, _module in {
    "_utils": data,
    "_utils.collate": collate,
    "_utils.worker": workers,
    "collate": collate,
    "dataloader": dataloader,
    "dataset": dataset,
    "distributed": distributed,
    "sampler": sampler,
}.items():
    sys.modules[f"{__name__}.{_name}"] = _module
