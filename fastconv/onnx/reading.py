"""Files to ModelProto: everything that can be wrong with a file is said here."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .errors import OnnxError, need_onnx
from .values import value

#: Element types that values can have; float8 and what is packed into less than a byte cannot.
TYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
         8: "string", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
         16: "bfloat16"}  # fmt: skip


def read_model(source: Any) -> Any:
    """The ModelProto of a path, of bytes, or of a ModelProto itself, with its external data.

    Raises
    ------
    OnnxError
        If it is no ONNX file, cut off, or its external data is missing or too short.
    OSError
        If it cannot be read.
    """
    onnx = need_onnx()
    if isinstance(source, onnx.ModelProto):
        model, place, name = source, "", "the model"
    else:
        if isinstance(source, (bytes, bytearray, memoryview)):
            data, place, name = bytes(source), "", "the data"
        else:
            name = os.fspath(source)
            with open(name, "rb") as file:
                data = file.read()
            place = os.path.dirname(os.path.abspath(name))
        if not data:
            raise OnnxError(f"{name} is empty")
        model = onnx.ModelProto()
        try:
            model.ParseFromString(data)
        except Exception as error:  # protobuf's own class, which moves between versions
            raise OnnxError(
                f"{name} is no ONNX file, or is damaged or cut off ({len(data)} bytes): {error}"
            ) from None
    if not model.HasField("graph"):
        raise OnnxError(f"{name} holds no graph: it is no ONNX file, or is cut off")
    if not model.opset_import:
        raise OnnxError(f"{name} does not say which opset version it needs")
    _check_text(model.graph, name)
    _external(onnx, model, place, name)
    return model


def _check_text(graph: Any, name: str) -> None:
    """Refuse names that are no text: protobuf gives them as bytes."""
    texts = [v.name for v in (*graph.input, *graph.output, *graph.initializer)]
    for node in graph.node:
        texts += [node.op_type, node.domain, node.name, *node.input, *node.output]
        texts += [attribute.name for attribute in node.attribute]
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if wrong is not None:
        raise OnnxError(f"{name} is damaged: the name {wrong!r} is no text")
    for node in graph.node:
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(
                attribute.graphs
            ):
                _check_text(inner, name)


def _external(onnx: Any, model: Any, place: str, name: str) -> None:
    """Read the tensors that lie in files beside the model."""
    for tensor in _tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        info = {entry.key: entry.value for entry in tensor.external_data}
        where = info.get("location", "")
        if not place:
            raise OnnxError(f"tensor {tensor.name!r} lies in {where!r}: load the model by its path")
        path = os.path.normpath(os.path.join(place, where))
        if not where or os.path.isabs(where) or not path.startswith(os.path.join(place, "")):
            raise OnnxError(f"{name}: external data {where!r} must lie beside the model")
        if not os.path.isfile(path):
            raise OnnxError(f"{name}: external data {path} of tensor {tensor.name!r} is missing")
        try:
            offset = int(info.get("offset", 0))
            length = int(info["length"]) if info.get("length") else None
        except ValueError:
            raise OnnxError(f"{name}: external data of tensor {tensor.name!r}: {info}") from None
        there = os.path.getsize(path)
        if offset < 0 or offset + (length or 0) > there:
            raise OnnxError(
                f"{name}: external data {path} has {there} bytes, tensor {tensor.name!r} needs "
                f"{length} from {offset}"
            )
        with open(path, "rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read() if length is None else file.read(length)
        tensor.data_location = onnx.TensorProto.DEFAULT


def _tensors(graph: Any) -> Any:
    """Every TensorProto of a graph and of the graphs inside."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(
                attribute.graphs
            ):
                yield from _tensors(inner)


def tensor_value(proto: Any) -> Any:
    """The value of a TensorProto.

    Raises
    ------
    OnnxError
        For a type that values cannot have, and data that does not fit the shape.
    """
    onnx = need_onnx()
    if proto.data_type not in TYPES:
        raise OnnxError(f"tensor {proto.name!r} has element type {type_name(proto.data_type)}: "
                        f"values can be {', '.join(TYPES.values())}")  # fmt: skip
    if any(n < 0 for n in proto.dims):
        raise OnnxError(f"tensor {proto.name!r} has shape {tuple(proto.dims)}")
    try:
        found = np.asarray(onnx.numpy_helper.to_array(proto))
    except Exception as error:
        raise OnnxError(
            f"tensor {proto.name!r} of shape {tuple(proto.dims)} and type "
            f"{TYPES[proto.data_type]}: its data does not fit: {error}"
        ) from None
    if found.shape != tuple(proto.dims):
        raise OnnxError(f"tensor {proto.name!r} has shape {tuple(proto.dims)}, its data "
                        f"{found.shape}")  # fmt: skip
    return value(found if found.flags.writeable else found.copy())


def type_name(number: int) -> str:
    """What an element type is called."""
    onnx = need_onnx()
    try:
        return str(onnx.TensorProto.DataType.Name(number)).lower()
    except ValueError:
        return f"number {number}"


def attribute_value(proto: Any, graph: Any) -> Any:
    """An attribute as numbers, text, values, or what ``graph(GraphProto)`` makes of graphs."""
    onnx = need_onnx()
    kind = proto.type
    if kind == onnx.AttributeProto.TENSOR:
        return tensor_value(proto.t)
    if kind == onnx.AttributeProto.TENSORS:
        return [tensor_value(t) for t in proto.tensors]
    if kind == onnx.AttributeProto.GRAPH:
        return graph(proto.g)
    if kind == onnx.AttributeProto.GRAPHS:
        return [graph(g) for g in proto.graphs]
    try:
        found = onnx.helper.get_attribute_value(proto)
    except Exception as error:
        raise OnnxError(f"attribute {proto.name!r}: {error}") from None
    if isinstance(found, bytes):
        return found.decode("utf-8", "replace")
    if isinstance(found, (int, float, str)):
        return found
    try:
        found = list(found)
    except TypeError:
        return found
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in found]
