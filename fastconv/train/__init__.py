"""Training: one loop for every kind of network, with what belongs around it.

``fit`` trains, ``evaluate`` measures, ``predict`` gives results. Callbacks are told of every epoch
and batch; :mod:`fastconv.keras` and :mod:`fastconv.sklearn` are thin over the same loop.
"""

from .callbacks import (
    Best,
    Callback,
    EarlyStopping,
    Fit,
    HistoryLogger,
    LambdaCallback,
    ModelCheckpoint,
    TensorBoard,
    WeightAverage,
)
from .history import History
from .loop import evaluate, fit, predict
from .progress import ProgressBar, epoch_line
from .schedules import warm_cosine
from .splits import stratified_split

__all__ = [
    "Best",
    "Callback",
    "EarlyStopping",
    "Fit",
    "History",
    "HistoryLogger",
    "LambdaCallback",
    "ModelCheckpoint",
    "ProgressBar",
    "TensorBoard",
    "WeightAverage",
    "epoch_line",
    "evaluate",
    "fit",
    "predict",
    "stratified_split",
    "warm_cosine",
]
