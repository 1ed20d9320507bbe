"""Functions put in their place: a model's own, and operators that others define."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .errors import OnnxError, need_onnx

#: How deep functions may lie in functions.
DEPTH = 4
#: The domain of functions made for single nodes.
OURS = "fastconv.bodies"


def nodes(graph: Any) -> Iterator[Any]:
    """Every node of a GraphProto and of the graphs inside."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(
                attribute.graphs
            ):
                yield from nodes(inner)


def expanded(model: Any, missing: Callable[[Any, Any], bool]) -> Any:
    """The model without functions, and without nodes that have no operator here but a body.

    Parameters
    ----------
    model : ModelProto
    missing : callable
        Whether a node of a model has no operator.

    Raises
    ------
    OnnxError
        If a body does not fit.
    """
    onnx = need_onnx()
    try:
        from onnx import inliner

        if model.functions:
            model = inliner.inline_local_functions(model)
        for _ in range(DEPTH):
            wanted = set()
            for node in nodes(model.graph):
                if missing(model, node) and _schema(onnx, model, node) is not None:
                    wanted.add((node.domain, node.op_type))
            if not wanted:
                return model
            model = onnx.shape_inference.infer_shapes(model)
            model = _own_bodies(onnx, model, wanted)
            model = inliner.inline_selected_functions(
                model, sorted(wanted), inline_schema_functions=True
            )
        return model
    except OnnxError:
        raise
    except Exception as error:
        raise OnnxError(f"a function of the model cannot be put in place: {error}") from None


def _schema(onnx: Any, model: Any, node: Any) -> Any:
    """The schema of a node that is defined by others; else None."""
    try:
        schema = onnx.defs.get_schema(node.op_type, _version(model, node.domain), node.domain)
    except Exception:  # onnx does not know it either
        return None
    return schema if schema.has_function or schema.has_context_dependent_function else None


def _version(model: Any, domain: str) -> int:
    same = ("", "ai.onnx") if domain in ("", "ai.onnx") else (domain,)
    return next((o.version for o in model.opset_import if o.domain in same), 0)


def _own_bodies(onnx: Any, model: Any, wanted: set[tuple[str, str]]) -> Any:
    """Bodies for nodes that onnx's inliner stops at: those with an input left out in the middle.

    Attributes that are left out get their defaults on the way, which bodies refer to.
    """
    from onnx import inliner

    types = {v.name: v.type for v in (*model.graph.input, *model.graph.value_info)}
    types |= {t.name: onnx.helper.make_tensor_type_proto(t.data_type, t.dims)
              for t in model.graph.initializer}  # fmt: skip
    count = 0
    for node in nodes(model.graph):
        if (node.domain, node.op_type) not in wanted:
            continue
        schema = _schema(onnx, model, node)
        given = {a.name for a in node.attribute}
        for name, attribute in schema.attributes.items():
            if name not in given and attribute.default_value.type:
                node.attribute.append(attribute.default_value)
        if "" not in node.input or not schema.has_context_dependent_function:
            continue
        kinds = [types.get(i, onnx.TypeProto()).SerializeToString() for i in node.input]
        body = onnx.FunctionProto()
        body.ParseFromString(
            schema.get_context_dependent_function_with_opset_version(
                _version(model, node.domain), node.SerializeToString(), kinds
            )
        )
        body.domain, body.name = OURS, f"{node.op_type}_{count}"
        model.functions.append(body)
        node.domain, node.op_type = body.domain, body.name
        count += 1
    if not count:
        return model
    model.opset_import.append(onnx.helper.make_opsetid(OURS, 1))
    return inliner.inline_local_functions(model)
