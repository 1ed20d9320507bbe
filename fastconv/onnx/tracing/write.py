"""``fastconv.onnx.export``: a run of a network, written as an ONNX file and compared with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...autograd import TensorBase, no_grad
from ...files import atomic_path
from ..errors import ExportError, OnnxError, need_onnx
from .axes import Axis, batch_axis, choices, declared, labels, named_axes, resized
from .picking import COUNTING
from .record import Recorder, Value, record
from .writer import Writer, arrays_in, write_calls

__all__ = ["export"]
OLDEST = 17
#: Bytes that a protobuf file may have.
LARGEST = 2**31 - 1


def export(
    model: Any,
    example: Any,
    path: Any,
    *,
    opset: int = 17,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_batch: bool = True,
    check: bool = True,
    opset_version: int | None = None,
    dynamic_axes: Any = None,
) -> Any:
    """Write a network as an ONNX file.

    The network runs on the example, and what it does is recorded, operation by operation. So the
    file holds one way through the Python code: branches, loops and numbers computed with ``item()``
    or NumPy are frozen as they were. It runs a second time with other sizes on the axes that may
    vary (one example more in the batch, larger pictures), and sizes that differ between the two
    runs are computed in the file; other sizes are fixed. A network in training is put into
    evaluation for the runs, and back afterwards.

    Parameters
    ----------
    model : Module
        Or another callable on tensors.
    example : Tensor, ndarray or tuple of them
        The inputs, the batch along axis 0.
    path : path, binary file or None
        Where the model goes, in one step; None only returns it.
    opset : int
        17 or later.
    input_names, output_names : sequence of str, optional
        "input" and "output", or with numbers where there are several.
    dynamic_batch : bool
        Whether axis 0 of inputs and outputs may have any size.
    check : bool
        Run the file with fastconv on other numbers (and other sizes of the axes that vary), and
        compare it with the network: this finds what was frozen and should not have been.
    opset_version : int, optional
        PyTorch's name for `opset`.
    dynamic_axes : dict, optional
        In place of `dynamic_batch`, as PyTorch has it: the axes that vary of each input, as a list,
        ``{"input": [0, 2, 3]}``, or with their names, ``{"input": {0: "batch", 2: "height"}}``.
        One name is one size, in all inputs. An empty dict means none. Outputs may be named too;
        which of their axes vary follows from the network.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ExportError
        For an operation that has no rule, or none for sizes that vary, naming it; for what cannot
        be recorded; where the file does not do what the network does.
    ModuleNotFoundError
        If the onnx package is missing.
    """
    onnx = need_onnx()
    opset = opset if opset_version is None else opset_version
    newest = onnx.defs.onnx_opset_version()
    if type(opset) is not int or not OLDEST <= opset <= newest:
        raise ExportError(f"export(): opset must be from {OLDEST} to {newest}, got {opset!r}")
    inputs = _arrays(example)
    names = _names("input", input_names, len(inputs))
    if dynamic_axes is not None:
        axes = named_axes(dynamic_axes, inputs, names, output_names)
    else:
        axes = batch_axis(inputs) if dynamic_batch else []
    training = [m for m in model.modules() if m.training] if hasattr(model, "modules") else []
    for m in training:
        m.training = False
    try:
        proto, axes = _export(model, inputs, opset, names, output_names, axes, dynamic_axes or {})
        if check:
            _compare(model, inputs, proto, axes)
    finally:
        for m in training:
            m.training = True
    if hasattr(path, "write"):
        path.write(proto.SerializeToString())
    elif path is not None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(proto.SerializeToString())
    return proto


def _arrays(example: Any) -> list[np.ndarray]:
    given = example if isinstance(example, (tuple, list)) else (example,)
    arrays = [np.array(t._array if isinstance(t, TensorBase) else t) for t in given]
    for k, a in enumerate(arrays):
        if a.dtype.kind not in "fiub" or a.dtype == np.float16:
            raise ExportError(f"export(): example {k} is of type {a.dtype}; float32, float64, "
                              "integers and booleans are written")  # fmt: skip
    if not arrays:
        raise ExportError("export(): example holds no input")
    return arrays


def _names(stem: str, given: Sequence[str] | None, count: int) -> list[str]:
    if given is None:
        return [stem] if count == 1 else [f"{stem}_{k}" for k in range(count)]
    names = [given] if isinstance(given, str) else list(given)
    if len(names) != count or len(set(names)) != count or not all(names):
        raise ExportError(f"export(): {stem}_names must be {count} different names, got {names}")
    return names


def _flat(result: Any) -> list[Any]:
    """The tensors of a result, in order."""
    if isinstance(result, TensorBase):
        return [result]
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return [t for part in result for t in _flat(part)]
    raise ExportError(f"export(): the network returns a {type(result).__name__}, not tensors")


def _export(
    model: Any, inputs: list[np.ndarray], opset: int, names: list[str], output_names: Any,
    axes: list[Axis], given: Any,
) -> tuple[Any, list[Axis]]:  # fmt: skip
    """The ModelProto, and the axes that vary with the sizes of the second run."""
    state = model.state_dict() if hasattr(model, "state_dict") else {}
    state = _own(model, state)
    if sum(t._array.nbytes for t in state.values()) > LARGEST:
        raise ExportError("export(): the weights have more than 2 GB, which a file cannot hold")
    first, result = record(model, [a.copy() for a in inputs], state)
    second, again = first, result
    if axes:
        second, again, axes = _second(model, inputs, state, axes)
    elif any(call.kind in COUNTING for call in first.calls):
        second, again = record(model, _other(inputs), state)
    writer = Writer(opset, names, axes)
    outputs, others = _flat(result), _flat(again)
    if len(outputs) != len(others):
        raise ExportError(
            f"export(): there are {len(outputs)} results, and {len(others)} where {writer.grown()}"
        )
    found = [first.values.get(id(t._array)) for t in outputs]
    kept = [v for call in first.calls for v in arrays_in(call.args)] + [v for v in found if v]
    writer.used = {v.key for v in kept if v.origin == "made"}
    write_calls(writer, first, second)
    out_names = _names("output", output_names, len(outputs))
    infos = [
        _output(writer, first, t, u, name, given.get(name, {}))
        for t, u, name in zip(outputs, others, out_names, strict=True)
    ]
    return _model(writer, inputs, infos, type(model).__name__), axes


def _second(
    model: Any, inputs: list[np.ndarray], state: dict[str, Any], axes: list[Axis]
) -> tuple[Recorder, Any, list[Axis]]:
    """A run with other sizes on the axes that vary: the first ones that the network takes."""
    said: Exception | None = None
    for choice in choices(axes):
        try:
            return (*record(model, resized(inputs, choice), state), choice)
        except ExportError:
            raise
        except Exception as error:
            said = said or error
            grown = " and ".join(f"{a.name} from {a.size} to {a.other}" for a in choice)
    raise ExportError(
        f"export(): the network takes the example, but not {grown}: {said}; leave what cannot vary "
        "out of dynamic_axes, or use dynamic_batch=False"
    ) from said


def _own(model: Any, state: dict[str, Any]) -> dict[str, Any]:
    """The network's own tensors by their names in ``state_dict()``, buffers left out of it too."""
    found = {}
    for name, t in [
        *(model.named_parameters(remove_duplicate=False) if state else []),
        *(model.named_buffers(remove_duplicate=False) if state else []),
    ]:
        if t is not None:
            found[name] = t
    return found


