"""Keras's verbs, thin over the training loop: what lectures write with ``keras`` runs here.

``Sequential().add(...)``, the functional ``Input`` and ``Model``, ``compile``, ``fit``,
``evaluate``, ``predict``, ``summary``, ``save``. Data is (N, H, W, C), as there.
"""

from . import callbacks, layers, losses, metrics, models, optimizers, utils
from .functional import Input
from .layers import InputLayer, Layer
from .models import Model, Sequential
from .saving import load_model

models.load_model = load_model  # type: ignore[attr-defined]

__all__ = [
    "Input",
    "InputLayer",
    "Layer",
    "Model",
    "Sequential",
    "callbacks",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "utils",
]
