"""GraphProto to :class:`Graph`: operators found, order checked, constants computed once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..autograd import TensorBase, no_grad
from .bodies import expanded, nodes
from .errors import OnnxError, UnknownOperator, need_onnx
from .reading import TYPES, attribute_value, tensor_value, type_name
from .registry import Node, find
from .values import NARROW, arr, value

#: What an operator may raise about its operands; the node's name is added.
FAULTS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError)
#: Operators whose result holds the same weights in another shape.
SAME = {"Reshape", "Transpose", "Identity", "Squeeze", "Unsqueeze", "Flatten", "Cast"}


class Port(NamedTuple):
    """An input or output of a graph: its element type by number, and its sizes.

    A size is an int, the name of one that may vary, or None; `dims` is None where even their number
    is not known, `kind` 0 where the type is none of tensors.
    """

    name: str
    kind: int
    dims: tuple[Any, ...] | None


def port(proto: Any) -> Port:
    """The Port of a ValueInfoProto."""
    if not proto.type.HasField("tensor_type"):
        return Port(proto.name, 0, None)
    t = proto.type.tensor_type
    if not t.HasField("shape"):
        return Port(proto.name, t.elem_type, None)
    dims = tuple(
        [d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in t.shape.dim]
    )
    return Port(proto.name, t.elem_type, dims)


class Graph:
    """Nodes in their order, and what they start from.

    Attributes
    ----------
    inputs, outputs : list of Port
    nodes : list of Node
    constants : dict of str to value
        By name: what does not change.
    weights : dict of str to Tensor
        Initialisers that operators take as weights.
    """

    def __init__(self) -> None:
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        self.nodes: list[Node] = []
        self.constants: dict[str, Any] = {}
        self.weights: dict[str, Any] = {}

    def run(self, env: dict[str, Any]) -> list[Any]:
        """The outputs; `env` holds the inputs, weights and constants, and is used up."""
        for node in self.nodes:
            compute(node, env)
            for name in node.last:
                env.pop(name, None)
        try:
            return [env[o.name] for o in self.outputs]
        except KeyError as error:
            raise OnnxError(f"output {error} was never computed") from None

    def inside(self, env: dict[str, Any], *given: Any) -> list[Any]:
        """Run as the body of an If, Loop or Scan, with the values around it."""
        if len(given) != len(self.inputs):
            raise OnnxError(f"the body has {len(self.inputs)} inputs, got {len(given)} values")
        inner = {**env, **self.constants}
        inner.update(zip([i.name for i in self.inputs], given, strict=True))
        return self.run(inner)


def compute(node: Node, env: dict[str, Any]) -> None:
    """Run one node and put its results into `env`.

    Raises
    ------
    OnnxError
        What the operator says of its operands, with the node's name.
    """
    try:
        given = [env[name] if name else None for name in node.inputs]
        found = node.call(node, env, *given) if node.scoped else node.call(node, *given)
    except OnnxError as error:
        if error.args and str(error).startswith("node "):
            raise
        raise type(error)(f"node {node.name!r} ({node.kind}): {error}") from error
    except FAULTS as error:
        shapes = [getattr(v, "shape", None) for v in given]
        raise OnnxError(
            f"node {node.name!r} ({node.kind}) on shapes "
            f"{', '.join(str(tuple(s)) if s is not None else 'none' for s in shapes)}: {error}"
        ) from error
    if type(found) is not tuple:
        found = (found,)
    for name, result in zip(node.outputs, found, strict=False):
        if name:
            env[name] = settle(result)


def settle(v: Any) -> Any:
    """A result as a value; a convolution that is written late stays so."""
    if isinstance(v, TensorBase):
        if v._later is None and v._array.dtype.char not in "fd":
            return value(v)
        return v
    return v if v is None or isinstance(v, list) else value(v)


class Builder:
    """Makes the Graph of a ModelProto."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.versions: dict[str, int] = {}
        for entry in model.opset_import:
            self.versions["" if entry.domain == "ai.onnx" else entry.domain] = entry.version
        self.types: dict[str, Any] = {}

    def build(self) -> Graph:
        """The graph, checked and folded.

        Raises
        ------
        UnknownOperator
            If an operator is not there, before anything runs.
        OnnxError
            If the graph is not well-formed.
        """
        self.expand()
        missing = sorted(self.unknown(self.model.graph))
        if missing:
            raise UnknownOperator(
                "no such operator here: "
                + "; ".join(
                    f"{kind} (domain {domain or 'ai.onnx'!r}, version {version}) of node {name!r}"
                    for kind, domain, version, name in missing[:10]
                )
                + (f"; and {len(missing) - 10} more" if len(missing) > 10 else "")
            )
        self.infer()
        return self.graph(self.model.graph, set(), top=True)

    def unknown(self, proto: Any) -> set[tuple[str, str, int, str]]:
        """(operator, domain, version, node) of what is not in the table."""
        found = set()
        for node in nodes(proto):
            if self.missing(self.model, node):
                domain = "" if node.domain == "ai.onnx" else node.domain
                name = node.name or (node.output[0] if node.output else "")
                found.add((node.op_type, domain, self.versions.get(domain, 0), name))
        return found

    def expand(self) -> None:
        """Put the bodies of functions in their place."""
        self.model = expanded(self.model, self.missing)
        for entry in self.model.opset_import:
            self.versions["" if entry.domain == "ai.onnx" else entry.domain] = entry.version

    def missing(self, model: Any, node: Any) -> bool:
        """Whether a node has no operator here."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        return find(node.op_type, domain, self.versions.get(domain, 0)) is None

    def infer(self) -> None:
        """What is known of types and shapes before anything runs."""
        onnx = need_onnx()
        kinds = {node.op_type for node in self.model.graph.node}
        if kinds & {"Shape", "Size", "CastLike", "BitCast"}:
            try:
                inferred = onnx.shape_inference.infer_shapes(self.model)
            except Exception:  # it only helps: what is wrong shows up below
                inferred = self.model
            for info in (*inferred.graph.value_info, *inferred.graph.output):
                self.types[info.name] = port(info)
        for info in self.model.graph.input:
            self.types[info.name] = port(info)
        for t in self.model.graph.initializer:
            self.types[t.name] = Port(t.name, t.data_type, tuple(t.dims))

    # -- one graph -------------------------------------------------------------------------------

    def graph(self, proto: Any, around: set[str], top: bool = False) -> Graph:
        """The Graph of a GraphProto, in which the names `around` it are known."""
        made = Graph()
        start: dict[str, Any] = {}
        for tensor in proto.initializer:
            if not tensor.name:
                raise OnnxError("an initialiser has no name")
            start[tensor.name] = tensor_value(tensor)
        for sparse in proto.sparse_initializer:
            raise OnnxError(f"initialiser {sparse.values.name!r} is sparse: only dense ones are")
        made.inputs = [port(i) for i in proto.input if i.name not in start]
        made.outputs = [port(o) for o in proto.output]
        for p in made.inputs:
            if p.kind and p.kind not in TYPES:
                raise OnnxError(f"input {p.name!r} has element type {type_name(p.kind)}: values "
                                f"can be {', '.join(TYPES.values())}")  # fmt: skip
        known = around | set(start) | {p.name for p in made.inputs}
        for node in proto.node:
            self.node(made, node, known, start)
        for p in made.outputs:
            if p.name not in known:
                raise OnnxError(f"output {p.name!r} is made by no node")
        if top:
            self.sort_weights(made, start)
        else:
            made.constants = start
        self.fold(made, top)
        plan_lifetimes(made)
        return made

    def node(self, made: Graph, proto: Any, known: set[str], start: dict[str, Any]) -> None:
        """Add one node, whose inputs must be known by now."""
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        version = self.versions.get(domain, 0)
        entry = find(proto.op_type, domain, version)
        if entry is None:
            raise UnknownOperator(
                f"no such operator here: {proto.op_type} (domain {domain or 'ai.onnx'!r}, "
                f"version {version}) of node {proto.name!r}"
            )
        name = proto.name or (proto.output[0] if proto.output else "")
        for i in proto.input:
            if i and i not in known:
                raise OnnxError(
                    f"node {name!r} ({proto.op_type}) reads {i!r}, which nothing before it makes"
                )
        for o in proto.output:
            if o and o in start:
                raise OnnxError(f"node {name!r} ({proto.op_type}) writes the initialiser {o!r}")
        attributes: dict[str, Any] = {}
        for a in proto.attribute:
            attributes[a.name] = attribute_value(a, lambda g: self.graph(g, set(known)))
        check_schema(name, proto, domain, version)
        if proto.op_type in ("CastLike", "BitCast") and len(proto.input) > 1:
            like = self.types.get(proto.input[1])
            attributes["_to"] = like.kind if like is not None else 0
        if proto.op_type == "BitCast" or proto.op_type == "Cast":
            source = self.types.get(proto.input[0]) if proto.input else None
            attributes["_from"] = source.kind if source is not None else 0
        outputs = tuple(proto.output)
        made.nodes.append(Node(name, entry, version, tuple(proto.input), outputs, attributes))
        known.update(o for o in outputs if o)

    def sort_weights(self, made: Graph, start: dict[str, Any]) -> None:
        """Which initialisers are trained: those that operators take as weights."""
        for node in made.nodes:  # a constant in a weight's place is one too
            if node.kind == "Constant" and isinstance(node.attributes.get("value"), TensorBase):
                start[node.outputs[0]] = node.attributes["value"]
        made.nodes = [n for n in made.nodes if not (n.outputs and n.outputs[0] in start)]
        wanted: set[str] = set()
        for node in reversed(made.nodes):
            entry = find(node.kind, node.domain, node.version)
            slots = entry.weights if entry is not None else ()
            wanted.update(node.inputs[k] for k in slots if k < len(node.inputs))
            if node.kind in SAME and node.outputs[0] in wanted:
                wanted.add(node.inputs[0])
        for name, v in start.items():
            if name in wanted and isinstance(v, TensorBase) and v._array.size > 1:
                made.weights[name] = v
            else:
                made.constants[name] = v

    def fold(self, made: Graph, top: bool) -> None:
        """Compute what depends on constants alone, and shapes that are known."""
        left = []
        for node in made.nodes:
            entry = find(node.kind, node.domain, node.version)
            fixed = self.known_shape(node) if top else None
            if fixed is not None:
                made.constants[node.outputs[0]] = fixed
            elif (
                entry is not None
                and entry.constant
                and not node.scoped
                and all(not i or i in made.constants for i in node.inputs)
                and node.outputs
            ):
                with no_grad():
                    compute(node, made.constants)
            else:
                left.append(node)
        made.nodes = left

    def known_shape(self, node: Node) -> Any:
        """The result of a Shape or Size whose operand's sizes are all known; else None."""
        if node.kind not in ("Shape", "Size") or node.domain or not node.inputs:
            return None
        found = self.types.get(node.inputs[0])
        if found is None or found.dims is None:
            return None
        if not all(isinstance(n, int) and n > 0 for n in found.dims):
            return None
        dims = np.array(found.dims, np.int64)
        if node.kind == "Size":
            return np.asarray(dims.prod(), np.int64)
        return dims[slice(node.get("start"), node.get("end"))]