def _output(writer: Writer, recorder: Recorder, t: Any, twin: Any, name: str, given: Any) -> Any:
    """An output: renamed where it is a node's, through an Identity where it is not."""
    a, b = t._array, twin._array
    if id(a) in recorder.stale:
        recorder.value(a, f"output {name!r}")
    v: Value | None = recorder.values.get(id(a))
    if v is None or v.origin != "made":
        if v is None or v.origin == "constant":
            raise ExportError(
                f"output {name!r} of shape {a.shape} was made by no recorded operation: it would "
                "be a constant (int(), item() and NumPy are not recorded)"
            )
        writer.taken.add(name)
        writer.nodes.append(
            writer.onnx.helper.make_node("Identity", [writer.name(v)], [name], name=f"{name}_node")
        )
    else:
        source = writer.made[v.key]
        writer.taken.add(name)
        writer.nodes.append(
            writer.onnx.helper.make_node("Identity", [source], [name], name=f"{name}_node")
        )
    if a.ndim != b.ndim:
        raise ExportError(
            f"output {name!r} has the shape {a.shape}, and {b.shape} where {writer.grown()}"
        )
    dims: list[Any] = list(a.shape)
    own = labels(name, given, a.ndim)
    for k, (n, m) in enumerate(zip(a.shape, b.shape, strict=True)):
        if n != m:
            found = writer.source(n, m)
            dims[k] = own.get(k) or f"{name}_axis_{k}"
            if found is not None and not own.get(k):
                axis, times = found
                dims[k] = axis.name if times == 1 else f"{axis.name}_{times}"
    kind = writer.onnx.helper.np_dtype_to_tensor_dtype(a.dtype)
    return writer.onnx.helper.make_tensor_value_info(name, kind, dims)


