"""Gradients through ONNX operators, against differences in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv as T
from fastconv.autograd import gradcheck

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from fastconv.onnx import load  # noqa: E402

I64 = np.int64
#: Name: operator, shapes of the inputs that are differentiated, constants after them, attributes.
CASES: dict[str, tuple[str, list[Any], list[Any], dict[str, Any]]] = {
    "conv": ("Conv", [(1, 4, 5, 6), (4, 2, 3, 2), (4,)], [], {"pads": [0, 1, 2, 1], "group": 2}),
    "conv same": ("Conv", [(1, 2, 7), (3, 2, 4)], [], {"auto_pad": "SAME_LOWER", "strides": [2]}),
    "transposed": ("ConvTranspose", [(1, 2, 3, 3), (2, 3, 3, 3)], [],
                   {"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}),
    "max": ("MaxPool", [(1, 2, 6, 6)], [], {"kernel_shape": [3, 3], "pads": [1, 1, 0, 0]}),
    "average": ("AveragePool", [(1, 2, 6, 5)], [],
                {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "strides": [2, 2],
                 "count_include_pad": 1}),
    "lp": ("LpPool", [(1, 2, 6, 6)], [], {"kernel_shape": [2, 2], "p": 2}),
    "lp padded": ("LpPool", [(1, 2, 5, 5)], [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "global": ("GlobalMaxPool", [(2, 3, 4, 4)], [], {}),
    "instance": ("InstanceNormalization", [(2, 3, 4), (3,), (3,)], [], {}),
    "layer": ("LayerNormalization", [(2, 3, 4), (3, 4), (3, 4)], [], {"axis": 1}),
    "lrn": ("LRN", [(1, 5, 2, 2)], [], {"size": 2, "alpha": 0.5}),
    "variance": ("MeanVarianceNormalization", [(2, 2, 3, 3)], [], {}),
    "softmax": ("Softmax", [(2, 3, 4)], [], {"axis": 1}),
    "prelu": ("PRelu", [(2, 3, 4), (3, 1)], [], {}),
    "selu": ("Selu", [(7,)], [], {}),
    "clip": ("Clip", [(7,)], [np.array(-0.5), np.array(0.5)], {}),
    "gemm": ("Gemm", [(3, 2), (4, 3), (4,)], [],
             {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    "matmul": ("MatMul", [(2, 3, 4), (4, 2)], [], {}),
    "einsum": ("Einsum", [(2, 3), (3, 4)], [], {"equation": "ij,jk->ki"}),
    "pow": ("Pow", [(5,)], [np.array(3.0)], {}),
    "logsumexp": ("ReduceLogSumExp", [(2, 3, 4)], [np.array([0, 2], I64)], {"keepdims": 0}),
    "cumsum": ("CumSum", [(3, 4)], [np.array(1, I64)], {"exclusive": 1, "reverse": 1}),
    "top": ("TopK", [(2, 5)], [np.array([2], I64)], {}),
    "gather": ("Gather", [(4, 3)], [np.array([[0, -1], [2, 2]], I64)], {}),
    "gather nd": ("GatherND", [(2, 3, 4)], [np.array([[[0], [2]], [[1], [1]]], I64)],
                  {"batch_dims": 1}),
    "slice": ("Slice", [(5, 6)], [np.array([4, 1], I64), np.array([0, 6], I64),
                                  np.array([0, 1], I64), np.array([-2, 2], I64)], {}),
    "reflect": ("Pad", [(2, 4)], [np.array([0, 2, 0, 3], I64)], {"mode": "reflect"}),
    "depth": ("DepthToSpace", [(1, 8, 2, 2)], [], {"blocksize": 2, "mode": "CRD"}),
    "cubic": ("Resize", [(1, 1, 4, 5)], [None, np.array([1, 1, 1.7, 0.6], np.float32)],
              {"mode": "cubic", "exclude_outside": 1, "antialias": 1}),
    "crop": ("Resize", [(1, 2, 4, 4)],
             [np.array([0, 0, 0.4, 0.6, 1, 1, 1.2, 0.8], np.float32), None,
              np.array([1, 2, 3, 3], I64)],
             {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}),
    "roi": ("RoiAlign", [(2, 2, 6, 6)],
            [np.array([[0.3, 0.2, 4.1, 3.7], [1, 1, 5, 5]], np.float64), np.array([0, 1], I64)],
            {"output_height": 2, "output_width": 2, "sampling_ratio": 2}),
    "deformed": ("DeformConv", [(1, 2, 4, 4), (2, 2, 2, 2), (1, 8, 3, 3)], [], {}),
    "columns": ("Col2Im", [(1, 8, 4)], [np.array([3, 3], I64), np.array([2, 2], I64)], {}),
    "lstm": ("LSTM", [(3, 2, 2), (1, 8, 2), (1, 8, 2)], [], {"hidden_size": 2}),
    "gru": ("GRU", [(3, 2, 2), (2, 6, 2), (2, 6, 2)], [],
            {"hidden_size": 2, "direction": "bidirectional", "linear_before_reset": 1}),
    "loss": ("SoftmaxCrossEntropyLoss", [(3, 4)], [np.array([1, -1, 3], I64)],
             {"ignore_index": -1}),
}  # fmt: skip


def network(kind: str, shapes: Any, constants: Any, attributes: Any) -> Any:
    """A graph of one node in float64."""
    names = [f"x{k}" for k in range(len(shapes))]
    weights = {
        f"c{k}": c if c.dtype != np.float64 or kind == "RoiAlign" else c.astype(np.float64)
        for k, c in enumerate(constants)
        if c is not None
    }
    inputs = names + [f"c{k}" if c is not None else "" for k, c in enumerate(constants)]
    node = helper.make_node(kind, inputs, ["y"], **attributes)
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info(n, TensorProto.DOUBLE, s) for n, s in zip(names, shapes)],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)],
        [numpy_helper.from_array(a, n) for n, a in weights.items()],
    )  # fmt: skip
    return load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))


@pytest.mark.parametrize("name", CASES)
def test_gradients(name: str) -> None:
    kind, shapes, constants, attributes = CASES[name]
    net = network(kind, shapes, constants, attributes)
    rng = np.random.default_rng(len(name))
    inputs = tuple(T.tensor(rng.normal(size=s), requires_grad=True) for s in shapes)
    assert gradcheck(net, inputs)
