"""ONNX files as Modules: names, training, errors, and files that are damaged."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastconv as T
import fastconv.nn as nn

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from fastconv.onnx import OnnxError, UnknownOperator, backend, export, load  # noqa: E402
from fastconv.onnx.registry import OPERATORS, find  # noqa: E402

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def info(name: str, shape: Any, kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: Any, inputs: Any, outputs: Any, weights: Any = (), opset: int = 17, **more: Any
) -> Any:
    graph = helper.make_graph(
        list(nodes), "g", list(inputs), list(outputs),
        [numpy_helper.from_array(a, name) for name, a in dict(weights).items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def small() -> Any:
    """Conv, BatchNormalization, Relu, pooling, Reshape by a computed shape, Gemm."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    weights = {
        "conv.weight": draw(4, 3, 3, 3), "conv.bias": draw(4),
        "bn/scale:0": draw(4), "bn/shift:0": draw(4), "bn/mean:0": draw(4),
        "bn/var:0": rng.uniform(1, 2, 4).astype(np.float32),
        "fc.weight": draw(5, 4), "fc.bias": draw(5),
        "zero": np.array([0]), "minus": np.array([-1]), "one": np.array([1]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["a"], pads=[1, 0, 0, 1]),
        helper.make_node(
            "BatchNormalization",
            ["a", "bn/scale:0", "bn/shift:0", "bn/mean:0", "bn/var:0"], ["b"],
        ),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "zero", "one"], ["n"]),
        helper.make_node("Concat", ["n", "minus"], ["shape"], axis=0),
        helper.make_node("Reshape", ["d", "shape"], ["e"]),
        helper.make_node("Gemm", ["e", "fc.weight", "fc.bias"], ["y"], transB=1),
    ]  # fmt: skip
    return model(nodes, [info("x", ["N", 3, 8, 8])], [info("y", ["N", 5])], weights)


def test_names_and_roles() -> None:
    net = load(small())
    assert sorted(k for k, _ in net.named_parameters()) == [
        "bn_scale_0", "bn_shift_0", "conv.bias", "conv.weight", "fc.bias", "fc.weight",
    ]  # fmt: skip
    assert sorted(k for k, _ in net.named_buffers()) == ["bn_mean_0", "bn_var_0"]
    assert net.names["bn/mean:0"] == "bn_mean_0"
    assert not net.training
    assert "x float32 (N×3×8×8) -> y float32 (N×5)" in repr(net)


def test_against_the_reference() -> None:
    from onnx.reference import ReferenceEvaluator

    x = np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32)
    (wanted,) = ReferenceEvaluator(small()).run(None, {"x": x})
    net = load(small())
    np.testing.assert_allclose(net.run({"x": x})[0], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        net(x=T.from_numpy(x)).detach().numpy(), wanted, rtol=1e-4, atol=1e-5
    )
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other.run([x])[0], net.run([x])[0])


def test_it_trains() -> None:
    T.manual_seed(0)
    net, x = load(small()), T.randn(16, 3, 8, 8)
    labels = T.randint(0, 5, (16,))
    optimizer = T.optim.Adam(net.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    state = net.state_dict()
    again = load(small())
    again.load_state_dict(state)
    np.testing.assert_array_equal(again(x).detach().numpy(), net(x).detach().numpy())


def test_constants_are_computed_once() -> None:
    """Known sizes and constants leave no nodes."""
    m = small()
    m.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    kinds = [n.kind for n in load(m).graph.nodes]
    assert kinds == ["Conv", "BatchNormalization", "Relu", "GlobalAveragePool", "Reshape", "Gemm"]


def test_half_precision_is_computed_in_float32() -> None:
    half = TensorProto.FLOAT16
    w = np.full((4, 4), 0.1, np.float16)
    m = model([helper.make_node("MatMul", ["x", "w"], ["y"])],
              [info("x", [1, 4], half)], [info("y", [1, 4], half)], {"w": w})  # fmt: skip
    net = load(m)
    assert "computed in float32" in net.notes[0] and "x (float16)" in net.notes[0]
    x = np.full((1, 4), 0.3, np.float16)
    (y,) = net.run([x])
    wide = x.astype(np.float32) @ w.astype(np.float32)
    assert y.dtype == np.float16 and (y == wide.astype(np.float16)).all()
    assert net(T.from_numpy(x)).dtype == T.float16
    assert next(net.parameters()).dtype == T.float32


def body(kind: str) -> Any:
    """A graph of one node, on the value x around it."""
    return helper.make_graph([helper.make_node(kind, ["x"], ["r"])], "b", [], [info("r", [2])])


def test_if_takes_the_branch() -> None:
    node = helper.make_node("If", ["c"], ["y"], then_branch=body("Neg"), else_branch=body("Abs"))
    m = model([node], [info("x", [2]), info("c", [], TensorProto.BOOL)], [info("y", [2])])
    x = np.array([1, -2], np.float32)
    assert load(m).run([x, np.array(True)])[0].tolist() == [-1, 2]
    assert load(m).run([x, np.array(False)])[0].tolist() == [1, 2]


# -- errors ----------------------------------------------------------------------------------------


def test_unknown_operators_are_named_before_anything_runs() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Warp", ["a"], ["b"], name="w1", domain="my.ops"),
        helper.make_node("Nothing", ["b"], ["y"]),
    ]
    m = model(nodes, [info("x", [2])], [info("y", [2])])
    m.opset_import.append(helper.make_opsetid("my.ops", 3))
    with pytest.raises(UnknownOperator) as error:
        load(m)
    text = str(error.value)
    assert "Warp (domain 'my.ops', version 3) of node 'w1'" in text
    assert "Nothing (domain 'ai.onnx', version 17) of node 'y'" in text