def check_schema(name: str, proto: Any, domain: str, version: int) -> None:
    """Compare a node with its operator's signature: counts of inputs, attributes that it needs."""
    onnx = need_onnx()
    try:
        schema = onnx.defs.get_schema(proto.op_type, version, domain)
    except Exception:  # not an operator of the standard in this version
        return
    given = len(proto.input)
    if not schema.min_input <= given <= schema.max_input:
        raise OnnxError(
            f"node {name!r} ({proto.op_type}) has {given} inputs, its operator takes "
            f"{schema.min_input} to {schema.max_input}"
        )
    if not 0 < len(proto.output) <= schema.max_output:
        raise OnnxError(
            f"node {name!r} ({proto.op_type}) has {len(proto.output)} outputs, its operator gives "
            f"{schema.min_output} to {schema.max_output}"
        )
    there = {a.name for a in proto.attribute}
    for key, attribute in schema.attributes.items():
        if attribute.required and key not in there:
            raise OnnxError(f"node {name!r} ({proto.op_type}) lacks its attribute {key!r}")
    for a in proto.attribute:
        wanted = schema.attributes.get(a.name)
        if wanted is not None and int(wanted.type) != a.type:
            raise OnnxError(
                f"node {name!r} ({proto.op_type}): attribute {a.name!r} has a wrong type"
            )


def plan_lifetimes(made: Graph) -> None:
    """Let every node name the values that it is the last to read."""
    for node in made.nodes:
        if node.scoped:  # a body may read anything: keep all
            return
    keep = {o.name for o in made.outputs} | set(made.constants) | set(made.weights)
    seen: set[str] = set()
    for node in reversed(made.nodes):
        names = {*node.inputs, *node.outputs} - keep - seen - {""}
        node.last = tuple(names)
        seen |= names


def given_back(v: Any, p: Port) -> Any:
    """An output as an ndarray of the type that the file declares."""
    if v is None:
        return None
    if isinstance(v, list):
        return [given_back(x, p) for x in v]
    a = arr(v)
    if p.kind in NARROW and a.dtype == np.float32:
        if p.kind == 10:
            with np.errstate(over="ignore"):
                return a.astype(np.float16)
        import ml_dtypes  # comes with onnx

        return a.astype(ml_dtypes.bfloat16)
    return a
