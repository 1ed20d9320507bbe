"""ONNX files: read as a Module, written from one, and run behind ONNX's own interface.

    net = fastconv.onnx.load("squeezenet.onnx")
    scores = net(picture)
    fastconv.onnx.export(model, example, "model.onnx")

The onnx package (``pip install 'fastconv[onnx]'``) reads and writes the format; every operator runs
on fastconv. docs/onnx.md has the table of operators, what an export records, and the errors.
"""

from __future__ import annotations

from typing import Any

from .errors import ExportError, OnnxError, UnknownOperator

__all__ = ["ExportError", "OnnxError", "UnknownOperator", "backend", "export", "load"]


def load(path: Any) -> Any:
    """Read a network.

    Parameters
    ----------
    path : path, bytes or onnx.ModelProto

    Returns
    -------
    OnnxModule
        A Module in evaluation mode. Its call takes the inputs in order or by name. Initialisers
        that operators take as weights are Parameters, other floating-point ones buffers, under
        their ONNX names (what is no letter, digit or dot becomes an underscore); integer ones are
        constants of the graph. Normalisations use the statistics in the file, in training too, as
        the format says.

    Raises
    ------
    ModuleNotFoundError
        If the onnx package is missing.
    UnknownOperator
        If an operator is not there, with its domain and version.
    OnnxError
        If the file is damaged, or its graph is not well-formed.
    OSError
        If it cannot be read.
    """
    from .graph import Builder
    from .module import OnnxModule
    from .reading import read_model

    model = read_model(path)
    return OnnxModule(Builder(model).build(), model.graph.name).eval()


def __getattr__(name: str) -> Any:
    if name == "backend":
        from importlib import import_module

        return import_module("fastconv.onnx.backend")
    if name == "export":
        from .tracing.write import export

        globals()["export"] = export
        return export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
