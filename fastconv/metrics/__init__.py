"""Measures of classifiers, segmentations, regressions and detectors.

Each but those of detectors is there twice: a class that collects batches (``update``, ``compute``,
``reset``, ``merge``) and a function of all samples at once. Values are scikit-learn's.
"""

from .base import Metric
from .classification import (
    F1,
    Accuracy,
    ConfusionMatrix,
    Dice,
    FalseNegativeRate,
    FalsePositiveRate,
    IoU,
    Jaccard,
    Precision,
    Recall,
    Specificity,
    TopKAccuracy,
)
from .curves import (
    AUC,
    ROC,
    AveragePrecision,
    auc,
    average_precision,
    precision_recall_curve,
    roc_auc,
    roc_curve,
)
from .detection import detection_average_precision, matched_boxes
from .functional import (
    accuracy,
    confusion_matrix,
    dice,
    f1,
    false_negative_rate,
    false_positive_rate,
    iou,
    jaccard,
    mean_absolute_error,
    mean_squared_error,
    precision,
    r2_score,
    recall,
    root_mean_squared_error,
    specificity,
    top_k_accuracy,
)
from .labels import predicted_labels
from .regression import R2, MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError

__all__ = [
    "AUC",
    "F1",
    "R2",
    "ROC",
    "Accuracy",
    "AveragePrecision",
    "ConfusionMatrix",
    "Dice",
    "FalseNegativeRate",
    "FalsePositiveRate",
    "IoU",
    "Jaccard",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "Specificity",
    "TopKAccuracy",
    "accuracy",
    "auc",
    "average_precision",
    "confusion_matrix",
    "detection_average_precision",
    "dice",
    "f1",
    "false_negative_rate",
    "false_positive_rate",
    "get",
    "iou",
    "jaccard",
    "matched_boxes",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "precision_recall_curve",
    "predicted_labels",
    "r2_score",
    "recall",
    "roc_auc",
    "roc_curve",
    "root_mean_squared_error",
    "specificity",
    "top_k_accuracy",
]


def get(name: str, threshold: float = 0.5) -> Metric:
    """A new measure by its name.

    Parameters
    ----------
    name : str
        "accuracy", "top5" (any number), "precision", "recall", "f1", "specificity", "iou", "dice",
        "auc", "average_precision", "mae", "mse", "rmse" or "r2".
    threshold : float
        For those that take a single column of scores for a class: 0 for logits.

    Raises
    ------
    ValueError
        For another name.
    """
    counted = {
        "accuracy": Accuracy,
        "precision": Precision,
        "recall": Recall,
        "f1": F1,
        "specificity": Specificity,
        "iou": IoU,
        "dice": Dice,
    }
    plain = {
        "auc": AUC,
        "average_precision": AveragePrecision,
        "mae": MeanAbsoluteError,
        "mse": MeanSquaredError,
        "rmse": RootMeanSquaredError,
        "r2": R2,
    }
    if name in counted:
        return counted[name](threshold=threshold)
    if name in plain:
        return plain[name]()
    if isinstance(name, str) and name.startswith("top") and name[3:].isdigit():
        return TopKAccuracy(int(name[3:]))
    raise ValueError(
        f"there is no metric {name!r}; there are {', '.join([*counted, 'top5', *plain])}"
    )
