"""What the readers and writers of ONNX files raise, and the import of the onnx package."""

from __future__ import annotations

from typing import Any

__all__ = ["ExportError", "OnnxError", "UnknownOperator", "need_onnx"]


class OnnxError(ValueError):
    """A file, a model or an input that cannot be used; the text says what and where."""


class UnknownOperator(OnnxError, NotImplementedError):
    """A node whose operator is not there; names the node, its domain and its version."""


class ExportError(OnnxError):
    """A network that cannot be written as ONNX; names the operation."""


def need_onnx() -> Any:
    """The onnx package.

    Raises
    ------
    ModuleNotFoundError
        Saying which extra brings it.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "reading and writing ONNX files needs the onnx package: pip install 'fastconv[onnx]'"
        ) from error
    return onnx