X = np.zeros((1, 3, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: net(), "input 'x' is missing"),
        (lambda net: net(z=X), "no input 'z'; its inputs are x"),
        (lambda net: net(X, x=X), "input 'x' was given twice"),
        (lambda net: net(X, X), "2 inputs were given, the model has 1"),
        (lambda net: net(X[0]), r"input 'x' must have shape \('N', 3, 8, 8\), got \(3, 8, 8\)"),
        (lambda net: net(X[:, :2]), "input 'x' must have shape"),
        (lambda net: net(X.astype(np.float64)), "input 'x' must be float32, got float64"),
        (lambda net: net.run({"y": X}), "no input 'y'"),
    ],
)
def test_wrong_inputs(call: Any, message: str) -> None:
    with pytest.raises(OnnxError, match=message):
        call(load(small()))


def test_a_node_that_fails_is_named() -> None:
    m = model([helper.make_node("Add", ["x", "w"], ["y"], name="sum")],
              [info("x", ["N"])], [info("y", ["N"])], {"w": np.zeros(4, np.float32)})  # fmt: skip
    with pytest.raises(OnnxError, match=r"node 'sum' \(Add\) on shapes \(3,\), \(4,\)"):
        load(m)(np.zeros(3, np.float32))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("Relu", ["q"], ["y"])], "reads 'q', which nothing before it makes"),
        ([helper.make_node("Relu", ["x"], ["z"])], "output 'y' is made by no node"),
        ([helper.make_node("Conv", ["x"], ["y"])], "has 1 inputs, its operator takes 2 to 3"),
        ([helper.make_node("Cast", ["x"], ["y"])], "lacks its attribute 'to'"),
        ([helper.make_node("Relu", ["x"], ["y", "z"])], "has 2 outputs"),
        ([helper.make_node("Elu", ["x"], ["y"], alpha=1)], "attribute 'alpha' has a wrong type"),
    ],
)
def test_graphs_that_are_not_well_formed(nodes: Any, message: str) -> None:
    with pytest.raises(OnnxError, match=message):
        load(model(nodes, [info("x", [2])], [info("y", [2])]))


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(FileNotFoundError):
        load(path)
    for data, message in ((b"", "is empty"), (b"\xff" * 100, "is no ONNX file"),
                          (b"PK\x03\x04 something else", "no ONNX file"),
                          (small().SerializeToString()[:-9], "cut off|no graph")):  # fmt: skip
        path.write_bytes(data)
        with pytest.raises(OnnxError, match=message):
            load(path)


def test_names_that_are_no_text() -> None:
    data = small().SerializeToString().replace(b"Relu", b"Re\xffu")
    with pytest.raises(OnnxError, match=r"no text|no ONNX file"):
        load(data)


def test_data_that_does_not_fit_its_shape() -> None:
    m = small()
    m.graph.initializer[0].dims[0] = 1 << 40
    with pytest.raises(OnnxError, match=r"tensor 'conv.weight' of shape .*data does not fit"):
        load(m)


