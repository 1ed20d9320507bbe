"""Optimisers and learning-rate schedules, under PyTorch's names."""

from typing import TYPE_CHECKING, Any

from . import lr_scheduler
from .adam_family import Adamax, Lion, NAdam, RAdam
from .adaptive import Adadelta, Adagrad, Adam, AdamW, RMSprop
from .first_order import ASGD, LARS, Rprop
from .lbfgs import LBFGS
from .optimizer import Optimizer
from .sgd import SGD

if TYPE_CHECKING:
    from . import swa_utils

__all__ = [
    "ASGD",
    "LARS",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
    "swa_utils",
]


def __getattr__(name: str) -> Any:
    if name == "swa_utils":  # needs nn, which the optimisers do not
        import importlib

        return importlib.import_module(f"{__name__}.swa_utils")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