def _model(writer: Writer, inputs: list[np.ndarray], outputs: list[Any], title: str) -> Any:
    """The ModelProto, checked."""
    onnx = writer.onnx
    used = {i for node in writer.nodes for i in node.input}
    tensors = [
        onnx.numpy_helper.from_array(a, name)
        for name, a in writer.initializers.items()
        if name in used
    ]
    infos = [
        onnx.helper.make_tensor_value_info(
            name,
            onnx.helper.np_dtype_to_tensor_dtype(a.dtype),
            declared(writer.axes, k, a.shape),
        )
        for k, (name, a) in enumerate(zip(writer.input_names, inputs, strict=True))
    ]
    graph = onnx.helper.make_graph(_live(writer.nodes, outputs), title, infos, outputs, tensors)
    from ... import __version__

    opsets = [onnx.helper.make_opsetid("", writer.opset)]
    proto = onnx.helper.make_model(
        graph, opset_imports=opsets, producer_name="fastconv", producer_version=__version__,
        ir_version=max(8, onnx.helper.find_min_ir_version_for(opsets)),
    )  # fmt: skip
    try:
        onnx.checker.check_model(proto)
        inferred = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    except Exception as error:
        raise ExportError(f"export(): the graph does not pass onnx's own check: {error}") from error
    del inferred  # it only had to pass
    return proto


def _live(nodes: list[Any], outputs: list[Any]) -> list[Any]:
    """The nodes that an output needs."""
    wanted = {o.name for o in outputs}
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    return kept[::-1]


def _other(inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Other numbers of the same spread, so that nothing leaves its range."""
    rng = np.random.default_rng(0)
    others = []
    for a in inputs:
        b = a.copy()
        if b.dtype.kind == "f":
            b = b * rng.uniform(0.5, 1, b.shape) + 0.1 * rng.normal(size=b.shape) * b.std()
        elif b.size:
            b = rng.permutation(b.reshape(-1)).reshape(b.shape)
        others.append(np.ascontiguousarray(b, a.dtype).reshape(a.shape))
    return others


def _compare(model: Any, inputs: list[np.ndarray], proto: Any, axes: list[Axis]) -> None:
    """Run the file and the network on other numbers, in sizes of neither run where they may vary.

    Raises
    ------
    ExportError
        Where they differ.
    """
    free = [a for a in axes if not a.step]
    for plus in (13, 6, 0) if free else (0,):  # odd and even: what is rounded shows
        tried = [a if a.step else a._replace(other=a.other + plus) for a in axes]
        others = _other(resized(inputs, tried))
        try:
            wanted = _run(model, others)
        except Exception:
            if plus == 0:
                raise
            continue  # not a size of this network's
        _check(proto, others, wanted)


def _run(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The network's results."""
    from ...tensor import wrap

    with no_grad():
        return [t._array for t in _flat(model(*[wrap(a.copy()) for a in inputs]))]


def _check(proto: Any, others: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    """Compare the file with what the network gave."""
    from .. import load

    try:
        found = load(proto).run(others)
    except OnnxError as error:
        raise ExportError(f"export(): the file does not run: {error}") from error
    for k, (y, z) in enumerate(zip(wanted, found, strict=True)):
        if y.shape != z.shape:
            raise ExportError(
                f"export(): on another input, output {k} has shape {z.shape} in the file and "
                f"{y.shape} in the network: a size was frozen"
            )
        scale = float(np.abs(y[np.isfinite(y)]).max(initial=0)) if y.dtype.kind == "f" else 0.0
        if not np.allclose(z, y, rtol=1e-3, atol=1e-4 * scale + 1e-6, equal_nan=True):
            raise ExportError(
                f"export(): on another input, output {k} of the file differs from the network's "
                f"by {np.abs(z.astype(float) - y.astype(float)).max():.3g} (values up to "
                f"{scale:.3g}): something was frozen that depends on the input (a branch, item(), "
                "sort, NumPy), or is random; check=False writes the file all the same"
            )