def test_external_data(tmp_path: Path) -> None:
    m = small()
    wanted = load(m).run([X])[0]
    onnx.save_model(m, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin",
                    size_threshold=0)  # fmt: skip
    np.testing.assert_array_equal(load(tmp_path / "m.onnx").run([X])[0], wanted)
    data = (tmp_path / "m.bin").read_bytes()
    (tmp_path / "m.bin").write_bytes(data[:50])
    with pytest.raises(OnnxError, match=r"m.bin has 50 bytes, tensor"):
        load(tmp_path / "m.onnx")
    (tmp_path / "m.bin").unlink()
    with pytest.raises(OnnxError, match=r"external data .*m.bin of tensor .* is missing"):
        load(tmp_path / "m.onnx")
    with pytest.raises(OnnxError, match="load the model by its path"):
        load((tmp_path / "m.onnx").read_bytes())
    outside = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    for entry in outside.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../../etc/passwd"
    (tmp_path / "m.onnx").write_bytes(outside.SerializeToString())
    with pytest.raises(OnnxError, match="must lie beside the model"):
        load(tmp_path / "m.onnx")


def test_results_made_of_nothing_are_bounded() -> None:
    m = model([helper.make_node("ConstantOfShape", ["s"], ["y"])], [info("s", [2], INT64)],
              [info("y", None)])  # fmt: skip
    with pytest.raises(OnnxError, match=r"more than \d+ elements"):
        load(m).run([np.array([1 << 40, 1 << 20])])


# -- damaged files ---------------------------------------------------------------------------------


def examples() -> list[bytes]:
    """Files of different kinds of nodes."""
    T.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.GroupNorm(1, 2), nn.Mish(), nn.MaxPool2d(2),
        nn.ConvTranspose2d(2, 2, 2, stride=2), nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Flatten(), nn.Linear(128, 3), nn.LogSoftmax(1),
    ).eval()  # fmt: skip
    return [
        small().SerializeToString(),
        export(net, T.randn(1, 1, 4, 4), None, check=False).SerializeToString(),
    ]


@pytest.mark.parametrize("part", range(4))
def test_damaged_files_give_clear_errors(part: int) -> None:
    rng = np.random.default_rng(part)
    shapes = [(1, 3, 8, 8), (1, 1, 4, 4)]
    refused = 0
    for which, data in enumerate(examples()):
        for _ in range(60):
            mutant = bytearray(data)
            how = rng.integers(4)
            for _ in range(rng.integers(1, 6)):
                at = int(rng.integers(len(mutant)))
                if how == 0:
                    mutant[at] = int(rng.integers(256))
                elif how == 1:
                    mutant[at] ^= 1 << int(rng.integers(8))
                elif how == 2:
                    del mutant[at : at + int(rng.integers(1, 20))]
                else:
                    mutant[at:at] = mutant[: int(rng.integers(1, 20))]
            if rng.integers(8) == 0:
                mutant = mutant[: int(rng.integers(len(mutant)))]
            try:
                load(bytes(mutant)).run([np.zeros(shapes[which], np.float32)])
            except OnnxError as error:
                assert str(error)
                refused += 1
    assert refused > 30


# -- the table, the backend ------------------------------------------------------------------------


def test_operators_follow_their_version() -> None:
    find("Relu", "", 17)
    for (domain, name), entries in OPERATORS.items():
        versions = [e.since for e in entries]
        assert versions == sorted(set(versions), reverse=True), (domain, name)
    x = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    node = helper.make_node("Softmax", ["x"], ["y"], axis=1)
    old, new = (backend.run_node(node, [x], opset_version=v)[0] for v in (11, 13))
    np.testing.assert_allclose(old.reshape(2, -1).sum(1), 1, rtol=1e-6)  # over all that is left
    np.testing.assert_allclose(new.sum(1), 1, rtol=1e-6)
    assert find("Softmax", "", 0) is None


def test_backend() -> None:
    assert backend.supports_device("CPU") and not backend.supports_device("CUDA:0")
    assert backend.is_compatible(small())
    odd = model([helper.make_node("Nothing", ["x"], ["y"])], [info("x", [1])], [info("y", [1])])
    assert not backend.is_compatible(odd)
    y = backend.run_model(small(), [X])
    assert y.y is y[0] and y[0].shape == (1, 5)
    with pytest.raises(ValueError, match="runs on the CPU"):
        backend.prepare(small(), "CUDA")


def test_the_documented_table_is_the_table() -> None:
    find("Relu", "", 17)
    text = (Path(__file__).parents[1] / "docs" / "onnx.md").read_text(encoding="utf-8")
    missing = [name for _, name in OPERATORS if f"`{name}`" not in text]
    assert not missing
